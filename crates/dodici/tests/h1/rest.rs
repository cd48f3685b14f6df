//! How long a connection stays idle, in virtual time, and what it may receive meanwhile.

use std::time::Duration;

use dodici::{CloseReason, ErrorKind, OriginConfig};
use dodici_testkit::config::{connections, no_timers};
use dodici_testkit::{Client, OK, ScriptedPeer, Signal, TestOrigin, within};
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_after_the_keep_alive_timeout() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), no_timers(|_| ()));
    client.get("/bytes/1").ended().await;
    let rested = Instant::now();
    client.disconnected(1).await;
    let rest = rested.elapsed();
    assert!(rest >= Duration::from_secs(4) && rest < Duration::from_millis(4_010));
    assert_eq!(client.reasons(), [CloseReason::IdleTimeout]);
    origin.finish().await;
}

#[tokio::test(start_paused = true)]
async fn the_servers_hint_minus_the_threshold_is_the_idle_timeout() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), no_timers(|_| ()));
    client.get("/hint/30").ended().await;
    let rested = Instant::now();
    client.disconnected(1).await;
    let rest = rested.elapsed();
    assert!(rest >= Duration::from_secs(28) && rest < Duration::from_millis(28_010));
    assert_eq!(client.reasons(), [CloseReason::IdleTimeout]);
    origin.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_was_never_written_does_not_extend_the_idle_timeout() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), no_timers(|_| ()));
    client.get("/hint/5").ended().await;
    let rested = Instant::now();
    for _ in 0..2 {
        tokio::time::advance(Duration::from_secs(1)).await;
        let call = client.get("/bytes/1");
        call.handle.cancel();
        assert_eq!(call.error().await.kind(), ErrorKind::Aborted);
    }
    client.disconnected(1).await;
    // The server counts from its response: five seconds, minus the threshold of two.
    let rest = rested.elapsed();
    assert!(rest >= Duration::from_secs(3) && rest < Duration::from_millis(3_010));
    assert_eq!(client.reasons(), [CloseReason::IdleTimeout]);
    assert_eq!(origin.peer().accepted(), 1);
    origin.finish().await;
}

#[tokio::test]
async fn a_hint_within_the_threshold_ends_the_connection_immediately() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), OriginConfig::default());
    within("response", client.get("/hint/1").ended()).await;
    within("disconnect", client.disconnected(1)).await;
    assert_eq!(client.reasons(), [CloseReason::NotReusable]);
    origin.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_hint_is_bounded_by_the_maximum_keep_alive_timeout() {
    let origin = TestOrigin::start().await;
    let mut config = no_timers(|_| ());
    config.pool.keep_alive_max_timeout = Some(Duration::from_secs(10));
    let client = Client::new(origin.port(), config);
    client.get("/hint/4000").ended().await;
    let rested = Instant::now();
    client.disconnected(1).await;
    assert!(rested.elapsed() < Duration::from_millis(10_010));
    origin.finish().await;
}

#[tokio::test(start_paused = true)]
async fn each_use_restarts_the_idle_timeout() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), no_timers(|_| ()));
    for _ in 0..4 {
        client.get("/bytes/1").ended().await;
        tokio::time::advance(Duration::from_secs(3)).await;
    }
    client.get("/bytes/1").ended().await;
    assert_eq!(origin.peer().accepted(), 1, "15 s after the first request");
    origin.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_old_connection_takes_no_further_request() {
    let origin = TestOrigin::start().await;
    let mut config = no_timers(|_| ());
    config.pool.max_connection_age = Some(Duration::from_secs(5));
    config.pool.keep_alive_timeout = Some(Duration::from_secs(60));
    let client = Client::new(origin.port(), config);
    client.get("/bytes/1").ended().await;
    client.disconnected(1).await;
    assert_eq!(client.reasons(), [CloseReason::Expired]);
    let second = client.get("/bytes/1").ended().await;
    assert!(!second.connection.unwrap().1);
    origin.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_ages_during_an_exchange_ends_after_it() {
    let origin = TestOrigin::start().await;
    let mut config = no_timers(|_| ());
    config.pool.max_connection_age = Some(Duration::from_secs(5));
    let client = Client::new(origin.port(), config);
    let call = client.get("/hold");
    origin.wait_executed(1).await;
    tokio::time::advance(Duration::from_secs(6)).await;
    origin.open_gate();
    call.ended().await;
    client.disconnected(1).await;
    assert_eq!(client.reasons(), [CloseReason::Expired]);
    origin.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn line_ends_in_the_segment_of_a_response_leave_the_connection_usable() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        while conn.next_head().await.is_some() {
            conn.send(format!("{OK}\r\n")).await;
        }
    });
    let client = Client::new(peer.port(), connections(1));
    for _ in 0..20 {
        let seen = within("response", client.get("/a").ended()).await;
        assert_eq!(seen.body, b"ok");
    }
    assert_eq!(peer.accepted(), 1);
    assert_eq!(client.reasons(), []);
    client.finish(peer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn line_ends_on_an_idle_connection_leave_it_usable() {
    let (send, sent) = (Signal::new(), Signal::new());
    let (on_send, on_sent) = (send.clone(), sent.clone());
    let peer = ScriptedPeer::tcp().await.run(move |mut conn| {
        let (send, sent) = (on_send.clone(), on_sent.clone());
        async move {
            conn.next_head().await;
            conn.send(OK).await;
            send.raised().await;
            conn.send("\r\n").await;
            sent.raise();
            conn.next_head().await;
            conn.send(OK).await;
            conn.closed().await;
        }
    });
    let client = Client::new(peer.port(), connections(1));
    within("first", client.get("/a").ended()).await;
    send.raise();
    within("line end", sent.raised()).await;
    let second = within("second", client.get("/b").ended()).await;
    assert_eq!(second.body, b"ok");
    assert_eq!(peer.accepted(), 1);
    assert_eq!(client.reasons(), []);
    client.finish(peer).await;
}
