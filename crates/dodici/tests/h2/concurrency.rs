//! How many requests share a connection: the peer's limit, and another connection at it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dodici::ErrorKind;
use dodici_testkit::h2::{kind, setting};
use dodici_testkit::{Client, H2Peer, Signal, within};

use crate::support::{config, echo, serve, single, text};

#[tokio::test]
async fn requests_share_one_connection_at_the_same_time() {
    let peer = serve(|conn| async {
        let mut peer = H2Peer::accept(conn, &[]).await;
        let mut streams = Vec::new();
        for _ in 0..50 {
            streams.push(peer.next_request().await.unwrap());
        }
        // No response before all have arrived; then the last one first.
        for request in streams.into_iter().rev() {
            peer.respond(request.stream, request.body).await;
        }
        peer.closed().await;
    })
    .await;
    let client = Client::new(peer.port(), config());
    let calls: Vec<_> = (0..50)
        .map(|n| client.post("/", "id", &n.to_string()))
        .collect();
    for (n, call) in calls.iter().enumerate() {
        let seen = within("response", call.ended()).await;
        assert_eq!(text(&seen.body), n.to_string());
    }
    assert_eq!(client.events.connects(), 1);
    client.finish(peer).await;
}

#[tokio::test]
async fn before_settings_there_is_one_stream() {
    let settled = Signal::new();
    let raised = settled.clone();
    let peer = serve(move |conn| {
        let settled = settled.clone();
        async move {
            let mut peer = H2Peer::silent(conn).await;
            let first = peer.next_head().await.unwrap();
            peer.respond(first, "first").await;
            let second = peer.next_head().await.unwrap();
            settled.raised().await;
            peer.settings(&[]).await;
            let third = peer.next_head().await.unwrap();
            peer.respond(third, "third").await;
            peer.respond(second, "second").await;
            peer.closed().await;
        }
    })
    .await;
    let client = Client::new(peer.port(), single());
    let calls: Vec<_> = (0..3).map(|_| client.get("/")).collect();
    within("first", calls[0].ended()).await;
    assert!(!calls[2].is_settled());
    raised.raise();
    let third = within("third", calls[2].ended()).await;
    assert_eq!(text(&third.body), "third");
    within("second", calls[1].ended()).await;
    client.finish(peer).await;
}

#[tokio::test]
async fn the_peers_limit_applies_and_is_followed_when_it_changes() {
    let most = Arc::new(AtomicUsize::new(0));
    let highest = Arc::clone(&most);
    let peer = serve(move |conn| {
        let most = Arc::clone(&most);
        async move {
            let limit = |n| [(setting::MAX_CONCURRENT_STREAMS, n)];
            let mut peer = H2Peer::accept(conn, &limit(3)).await;
            let mut open = Vec::new();
            for _ in 0..3 {
                open.push(peer.next_request().await.unwrap().stream);
            }
            most.fetch_max(open.len(), Ordering::SeqCst);
            peer.settings(&limit(5)).await;
            for _ in 0..2 {
                open.push(peer.next_request().await.unwrap().stream);
            }
            // Down to one: none may be sent before four have ended.
            peer.settings(&limit(1)).await;
            while peer.next_frame().await.unwrap().kind != kind::SETTINGS {}
            for stream in open.drain(..4) {
                peer.respond(stream, "").await;
            }
            peer.respond(open[0], "").await;
            let mut served = 5;
            while let Some(request) = peer.next_request().await {
                served += 1;
                peer.respond(request.stream, "").await;
            }
            assert_eq!(served, 20);
        }
    })
    .await;
    let client = Client::new(peer.port(), single());
    let calls: Vec<_> = (0..20).map(|_| client.get("/")).collect();
    for call in &calls {
        within("response", call.ended()).await;
    }
    assert_eq!(highest.load(Ordering::SeqCst), 3);
    assert_eq!(client.pool.stats().running, 0);
    client.finish(peer).await;
}

#[tokio::test]
async fn at_the_limit_another_connection_is_opened_if_the_pool_may_grow() {
    let full = Signal::new();
    let count = Arc::new(AtomicUsize::new(0));
    let peer = serve(move |conn| {
        let (full, count) = (full.clone(), Arc::clone(&count));
        async move {
            let mut peer = H2Peer::accept(conn, &[(setting::MAX_CONCURRENT_STREAMS, 2)]).await;
            let mut open = Vec::new();
            for _ in 0..2 {
                open.push(peer.next_request().await.unwrap().stream);
            }
            // No response before all six are in flight.
            if count.fetch_add(2, Ordering::SeqCst) + 2 == 6 {
                full.raise();
            }
            full.raised().await;
            for stream in open {
                peer.respond(stream, "").await;
            }
            echo(peer).await;
        }
    })
    .await;
    let client = Client::new(peer.port(), config());
    let calls: Vec<_> = (0..6).map(|_| client.get("/")).collect();
    for call in &calls {
        within("response", call.ended()).await;
    }
    assert_eq!(client.events.connects(), 3);
    client.finish(peer).await;
}

#[tokio::test(start_paused = true)]
async fn s36_with_a_limit_of_zero_requests_wait_under_their_headers_timeout() {
    let peer = serve(|conn| async {
        let limit = |n| [(setting::MAX_CONCURRENT_STREAMS, n)];
        let mut peer = H2Peer::accept(conn, &limit(0)).await;
        let first = peer.next_head().await;
        if let Some(first) = first {
            // The one stream that is allowed before SETTINGS.
            peer.respond(first, "").await;
        }
        peer.closed().await;
    })
    .await;
    let mut config = single();
    config.exchange.headers_timeout = Some(Duration::from_secs(5));
    config.http2.ping_interval = None;
    let client = Client::new(peer.port(), config);
    within("first", client.get("/").ended()).await;
    let calls: Vec<_> = (0..3).map(|_| client.get("/")).collect();
    for call in calls {
        let error = within("error", call.error()).await;
        assert_eq!(error.kind(), ErrorKind::HeadersTimeout, "{error:?}");
    }
    client.pool.destroy();
    within("destroy", client.events.closed()).await;
    peer.finish().await;
}
