//! Requests that are cancelled in each phase.

use std::sync::Arc;

use bytes::Bytes;
use dodici::{BodyKind, CloseReason, ErrorKind, HeaderBlock, OriginConfig, Phase, Request};
use dodici_testkit::client::{get, post_chunked};
use dodici_testkit::config::connections;
use dodici_testkit::{Client, OK, ScriptedPeer, Signal, TestOrigin, within};

use crate::support::{assert_error_before_disconnect, assert_usable};

#[tokio::test]
async fn an_abort_in_the_queue_leaves_the_connection_alone() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), connections(1));
    let first = client.get("/hold");
    let second = client.post("/echo", "second", "x");
    within("running", origin.wait_executed(1)).await;
    second.handle.cancel();
    let error = within("aborted", second.error()).await;
    assert_eq!(
        (error.kind(), error.phase()),
        (ErrorKind::Aborted, Phase::Queued)
    );
    within("released", second.released()).await;
    origin.open_gate();
    within("first", first.ended()).await;
    assert_usable(&client).await;
    assert_eq!(origin.executions("second"), 0);
    assert_eq!(origin.peer().accepted(), 1);
    second.handle.cancel();
    client.shut_down().await;
    origin.finish().await;
}

#[tokio::test]
async fn an_abort_while_connecting_settles_the_request_and_keeps_the_connection() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), OriginConfig::default());
    let call = client.get("/bytes/1");
    call.handle.cancel();
    assert_eq!(
        within("aborted", call.error()).await.kind(),
        ErrorKind::Aborted
    );
    assert_usable(&client).await;
    assert_eq!(origin.peer().accepted(), 1);
    assert_eq!(origin.executed().len(), 1);
    client.shut_down().await;
    origin.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_while_waiting_for_the_head_closes_the_connection() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), connections(1));
    let call = client.get("/hold");
    within("running", origin.wait_executed(1)).await;
    call.handle.cancel();
    let error = within("aborted", call.error()).await;
    assert_eq!(
        (error.kind(), error.phase()),
        (ErrorKind::Aborted, Phase::Headers)
    );
    within("disconnect", client.disconnected(1)).await;
    assert_error_before_disconnect(&client, &call);
    assert_eq!(client.reasons(), [CloseReason::Aborted]);
    assert_usable(&client).await;
    client.shut_down().await;
    origin.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_in_the_body_closes_the_connection() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), connections(1));
    let call = client.get("/gated");
    within(
        "body",
        call.wait(|seen| (seen.body == b"before").then_some(())),
    )
    .await;
    call.handle.cancel();
    let error = within("aborted", call.error()).await;
    assert_eq!(
        (error.kind(), error.phase()),
        (ErrorKind::Aborted, Phase::Body)
    );
    within("released", call.released()).await;
    assert_usable(&client).await;
    client.shut_down().await;
    origin.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_while_writing_closes_the_connection() {
    let gate = Signal::new();
    let wait = gate.clone();
    let (peer, _) = ScriptedPeer::tcp().await.first_then_ok(move |mut conn| {
        let wait = wait.clone();
        async move {
            conn.read_head().await;
            wait.raised().await;
            conn.closed().await;
        }
    });
    let client = Client::new(peer.port(), connections(1));
    // Far more than the socket buffers hold, and the peer does not read it.
    let body = Bytes::from(vec![b'x'; 64 << 20]);
    let call = client.send(
        Request::new(format!(
            "POST / HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n",
            body.len()
        ))
        .with_body(BodyKind::Full(body.clone())),
    );
    let received = |log: &dodici_testkit::peer_log::PeerLog| {
        (!log.connections.first()?.received.is_empty()).then_some(())
    };
    within("written", peer.wait(received)).await;
    call.handle.cancel();
    assert_eq!(
        within("aborted", call.error()).await.kind(),
        ErrorKind::Aborted
    );
    gate.raise();
    within("closed", peer.peer_close(0)).await;
    assert_usable(&client).await;
    client.finish(peer).await;
}

#[tokio::test]
async fn a_response_that_overtakes_the_end_of_the_body_keeps_the_connection() {
    let (peer, _) = ScriptedPeer::tcp()
        .await
        .first_then_ok(|mut conn| async move {
            while let Some(head) = conn.next_head().await {
                conn.send(OK).await;
                conn.read_body(&head).await;
            }
        });
    let client = Client::new(peer.port(), connections(1));
    let call = client.send(post_chunked("/"));
    let answered = call.wait(|seen| (seen.body == b"ok").then_some(()));
    within("answered", answered).await;
    call.handle.body_chunk(Bytes::from_static(b"late"));
    call.handle.body_end(HeaderBlock::new());
    within("ended", call.ended()).await;
    assert_eq!(within("next", client.get("/").ended()).await.status(), 200);
    assert_eq!(client.reasons(), []);
    client.finish(peer).await;
}

/// One thread, so that the connection's task finds the chunk and the abort together.
#[tokio::test]
async fn a_chunk_submitted_before_an_abort_is_sent_before_the_connection_ends() {
    let (peer, _) = ScriptedPeer::tcp()
        .await
        .first_then_ok(|mut conn| async move {
            conn.read_head().await;
            conn.closed().await;
        });
    let client = Client::new(peer.port(), connections(1));
    let call = client.send(post_chunked("/"));
    let pulled = call.wait(|seen| (seen.pulled() > 0).then_some(()));
    within("pulled", pulled).await;
    call.handle.body_chunk(Bytes::from_static(b"a string"));
    call.handle.cancel();
    assert_eq!(
        within("aborted", call.error()).await.kind(),
        ErrorKind::Aborted
    );
    within("closed", peer.peer_close(0)).await;
    let received = peer.wait(|log| Some(log.connections.first()?.received.clone()));
    let received = within("received", received).await;
    assert!(received.ends_with(b"8\r\na string\r\n"));
    client.finish(peer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_after_the_end_has_no_effect() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), OriginConfig::default());
    for _ in 0..50 {
        let call = client.get("/bytes/3");
        within("response", call.ended()).await;
        call.handle.cancel();
    }
    assert_eq!(origin.peer().accepted(), 1);
    client.shut_down().await;
    origin.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn aborts_at_random_moments_settle_once_and_leak_no_connection() {
    let origin = TestOrigin::start().await;
    origin.open_gate();
    let client = Client::new(origin.port(), connections(8));
    let mut calls = Vec::new();
    let mut seed = 1_u32;
    for n in 0..1_500 {
        let call = client.get(["/bytes/20000", "/chunked/900/100", "/hold"][n % 3]);
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let handle = call.handle.clone();
        calls.push(call);
        let yields = (seed >> 28) as usize;
        tokio::spawn(async move {
            for _ in 0..yields {
                tokio::task::yield_now().await;
            }
            handle.cancel();
        });
        if n % 7 == 0 {
            tokio::task::yield_now().await;
        }
    }
    for call in &calls {
        within("released", call.released()).await;
    }
    assert_usable(&client).await;
    client.clone().shut_down().await;
    assert_eq!(client.pool.stats(), dodici::PoolStats::default());
    origin.finish().await;
}

#[tokio::test]
async fn a_request_cancelled_before_its_lost_connection_took_it_is_settled() {
    let peer = ScriptedPeer::tcp().await.always(OK);
    let client = Client::new(peer.port(), connections(1));
    let first = within("first", client.get("/").ended()).await;
    // The pool does not know yet that the connection has ended, and assigns the request to it.
    client.pool.destroy_connection(first.connection.unwrap().0);
    let second = client.post("/second", "2", "body");
    second.handle.cancel();
    let error = within("cancelled", second.error()).await;
    assert_eq!(error.kind(), ErrorKind::Aborted);
    within("released", second.released()).await;
    assert_eq!(client.pool.stats().size(), 0);
    client.finish(peer).await;
}

/// Cancels another request as soon as its own response ends.
struct CancelsAtEnd {
    other: Arc<std::sync::Mutex<Option<dodici::RequestHandle>>>,
}

impl dodici::Sink for CancelsAtEnd {
    fn informational(&mut self, _head: &dodici::ResponseHead) {}

    fn head(&mut self, _head: &dodici::ResponseHead, _info: &dodici::ExchangeInfo) {}

    fn data(&mut self, _chunk: Bytes) {}

    fn end(&mut self, _trailers: &HeaderBlock) {
        if let Some(other) = self.other.lock().unwrap().take() {
            other.cancel();
        }
    }

    fn error(&mut self, _error: dodici::Error) {}

    fn upgrade(&mut self, _head: &dodici::ResponseHead, _info: &dodici::ExchangeInfo) {}

    fn pull(&mut self, _bytes: u32) {}
}

#[tokio::test]
async fn a_request_cancelled_while_it_is_being_assigned_leaves_its_connection_free() {
    for pipelining in [1, 2] {
        let peer = ScriptedPeer::tcp().await.always(OK);
        let mut config = connections(1);
        config.pool.pipelining = pipelining;
        let client = Client::new(peer.port(), config);
        let other = Arc::default();
        let sink = CancelsAtEnd {
            other: Arc::clone(&other),
        };
        client.pool.dispatch(get("/first"), Box::new(sink));
        // It cannot share the connection, so it is assigned when the first one is released.
        let second = client.post("/second", "id", "body");
        let third = client.post("/third", "id", "body");
        *other.lock().unwrap() = Some(second.handle.clone());
        assert_eq!(
            within("second", second.error()).await.kind(),
            ErrorKind::Aborted
        );
        assert_eq!(within("third", third.ended()).await.body, b"ok");
        assert_eq!(client.pool.stats().running, 0);
        client.finish(peer).await;
    }
}
