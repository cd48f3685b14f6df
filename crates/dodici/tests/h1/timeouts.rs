//! Timeouts of a request and of connecting, in virtual time.

use std::num::NonZeroU32;
use std::time::Duration;

use dodici::{CloseReason, ErrorKind, OriginConfig, Phase};
use dodici_testkit::client::{get, post_chunked, upgrade};
use dodici_testkit::config::no_timers;
use dodici_testkit::message::pattern;
use dodici_testkit::with;
use dodici_testkit::{Client, ScriptedPeer, TestOrigin};
use tokio::time::Instant;

use crate::support::{assert_error_before_disconnect, assert_usable};

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_a_headers_timeout() {
    let origin = TestOrigin::start().await;
    let client = Client::new(
        origin.port(),
        no_timers(|config| config.exchange.headers_timeout = Some(Duration::from_secs(7))),
    );
    let call = client.get("/hold");
    origin.wait_executed(1).await;
    let sent = Instant::now();
    let error = call.error().await;
    assert_eq!(
        (error.kind(), error.phase()),
        (ErrorKind::HeadersTimeout, Phase::Headers)
    );
    assert!(sent.elapsed() <= Duration::from_millis(7_010));
    client.disconnected(1).await;
    assert_error_before_disconnect(&client, &call);
    assert_eq!(client.reasons(), [CloseReason::Timeout]);
    assert_usable(&client).await;
    origin.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_requests_own_timeout_overrides_the_pools() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), no_timers(|_| {}));
    let call = client.send(with(get("/hold"), |request| {
        request.headers_timeout = Some(Duration::from_secs(3))
    }));
    assert_eq!(call.error().await.kind(), ErrorKind::HeadersTimeout);
    origin.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stalls_is_a_body_timeout() {
    let origin = TestOrigin::start().await;
    let client = Client::new(
        origin.port(),
        no_timers(|config| config.exchange.body_timeout = Some(Duration::from_secs(7))),
    );
    let call = client.get("/gated");
    let error = call.error().await;
    assert_eq!(
        (error.kind(), error.phase()),
        (ErrorKind::BodyTimeout, Phase::Body)
    );
    assert_eq!(call.seen().body, b"before");
    origin.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_is_no_timeout_while_chunks_arrive() {
    let origin = TestOrigin::start().await;
    let client = Client::new(
        origin.port(),
        no_timers(|config| config.exchange.body_timeout = Some(Duration::from_secs(7))),
    );
    let seen = client.get("/slow/10/6000").ended().await;
    assert!(seen.body.ends_with(b"tick9"));
    origin.finish().await;
}

/// A minute passes while the reader of a response is stopped; then it reads on.
async fn assert_a_stopped_reader_may_take_long(limit: impl FnOnce(&mut OriginConfig)) {
    let origin = TestOrigin::start().await;
    let client = Client::new(
        origin.port(),
        no_timers(|config| {
            limit(config);
            config.exchange.window = 1;
        }),
    );
    let call = client.send_paused(get("/bytes/300000"));
    call.wait(|seen| (!seen.body.is_empty()).then_some(()))
        .await;
    for _ in 0..10 {
        tokio::time::advance(Duration::from_secs(6)).await;
    }
    assert!(!call.is_settled());
    call.handle.credit(1_000_000);
    assert_eq!(call.ended().await.body, pattern(300_000));
    origin.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_reader_without_credit_causes_no_body_timeout() {
    let limit =
        |config: &mut OriginConfig| config.exchange.body_timeout = Some(Duration::from_secs(7));
    assert_a_stopped_reader_may_take_long(limit).await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_request_body_causes_no_headers_timeout() {
    let origin = TestOrigin::start().await;
    let client = Client::new(
        origin.port(),
        no_timers(|config| config.exchange.headers_timeout = Some(Duration::from_secs(7))),
    );
    let call = client.send(post_chunked("/echo"));
    call.wait(|seen| (seen.pulled() > 0).then_some(())).await;
    for _ in 0..5 {
        tokio::time::advance(Duration::from_secs(6)).await;
        call.chunk("x");
        tokio::task::yield_now().await;
    }
    assert!(!call.is_settled());
    call.finish();
    assert_eq!(call.ended().await.body, b"xxxxx");
    origin.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_stalls_is_a_connect_timeout() {
    // Accepts, and never answers the TLS client hello.
    let peer = ScriptedPeer::tcp()
        .await
        .run(|mut conn| async move { conn.stall().await });
    let client = Client::tls(
        peer.port(),
        no_timers(|config| config.connect.timeout = Some(Duration::from_secs(5))),
    );
    let call = client.get("/");
    assert_eq!(call.error().await.kind(), ErrorKind::ConnectTimeout);
    assert_eq!(client.events.connects(), 0);
    peer.finish().await;
}

fn total(seconds: u64) -> impl FnOnce(&mut OriginConfig) {
    move |config| config.exchange.total_timeout = Some(Duration::from_secs(seconds))
}

#[tokio::test(start_paused = true)]
async fn the_total_timeout_runs_until_the_end_of_the_body() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), no_timers(total(25)));
    // Each tick restarts the body timeout, if there is one.
    let sent = Instant::now();
    let call = client.get("/slow/10/6000");
    let error = call.error().await;
    assert_eq!(
        (error.kind(), error.phase()),
        (ErrorKind::TotalTimeout, Phase::Body)
    );
    assert!(sent.elapsed() <= Duration::from_millis(25_010));
    client.disconnected(1).await;
    assert_error_before_disconnect(&client, &call);
    assert_eq!(client.reasons(), [CloseReason::Timeout]);
    assert_usable(&client).await;
    // What is settled in time has no timeout any more.
    let seen = client.get("/slow/2/6000").ended().await;
    tokio::time::advance(Duration::from_secs(60)).await;
    assert!(seen.body.ends_with(b"tick1"));
    origin.finish().await;
}

#[tokio::test(start_paused = true)]
async fn the_total_timeout_includes_the_time_in_the_queue() {
    let origin = TestOrigin::start().await;
    let client = Client::new(
        origin.port(),
        no_timers(|config| config.pool.max_connections = NonZeroU32::new(1)),
    );
    let first = client.get("/hold");
    origin.wait_executed(1).await;
    let waiting = client.send(with(get("/bytes/1"), |request| {
        request.total_timeout = Some(Duration::from_secs(5));
    }));
    let error = waiting.error().await;
    assert_eq!(
        (error.kind(), error.phase()),
        (ErrorKind::TotalTimeout, Phase::Queued)
    );
    assert!(!first.is_settled());
    assert_eq!(client.pool.stats().pending, 0);
    first.handle.cancel();
    assert_eq!(first.error().await.kind(), ErrorKind::Aborted);
    origin.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_requests_total_timeout_overrides_the_pools_and_zero_is_none() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), no_timers(total(3)));
    let call = client.send(with(get("/slow/3/6000"), |request| {
        request.total_timeout = Some(Duration::ZERO);
    }));
    assert!(call.ended().await.body.ends_with(b"tick2"));
    origin.finish().await;
}

#[tokio::test(start_paused = true)]
async fn the_total_timeout_ends_with_an_upgrade() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        conn.read_head().await;
        conn.send("HTTP/1.1 101 Fine\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
            .await;
        let got = conn.read_exact(5).await;
        conn.send(got).await;
        conn.closed().await;
    });
    let client = Client::new(peer.port(), no_timers(total(10)));
    let call = client.send(upgrade("/"));
    call.wait(|seen| seen.upgraded.then_some(())).await;
    tokio::time::advance(Duration::from_secs(60)).await;
    call.chunk("hello");
    call.wait(|seen| seen.body.ends_with(b"hello").then_some(()))
        .await;
    call.finish();
    call.ended().await;
    client.finish(peer).await;
}

fn rate(bytes: u32) -> impl FnOnce(&mut OriginConfig) {
    move |config| config.exchange.min_body_rate = NonZeroU32::new(bytes)
}

#[tokio::test(start_paused = true)]
async fn s30_a_body_below_the_minimum_rate_fails_although_bytes_keep_arriving() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), no_timers(rate(100)));
    // Five bytes a second.
    let call = client.get("/slow/100/1000");
    let error = call.error().await;
    assert_eq!(
        (error.kind(), error.phase()),
        (ErrorKind::BodyTooSlow, Phase::Body)
    );
    let seen = call.seen();
    assert!((15..=30).contains(&seen.body.len()), "{}", seen.body.len());
    client.disconnected(1).await;
    assert_eq!(client.reasons(), [CloseReason::Timeout]);
    assert_usable(&client).await;
    let own = client.send(with(get("/slow/20/1000"), |request| {
        request.min_body_rate = Some(0);
    }));
    assert!(own.ended().await.body.ends_with(b"tick19"));
    let own = client.send(with(get("/slow/20/1000"), |request| {
        request.min_body_rate = Some(4);
    }));
    assert!(own.ended().await.body.ends_with(b"tick19"));
    origin.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_body_whose_reader_is_stopped_is_never_too_slow() {
    assert_a_stopped_reader_may_take_long(rate(100_000)).await;
}
