//! What a hostile HTTP/2 server can send endlessly: every flood ends with ENHANCE_YOUR_CALM, and
//! malformed input with an error. (S35, S36)
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use dodici::{CloseReason, ErrorKind, Event, OriginConfig, ParseErrorCode};
use dodici_testkit::client::get;
use dodici_testkit::config::http2;
use dodici_testkit::figures::{figure, resident};
use dodici_testkit::h2::{block, code, flag, frame, kind, response_block, setting};
use dodici_testkit::{Client, Conn, H2Peer, ScriptedPeer, Signal, TestOrigin, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How a flood ended, as the server saw it.
struct Flooded {
    /// The code of the client's GOAWAY.
    goaway: Option<u32>,
    /// Bytes that were sent before the client closed.
    sent: usize,
    took: Duration,
}

/// A server that answers a request with `start` and then endlessly with these frames.
async fn send_flood(listener: TcpListener, start: Vec<u8>, repeated: Vec<u8>) -> Flooded {
    let (mut socket, _) = listener.accept().await.unwrap();
    let mut hello = vec![0; 24 + 9];
    socket.read_exact(&mut hello).await.unwrap();
    socket
        .write_all(&frame(kind::SETTINGS, 0, 0, []))
        .await
        .unwrap();
    // The request follows the client's SETTINGS, so its head is in these bytes.
    let mut seen = Vec::new();
    while !has_frame(&seen, kind::HEADERS) {
        socket.read_buf(&mut seen).await.unwrap();
    }
    let (mut reader, mut writer) = socket.into_split();
    let reading = tokio::spawn(async move {
        let mut rest = Vec::new();
        let _ = reader.read_to_end(&mut rest).await;
        rest
    });
    let bundle = repeated.repeat(1 + 16_000 / repeated.len());
    let begun = Instant::now();
    let mut sent = start.len();
    let _ = writer.write_all(&start).await;
    while writer.write_all(&bundle).await.is_ok() {
        sent += bundle.len();
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "nobody minds {:?}",
            &repeated[..9]
        );
    }
    let rest = reading.await.unwrap();
    Flooded {
        goaway: goaway_code(&rest),
        sent,
        took: begun.elapsed(),
    }
}

/// Whether a frame of this type is in these bytes. They may start inside the client's settings.
fn has_frame(bytes: &[u8], wanted: u8) -> bool {
    bytes
        .windows(9)
        .any(|head| head[0] == 0 && head[3] == wanted && head[5..9] == [0, 0, 0, 1])
}

/// The code of the GOAWAY that these bytes end with.
fn goaway_code(bytes: &[u8]) -> Option<u32> {
    let head = [0, 0];
    let at = bytes
        .windows(9)
        .rposition(|window| window[..2] == head && window[3] == kind::GOAWAY && window[4] == 0)?;
    let code = bytes.get(at + 13..at + 17)?;
    Some(u32::from_be_bytes(code.try_into().unwrap()))
}

fn resident_kib() -> u64 {
    resident().unwrap_or(0) >> 10
}

/// How a flood ends.
struct Flood {
    name: &'static str,
    /// What precedes it, so that the protocol allows it.
    start: Vec<u8>,
    repeated: Vec<u8>,
    /// The code of the client's GOAWAY.
    code: u32,
}

impl Flood {
    fn of(name: &'static str, repeated: Vec<u8>) -> Self {
        Self {
            name,
            start: Vec::new(),
            repeated,
            code: code::ENHANCE_YOUR_CALM,
        }
    }

    fn behind(self, start: Vec<u8>) -> Self {
        Self { start, ..self }
    }

    /// A single frame violates the protocol.
    fn forbidden(self) -> Self {
        Self {
            code: code::PROTOCOL_ERROR,
            ..self
        }
    }
}

fn floods() -> Vec<Flood> {
    let end = flag::END_HEADERS;
    let open = || frame(kind::HEADERS, end, 1, response_block(200, &[]));
    let settings = [0, 3, 0, 0, 0, 100];
    let interim = frame(kind::HEADERS, end, 1, response_block(103, &[]));
    // A field of 4 KiB, put into HPACK's table, and heads of fifteen of it.
    let mut first = block(&[(":status", "103")]);
    first.extend([0x40, 1, b'x', 127, 0xa1, 0x1e]);
    first.extend([b'v'; 4000]);
    let full = frame(kind::HEADERS, end, 1, first);
    let mut again = block(&[(":status", "103")]);
    again.extend([0xbe; 15]);
    let full_again = frame(kind::HEADERS, end, 1, again);
    let window = frame(kind::WINDOW_UPDATE, 0, 1, 1_u32.to_be_bytes());
    let leaving = [0, 0, 0, 9, 0, 0, 0, 0];
    let unfinished = frame(kind::HEADERS, 0, 1, block(&[(":status", "200")]));
    let cancel = 8_u32.to_be_bytes();
    vec![
        Flood::of("PING", frame(kind::PING, 0, 0, [7; 8])),
        Flood::of("PING answers", frame(kind::PING, flag::ACK, 0, [7; 8])),
        Flood::of("SETTINGS", frame(kind::SETTINGS, 0, 0, settings)),
        Flood::of("1xx", interim),
        Flood::of("1xx of 60 KiB", full_again).behind(full),
        Flood::of("WINDOW_UPDATE", window),
        Flood::of("GOAWAY", frame(kind::GOAWAY, 0, 0, leaving)),
        Flood::of("PRIORITY", frame(kind::PRIORITY, 0, 1, [0, 0, 0, 3, 1])),
        Flood::of("unknown type", frame(99, 0, 1, [0; 4])),
        Flood::of("empty DATA", frame(kind::DATA, 0, 1, [])).behind(open()),
        Flood::of(
            "1-byte DATA beyond the window",
            frame(kind::DATA, 0, 1, [1]),
        )
        .behind(open()),
        Flood::of("CONTINUATION", frame(kind::CONTINUATION, 0, 1, [])).behind(unfinished),
        Flood::of("RST_STREAM", frame(kind::RST_STREAM, 0, 1, cancel)),
        Flood::of("RST_STREAM, idle", frame(kind::RST_STREAM, 0, 9, cancel)).forbidden(),
        Flood::of(
            "PUSH_PROMISE",
            frame(kind::PUSH_PROMISE, end, 1, [0, 0, 0, 2]),
        )
        .forbidden(),
    ]
}

/// How long the other origin is watched at least: `DODICI_FLOOD_SECONDS`, for `just soak-h2`.
fn watch() -> Duration {
    let seconds = std::env::var("DODICI_FLOOD_SECONDS").map_or(0, |text| text.parse().unwrap());
    Duration::from_secs(seconds)
}

/// Sends requests one after another until `done`; the 99th percentile of their times.
async fn neighbour(client: &Client, done: &Signal) -> (usize, Duration) {
    let mut times = Vec::new();
    let start = Instant::now();
    while times.len() < 200 || !done.is_raised() || start.elapsed() < watch() {
        let begun = Instant::now();
        let seen = within("neighbour", client.get("/bytes/10").ended()).await;
        assert_eq!(seen.body.len(), 10);
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    (times.len(), times[times.len() * 99 / 100])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r18_s35_every_flood_ends_with_enhance_your_calm() {
    let origin = TestOrigin::start().await;
    let other = Client::new(origin.port(), OriginConfig::default());
    for flood in floods() {
        one_flood(flood, &other).await;
    }
    // The other origin's connection was not affected.
    assert_eq!(other.events.connects(), 1);
    other.pool.destroy();
    within("closed", other.events.closed()).await;
    origin.finish().await;
}

async fn one_flood(flood: Flood, other: &Client) {
    let name = flood.name;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let watched = |done: &Signal| {
        let (other, done) = (other.clone(), done.clone());
        tokio::spawn(async move { neighbour(&other, &done).await })
    };
    let at_once = Signal::new();
    at_once.raise();
    let (_, quiet) = watched(&at_once).await.unwrap();
    let before = resident_kib();
    let done = Signal::new();
    let beside = watched(&done);
    let server = tokio::spawn(send_flood(listener, flood.start, flood.repeated));
    let mut config = http2();
    config.exchange.headers_timeout = None;
    let client = Client::new(port, config);
    // A reader would request more: what is read is not a flood.
    let call = client.send_paused(get("/"));
    let error = within(name, call.error()).await;
    let of_its_own = match name {
        "RST_STREAM" => Some(ErrorKind::StreamReset(code::CANCEL)),
        "1xx" | "1xx of 60 KiB" => Some(ErrorKind::Parse(ParseErrorCode::Strict)),
        "1-byte DATA beyond the window" => Some(ErrorKind::StreamReset(code::FLOW_CONTROL_ERROR)),
        _ => None,
    };
    assert_eq!(
        error.kind(),
        of_its_own.unwrap_or(ErrorKind::Socket),
        "{name}: {error:?}"
    );
    let flooded = within(name, server).await.unwrap();
    assert_eq!(flooded.goaway, Some(flood.code), "{name}");
    within("disconnect", client.disconnected(1)).await;
    let grown = resident_kib().saturating_sub(before);
    assert!(grown < 10 * 1024, "{name}: {grown} KiB");
    let Flooded { sent, took, .. } = flooded;
    assert!(sent < 32 << 20, "{name}: {sent} bytes in {took:?}");
    let Some(Event::Disconnected { info, .. }) = client.events.events().pop() else {
        panic!("{name}: the disconnect is last");
    };
    assert_eq!(info.reason, CloseReason::ProtocolError, "{name}");
    done.raise();
    let (count, slow) = within("neighbour", beside).await.unwrap();
    let ratio = slow.as_secs_f64() / quiet.as_secs_f64();
    let value = format!(
        "left after {took:.0?} and {} KiB, +{grown} KiB; other origin {count} answered, p99 {slow:.0?} ({ratio:.1}x of before)",
        sent >> 10
    );
    figure("floods", name, value);
}

async fn serve<F, Fut>(script: F) -> ScriptedPeer
where
    F: Fn(H2Peer) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let script = Arc::new(script);
    ScriptedPeer::tcp().await.run(move |conn: Conn| {
        let script = Arc::clone(&script);
        async move { script(H2Peer::accept(conn, &[]).await).await }
    })
}

/// Runs a GET against a server whose answer to the first request is these bytes.
async fn answer(bytes: impl Fn(u32) -> Vec<u8> + Send + Sync + 'static) -> ErrorKind {
    let bytes = Arc::new(bytes);
    let peer = serve(move |mut peer| {
        let bytes = Arc::clone(&bytes);
        async move {
            let Some(stream) = peer.next_head().await else {
                return;
            };
            peer.send_raw(bytes(stream)).await;
            peer.closed().await;
        }
    })
    .await;
    let client = Client::new(peer.port(), http2());
    let error = within("error", client.get("/").error()).await;
    client.pool.destroy();
    within("closed", client.events.closed()).await;
    peer.finish().await;
    error.kind()
}

const PROTOCOL_ERROR: ErrorKind = ErrorKind::StreamReset(code::PROTOCOL_ERROR);

#[tokio::test]
async fn s36_a_huge_list_of_headers_fails_its_request() {
    let kind = answer(|stream| {
        let fields: Vec<(String, String)> = (0..200)
            .map(|n| (format!("x-{n}"), "v".repeat(500)))
            .collect();
        let fields: Vec<_> = fields.iter().map(|(n, v)| (&n[..], &v[..])).collect();
        let all = response_block(200, &fields);
        let mut bytes = Vec::new();
        let mut pieces = all.chunks(16_000).peekable();
        let mut first = true;
        while let Some(piece) = pieces.next() {
            let end = if pieces.peek().is_none() {
                flag::END_HEADERS
            } else {
                0
            };
            let kind = if std::mem::take(&mut first) {
                kind::HEADERS
            } else {
                kind::CONTINUATION
            };
            bytes.extend(frame(kind, end, stream, piece));
        }
        bytes
    })
    .await;
    assert!(
        kind == PROTOCOL_ERROR || kind == ErrorKind::Socket,
        "{kind:?}"
    );
}

#[tokio::test]
async fn s36_an_hpack_bomb_costs_no_memory() {
    let before = resident_kib();
    let kind = answer(|stream| {
        let mut payload = block(&[(":status", "200")]);
        // One entry of 4,000 bytes in the table, then 12,000 references to it: 48 MB of fields.
        payload.push(0x40);
        payload.extend([1, b'x', 127]);
        payload.extend([0xa1, 0x1e]);
        payload.extend([b'v'; 4000]);
        payload.extend([0xbe; 12_000]);
        frame(kind::HEADERS, flag::END_HEADERS, stream, payload)
    })
    .await;
    assert!(
        kind == PROTOCOL_ERROR || kind == ErrorKind::Socket,
        "{kind:?}"
    );
    let grown = resident_kib().saturating_sub(before);
    assert!(grown < 20 * 1024, "{grown} KiB");
}

#[tokio::test]
async fn s36_a_protocol_violation_is_an_error() {
    let big = vec![0; 16_385];
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("a frame larger than allowed", frame(kind::DATA, 0, 1, &big)),
        (
            "a window beyond its maximum",
            frame(kind::WINDOW_UPDATE, 0, 0, 0x7fff_ffff_u32.to_be_bytes()),
        ),
        (
            "a window update of nothing",
            frame(kind::WINDOW_UPDATE, 0, 0, [0; 4]),
        ),
        ("data before the head", frame(kind::DATA, 0, 1, b"x")),
        (
            "a push that was not asked for",
            frame(kind::PUSH_PROMISE, flag::END_HEADERS, 1, [0, 0, 0, 2]),
        ),
        (
            "a head without a status",
            frame(kind::HEADERS, 5, 1, block(&[("a", "b")])),
        ),
        (
            "an upper-case name",
            frame(kind::HEADERS, 5, 1, response_block(200, &[("Aa", "b")])),
        ),
        (
            "a field of the connection",
            frame(
                kind::HEADERS,
                5,
                1,
                response_block(200, &[("transfer-encoding", "chunked")]),
            ),
        ),
        (
            "broken HPACK",
            frame(kind::HEADERS, 5, 1, [0xff, 0xff, 0xff, 0xff, 0xff]),
        ),
        (
            "a setting out of range",
            frame(kind::SETTINGS, 0, 0, [0, 4, 0xff, 0xff, 0xff, 0xff]),
        ),
        (
            "status 101",
            frame(kind::HEADERS, 4, 1, response_block(101, &[])),
        ),
    ];
    for (name, bytes) in cases {
        let kind = answer(move |_| bytes.clone()).await;
        assert!(
            matches!(kind, ErrorKind::StreamReset(_) | ErrorKind::Socket),
            "{name}: {kind:?}"
        );
    }
}

#[tokio::test]
async fn s36_constant_table_size_changes_are_harmless() {
    let peer = serve(|mut peer| async move {
        let mut sizes = [0_u32, 4096, 17, 65_536].into_iter().cycle();
        while let Some(request) = peer.next_request().await {
            let size = sizes.next().unwrap();
            peer.settings(&[(setting::HEADER_TABLE_SIZE, size)]).await;
            peer.respond(request.stream, "ok").await;
        }
    })
    .await;
    let client = Client::new(peer.port(), http2());
    for _ in 0..200 {
        within("response", client.get("/").ended()).await;
    }
    client.pool.destroy();
    within("closed", client.events.closed()).await;
    peer.finish().await;
}

#[tokio::test]
async fn garbage_instead_of_http2_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let (mut socket, _): (TcpStream, _) = listener.accept().await.unwrap();
        let _ = socket
            .write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
            .await;
        let mut rest = Vec::new();
        let _ = socket.read_to_end(&mut rest).await;
    });
    let client = Client::new(port, http2());
    let error = within("error", client.get("/").error()).await;
    assert_eq!(error.kind(), ErrorKind::Socket);
    within("server", server).await.unwrap();
}
