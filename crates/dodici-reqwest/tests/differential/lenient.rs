//! Responses with invalid framing: both clients read them, and here they end their connection.

use dodici_reqwest::ext::ClientBuilderExt;
use dodici_testkit::within;

use super::*;

/// Head and body; the body is `ok`.
const DOUBTFUL: &[&str] = &[
    "HTTP/1.1 200 OK\ncontent-length: 2\n\nok",
    "HTTP/1.1 200 OK\r\nx: 1\ncontent-length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\nok",
    "HTTP/1.1 103 Early\nx: 1\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2 \r\nok\r\n0\t\r\n\r\n",
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2 \t;a=b\r\nok\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;a b\r\nok\r\n0;\r\n\r\n",
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2; a=\"b\r\nok\r\n0\r\n\r\n",
];

/// Ambiguous responses.
const HOPELESS: &[&str] = &[
    "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
    "HTTP/1.1 200 OK\r\ncontent-length: 2, 3\r\n\r\nok",
    "HTTP/1.1 200 OK\r\ncontent-length: 2,\r\n\r\nok",
    "HTTP/1.1 200 OK\r\ncontent-length:\r\n\r\nok",
    "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\nok\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n 2\r\nok\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2 2\r\nok\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;a\nb\r\nok\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nx: a\rb\r\ncontent-length: 2\r\n\r\nok",
];

const MARKER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nmarker";
const CLEAN: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Answers the first request of its first connection with this, immediately followed by a `tail`,
/// and every other one correctly.
async fn serve(first: &'static str, tail: &'static str) -> ScriptedPeer {
    ScriptedPeer::tcp().await.run(move |mut conn| async move {
        let mut answer = if conn.index() == 0 {
            format!("{first}{tail}")
        } else {
            CLEAN.to_owned()
        };
        while let Some(head) = conn.next_head().await {
            conn.read_body(&head).await;
            conn.send(std::mem::replace(&mut answer, CLEAN.to_owned()))
                .await;
        }
    })
}

#[derive(Clone, Copy, Debug)]
enum Sends {
    Bytes,
    Stream,
}

/// The responses to two consecutive requests.
macro_rules! asked {
    ($krate:ident, $peer:expr, $sends:expr, $configured:expr) => {{
        let client = $configured(
            $krate::Client::builder()
                .no_proxy()
                .retry($krate::retry::never()),
        );
        let client = client.build().unwrap();
        let url = format!("http://127.0.0.1:{}/", $peer.port());
        let mut answers = Vec::new();
        for _ in 0..2 {
            let request = client.post(&url);
            let chunks = futures_util::stream::iter([Ok::<_, std::io::Error>("x")]);
            let request = match $sends {
                Sends::Bytes => request.body("x"),
                Sends::Stream => request.body($krate::Body::wrap_stream(chunks)),
            };
            let answer = async { request.send().await?.text().await };
            answers.push(
                within("an answer", answer)
                    .await
                    .unwrap_or_else(|_| "error".into()),
            );
        }
        answers
    }};
}

#[tokio::test]
async fn doubtful_framing_is_read_and_ends_its_connection() {
    for first in DOUBTFUL {
        for sends in [Sends::Bytes, Sends::Stream] {
            for tail in ["", MARKER] {
                let told = format!("{first:?} {sends:?} {tail:?}");
                let peer = serve(first, tail).await;
                let ours = asked!(dodici_reqwest, peer, sends, |builder| builder);
                assert_eq!(ours, ["ok", "ok"], "{told}");
                assert_eq!(peer.accepted(), 2, "{told}");
            }
            let peer = serve(first, "").await;
            let theirs = asked!(reqwest, peer, sends, |builder| builder);
            assert_eq!(theirs, ["ok", "ok"], "{first:?}");
        }
    }
}

#[tokio::test]
async fn doubtful_framing_is_rejected_on_request() {
    for first in DOUBTFUL {
        let peer = serve(first, "").await;
        let ours = asked!(
            dodici_reqwest,
            peer,
            Sends::Bytes,
            |builder: dodici_reqwest::ClientBuilder| builder.http1_strict_framing(true)
        );
        assert_eq!(ours, ["error", "ok"], "{first:?}");
    }
}

#[tokio::test]
async fn framing_that_can_be_read_in_two_ways_is_refused_by_both() {
    for first in HOPELESS {
        for sends in [Sends::Bytes, Sends::Stream] {
            let (left, right) = (serve(first, "").await, serve(first, MARKER).await);
            let theirs = asked!(reqwest, left, sends, |builder| builder);
            let ours = asked!(dodici_reqwest, right, sends, |builder| builder);
            assert_eq!((&*theirs[0], &*ours[0]), ("error", "error"), "{first:?}");
            assert_eq!(ours[1], "ok", "{first:?}");
        }
    }
}

#[tokio::test]
async fn a_clean_response_keeps_its_connection() {
    for sends in [Sends::Bytes, Sends::Stream] {
        let peer = serve(CLEAN, "").await;
        let ours = asked!(dodici_reqwest, peer, sends, |builder| builder);
        assert_eq!((ours.concat(), peer.accepted()), ("okok".to_owned(), 1));
    }
}
