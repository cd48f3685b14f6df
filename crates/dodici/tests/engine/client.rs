//! `Pool::send`: requests and responses in the `http` crate's types.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use dodici::{
    CloseReason, ErrorKind, Event, HeaderBlock, OriginConfig, RawTrailers, RequestOptions,
};
use dodici_testkit::message::{checksum, pattern};
use dodici_testkit::with;
use dodici_testkit::{Client, OK, ScriptedPeer, Signal, TestOrigin, within};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A body of known length in one frame.
struct Full(Option<Bytes>);

fn full(text: &'static str) -> Full {
    Full(Some(Bytes::from_static(text.as_bytes())))
}

impl Body for Full {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

/// A body of unknown length, frame by frame; it then ends, or stalls.
struct Stream {
    frames: VecDeque<Result<Frame<Bytes>, io::Error>>,
    endless: bool,
    dropped: Signal,
}

fn stream(chunks: &[&'static str]) -> Stream {
    let frame = |chunk: &&'static str| Ok(Frame::data(Bytes::from_static(chunk.as_bytes())));
    Stream {
        frames: chunks.iter().map(frame).collect(),
        endless: false,
        dropped: Signal::new(),
    }
}

impl Body for Stream {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.frames.pop_front() {
            None if self.endless => Poll::Pending,
            frame => Poll::Ready(frame),
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.dropped.raise();
    }
}

fn empty() -> Full {
    Full(None)
}

/// The bytes that one request puts on the wire.
async fn wire_of<B>(request: Request<B>) -> String
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        let head = conn.read_head().await;
        conn.read_body(&head).await;
        conn.send(OK).await;
        conn.closed().await;
    });
    let client = Client::new(peer.port(), OriginConfig::default());
    let response = within("response", client.pool.send(request)).await.unwrap();
    within("body", response.into_body().collect())
        .await
        .unwrap();
    client.shut_down().await;
    let port = peer.port().to_string();
    let log = peer.finish().await;
    String::from_utf8(log.connections[0].received.clone())
        .unwrap()
        .replace(&port, "PORT")
}

/// The error of a rejected request; asserts that no connection was attempted.
async fn refusal<B>(request: Request<B>) -> ErrorKind
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let peer = ScriptedPeer::tcp().await.replies(vec![OK]);
    let client = Client::new(peer.port(), OriginConfig::default());
    let error = within("refused", client.pool.send(request))
        .await
        .unwrap_err();
    client.clone().shut_down().await;
    assert_eq!(
        peer.accepted(),
        0,
        "connected for a request that cannot be sent"
    );
    assert!(matches!(client.events.events()[..], [Event::Closed]));
    error.kind()
}

// --- requests ---

#[tokio::test]
async fn a_get_has_a_host_and_no_framing_fields() {
    let wire = wire_of(Request::get("/a?b=c").body(empty()).unwrap()).await;
    assert_eq!(wire, "GET /a?b=c HTTP/1.1\r\nhost: 127.0.0.1:PORT\r\n\r\n");
}

#[tokio::test]
async fn the_host_is_the_callers_or_the_uris_or_the_origins() {
    let uri = Request::get("http://user:pw@example.test:81")
        .body(empty())
        .unwrap();
    let wire = wire_of(uri).await;
    assert_eq!(wire, "GET / HTTP/1.1\r\nhost: example.test:81\r\n\r\n");
    let request = Request::get("http://example.test/x").header("Host", "mine.test");
    let wire = wire_of(request.body(empty()).unwrap()).await;
    assert_eq!(wire, "GET /x HTTP/1.1\r\nhost: mine.test\r\n\r\n");
    let request = Request::get("/").header("host", "a").header("host", "b");
    assert_eq!(
        refusal(request.body(empty()).unwrap()).await,
        ErrorKind::InvalidRequest
    );
}

#[tokio::test]
async fn s04_whatever_the_uri_names_the_request_goes_to_the_pools_origin() {
    for (uri, line) in [
        ("http://evil.test/x", "GET /x HTTP/1.1"),
        ("https://evil.test:9/x", "GET /x HTTP/1.1"),
        ("//evil.test/x", "GET //evil.test/x HTTP/1.1"),
        ("/@evil.test/x", "GET /@evil.test/x HTTP/1.1"),
        ("/http://evil.test/", "GET /http://evil.test/ HTTP/1.1"),
    ] {
        // `wire_of` listens at the origin: that the request arrives there is the point.
        let wire = wire_of(Request::get(uri).body(empty()).unwrap()).await;
        assert_eq!(wire.lines().next(), Some(line), "{uri}");
    }
}

#[tokio::test]
async fn a_body_of_known_length_is_sent_with_its_length() {
    let wire = wire_of(Request::post("/").body(full("hello")).unwrap()).await;
    assert_eq!(
        wire,
        "POST / HTTP/1.1\r\nhost: 127.0.0.1:PORT\r\ncontent-length: 5\r\n\r\nhello"
    );
}

#[tokio::test]
async fn an_empty_post_has_a_length_and_an_empty_delete_has_none() {
    let wire = wire_of(Request::post("/").body(empty()).unwrap()).await;
    assert!(wire.ends_with("\r\ncontent-length: 0\r\n\r\n"), "{wire}");
    let wire = wire_of(Request::delete("/").body(empty()).unwrap()).await;
    assert!(!wire.contains("content-length"), "{wire}");
}

#[tokio::test]
async fn a_stream_is_sent_chunked_with_its_trailers() {
    let mut body = stream(&["hello ", "world"]);
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("1"));
    trailers.append("x-sum", HeaderValue::from_static("2"));
    body.frames.push_back(Ok(Frame::trailers(trailers)));
    let wire = wire_of(Request::post("/").body(body).unwrap()).await;
    assert_eq!(
        wire,
        "POST / HTTP/1.1\r\nhost: 127.0.0.1:PORT\r\ntransfer-encoding: chunked\r\n\r\n\
         6\r\nhello \r\n5\r\nworld\r\n0\r\nx-sum: 1\r\nx-sum: 2\r\n\r\n"
    );
}

#[tokio::test]
async fn s01_a_trailer_that_would_become_several_fields_is_never_written() {
    let bad: [(&[u8], &[u8]); 7] = [
        (b"x", b"1\r\nevil: 1"),
        (b"x", b"1\n\nGET /evil HTTP/1.1"),
        (b"x", b"\0"),
        (b"x: 1\r\nevil", b"1"),
        (b"", b"1"),
        (b"Content-Length", b"5"),
        (b"Transfer-Encoding", b"evil"),
    ];
    for (name, value) in bad {
        let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
            conn.read_head().await;
            conn.closed().await;
        });
        let client = Client::new(peer.port(), OriginConfig::default());
        let mut body = stream(&["text"]);
        body.frames.push_back(Ok(Frame::trailers(HeaderMap::new())));
        let raw = RawTrailers([(name, value)].into_iter().collect());
        let request = Request::post("/").extension(raw).body(body).unwrap();
        let sent = within("refusal", client.pool.send(request)).await;
        assert_eq!(sent.unwrap_err().kind(), ErrorKind::InvalidRequest);
        client.shut_down().await;
        let received = peer.log().connections[0].received.clone();
        let received = String::from_utf8(received).unwrap();
        assert!(!received.contains("evil"), "{received}");
        peer.finish().await;
    }
}

#[tokio::test]
async fn s01_a_field_value_goes_out_as_it_is_and_as_one_field() {
    let value = HeaderValue::from_bytes(b"a\t\xc3\xa9 b").unwrap();
    let request = Request::get("/").header("x-odd", value);
    let wire = wire_of(request.body(empty()).unwrap()).await;
    assert!(wire.ends_with("\r\nx-odd: a\t\u{e9} b\r\n\r\n"), "{wire:?}");
    for bytes in [&b"a\r\nb: c"[..], b"a\nb", b"a\0b", b"a\rb"] {
        assert!(HeaderValue::from_bytes(bytes).is_err());
    }
}

#[tokio::test]
async fn s03_a_length_that_is_not_the_bodys_is_refused_before_any_byte() {
    let lengths: [&[&str]; 6] = [&["4"], &["6"], &["5", "6"], &["+5"], &["5, 5"], &[""]];
    for lengths in lengths {
        let mut request = Request::post("/").body(full("hello")).unwrap();
        for length in lengths {
            let value = HeaderValue::from_str(length).unwrap();
            request.headers_mut().append("content-length", value);
        }
        let kind = refusal(request).await;
        assert_eq!(kind, ErrorKind::RequestContentLengthMismatch, "{lengths:?}");
    }
    let request = Request::get("/").header("content-length", "5");
    let kind = refusal(request.body(empty()).unwrap()).await;
    assert_eq!(kind, ErrorKind::RequestContentLengthMismatch);
}

#[tokio::test]
async fn s03_a_length_with_a_stream_and_any_transfer_encoding_are_rejected() {
    let request = Request::post("/").header("content-length", "5");
    let kind = refusal(request.body(stream(&["hello"])).unwrap()).await;
    assert_eq!(kind, ErrorKind::RequestContentLengthMismatch);
    for coding in ["chunked", "identity", "gzip, chunked"] {
        let request = Request::post("/").header("transfer-encoding", coding);
        let kind = refusal(request.body(full("hello")).unwrap()).await;
        assert_eq!(kind, ErrorKind::InvalidRequest);
    }
}

#[tokio::test]
async fn s03_the_correct_length_is_written_once_however_often_it_is_given() {
    let request = Request::post("/")
        .header("content-length", "5")
        .header("Content-Length", "5");
    let wire = wire_of(request.body(full("hello")).unwrap()).await;
    assert_eq!(wire.matches("content-length: 5\r\n").count(), 1, "{wire}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_stream_arrives_complete() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), OriginConfig::default());
    let all = pattern(5_000_000);
    let mut body = stream(&[]);
    for slice in all.chunks(70_000) {
        body.frames
            .push_back(Ok(Frame::data(Bytes::copy_from_slice(slice))));
    }
    let request = Request::put("/digest").body(body).unwrap();
    let response = within("response", client.pool.send(request)).await.unwrap();
    let (text, _) = within("body", response.into_body().collect())
        .await
        .unwrap();
    assert_eq!(text, format!("5000000 {:016x} 0", checksum(&all)));
    client.shut_down().await;
    origin.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_fails_fails_the_request_with_its_error() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), OriginConfig::default());
    let mut body = stream(&["some"]);
    body.frames.push_back(Err(io::Error::other("disk on fire")));
    let request = Request::post("/echo").body(body).unwrap();
    // The origin panics if a request ends inside its body: stop it before.
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        conn.next_head().await;
        conn.closed().await;
    });
    let failing = Client::new(peer.port(), OriginConfig::default());
    let error = within("error", failing.pool.send(request))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RequestBody);
    assert!(error.message().contains("disk on fire"));
    failing.shut_down().await;
    client.finish(peer).await;
    origin.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_early_response_drops_the_rest_of_the_body() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        conn.read_head().await;
        conn.send("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
            .await;
        conn.closed().await;
    });
    let client = Client::new(peer.port(), OriginConfig::default());
    let mut body = stream(&["some"]);
    body.endless = true;
    let dropped = body.dropped.clone();
    let request = Request::post("/").body(body).unwrap();
    let response = within("response", client.pool.send(request)).await.unwrap();
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let (text, _) = within("body", response.into_body().collect())
        .await
        .unwrap();
    assert_eq!(text, "big");
    within("dropped", dropped.raised()).await;
    client.finish(peer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_is_held_back_by_expect_continue() {
    let origin = TestOrigin::start().await;
    let mut config = OriginConfig::default();
    config.exchange.continue_timeout = Duration::from_secs(3600);
    let client = Client::new(origin.port(), config);
    for _ in 0..2 {
        let request = Request::post("/echo").header("expect", "100-continue");
        let request = request.body(full("held")).unwrap();
        let response = within("response", client.pool.send(request)).await.unwrap();
        let (text, _) = within("body", response.into_body().collect())
            .await
            .unwrap();
        assert_eq!(text, "held");
    }
    client.shut_down().await;
    origin.finish().await;
}

// --- responses ---

#[tokio::test]
async fn a_response_carries_its_parts_and_what_http_types_cannot_hold() {
    let peer = ScriptedPeer::tcp().await.replies(vec![
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n\
         HTTP/1.0 203 Hm\r\nX-Two: 1\r\nx-two: 2\r\nConnection: keep-alive\r\n\
         Content-Length: 4\r\n\r\nbody",
    ]);
    let client = Client::new(peer.port(), OriginConfig::default());
    let request = Request::get("/").body(empty()).unwrap();
    let response = within("response", client.pool.send(request)).await.unwrap();
    assert_eq!(response.status(), 203);
    assert_eq!(response.version(), http::Version::HTTP_10);
    let two: Vec<_> = response.headers().get_all("x-two").iter().collect();
    assert_eq!(two, ["1", "2"]);
    let detail = response.body().detail();
    assert_eq!(detail.head.reason, b"Hm");
    assert_eq!(
        detail.head.headers.iter().next(),
        Some((&b"X-Two"[..], &b"1"[..]))
    );
    assert_eq!(detail.informational.len(), 1);
    assert_eq!(detail.informational[0].status, 103);
    assert!(!detail.info.reused);
    let (body, trailers) = within("body", response.into_body().collect())
        .await
        .unwrap();
    assert_eq!(body, "body");
    assert!(trailers.is_empty());
    client.finish(peer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trailers_are_exact_in_the_block_and_present_as_a_frame() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), OriginConfig::default());
    let request = || Request::get("/chunked/1000/300").body(empty()).unwrap();
    let response = within("response", client.pool.send(request()))
        .await
        .unwrap();
    let (body, block) = within("body", response.into_body().collect())
        .await
        .unwrap();
    assert_eq!(body, pattern(1000));
    let names: Vec<&[u8]> = block.iter().map(|(name, _)| name).collect();
    assert_eq!(names, [&b"X-Checksum"[..], b"X-Part", b"x-part"]);

    let response = within("response", client.pool.send(request()))
        .await
        .unwrap();
    let mut body = response.into_body();
    assert_eq!(body.trailers(), None);
    let mut data = Vec::new();
    let mut map = None;
    let next =
        |body: &mut dodici::IncomingBody, cx: &mut Context<'_>| Pin::new(body).poll_frame(cx);
    while let Some(frame) = within("frame", std::future::poll_fn(|cx| next(&mut body, cx))).await {
        match frame.unwrap().into_data() {
            Ok(chunk) => data.extend_from_slice(&chunk),
            Err(frame) => map = frame.into_trailers().ok(),
        }
    }
    assert_eq!(data, pattern(1000));
    let map = map.unwrap();
    let parts: Vec<_> = map.get_all("x-part").iter().collect();
    assert_eq!(parts, ["1", "2"]);
    assert_eq!(body.trailers().map(HeaderBlock::len), Some(3));
    client.shut_down().await;
    origin.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_gets_a_large_body_complete() {
    let origin = TestOrigin::start().await;
    let mut config = OriginConfig::default();
    config.exchange.window = 10_000;
    let client = Client::new(origin.port(), config);
    let request = Request::get("/bytes/3000000").body(empty()).unwrap();
    let mut body = within("response", client.pool.send(request))
        .await
        .unwrap()
        .into_body();
    let mut all = Vec::new();
    while let Some(chunk) = within("chunk", body.chunk()).await.unwrap() {
        all.extend_from_slice(&chunk);
        tokio::task::yield_now().await;
    }
    assert_eq!(all, pattern(3_000_000));
    assert_eq!(within("nothing more", body.chunk()).await.unwrap(), None);
    client.shut_down().await;
    origin.finish().await;
}

#[tokio::test]
async fn s25_a_truncated_body_is_an_error_to_its_reader() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        conn.read_head().await;
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
            .await;
    });
    let client = Client::new(peer.port(), OriginConfig::default());
    let request = Request::get("/").body(empty()).unwrap();
    let response = within("response", client.pool.send(request)).await.unwrap();
    let error = within("body", response.into_body().collect())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Socket);
    client.finish(peer).await;
}

// --- options, cancelling, upgrades ---

#[tokio::test]
async fn options_of_one_request_are_kept() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), OriginConfig::default());
    let options = with(RequestOptions::default(), |options| {
        options.headers_timeout = Some(Duration::from_millis(30))
    });
    let request = Request::get("/hold")
        .extension(options)
        .body(empty())
        .unwrap();
    let error = within("timeout", client.pool.send(request))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::HeadersTimeout);
    let options = with(RequestOptions::default(), |options| options.reset = true);
    let request = Request::get("/bytes/1")
        .extension(options)
        .body(empty())
        .unwrap();
    let response = within("response", client.pool.send(request)).await.unwrap();
    within("body", response.into_body().collect())
        .await
        .unwrap();
    within("both gone", client.disconnected(2)).await;
    origin.finish().await;
}

/// Reason of the first disconnect.
async fn first_end(client: &Client) -> CloseReason {
    let gone = |event: &Event| matches!(event, Event::Disconnected { .. });
    match within("disconnect", client.events.wait_for(gone)).await {
        Event::Disconnected { info, .. } => info.reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_the_future_cancels_the_request() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), OriginConfig::default());
    let pool = client.pool.clone();
    let request = Request::get("/hold").body(empty()).unwrap();
    let task = tokio::spawn(async move { pool.send(request).await });
    within("running", origin.wait_executed(1)).await;
    task.abort();
    assert!(within("task", task).await.unwrap_err().is_cancelled());
    assert_eq!(first_end(&client).await, CloseReason::Aborted);
    assert_eq!(client.pool.stats().size(), 0);
    origin.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_a_body_before_its_end_closes_the_connection_and_after_it_does_not() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), OriginConfig::default());
    for _ in 0..3 {
        let request = Request::get("/bytes/5").body(empty()).unwrap();
        let mut body = within("response", client.pool.send(request))
            .await
            .unwrap()
            .into_body();
        while within("chunk", body.chunk()).await.unwrap().is_some() {}
        drop(body);
    }
    assert_eq!(origin.peer().accepted(), 1);
    let request = Request::get("/gated").body(empty()).unwrap();
    let response = within("response", client.pool.send(request)).await.unwrap();
    drop(response);
    assert_eq!(first_end(&client).await, CloseReason::Aborted);
    origin.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_leaves_a_byte_stream() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), OriginConfig::default());
    let upgrade = Request::get("/upgrade").header("upgrade", "echo");
    let connect = Request::connect("far.test:443");
    for (request, status) in [(upgrade, 101), (connect, 200)] {
        let request = request.body(empty()).unwrap();
        let response = within("response", client.pool.send(request)).await.unwrap();
        assert_eq!(response.status(), status);
        let mut stream = response.into_body().into_upgraded();
        let data = pattern(400_000);
        let mut back = vec![0; data.len()];
        let (mut read, mut write) = tokio::io::split(&mut stream);
        let (wrote, got) = within("echo", async {
            tokio::join!(write.write_all(&data), read.read_exact(&mut back))
        })
        .await;
        wrote.unwrap();
        got.unwrap();
        assert_eq!(back, data);
        within("shutdown", stream.shutdown()).await.unwrap();
        assert!(within("refused", stream.write(b"x")).await.is_err());
        let mut rest = Vec::new();
        within("end", stream.read_to_end(&mut rest)).await.unwrap();
        assert!(rest.is_empty());
    }
    client.shut_down().await;
    origin.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_whose_request_had_a_body_can_still_be_written_to() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), OriginConfig::default());
    let request = Request::post("/upgrade").header("upgrade", "echo");
    let request = request.body(full("body")).unwrap();
    let response = within("response", client.pool.send(request)).await.unwrap();
    assert_eq!(response.status(), 101);
    let mut stream = response.into_body().into_upgraded();
    within("write", stream.write_all(b"ping")).await.unwrap();
    let mut back = [0; 4];
    within("read", stream.read_exact(&mut back)).await.unwrap();
    assert_eq!(&back, b"ping");
    drop(stream);
    client.shut_down().await;
    origin.finish().await;
}

/// Writes until nothing more is accepted; returns how many bytes were.
async fn fill(stream: &mut (impl tokio::io::AsyncWrite + Unpin)) -> usize {
    let mut written = 0;
    loop {
        let mut chances = 0;
        let taken = std::future::poll_fn(|cx| {
            match Pin::new(&mut *stream).poll_write(cx, &[b'x'; 1 << 16]) {
                Poll::Ready(taken) => Poll::Ready(taken.unwrap()),
                Poll::Pending if chances < 200 => {
                    chances += 1;
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
                Poll::Pending => Poll::Ready(0),
            }
        });
        match taken.await {
            0 => return written,
            taken => written += taken,
        }
    }
}

#[tokio::test]
async fn flush_and_shutdown_of_an_upgraded_stream_wait_until_everything_is_sent() {
    for shuts in [false, true] {
        let (full, counted) = (Signal::new(), dodici_testkit::Watched::<usize>::default());
        let (begin, count) = (full.clone(), counted.clone());
        let peer = ScriptedPeer::tcp().await.run(move |mut conn| {
            let (begin, count) = (begin.clone(), count.clone());
            async move {
                conn.read_head().await;
                conn.send("HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
                    .await;
                begin.raised().await;
                while let Some(bytes) = conn.read_some().await {
                    count.update(|count| *count += bytes.len());
                }
            }
        });
        let client = Client::new(peer.port(), OriginConfig::default());
        let request = Request::get("/").header("upgrade", "x");
        let sent = client.pool.send(request.body(empty()).unwrap());
        let response = within("head", sent).await.unwrap();
        let mut stream = response.into_body().into_upgraded();
        let given = fill(&mut stream).await;
        full.raise();
        if shuts {
            within("shutdown", stream.shutdown()).await.unwrap();
        } else {
            within("flush", stream.flush()).await.unwrap();
        }
        drop(stream);
        let all = |count: &usize| (*count == given).then_some(());
        within("all of it", counted.wait(all)).await;
        client.finish(peer).await;
    }
}

#[tokio::test]
async fn what_was_written_to_an_http2_tunnel_arrives_although_it_is_dropped_after_shutdown() {
    use dodici_testkit::H2Peer;
    use dodici_testkit::h2::kind;

    let (full, counted) = (Signal::new(), dodici_testkit::Watched::<usize>::default());
    let (begin, count) = (full.clone(), counted.clone());
    let peer = ScriptedPeer::tcp().await.run(move |conn| {
        let (begin, count) = (begin.clone(), count.clone());
        async move {
            let mut peer = H2Peer::accept(conn, &[]).await;
            let stream = peer.next_head().await.unwrap();
            peer.head(stream, 200, &[], false).await;
            begin.raised().await;
            while let Some(frame) = peer.next_frame().await {
                if frame.kind != kind::DATA || frame.payload.is_empty() {
                    continue;
                }
                count.update(|count| *count += frame.payload.len());
                let room = (frame.payload.len() as u32).to_be_bytes();
                peer.send(kind::WINDOW_UPDATE, 0, 0, room).await;
                peer.send(kind::WINDOW_UPDATE, 0, stream, room).await;
            }
        }
    });
    let mut config = OriginConfig::default();
    config.http2.prior_knowledge = true;
    let client = Client::new(peer.port(), config);
    let sent = client
        .pool
        .send(Request::connect("far.test:443").body(empty()).unwrap());
    let response = within("head", sent).await.unwrap();
    let mut stream = response.into_body().into_upgraded();
    let given = fill(&mut stream).await;
    assert!(given > 65_535, "more than the peer's window");
    full.raise();
    within("shutdown", stream.shutdown()).await.unwrap();
    drop(stream);
    let all = |count: &usize| (*count == given).then_some(());
    within("all of it", counted.wait(all)).await;
    client.finish(peer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_an_upgraded_stream_closes_its_connection() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        conn.read_head().await;
        conn.send("HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
            .await;
        conn.closed().await;
    });
    let client = Client::new(peer.port(), OriginConfig::default());
    let request = Request::get("/").header("upgrade", "echo");
    let response = client.pool.send(request.body(empty()).unwrap());
    let response = within("response", response).await.unwrap();
    drop(response.into_body().into_upgraded());
    within("closed", peer.peer_close(0)).await;
    peer.finish().await;
}
