//! Aborts, timeouts, PING, and the end of a connection and of a pool.

use std::time::Duration;

use dodici::{CloseReason, ErrorKind, Event};
use dodici_testkit::client::{get, post_chunked};
use dodici_testkit::h2::{code, flag, kind};
use dodici_testkit::with;
use dodici_testkit::{Client, H2Peer, ScriptedPeer, Signal, within};

use crate::bodies::reset_and_head;
use crate::support::{config, serve, serve_echo, single};

#[tokio::test]
async fn an_abort_resets_the_stream_and_keeps_the_connection() {
    let peer = serve(|conn| async {
        let mut peer = H2Peer::accept(conn, &[]).await;
        let first = peer.next_head().await.unwrap();
        peer.head(first, 200, &[], false).await;
        peer.data(first, "part", false).await;
        let (reset, second) = reset_and_head(&mut peer).await;
        assert_eq!(reset, (first, code::CANCEL));
        peer.respond(second, "ok").await;
        peer.closed().await;
    })
    .await;
    let client = Client::new(peer.port(), config());
    let call = client.get("/");
    within(
        "part",
        call.wait(|seen| (!seen.body.is_empty()).then_some(())),
    )
    .await;
    call.handle.cancel();
    let error = within("error", call.error()).await;
    assert_eq!(error.kind(), ErrorKind::Aborted);
    within("next", client.get("/").ended()).await;
    assert_eq!(client.events.connects(), 1);
    client.finish(peer).await;
}

#[tokio::test]
async fn an_aborted_stream_is_reset_although_nothing_else_happens() {
    for upload in [false, true] {
        let reset = Signal::new();
        let told = reset.clone();
        let peer = serve(move |conn| {
            let told = told.clone();
            async move {
                let mut peer = H2Peer::accept(conn, &[]).await;
                let stream = peer.next_head().await.unwrap();
                peer.head(stream, 200, &[], false).await;
                while peer.resets.is_empty() {
                    peer.next_frame().await.unwrap();
                }
                assert_eq!(peer.resets, [(stream, code::CANCEL)]);
                told.raise();
                peer.closed().await;
            }
        })
        .await;
        let mut config = config();
        // Its close would cause the reset, too.
        config.pool.keep_alive_timeout = Some(Duration::from_secs(600));
        let client = Client::new(peer.port(), config);
        let call = client.send(if upload { post_chunked("/") } else { get("/") });
        within("head", call.wait(|seen| seen.head.as_ref().map(|_| ()))).await;
        call.handle.cancel();
        within("reset", reset.raised()).await;
        client.finish(peer).await;
    }
}

#[tokio::test]
async fn s37_after_many_resets_a_connection_is_replaced() {
    let peer = serve(|conn| async {
        let mut peer = H2Peer::accept(conn, &[]).await;
        peer.closed().await;
        assert!(peer.resets.len() <= 900, "{}", peer.resets.len());
    })
    .await;
    let client = Client::new(peer.port(), config());
    for _ in 0..20 {
        let calls: Vec<_> = (0..100).map(|_| client.get("/")).collect();
        // All have a stream once the last one's head is on the wire.
        tokio::task::yield_now().await;
        for call in &calls {
            call.handle.cancel();
        }
        for call in calls {
            within("abort", call.error()).await;
        }
    }
    let stats = client.pool.stats();
    assert_eq!((stats.running, stats.pending), (0, 0));
    client.finish(peer).await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_sends_goaway_when_its_timeout_expires() {
    let said = Signal::new();
    let goodbye = said.clone();
    let peer = serve(move |conn| {
        let said = said.clone();
        async move {
            let mut peer = H2Peer::accept(conn, &[]).await;
            let stream = peer.next_head().await.unwrap();
            peer.respond(stream, "").await;
            peer.closed().await;
            assert_eq!(peer.goaway, Some(code::NO_ERROR));
            said.raise();
        }
    })
    .await;
    let client = Client::new(peer.port(), config());
    within("response", client.get("/").ended()).await;
    within("disconnect", client.disconnected(1)).await;
    goodbye.raised().await;
    let Event::Disconnected { info, .. } = client.events.events().pop().unwrap() else {
        panic!("the disconnect is last");
    };
    assert_eq!(info.reason, CloseReason::IdleTimeout);
    assert_eq!(info.requests, 1);
    client.finish(peer).await;
}

/// The peer is too slow for the first request.
async fn the_next_request_is_answered_on_the_same_connection(peer: ScriptedPeer) {
    let client = Client::new(peer.port(), single());
    let call = client.send(with(get("/"), |request| {
        request.headers_timeout = Some(Duration::from_millis(50))
    }));
    let error = within("error", call.error()).await;
    assert_eq!(error.kind(), ErrorKind::HeadersTimeout);
    within("next", client.get("/").ended()).await;
    assert_eq!(client.events.connects(), 1);
    client.finish(peer).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_times_out_keeps_a_live_connection() {
    let peer = serve(|conn| async {
        let mut peer = H2Peer::accept(conn, &[]).await;
        peer.next_head().await.unwrap();
        let second = peer.next_head().await.unwrap();
        peer.respond(second, "").await;
        peer.closed().await;
    })
    .await;
    the_next_request_is_answered_on_the_same_connection(peer).await;
}

#[tokio::test(start_paused = true)]
async fn no_stream_opens_while_a_peer_that_was_too_slow_has_not_answered_a_ping() {
    let peer = serve(|conn| async {
        let mut peer = H2Peer::accept(conn, &[]).await;
        peer.next_head().await.unwrap();
        // By hand: `H2Peer` would answer the PING immediately.
        let mut kinds = Vec::new();
        let mut asked = None;
        let half_of_its_time = tokio::time::sleep(Duration::from_millis(500));
        let reading = async {
            loop {
                let head = peer.conn().read_up_to(9).await.unwrap();
                let payload = peer.conn().read_up_to(head[2].into()).await.unwrap();
                kinds.push(head[3]);
                if head[3] == kind::PING {
                    asked = Some(payload);
                }
            }
        };
        tokio::select! {
            () = reading => {}
            () = half_of_its_time => {}
        }
        assert!(!kinds.contains(&kind::HEADERS), "{kinds:?}");
        let asked = asked.unwrap();
        peer.send(kind::PING, flag::ACK, 0, asked).await;
        let second = peer.next_head().await.unwrap();
        peer.respond(second, "").await;
        peer.closed().await;
    })
    .await;
    the_next_request_is_answered_on_the_same_connection(peer).await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_answers_no_ping_is_dead() {
    let peer = serve(|conn| async {
        let mut peer = H2Peer::accept(conn, &[]).await;
        peer.next_head().await.unwrap();
        peer.conn().stall().await;
    })
    .await;
    let mut config = config();
    config.exchange.headers_timeout = None;
    config.http2.ping_interval = Some(Duration::from_secs(5));
    let client = Client::new(peer.port(), config);
    let error = within("error", client.get("/").error()).await;
    assert!(error.message().contains("unresponsive"), "{error}");
    drop(client);
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_streams_is_pinged_by_default() {
    for (while_idle, reason) in [
        (true, CloseReason::Timeout),
        (false, CloseReason::IdleTimeout),
    ] {
        let peer = serve(|conn| async {
            let mut peer = H2Peer::accept(conn, &[]).await;
            let stream = peer.next_head().await.unwrap();
            peer.respond(stream, "").await;
            // Answers no ping.
            peer.conn().stall().await;
        })
        .await;
        let mut config = config();
        config.exchange.headers_timeout = None;
        config.exchange.body_timeout = None;
        config.pool.keep_alive_timeout = Some(Duration::from_secs(60));
        config.http2.ping_interval = Some(Duration::from_secs(5));
        config.http2.ping_while_idle = while_idle;
        let client = Client::new(peer.port(), config);
        within("response", client.get("/").ended()).await;
        client.disconnected(1).await;
        let reasons = client.events.events().into_iter();
        let mut reasons = reasons.filter_map(|event| match event {
            Event::Disconnected { info, .. } => Some(info.reason),
            _ => None,
        });
        assert_eq!(reasons.next(), Some(reason), "while idle: {while_idle}");
    }
}

#[tokio::test]
async fn every_answered_ping_is_reported() {
    let peer = serve_echo().await;
    let mut config = config();
    config.http2.ping_interval = Some(Duration::from_millis(5));
    let client = Client::new(peer.port(), config);
    within("response", client.post("/", "id", "x").ended()).await;
    let pong = |event: &Event| matches!(event, Event::Pong { .. });
    within("answers", client.events.wait_nth(3, pong)).await;
    assert_eq!(client.events.connects(), 1);
    client.finish(peer).await;
}

#[tokio::test]
async fn destroying_the_pool_fails_every_stream() {
    let peer = serve(|conn| async {
        let mut peer = H2Peer::accept(conn, &[]).await;
        peer.closed().await;
    })
    .await;
    let client = Client::new(peer.port(), config());
    let calls: Vec<_> = (0..10).map(|_| client.get("/")).collect();
    within(
        "connect",
        client
            .events
            .wait_nth(1, |e| matches!(e, Event::Connected { .. })),
    )
    .await;
    client.pool.destroy();
    for call in calls {
        let error = within("error", call.error()).await;
        assert_eq!(error.kind(), ErrorKind::Destroyed);
    }
    within("closed", client.events.closed()).await;
    peer.finish().await;
}
