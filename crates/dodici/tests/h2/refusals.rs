//! GOAWAY, REFUSED_STREAM, RST_STREAM, lost connections: what is replayed, and how often.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dodici::{ErrorKind, Event};
use dodici_testkit::client::post_chunked;
use dodici_testkit::h2::{code, frame, kind};
use dodici_testkit::{Client, H2Peer, within};

use crate::byte_streams::websocket;
use crate::support::{config, echo, serve, single, text};

#[tokio::test]
async fn goaway_lets_accepted_streams_finish_and_replays_the_others() {
    let peer = serve(|conn| async {
        let mut peer = H2Peer::accept(conn, &[]).await;
        if peer.index() > 0 {
            return echo(peer).await;
        }
        let mut requests = Vec::new();
        for _ in 0..4 {
            requests.push(peer.next_request().await.unwrap());
        }
        peer.goaway(requests[1].stream, code::NO_ERROR).await;
        for request in requests.drain(..2) {
            peer.respond(request.stream, format!("old {}", text(&request.body)))
                .await;
        }
        peer.closed().await;
    })
    .await;
    let client = Client::new(peer.port(), config());
    let calls: Vec<_> = (0..4)
        .map(|n| client.post("/", "id", &n.to_string()))
        .collect();
    let mut bodies = Vec::new();
    for call in &calls {
        let seen = within("response", call.ended()).await;
        bodies.push(text(&seen.body).to_owned());
    }
    assert_eq!(bodies, ["old 0", "old 1", "2", "3"]);
    assert_eq!(client.events.connects(), 2);
    client.finish(peer).await;
}

#[tokio::test]
async fn a_request_that_a_goaway_covers_fails_with_the_connection() {
    let peer = serve(|conn| async {
        let mut peer = H2Peer::accept(conn, &[]).await;
        let request = peer.next_request().await.unwrap();
        peer.goaway(request.stream, code::INTERNAL_ERROR).await;
        peer.conn().fin().await;
        peer.closed().await;
    })
    .await;
    let client = Client::new(peer.port(), config());
    let call = client.post("/", "id", "x");
    let error = within("error", call.error()).await;
    assert_eq!(error.kind(), ErrorKind::Socket);
    assert!(error.message().contains("GOAWAY"), "{error}");
    assert!(error.socket().is_some());
    client.finish(peer).await;
}

#[tokio::test]
async fn a_refused_stream_is_sent_again() {
    let peer = serve(|conn| async {
        let mut peer = H2Peer::accept(conn, &[]).await;
        let first = peer.next_request().await.unwrap();
        peer.reset(first.stream, code::REFUSED_STREAM).await;
        echo(peer).await;
    })
    .await;
    let client = Client::new(peer.port(), config());
    let call = client.post("/", "id", "again");
    let seen = within("response", call.ended()).await;
    assert_eq!(text(&seen.body), "again");
    assert_eq!(client.events.connects(), 1);
    client.finish(peer).await;
}

#[tokio::test]
async fn s38_a_peer_that_refuses_everything_is_retried_a_bounded_number_of_times() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let peer = serve(move |conn| {
        let asked = Arc::clone(&asked);
        async move {
            let mut peer = H2Peer::accept(conn, &[]).await;
            while let Some(request) = peer.next_request().await {
                asked.fetch_add(1, Ordering::SeqCst);
                peer.reset(request.stream, code::REFUSED_STREAM).await;
            }
        }
    })
    .await;
    let client = Client::new(peer.port(), config());
    let error = within("error", client.get("/").error()).await;
    assert_eq!(error.kind(), ErrorKind::StreamReset(code::REFUSED_STREAM));
    assert_eq!(count.load(Ordering::SeqCst), 6);
    client.finish(peer).await;
}

#[tokio::test]
async fn s38_connections_that_go_away_immediately_are_tried_a_bounded_number_of_times() {
    let peer = serve(|conn| async {
        let mut peer = H2Peer::accept(conn, &[]).await;
        if peer.next_head().await.is_some() {
            peer.goaway(0, code::NO_ERROR).await;
        }
        peer.closed().await;
    })
    .await;
    let client = Client::new(peer.port(), config());
    let error = within("error", client.get("/").error()).await;
    assert_eq!(error.kind(), ErrorKind::Unserved, "{error:?}");
    assert_eq!(peer.accepted(), 6);
    client.finish(peer).await;
}

#[tokio::test]
async fn s38_connections_that_go_away_before_a_stream_are_tried_a_bounded_number_of_times() {
    let peer = serve(|mut conn| async move {
        // One segment: the GOAWAY is read before SETTINGS allow what the request needs.
        let offer = [0, 8, 0, 0, 0, 1];
        let settings = frame(kind::SETTINGS, 0, 0, offer);
        let goodbye = frame(kind::GOAWAY, 0, 0, [0; 8]);
        conn.send([settings, goodbye].concat()).await;
        conn.closed().await;
    })
    .await;
    let client = Client::new(peer.port(), single());
    let error = within("error", client.send(websocket()).error()).await;
    assert_eq!(error.kind(), ErrorKind::Unserved, "{error:?}");
    assert!(peer.accepted() <= 6, "{}", peer.accepted());
    client.finish(peer).await;
}

#[tokio::test]
async fn a_reset_stream_fails_its_request_alone() {
    let peer = serve(|conn| async {
        let mut peer = H2Peer::accept(conn, &[]).await;
        let first = peer.next_request().await.unwrap();
        let second = peer.next_request().await.unwrap();
        peer.reset(first.stream, code::INTERNAL_ERROR).await;
        peer.respond(second.stream, "fine").await;
        peer.closed().await;
    })
    .await;
    let client = Client::new(peer.port(), config());
    let (one, other) = (client.get("/"), client.get("/"));
    let error = within("error", one.error()).await;
    assert_eq!(error.kind(), ErrorKind::StreamReset(code::INTERNAL_ERROR));
    let seen = within("response", other.ended()).await;
    assert_eq!(text(&seen.body), "fine");
    client.finish(peer).await;
}

#[tokio::test]
async fn a_lost_connection_fails_what_was_sent_on_it() {
    let peer = serve(|conn| async {
        let mut peer = H2Peer::accept(conn, &[]).await;
        peer.next_request().await.unwrap();
        peer.next_request().await.unwrap();
        peer.into_conn().reset();
    })
    .await;
    let client = Client::new(peer.port(), config());
    let calls = [client.get("/"), client.get("/")];
    for call in &calls {
        let error = within("error", call.error()).await;
        assert_eq!(error.kind(), ErrorKind::Socket, "{error:?}");
    }
    within("disconnect", client.disconnected(1)).await;
    let event = client
        .events
        .events()
        .into_iter()
        .find_map(|event| match event {
            Event::Disconnected { info, .. } => Some(info),
            _ => None,
        });
    assert!(event.unwrap().error.is_some());
    // It is unknown whether the peer has executed them.
    assert_eq!(client.events.connects(), 1);
    client.finish(peer).await;
}

#[tokio::test]
async fn a_pulled_body_that_was_begun_is_not_sent_again_after_a_refusal() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let peer = serve(move |conn| {
        let asked = Arc::clone(&asked);
        async move {
            let mut peer = H2Peer::accept(conn, &[]).await;
            while let Some(stream) = peer.next_head().await {
                asked.fetch_add(1, Ordering::SeqCst);
                let data = peer.next_frame_of(stream).await.unwrap();
                assert_eq!(data.payload, b"part");
                peer.reset(stream, code::REFUSED_STREAM).await;
            }
        }
    })
    .await;
    let client = Client::new(peer.port(), config());
    let call = client.send(post_chunked("/"));
    call.chunk("part");
    let error = within("error", call.error()).await;
    assert_eq!(error.kind(), ErrorKind::StreamReset(code::REFUSED_STREAM));
    assert_eq!(count.load(Ordering::SeqCst), 1);
    client.finish(peer).await;
}
