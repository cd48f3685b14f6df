//! Servers that do what they should not, or need not, and the outcome of the request: by default
//! as in reqwest, with the settings of the npm package as in undici.

use std::time::Duration;

use dodici::{
    CloseReason, ErrorKind, Event, OriginConfig, Request, RequestKind, RootSource,
    UnexpectedContinue,
};
use dodici_testkit::client::{post, post_chunked};
use dodici_testkit::config::config;
use dodici_testkit::with;
use dodici_testkit::{
    Authority, Call, Client, H2Peer, OK, ScriptedPeer, ServerTls, Signal, within,
};
use tokio::time::Instant;

/// Without a streamed body, and with one: two paths through the engine.
const WAYS: [bool; 2] = [false, true];

fn send(client: &Client, streamed: bool) -> Call {
    if !streamed {
        return client.get("/");
    }
    let call = client.send(post_chunked("/"));
    call.finish();
    call
}

async fn shut_down(client: Client, peer: ScriptedPeer) {
    client.pool.destroy();
    client.finish(peer).await;
}

// --- a body delimited by close ---

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_does_not_end_a_body_delimited_by_close() {
    for streamed in WAYS {
        for ends_body in [false, true] {
            let read = Signal::new();
            let half = read.clone();
            let peer = ScriptedPeer::tcp().await.run(move |mut conn| {
                let half = half.clone();
                async move {
                    let head = conn.read_head().await;
                    conn.read_body(&head).await;
                    conn.send("HTTP/1.1 200 OK\r\n\r\nhalf").await;
                    half.raised().await;
                    conn.reset();
                }
            });
            let change = |config: &mut OriginConfig| {
                config.exchange.abrupt_close_ends_body = ends_body;
            };
            let client = Client::new(peer.port(), config(change));
            let call = send(&client, streamed);
            within(
                "half",
                call.wait(|seen| (seen.body == b"half").then_some(())),
            )
            .await;
            read.raise();
            let seen = within("an outcome", call.settled()).await;
            let expected = (!ends_body).then_some(ErrorKind::Socket);
            assert_eq!(seen.error_kind(), expected, "streamed: {streamed}");
            shut_down(client, peer).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_without_close_notify_does_not_end_such_a_body() {
    let authority = Authority::new("test");
    let tls = ServerTls::new(&authority.localhost());
    for streamed in WAYS {
        for (ends_body, orderly) in [(false, false), (false, true), (true, false)] {
            let peer = ScriptedPeer::tcp().await.tls(tls.clone());
            let peer = peer.run(move |mut conn| async move {
                let head = conn.read_head().await;
                conn.read_body(&head).await;
                conn.send("HTTP/1.1 200 OK\r\n\r\nhalf").await;
                if orderly {
                    conn.fin().await;
                } else {
                    conn.fin_without_notify().await;
                }
                conn.closed().await;
            });
            let client = Client::tls(
                peer.port(),
                config(|config| {
                    let pem = authority.pem().as_bytes().to_vec();
                    config.connect.tls.roots = RootSource::Custom(vec![pem]);
                    config.exchange.abrupt_close_ends_body = ends_body;
                }),
            );
            let seen = within("an outcome", send(&client, streamed).settled()).await;
            assert_eq!(seen.body, b"half");
            let expected = (!ends_body && !orderly).then_some(ErrorKind::Socket);
            assert_eq!(seen.error_kind(), expected, "streamed: {streamed}");
            shut_down(client, peer).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delimited_body_is_never_complete_before_its_end() {
    let authority = Authority::new("test");
    let tls = ServerTls::new(&authority.localhost());
    let cuts = [
        "Content-Length: 5\r\n\r\nhalf",
        "Connection: close\r\nContent-Length: 5\r\n\r\nhalf",
        "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ];
    for streamed in WAYS {
        for cut in cuts {
            let peer = ScriptedPeer::tcp().await.tls(tls.clone());
            let peer = peer.run(move |mut conn| async move {
                let head = conn.read_head().await;
                conn.read_body(&head).await;
                conn.send(format!("HTTP/1.1 200 OK\r\n{cut}")).await;
                conn.fin_without_notify().await;
                conn.closed().await;
            });
            let client = Client::tls(
                peer.port(),
                config(|config| {
                    let pem = authority.pem().as_bytes().to_vec();
                    config.connect.tls.roots = RootSource::Custom(vec![pem]);
                    config.exchange.abrupt_close_ends_body = true;
                }),
            );
            let call = send(&client, streamed);
            within(cut, call.error()).await;
            shut_down(client, peer).await;
        }
    }
}

// --- empty lines ---

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn empty_lines_before_a_status_line_are_skipped() {
    for streamed in WAYS {
        let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
            for lines in ["\r\n", "\r\n\r\n", "\r\n", ""] {
                let head = conn.read_head().await;
                conn.read_body(&head).await;
                conn.send(format!("{lines}{OK}")).await;
            }
            conn.closed().await;
        });
        let client = Client::new(peer.port(), OriginConfig::default());
        for _ in 0..4 {
            let call = send(&client, streamed);
            assert_eq!(within("an answer", call.ended()).await.body, b"ok");
        }
        assert_eq!(peer.accepted(), 1);
        shut_down(client, peer).await;
    }
}

// --- unsolicited 100 Continue ---

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unsolicited_100_is_discarded() {
    let wait = UnexpectedContinue::Await(Duration::from_secs(3600));
    for unexpected in [UnexpectedContinue::Ignore, wait] {
        for streamed in WAYS {
            let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
                for _ in 0..2 {
                    let head = conn.read_head().await;
                    conn.read_body(&head).await;
                    let twice = "HTTP/1.1 100 Continue\r\n\r\n".repeat(2);
                    conn.send(format!("{twice}HTTP/1.1 103 Early\r\n\r\n{OK}"))
                        .await;
                }
                conn.closed().await;
            });
            let change = |config: &mut OriginConfig| {
                config.exchange.unexpected_continue = unexpected;
            };
            let client = Client::new(peer.port(), config(change));
            for _ in 0..2 {
                let seen = within("an answer", send(&client, streamed).ended()).await;
                assert_eq!(seen.body, b"ok");
                let told: Vec<u16> = seen.informational.iter().map(|head| head.status).collect();
                assert_eq!(told, [103]);
            }
            assert_eq!(peer.accepted(), 1);
            shut_down(client, peer).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_100_without_a_response_is_a_bad_response_in_undici_mode() {
    for streamed in WAYS {
        let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
            let head = conn.read_head().await;
            conn.read_body(&head).await;
            conn.send("HTTP/1.1 100 Continue\r\n\r\n").await;
            conn.closed().await;
        });
        let client = Client::new(
            peer.port(),
            config(|config| {
                config.connect.timeout = None;
                config.exchange.headers_timeout = None;
                let wait = UnexpectedContinue::Await(Duration::from_secs(2));
                config.exchange.unexpected_continue = wait;
            }),
        );
        let begun = Instant::now();
        let error = send(&client, streamed).error().await;
        assert_eq!(
            (error.kind(), error.message()),
            (ErrorKind::Socket, "bad response")
        );
        assert!(begun.elapsed() >= Duration::from_secs(2));
        client.disconnected(1).await;
        let gone = client
            .events
            .events()
            .into_iter()
            .find_map(|event| match event {
                Event::Disconnected { info, .. } => Some(info.reason),
                _ => None,
            });
        assert_eq!(gone, Some(CloseReason::ProtocolError));
        shut_down(client, peer).await;
    }
}

// --- a response before the request ---

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_before_the_request_are_a_response_only_in_undici_mode() {
    for streamed in WAYS {
        for early_response in [false, true] {
            let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
                conn.send(OK).await;
                conn.closed().await;
            });
            let client = Client::new(
                peer.port(),
                config(|config| {
                    config.exchange.early_response = early_response;
                    // So that a connection is open before there is a request.
                    config.pool.pipelining = 2;
                }),
            );
            client.pool.connect();
            let connected = |event: &Event| matches!(event, Event::Connected { .. });
            within("a connection", client.events.wait_for(connected)).await;
            if !early_response {
                within("its end", client.disconnected(1)).await;
                let gone = client
                    .events
                    .events()
                    .into_iter()
                    .find_map(|event| match event {
                        Event::Disconnected { info, .. } => Some(info.reason),
                        _ => None,
                    });
                assert_eq!(
                    gone,
                    Some(CloseReason::UnsolicitedData),
                    "streamed: {streamed}"
                );
            } else if !streamed {
                let seen = within("an answer", send(&client, streamed).ended()).await;
                assert_eq!(seen.body, b"ok");
            }
            shut_down(client, peer).await;
        }
    }
}

// --- CONNECT ---

fn connect() -> Request {
    let mut request = Request::new("CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n");
    request.kind = RequestKind::Connect;
    request
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejected_connect_is_a_response_or_in_undici_mode_a_byte_stream() {
    for http2 in [false, true] {
        for like_undici in [false, true] {
            let peer = ScriptedPeer::tcp().await.run(move |mut conn| async move {
                if http2 {
                    let mut peer = H2Peer::accept(conn, &[]).await;
                    let stream = peer.next_head().await.unwrap();
                    peer.head(stream, 407, &[("x-why", "no")], false).await;
                    peer.data(stream, "no", true).await;
                    peer.closed().await;
                } else {
                    conn.read_head().await;
                    conn.send("HTTP/1.1 407 No\r\nx-why: no\r\ncontent-length: 2\r\n\r\nno")
                        .await;
                    conn.closed().await;
                }
            });
            let mut config = match like_undici {
                true => OriginConfig::undici(),
                false => OriginConfig::default(),
            };
            config.http2.prior_knowledge = http2;
            let client = Client::new(peer.port(), config);
            let call = client.send(connect());
            let whole = call.wait(|seen| (seen.body == b"no").then(|| seen.clone()));
            let seen = within("the answer", whole).await;
            let way = format!("http2: {http2}, like undici: {like_undici}");
            assert_eq!((seen.status(), seen.upgraded), (407, like_undici), "{way}");
            let fields = dodici_testkit::recording::fields(&seen.head.unwrap().headers);
            assert_eq!(fields[0], ("x-why".into(), "no".into()), "{way}");
            call.finish();
            if !like_undici || http2 {
                within("the end", call.ended()).await;
            }
            shut_down(client, peer).await;
        }
    }
}

// --- 100 Continue over HTTP/2 ---

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_100_over_http2_is_reported_only_in_undici_mode() {
    for expected in [false, true] {
        for like_undici in [false, true] {
            let peer = ScriptedPeer::tcp().await.run(|conn| async move {
                let mut peer = H2Peer::accept(conn, &[]).await;
                let stream = peer.next_head().await.unwrap();
                peer.head(stream, 100, &[], false).await;
                let mut frame = peer.next_frame_of(stream).await.unwrap();
                while frame.payload.is_empty() {
                    frame = peer.next_frame_of(stream).await.unwrap();
                }
                assert_eq!(frame.payload, b"body");
                peer.respond(stream, "ok").await;
                peer.closed().await;
            });
            let mut config = match like_undici {
                true => OriginConfig::undici(),
                false => OriginConfig::default(),
            };
            config.http2.prior_knowledge = true;
            config.exchange.continue_timeout = Duration::from_secs(3600);
            let client = Client::new(peer.port(), config);
            let call = client.send(with(post("/", "id", "body"), |request| {
                request.expect_continue = expected
            }));
            let seen = within("the answer", call.ended()).await;
            assert_eq!(seen.body, b"ok");
            let told: Vec<u16> = seen.informational.iter().map(|head| head.status).collect();
            let wanted: &[u16] = if like_undici { &[100] } else { &[] };
            assert_eq!(told, wanted, "expected: {expected}");
            shut_down(client, peer).await;
        }
    }
}
