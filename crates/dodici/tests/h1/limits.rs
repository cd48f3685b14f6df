//! A reader's window, and the limits of a head and a body.

use std::time::Duration;

use dodici::{ErrorKind, OriginConfig};
use dodici_testkit::client::get;
use dodici_testkit::config::config;
use dodici_testkit::message::pattern;
use dodici_testkit::recording::Seen;
use dodici_testkit::{Client, ScriptedPeer, TestOrigin, within};

use crate::support::assert_usable;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s34_a_paused_reader_gets_no_more_than_its_window() {
    const WINDOW: u32 = 100_000;
    /// hyper's read buffer: the largest chunk.
    const CHUNK: u64 = 64 * 1024;
    let origin = TestOrigin::start().await;
    let client = Client::new(
        origin.port(),
        config(|config| {
            config.exchange.window = WINDOW;
            // On a loaded machine, comparing the body takes longer than the idle timeout.
            config.pool.keep_alive_timeout = Some(Duration::from_secs(3600));
        }),
    );
    let call = client.send_paused(get("/bytes/40000000"));
    let mut credit = u64::from(WINDOW);
    for _ in 0..20 {
        let full = |seen: &Seen| (seen.cost() >= credit).then_some(seen.body.len() as u64);
        let got = within("window", call.wait(full)).await;
        assert!(got < credit + CHUNK, "{got} bytes on a credit of {credit}");
        credit += 50_000;
        call.handle.credit(50_000);
    }
    assert!(call.seen().body.len() as u64 <= credit + CHUNK);
    assert!(!call.is_settled());
    call.handle.credit(u32::MAX);
    assert_eq!(within("rest", call.ended()).await.body, pattern(40_000_000));
    assert_usable(&client).await;
    assert_eq!(origin.peer().accepted(), 1);
    client.shut_down().await;
    origin.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_over_the_size_limit_fails_the_request() {
    let origin = TestOrigin::start().await;
    let client = Client::new(
        origin.port(),
        config(|config| config.exchange.max_response_size = Some(10_000)),
    );
    assert_eq!(
        within("fits", client.get("/bytes/10000").ended())
            .await
            .body
            .len(),
        10_000
    );
    for target in ["/bytes/10001", "/chunked/10001/500"] {
        let call = client.get(target);
        let error = within("limit", call.error()).await;
        assert_eq!(error.kind(), ErrorKind::ResponseExceededMaxSize);
        assert!(call.seen().body.len() <= 10_000);
    }
    assert_usable(&client).await;
    client.shut_down().await;
    origin.finish().await;
}

#[tokio::test]
async fn s28_a_head_over_the_limit_is_an_overflow() {
    let (peer, _) = ScriptedPeer::tcp()
        .await
        .first_then_ok(|mut conn| async move {
            conn.read_head().await;
            conn.send(format!(
                "HTTP/1.1 200 OK\r\nA: {}\r\n\r\n",
                "x".repeat(17_000)
            ))
            .await;
            conn.closed().await;
        });
    let client = Client::new(peer.port(), OriginConfig::default());
    let error = within("overflow", client.get("/").error()).await;
    assert_eq!(error.kind(), ErrorKind::HeadersOverflow);
    assert_usable(&client).await;
    client.finish(peer).await;
}
