//! CONNECT and WebSockets (RFC 9220): byte streams beside other requests.

use dodici::{ErrorKind, Request, RequestKind, Version};
use dodici_testkit::client::connect;
use dodici_testkit::h3::{code, kind, setting};
use dodici_testkit::{Client, H3Origin, QuicPeer, within};

use crate::support::{Trust, text};

#[tokio::test]
async fn connect_provides_a_byte_stream_beside_other_requests() {
    let trust = Trust::new();
    let origin = H3Origin::start(&trust.server());
    let client = Client::tls(origin.port(), trust.single());
    let call = client.send(connect("example.org:443"));
    within("upgrade", call.wait(|seen| seen.upgraded.then_some(()))).await;
    call.chunk("ping");
    within(
        "echo",
        call.wait(|seen| (seen.body == b"ping").then_some(())),
    )
    .await;
    assert_eq!(client.pool.stats().running, 0);
    let seen = within("other", client.get("/bytes/17").ended()).await;
    assert_eq!(seen.head.as_ref().unwrap().version, Version::Http3);
    call.handle.body_chunk(vec![b'x'; 200_000].into());
    call.finish();
    let seen = within("end", call.ended()).await;
    assert_eq!(seen.body.len(), 4 + 200_000);
    assert_eq!(client.events.connects(), 1);
    client.shut_down().await;
    assert_eq!(origin.errors(), Vec::<String>::new());
    origin.finish().await;
}

#[tokio::test]
async fn a_byte_stream_whose_peer_has_ended_still_writes_everything() {
    let trust = Trust::new();
    let peer = QuicPeer::listen(trust.server())
        .transport(|transport| {
            transport.stream_receive_window(50_000_u32.into());
        })
        .run(|mut peer| async move {
            peer.begin(&[]).await;
            let mut tunnel = peer.next_stream().await.unwrap();
            tunnel.request_head().await.unwrap();
            tunnel.head(200, &[]).await;
            tunnel.data("goodbye").await;
            tunnel.finish();
            let mut count = 0;
            while let Some(frame) = tunnel.next_frame().await {
                if frame.kind == kind::DATA {
                    count += frame.payload.len();
                }
            }
            assert!(tunnel.ended());
            assert_eq!(count, 200_000);
            let (mut other, _) = peer.next_request().await.unwrap();
            other.respond(200, &[], "after").await;
            peer.closed().await;
        });
    let client = Client::tls(peer.port(), trust.single());
    let call = client.send(connect("example.org:443"));
    within(
        "the peer's end",
        call.wait(|seen| (seen.body == b"goodbye").then_some(())),
    )
    .await;
    for _ in 0..2 {
        call.handle.body_chunk(vec![b'x'; 100_000].into());
    }
    call.finish();
    within("end", call.ended()).await;
    let seen = within("other", client.get("/").ended()).await;
    assert_eq!(text(&seen.body), "after");
    client.shut_down().await;
    peer.finish().await;
}

#[tokio::test]
async fn a_peer_that_has_ended_a_byte_stream_may_refuse_the_rest() {
    let codes = [(code::NO_ERROR, true), (code::REQUEST_CANCELLED, false)];
    for (code, clean) in codes {
        let trust = Trust::new();
        let peer = QuicPeer::listen(trust.server()).run(move |mut peer| async move {
            peer.begin(&[]).await;
            let mut tunnel = peer.next_stream().await.unwrap();
            tunnel.request_head().await.unwrap();
            tunnel.head(200, &[]).await;
            tunnel.data("goodbye").await;
            tunnel.finish();
            tunnel.stop(code);
            peer.closed().await;
        });
        let client = Client::tls(peer.port(), trust.single());
        let call = client.send(connect("example.org:443"));
        let seen = within("settled", call.settled()).await;
        assert_eq!(text(&seen.body), "goodbye");
        let wanted = (!clean).then_some(ErrorKind::StreamReset(code as u32));
        assert_eq!(seen.error_kind(), wanted);
        client.shut_down().await;
        peer.finish().await;
    }
}

#[tokio::test]
async fn an_orderly_reset_ends_a_byte_stream_and_cuts_a_response_short() {
    let trust = Trust::new();
    let peer = QuicPeer::listen(trust.server()).run(|mut peer| async move {
        peer.begin(&[]).await;
        for _ in 0..2 {
            let mut stream = peer.next_stream().await.unwrap();
            stream.request_head().await.unwrap();
            stream.head(200, &[]).await;
            stream.data("part").await;
            // What is sent before a reset may be lost with it: not before the client has it.
            let other = peer.next_request().await;
            stream.reset(code::NO_ERROR);
            other.unwrap().0.respond(200, &[], "").await;
        }
        peer.closed().await;
    });
    let client = Client::tls(peer.port(), trust.single());
    let part = async |call: &dodici_testkit::Call| {
        let whole = call.wait(|seen| (seen.body == b"part").then_some(()));
        within("a part", whole).await;
        within("another", client.get("/").ended()).await;
    };
    let tunnel = client.send(connect("example.org:443"));
    part(&tunnel).await;
    let seen = within("end", tunnel.ended()).await;
    assert!(seen.upgraded);
    let response = client.get("/");
    part(&response).await;
    let error = within("error", response.error()).await;
    let reset = ErrorKind::StreamReset(code::NO_ERROR as u32);
    assert_eq!(error.kind(), reset);
    client.shut_down().await;
    peer.finish().await;
}

#[tokio::test]
async fn a_websocket_needs_the_servers_extended_connect() {
    for offered in [0, 1] {
        let trust = Trust::new();
        let peer = QuicPeer::listen(trust.server()).run(move |mut peer| async move {
            peer.begin(&[(setting::ENABLE_CONNECT_PROTOCOL, offered)])
                .await;
            while let Some(mut stream) = peer.next_stream().await {
                let fields = stream.request_head().await.unwrap();
                let has =
                    |name: &str, value: &str| fields.contains(&(name.to_owned(), value.to_owned()));
                assert!(has(":method", "CONNECT") && has(":protocol", "websocket"));
                assert!(has(":path", "/chat") && has(":scheme", "https"));
                stream.head(200, &[]).await;
                stream.data("hi").await;
                stream.finish();
            }
        });
        let client = Client::tls(peer.port(), trust.single());
        let websocket =
            "GET /chat HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
        let call = client.send(Request::new(websocket).with_kind(RequestKind::Upgrade));
        if offered == 0 {
            let error = within("error", call.error()).await;
            assert_eq!(error.kind(), ErrorKind::Unserved);
        } else {
            within("upgrade", call.wait(|seen| seen.upgraded.then_some(()))).await;
            call.finish();
            let seen = within("end", call.ended()).await;
            assert_eq!(text(&seen.body), "hi");
        }
        client.shut_down().await;
        peer.finish().await;
    }
}
