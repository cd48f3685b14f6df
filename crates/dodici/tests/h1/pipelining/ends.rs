//! Aborts, timeouts, and connections and pools that end with requests in flight.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dodici::{CloseReason, ErrorKind, Event, Request};
use dodici_testkit::client::get;
use dodici_testkit::{Client, OK, PeerClose, ScriptedPeer, Signal, within};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{bodies, depth, gets, numbered};

#[tokio::test]
async fn an_abort_of_a_written_request_closes_the_connection_and_fails_no_other_request() {
    for victim in 0..3 {
        let all = Signal::new();
        let there = all.clone();
        let (peer, later) = ScriptedPeer::tcp().await.first_then_ok(move |mut conn| {
            let there = there.clone();
            async move {
                for _ in 0..3 {
                    conn.read_head().await;
                }
                there.raise();
                conn.closed().await;
            }
        });
        let client = Client::new(peer.port(), depth(3));
        let mut calls = gets(&client, 3);
        within("requests", all.raised()).await;
        let aborted = calls.remove(victim);
        aborted.handle.cancel();
        let error = within("abort", aborted.error()).await;
        assert_eq!(error.kind(), ErrorKind::Aborted);
        assert_eq!(bodies(&calls).await, ["ok", "ok"]);
        let order: Vec<_> = (0..3)
            .filter(|n| *n != victim)
            .map(|n| format!("/{n}"))
            .collect();
        assert_eq!(later.read(Vec::clone), order);
        assert_eq!(client.accounts()[0].reason, CloseReason::Aborted);
        let gone = client
            .events
            .stamp_of(|event| matches!(event, Event::Disconnected { .. }))
            .unwrap();
        assert!(aborted.seen().stamp() < gone);
        client.finish(peer).await;
    }
}

#[tokio::test]
async fn an_abort_lets_an_earlier_response_that_has_begun_finish() {
    let (begun, goes_on) = (Signal::new(), Signal::new());
    let (start, rest) = (begun.clone(), goes_on.clone());
    let (peer, later) = ScriptedPeer::tcp().await.first_then_ok(move |mut conn| {
        let (start, rest) = (start.clone(), rest.clone());
        async move {
            for _ in 0..3 {
                conn.read_head().await;
            }
            conn.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nbe")
                .await;
            start.raise();
            rest.raised().await;
            conn.send("gun").await;
            conn.closed().await;
        }
    });
    let client = Client::new(peer.port(), depth(3));
    let calls = gets(&client, 3);
    within("start", begun.raised()).await;
    calls[0]
        .wait(|seen| (seen.body == b"be").then_some(()))
        .await;
    calls[1].handle.cancel();
    let error = within("abort", calls[1].error()).await;
    assert_eq!(error.kind(), ErrorKind::Aborted);
    goes_on.raise();
    assert_eq!(within("first", calls[0].ended()).await.body, b"begun");
    assert_eq!(within("last", calls[2].ended()).await.body, b"ok");
    assert_eq!(later.read(Vec::clone), ["/2"]);
    client.finish(peer).await;
}

#[tokio::test]
async fn a_destroyed_connection_fails_the_request_that_is_due() {
    let all = Signal::new();
    let there = all.clone();
    let (peer, later) = ScriptedPeer::tcp().await.first_then_ok(move |mut conn| {
        let there = there.clone();
        async move {
            for _ in 0..3 {
                conn.read_head().await;
            }
            there.raise();
            conn.closed().await;
        }
    });
    let client = Client::new(peer.port(), depth(3));
    let calls = gets(&client, 3);
    within("requests", all.raised()).await;
    let conn = client.events.open_connections()[0];
    client.pool.destroy_connection(conn);
    let error = within("error", calls[0].error()).await;
    assert_eq!(error.kind(), ErrorKind::Socket);
    for call in &calls[1..] {
        within("response", call.ended()).await;
    }
    assert_eq!(later.read(Vec::clone), ["/1", "/2"]);
    client.finish(peer).await;
}

/// Gives up a connection with three requests, of which the first may have been partly answered.
/// Its server sends `rest` afterwards. Returns the bodies, and which requests were replayed.
async fn give_up(first: Request, begun: &'static str, rest: &'static str) -> [Vec<String>; 2] {
    let all = Signal::new();
    let goes_on = Signal::new();
    let (there, on) = (all.clone(), goes_on.clone());
    let (peer, later) = ScriptedPeer::tcp().await.first_then_ok(move |mut conn| {
        let (there, on) = (there.clone(), on.clone());
        async move {
            for _ in 0..3 {
                conn.read_head().await;
            }
            conn.send(begun).await;
            there.raise();
            on.raised().await;
            conn.send(rest).await;
            conn.closed().await;
        }
    });
    let client = Client::new(peer.port(), depth(3));
    let calls = [client.send(first), client.get("/1"), client.get("/2")];
    within("requests", all.raised()).await;
    if !begun.is_empty() {
        calls[0]
            .wait(|seen| (seen.body == b"be").then_some(()))
            .await;
    }
    let conn = client.events.open_connections()[0];
    client.pool.give_up_connection(conn);
    if rest.is_empty() {
        within("disconnect", client.disconnected(1)).await;
    }
    goes_on.raise();
    let bodies = bodies(&calls).await;
    assert_eq!(client.accounts()[0].reason, CloseReason::Aborted);
    client.finish(peer).await;
    let later = later.read(Vec::clone);
    [bodies, later]
}

#[tokio::test]
async fn the_requests_of_an_abandoned_connection_are_replayed() {
    let [bodies, later] = give_up(get("/0"), "", "").await;
    assert_eq!(bodies, ["ok", "ok", "ok"]);
    assert_eq!(later, ["/0", "/1", "/2"]);
}

#[tokio::test]
async fn an_abandoned_connection_finishes_a_response_that_has_begun() {
    const BEGUN: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nbe";
    let [bodies, later] = give_up(get("/0"), BEGUN, "gun").await;
    assert_eq!(bodies, ["begun", "ok", "ok"]);
    assert_eq!(later, ["/1", "/2"]);
}

#[tokio::test]
async fn an_abandoned_connection_waits_for_what_cannot_be_replayed() {
    let mut first = get("/0");
    first.idempotent = false;
    let [bodies, later] = give_up(first, "", OK).await;
    assert_eq!(bodies, ["ok", "ok", "ok"]);
    assert_eq!(later, ["/1", "/2"]);
}

#[tokio::test]
async fn an_abandoned_idle_connection_ends() {
    let (peer, later) = ScriptedPeer::tcp()
        .await
        .first_then_ok(|mut conn| async move {
            conn.read_head().await;
            conn.send(OK).await;
            conn.closed().await;
        });
    let client = Client::new(peer.port(), depth(3));
    assert_eq!(bodies(&gets(&client, 1)).await, ["ok"]);
    let conn = client.events.open_connections()[0];
    client.pool.give_up_connection(conn);
    within("disconnect", client.disconnected(1)).await;
    assert_eq!(client.accounts()[0].reason, CloseReason::Aborted);
    assert_eq!(bodies(&[client.get("/next")]).await, ["ok"]);
    assert_eq!(later.read(Vec::clone), ["/next"]);
    client.finish(peer).await;
}

#[tokio::test]
async fn a_destroyed_pool_fails_all() {
    let all = Signal::new();
    let there = all.clone();
    let (peer, _) = ScriptedPeer::tcp().await.first_then_ok(move |mut conn| {
        let there = there.clone();
        async move {
            for _ in 0..3 {
                conn.read_head().await;
            }
            there.raise();
            conn.closed().await;
        }
    });
    let client = Client::new(peer.port(), depth(3));
    let calls = gets(&client, 5);
    within("requests", all.raised()).await;
    client.pool.destroy();
    for call in &calls {
        let error = within("error", call.error()).await;
        assert_eq!(error.kind(), ErrorKind::Destroyed);
    }
    within("close", client.events.closed()).await;
    drop(client);
    peer.finish().await;
}

#[tokio::test]
async fn a_closed_pool_finishes_its_requests() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        for n in 0..5 {
            conn.read_head().await;
            conn.send(numbered(n)).await;
        }
        assert_eq!(conn.closed().await, PeerClose::Fin);
    });
    let client = Client::new(peer.port(), depth(3));
    let calls = gets(&client, 5);
    client.pool.close();
    assert_eq!(bodies(&calls).await, ["0", "1", "2", "3", "4"]);
    within("close", client.events.closed()).await;
    drop(client);
    peer.finish().await;
}

/// Cancels its own request with the first bytes of the body, and records its callbacks.
struct GivesUp {
    handle: Arc<Mutex<Option<dodici::RequestHandle>>>,
    told: Arc<Mutex<Vec<&'static str>>>,
    ended: Signal,
    in_place: bool,
}

impl dodici::Sink for GivesUp {
    fn informational(&mut self, _head: &dodici::ResponseHead) {}

    fn head(&mut self, _head: &dodici::ResponseHead, _info: &dodici::ExchangeInfo) {
        self.told.lock().push("head");
    }

    fn data(&mut self, _chunk: Bytes) {
        self.told.lock().push("data");
        self.handle.lock().as_ref().unwrap().cancel();
    }

    fn reads_in_place(&self) -> bool {
        self.in_place
    }

    fn end(&mut self, _trailers: &dodici::HeaderBlock) {
        self.told.lock().push("end");
        self.ended.raise();
    }

    fn error(&mut self, _error: dodici::Error) {
        self.told.lock().push("error");
        self.ended.raise();
    }

    fn upgrade(&mut self, _head: &dodici::ResponseHead, _info: &dodici::ExchangeInfo) {}

    fn pull(&mut self, _bytes: u32) {}
}

#[tokio::test]
async fn a_sink_that_cancels_in_a_callback_gets_only_the_error() {
    for in_place in [false, true] {
        let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
            conn.read_head().await;
            let length = 8 << 20;
            conn.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"
            ))
            .await;
            conn.send(vec![b'x'; length]).await;
            conn.closed().await;
        });
        let client = Client::new(peer.port(), depth(1));
        let (handle, told) = (Arc::default(), Arc::default());
        let ended = Signal::new();
        let sink = GivesUp {
            handle: Arc::clone(&handle),
            told: Arc::clone(&told),
            ended: ended.clone(),
            in_place,
        };
        let given = client.pool.dispatch(get("/"), Box::new(sink));
        *handle.lock() = Some(given);
        within("error", ended.raised()).await;
        assert_eq!(*told.lock(), ["head", "data", "error"], "{in_place}");
        client.finish(peer).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_headers_timeout_applies_to_the_response_that_is_due() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        conn.read_head().await;
        conn.read_head().await;
        tokio::time::sleep(Duration::from_secs(9)).await;
        conn.send(OK).await;
        conn.closed().await;
    });
    let mut config = depth(2);
    config.connect.timeout = None;
    config.exchange.headers_timeout = Some(Duration::from_secs(10));
    config.exchange.body_timeout = None;
    let client = Client::new(peer.port(), config);
    let calls = gets(&client, 2);
    calls[0].ended().await;
    let due = Instant::now();
    assert_eq!(calls[1].error().await.kind(), ErrorKind::HeadersTimeout);
    assert_eq!(due.elapsed().as_secs(), 10);
    drop(client);
    peer.join().await;
}

#[tokio::test(start_paused = true)]
async fn the_keep_alive_hint_of_the_last_response_sets_the_idle_timeout() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        conn.read_head().await;
        conn.read_head().await;
        conn.send(format!(
            "{OK}HTTP/1.1 200 OK\r\nKeep-Alive: timeout=12\r\nContent-Length: 0\r\n\r\n"
        ))
        .await;
        conn.closed().await;
    });
    let mut config = depth(2);
    config.connect.timeout = None;
    config.exchange.headers_timeout = None;
    config.exchange.body_timeout = None;
    let client = Client::new(peer.port(), config);
    let calls = gets(&client, 2);
    calls[1].ended().await;
    let rest = Instant::now();
    client.disconnected(1).await;
    assert_eq!(rest.elapsed().as_secs(), 10);
    assert_eq!(client.accounts()[0].reason, CloseReason::IdleTimeout);
    drop(client);
    peer.join().await;
}

#[tokio::test]
async fn a_connection_ends_after_its_last_allowed_request() {
    let peer = ScriptedPeer::tcp().await.always(OK);
    let mut config = depth(10);
    config.pool.max_requests_per_connection = NonZeroU32::new(3);
    let client = Client::new(peer.port(), config);
    let calls = gets(&client, 7);
    assert_eq!(bodies(&calls).await, ["ok"; 7]);
    client.pool.close();
    within("close", client.events.closed()).await;
    let served: Vec<_> = client.accounts().iter().map(|info| info.requests).collect();
    assert_eq!(served, [3, 3, 1]);
    assert_eq!(client.accounts()[0].reason, CloseReason::MaxRequests);
    drop(client);
    peer.finish().await;
}
