//! Bodies of pipelined responses: credit, reads into the sink's memory, limits.

use dodici::{CloseReason, ErrorKind};
use dodici_testkit::client::get;
use dodici_testkit::recording::Seen;
use dodici_testkit::{Client, OK, ScriptedPeer, within};

use super::{bodies, depth, gets};

#[tokio::test]
async fn a_reader_that_stops_holds_up_the_responses_behind_it() {
    for in_place in [false, true] {
        const LEN: usize = 400_000;
        let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
            for _ in 0..2 {
                conn.read_head().await;
            }
            let body = "x".repeat(LEN);
            conn.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {LEN}\r\n\r\n{body}{OK}"
            ))
            .await;
            conn.closed().await;
        });
        let mut config = depth(2);
        config.exchange.window = 100_000;
        let client = Client::new(peer.port(), config).in_place(in_place);
        let slow = client.send_paused(get("/slow"));
        let next = client.get("/next");
        let mut granted = 100_000;
        while slow.seen().body.len() < LEN {
            let used_up =
                |seen: &Seen| (seen.cost() >= granted || seen.body.len() == LEN).then_some(());
            slow.wait(used_up).await;
            // No byte above what was granted.
            assert!(slow.seen().body.len() as u64 <= granted);
            assert!(next.seen().head.is_none() || slow.seen().body.len() == LEN);
            granted += 100_000;
            slow.handle.credit(100_000);
        }
        assert_eq!(within("slow", slow.ended()).await.body.len(), LEN);
        assert_eq!(bodies(&[next]).await, ["ok"]);
        client.finish(peer).await;
    }
}

#[tokio::test]
async fn bytes_after_a_body_that_is_read_in_place_are_not_part_of_it() {
    const LEN: usize = 65_536;
    let (peer, _) = ScriptedPeer::tcp()
        .await
        .first_then_ok(|mut conn| async move {
            conn.read_head().await;
            let body = "x".repeat(LEN);
            conn.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {LEN}\r\n\r\n{body}{OK}"
            ))
            .await;
            conn.closed().await;
        });
    let client = Client::new(peer.port(), depth(2)).in_place(true);
    let seen = within("body", client.get("/large").ended()).await;
    assert_eq!(seen.body.len(), LEN);
    assert!(seen.body.iter().all(|byte| *byte == b'x'));
    within("disconnect", client.disconnected(1)).await;
    assert_eq!(client.accounts()[0].reason, CloseReason::UnsolicitedData);
    assert_eq!(bodies(&[client.get("/next")]).await, ["ok"]);
    client.pool.destroy();
    within("close", client.events.closed()).await;
}

#[tokio::test]
async fn consecutive_huge_bodies_arrive_complete() {
    for in_place in [false, true] {
        const LEN: usize = 3_000_000;
        let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
            for _ in 0..6 {
                conn.read_head().await;
            }
            for n in 0..6_u8 {
                let body = vec![b'0' + n; LEN];
                conn.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LEN}\r\n\r\n"))
                    .await;
                conn.send(body).await;
            }
            conn.closed().await;
        });
        let client = Client::new(peer.port(), depth(6)).in_place(in_place);
        let calls = gets(&client, 6);
        for (n, call) in (0_u8..).zip(&calls) {
            let seen = within("body", call.ended()).await;
            assert_eq!(seen.body.len(), LEN);
            assert!(seen.body.iter().all(|byte| *byte == b'0' + n));
        }
        client.finish(peer).await;
    }
}

#[tokio::test]
async fn a_body_cut_short_where_it_is_read_in_place_fails_its_request() {
    let (peer, later) = ScriptedPeer::tcp()
        .await
        .first_then_ok(|mut conn| async move {
            conn.read_head().await;
            conn.read_head().await;
            let body = "x".repeat(100_000);
            conn.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n{body}"
            ))
            .await;
            conn.fin().await;
            conn.closed().await;
        });
    let client = Client::new(peer.port(), depth(2)).in_place(true);
    let calls = gets(&client, 2);
    let error = within("error", calls[0].error()).await;
    assert_eq!(error.kind(), ErrorKind::Socket);
    assert_eq!(error.message(), "other side closed");
    assert_eq!(within("next", calls[1].ended()).await.body, b"ok");
    assert_eq!(later.read(Vec::clone), ["/1"]);
    client.finish(peer).await;
}

#[tokio::test]
async fn a_body_above_the_limit_fails_its_request_and_no_other() {
    for (in_place, len) in [(false, 100_usize), (true, 100_000)] {
        let (peer, later) = ScriptedPeer::tcp()
            .await
            .first_then_ok(move |mut conn| async move {
                conn.read_head().await;
                conn.read_head().await;
                let body = "x".repeat(len);
                conn.send(format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n{body}{OK}"
                ))
                .await;
                conn.closed().await;
            });
        let mut config = depth(2);
        config.exchange.max_response_size = Some(len as u64 - 1);
        let client = Client::new(peer.port(), config).in_place(in_place);
        let calls = gets(&client, 2);
        let error = within("error", calls[0].error()).await;
        assert_eq!(error.kind(), ErrorKind::ResponseExceededMaxSize);
        assert_eq!(within("next", calls[1].ended()).await.body, b"ok");
        assert_eq!(later.read(Vec::clone), ["/1"]);
        client.finish(peer).await;
    }
}
