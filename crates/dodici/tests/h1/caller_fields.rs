//! The caller's fields that concern the engine are honoured on every path.

use std::convert::Infallible;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use dodici::{HeaderBlock, OriginConfig, RawHeaders, SendBody};
use dodici_testkit::{Client, OK, ScriptedPeer, within};
use http_body::{Body, Frame};

/// A body of unknown length in one frame.
struct Stream(Option<Bytes>);

impl Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }
}

#[derive(Clone, Copy, Debug)]
enum Way {
    Plain,
    Full,
    Streamed,
    Expect,
}

fn request(
    way: Way,
    close: bool,
    raw: bool,
    version: http::Version,
) -> http::Request<SendBody<Stream>> {
    let bytes = Bytes::from_static(b"body");
    let mut fields = HeaderBlock::new();
    match way {
        Way::Expect => fields.push(b"Expect", b"100-continue"),
        Way::Plain | Way::Full | Way::Streamed => {}
    }
    if close {
        fields.push(b"Connection", b"x-mine, Close");
    }
    let mut request = http::Request::builder()
        .version(version)
        .method("POST")
        .uri("/");
    if raw {
        request = request.extension(RawHeaders(fields));
    } else {
        for (name, value) in fields.iter() {
            request = request.header(name, value);
        }
    }
    let body = match way {
        Way::Plain => SendBody::Full(Bytes::new()),
        Way::Full => SendBody::Full(bytes),
        Way::Streamed | Way::Expect => SendBody::Stream(Stream(Some(bytes))),
    };
    request.body(body).unwrap()
}

/// Sends two consecutive requests; returns how many connections they used.
async fn connections(
    way: Way,
    close: bool,
    raw: bool,
    version: http::Version,
    pipelining: u32,
) -> usize {
    let peer = ScriptedPeer::tcp().await.run(move |mut conn| async move {
        loop {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match conn.read_up_to(1).await {
                    Some(byte) => head.extend(byte),
                    None => return,
                }
            }
            if matches!(way, Way::Expect) {
                conn.send("HTTP/1.1 100 Continue\r\n\r\n").await;
            }
            match way {
                Way::Plain => {}
                Way::Full => drop(conn.read_exact(4).await),
                Way::Streamed | Way::Expect => {
                    while conn.read_line().await != "0" {}
                    assert_eq!(conn.read_line().await, "");
                }
            }
            conn.send(OK).await;
        }
    });
    let mut config = OriginConfig::default();
    config.pool.max_connections = NonZeroU32::new(1);
    config.pool.pipelining = pipelining;
    let client = Client::new(peer.port(), config);
    for _ in 0..2 {
        let (parts, body) = request(way, close, raw, version).into_parts();
        let sent = client.pool.send_known(&parts, body, None);
        let response = within("an answer", sent).await.unwrap();
        let (body, _) = within("a body", response.into_body().collect())
            .await
            .unwrap();
        assert_eq!(body, "ok");
    }
    let accepted = peer.accepted();
    client.pool.destroy();
    within("close", client.events.closed()).await;
    peer.finish().await;
    accepted
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_ends_with_a_request_that_closes_it() {
    let ways = [Way::Plain, Way::Full, Way::Streamed, Way::Expect];
    for way in ways {
        for raw in [false, true] {
            for pipelining in [1, 3] {
                let case = format!("{way:?}, raw {raw}, pipelining {pipelining}");
                let version = http::Version::HTTP_11;
                assert_eq!(
                    connections(way, true, raw, version, pipelining).await,
                    2,
                    "{case}"
                );
                assert_eq!(
                    connections(way, false, raw, version, pipelining).await,
                    1,
                    "{case}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_request_of_http_1_0_ends_its_connection() {
    let version = http::Version::HTTP_10;
    assert_eq!(connections(Way::Plain, false, false, version, 1).await, 2);
}
