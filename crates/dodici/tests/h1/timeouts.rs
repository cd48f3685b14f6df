//! Timeouts of a request and of connecting, in virtual time.

use std::time::Duration;

use dodici::{CloseReason, ErrorKind, Phase};
use dodici_testkit::client::{get, post_chunked};
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

#[tokio::test(start_paused = true)]
async fn a_reader_without_credit_causes_no_body_timeout() {
    let origin = TestOrigin::start().await;
    let client = Client::new(
        origin.port(),
        no_timers(|config| {
            config.exchange.body_timeout = Some(Duration::from_secs(7));
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
