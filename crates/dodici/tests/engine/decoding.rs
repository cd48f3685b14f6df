//! Bodies that are decoded between the wire and their reader, over each wire: a shared HTTP/1.1
//! connection, an exclusive one, and HTTP/2. dodici-coding tests the codings themselves;
//! here it is gzip.

use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;

use dodici::{
    BodyKind, Decode, DecodeManner, Error, ErrorKind, OriginConfig, Request, RequestKind,
    RequestOptions,
};
use dodici_testkit::client::{code, get};
use dodici_testkit::recording::Seen;
use dodici_testkit::with;
use dodici_testkit::{Call, Client, H2Peer, ScriptedPeer, Signal, within};
use http_body::Body as _;
use zlib_rs::{Deflate, DeflateFlush, Status};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wire {
    /// A request without a body.
    Shared,
    /// One with a pulled body.
    Alone,
    Http2,
}

const WIRES: [Wire; 3] = [Wire::Shared, Wire::Alone, Wire::Http2];

/// The peer's response to each request.
#[derive(Clone)]
struct Answer {
    status: u16,
    fields: Vec<(&'static str, String)>,
    pieces: Vec<Vec<u8>>,
    /// Without it, the framing delimits the body.
    chunked: bool,
}

fn coded(codings: &str, body: &[u8]) -> Answer {
    Answer {
        status: 200,
        fields: vec![
            ("X-Before", "1".into()),
            ("Content-Encoding", codings.into()),
            ("x-behind", "2".into()),
        ],
        pieces: vec![body.to_vec()],
        chunked: true,
    }
}

impl Answer {
    fn in_pieces_of(mut self, size: usize) -> Self {
        let body = self.pieces.concat();
        self.pieces = body.chunks(size).map(<[u8]>::to_vec).collect();
        self
    }

    fn with_length(mut self) -> Self {
        let length = self.pieces.iter().map(Vec::len).sum::<usize>();
        self.fields.push(("Content-Length", length.to_string()));
        self.chunked = false;
        self
    }

    fn http1(&self, without_body: bool) -> Vec<u8> {
        let mut out = format!("HTTP/1.1 {} OK\r\n", self.status).into_bytes();
        for (name, value) in &self.fields {
            out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        if self.chunked {
            out.extend_from_slice(b"transfer-encoding: chunked\r\n");
        }
        out.extend_from_slice(b"\r\n");
        if without_body {
            return out;
        }
        for piece in &self.pieces {
            if self.chunked {
                out.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            }
            out.extend_from_slice(piece);
            if self.chunked {
                out.extend_from_slice(b"\r\n");
            }
        }
        if self.chunked {
            out.extend_from_slice(b"0\r\nX-Sum: 1\r\n\r\n");
        }
        out
    }
}

/// A peer with this response, and a client of one connection to it.
async fn serve(
    wire: Wire,
    answer: Answer,
    configure: impl FnOnce(&mut OriginConfig),
) -> (Client, ScriptedPeer) {
    let answer = Arc::new(answer);
    let peer = ScriptedPeer::tcp().await.run(move |mut conn| {
        let answer = Arc::clone(&answer);
        async move {
            if wire != Wire::Http2 {
                while let Some(head) = conn.next_head().await {
                    conn.read_body(&head).await;
                    let without_body = head.method == "HEAD" || matches!(answer.status, 204 | 304);
                    conn.send(answer.http1(without_body)).await;
                }
                return;
            }
            let mut peer = H2Peer::accept(conn, &[]).await;
            while let Some(request) = peer.next_request().await {
                let fields: Vec<_> = answer
                    .fields
                    .iter()
                    .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
                    .collect();
                let fields: Vec<_> = fields.iter().map(|(n, v)| (&**n, &**v)).collect();
                peer.head(request.stream, answer.status, &fields, false)
                    .await;
                for piece in &answer.pieces {
                    for frame in piece.chunks(16_384) {
                        peer.data(request.stream, frame, false).await;
                    }
                }
                peer.data(request.stream, b"", true).await;
            }
        }
    });
    let mut config = OriginConfig::default();
    config.http2.prior_knowledge = wire == Wire::Http2;
    config.pool.max_connections = NonZeroU32::new(1);
    configure(&mut config);
    (Client::new(peer.port(), config), peer)
}

fn request(wire: Wire, manner: DecodeManner) -> Request {
    let decode = Some(Decode::new(manner));
    match wire {
        Wire::Alone => with(
            Request::new("POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n")
                .with_body(BodyKind::Chunked),
            |request| request.decode = decode,
        ),
        Wire::Shared | Wire::Http2 => with(get("/"), |request| request.decode = decode),
    }
}

fn send(client: &Client, request: Request) -> Call {
    let is_pulled = request.body.is_pulled();
    let call = client.send(request);
    if is_pulled {
        call.finish();
    }
    call
}

async fn ask(wire: Wire, answer: Answer, manner: DecodeManner) -> Seen {
    let (client, _peer) = serve(wire, answer, |_| {}).await;
    let call = send(&client, request(wire, manner));
    within("the end", call.settled()).await
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = Deflate::new(6, true, 15 + 16);
    let mut out = Vec::new();
    let mut rest = body;
    loop {
        let mut buffer = [0; 16_384];
        let (read, written) = (encoder.total_in(), encoder.total_out());
        let status = encoder
            .compress(rest, &mut buffer, DeflateFlush::Finish)
            .unwrap();
        rest = &rest[(encoder.total_in() - read) as usize..];
        out.extend_from_slice(&buffer[..(encoder.total_out() - written) as usize]);
        if status == Status::StreamEnd {
            return out;
        }
    }
}

fn text(length: usize) -> Vec<u8> {
    (0_u32..)
        .flat_map(|number| {
            format!("{{\"id\":{}}},", number.wrapping_mul(2_654_435_761)).into_bytes()
        })
        .take(length)
        .collect()
}

fn names(seen: &Seen) -> Vec<String> {
    let head = seen.head.as_ref().unwrap();
    let names = head.headers.iter().map(|(name, _)| name);
    names
        .map(|name| String::from_utf8_lossy(name).to_ascii_lowercase())
        .filter(|name| name != "transfer-encoding")
        .collect()
}

fn error(seen: &Seen) -> Error {
    match &seen.terminal {
        Some((_, dodici_testkit::recording::Terminal::Error(error))) => error.clone(),
        other => panic!("expected an error, not {other:?}"),
    }
}

#[tokio::test]
async fn a_body_is_decoded_in_pieces_of_any_size() {
    let body = text(300_000);
    let gzipped = gzip(&body);
    for wire in WIRES {
        for size in [1, 1000, usize::MAX] {
            let size = size.max(if wire == Wire::Http2 { 64 } else { 1 });
            let answer = coded("gzip", &gzipped).in_pieces_of(size);
            let seen = ask(wire, answer, DecodeManner::Interceptor).await;
            assert!(
                seen.body == body,
                "{wire:?} in pieces of {size}: {:?}",
                seen.terminal
            );
            assert_eq!(names(&seen), ["x-before", "x-behind"], "{wire:?}");
            if wire != Wire::Http2 {
                assert_eq!(seen.trailers(), [("X-Sum".into(), "1".into())]);
            }
        }
        let twice = gzip(&gzipped);
        let answer = coded("gzip, X-Gzip", &twice).with_length();
        let seen = ask(wire, answer, DecodeManner::Interceptor).await;
        assert!(seen.body == body, "{wire:?}");
        assert_eq!(names(&seen), ["x-before", "x-behind"], "{wire:?}");
    }
}

#[tokio::test]
async fn fetch_gets_the_head_unchanged() {
    for wire in WIRES {
        for status in [200, 404] {
            let mut answer = coded("gzip", &gzip(b"hello")).with_length();
            answer.status = status;
            let seen = ask(wire, answer, DecodeManner::Fetch).await;
            assert_eq!(seen.body, b"hello");
            assert_eq!(
                names(&seen),
                ["x-before", "content-encoding", "x-behind", "content-length"]
            );
        }
    }
}

#[tokio::test]
async fn what_must_not_be_decoded_is_delivered_unchanged() {
    for wire in WIRES {
        let unknown = coded("gzip, compress", b"abc");
        let seen = ask(wire, unknown, DecodeManner::Interceptor).await;
        assert_eq!(seen.body, b"abc");
        assert_eq!(names(&seen), ["x-before", "content-encoding", "x-behind"]);

        let mut error = coded("gzip", b"not coded");
        error.status = 500;
        let seen = ask(wire, error, DecodeManner::Interceptor).await;
        assert_eq!(seen.body, b"not coded");
    }
    for status in [204, 304] {
        let mut answer = coded("gzip", b"");
        answer.status = status;
        answer.chunked = false;
        let seen = ask(Wire::Shared, answer, DecodeManner::Fetch).await;
        assert_eq!(seen.status(), status);
        assert_eq!(names(&seen), ["x-before", "content-encoding", "x-behind"]);
    }
    let (client, _peer) = serve(Wire::Shared, coded("gzip", b"").with_length(), |_| {}).await;
    let call = client.send(with(
        Request::new("HEAD / HTTP/1.1\r\nhost: test\r\n\r\n").with_kind(RequestKind::Head),
        |it| it.decode = request(Wire::Shared, DecodeManner::Interceptor).decode,
    ));
    let seen = within("the end", call.ended()).await;
    assert_eq!(
        names(&seen),
        ["x-before", "content-encoding", "x-behind", "content-length"]
    );
}

#[tokio::test]
async fn a_coded_body_without_a_byte_is_empty() {
    for wire in WIRES {
        for manner in [DecodeManner::Interceptor, DecodeManner::Fetch] {
            let seen = ask(wire, coded("gzip", b"").in_pieces_of(1), manner).await;
            assert_eq!(seen.body, b"");
            assert!(seen.error_kind().is_none(), "{wire:?}: {:?}", seen.terminal);
        }
    }
}

#[tokio::test]
async fn a_truncated_body_fails_and_its_connection_is_reused() {
    let body = text(50_000);
    let gzipped = gzip(&body);
    for wire in WIRES {
        for end in [1, 9, 500, gzipped.len() - 1] {
            let answer = coded("gzip", &gzipped[..end]).in_pieces_of(777);
            let (client, _peer) = serve(wire, answer, |_| {}).await;
            for _ in 0..2 {
                let call = send(&client, request(wire, DecodeManner::Fetch));
                let seen = within("the end", call.settled()).await;
                let error = error(&seen);
                assert_eq!(error.kind(), ErrorKind::ContentCoding, "{wire:?} {end}");
                assert_eq!(code(&error), "Z_BUF_ERROR");
                assert_eq!(error.message(), "unexpected end of file");
                assert!(body.starts_with(&seen.body));
            }
            assert_eq!(client.events.connects(), 1, "{wire:?} {end}");
        }
    }
}

#[tokio::test]
async fn a_body_that_is_broken_fails_in_the_middle() {
    for wire in WIRES {
        let answer = coded("gzip", b"hello, this is no gzip");
        let (client, _peer) = serve(wire, answer, |_| {}).await;
        let call = send(&client, request(wire, DecodeManner::Fetch));
        let error = within("the error", call.error()).await;
        assert_eq!(error.kind(), ErrorKind::ContentCoding, "{wire:?}");
        assert_eq!(code(&error), "Z_DATA_ERROR");
        assert_eq!(error.system().unwrap().errno, -3);
        assert_eq!(error.message(), "incorrect header check");
        if wire != Wire::Http2 {
            within("the disconnect", client.disconnected(1)).await;
        }
    }
}

#[tokio::test]
async fn s33_more_than_five_codings_fail_before_the_head_is_delivered() {
    for wire in WIRES {
        let seen = ask(
            wire,
            coded(&"gzip,".repeat(1000), b"x"),
            DecodeManner::Fetch,
        )
        .await;
        assert!(seen.head.is_none());
        let text = "too many content-encodings in response: 1001, maximum allowed is 5";
        assert_eq!(error(&seen).message(), text, "{wire:?}");
    }
}

/// 64 MiB out of 64 KiB.
fn bomb() -> (Answer, usize) {
    let size = 64 * 1024 * 1024;
    (coded("gzip", &gzip(&vec![0; size])), size)
}

#[tokio::test]
async fn s33_a_bomb_waits_for_its_reader() {
    let (answer, size) = bomb();
    for wire in WIRES {
        let (client, _peer) = serve(wire, answer.clone(), |_| {}).await;
        let window = u64::from(OriginConfig::default().exchange.window);
        let call = client.send_paused(request(wire, DecodeManner::Interceptor));
        if wire == Wire::Alone {
            call.finish();
        }
        let full = |seen: &Seen| (seen.cost() >= window).then_some(());
        within("the window", call.recording.wait(full)).await;
        for _ in 0..2_000 {
            tokio::task::yield_now().await;
        }
        let held = call.recording.wait(|seen| Some(seen.cost())).await;
        assert!(held < window + 64 * 1024, "{wire:?}: {held} bytes");
        let mut given = 0;
        loop {
            let cost = call.recording.wait(|seen| Some(seen.cost())).await;
            call.handle.credit(u32::try_from(cost - given).unwrap());
            given = cost;
            let next = |seen: &Seen| {
                (seen.terminal.is_some() || seen.cost() > given).then(|| seen.terminal.is_some())
            };
            if within("progress", call.recording.wait(next)).await {
                break;
            }
        }
        let seen = within("the end", call.recording.ended()).await;
        assert_eq!(seen.body.len(), size, "{wire:?}");
    }
}

#[tokio::test]
async fn s33_a_bomb_stops_at_the_limit_of_decoded_bytes() {
    let (answer, size) = bomb();
    for wire in WIRES {
        // The pool's limit.
        let limit = 1_000_000;
        let set = |config: &mut OriginConfig| config.exchange.max_response_size = Some(limit);
        let (client, _peer) = serve(wire, answer.clone(), set).await;
        let call = send(&client, request(wire, DecodeManner::Interceptor));
        let seen = within("the end", call.settled()).await;
        assert_eq!(error(&seen).kind(), ErrorKind::ResponseExceededMaxSize);
        assert_eq!(error(&seen).message(), "Response content exceeded max size");
        assert!(seen.body.len() as u64 <= limit, "{wire:?}");

        // The request's own limit.
        let (client, _peer) = serve(wire, answer.clone(), |_| {}).await;
        let mut limited = request(wire, DecodeManner::Interceptor);
        limited.decode = limited
            .decode
            .map(|decode| with(decode, |decode| decode.max_size = NonZeroU64::new(limit)));
        let call = send(&client, limited);
        let error = within("the error", call.error()).await;
        assert_eq!(error.kind(), ErrorKind::ResponseExceededMaxSize);
        let text = error.message();
        assert!(text.starts_with("Decompressed response size ("), "{text}");
        assert!(text.ends_with(") exceeded maxSize (1000000)"), "{text}");

        // Neither counts encoded bytes.
        let enough = size as u64;
        let set = |config: &mut OriginConfig| config.exchange.max_response_size = Some(enough);
        let (client, _peer) = serve(wire, answer.clone(), set).await;
        let call = send(&client, request(wire, DecodeManner::Interceptor));
        let seen = within("the end", call.ended()).await;
        assert_eq!(seen.body.len(), size, "{wire:?}");
        let body = gzip(b"a");
        let set = |config: &mut OriginConfig| config.exchange.max_response_size = Some(1);
        let (client, _peer) = serve(wire, coded("gzip", &body), set).await;
        let call = send(&client, request(wire, DecodeManner::Interceptor));
        assert_eq!(within("the end", call.ended()).await.body, b"a");

        // The pool's limit is below the decoder of `fetch`, as in undici.
        let encoded: usize = answer.pieces.iter().map(Vec::len).sum();
        let limit = |most: usize| {
            move |config: &mut OriginConfig| {
                config.exchange.max_response_size = Some(most as u64);
            }
        };
        let (client, _peer) = serve(wire, answer.clone(), limit(encoded)).await;
        let call = send(&client, request(wire, DecodeManner::Fetch));
        assert_eq!(within("the end", call.ended()).await.body.len(), size);
        let (client, _peer) = serve(wire, answer.clone(), limit(encoded - 1)).await;
        let call = send(&client, request(wire, DecodeManner::Fetch));
        let error = within("the error", call.error()).await;
        assert_eq!(error.kind(), ErrorKind::ResponseExceededMaxSize);
    }
}

#[tokio::test]
async fn s33_others_are_served_while_a_bomb_is_decoded() {
    let (answer, _) = bomb();
    for wire in WIRES {
        let (client, _peer) = serve(wire, answer.clone(), |_| {}).await;
        let (other, _peer) = serve(Wire::Shared, coded("gzip", &gzip(b"small")), |_| {}).await;
        let large = send(&client, request(wire, DecodeManner::Fetch));
        let begun = |seen: &Seen| (!seen.body.is_empty()).then_some(());
        within("the beginning", large.wait(begun)).await;
        for _ in 0..5 {
            let small = other.send(request(Wire::Shared, DecodeManner::Fetch));
            assert_eq!(within("the small one", small.ended()).await.body, b"small");
        }
        assert!(!large.is_settled(), "{wire:?}");
        within("the large one", large.ended()).await;
    }
}

#[tokio::test]
async fn a_request_cancelled_while_its_body_is_decoded_gets_nothing_more() {
    let (answer, _) = bomb();
    for wire in WIRES {
        let (client, _peer) = serve(wire, answer.clone(), |_| {}).await;
        let call = send(&client, request(wire, DecodeManner::Fetch));
        let begun = |seen: &Seen| (!seen.body.is_empty()).then_some(());
        within("the beginning", call.wait(begun)).await;
        call.handle.cancel();
        let error = within("the error", call.error()).await;
        assert_eq!(error.kind(), ErrorKind::Aborted, "{wire:?}");
    }
}

#[tokio::test]
async fn what_has_arrived_is_decoded_before_more_is_read() {
    let (body, more) = (text(1000), Signal::new());
    let gzipped = gzip(&body);
    let half = gzipped.len() / 2;
    let wait = more.clone();
    let peer = ScriptedPeer::tcp().await.run(move |mut conn| {
        let (gzipped, wait) = (gzipped.clone(), wait.clone());
        async move {
            conn.read_head().await;
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
                gzipped.len()
            );
            conn.send(head).await;
            conn.send(&gzipped[..half]).await;
            wait.raised().await;
            conn.send(&gzipped[half..]).await;
            conn.closed().await;
        }
    });
    let client = Client::new(peer.port(), OriginConfig::default());
    let call = client.send(request(Wire::Shared, DecodeManner::Fetch));
    let some = |seen: &Seen| (!seen.body.is_empty()).then_some(());
    within("some of it", call.wait(some)).await;
    more.raise();
    assert!(within("the end", call.ended()).await.body == body);
    drop(client);
    peer.join().await;
}

#[tokio::test]
async fn send_returns_a_decoded_body_of_unknown_length() {
    for wire in WIRES {
        let answer = coded("gzip", &gzip(b"hello")).with_length();
        let (client, _peer) = serve(wire, answer, |_| {}).await;
        for manner in [DecodeManner::Interceptor, DecodeManner::Fetch] {
            let request = http::Request::get("/")
                .extension(with(RequestOptions::default(), |options| {
                    options.decode = request(wire, manner).decode
                }));
            let request = request.body(String::new()).unwrap();
            let response = within("the head", client.pool.send(request)).await.unwrap();
            let detail = response.body().detail();
            assert!(detail.info.decoded);
            let body = response.into_body();
            assert_eq!(body.size_hint().exact(), None, "{wire:?} {manner:?}");
            let (body, _) = within("the end", body.collect()).await.unwrap();
            assert_eq!(&body[..], b"hello");
        }
    }
}
