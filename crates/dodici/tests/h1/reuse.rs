//! Which connection a request gets: reuse, rest and its end, limits, order, and what happens when
//! a connection at rest is poisoned or gone.

use std::num::NonZeroU32;
use std::time::Duration;

use dodici::{CloseReason, DisconnectInfo, ErrorKind, Event, OriginConfig};
use dodici_testkit::client::{get, post_chunked};
use dodici_testkit::{Client, PeerClose, ScriptedPeer, Signal, TestOrigin, shapes, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const POISON: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";

fn limited(connections: u32) -> OriginConfig {
    let mut config = OriginConfig::default();
    config.pool.connections = NonZeroU32::new(connections);
    config
}

fn hearing_early_answers() -> OriginConfig {
    let mut config = limited(1);
    config.exchange.early_answer = true;
    config
}

/// No timer but those of connections at rest, so that paused time jumps to exactly those.
fn only_rest_timers() -> OriginConfig {
    let mut config = OriginConfig::default();
    config.exchange.headers_timeout = None;
    config.exchange.body_timeout = None;
    config.connect.timeout = None;
    config
}

/// Accounts of the connections that ended, in order.
fn ended(client: &Client) -> Vec<DisconnectInfo> {
    let events = client.events.events();
    let infos = events.into_iter().filter_map(|event| match event {
        Event::Disconnected { info, .. } => Some(info),
        _ => None,
    });
    infos.collect()
}

fn reasons(client: &Client) -> Vec<CloseReason> {
    ended(client).iter().map(|info| info.reason).collect()
}

async fn shut_down(client: Client) {
    client.pool.close();
    within("close", client.events.closed()).await;
}

// --- reuse ---

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_one_after_another_share_one_connection() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), OriginConfig::default());
    for n in 0..300 {
        let call = client.get(&format!("/bytes/{n}"));
        let seen = within("response", call.ended()).await;
        assert_eq!(seen.body.len(), n);
        assert_eq!(seen.connection.unwrap().1, n > 0, "reused");
    }
    assert_eq!(origin.peer().accepted(), 1);
    shut_down(client.clone()).await;
    let infos = ended(&client);
    assert_eq!(infos[0].requests, 300);
    assert_eq!(infos[0].reason, CloseReason::PoolClosed);
    origin.finish().await;
}

#[tokio::test]
async fn every_shape_that_allows_it_leaves_its_connection_reusable() {
    for shape in shapes::all() {
        let name = shape.name;
        let until_close = shape.expected.until_close;
        let bytes = shape.bytes.clone();
        let peer = ScriptedPeer::tcp().await.run(move |mut conn| {
            let bytes = bytes.clone();
            async move {
                while let Some(head) = conn.next_head().await {
                    if head.target == "/marker" {
                        conn.send(OK).await;
                    } else {
                        conn.send(&bytes).await;
                        if until_close {
                            return;
                        }
                    }
                }
            }
        });
        let client = Client::new(peer.port(), OriginConfig::default());
        let request = dodici::Request {
            kind: shape.kind(),
            ..dodici::Request::new(shape.request_head("test"))
        };
        within(name, client.send(request).ended()).await;
        let marker = within(name, client.get("/marker").ended()).await;
        assert_eq!(marker.body, b"ok", "{name}");
        assert_eq!(marker.connection.unwrap().1, !until_close, "{name}");
        shut_down(client).await;
        peer.finish().await;
    }
}

#[tokio::test]
async fn connection_close_ends_the_connection_after_the_response() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), OriginConfig::default());
    let first = within("first", client.get("/close").ended()).await;
    assert_eq!(first.body, b"closing");
    within("disconnect", client.disconnected(1)).await;
    let second = within("second", client.get("/bytes/1").ended()).await;
    assert!(!second.connection.unwrap().1);
    assert_eq!(reasons(&client), [CloseReason::NotReusable]);
    shut_down(client).await;
    origin.finish().await;
}

#[tokio::test]
async fn a_request_with_reset_ends_its_connection() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), OriginConfig::default());
    let request = dodici::Request {
        reset: true,
        ..get("/bytes/4")
    };
    within("response", client.send(request).ended()).await;
    within("disconnect", client.disconnected(1)).await;
    assert_eq!(reasons(&client), [CloseReason::NotReusable]);
    origin.finish().await;
}

#[tokio::test]
async fn pipelining_zero_disables_keep_alive() {
    let origin = TestOrigin::start().await;
    let mut config = OriginConfig::default();
    config.pool.keep_alive = false;
    let client = Client::new(origin.port(), config);
    for n in 1..=3 {
        within("response", client.get("/bytes/1").ended()).await;
        within("disconnect", client.disconnected(n)).await;
    }
    assert_eq!(origin.peer().accepted(), 3);
    origin.finish().await;
}

#[tokio::test]
async fn a_connection_serves_no_more_than_max_requests() {
    let origin = TestOrigin::start().await;
    let mut config = OriginConfig::default();
    config.pool.max_requests_per_connection = NonZeroU32::new(2);
    let client = Client::new(origin.port(), config);
    for n in 1..=5 {
        within(
            "response",
            client.post("/echo", &n.to_string(), "x").ended(),
        )
        .await;
        if n % 2 == 0 {
            within("disconnect", client.disconnected(n / 2)).await;
        }
    }
    let connections: Vec<usize> = origin.executed().iter().map(|e| e.connection).collect();
    assert_eq!(connections, [0, 0, 1, 1, 2]);
    assert_eq!(reasons(&client), [CloseReason::MaxRequests; 2]);
    shut_down(client).await;
    origin.finish().await;
}

// --- limits and order ---

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_connections_than_the_limit_are_opened() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), limited(3));
    let calls: Vec<_> = (0..20).map(|_| client.get("/hold")).collect();
    within("three", origin.wait_executed(3)).await;
    let stats = client.pool.stats();
    assert_eq!((stats.running, stats.pending), (3, 17));
    origin.open_gate();
    for call in &calls {
        within("held", call.ended()).await;
    }
    assert_eq!(origin.peer().accepted(), 3);
    shut_down(client).await;
    origin.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_served_first_come_first_served() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), limited(1));
    let ids: Vec<String> = (0..50).map(|n| n.to_string()).collect();
    let calls: Vec<_> = ids.iter().map(|id| client.post("/echo", id, id)).collect();
    for call in &calls {
        within("response", call.ended()).await;
    }
    let served: Vec<String> = origin.executed().into_iter().map(|e| e.id).collect();
    assert_eq!(served, ids);
    assert_eq!(origin.peer().accepted(), 1);
    shut_down(client).await;
    origin.finish().await;
}

#[tokio::test]
async fn a_request_dispatched_at_the_end_of_another_reuses_its_connection() {
    struct Chain {
        client: Client,
        left: u32,
        done: Signal,
    }
    impl dodici::Sink for Chain {
        fn informational(&mut self, _: &dodici::ResponseHead) {}
        fn head(&mut self, _: &dodici::ResponseHead, _: &dodici::ExchangeInfo) {}
        fn data(&mut self, _: bytes::Bytes) {}
        fn end(&mut self, _: &dodici::HeaderBlock) {
            if self.left == 0 {
                return self.done.raise();
            }
            let next = Chain {
                client: self.client.clone(),
                left: self.left - 1,
                done: self.done.clone(),
            };
            self.client.pool.dispatch(get("/bytes/1"), Box::new(next));
        }
        fn error(&mut self, error: dodici::Error) {
            panic!("{error}");
        }
        fn upgrade(&mut self, _: &dodici::ResponseHead, _: &dodici::ExchangeInfo) {}
        fn pull(&mut self, _: u32) {}
    }
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), OriginConfig::default());
    let done = Signal::new();
    let first = Chain {
        client: client.clone(),
        left: 10,
        done: done.clone(),
    };
    client.pool.dispatch(get("/bytes/1"), Box::new(first));
    within("chain", done.raised()).await;
    assert_eq!(origin.peer().accepted(), 1);
    shut_down(client).await;
    origin.finish().await;
}

// --- rest and its end, in virtual time ---

#[tokio::test(start_paused = true)]
async fn a_connection_at_rest_is_closed_after_the_keep_alive_timeout() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), only_rest_timers());
    client.get("/bytes/1").ended().await;
    let rested = Instant::now();
    client.disconnected(1).await;
    let rest = rested.elapsed();
    assert!(rest >= Duration::from_secs(4) && rest < Duration::from_millis(4_010));
    assert_eq!(reasons(&client), [CloseReason::IdleTimeout]);
    origin.finish().await;
}

#[tokio::test(start_paused = true)]
async fn the_servers_hint_less_the_threshold_is_the_rest_time() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), only_rest_timers());
    client.get("/hint/30").ended().await;
    let rested = Instant::now();
    client.disconnected(1).await;
    let rest = rested.elapsed();
    assert!(rest >= Duration::from_secs(28) && rest < Duration::from_millis(28_010));
    assert_eq!(reasons(&client), [CloseReason::IdleTimeout]);
    origin.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_was_never_written_does_not_prolong_the_rest() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), only_rest_timers());
    client.get("/hint/5").ended().await;
    let rested = Instant::now();
    for _ in 0..2 {
        tokio::time::advance(Duration::from_secs(1)).await;
        let call = client.get("/bytes/1");
        call.handle.cancel();
        assert_eq!(call.error().await.kind(), ErrorKind::Aborted);
    }
    client.disconnected(1).await;
    // The server counts from its response on: five seconds, less the threshold of two.
    let rest = rested.elapsed();
    assert!(rest >= Duration::from_secs(3) && rest < Duration::from_millis(3_010));
    assert_eq!(reasons(&client), [CloseReason::IdleTimeout]);
    assert_eq!(origin.peer().accepted(), 1);
    origin.finish().await;
}

#[tokio::test]
async fn a_hint_within_the_threshold_ends_the_connection_at_once() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), OriginConfig::default());
    within("response", client.get("/hint/1").ended()).await;
    within("disconnect", client.disconnected(1)).await;
    assert_eq!(reasons(&client), [CloseReason::NotReusable]);
    origin.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_hint_is_bounded_by_the_greatest_keep_alive_timeout() {
    let origin = TestOrigin::start().await;
    let mut config = only_rest_timers();
    config.pool.keep_alive_max_timeout = Some(Duration::from_secs(10));
    let client = Client::new(origin.port(), config);
    client.get("/hint/4000").ended().await;
    let rested = Instant::now();
    client.disconnected(1).await;
    assert!(rested.elapsed() < Duration::from_millis(10_010));
    origin.finish().await;
}

#[tokio::test(start_paused = true)]
async fn each_use_starts_the_rest_anew() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), only_rest_timers());
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
    let mut config = only_rest_timers();
    config.pool.max_connection_age = Some(Duration::from_secs(5));
    config.pool.keep_alive_timeout = Some(Duration::from_secs(60));
    let client = Client::new(origin.port(), config);
    client.get("/bytes/1").ended().await;
    client.disconnected(1).await;
    assert_eq!(reasons(&client), [CloseReason::Expired]);
    let second = client.get("/bytes/1").ended().await;
    assert!(!second.connection.unwrap().1);
    origin.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_ages_during_an_exchange_ends_after_it() {
    let origin = TestOrigin::start().await;
    let mut config = only_rest_timers();
    config.pool.max_connection_age = Some(Duration::from_secs(5));
    let client = Client::new(origin.port(), config);
    let call = client.get("/hold");
    origin.wait_executed(1).await;
    tokio::time::advance(Duration::from_secs(6)).await;
    origin.open_gate();
    call.ended().await;
    client.disconnected(1).await;
    assert_eq!(reasons(&client), [CloseReason::Expired]);
    origin.finish().await;
}

// --- poison and death at rest ---

#[tokio::test]
async fn s22_a_response_that_breaks_the_protocol_never_reaches_the_next_request() {
    let broken = [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi!",
        "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x2\r\nhi\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhiX\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\nhi\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nhi",
        "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\nA: b\r\n c: d\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA\0: b\r\nContent-Length: 2\r\n\r\nhi",
        "HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        "ICY 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        "hello",
    ];
    for text in broken {
        let marker = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nmarker";
        let peer = ScriptedPeer::tcp().await.run(move |mut conn| async move {
            while let Some(head) = conn.next_head().await {
                conn.read_body(&head).await;
                if head.target == "/marker" {
                    conn.send(marker).await;
                } else {
                    conn.send(text).await;
                    conn.fin().await;
                }
            }
        });
        let client = Client::new(peer.port(), limited(1));
        let first = client.get("/broken");
        let second = client.post("/marker", "m", "x");
        let error = within(text, first.error()).await;
        assert!(
            matches!(error.kind(), ErrorKind::Parse(_) | ErrorKind::Socket),
            "{text:?}: {error:?}"
        );
        let seen = within(text, second.ended()).await;
        assert_eq!(seen.body, b"marker", "{text:?}");
        assert!(!seen.connection.unwrap().1, "{text:?}");
        shut_down(client).await;
        peer.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s23_a_second_response_in_the_same_segment_is_never_delivered() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        let first = conn.index() == 0;
        while conn.next_head().await.is_some() {
            if first {
                conn.send(format!("{OK}{POISON}")).await;
            } else {
                conn.send(OK).await;
            }
        }
    });
    let client = Client::new(peer.port(), limited(1));
    let calls = [client.get("/a"), client.get("/b"), client.get("/c")];
    for call in &calls {
        let seen = within("response", call.ended()).await;
        assert_eq!(seen.body, b"ok");
    }
    assert_eq!(reasons(&client), [CloseReason::UnsolicitedData]);
    assert_eq!(peer.accepted(), 2);
    shut_down(client).await;
    peer.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s23_a_second_response_behind_that_to_a_pulled_body_is_never_delivered() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        let first = conn.index() == 0;
        while let Some(head) = conn.next_head().await {
            conn.read_body(&head).await;
            if first {
                conn.send(format!("{OK}{POISON}")).await;
            } else {
                conn.send(OK).await;
            }
        }
    });
    let client = Client::new(peer.port(), limited(1));
    for _ in 0..2 {
        let call = client.send(post_chunked("/"));
        call.chunk("body");
        call.finish();
        assert_eq!(within("response", call.ended()).await.body, b"ok");
    }
    assert_eq!(reasons(&client), [CloseReason::UnsolicitedData]);
    assert_eq!(peer.accepted(), 2);
    shut_down(client).await;
    peer.finish().await;
}

#[tokio::test]
async fn a_request_given_up_before_its_lost_connection_had_it_is_settled() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        while conn.next_head().await.is_some() {
            conn.send(OK).await;
        }
    });
    let client = Client::new(peer.port(), limited(1));
    let first = within("first", client.get("/").ended()).await;
    // The pool does not know yet that the connection is at its end, and gives the request to it.
    client.pool.destroy_connection(first.connection.unwrap().0);
    let second = client.post("/second", "2", "body");
    second.handle.cancel();
    let error = within("cancelled", second.error()).await;
    assert_eq!(error.kind(), ErrorKind::Aborted);
    within("released", second.released()).await;
    assert_eq!(client.pool.stats().size(), 0);
    shut_down(client).await;
    peer.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r5_a_consent_to_the_body_is_an_answer_after_which_nothing_is_written_again() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        conn.read_head().await;
        conn.send(OK).await;
        conn.read_head().await;
        conn.send("HTTP/1.1 100 Continue\r\n\r\n").await;
        assert_eq!(conn.read_exact(4).await, b"body");
        conn.reset();
    });
    let client = Client::new(peer.port(), limited(1));
    within("first", client.get("/").ended()).await;
    let call = client.send(dodici::Request {
        expect_continue: true,
        idempotent: true,
        body: dodici::BodyKind::Full(bytes::Bytes::from_static(b"body")),
        ..dodici::Request::new(
            "PUT /x HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n",
        )
    });
    let error = within("error", call.error()).await;
    assert_eq!(error.kind(), ErrorKind::Socket);
    assert_eq!(peer.accepted(), 1);
    shut_down(client).await;
    peer.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s23_bytes_at_rest_end_the_connection() {
    let send = Signal::new();
    let poison = send.clone();
    let peer = ScriptedPeer::tcp().await.run(move |mut conn| {
        let poison = poison.clone();
        async move {
            let head = conn.read_head().await;
            conn.read_body(&head).await;
            conn.send(OK).await;
            if conn.index() == 0 {
                poison.raised().await;
                conn.send(POISON).await;
            }
            conn.closed().await;
        }
    });
    let client = Client::new(peer.port(), OriginConfig::default());
    within("first", client.get("/a").ended()).await;
    send.raise();
    within("disconnect", client.disconnected(1)).await;
    assert_eq!(reasons(&client), [CloseReason::UnsolicitedData]);
    let second = within("second", client.post("/b", "b", "x").ended()).await;
    assert_eq!(second.body, b"ok");
    assert_eq!(peer.accepted(), 2);
    shut_down(client).await;
    peer.finish().await;
}

/// A server in the hands of the test: what it writes is in the client's kernel before the engine
/// has had a chance to run, as both share one thread.
struct Hands {
    listener: TcpListener,
}

impl Hands {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { listener }
    }

    fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }

    /// Accepts a connection.
    async fn accept(&self) -> TcpStream {
        within("accept", self.listener.accept()).await.unwrap().0
    }

    /// Answers one request; returns its bytes.
    async fn serve(stream: &mut TcpStream, end: &str) -> String {
        let mut text = String::new();
        let mut buf = [0; 1024];
        while !text.ends_with(end) {
            let n = within("request", stream.read(&mut buf)).await.unwrap();
            assert!(n > 0, "closed after {text:?}");
            text.push_str(std::str::from_utf8(&buf[..n]).unwrap());
        }
        stream.write_all(OK.as_bytes()).await.unwrap();
        text
    }
}

/// Lets a connection rest, does `harm` to it, and dispatches before the engine can notice: the
/// POST must be written once, on a fresh connection, and before the GET that came after it.
async fn harm_at_rest(harm: impl Fn(TcpStream) -> Option<TcpStream>) -> Vec<CloseReason> {
    let server = Hands::new().await;
    let client = Client::new(server.port(), limited(1));
    let first = client.get("/first");
    let mut old = server.accept().await;
    Hands::serve(&mut old, "\r\n\r\n").await;
    within("first", first.ended()).await;
    let old = harm(old);
    let second = client.post("/second", "2", "body");
    let third = client.get("/third");
    let mut fresh = server.accept().await;
    let text = Hands::serve(&mut fresh, "body").await;
    assert!(text.starts_with("POST /second "), "{text}");
    let text = Hands::serve(&mut fresh, "\r\n\r\n").await;
    assert!(text.starts_with("GET /third "), "{text}");
    for (call, reused) in [(&second, false), (&third, true)] {
        let seen = within("answer", call.ended()).await;
        assert_eq!(seen.body, b"ok");
        assert_eq!(seen.connection.unwrap().1, reused);
    }
    if let Some(mut old) = old {
        let mut rest = Vec::new();
        // A reset is as good: what counts is that nothing was written.
        let _ = within("rest", old.read_to_end(&mut rest)).await;
        assert_eq!(rest, b"", "written to a poisoned connection");
    }
    let reasons = reasons(&client);
    shut_down(client).await;
    reasons
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_speaks_first_answers_the_request_that_its_connection_was_made_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let mut kept = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let early = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
            stream.write_all(early.as_bytes()).await.unwrap();
            kept.push(stream);
        }
    });
    let client = Client::new(port, hearing_early_answers());
    for _ in 0..50 {
        let seen = within("answer", client.get("/").ended()).await;
        assert_eq!(seen.body, b"ok");
    }
    // A connection's end is told after its last request's.
    client.disconnected(50).await;
    assert_eq!(
        reasons(&client).len(),
        50,
        "one connection for each request"
    );
    shut_down(client).await;
    server.abort();
}

#[tokio::test]
async fn s23_bytes_in_the_kernel_before_checkout_are_never_an_answer() {
    for _ in 0..20 {
        let reasons = harm_at_rest(|stream| {
            stream.try_write(POISON.as_bytes()).unwrap();
            Some(stream)
        })
        .await;
        assert_eq!(reasons, [CloseReason::UnsolicitedData]);
    }
}

#[tokio::test]
async fn s23_a_fin_in_the_kernel_before_checkout_sends_the_request_elsewhere_once() {
    for _ in 0..20 {
        let reasons = harm_at_rest(|stream| {
            drop(stream);
            None
        })
        .await;
        assert_eq!(reasons, [CloseReason::PeerClosed]);
    }
}

#[tokio::test]
async fn s23_a_reset_in_the_kernel_before_checkout_sends_the_request_elsewhere_once() {
    for _ in 0..20 {
        let reasons = harm_at_rest(|stream| {
            stream.set_zero_linger().unwrap();
            drop(stream);
            None
        })
        .await;
        assert_eq!(reasons, [CloseReason::PeerClosed]);
    }
}

#[tokio::test]
async fn a_request_cancelled_while_its_dead_connection_gives_it_back_is_settled() {
    let server = Hands::new().await;
    let client = Client::new(server.port(), limited(1));
    let first = client.get("/first");
    let mut old = server.accept().await;
    Hands::serve(&mut old, "\r\n\r\n").await;
    within("first", first.ended()).await;
    drop(old);
    let second = client.post("/second", "2", "body");
    second.handle.cancel();
    let error = within("cancelled", second.error()).await;
    assert_eq!(error.kind(), ErrorKind::Aborted);
    within("released", second.released()).await;
    assert_eq!(client.pool.stats().size(), 0);
    shut_down(client).await;
}

/// Holds each connection back until the peer has ended it.
struct UntilEnded {
    made: std::sync::atomic::AtomicUsize,
    ended: dodici_testkit::Watched<usize>,
}

impl dodici::AroundHook for UntilEnded {
    fn around(
        &self,
        connect: dodici::HookFuture<Result<dodici::Connected, dodici::Error>>,
    ) -> dodici::HookFuture<Result<dodici::Connected, dodici::Error>> {
        let number = 1 + self.made.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let ended = self.ended.clone();
        Box::pin(async move {
            let connected = connect.await;
            let this_one = |ended: &usize| (*ended >= number).then_some(());
            ended.wait(this_one).await;
            connected
        })
    }
}

#[tokio::test]
async fn s38_fresh_connections_that_are_dead_before_the_request_are_tried_four_times() {
    let ended = dodici_testkit::Watched::<usize>::default();
    let count = ended.clone();
    let peer = ScriptedPeer::tcp().await.run(move |mut conn| {
        let count = count.clone();
        async move {
            conn.fin().await;
            count.update(|count| *count += 1);
            conn.closed().await;
        }
    });
    let hooks = dodici::ConnectHooks {
        around: Some(std::sync::Arc::new(UntilEnded {
            made: std::sync::atomic::AtomicUsize::default(),
            ended,
        })),
        ..dodici::ConnectHooks::default()
    };
    let events = dodici_testkit::Recorder::new();
    let origin = dodici::Origin::new(dodici::Scheme::Http, "127.0.0.1", peer.port());
    let pool = dodici::Engine::on_runtime(tokio::runtime::Handle::current())
        .open_pool_with(
            origin,
            limited(1),
            hooks,
            std::sync::Arc::new(events.clone()),
        )
        .unwrap();
    let (recording, sink) = dodici_testkit::Recording::new();
    pool.dispatch(get("/"), Box::new(sink));
    let error = within("error", recording.error()).await;
    assert_eq!(error.kind(), ErrorKind::Socket);
    assert_eq!(peer.accepted(), 4);
    pool.close();
    within("close", events.closed()).await;
    for connection in peer.log().connections {
        assert_eq!(connection.received, b"");
    }
    peer.finish().await;
}

#[tokio::test]
async fn a_peer_that_accepts_and_closes_again_and_again_fails_the_request() {
    let peer = ScriptedPeer::tcp().await.run(|conn| async move {
        conn.reset();
    });
    let client = Client::new(peer.port(), OriginConfig::default());
    let call = client.get("/");
    let error = within("error", call.error()).await;
    assert_eq!(error.kind(), ErrorKind::Socket);
    assert!(peer.accepted() <= 5, "{} attempts", peer.accepted());
    shut_down(client).await;
    peer.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s24_a_fin_right_behind_the_body_is_a_success_and_ends_the_connection() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        conn.read_head().await;
        conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
            .await;
    });
    let client = Client::new(peer.port(), OriginConfig::default());
    for n in 1..=50 {
        let seen = within("response", client.get("/").ended()).await;
        assert_eq!(seen.body, b"ok");
        within("disconnect", client.disconnected(n)).await;
    }
    shut_down(client).await;
    peer.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s25_a_truncated_body_is_an_error_and_the_next_request_is_served() {
    for text in [
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n",
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
    ] {
        let peer = ScriptedPeer::tcp().await.run(move |mut conn| async move {
            conn.read_head().await;
            if conn.index() == 0 {
                conn.send(text).await;
            } else {
                conn.send(OK).await;
                conn.closed().await;
            }
        });
        let client = Client::new(peer.port(), OriginConfig::default());
        let call = client.get("/cut");
        within(text, call.error()).await;
        assert_eq!(call.seen().body, b"ok", "{text:?}");
        within(text, client.get("/next").ended()).await;
        shut_down(client).await;
        peer.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_post_is_executed_twice_against_a_server_that_closes_around_reuse() {
    // It closes right behind every other response, without announcing it.
    let executed = dodici_testkit::Watched::<Vec<String>>::default();
    let log = executed.clone();
    let peer = ScriptedPeer::tcp().await.run(move |mut conn| {
        let log = log.clone();
        async move {
            for _ in 0..2 {
                let Some(head) = conn.next_head().await else {
                    return;
                };
                conn.read_body(&head).await;
                log.update(|log| log.push(head.get("x-request-id").unwrap().to_owned()));
                conn.send(OK).await;
            }
        }
    });
    let client = Client::new(peer.port(), limited(4));
    let mut failed = 0;
    for n in 0..400 {
        let id = n.to_string();
        let seen = within("settled", client.post("/", &id, "x").settled()).await;
        let times = executed.read(|log| log.iter().filter(|have| **have == id).count());
        match seen.error_kind() {
            None => assert_eq!(times, 1, "{id}"),
            // Written in the moment between the response and the FIN.
            Some(_) => {
                failed += 1;
                assert!(times <= 1, "{id}");
            }
        }
    }
    assert!(failed < 400, "nothing got through");
    shut_down(client).await;
    peer.finish().await;
}

/// A peer whose connections serve one request and close without a word when they have read the
/// next, as if its close and that request had crossed; every head that it read.
async fn crossing(
    served: usize,
    silent: usize,
) -> (ScriptedPeer, dodici_testkit::Watched<Vec<String>>) {
    let heads = dodici_testkit::Watched::<Vec<String>>::default();
    let log = heads.clone();
    let peer = ScriptedPeer::tcp().await.run(move |mut conn| {
        let log = log.clone();
        async move {
            for n in 0.. {
                let Some(head) = conn.next_head().await else {
                    return;
                };
                log.update(|log| log.push(head.method.clone()));
                conn.read_body(&head).await;
                if conn.index() < silent && n >= served {
                    return;
                }
                conn.send(OK).await;
            }
        }
    });
    (peer, heads)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r5_an_idempotent_request_that_crossed_a_close_is_written_to_another_connection() {
    let (peer, heads) = crossing(1, 1).await;
    let client = Client::new(peer.port(), limited(1));
    within("first", client.get("/a").ended()).await;
    let second = within("second", client.get("/b").ended()).await;
    assert_eq!(second.body, b"ok");
    assert_eq!(peer.accepted(), 2);
    assert_eq!(heads.read(Vec::len), 3);
    assert_eq!(reasons(&client), [CloseReason::PeerClosed]);
    shut_down(client).await;
    peer.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r5_a_post_that_crossed_a_close_fails_and_is_written_once() {
    let (peer, heads) = crossing(1, 1).await;
    let client = Client::new(peer.port(), limited(1));
    within("first", client.get("/a").ended()).await;
    let error = within("second", client.post("/b", "1", "x").error()).await;
    assert_eq!(error.kind(), ErrorKind::Socket);
    assert_eq!(heads.read(Vec::len), 2);
    shut_down(client).await;
    peer.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s38_a_request_that_crosses_one_close_after_another_is_written_six_times() {
    const CONNECTIONS: usize = 10;
    let waiting = dodici_testkit::Watched::<usize>::default();
    let asked = dodici_testkit::Watched::<usize>::default();
    let again = asked.clone();
    let peer = ScriptedPeer::tcp().await.run(move |mut conn| {
        let (waiting, again) = (waiting.clone(), again.clone());
        async move {
            conn.read_head().await;
            waiting.update(|waiting| *waiting += 1);
            // All connections are there before the first one can be used again.
            let all = |waiting: &usize| (*waiting == CONNECTIONS).then_some(());
            waiting.wait(all).await;
            conn.send(OK).await;
            if conn.next_head().await.is_some() {
                again.update(|asked| *asked += 1);
            }
        }
    });
    let client = Client::new(peer.port(), limited(CONNECTIONS as u32));
    let first: Vec<_> = (0..CONNECTIONS).map(|_| client.get("/")).collect();
    for call in &first {
        assert_eq!(within("response", call.ended()).await.body, b"ok");
    }
    let error = within("error", client.get("/again").error()).await;
    assert_eq!(error.kind(), ErrorKind::Socket);
    assert_eq!(asked.read(|asked| *asked), 6);
    shut_down(client).await;
    peer.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r5_a_fresh_connection_that_closes_without_a_word_fails_its_request() {
    let (peer, heads) = crossing(0, usize::MAX).await;
    let client = Client::new(peer.port(), limited(1));
    let error = within("error", client.get("/a").error()).await;
    assert_eq!(error.kind(), ErrorKind::Socket);
    assert_eq!(heads.read(Vec::len), 1);
    shut_down(client).await;
    peer.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r5_a_reused_connection_that_closes_in_the_middle_of_an_answer_fails_its_request() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        conn.read_head().await;
        conn.send(OK).await;
        conn.read_head().await;
        conn.send("HTTP/1.1 2").await;
    });
    let client = Client::new(peer.port(), limited(1));
    within("first", client.get("/a").ended()).await;
    let error = within("second", client.get("/b").error()).await;
    assert_eq!(error.kind(), ErrorKind::Socket);
    assert_eq!(peer.accepted(), 1);
    shut_down(client).await;
    peer.finish().await;
}

#[tokio::test]
async fn a_closed_pool_ends_its_connections_with_a_fin() {
    let peer = ScriptedPeer::tcp().await.replies(vec![OK]);
    let client = Client::new(peer.port(), OriginConfig::default());
    within("response", client.get("/").ended()).await;
    shut_down(client).await;
    assert_eq!(within("close", peer.peer_close(0)).await, PeerClose::Fin);
    peer.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn line_ends_in_the_segment_of_a_response_leave_the_connection_usable() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        while conn.next_head().await.is_some() {
            conn.send(format!("{OK}\r\n")).await;
        }
    });
    let client = Client::new(peer.port(), limited(1));
    for _ in 0..20 {
        let seen = within("response", client.get("/a").ended()).await;
        assert_eq!(seen.body, b"ok");
    }
    assert_eq!(peer.accepted(), 1);
    assert_eq!(reasons(&client), []);
    shut_down(client).await;
    peer.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn line_ends_at_rest_leave_the_connection_usable() {
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
    let client = Client::new(peer.port(), limited(1));
    within("first", client.get("/a").ended()).await;
    send.raise();
    within("line end", sent.raised()).await;
    let second = within("second", client.get("/b").ended()).await;
    assert_eq!(second.body, b"ok");
    assert_eq!(peer.accepted(), 1);
    assert_eq!(reasons(&client), []);
    shut_down(client).await;
    peer.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_destroyed_connection_fails_what_runs_on_it_and_the_queue_goes_elsewhere() {
    let begun = Signal::new();
    let tell = begun.clone();
    let peer = ScriptedPeer::tcp().await.run(move |mut conn| {
        let begun = tell.clone();
        async move {
            let first = conn.index() == 0;
            conn.next_head().await;
            begun.raise();
            if !first {
                conn.send(OK).await;
            }
            conn.closed().await;
        }
    });
    let client = Client::new(peer.port(), limited(1));
    let calls = [client.get("/a"), client.get("/b")];
    within("request", begun.raised()).await;
    let conn = client
        .events
        .events()
        .into_iter()
        .find_map(|event| match event {
            Event::Connected { conn, .. } => Some(conn),
            _ => None,
        });
    client.pool.destroy_connection(conn.unwrap());
    let [running, waiting] = calls;
    let error = within("failure", running.error()).await;
    assert_eq!(error.kind(), ErrorKind::Socket);
    assert_eq!(within("second", waiting.ended()).await.body, b"ok");
    assert_eq!(peer.accepted(), 2);
    assert_eq!(reasons(&client), [CloseReason::Aborted]);
    shut_down(client).await;
    peer.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fresh_connection_takes_an_answer_that_came_before_the_request() {
    let closing = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
    for text in [OK, closing] {
        let peer = ScriptedPeer::tcp().await.run(move |mut conn| async move {
            conn.send(text).await;
            conn.next_head().await;
            conn.closed().await;
        });
        for _ in 0..20 {
            let client = Client::new(peer.port(), hearing_early_answers());
            let seen = within("response", client.get("/a").ended()).await;
            assert_eq!(seen.body, b"ok");
            shut_down(client).await;
        }
        assert_eq!(peer.accepted(), 20);
        peer.finish().await;
    }
}

/// Gives another request up as soon as its own response ends.
struct CancelsAtEnd {
    other: std::sync::Arc<std::sync::Mutex<Option<dodici::RequestHandle>>>,
}

impl dodici::Sink for CancelsAtEnd {
    fn informational(&mut self, _head: &dodici::ResponseHead) {}

    fn head(&mut self, _head: &dodici::ResponseHead, _info: &dodici::ExchangeInfo) {}

    fn data(&mut self, _chunk: bytes::Bytes) {}

    fn end(&mut self, _trailers: &dodici::HeaderBlock) {
        if let Some(other) = self.other.lock().unwrap().take() {
            other.cancel();
        }
    }

    fn error(&mut self, _error: dodici::Error) {}

    fn upgrade(&mut self, _head: &dodici::ResponseHead, _info: &dodici::ExchangeInfo) {}

    fn pull(&mut self, _bytes: u32) {}
}

#[tokio::test]
async fn a_request_given_up_while_it_is_being_handed_over_leaves_its_connection_free() {
    for pipelining in [1, 2] {
        let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
            while let Some(head) = conn.next_head().await {
                conn.read_body(&head).await;
                conn.send(OK).await;
            }
        });
        let mut config = limited(1);
        config.pool.pipelining = pipelining;
        let client = Client::new(peer.port(), config);
        let other = std::sync::Arc::default();
        let sink = CancelsAtEnd {
            other: std::sync::Arc::clone(&other),
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
        shut_down(client).await;
        peer.finish().await;
    }
}
