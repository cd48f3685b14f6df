//! Fields that frame a message or concern its connection, as a proxy copies them from elsewhere.

use dodici_testkit::{Authority, ServerTls};

use super::http2::http2_server;
use super::*;

type Fields = [(&'static str, &'static str)];

/// What both write, with every kind of body.
const ALIKE: &[&Fields] = &[
    &[("transfer-encoding", "chunked")],
    &[("transfer-encoding", "Chunked")],
    &[("transfer-encoding", "gzip")],
    &[("transfer-encoding", "gzip, chunked")],
    &[("connection", "keep-alive")],
    &[("connection", "close")],
    &[("connection", "x-hop, close"), ("x-hop", "1")],
    &[
        ("connection", "keep-alive, x-hop"),
        ("connection", "TE"),
        ("x-hop", "1"),
        ("keep-alive", "timeout=5"),
        ("te", "trailers"),
    ],
    &[
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
    ],
    &[("te", "gzip")],
    &[("trailer", "x-sum")],
    &[
        ("connection", "upgrade, http2-settings"),
        ("upgrade", "h2c"),
        ("http2-settings", "AA"),
    ],
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sends {
    Nothing,
    Bytes,
    Stream,
}

const BODIES: [Sends; 3] = [Sends::Nothing, Sends::Bytes, Sends::Stream];

/// The status, or what the error reports.
macro_rules! ask {
    ($krate:ident, $url:expr, $fields:expr, $sends:expr, $configured:expr, $set:expr) => {{
        let client = $configured($krate::Client::builder().no_proxy());
        let request = client.build().unwrap().post($url);
        let fields = $fields.iter();
        let request = fields.fold(request, |request, (name, value)| {
            request.header(*name, *value)
        });
        let chunks = [Ok::<_, std::io::Error>("te"), Ok("xt")];
        let chunks = futures_util::stream::iter(chunks);
        let request = match $sends {
            Sends::Nothing => request,
            Sends::Bytes => request.body("text"),
            Sends::Stream => request.body($krate::Body::wrap_stream(chunks)),
        };
        match $set(request).send().await {
            Ok(response) => response.status().to_string(),
            Err(error) => format!(
                "builder: {}, request: {}, connect: {}",
                error.is_builder(),
                error.is_request(),
                error.is_connect()
            ),
        }
    }};
}

async fn server() -> ScriptedPeer {
    let script = |conn| by_path(conn, |_| with_body("200 OK", "", ""));
    ScriptedPeer::tcp().await.run(script)
}

fn address(peer: &ScriptedPeer) -> String {
    format!("http://127.0.0.1:{}/", peer.port())
}

#[tokio::test]
async fn fields_about_the_connection_are_written_the_same() {
    for fields in ALIKE {
        for sends in BODIES {
            let (left, right) = (server().await, server().await);
            let theirs = ask!(reqwest, address(&left), fields, sends, |b| b, |r| r);
            let ours = ask!(dodici_reqwest, address(&right), fields, sends, |b| b, |r| r);
            let told = format!("{fields:?} {sends:?}, left is reqwest");
            assert_eq!(
                (theirs.as_str(), ours.as_str()),
                ("200 OK", "200 OK"),
                "{told}"
            );
            assert_eq!(wire(&left), wire(&right), "{told}");
            assert_eq!(wire(&right).len(), 1, "{told}");
        }
    }
}

#[tokio::test]
async fn over_http2_they_are_left_out_the_same() {
    for fields in ALIKE {
        for sends in BODIES {
            let (left, heard_left) = http2_server().await;
            let (right, heard_right) = http2_server().await;
            let theirs = ask!(
                reqwest,
                &left[0],
                fields,
                sends,
                |b: reqwest::ClientBuilder| b.http2_prior_knowledge(),
                |r| r
            );
            let ours = ask!(
                dodici_reqwest,
                &right[0],
                fields,
                sends,
                |b: dodici_reqwest::ClientBuilder| b.http2_prior_knowledge(),
                |r| r
            );
            let told = format!("{fields:?} {sends:?}, left is reqwest");
            assert_eq!(
                (theirs.as_str(), ours.as_str()),
                ("200 OK", "200 OK"),
                "{told}"
            );
            // If the caller sets `chunked`, the length is not sent, whatever the protocol; and
            // `te: trailers` applies to HTTP/2, too, however it was sent over HTTP/1.1.
            let plain = |heard: &http2::Heard| {
                let heard = heard.lock().unwrap().join("\n");
                let heard = heard.replace("(\"content-length\", \"4\")", "");
                heard
                    .replace(", (\"te\", \"trailers\")", "")
                    .replace(", ]", "]")
            };
            assert_eq!(plain(&heard_left), plain(&heard_right), "{told}");
        }
    }
}

/// reqwest writes them, and then as much of the body as they say.
#[tokio::test]
async fn fields_that_contradict_the_body_are_an_error() {
    const WRONG: &[(&Fields, Sends)] = &[
        (&[("content-length", "3")], Sends::Bytes),
        (&[("content-length", "9")], Sends::Bytes),
        (&[("content-length", "x")], Sends::Bytes),
        (&[("content-length", "4")], Sends::Nothing),
        (
            &[("content-length", "4"), ("content-length", "5")],
            Sends::Bytes,
        ),
        (&[("transfer-encoding", "chunked, gzip")], Sends::Bytes),
        (&[("transfer-encoding", "chunked, chunked")], Sends::Stream),
    ];
    for (fields, sends) in WRONG {
        let peer = server().await;
        let ours = ask!(dodici_reqwest, address(&peer), fields, *sends, |b| b, |r| r);
        assert!(ours.contains("true"), "{fields:?} {sends:?}: {ours}");
        assert_eq!(peer.accepted(), 0, "{fields:?} {sends:?}");
    }
    let peer = server().await;
    let fields = [("content-length", "3")];
    let theirs = ask!(reqwest, address(&peer), fields, Sends::Bytes, |b| b, |r| r);
    assert_eq!(theirs, "200 OK");
    assert_eq!(wire(&peer)[0].2, "tex");
}

/// The streamed body of a `GET`; reqwest silently drops it.
#[tokio::test]
async fn a_streamed_body_is_sent_whatever_the_method() {
    macro_rules! sent {
        ($krate:ident) => {{
            let peer = server().await;
            let chunks = futures_util::stream::iter([Ok::<_, std::io::Error>("text")]);
            let request = $krate::Client::new().get(address(&peer));
            let body = $krate::Body::wrap_stream(chunks);
            request.body(body).send().await.unwrap();
            wire(&peer)[0].2.clone()
        }};
    }
    assert_eq!(sent!(reqwest), "");
    assert_eq!(sent!(dodici_reqwest), "4\r\ntext\r\n0\r\n\r\n");
}

/// HTTP/1.0 has no chunked coding: reqwest sends the request without its body.
#[tokio::test]
async fn a_body_of_unknown_length_is_rejected_over_http_1_0() {
    let old = http::Version::HTTP_10;
    let peer = server().await;
    let ours = ask!(
        dodici_reqwest,
        address(&peer),
        [("x", "1")],
        Sends::Stream,
        |b| b,
        |r: dodici_reqwest::RequestBuilder| r.version(old)
    );
    assert_eq!(ours, "builder: true, request: false, connect: false");
    assert_eq!(peer.accepted(), 0);
    let fields = [("transfer-encoding", "chunked"), ("content-length", "4")];
    for sends in [Sends::Bytes, Sends::Stream] {
        let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                head.push(char::from(conn.read_exact(1).await[0]));
            }
            assert!(head.starts_with("POST / HTTP/1.0\r\n"), "{head}");
            assert!(head.contains("content-length: 4\r\n"), "{head}");
            assert!(!head.contains("transfer-encoding"), "{head}");
            assert_eq!(conn.read_exact(4).await, b"text");
            conn.send("HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n")
                .await;
        });
        let ours = ask!(
            dodici_reqwest,
            address(&peer),
            fields,
            sends,
            |b| b,
            |r: dodici_reqwest::RequestBuilder| r.version(old)
        );
        assert_eq!(ours, "200 OK");
        peer.finish().await;
    }
}

#[tokio::test]
async fn a_request_for_http2_is_not_sent_over_http1() {
    let ours = Authority::new("ours");
    let pem = ours.pem().as_bytes();
    let new = http::Version::HTTP_2;
    let script = |conn| by_path(conn, |_| with_body("200 OK", "", ""));
    macro_rules! asked {
        ($krate:ident, $url:expr, $version:expr) => {{
            let trust = [$krate::Certificate::from_pem(pem).unwrap()];
            let client = $krate::Client::builder().no_proxy().http1_only();
            let client = client.tls_certs_only(trust).build().unwrap();
            let mut answers = Vec::new();
            for version in [http::Version::HTTP_11, $version] {
                let answer = client.get($url).version(version).send().await;
                answers.push(match answer {
                    Ok(response) => response.status().to_string(),
                    Err(error) => format!("{} {}", error.is_request(), error.is_connect()),
                });
            }
            answers
        }};
    }
    for secure in [false, true] {
        let tls = ServerTls::new(&ours.localhost());
        let peer = ScriptedPeer::tcp().await;
        let peer = if secure { peer.tls(tls) } else { peer };
        let peer = peer.run(script);
        let scheme = if secure { "https" } else { "http" };
        let url = format!("{scheme}://localhost:{}/", peer.port());
        for version in [new, http::Version::HTTP_3, http::Version::HTTP_09] {
            let theirs = asked!(reqwest, &url, version);
            assert_eq!(theirs, ["200 OK", "true false"]);
            let ours = asked!(dodici_reqwest, &url, version);
            let unknown = version != new;
            let refused = if unknown { "false false" } else { "true false" };
            assert_eq!(ours, ["200 OK", refused]);
        }
        // What was rejected was not written, and closed no connection.
        let heads = wire(&peer);
        assert_eq!(heads.len(), 6);
    }
}
