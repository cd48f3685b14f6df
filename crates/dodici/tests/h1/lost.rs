//! Connections that die when idle, before a request or during it: what is replayed, and what must
//! not be.

use std::sync::Arc;

use dodici::{CloseReason, ErrorKind, OriginConfig};
use dodici_testkit::client::get;
use dodici_testkit::config::connections;
use dodici_testkit::with;
use dodici_testkit::{Client, OK, Recorder, Recording, ScriptedPeer, Watched, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::isolation::POISON;

/// A server driven by the test: what it writes is in the client's kernel before the engine
/// can run, because both share one thread.
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

/// Leaves a connection idle, does `harm` to it, and dispatches before the engine can notice: the
/// POST must be written once, on a fresh connection, and before the GET that follows it.
async fn harm_at_rest(harm: impl Fn(TcpStream) -> Option<TcpStream>) -> Vec<CloseReason> {
    let server = Hands::new().await;
    let client = Client::new(server.port(), connections(1));
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
        // A reset is fine, too: nothing must have been written.
        let _ = within("rest", old.read_to_end(&mut rest)).await;
        assert_eq!(rest, b"", "written to a poisoned connection");
    }
    let reasons = client.reasons();
    client.shut_down().await;
    reasons
}

#[tokio::test]
async fn s23_bytes_received_before_checkout_are_never_a_response() {
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
async fn s23_a_fin_received_before_checkout_sends_the_request_elsewhere_once() {
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
async fn s23_a_reset_received_before_checkout_sends_the_request_elsewhere_once() {
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
async fn a_request_cancelled_while_its_dead_connection_returns_it_is_settled() {
    let server = Hands::new().await;
    let client = Client::new(server.port(), connections(1));
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
    client.shut_down().await;
}

/// Holds each connection back until the peer has ended it.
struct UntilEnded {
    made: std::sync::atomic::AtomicUsize,
    ended: Watched<usize>,
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
    let ended = Watched::<usize>::default();
    let count = ended.clone();
    let peer = ScriptedPeer::tcp().await.run(move |mut conn| {
        let count = count.clone();
        async move {
            conn.fin().await;
            count.update(|count| *count += 1);
            conn.closed().await;
        }
    });
    let hooks = with(dodici::ConnectHooks::default(), |hooks| {
        hooks.around = Some(Arc::new(UntilEnded {
            made: std::sync::atomic::AtomicUsize::default(),
            ended,
        }))
    });
    let events = Recorder::new();
    let origin = dodici::Origin::new(dodici::Scheme::Http, "127.0.0.1", peer.port());
    let pool = dodici::Engine::on_runtime(tokio::runtime::Handle::current())
        .open_pool_with(origin, connections(1), hooks, Arc::new(events.clone()))
        .unwrap();
    let (recording, sink) = Recording::new();
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
async fn a_peer_that_repeatedly_accepts_and_closes_fails_the_request() {
    let peer = ScriptedPeer::tcp().await.run(|conn| async move {
        conn.reset();
    });
    let client = Client::new(peer.port(), OriginConfig::default());
    let call = client.get("/");
    let error = within("error", call.error()).await;
    assert_eq!(error.kind(), ErrorKind::Socket);
    assert!(peer.accepted() <= 5, "{} attempts", peer.accepted());
    client.finish(peer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s24_a_fin_directly_after_the_body_is_a_success_and_ends_the_connection() {
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
    client.finish(peer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_post_is_executed_twice_against_a_server_that_closes_around_reuse() {
    // It closes directly after every other response, without announcing it.
    let executed = Watched::<Vec<String>>::default();
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
    let client = Client::new(peer.port(), connections(4));
    let mut failed = 0;
    for n in 0..400 {
        let id = n.to_string();
        let seen = within("settled", client.post("/", &id, "x").settled()).await;
        let times = executed.read(|log| log.iter().filter(|have| **have == id).count());
        match seen.error_kind() {
            None => assert_eq!(times, 1, "{id}"),
            // Written between the response and the FIN.
            Some(_) => {
                failed += 1;
                assert!(times <= 1, "{id}");
            }
        }
    }
    assert!(failed < 400, "nothing got through");
    client.finish(peer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r5_after_100_continue_nothing_is_replayed() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        conn.read_head().await;
        conn.send(OK).await;
        conn.read_head().await;
        conn.send("HTTP/1.1 100 Continue\r\n\r\n").await;
        assert_eq!(conn.read_exact(4).await, b"body");
        conn.reset();
    });
    let client = Client::new(peer.port(), connections(1));
    within("first", client.get("/").ended()).await;
    let call = client.send(with(
        dodici::Request::new(
            "PUT /x HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n",
        )
        .with_body(dodici::BodyKind::Full(bytes::Bytes::from_static(b"body"))),
        |request| {
            request.expect_continue = true;
            request.idempotent = true;
        },
    ));
    let error = within("error", call.error()).await;
    assert_eq!(error.kind(), ErrorKind::Socket);
    assert_eq!(peer.accepted(), 1);
    client.finish(peer).await;
}

/// A peer whose connections serve one request and close without a response when they have read the
/// next, as if its close and that request had crossed; and every head that it read.
async fn crossing(served: usize, silent: usize) -> (ScriptedPeer, Watched<Vec<String>>) {
    let heads = Watched::<Vec<String>>::default();
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
    let client = Client::new(peer.port(), connections(1));
    within("first", client.get("/a").ended()).await;
    let second = within("second", client.get("/b").ended()).await;
    assert_eq!(second.body, b"ok");
    assert_eq!(peer.accepted(), 2);
    assert_eq!(heads.read(Vec::len), 3);
    assert_eq!(client.reasons(), [CloseReason::PeerClosed]);
    client.finish(peer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r5_a_post_that_crossed_a_close_fails_and_is_written_once() {
    let (peer, heads) = crossing(1, 1).await;
    let client = Client::new(peer.port(), connections(1));
    within("first", client.get("/a").ended()).await;
    let error = within("second", client.post("/b", "1", "x").error()).await;
    assert_eq!(error.kind(), ErrorKind::Socket);
    assert_eq!(heads.read(Vec::len), 2);
    client.finish(peer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s38_a_request_that_repeatedly_crosses_a_close_is_written_six_times() {
    const CONNECTIONS: usize = 10;
    let waiting = Watched::<usize>::default();
    let asked = Watched::<usize>::default();
    let again = asked.clone();
    let peer = ScriptedPeer::tcp().await.run(move |mut conn| {
        let (waiting, again) = (waiting.clone(), again.clone());
        async move {
            conn.read_head().await;
            waiting.update(|waiting| *waiting += 1);
            // All connections are open before the first one can be reused.
            let all = |waiting: &usize| (*waiting == CONNECTIONS).then_some(());
            waiting.wait(all).await;
            conn.send(OK).await;
            if conn.next_head().await.is_some() {
                again.update(|asked| *asked += 1);
            }
        }
    });
    let client = Client::new(peer.port(), connections(CONNECTIONS as u32));
    let first: Vec<_> = (0..CONNECTIONS).map(|_| client.get("/")).collect();
    for call in &first {
        assert_eq!(within("response", call.ended()).await.body, b"ok");
    }
    let error = within("error", client.get("/again").error()).await;
    assert_eq!(error.kind(), ErrorKind::Socket);
    assert_eq!(asked.read(|asked| *asked), 6);
    client.finish(peer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r5_a_fresh_connection_that_closes_without_a_response_fails_its_request() {
    let (peer, heads) = crossing(0, usize::MAX).await;
    let client = Client::new(peer.port(), connections(1));
    let error = within("error", client.get("/a").error()).await;
    assert_eq!(error.kind(), ErrorKind::Socket);
    assert_eq!(heads.read(Vec::len), 1);
    client.finish(peer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r5_a_reused_connection_that_closes_during_a_response_fails_its_request() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        conn.read_head().await;
        conn.send(OK).await;
        conn.read_head().await;
        conn.send("HTTP/1.1 2").await;
    });
    let client = Client::new(peer.port(), connections(1));
    within("first", client.get("/a").ended()).await;
    let error = within("second", client.get("/b").error()).await;
    assert_eq!(error.kind(), ErrorKind::Socket);
    assert_eq!(peer.accepted(), 1);
    client.finish(peer).await;
}
