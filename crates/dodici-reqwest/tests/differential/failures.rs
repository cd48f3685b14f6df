//! What errors report: each way in which a request can fail, with both clients.

use std::error::Error as StdError;
use std::future::Future;
use std::pin::Pin;

use dodici_testkit::h2::{flag, kind};
use dodici_testkit::{Authority, H2Peer, within};

use super::*;

/// How a connection is treated.
type Script = fn(Conn) -> Pin<Box<dyn Future<Output = ()> + Send>>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Over {
    Http1,
    Http2,
    /// TLS, with our own certificate.
    Tls,
}

/// One way to fail.
struct Case {
    name: &'static str,
    over: Over,
    script: Script,
    /// What both report: the predicates that hold, and what is found in the chain.
    told: &'static str,
    /// The difference here, if any.
    ours: Option<&'static str>,
}

/// Much longer than a busy machine needs for a handshake.
const LIMIT: Duration = Duration::from_secs(1);

/// An error's predicates, and what is found in its chain.
fn chain(error: &(dyn StdError + 'static)) -> Vec<String> {
    let mut found = Vec::new();
    let causes = std::iter::successors(Some(error), |&cause| cause.source());
    for cause in causes {
        if let Some(hyper) = cause.downcast_ref::<hyper::Error>() {
            let says = [
                (hyper.is_incomplete_message(), "incomplete"),
                (hyper.is_timeout(), "late"),
                (hyper.is_canceled(), "canceled"),
            ];
            let says = says.iter().filter(|(holds, _)| *holds);
            found.extend(says.map(|(_, name)| format!("hyper {name}")));
        }
        if let Some(h2) = cause.downcast_ref::<h2::Error>() {
            let code = h2.reason().map(|reason| format!("h2 {reason:?}"));
            found.extend(code);
        }
    }
    found
}

macro_rules! told {
    ($krate:ident, $case:expr, $pem:expr, $url:expr) => {{
        let trust = [$krate::Certificate::from_pem($pem).unwrap()];
        let client = $krate::Client::builder().no_proxy().tls_certs_only(trust);
        let client = client.retry($krate::retry::never()).connect_timeout(LIMIT);
        let client = match $case.over {
            Over::Http2 => client
                .http2_prior_knowledge()
                .http2_keep_alive_interval(LIMIT)
                .http2_keep_alive_timeout(LIMIT),
            _ => client.http1_only(),
        };
        // Longer than the others, so that it ends only what nothing else does.
        let client = client.timeout(LIMIT * 5).build().unwrap();
        let answer = async {
            let response = client.post($url).body("x").send().await?;
            response.bytes().await.map(drop)
        };
        match within($case.name, answer).await {
            Ok(()) => "a response".to_owned(),
            Err(error) => {
                let says = [
                    (error.is_builder(), "builder"),
                    (error.is_redirect(), "redirect"),
                    (error.is_timeout(), "timeout"),
                    (error.is_request(), "request"),
                    (error.is_connect(), "connect"),
                    (error.is_dns(), "dns"),
                    (error.is_body(), "body"),
                    (error.is_decode(), "decode"),
                ];
                let says = says.iter().filter(|(holds, _)| *holds);
                let mut told: Vec<_> = says.map(|(_, name)| (*name).to_owned()).collect();
                told.extend(chain(&error));
                told.join(" ")
            }
        }
    }};
}

async fn asked(conn: &mut Conn) {
    let head = conn.read_head().await;
    conn.read_body(&head).await;
}

/// An HTTP/2 server that has received the request, and its stream.
async fn asked_http2(conn: Conn, settings: &[(u16, u32)]) -> (H2Peer, u32) {
    let mut peer = H2Peer::accept(conn, settings).await;
    let request = peer.next_request().await.expect("a request");
    (peer, request.stream)
}

macro_rules! script {
    (|$conn:ident| $body:block) => {
        |#[allow(unused_mut)] mut $conn: Conn| Box::pin(async move { $body })
    };
}

const CASES: &[Case] = &[
    Case {
        name: "the connection ends before the answer",
        over: Over::Http1,
        script: script!(|conn| {
            asked(&mut conn).await;
        }),
        told: "request hyper incomplete",
        ours: None,
    },
    Case {
        name: "the connection is reset before the answer",
        over: Over::Http1,
        script: script!(|conn| {
            asked(&mut conn).await;
            conn.reset();
        }),
        told: "request",
        ours: None,
    },
    Case {
        name: "the connection ends in the head",
        over: Over::Http1,
        script: script!(|conn| {
            asked(&mut conn).await;
            conn.send("HTTP/1.1 200 OK\r\nx-").await;
        }),
        told: "request hyper incomplete",
        ours: None,
    },
    Case {
        name: "the head is none",
        over: Over::Http1,
        script: script!(|conn| {
            asked(&mut conn).await;
            conn.send("HTTP/1.1 2000 OK\r\n\r\n").await;
            conn.closed().await;
        }),
        told: "request",
        ours: None,
    },
    Case {
        name: "the head is too large",
        over: Over::Http1,
        script: script!(|conn| {
            asked(&mut conn).await;
            let field = format!("x: {}\r\n", "y".repeat(4_000_000));
            conn.send(format!("HTTP/1.1 200 OK\r\n{field}\r\n")).await;
            conn.closed().await;
        }),
        told: "request",
        ours: None,
    },
    Case {
        name: "no head comes",
        over: Over::Http1,
        script: script!(|conn| {
            asked(&mut conn).await;
            conn.closed().await;
        }),
        told: "timeout request",
        ours: None,
    },
    Case {
        name: "the connection ends in a body",
        over: Over::Http1,
        script: script!(|conn| {
            asked(&mut conn).await;
            conn.send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc")
                .await;
        }),
        told: "decode",
        ours: None,
    },
    Case {
        name: "the connection is reset in a body",
        over: Over::Http1,
        script: script!(|conn| {
            asked(&mut conn).await;
            conn.send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc")
                .await;
            conn.reset();
        }),
        told: "decode",
        ours: None,
    },
    Case {
        name: "the connection ends in a chunked body",
        over: Over::Http1,
        script: script!(|conn| {
            asked(&mut conn).await;
            conn.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nabc")
                .await;
        }),
        told: "decode",
        ours: None,
    },
    Case {
        name: "a chunk is none",
        over: Over::Http1,
        script: script!(|conn| {
            asked(&mut conn).await;
            conn.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n")
                .await;
            conn.closed().await;
        }),
        told: "decode",
        ours: None,
    },
    Case {
        name: "a body falls silent",
        over: Over::Http1,
        script: script!(|conn| {
            asked(&mut conn).await;
            conn.send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc")
                .await;
            conn.closed().await;
        }),
        told: "timeout decode",
        ours: None,
    },
    Case {
        name: "the handshake is none",
        over: Over::Tls,
        script: script!(|conn| {
            conn.send("HTTP/1.1 400 Bad Request\r\n\r\n").await;
            conn.closed().await;
        }),
        told: "request connect",
        ours: None,
    },
    Case {
        name: "the connection ends in the handshake",
        over: Over::Tls,
        script: script!(|conn| {
            conn.read_exact(1).await;
        }),
        told: "request connect",
        ours: None,
    },
    Case {
        name: "the connection is reset in the handshake",
        over: Over::Tls,
        script: script!(|conn| {
            conn.read_exact(1).await;
            conn.reset();
        }),
        told: "request connect",
        ours: None,
    },
    Case {
        name: "the handshake falls silent",
        over: Over::Tls,
        script: script!(|conn| {
            conn.closed().await;
        }),
        told: "timeout request connect",
        ours: None,
    },
    Case {
        name: "a PING is not answered",
        over: Over::Http2,
        script: script!(|conn| {
            let (mut peer, _) = asked_http2(conn, &[]).await;
            peer.conn().closed().await;
        }),
        told: "timeout request hyper late",
        ours: Some("timeout request"),
    },
    Case {
        name: "a PING is not answered in a body",
        over: Over::Http2,
        script: script!(|conn| {
            let (mut peer, stream) = asked_http2(conn, &[]).await;
            peer.head(stream, 200, &[], false).await;
            peer.conn().closed().await;
        }),
        told: "decode",
        ours: Some("timeout decode"),
    },
    Case {
        name: "GOAWAY before the answer",
        over: Over::Http2,
        script: script!(|conn| {
            let (mut peer, stream) = asked_http2(conn, &[]).await;
            peer.goaway(stream, 0).await;
        }),
        told: "request",
        ours: None,
    },
    Case {
        name: "GOAWAY with an error before the answer",
        over: Over::Http2,
        script: script!(|conn| {
            let (mut peer, stream) = asked_http2(conn, &[]).await;
            peer.goaway(stream, 2).await;
        }),
        told: "request",
        ours: Some("request h2 INTERNAL_ERROR"),
    },
    Case {
        name: "GOAWAY with an error in a body",
        over: Over::Http2,
        script: script!(|conn| {
            let (mut peer, stream) = asked_http2(conn, &[]).await;
            peer.head(stream, 200, &[], false).await;
            peer.data(stream, "abc", false).await;
            peer.goaway(stream, 11).await;
        }),
        told: "decode",
        ours: Some("decode h2 ENHANCE_YOUR_CALM"),
    },
    Case {
        name: "the stream is refused",
        over: Over::Http2,
        script: script!(|conn| {
            let (mut peer, stream) = asked_http2(conn, &[]).await;
            peer.reset(stream, 7).await;
            peer.closed().await;
        }),
        told: "request h2 REFUSED_STREAM",
        ours: None,
    },
    Case {
        name: "the stream is reset before the answer",
        over: Over::Http2,
        script: script!(|conn| {
            let (mut peer, stream) = asked_http2(conn, &[]).await;
            peer.reset(stream, 2).await;
            peer.closed().await;
        }),
        told: "request h2 INTERNAL_ERROR",
        ours: None,
    },
    Case {
        name: "the stream is reset in a body",
        over: Over::Http2,
        script: script!(|conn| {
            let (mut peer, stream) = asked_http2(conn, &[]).await;
            peer.head(stream, 200, &[], false).await;
            peer.reset(stream, 8).await;
            peer.closed().await;
        }),
        told: "decode h2 CANCEL",
        ours: None,
    },
    Case {
        name: "the connection ends before the answer, over HTTP/2",
        over: Over::Http2,
        script: script!(|conn| {
            asked_http2(conn, &[]).await;
        }),
        told: "request",
        ours: None,
    },
    Case {
        name: "a frame is none",
        over: Over::Http2,
        script: script!(|conn| {
            let (mut peer, stream) = asked_http2(conn, &[]).await;
            peer.send(kind::HEADERS, flag::END_HEADERS, stream, [0xff; 9])
                .await;
            peer.closed().await;
        }),
        told: "request h2 PROTOCOL_ERROR",
        ours: None,
    },
    Case {
        name: "the body is shorter than its length, over HTTP/2",
        over: Over::Http2,
        script: script!(|conn| {
            let (mut peer, stream) = asked_http2(conn, &[]).await;
            peer.head(stream, 200, &[("content-length", "9")], false)
                .await;
            peer.data(stream, "abc", true).await;
            peer.closed().await;
        }),
        told: "decode h2 PROTOCOL_ERROR",
        ours: Some("decode"),
    },
    Case {
        name: "no head comes, over HTTP/2",
        over: Over::Http2,
        script: script!(|conn| {
            let (mut peer, _) = asked_http2(conn, &[]).await;
            peer.closed().await;
        }),
        told: "timeout request",
        ours: None,
    },
];

#[tokio::test]
async fn every_failure_is_reported_the_same() {
    let authority = Authority::new("ours");
    let pem = authority.pem().as_bytes();
    // Concurrently: most of their time is spent waiting.
    let wrong = CASES.iter().map(async |case| {
        let (left, right) = (
            ScriptedPeer::tcp().await.run(case.script),
            ScriptedPeer::tcp().await.run(case.script),
        );
        let scheme = if case.over == Over::Tls {
            "https"
        } else {
            "http"
        };
        let url = |peer: &ScriptedPeer| format!("{scheme}://localhost:{}/", peer.port());
        let theirs = told!(reqwest, case, pem, url(&left));
        let ours = told!(dodici_reqwest, case, pem, url(&right));
        // More causes than reqwest's are harmless, and without a reset there is no code.
        let all = |told: &str, wanted: &str| wanted.split(' ').all(|word| told.contains(word));
        let flags = |told: &str| {
            told.split([' '])
                .take_while(|word| !matches!(*word, "hyper" | "h2"))
                .collect::<Vec<_>>()
                .join(" ")
        };
        let expected = case.ours.unwrap_or(case.told);
        let alike = flags(&ours) == flags(expected) && all(&ours, expected);
        if flags(&theirs) != flags(case.told) || !all(&theirs, case.told) || !alike {
            return Some(format!(
                "{}\n  reqwest {theirs:?}\n  ours    {ours:?}",
                case.name
            ));
        }
        None
    });
    let wrong: Vec<_> = futures_util::future::join_all(wrong).await;
    let wrong: Vec<_> = wrong.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

macro_rules! says {
    ($error:expr) => {{
        let error = &$error;
        let says = [
            (error.is_builder(), "builder"),
            (error.is_timeout(), "timeout"),
            (error.is_request(), "request"),
            (error.is_connect(), "connect"),
            (error.is_body(), "body"),
            (error.is_decode(), "decode"),
        ];
        let says = says.iter().filter(|(holds, _)| *holds);
        says.map(|(_, name)| *name).collect::<Vec<_>>().join(" ")
    }};
}

/// What reqwest's client does not have, or never ends.
#[tokio::test]
async fn failures_of_this_client_alone_are_classified() {
    use dodici_reqwest::ext::ClientBuilderExt;

    // A flood of frames that do no work.
    let peer = ScriptedPeer::tcp().await.run(|conn| async move {
        let (mut peer, _) = asked_http2(conn, &[]).await;
        let pings = dodici_testkit::h2::frame(kind::PING, 0, 0, [0; 8]).repeat(100);
        for _ in 0..10_000 {
            peer.send_raw(&pings).await;
        }
    });
    let client = dodici_reqwest::Client::builder()
        .no_proxy()
        .http2_prior_knowledge();
    let url = format!("http://127.0.0.1:{}/", peer.port());
    let answer = within("an end", client.build().unwrap().get(&url).send()).await;
    assert_eq!(says!(answer.unwrap_err()), "request");

    // The wait for a connection, of which there may be one.
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        asked(&mut conn).await;
        conn.closed().await;
    });
    let url = format!("http://127.0.0.1:{}/", peer.port());
    let client = dodici_reqwest::Client::builder().no_proxy();
    let client = client.max_connections_per_origin(1).build().unwrap();
    let first = tokio::spawn(client.get(&url).send());
    let queued = client.get(&url).timeout(LIMIT / 10).send();
    assert_eq!(
        says!(within("an end", queued).await.unwrap_err()),
        "timeout request"
    );
    first.abort();
}

macro_rules! broken_body {
    ($krate:ident, $url:expr) => {{
        let source = futures_util::stream::iter([Err::<&str, _>(std::io::Error::other("broken"))]);
        let body = $krate::Body::wrap_stream(source);
        let client = $krate::Client::builder().no_proxy().build().unwrap();
        let sent = client.post($url).body(body).send();
        let error = within("an end", sent).await.unwrap_err();
        let causes: Vec<&dyn StdError> =
            std::iter::successors(Some(&error as &dyn StdError), |&cause| cause.source()).collect();
        let own = causes
            .iter()
            .filter_map(|cause| cause.downcast_ref::<$krate::Error>());
        let said = says!(error);
        let of_the_body = own.filter(|error| error.is_body()).count();
        (said, of_the_body, causes.last().unwrap().to_string())
    }};
}

#[tokio::test]
async fn a_body_source_that_fails_is_told_the_same() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        conn.read_head().await;
        conn.closed().await;
    });
    let url = format!("http://127.0.0.1:{}/", peer.port());
    let ours = broken_body!(dodici_reqwest, &url);
    assert_eq!(ours, broken_body!(reqwest, &url));
    assert_eq!(ours, ("request".to_owned(), 1, "broken".to_owned()));
}
