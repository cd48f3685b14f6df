//! Bodies that wait for `100 Continue`.

use std::time::Duration;

use bytes::Bytes;
use dodici::{BodyKind, Request};
use dodici_testkit::config::{config, no_timers};
use dodici_testkit::with;
use dodici_testkit::{Client, OK, ScriptedPeer, TestOrigin, within};
use tokio::time::Instant;

use crate::support::assert_usable;

fn expecting(body: BodyKind) -> Request {
    with(
        Request::new(
            "POST /x HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n",
        )
        .with_body(body),
        |request| request.expect_continue = true,
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_is_held_until_100_continue_arrives() {
    for pulled in [false, true] {
        let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
            conn.read_head().await;
            conn.send("HTTP/1.1 100 Continue\r\n\r\n").await;
            assert_eq!(conn.read_exact(4).await, b"body");
            conn.send(OK).await;
            conn.closed().await;
        });
        let client = Client::new(
            peer.port(),
            config(|config| config.exchange.continue_timeout = Duration::from_secs(3600)),
        );
        let body = match pulled {
            false => BodyKind::Full(Bytes::from_static(b"body")),
            true => BodyKind::Sized(4),
        };
        let call = client.send(expecting(body));
        if pulled {
            within("pull", call.wait(|seen| (seen.pulled() > 0).then_some(()))).await;
            call.chunk("body");
            call.finish();
        }
        let seen = within("response", call.ended()).await;
        assert_eq!(seen.body, b"ok");
        assert!(seen.informational.is_empty(), "the 100 was ours");
        client.finish(peer).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_held_body_is_sent_after_the_continue_timeout() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        conn.read_head().await;
        let asked = Instant::now();
        assert_eq!(conn.read_exact(4).await, b"body");
        assert!(asked.elapsed() >= Duration::from_millis(4_900));
        conn.send(OK).await;
        conn.closed().await;
    });
    let client = Client::new(
        peer.port(),
        no_timers(|config| config.exchange.continue_timeout = Duration::from_secs(5)),
    );
    let call = client.send(expecting(BodyKind::Full(Bytes::from_static(b"body"))));
    assert_eq!(call.ended().await.body, b"ok");
    peer.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_final_status_in_place_of_100_continue_is_the_response() {
    let origin = TestOrigin::start().await;
    let client = Client::new(
        origin.port(),
        config(|config| config.exchange.continue_timeout = Duration::from_secs(3600)),
    );
    let mut request = expecting(BodyKind::Full(Bytes::from_static(b"body")));
    request.head = Bytes::from_static(
        b"POST /status/417 HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\n\
          content-length: 4\r\n\r\n",
    );
    let seen = within("response", client.send(request).ended()).await;
    assert_eq!(seen.status(), 417);
    assert_usable(&client).await;
    client.shut_down().await;
    origin.finish().await;
}
