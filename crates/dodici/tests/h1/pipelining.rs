//! Requests that share a connection in flight: what goes over the wire, in which order what is
//! told, and what becomes of the requests behind one that fails.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dodici::{
    BodyKind, CloseReason, DisconnectInfo, ErrorKind, Event, OriginConfig, Request, RequestKind,
    RootSource,
};
use dodici_testkit::certs::Authority;
use dodici_testkit::client::{connect, get, head, post, post_chunked, post_sized, upgrade};
use dodici_testkit::{
    Call, Client, Fault, FaultAction, FaultProxy, Pacing, PeerClose, ScriptedPeer, ServerTls,
    Signal, within,
};
use parking_lot::Mutex;
use tokio::time::Instant;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// One connection, this many requests on it.
fn depth(pipelining: u32) -> OriginConfig {
    let mut config = OriginConfig::default();
    config.pool.connections = NonZeroU32::new(1);
    config.pool.pipelining = pipelining;
    config
}

/// A response whose body is its number.
fn numbered(n: usize) -> String {
    format!("HTTP/1.1 200 OK\r\nX-N: {n}\r\nContent-Length: 1\r\n\r\n{n}")
}

fn ended(client: &Client) -> Vec<DisconnectInfo> {
    let events = client.events.events();
    let infos = events.into_iter().filter_map(|event| match event {
        Event::Disconnected { info, .. } => Some(info),
        _ => None,
    });
    infos.collect()
}

async fn shut_down(client: Client, peer: ScriptedPeer) {
    client.pool.close();
    within("close", client.events.closed()).await;
    drop(client);
    within("peer", peer.finish()).await;
}

/// A client that is connected, with this many requests handed over at once.
fn gets(client: &Client, count: usize) -> Vec<Call> {
    (0..count).map(|n| client.get(&format!("/{n}"))).collect()
}

async fn bodies(calls: impl IntoIterator<Item = &Call>) -> Vec<String> {
    let mut bodies = Vec::new();
    for call in calls {
        let seen = within("response", call.ended()).await;
        bodies.push(String::from_utf8(seen.body).unwrap());
    }
    bodies
}

// --- the wire ---

#[tokio::test]
async fn requests_leave_without_waiting_for_answers_and_are_answered_in_order() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        let mut targets = Vec::new();
        // All heads are there before the first answer.
        for _ in 0..5 {
            targets.push(conn.read_head().await.target);
        }
        assert_eq!(targets, ["/0", "/1", "/2", "/3", "/4"]);
        let all: String = (0..5).map(numbered).collect();
        conn.send(all).await;
        conn.closed().await;
    });
    let client = Client::new(peer.port(), depth(5));
    let calls = gets(&client, 5);
    assert_eq!(bodies(&calls).await, ["0", "1", "2", "3", "4"]);
    let reused: Vec<_> = calls
        .iter()
        .map(|call| call.seen().connection.unwrap().1)
        .collect();
    assert_eq!(reused, [false, true, true, true, true]);
    client.pool.close();
    within("close", client.events.closed()).await;
    let infos = ended(&client);
    assert_eq!((infos.len(), infos[0].requests), (1, 5));
    assert_eq!(infos[0].reason, CloseReason::PoolClosed);
    drop(client);
    peer.finish().await;
}

#[tokio::test]
async fn the_depth_is_the_most_that_is_in_flight() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        for _ in 0..3 {
            conn.read_head().await;
        }
        for n in 0..7 {
            // Nothing of the fourth request is there before the first answer has gone.
            conn.send(numbered(n)).await;
            if n < 4 {
                assert_eq!(conn.read_head().await.target, format!("/{}", n + 3));
            }
        }
        conn.closed().await;
    });
    let client = Client::new(peer.port(), depth(3));
    let calls = gets(&client, 7);
    assert_eq!(bodies(&calls).await, ["0", "1", "2", "3", "4", "5", "6"]);
    shut_down(client, peer).await;
}

#[tokio::test]
async fn a_raised_depth_reaches_a_connection_that_is_up() {
    let one = Signal::new();
    let first = one.clone();
    let peer = ScriptedPeer::tcp().await.run(move |mut conn| {
        let first = first.clone();
        async move {
            assert_eq!(conn.read_head().await.target, "/0");
            first.raise();
            // The others come although the first one has no answer.
            for n in 1..4 {
                assert_eq!(conn.read_head().await.target, format!("/{n}"));
            }
            conn.send((0..4).map(numbered).collect::<String>()).await;
            conn.closed().await;
        }
    });
    let client = Client::new(peer.port(), depth(1));
    let calls = gets(&client, 4);
    within("first request", one.raised()).await;
    client.pool.set_pipelining(4);
    assert_eq!(bodies(&calls).await, ["0", "1", "2", "3"]);
    let infos = {
        client.pool.close();
        within("close", client.events.closed()).await;
        ended(&client)
    };
    assert_eq!((infos.len(), infos[0].requests), (1, 4));
    drop(client);
    peer.finish().await;
}

#[tokio::test]
async fn a_lowered_depth_lets_what_is_in_flight_end_and_nothing_join_it() {
    let signals = [(); 3].map(|()| Signal::new());
    let [both, go_first, go_second] = signals.clone();
    let peer = ScriptedPeer::tcp().await.run(move |mut conn| {
        let [both, first, second] = signals.clone();
        async move {
            for _ in 0..2 {
                conn.read_head().await;
            }
            both.raise();
            first.raised().await;
            conn.send(numbered(0)).await;
            second.raised().await;
            conn.send(numbered(1)).await;
            assert_eq!(conn.read_head().await.target, "/2");
            conn.send(numbered(2)).await;
            conn.closed().await;
        }
    });
    let client = Client::new(peer.port(), depth(2));
    let calls = gets(&client, 3);
    within("two requests", both.raised()).await;
    client.pool.set_pipelining(1);
    go_first.raise();
    assert_eq!(bodies(&calls[..1]).await, ["0"]);
    let stats = client.pool.stats();
    assert_eq!((stats.running, stats.queued), (1, 1));
    go_second.raise();
    assert_eq!(bodies(&calls[1..]).await, ["1", "2"]);
    shut_down(client, peer).await;
}

#[tokio::test]
async fn heads_and_bodies_are_on_the_wire_byte_for_byte() {
    let large = "x".repeat(300_000);
    let expected = format!(
        "PUT /a HTTP/1.1\r\nhost: test\r\ncontent-length: 5\r\n\r\nsmall\
         PUT /b HTTP/1.1\r\nhost: test\r\ncontent-length: 300000\r\n\r\n{large}\
         GET /c HTTP/1.1\r\nhost: test\r\n\r\n"
    );
    let len = expected.len();
    let peer = ScriptedPeer::tcp().await.run(move |mut conn| async move {
        conn.read_exact(len).await;
        conn.send(OK.repeat(3)).await;
        conn.closed().await;
    });
    let put = |target: &str, body: &str| Request {
        idempotent: true,
        blocking: false,
        body: BodyKind::Full(Bytes::copy_from_slice(body.as_bytes())),
        ..Request::new(format!(
            "PUT {target} HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n",
            body.len()
        ))
    };
    let client = Client::new(peer.port(), depth(3));
    let calls = [
        client.send(put("/a", "small")),
        client.send(put("/b", &large)),
        client.get("/c"),
    ];
    assert_eq!(bodies(&calls).await, ["ok", "ok", "ok"]);
    let log = peer.log();
    assert_eq!(
        String::from_utf8_lossy(&log.connections[0].received),
        expected
    );
    shut_down(client, peer).await;
}

#[tokio::test]
async fn requests_share_a_tls_connection_in_flight() {
    const LEN: usize = 200_000;
    let authority = Authority::new("dodici test");
    let tls = ServerTls::new(&authority.localhost());
    let peer = ScriptedPeer::tcp()
        .await
        .tls(tls)
        .run(|mut conn| async move {
            for _ in 0..4 {
                conn.read_head().await;
            }
            for _ in 0..4 {
                conn.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LEN}\r\n\r\n"))
                    .await;
                conn.send(vec![b'x'; LEN]).await;
            }
            conn.closed().await;
        });
    for in_place in [false, true] {
        let mut config = depth(4);
        config.connect.tls.roots = RootSource::Custom(vec![authority.pem().as_bytes().to_vec()]);
        let client = Client::tls(peer.port(), config).in_place(in_place);
        for call in gets(&client, 4) {
            let seen = within("response", call.ended()).await;
            assert_eq!(seen.body, [b'x'; LEN]);
        }
        client.pool.close();
        within("close", client.events.closed()).await;
    }
    peer.finish().await;
}

/// Every kind of framing behind each other, and what each must lead to.
const MIXED: [&str; 4] = [
    "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none",
    "HTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nth\r\n3;x=\"y\"\r\nree\r\n0\r\nT: v\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfour",
];

async fn check_mixed(pace: impl Fn(usize) -> Pacing, cuts: usize) {
    for cut in 0..cuts {
        let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
            for _ in 0..4 {
                conn.read_head().await;
            }
            conn.send(MIXED.concat()).await;
            conn.closed().await;
        });
        let upstream = ([127, 0, 0, 1], peer.port()).into();
        let proxy = FaultProxy::start(upstream, Fault::paced(pace(cut))).await;
        let client = Client::new(proxy.address().port(), depth(4));
        let calls = gets(&client, 4);
        assert_eq!(bodies(&calls).await, ["one", "", "three", "four"], "{cut}");
        let seen: Vec<_> = calls.iter().map(|call| call.seen()).collect();
        assert_eq!(seen[0].informational[0].status, 103);
        assert_eq!(seen[1].status(), 204);
        assert_eq!(seen[2].trailers(), [("T".to_owned(), "v".to_owned())]);
        assert_eq!(seen[3].trailers(), []);
        drop(client);
        drop(proxy);
        drop(peer);
    }
}

#[tokio::test]
async fn responses_of_every_framing_come_apart_when_cut_anywhere() {
    let len = MIXED.concat().len();
    check_mixed(|at| Pacing::Split(at as u64), len).await;
}

#[tokio::test]
async fn responses_of_every_framing_come_apart_byte_by_byte() {
    check_mixed(|_| Pacing::Dribble, 1).await;
}

#[tokio::test]
async fn line_ends_between_responses_mean_nothing() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        for _ in 0..3 {
            conn.read_head().await;
        }
        conn.dribble(format!(
            "{}\r\n{}\r\n\r\n{}\r\n",
            numbered(0),
            numbered(1),
            numbered(2)
        ))
        .await;
        conn.read_head().await;
        conn.send(numbered(3)).await;
        conn.closed().await;
    });
    let client = Client::new(peer.port(), depth(3));
    let calls = gets(&client, 4);
    assert_eq!(bodies(&calls).await, ["0", "1", "2", "3"]);
    assert_eq!(peer.accepted(), 1);
    shut_down(client, peer).await;
}

// --- who may join ---

#[tokio::test]
async fn a_request_that_cannot_be_repeated_joins_nobody_but_may_be_joined() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        assert_eq!(conn.read_head().await.target, "/0");
        conn.send(numbered(0)).await;
        let head = conn.read_head().await;
        assert_eq!(head.target, "/post");
        conn.read_body(&head).await;
        // It is not blocking, so the next one comes before its answer.
        assert_eq!(conn.read_head().await.target, "/2");
        conn.send(format!("{OK}{}", numbered(2))).await;
        conn.closed().await;
    });
    let client = Client::new(peer.port(), depth(10));
    let mut request = post("/post", "id", "body");
    request.blocking = false;
    let calls = [client.get("/0"), client.send(request), client.get("/2")];
    assert_eq!(bodies(&calls).await, ["0", "ok", "2"]);
    shut_down(client, peer).await;
}

#[tokio::test]
async fn nothing_follows_a_blocking_request_before_its_head() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        conn.read_head().await;
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
            .await;
        // The head is out, the body is not.
        assert_eq!(conn.read_head().await.target, "/next");
        conn.send(format!("ok{OK}")).await;
        conn.closed().await;
    });
    let client = Client::new(peer.port(), depth(10));
    let blocking = Request {
        blocking: true,
        ..get("/blocking")
    };
    let calls = [client.send(blocking), client.get("/next")];
    assert_eq!(bodies(&calls).await, ["ok", "ok"]);
    shut_down(client, peer).await;
}

#[tokio::test]
async fn nothing_follows_a_request_with_reset() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        if conn.index() == 0 {
            conn.read_head().await;
            conn.read_head().await;
            conn.send(OK.repeat(2)).await;
            assert_eq!(conn.read_some().await, None);
            return;
        }
        assert_eq!(conn.read_head().await.target, "/after");
        conn.send(OK).await;
        conn.closed().await;
    });
    let client = Client::new(peer.port(), depth(10));
    let reset = Request {
        reset: true,
        ..get("/reset")
    };
    let calls = [client.get("/0"), client.send(reset), client.get("/after")];
    assert_eq!(bodies(&calls).await, ["ok", "ok", "ok"]);
    assert_eq!(ended(&client)[0].reason, CloseReason::NotReusable);
    shut_down(client, peer).await;
}

#[tokio::test]
async fn a_pulled_body_has_the_connection_to_itself_and_gives_it_back() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        conn.read_head().await;
        conn.read_head().await;
        conn.send(format!("{}{}", numbered(0), numbered(1))).await;
        let upload = conn.read_head().await;
        assert_eq!(upload.target, "/sized");
        assert_eq!(conn.read_body(&upload).await.data, b"hello");
        conn.send(OK).await;
        let upload = conn.read_head().await;
        assert_eq!(upload.target, "/chunked");
        assert_eq!(conn.read_body(&upload).await.data, b"hello");
        conn.send(OK).await;
        conn.read_head().await;
        conn.read_head().await;
        conn.send(format!("{}{}", numbered(2), numbered(3))).await;
        conn.closed().await;
    });
    let client = Client::new(peer.port(), depth(10));
    let mut calls = gets(&client, 2);
    calls.push(client.send(Request {
        idempotent: true,
        ..post_sized("/sized", 5)
    }));
    calls.push(client.send(Request {
        idempotent: true,
        ..post_chunked("/chunked")
    }));
    calls.push(client.get("/2"));
    calls.push(client.get("/3"));
    for call in &calls[2..4] {
        call.chunk("hello");
        call.finish();
    }
    assert_eq!(bodies(&calls).await, ["0", "1", "ok", "ok", "2", "3"]);
    assert_eq!(peer.accepted(), 1);
    client.pool.close();
    within("close", client.events.closed()).await;
    let info = ended(&client).remove(0);
    assert_eq!(info.requests, 6);
    // The account goes on through the change of hands.
    let log = peer.log();
    assert_eq!(info.bytes_written, log.connections[0].received.len() as u64);
    assert_eq!(info.bytes_read, log.connections[0].sent);
    drop(client);
    peer.finish().await;
}

#[tokio::test]
async fn expect_continue_waits_for_an_empty_connection_and_gives_it_back() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        conn.read_head().await;
        conn.send(numbered(0)).await;
        conn.read_head().await;
        conn.send("HTTP/1.1 100 Continue\r\n\r\n").await;
        conn.read_exact(4).await;
        conn.send(OK).await;
        conn.read_head().await;
        conn.send(numbered(2)).await;
        conn.closed().await;
    });
    let client = Client::new(peer.port(), depth(10));
    let expect = Request {
        expect_continue: true,
        idempotent: true,
        ..post("/expect", "id", "body")
    };
    let calls = [client.get("/0"), client.send(expect), client.get("/2")];
    assert_eq!(bodies(&calls).await, ["0", "ok", "2"]);
    assert_eq!(peer.accepted(), 1);
    shut_down(client, peer).await;
}

#[tokio::test]
async fn upgrades_and_connect_wait_for_an_empty_connection_and_keep_it() {
    for request in [upgrade("/up"), connect("test:1")] {
        let kind = request.kind;
        let peer = ScriptedPeer::tcp().await.run(move |mut conn| async move {
            if conn.index() > 0 {
                conn.read_head().await;
                conn.send(numbered(2)).await;
                conn.closed().await;
                return;
            }
            conn.read_head().await;
            conn.read_head().await;
            conn.send(format!("{}{}", numbered(0), numbered(1))).await;
            conn.read_head().await;
            conn.send(if kind == RequestKind::Connect {
                "HTTP/1.1 200 OK\r\n\r\nhello"
            } else {
                "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nhello"
            })
            .await;
            assert_eq!(conn.read_exact(3).await, b"hey");
            conn.fin().await;
            conn.closed().await;
        });
        let client = Client::new(peer.port(), depth(10));
        let before = gets(&client, 2);
        let stream = client.send(request);
        let after = client.get("/2");
        assert_eq!(bodies(&before).await, ["0", "1"]);
        stream
            .wait(|seen| (seen.body == b"hello").then_some(()))
            .await;
        stream.chunk("hey");
        stream.finish();
        within("stream", stream.settled()).await;
        assert_eq!(bodies(&[after]).await, ["2"]);
        assert_eq!(ended(&client)[0].reason, CloseReason::Upgraded);
        shut_down(client, peer).await;
    }
}

#[tokio::test]
async fn head_and_get_share_a_connection() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        conn.read_head().await;
        conn.read_head().await;
        conn.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{OK}"))
            .await;
        conn.closed().await;
    });
    let client = Client::new(peer.port(), depth(10));
    let head = Request {
        blocking: false,
        ..head("/head")
    };
    let calls = [client.send(head), client.get("/get")];
    assert_eq!(bodies(&calls).await, ["", "ok"]);
    shut_down(client, peer).await;
}

#[tokio::test]
async fn the_rust_face_pipelines_what_does_not_block() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        for _ in 0..3 {
            conn.read_head().await;
        }
        conn.send((0..3).map(numbered).collect::<String>()).await;
        conn.closed().await;
    });
    let client = Client::new(peer.port(), depth(3));
    let send = |target: &str| {
        let options = dodici::RequestOptions {
            blocking: Some(false),
            ..dodici::RequestOptions::default()
        };
        let request = http::Request::get(target).extension(options);
        let request = request.body(String::new()).unwrap();
        let pool = client.pool.clone();
        async move {
            let response = pool.send(request).await.unwrap();
            response.into_body().collect().await.unwrap().0
        }
    };
    let (a, b, c) = within("responses", async {
        tokio::join!(send("/0"), send("/1"), send("/2"))
    })
    .await;
    assert_eq!([&a[..], &b[..], &c[..]], [b"0", b"1", b"2"]);
    shut_down(client, peer).await;
}

// --- faults ---

/// A pipeline of three whose first connection meets this fault: what came of it. Each request must
/// end once, whole or with an error; what failed is the oldest that was not answered; the others are
/// asked for again, and so is that one if a connection that had served ended before its first byte.
async fn faulty(at: u64, action: FaultAction) {
    let what = format!("{action:?} at {at}");
    let responses: String = (0..3).map(numbered).collect();
    let each = numbered(0).len() as u64;
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        while let Some(head) = conn.next_head().await {
            let n: usize = head.target[1..].parse().unwrap();
            conn.send(numbered(n)).await;
        }
    });
    assert_eq!(responses.len() as u64, 3 * each);
    let upstream = ([127, 0, 0, 1], peer.port()).into();
    let proxy = FaultProxy::start_with(upstream, move |index| match index {
        0 => Fault::at(at, action),
        _ => Fault::NONE,
    })
    .await;
    let client = Client::new(proxy.address().port(), depth(3));
    let failed = usize::try_from(at / each).unwrap();
    let crossed = action != FaultAction::Stall && at > 0 && at.is_multiple_of(each);
    // Soon where the peer falls silent, and never elsewhere: a loaded machine must not turn a
    // complete response into a timeout.
    let calls: Vec<_> = (0..3)
        .map(|n| {
            let soon = action == FaultAction::Stall && n == failed;
            let timeout = if soon {
                Duration::from_millis(20)
            } else {
                Duration::ZERO
            };
            client.send(Request {
                headers_timeout: Some(timeout),
                body_timeout: Some(timeout),
                ..get(&format!("/{n}"))
            })
        })
        .collect();
    for (n, call) in calls.iter().enumerate() {
        let seen = within(&what, call.released()).await;
        if n != failed || crossed {
            assert_eq!(seen.error_kind(), None, "{what}: request {n}");
            assert_eq!(seen.body, n.to_string().as_bytes(), "{what}");
            continue;
        }
        // The fault struck inside this response: it is never called complete.
        let kind = seen.error_kind();
        let expected = match action {
            FaultAction::Stall if seen.head.is_some() => ErrorKind::BodyTimeout,
            FaultAction::Stall => ErrorKind::HeadersTimeout,
            FaultAction::Reset | FaultAction::Fin => ErrorKind::Socket,
        };
        assert_eq!(kind, Some(expected), "{what}");
        let disconnect = |event: &Event| matches!(event, Event::Disconnected { .. });
        let gone = client.events.stamp_of(disconnect).unwrap();
        assert!(seen.stamp() < gone, "{what}: the request hears of it first");
    }
    let connections = if failed < 2 || crossed { 2 } else { 1 };
    assert_eq!(client.events.connects(), connections, "{what}");
    client.pool.destroy();
    within(&what, client.events.closed()).await;
    drop(client);
    drop(proxy);
    drop(peer);
}

#[tokio::test]
async fn a_reset_at_any_byte_fails_one_request_and_the_others_are_sent_anew() {
    for at in 0..3 * numbered(0).len() as u64 {
        faulty(at, FaultAction::Reset).await;
    }
}

#[tokio::test]
async fn an_end_at_any_byte_fails_one_request_and_the_others_are_sent_anew() {
    for at in 0..3 * numbered(0).len() as u64 {
        faulty(at, FaultAction::Fin).await;
    }
}

#[tokio::test]
async fn silence_at_any_byte_fails_one_request_and_the_others_are_sent_anew() {
    for at in 0..3 * numbered(0).len() as u64 {
        faulty(at, FaultAction::Stall).await;
    }
}

/// Serves the first connection with `script` and answers everything on later ones with `OK`.
async fn first_then_ok<F, Fut>(script: F) -> (ScriptedPeer, Arc<Mutex<Vec<String>>>)
where
    F: Fn(dodici_testkit::Conn) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let later = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&later);
    let script = Arc::new(script);
    let peer = ScriptedPeer::tcp().await.run(move |mut conn| {
        let (script, seen) = (Arc::clone(&script), Arc::clone(&seen));
        async move {
            if conn.index() == 0 {
                return script(conn).await;
            }
            while let Some(head) = conn.next_head().await {
                conn.read_body(&head).await;
                seen.lock().push(head.target);
                conn.send(OK).await;
            }
        }
    });
    (peer, later)
}

#[tokio::test]
async fn connection_close_in_the_middle_sends_the_rest_anew_in_order() {
    let (peer, later) = first_then_ok(|mut conn| async move {
        for _ in 0..4 {
            conn.read_head().await;
        }
        // What comes behind it is nobody's.
        conn.send(format!(
            "{OK}HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok{}",
            "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
        ))
        .await;
        conn.closed().await;
    })
    .await;
    let client = Client::new(peer.port(), depth(4));
    let calls = gets(&client, 4);
    assert_eq!(bodies(&calls).await, ["ok"; 4]);
    assert_eq!(*later.lock(), ["/2", "/3"]);
    assert_eq!(ended(&client)[0].reason, CloseReason::NotReusable);
    assert_eq!(ended(&client)[0].requests, 2);
    shut_down(client, peer).await;
}

#[tokio::test]
async fn a_body_until_close_ends_the_pipeline() {
    let (peer, later) = first_then_ok(|mut conn| async move {
        for _ in 0..3 {
            conn.read_head().await;
        }
        conn.send(format!("{OK}HTTP/1.1 200 OK\r\n\r\nuntil the end"))
            .await;
        conn.fin().await;
        conn.closed().await;
    })
    .await;
    let client = Client::new(peer.port(), depth(3));
    let calls = gets(&client, 3);
    assert_eq!(bodies(&calls).await, ["ok", "until the end", "ok"]);
    assert_eq!(*later.lock(), ["/2"]);
    shut_down(client, peer).await;
}

#[tokio::test]
async fn a_malformed_response_fails_its_request_and_no_other() {
    let (peer, later) = first_then_ok(|mut conn| async move {
        for _ in 0..3 {
            conn.read_head().await;
        }
        conn.send(format!(
            "{OK}HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\nok{OK}"
        ))
        .await;
        conn.closed().await;
    })
    .await;
    let client = Client::new(peer.port(), depth(3));
    let calls = gets(&client, 3);
    let error = within("error", calls[1].error()).await;
    assert!(matches!(error.kind(), ErrorKind::Parse(_)), "{error:?}");
    assert_eq!(bodies([&calls[0], &calls[2]]).await, ["ok", "ok"]);
    assert_eq!(*later.lock(), ["/2"]);
    assert_eq!(ended(&client)[0].reason, CloseReason::ProtocolError);
    shut_down(client, peer).await;
}

#[tokio::test]
async fn a_response_that_nobody_asked_for_ends_the_connection_at_rest() {
    let (peer, _) = first_then_ok(|mut conn| async move {
        conn.read_head().await;
        conn.read_head().await;
        conn.send(OK.repeat(3)).await;
        conn.closed().await;
    })
    .await;
    let client = Client::new(peer.port(), depth(3));
    let calls = gets(&client, 2);
    assert_eq!(bodies(&calls).await, ["ok", "ok"]);
    within("disconnect", client.disconnected(1)).await;
    assert_eq!(ended(&client)[0].reason, CloseReason::UnsolicitedData);
    assert_eq!(bodies(&[client.get("/next")]).await, ["ok"]);
    client.pool.destroy();
    within("close", client.events.closed()).await;
}

/// Two requests to a server that sends `behind` in one breath with its first response; only one is
/// in flight.
async fn with_behind(
    config: OriginConfig,
    behind: &'static str,
) -> (Vec<Call>, Vec<String>, ErrorKind) {
    let (peer, later) = first_then_ok(move |mut conn| async move {
        conn.read_head().await;
        conn.send(format!("{OK}{behind}")).await;
        conn.closed().await;
    })
    .await;
    let client = Client::new(peer.port(), config);
    let calls = gets(&client, 2);
    assert_eq!(bodies(&calls[..1]).await, ["ok"]);
    within("end", calls[1].settled()).await;
    let info = &ended(&client)[0];
    assert_eq!(info.reason, CloseReason::UnsolicitedData);
    let why = info.error.as_ref().unwrap().kind();
    shut_down(client, peer).await;
    let later = later.lock().clone();
    (calls, later, why)
}

#[tokio::test]
async fn bytes_behind_a_response_that_are_none_fail_the_next_request_of_an_eager_pool_only() {
    for eager in [true, false] {
        let mut config = depth(1);
        config.pool.eager = eager;
        let (calls, later, why) = with_behind(config, "1111\r\n").await;
        assert!(matches!(why, ErrorKind::Parse(_)), "{why:?}");
        if eager {
            let error = within("error", calls[1].error()).await;
            assert!(matches!(error.kind(), ErrorKind::Parse(_)), "{error:?}");
        } else {
            assert_eq!(bodies(&calls[1..]).await, ["ok"]);
        }
        assert_eq!(later.is_empty(), eager);
    }
}

#[tokio::test]
async fn a_response_that_nobody_asked_for_is_the_answer_to_no_later_request() {
    for eager in [true, false] {
        let mut config = depth(1);
        config.pool.eager = eager;
        let (calls, later, why) =
            with_behind(config, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil").await;
        assert_eq!(why, ErrorKind::Socket);
        assert_eq!(bodies(&calls[1..]).await, ["ok"]);
        assert_eq!(later, ["/1"]);
    }
}

#[tokio::test]
async fn a_server_that_speaks_first_answers_the_first_request() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        conn.send(numbered(0)).await;
        conn.read_head().await;
        conn.read_head().await;
        conn.send(numbered(1)).await;
        conn.closed().await;
    });
    let mut config = depth(3);
    config.exchange.early_answer = true;
    let client = Client::new(peer.port(), config);
    client.pool.connect();
    let connected = |event: &Event| matches!(event, Event::Connected { .. });
    within("connect", client.events.wait_for(connected)).await;
    let calls = gets(&client, 2);
    assert_eq!(bodies(&calls).await, ["0", "1"]);
    shut_down(client, peer).await;
}

#[tokio::test]
async fn a_server_that_speaks_first_does_not_keep_a_pulled_body_waiting() {
    let said = Signal::new();
    let saying = said.clone();
    let peer = ScriptedPeer::tcp().await.run(move |mut conn| {
        let saying = saying.clone();
        async move {
            if conn.index() == 0 {
                conn.send(OK).await;
                saying.raise();
                conn.closed().await;
                return;
            }
            let head = conn.read_head().await;
            conn.read_body(&head).await;
            conn.send(OK).await;
            conn.closed().await;
        }
    });
    let client = Client::new(peer.port(), depth(2));
    client.pool.connect();
    within("the peer speaks", said.raised()).await;
    // So that what it said has been read, which the test does not rely on.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let call = client.send(post_chunked("/"));
    call.chunk("body");
    call.finish();
    assert_eq!(within("response", call.ended()).await.body, b"ok");
    shut_down(client, peer).await;
}

#[tokio::test]
async fn a_request_that_cannot_be_repeated_is_never_sent_twice() {
    // Cut before, inside and behind the answer to the POST.
    for cut in [0, 10, OK.len()] {
        let posts = Arc::new(Mutex::new(0));
        let counted = Arc::clone(&posts);
        let peer = ScriptedPeer::tcp().await.run(move |mut conn| {
            let counted = Arc::clone(&counted);
            async move {
                let first = conn.index() == 0;
                let mut read = 0;
                while let Some(head) = conn.next_head().await {
                    conn.read_body(&head).await;
                    read += 1;
                    *counted.lock() += usize::from(head.target == "/post");
                    if !first {
                        conn.send(OK).await;
                    } else if read == 3 {
                        conn.send(&OK[..cut]).await;
                        return conn.reset();
                    }
                }
            }
        });
        let client = Client::new(peer.port(), depth(3));
        let mut request = post("/post", "id", "body");
        request.blocking = false;
        let post = client.send(request);
        let calls = gets(&client, 2);
        let seen = within("post", post.settled()).await;
        // A reset may overtake what was sent before it.
        assert!(seen.error_kind() == Some(ErrorKind::Socket) || cut == OK.len());
        for call in calls {
            within("get", call.settled()).await;
        }
        assert_eq!(*posts.lock(), 1, "cut at {cut}");
        client.pool.destroy();
        within("close", client.events.closed()).await;
    }
}

// --- aborts ---

#[tokio::test]
async fn an_abort_of_a_written_request_costs_the_connection_and_no_other_request() {
    for victim in 0..3 {
        let all = Signal::new();
        let there = all.clone();
        let (peer, later) = first_then_ok(move |mut conn| {
            let there = there.clone();
            async move {
                for _ in 0..3 {
                    conn.read_head().await;
                }
                there.raise();
                conn.closed().await;
            }
        })
        .await;
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
        assert_eq!(*later.lock(), order);
        assert_eq!(ended(&client)[0].reason, CloseReason::Aborted);
        let gone = client
            .events
            .stamp_of(|event| matches!(event, Event::Disconnected { .. }))
            .unwrap();
        assert!(aborted.seen().stamp() < gone);
        shut_down(client, peer).await;
    }
}

#[tokio::test]
async fn an_abort_behind_a_response_that_has_begun_lets_that_one_end() {
    let (begun, goes_on) = (Signal::new(), Signal::new());
    let (start, rest) = (begun.clone(), goes_on.clone());
    let (peer, later) = first_then_ok(move |mut conn| {
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
    })
    .await;
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
    assert_eq!(*later.lock(), ["/2"]);
    shut_down(client, peer).await;
}

#[tokio::test]
async fn a_destroyed_connection_fails_the_request_that_is_due() {
    let all = Signal::new();
    let there = all.clone();
    let (peer, later) = first_then_ok(move |mut conn| {
        let there = there.clone();
        async move {
            for _ in 0..3 {
                conn.read_head().await;
            }
            there.raise();
            conn.closed().await;
        }
    })
    .await;
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
    assert_eq!(*later.lock(), ["/1", "/2"]);
    shut_down(client, peer).await;
}

/// Gives up a connection with three requests, of which the first may have been answered in part.
/// Its server sends `rest` afterwards. Returns the bodies, and who was asked for anew.
async fn give_up(first: Request, begun: &'static str, rest: &'static str) -> [Vec<String>; 2] {
    let all = Signal::new();
    let goes_on = Signal::new();
    let (there, on) = (all.clone(), goes_on.clone());
    let (peer, later) = first_then_ok(move |mut conn| {
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
    })
    .await;
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
    assert_eq!(ended(&client)[0].reason, CloseReason::Aborted);
    shut_down(client, peer).await;
    let later = later.lock().clone();
    [bodies, later]
}

#[tokio::test]
async fn the_requests_of_a_connection_that_is_given_up_are_sent_again() {
    let [bodies, later] = give_up(get("/0"), "", "").await;
    assert_eq!(bodies, ["ok", "ok", "ok"]);
    assert_eq!(later, ["/0", "/1", "/2"]);
}

#[tokio::test]
async fn a_connection_that_is_given_up_lets_a_response_end_that_has_begun() {
    const BEGUN: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nbe";
    let [bodies, later] = give_up(get("/0"), BEGUN, "gun").await;
    assert_eq!(bodies, ["begun", "ok", "ok"]);
    assert_eq!(later, ["/1", "/2"]);
}

#[tokio::test]
async fn a_connection_that_is_given_up_waits_for_what_cannot_be_asked_for_again() {
    let mut first = get("/0");
    first.idempotent = false;
    let [bodies, later] = give_up(first, "", OK).await;
    assert_eq!(bodies, ["ok", "ok", "ok"]);
    assert_eq!(later, ["/1", "/2"]);
}

#[tokio::test]
async fn a_connection_at_rest_that_is_given_up_ends() {
    let (peer, later) = first_then_ok(|mut conn| async move {
        conn.read_head().await;
        conn.send(OK).await;
        conn.closed().await;
    })
    .await;
    let client = Client::new(peer.port(), depth(3));
    assert_eq!(bodies(&gets(&client, 1)).await, ["ok"]);
    let conn = client.events.open_connections()[0];
    client.pool.give_up_connection(conn);
    within("disconnect", client.disconnected(1)).await;
    assert_eq!(ended(&client)[0].reason, CloseReason::Aborted);
    assert_eq!(bodies(&[client.get("/next")]).await, ["ok"]);
    assert_eq!(*later.lock(), ["/next"]);
    shut_down(client, peer).await;
}

#[tokio::test]
async fn a_destroyed_pool_fails_all() {
    let all = Signal::new();
    let there = all.clone();
    let (peer, _) = first_then_ok(move |mut conn| {
        let there = there.clone();
        async move {
            for _ in 0..3 {
                conn.read_head().await;
            }
            there.raise();
            conn.closed().await;
        }
    })
    .await;
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
async fn a_closed_pool_answers_what_it_has() {
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

// --- credit ---

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
            let used_up = |seen: &dodici_testkit::recording::Seen| {
                (seen.cost() >= granted || seen.body.len() == LEN).then_some(())
            };
            slow.wait(used_up).await;
            // No byte above what was granted.
            assert!(slow.seen().body.len() as u64 <= granted);
            assert!(next.seen().head.is_none() || slow.seen().body.len() == LEN);
            granted += 100_000;
            slow.handle.credit(100_000);
        }
        assert_eq!(within("slow", slow.ended()).await.body.len(), LEN);
        assert_eq!(bodies(&[next]).await, ["ok"]);
        shut_down(client, peer).await;
    }
}

#[tokio::test]
async fn what_comes_behind_a_body_that_is_read_in_place_is_not_part_of_it() {
    const LEN: usize = 65_536;
    let (peer, _) = first_then_ok(|mut conn| async move {
        conn.read_head().await;
        let body = "x".repeat(LEN);
        conn.send(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {LEN}\r\n\r\n{body}{OK}"
        ))
        .await;
        conn.closed().await;
    })
    .await;
    let client = Client::new(peer.port(), depth(2)).in_place(true);
    let seen = within("body", client.get("/large").ended()).await;
    assert_eq!(seen.body.len(), LEN);
    assert!(seen.body.iter().all(|byte| *byte == b'x'));
    within("disconnect", client.disconnected(1)).await;
    assert_eq!(ended(&client)[0].reason, CloseReason::UnsolicitedData);
    assert_eq!(bodies(&[client.get("/next")]).await, ["ok"]);
    client.pool.destroy();
    within("close", client.events.closed()).await;
}

#[tokio::test]
async fn huge_bodies_come_whole_behind_each_other() {
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
        shut_down(client, peer).await;
    }
}

#[tokio::test]
async fn a_body_cut_short_where_it_is_read_in_place_fails_its_request() {
    let (peer, later) = first_then_ok(|mut conn| async move {
        conn.read_head().await;
        conn.read_head().await;
        let body = "x".repeat(100_000);
        conn.send(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n{body}"
        ))
        .await;
        conn.fin().await;
        conn.closed().await;
    })
    .await;
    let client = Client::new(peer.port(), depth(2)).in_place(true);
    let calls = gets(&client, 2);
    let error = within("error", calls[0].error()).await;
    assert_eq!(error.kind(), ErrorKind::Socket);
    assert_eq!(error.message(), "other side closed");
    assert_eq!(within("next", calls[1].ended()).await.body, b"ok");
    assert_eq!(*later.lock(), ["/1"]);
    shut_down(client, peer).await;
}

#[tokio::test]
async fn a_body_above_the_limit_fails_its_request_and_no_other() {
    for (in_place, len) in [(false, 100_usize), (true, 100_000)] {
        let (peer, later) = first_then_ok(move |mut conn| async move {
            conn.read_head().await;
            conn.read_head().await;
            let body = "x".repeat(len);
            conn.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n{body}{OK}"
            ))
            .await;
            conn.closed().await;
        })
        .await;
        let mut config = depth(2);
        config.exchange.max_response_size = Some(len as u64 - 1);
        let client = Client::new(peer.port(), config).in_place(in_place);
        let calls = gets(&client, 2);
        let error = within("error", calls[0].error()).await;
        assert_eq!(error.kind(), ErrorKind::ResponseExceededMaxSize);
        assert_eq!(within("next", calls[1].ended()).await.body, b"ok");
        assert_eq!(*later.lock(), ["/1"]);
        shut_down(client, peer).await;
    }
}

// --- time ---

#[tokio::test(start_paused = true)]
async fn the_headers_timeout_counts_for_the_response_that_is_due() {
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
async fn the_keep_alive_hint_of_the_last_response_ends_the_rest() {
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
    assert_eq!(ended(&client)[0].reason, CloseReason::IdleTimeout);
    drop(client);
    peer.join().await;
}

#[tokio::test]
async fn a_connection_ends_after_its_last_allowed_request() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        while conn.next_head().await.is_some() {
            conn.send(OK).await;
        }
    });
    let mut config = depth(10);
    config.pool.max_requests_per_connection = NonZeroU32::new(3);
    let client = Client::new(peer.port(), config);
    let calls = gets(&client, 7);
    assert_eq!(bodies(&calls).await, ["ok"; 7]);
    client.pool.close();
    within("close", client.events.closed()).await;
    let served: Vec<_> = ended(&client).iter().map(|info| info.requests).collect();
    assert_eq!(served, [3, 3, 1]);
    assert_eq!(ended(&client)[0].reason, CloseReason::MaxRequests);
    drop(client);
    peer.finish().await;
}

// --- sinks ---

/// Panics where it is told to.
struct Panics {
    at: &'static str,
    dropped: Arc<Mutex<Vec<&'static str>>>,
}

impl Panics {
    fn maybe(&self, at: &'static str) {
        assert!(self.at != at, "as the test wants");
    }
}

impl dodici::Sink for Panics {
    fn informational(&mut self, _head: &dodici::ResponseHead) {
        self.maybe("informational");
    }

    fn head(&mut self, _head: &dodici::ResponseHead, _info: &dodici::ExchangeInfo) {
        self.maybe("head");
    }

    fn data(&mut self, _chunk: Bytes) {
        self.maybe("data");
    }

    fn end(&mut self, _trailers: &dodici::HeaderBlock) {
        self.dropped.lock().push("end");
        self.maybe("end");
    }

    fn error(&mut self, _error: dodici::Error) {
        self.dropped.lock().push("error");
    }

    fn upgrade(&mut self, _head: &dodici::ResponseHead, _info: &dodici::ExchangeInfo) {}

    fn pull(&mut self, _bytes: u32) {}
}

#[tokio::test]
async fn a_sink_that_panics_ends_its_own_request_and_no_other() {
    for at in ["informational", "head", "data", "end"] {
        let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
            if conn.index() == 0 {
                for _ in 0..3 {
                    conn.read_head().await;
                }
                conn.send(format!("{OK}HTTP/1.1 103 Early Hints\r\n\r\n{OK}{OK}"))
                    .await;
                conn.closed().await;
                return;
            }
            while conn.next_head().await.is_some() {
                conn.send(OK).await;
            }
        });
        let client = Client::new(peer.port(), depth(3));
        let told = Arc::new(Mutex::new(Vec::new()));
        let first = client.get("/0");
        let sink = Panics {
            at,
            dropped: Arc::clone(&told),
        };
        client.pool.dispatch(get("/1"), Box::new(sink));
        let last = client.get("/2");
        assert_eq!(bodies([&first, &last]).await, ["ok", "ok"], "{at}");
        let expected: &[&str] = if at == "end" { &["end"] } else { &["error"] };
        assert_eq!(*told.lock(), expected, "{at}");
        shut_down(client, peer).await;
    }
}

/// Gives its own request up with the first bytes of the body, and notes what it is told.
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
async fn a_sink_that_gives_up_in_a_callback_is_told_nothing_but_the_error() {
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
        shut_down(client, peer).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_requests_over_few_connections_all_get_their_own_answer() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        while let Some(head) = conn.next_head().await {
            let body = &head.target;
            conn.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ))
            .await;
        }
    });
    let mut config = depth(10);
    config.pool.connections = NonZeroU32::new(3);
    let client = Client::new(peer.port(), config);
    let calls = gets(&client, 3_000);
    for (n, call) in calls.iter().enumerate() {
        let seen = within("response", call.ended()).await;
        assert_eq!(seen.body, format!("/{n}").into_bytes());
    }
    assert_eq!(peer.accepted(), 3);
    shut_down(client, peer).await;
}
