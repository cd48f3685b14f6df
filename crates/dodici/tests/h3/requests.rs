//! Requests and responses that succeed.

use dodici::{ErrorKind, Event, Protocol, Version};
use dodici_testkit::client::{head, post, post_chunked};
use dodici_testkit::h3::log::End;
use dodici_testkit::{Client, H3Origin, QuicPeer, within};

use crate::support::{Trust, text};

/// Whatever the origin has complained about.
async fn finish(client: Client, origin: H3Origin) {
    client.shut_down().await;
    assert_eq!(origin.errors(), Vec::<String>::new());
    origin.finish().await;
}

#[tokio::test]
async fn a_request_is_answered_over_http3() {
    let trust = Trust::new();
    let origin = H3Origin::start(&trust.server());
    let client = Client::tls(origin.port(), trust.config());
    let seen = within("response", client.get("/bytes/17").ended()).await;
    let head = seen.head.as_ref().unwrap();
    assert_eq!((head.status, head.version), (200, Version::Http3));
    assert_eq!(seen.body.len(), 17);
    let Event::Connected { info, .. } = client
        .events
        .wait_for(|event| matches!(event, Event::Connected { .. }))
        .await
    else {
        panic!()
    };
    assert_eq!(info.protocol, Protocol::Http3);
    assert_eq!(info.tls.unwrap().alpn.as_deref(), Some("h3"));
    assert_eq!(info.timings.tcp, None);
    finish(client, origin).await;
}

#[tokio::test]
async fn requests_share_a_connection() {
    let trust = Trust::new();
    let origin = H3Origin::start(&trust.server());
    let client = Client::tls(origin.port(), trust.single());
    let calls: Vec<_> = (0..300)
        .map(|n| client.get(&format!("/bytes/{n}")))
        .collect();
    for (n, call) in calls.iter().enumerate() {
        assert_eq!(within("response", call.ended()).await.body.len(), n);
    }
    assert_eq!(client.events.connects(), 1);
    finish(client, origin).await;
}

#[tokio::test]
async fn bodies_are_sent_in_memory_and_streamed_with_trailers() {
    let trust = Trust::new();
    let origin = H3Origin::start(&trust.server());
    let client = Client::tls(origin.port(), trust.config());
    let whole = client.send(post("/echo", "1", "a body in memory"));
    let streamed = client.send(post_chunked("/digest"));
    streamed.chunk("one ");
    streamed.chunk("two");
    let trailers = [("x-end", "1"), ("x-more", "2")].into_iter().collect();
    streamed.handle.body_end(trailers);
    let seen = within("echo", whole.ended()).await;
    assert_eq!(text(&seen.body), "a body in memory");
    let seen = within("digest", streamed.ended()).await;
    let digest: Vec<_> = text(&seen.body).split(' ').collect();
    assert_eq!((digest[0], digest[2]), ("7", "2"));
    finish(client, origin).await;
}

#[tokio::test]
async fn trailers_and_informational_responses_are_delivered() {
    let trust = Trust::new();
    let origin = H3Origin::start(&trust.server());
    let client = Client::tls(origin.port(), trust.config());
    let seen = within("trailers", client.get("/unsized/100000/999").ended()).await;
    assert_eq!(seen.body.len(), 100_000);
    let trailers = seen.trailers();
    let names: Vec<_> = trailers.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["x-checksum", "x-part", "x-part"]);
    let seen = within("early hints", client.get("/early").ended()).await;
    let statuses: Vec<_> = seen.informational.iter().map(|head| head.status).collect();
    assert_eq!((statuses, text(&seen.body)), (vec![103], "early"));
    finish(client, origin).await;
}

#[tokio::test]
async fn responses_without_a_body_have_none() {
    let trust = Trust::new();
    let origin = H3Origin::start(&trust.server());
    let client = Client::tls(origin.port(), trust.config());
    for request in [head("/bytes/9"), dodici_testkit::client::get("/status/204")] {
        let seen = within("response", client.send(request).ended()).await;
        assert!(seen.head.is_some());
        assert_eq!(seen.body, b"");
    }
    finish(client, origin).await;
}

#[tokio::test]
async fn an_unprocessed_request_fails_with_the_reason_once_replays_are_used_up() {
    let trust = Trust::new();
    let peer = QuicPeer::listen(trust.server()).run(|mut peer| async move {
        peer.begin(&[]).await;
        peer.goaway(0).await;
        peer.closed().await;
    });
    let mut config = trust.single();
    config.http3.max_replays = 1;
    let client = Client::tls(peer.port(), config);
    let error = within("error", client.get("/").error()).await;
    assert_eq!(error.kind(), ErrorKind::Unserved);
    client.shut_down().await;
    peer.finish().await;
}

#[test]
fn a_request_fails_when_its_runtime_ends_and_the_server_is_told() {
    let (servers, clients) = (runtime(), runtime());
    let trust = Trust::new();
    let (peer, mut arrived) = servers.block_on(async {
        let (arrive, arrived) = tokio::sync::mpsc::unbounded_channel();
        let peer = QuicPeer::listen(trust.server()).run(move |mut peer| {
            let arrive = arrive.clone();
            async move {
                peer.begin(&[]).await;
                let _request = peer.next_request().await;
                let _ = arrive.send(());
                peer.closed().await;
            }
        });
        (peer, arrived)
    });
    let call = clients.block_on(async {
        let client = Client::tls(peer.port(), trust.config());
        let call = client.get("/");
        within("the request", arrived.recv()).await;
        call
    });
    drop(clients);
    servers.block_on(async {
        let error = within("the error", call.error()).await;
        assert_eq!(error.kind(), ErrorKind::Internal);
        // Otherwise it would wait for its idle timeout.
        assert_eq!(within("the end", peer.end(0)).await, End::Http(0x100));
        peer.finish().await;
    });
}

/// One with a thread of its own.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}
