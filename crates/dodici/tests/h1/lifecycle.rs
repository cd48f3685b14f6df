//! The life of a request on its connection: order of events, close and destroy, abort in each
//! phase, timeouts, uploads, flow control, upgrades, and panics of the user's code.

use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;
use dodici::{
    BodyKind, CloseReason, Error, ErrorKind, Event, ExchangeInfo, HeaderBlock, OriginConfig, Phase,
    Request, ResponseHead, Sink,
};
use dodici_testkit::client::{connect, get, head, post, post_chunked, post_sized, upgrade};
use dodici_testkit::message::pattern;
use dodici_testkit::{Call, Client, PeerClose, ScriptedPeer, Signal, TestOrigin, within};
use tokio::time::Instant;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn config(change: impl FnOnce(&mut OriginConfig)) -> OriginConfig {
    let mut config = OriginConfig::default();
    change(&mut config);
    config
}

fn one_connection() -> OriginConfig {
    config(|config| config.pool.connections = NonZeroU32::new(1))
}

/// No timer but those the test asks for: paused time jumps to the earliest one.
fn no_timers(change: impl FnOnce(&mut OriginConfig)) -> OriginConfig {
    config(|config| {
        config.exchange.headers_timeout = None;
        config.exchange.body_timeout = None;
        config.connect.timeout = None;
        change(config);
    })
}

fn reasons(client: &Client) -> Vec<CloseReason> {
    let reason = |event| match event {
        Event::Disconnected { info, .. } => Some(info.reason),
        _ => None,
    };
    client
        .events
        .events()
        .into_iter()
        .filter_map(reason)
        .collect()
}

/// Checks that the request failed before its connection was reported gone.
fn assert_error_before_disconnect(client: &Client, call: &Call) {
    let gone = client
        .events
        .stamp_of(|event| matches!(event, Event::Disconnected { .. }));
    assert!(call.seen().stamp() < gone.unwrap());
}

async fn shut_down(client: Client) {
    client.pool.close();
    within("close", client.events.closed()).await;
}

/// Proves that the pool still serves requests.
async fn assert_usable(client: &Client) {
    within("a later request", client.get("/bytes/1").ended()).await;
}

/// A peer whose first connection does as told, and which answers on all others.
async fn first_then_ok<F, Fut>(first: F) -> ScriptedPeer
where
    F: Fn(dodici_testkit::Conn) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let first = std::sync::Arc::new(first);
    ScriptedPeer::tcp().await.run(move |mut conn| {
        let first = std::sync::Arc::clone(&first);
        async move {
            if conn.index() == 0 {
                return first(conn).await;
            }
            while let Some(head) = conn.next_head().await {
                conn.read_body(&head).await;
                conn.send(OK).await;
            }
        }
    })
}

// --- order of events ---

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_fails_before_its_connection_is_reported_gone_and_the_queue_goes_on_after_it() {
    let peer = first_then_ok(|mut conn| async move {
        conn.read_head().await;
        conn.reset();
    })
    .await;
    let client = Client::new(peer.port(), one_connection());
    let first = client.get("/");
    let second = client.post("/", "2", "x");
    assert_eq!(
        within("first", first.error()).await.kind(),
        ErrorKind::Socket
    );
    within("second", second.ended()).await;
    assert_error_before_disconnect(&client, &first);
    // The pool had nothing to do for a moment if the second request came late: not asked here.
    let mut events = client.events.events();
    events.retain(|event| !matches!(event, Event::Drain));
    assert!(
        matches!(
            events[..],
            [
                Event::Connected { .. },
                Event::Disconnected { .. },
                Event::Connected { .. }
            ]
        ),
        "{events:?}"
    );
    shut_down(client).await;
    peer.finish().await;
}

#[tokio::test]
async fn a_disconnect_tells_what_the_connection_did() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), OriginConfig::default());
    for _ in 0..2 {
        within("response", client.get("/bytes/10").ended()).await;
    }
    shut_down(client.clone()).await;
    let log = origin.finish().await;
    let Some(Event::Disconnected { info, .. }) = client.events.events().into_iter().nth(1) else {
        panic!("{:?}", client.events);
    };
    assert_eq!(info.requests, 2);
    assert_eq!(info.bytes_read, log.connections[0].sent);
    assert_eq!(info.bytes_written, log.connections[0].received.len() as u64);
}

#[tokio::test]
async fn a_refused_connection_fails_the_request_before_its_event() {
    // The port was free a moment ago, and nothing listens on it.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let client = Client::new(port, OriginConfig::default());
    let call = client.get("/");
    let error = within("refused", call.error()).await;
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert_eq!(dodici_testkit::client::code(&error), "ECONNREFUSED");
    let failed = |event: &Event| matches!(event, Event::ConnectFailed { .. });
    within("event", client.events.wait_for(failed)).await;
    assert!(call.seen().stamp() < client.events.stamp_of(failed).unwrap());
    shut_down(client).await;
}

// --- close and destroy ---

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closing_pool_finishes_what_it_has_and_takes_nothing_new() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), one_connection());
    let calls = [
        client.get("/hold"),
        client.get("/bytes/1"),
        client.get("/bytes/2"),
    ];
    within("running", origin.wait_executed(1)).await;
    client.pool.close();
    let late = client.get("/bytes/3");
    assert_eq!(within("late", late.error()).await.kind(), ErrorKind::Closed);
    origin.open_gate();
    for call in &calls {
        within("finished", call.ended()).await;
    }
    within("closed", client.events.closed()).await;
    assert_eq!(reasons(&client), [CloseReason::PoolClosed]);
    client.pool.close();
    client.pool.destroy();
    origin.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_destroyed_pool_fails_running_and_queued_requests() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), one_connection());
    let calls = [
        client.get("/gated"),
        client.get("/bytes/1"),
        client.get("/bytes/2"),
    ];
    within(
        "body",
        calls[0].wait(|seen| (seen.body == b"before").then_some(())),
    )
    .await;
    client.pool.destroy();
    for call in &calls {
        assert_eq!(
            within("failed", call.error()).await.kind(),
            ErrorKind::Destroyed
        );
    }
    within("closed", client.events.closed()).await;
    assert_error_before_disconnect(&client, &calls[0]);
    assert_eq!(reasons(&client), [CloseReason::PoolDestroyed]);
    let late = client.get("/bytes/3");
    assert_eq!(
        within("late", late.error()).await.kind(),
        ErrorKind::Destroyed
    );
    origin.finish().await;
}

#[tokio::test]
async fn a_pool_destroyed_while_connecting_fails_its_requests() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), OriginConfig::default());
    let call = client.get("/bytes/1");
    client.pool.destroy();
    assert_eq!(
        within("failed", call.error()).await.kind(),
        ErrorKind::Destroyed
    );
    within("closed", client.events.closed()).await;
    origin.finish().await;
}

// --- abort ---

#[tokio::test]
async fn an_abort_in_the_queue_leaves_the_connection_alone() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), one_connection());
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
    shut_down(client).await;
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
    shut_down(client).await;
    origin.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_while_waiting_for_the_head_closes_the_connection() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), one_connection());
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
    assert_eq!(reasons(&client), [CloseReason::Aborted]);
    assert_usable(&client).await;
    shut_down(client).await;
    origin.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_in_the_body_closes_the_connection() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), one_connection());
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
    shut_down(client).await;
    origin.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_while_writing_closes_the_connection() {
    let gate = Signal::new();
    let wait = gate.clone();
    let peer = first_then_ok(move |mut conn| {
        let wait = wait.clone();
        async move {
            conn.read_head().await;
            wait.raised().await;
            conn.closed().await;
        }
    })
    .await;
    let client = Client::new(peer.port(), one_connection());
    // Far more than the socket buffers hold, and nobody reads it.
    let body = Bytes::from(vec![b'x'; 64 << 20]);
    let call = client.send(Request {
        body: BodyKind::Full(body.clone()),
        ..Request::new(format!(
            "POST / HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n",
            body.len()
        ))
    });
    let received = |log: &dodici_testkit::scripted::PeerLog| {
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
    shut_down(client).await;
    peer.finish().await;
}

#[tokio::test]
async fn an_answer_that_overtakes_the_end_of_the_body_leaves_the_connection() {
    let peer = first_then_ok(|mut conn| async move {
        while let Some(head) = conn.next_head().await {
            conn.send(OK).await;
            conn.read_body(&head).await;
        }
    })
    .await;
    let client = Client::new(peer.port(), one_connection());
    let call = client.send(post_chunked("/"));
    let answered = call.wait(|seen| (seen.body == b"ok").then_some(()));
    within("answered", answered).await;
    call.handle.body_chunk(Bytes::from_static(b"late"));
    call.handle.body_end(HeaderBlock::new());
    within("ended", call.ended()).await;
    assert_eq!(within("next", client.get("/").ended()).await.status(), 200);
    assert_eq!(reasons(&client), []);
    shut_down(client).await;
    peer.finish().await;
}

/// One thread, so that the connection's task finds the chunk and the abort together.
#[tokio::test]
async fn a_chunk_that_was_handed_over_before_an_abort_leaves_before_the_connection_ends() {
    let peer = first_then_ok(|mut conn| async move {
        conn.read_head().await;
        conn.closed().await;
    })
    .await;
    let client = Client::new(peer.port(), one_connection());
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
    shut_down(client).await;
    peer.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_after_the_end_does_no_harm() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), OriginConfig::default());
    for _ in 0..50 {
        let call = client.get("/bytes/3");
        within("response", call.ended()).await;
        call.handle.cancel();
    }
    assert_eq!(origin.peer().accepted(), 1);
    shut_down(client).await;
    origin.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn aborts_at_random_moments_settle_once_and_leak_no_connection() {
    let origin = TestOrigin::start().await;
    origin.open_gate();
    let client = Client::new(
        origin.port(),
        config(|config| config.pool.connections = NonZeroU32::new(8)),
    );
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
    shut_down(client.clone()).await;
    assert_eq!(client.pool.stats(), dodici::PoolStats::default());
    origin.finish().await;
}

// --- timeouts, in virtual time ---

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
    assert_eq!(reasons(&client), [CloseReason::Timeout]);
    assert_usable(&client).await;
    origin.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_requests_own_timeout_overrides_the_pools() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), no_timers(|_| {}));
    let call = client.send(Request {
        headers_timeout: Some(Duration::from_secs(3)),
        ..get("/hold")
    });
    assert_eq!(call.error().await.kind(), ErrorKind::HeadersTimeout);
    origin.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_falls_silent_is_a_body_timeout() {
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
async fn a_slow_body_is_no_timeout_as_long_as_chunks_come() {
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
async fn a_reader_that_gives_no_credit_is_no_body_timeout() {
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
async fn a_caller_that_is_slow_to_deliver_its_body_is_no_headers_timeout() {
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

// --- expect: 100-continue ---

fn expecting(body: BodyKind) -> Request {
    Request {
        expect_continue: true,
        body,
        ..Request::new(
            "POST /x HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n",
        )
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_is_held_until_100_continue_comes() {
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
        shut_down(client).await;
        peer.finish().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_nobody_asks_for_is_sent_after_the_continue_timeout() {
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
    shut_down(client).await;
    origin.finish().await;
}

// --- uploads ---

/// The bytes that one POST puts on the wire, head excluded.
async fn wire_of(request: Request, deliver: impl Fn(&Call)) -> String {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        let head = conn.read_head().await;
        conn.read_body(&head).await;
        conn.send(OK).await;
        conn.closed().await;
    });
    let head = request.head.len();
    let client = Client::new(peer.port(), OriginConfig::default());
    let call = client.send(request);
    deliver(&call);
    within("response", call.ended()).await;
    shut_down(client).await;
    let log = peer.finish().await;
    String::from_utf8(log.connections[0].received[head..].to_vec()).unwrap()
}

#[tokio::test]
async fn a_pulled_body_with_a_length_goes_out_as_it_is() {
    let wire = wire_of(post_sized("/", 11), |call| {
        call.chunk("hello ");
        call.chunk("world");
        call.finish();
    })
    .await;
    assert_eq!(wire, "hello world");
}

#[tokio::test]
async fn a_pulled_body_without_a_length_goes_out_in_its_chunks() {
    let wire = wire_of(post_chunked("/"), |call| {
        call.chunk("hello ");
        call.chunk("wonderful world!");
        call.finish();
    })
    .await;
    assert_eq!(wire, "6\r\nhello \r\n10\r\nwonderful world!\r\n0\r\n\r\n");
}

#[tokio::test]
async fn a_chunked_body_may_be_empty() {
    let wire = wire_of(post_chunked("/"), Call::finish).await;
    assert_eq!(wire, "0\r\n\r\n");
}

fn trailers() -> HeaderBlock {
    [("X-Sum", "1"), ("x-sum", "2"), ("X-Empty", "")]
        .into_iter()
        .collect()
}

const TRAILERS: &str = "0\r\nX-Sum: 1\r\nx-sum: 2\r\nX-Empty: \r\n\r\n";

#[tokio::test]
async fn request_trailers_go_out_exactly_when_all_is_written_at_once() {
    let wire = wire_of(post_chunked("/"), |call| {
        call.chunk("body");
        call.handle.body_end(trailers());
    })
    .await;
    assert_eq!(wire, format!("4\r\nbody\r\n{TRAILERS}"));
    let wire = wire_of(post_chunked("/"), |call| call.handle.body_end(trailers())).await;
    assert_eq!(wire, TRAILERS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_trailers_go_out_exactly_when_they_come_late() {
    let got_body = Signal::new();
    let signal = got_body.clone();
    let peer = ScriptedPeer::tcp().await.run(move |mut conn| {
        let signal = signal.clone();
        async move {
            conn.read_head().await;
            assert_eq!(conn.read_exact(9).await, b"4\r\nbody\r\n");
            signal.raise();
            let rest = conn.read_exact(TRAILERS.len()).await;
            assert_eq!(rest, TRAILERS.as_bytes());
            conn.send(OK).await;
            conn.closed().await;
        }
    });
    let client = Client::new(peer.port(), OriginConfig::default());
    let call = client.send(post_chunked("/"));
    call.chunk("body");
    within("body", got_body.raised()).await;
    call.handle.body_end(trailers());
    within("response", call.ended()).await;
    shut_down(client).await;
    peer.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_pulled_body_arrives_whole_and_is_pulled_no_faster_than_it_is_sent() {
    const SLICE: usize = 50_000;
    const SLICES: usize = 200;
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), OriginConfig::default());
    let call = client.send(post_chunked("/digest"));
    let all = pattern(SLICE * SLICES);
    let mut given = 0;
    for slice in all.chunks(SLICE) {
        within(
            "pull",
            call.wait(|seen| (seen.pulled() > given).then_some(())),
        )
        .await;
        call.handle.body_chunk(Bytes::copy_from_slice(slice));
        given += SLICE as u64;
        // What was asked for is what was taken, plus the room of a caller that keeps up.
        assert!(call.seen().pulled() <= given + (4096 + 128) * 1024 + SLICE as u64);
    }
    call.handle.body_end(trailers());
    let seen = within("digest", call.ended()).await;
    let sum = dodici_testkit::message::checksum(&all);
    assert_eq!(
        String::from_utf8(seen.body).unwrap(),
        format!("{} {sum:016x} 3", all.len())
    );
    shut_down(client).await;
    origin.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_shorter_than_its_length_fails_the_request() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        conn.next_head().await;
        conn.closed().await;
    });
    let client = Client::new(peer.port(), OriginConfig::default());
    let call = client.send(post_sized("/", 10));
    call.chunk("short");
    call.finish();
    let error = within("error", call.error()).await;
    assert_eq!(error.kind(), ErrorKind::RequestContentLengthMismatch);
    shut_down(client).await;
    peer.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_longer_than_its_length_fails_the_request_and_never_overruns_it() {
    for slices in [&["too long"][..], &["exact", "x"]] {
        let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
            conn.next_head().await;
            conn.closed().await;
        });
        let client = Client::new(peer.port(), OriginConfig::default());
        let request = post_sized("/", 5);
        let head = request.head.len();
        let call = client.send(request);
        for slice in slices {
            call.chunk(slice);
        }
        call.finish();
        let error = within("error", call.error()).await;
        assert_eq!(error.kind(), ErrorKind::RequestContentLengthMismatch);
        shut_down(client).await;
        let log = peer.finish().await;
        let received = log
            .connections
            .first()
            .map_or(0, |conn| conn.received.len());
        assert!(received <= head + 5, "more than its length on the wire");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_whose_source_fails_fails_the_request_with_that_error() {
    let peer = first_then_ok(|mut conn| async move {
        conn.next_head().await;
        conn.closed().await;
    })
    .await;
    let client = Client::new(peer.port(), OriginConfig::default());
    let call = client.send(post_chunked("/"));
    call.chunk("some");
    call.handle
        .body_error(Error::new(ErrorKind::RequestBody, Phase::Send, "no more"));
    let error = within("error", call.error()).await;
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::RequestBody, "no more")
    );
    assert_usable(&client).await;
    shut_down(client).await;
    peer.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_that_comes_during_the_upload_ends_the_connection_after_it() {
    let peer = first_then_ok(|mut conn| async move {
        conn.read_head().await;
        conn.send("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
            .await;
        conn.closed().await;
    })
    .await;
    let client = Client::new(peer.port(), OriginConfig::default());
    let call = client.send(post_chunked("/"));
    call.chunk("some");
    let seen = within("response", call.ended()).await;
    assert_eq!((seen.status(), &seen.body[..]), (413, &b"big"[..]));
    within("disconnect", client.disconnected(1)).await;
    assert_eq!(reasons(&client), [CloseReason::NotReusable]);
    assert_usable(&client).await;
    shut_down(client).await;
    peer.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_before_the_end_of_a_body_in_memory_ends_the_connection_after_it() {
    let answered = Signal::new();
    let heard = answered.clone();
    let peer = first_then_ok(move |mut conn| {
        let heard = heard.clone();
        async move {
            conn.read_head().await;
            conn.send("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
                .await;
            // More than the kernels take is still to come.
            heard.raised().await;
            conn.closed().await;
        }
    })
    .await;
    let client = Client::new(peer.port(), OriginConfig::default());
    let call = client.send(post("/", "id", &"x".repeat(32 << 20)));
    let seen = within("response", call.ended()).await;
    answered.raise();
    assert_eq!((seen.status(), &seen.body[..]), (413, &b"big"[..]));
    within("disconnect", client.disconnected(1)).await;
    assert_eq!(reasons(&client), [CloseReason::NotReusable]);
    assert_usable(&client).await;
    shut_down(client).await;
    peer.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_refuses_an_upload_and_resets_is_heard_all_the_same() {
    let reset = Signal::new();
    let done = reset.clone();
    let peer = first_then_ok(move |mut conn| {
        let done = done.clone();
        async move {
            conn.read_head().await;
            conn.send(
                "HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig",
            )
            .await;
            // Unread bytes of the upload would reset it as well.
            conn.reset();
            done.raise();
        }
    })
    .await;
    let client = Client::new(peer.port(), OriginConfig::default());
    let call = client.send(post_sized("/", 1 << 30));
    call.handle.body_chunk(Bytes::from(vec![b'x'; 100_000]));
    within("reset", reset.raised()).await;
    // Writes into the reset connection until the response, or the reset, has been heard.
    let slice = Bytes::from(vec![b'x'; 10_000]);
    for _ in 0..20 {
        call.handle.body_chunk(slice.clone());
        tokio::task::yield_now().await;
    }
    let seen = within("settled", call.settled()).await;
    // The kernel may drop the response with the reset; what is not allowed is another outcome.
    match seen.error_kind() {
        None => assert_eq!((seen.status(), &seen.body[..]), (413, &b"big"[..])),
        Some(kind) => assert_eq!(kind, ErrorKind::Socket),
    }
    assert_usable(&client).await;
    shut_down(client).await;
    peer.finish().await;
}

// --- flow control and limits ---

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s34_a_paused_reader_gets_no_more_than_its_window() {
    const WINDOW: u32 = 100_000;
    /// hyper's read buffer: the greatest chunk.
    const CHUNK: u64 = 64 * 1024;
    let origin = TestOrigin::start().await;
    let client = Client::new(
        origin.port(),
        config(|config| {
            config.exchange.window = WINDOW;
            // Comparing the body takes longer than a connection rests, on a loaded machine.
            config.pool.keep_alive_timeout = Some(Duration::from_secs(3600));
        }),
    );
    let call = client.send_paused(get("/bytes/40000000"));
    let mut credit = u64::from(WINDOW);
    for _ in 0..20 {
        let full = |seen: &dodici_testkit::recording::Seen| {
            (seen.cost() >= credit).then_some(seen.body.len() as u64)
        };
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
    shut_down(client).await;
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
    shut_down(client).await;
    origin.finish().await;
}

#[tokio::test]
async fn s28_a_head_over_the_limit_is_an_overflow() {
    let peer = first_then_ok(|mut conn| async move {
        conn.read_head().await;
        conn.send(format!(
            "HTTP/1.1 200 OK\r\nA: {}\r\n\r\n",
            "x".repeat(17_000)
        ))
        .await;
        conn.closed().await;
    })
    .await;
    let client = Client::new(peer.port(), OriginConfig::default());
    let error = within("overflow", client.get("/").error()).await;
    assert_eq!(error.kind(), ErrorKind::HeadersOverflow);
    assert_usable(&client).await;
    shut_down(client).await;
    peer.finish().await;
}

// --- heads ---

#[tokio::test]
async fn letter_case_order_and_duplicates_of_fields_are_kept_in_both_directions() {
    let peer = ScriptedPeer::tcp().await.replies(vec![
        "HTTP/1.1 299 Fine \u{e9}\r\nX-b: 1\r\nSET-cookie: a\r\nx-B:  2 \r\nSet-Cookie: b\r\n\
         content-LENGTH: 0\r\nX-Latin: \u{e9}\r\n\r\n",
    ]);
    let client = Client::new(peer.port(), OriginConfig::default());
    let sent = "GET /p?q HTTP/1.1\r\nHOST: test\r\nx-B: 1\r\nX-b: 2\r\nAccept:  */*\r\n\r\n";
    let seen = within("response", client.send(Request::new(sent)).ended()).await;
    let head = seen.head.as_ref().unwrap();
    assert_eq!(head.status, 299);
    let names: Vec<&[u8]> = head.headers.iter().map(|(name, _)| name).collect();
    let expected: [&[u8]; 6] = [
        b"X-b",
        b"SET-cookie",
        b"x-B",
        b"Set-Cookie",
        b"content-LENGTH",
        b"X-Latin",
    ];
    assert_eq!(names, expected);
    let values: Vec<&[u8]> = head.headers.get_all("x-b").collect();
    assert_eq!(values, [b"1", b"2"]);
    shut_down(client).await;
    let log = peer.finish().await;
    assert_eq!(log.connections[0].received, sent.as_bytes());
}

#[tokio::test]
async fn informational_responses_come_before_the_head() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), OriginConfig::default());
    let seen = within("response", client.get("/early").ended()).await;
    assert_eq!(seen.informational.len(), 1);
    assert_eq!(seen.informational[0].status, 103);
    assert_eq!((seen.status(), &seen.body[..]), (200, &b"early"[..]));
    shut_down(client).await;
    origin.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s26_endless_informational_responses_are_an_error() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        conn.read_head().await;
        conn.send("HTTP/1.1 103 Early Hints\r\n\r\n".repeat(100_000))
            .await;
    });
    let client = Client::new(peer.port(), OriginConfig::default());
    let call = client.get("/");
    let error = within("error", call.error()).await;
    assert!(matches!(error.kind(), ErrorKind::Parse(_)), "{error:?}");
    assert!(call.seen().informational.len() <= 64);
    shut_down(client).await;
    peer.finish().await;
}

#[tokio::test]
async fn response_trailers_are_exact() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), OriginConfig::default());
    let seen = within("response", client.get("/chunked/100/30").ended()).await;
    let sum = format!("{:016x}", dodici_testkit::message::checksum(&pattern(100)));
    let text = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        seen.trailers(),
        [
            text("X-Checksum", &sum),
            text("X-Part", "1"),
            text("x-part", "2")
        ]
    );
    shut_down(client).await;
    origin.finish().await;
}

#[tokio::test]
async fn responses_without_body_leave_the_connection_reusable() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), OriginConfig::default());
    for _ in 0..3 {
        let requests = [
            head("/bytes/1000"),
            head("/chunked/10/5"),
            get("/status/204"),
            get("/status/304"),
            get("/bytes/0"),
        ];
        for request in requests {
            let seen = within("response", client.send(request).ended()).await;
            assert_eq!(seen.body, b"");
        }
    }
    assert_eq!(origin.peer().accepted(), 1);
    shut_down(client).await;
    origin.finish().await;
}

#[tokio::test]
async fn s27_an_unasked_101_is_an_error() {
    let peer = first_then_ok(|mut conn| async move {
        conn.read_head().await;
        conn.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
            .await;
        conn.closed().await;
    })
    .await;
    let client = Client::new(peer.port(), OriginConfig::default());
    let error = within("error", client.get("/").error()).await;
    assert_eq!(error.kind(), ErrorKind::Socket);
    assert_usable(&client).await;
    shut_down(client).await;
    peer.finish().await;
}

// --- upgrades ---

const SWITCH: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_carries_bytes_both_ways_and_ends_with_the_peers_fin() {
    for (request, reply) in [
        (upgrade("/"), SWITCH),
        (
            connect("far:443"),
            "HTTP/1.1 200 Fine\r\nContent-Length: 9\r\n\r\n",
        ),
    ] {
        let peer = ScriptedPeer::tcp().await.run(move |mut conn| async move {
            conn.read_head().await;
            // Bytes behind the head belong to the stream.
            conn.send(format!("{reply}first ")).await;
            let got = conn.read_exact(5).await;
            conn.send(got).await;
            assert_eq!(conn.closed().await, PeerClose::Fin);
            conn.send(" after your fin").await;
        });
        let client = Client::new(peer.port(), OriginConfig::default());
        let call = client.send(request);
        within("upgrade", call.wait(|seen| seen.upgraded.then_some(()))).await;
        call.chunk("hello");
        let echoed =
            |seen: &dodici_testkit::recording::Seen| seen.body.ends_with(b"hello").then_some(());
        within("echo", call.wait(echoed)).await;
        // Half close: our direction ends, the peer's goes on.
        call.finish();
        let seen = within("end", call.ended()).await;
        assert_eq!(
            String::from_utf8(seen.body).unwrap(),
            "first hello after your fin"
        );
        assert_eq!(reasons(&client), [CloseReason::Upgraded]);
        within("released", call.released()).await;
        shut_down(client).await;
        within("scripts", peer.join()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_of_an_upgraded_request_closes_its_connection() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        conn.read_head().await;
        conn.send(SWITCH).await;
        conn.closed().await;
    });
    let client = Client::new(peer.port(), OriginConfig::default());
    let call = client.send(upgrade("/"));
    within("upgrade", call.wait(|seen| seen.upgraded.then_some(()))).await;
    call.handle.cancel();
    let error = within("aborted", call.error()).await;
    assert_eq!(
        (error.kind(), error.phase()),
        (ErrorKind::Aborted, Phase::Upgraded)
    );
    within("closed", peer.peer_close(0)).await;
    shut_down(client).await;
    peer.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_reader_of_an_upgraded_stream_gets_no_more_than_its_window() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        conn.read_head().await;
        conn.send(SWITCH).await;
        conn.send(pattern(5_000_000)).await;
    });
    let client = Client::new(
        peer.port(),
        config(|config| config.exchange.window = 50_000),
    );
    let call = client.send_paused(upgrade("/"));
    let full = |seen: &dodici_testkit::recording::Seen| (seen.cost() >= 50_000).then_some(());
    within("window", call.wait(full)).await;
    assert!(call.seen().body.len() < 50_000 + 64 * 1024);
    call.handle.credit(u32::MAX);
    call.finish();
    assert_eq!(within("end", call.ended()).await.body, pattern(5_000_000));
    shut_down(client).await;
    peer.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgraded_stream_whose_peer_has_ended_still_writes_everything() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        conn.read_head().await;
        conn.send(SWITCH).await;
        conn.fin().await;
        assert_eq!(conn.read_exact(3_000_000).await, pattern(3_000_000));
        assert_eq!(conn.closed().await, PeerClose::Fin);
    });
    let client = Client::new(peer.port(), OriginConfig::default());
    let call = client.send(upgrade("/"));
    within("upgrade", call.wait(|seen| seen.upgraded.then_some(()))).await;
    // As a caller does that is asked for its bytes piece by piece.
    for piece in pattern(3_000_000).chunks(50_000) {
        call.handle.body_chunk(piece.to_vec().into());
        tokio::task::yield_now().await;
    }
    call.finish();
    within("end", call.ended()).await;
    assert_eq!(reasons(&client), [CloseReason::Upgraded]);
    shut_down(client).await;
    within("scripts", peer.join()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s18_a_refused_connect_is_a_plain_response() {
    let peer = ScriptedPeer::tcp().await.replies(vec![
        "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 2\r\n\r\nno",
    ]);
    let client = Client::new(peer.port(), OriginConfig::default());
    let seen = within("response", client.send(connect("far:443")).ended()).await;
    assert!(!seen.upgraded);
    assert_eq!((seen.status(), &seen.body[..]), (407, &b"no"[..]));
    shut_down(client).await;
    peer.finish().await;
}

// --- panics of the user's code ---

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Callback {
    Informational,
    Head,
    Data,
    End,
    Error,
    Upgrade,
    Pull,
}

struct Panics {
    at: Callback,
    dropped: Signal,
}

impl Panics {
    fn call(&self, callback: Callback) {
        assert!(callback != self.at, "as the test wants it, in {callback:?}");
    }
}

impl Sink for Panics {
    fn informational(&mut self, _: &ResponseHead) {
        self.call(Callback::Informational);
    }
    fn head(&mut self, _: &ResponseHead, _: &ExchangeInfo) {
        self.call(Callback::Head);
    }
    fn data(&mut self, _: Bytes) {
        self.call(Callback::Data);
    }
    fn end(&mut self, _: &HeaderBlock) {
        self.call(Callback::End);
    }
    fn error(&mut self, _: Error) {
        self.call(Callback::Error);
    }
    fn upgrade(&mut self, _: &ResponseHead, _: &ExchangeInfo) {
        self.call(Callback::Upgrade);
    }
    fn pull(&mut self, _: u32) {
        self.call(Callback::Pull);
    }
}

impl Drop for Panics {
    fn drop(&mut self) {
        self.dropped.raise();
    }
}

async fn panic_in(at: Callback, request: Request) {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), one_connection());
    let dropped = Signal::new();
    let sink = Panics {
        at,
        dropped: dropped.clone(),
    };
    client.pool.dispatch(request, Box::new(sink));
    // Waits in the queue behind it, and must be served.
    let queued = client.post("/echo", "queued", "x");
    within("dropped", dropped.raised()).await;
    within("queued", queued.ended()).await;
    assert_eq!(origin.executions("queued"), 1);
    assert_usable(&client).await;
    shut_down(client).await;
    origin.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s43_a_sink_that_panics_fails_only_its_own_request() {
    panic_in(Callback::Informational, get("/early")).await;
    panic_in(Callback::Head, get("/bytes/10")).await;
    panic_in(Callback::Data, get("/bytes/10")).await;
    panic_in(Callback::End, get("/bytes/10")).await;
    panic_in(Callback::Pull, post_chunked("/echo")).await;
    panic_in(Callback::Upgrade, upgrade("/upgrade")).await;
}

#[tokio::test]
async fn s43_a_sink_that_panics_fails_only_its_own_request_on_a_current_thread_runtime() {
    panic_in(Callback::Head, get("/bytes/10")).await;
    panic_in(Callback::End, get("/bytes/10")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s43_a_sink_that_panics_in_error_harms_nobody_else() {
    let peer = first_then_ok(|mut conn| async move {
        conn.read_head().await;
        conn.reset();
    })
    .await;
    let client = Client::new(peer.port(), one_connection());
    let dropped = Signal::new();
    let sink = Panics {
        at: Callback::Error,
        dropped: dropped.clone(),
    };
    client.pool.dispatch(get("/"), Box::new(sink));
    let queued = client.post("/", "queued", "x");
    within("dropped", dropped.raised()).await;
    within("queued", queued.ended()).await;
    within("disconnect", client.disconnected(1)).await;
    shut_down(client).await;
    peer.finish().await;
}

#[tokio::test]
async fn s43_queued_sinks_that_panic_in_error_do_not_keep_a_destroy_from_the_others() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), one_connection());
    let running = client.get("/hold");
    within("running", origin.wait_executed(1)).await;
    let dropped = Signal::new();
    let sink = Panics {
        at: Callback::Error,
        dropped: dropped.clone(),
    };
    let first = client.get("/bytes/1");
    client.pool.dispatch(get("/bytes/1"), Box::new(sink));
    let last = client.get("/bytes/1");
    client.pool.destroy();
    within("dropped", dropped.raised()).await;
    for call in [&running, &first, &last] {
        assert_eq!(
            within("failed", call.error()).await.kind(),
            ErrorKind::Destroyed
        );
    }
    within("closed", client.events.closed()).await;
    origin.finish().await;
}

#[test]
fn a_runtime_that_is_shut_down_settles_what_its_connections_serve() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (origin, client, call) = runtime.block_on(async {
        let origin = TestOrigin::start().await;
        let client = Client::new(origin.port(), OriginConfig::default());
        let call = client.get("/hold");
        within("running", origin.wait_executed(1)).await;
        (origin, client, call)
    });
    drop(runtime);
    // The peer's end of the connection may have gone first.
    let kind = call.seen().error_kind();
    assert!(
        matches!(kind, Some(ErrorKind::Internal | ErrorKind::Socket)),
        "{kind:?}"
    );
    drop(origin);
    assert_eq!(client.events.connects(), client.events.disconnects());
}
