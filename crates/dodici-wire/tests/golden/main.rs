//! Golden vectors: records with their meaning, in `records.json`, for the TypeScript codec's tests.
//!
//! The bytes come from the encoders in Rust; their meaning is written by hand next to each, so that a
//! change of either shows in the diff.

#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use dodici_pool::{
    Activity, BodyKind, CloseReason, ConnId, ConnectInfo, ConnectionStatus, Decode, DecodeManner,
    DisconnectInfo, Error, ErrorKind, HeaderBlock, ParseErrorCode, Phase, Protocol, Request,
    RequestKind, RequestTimings, ResponseHead, SocketInfo, SystemDetail, TlsInfo, Version,
};
use dodici_testkit::wire::{put_flag_option, put_number_option, put_option, put_submission};
use dodici_testkit::with;
use dodici_wire::completion::{self as to_js, Epoch, HeadKind, Over};
use dodici_wire::options::OptionKey;
use dodici_wire::submission::Submitted;
use dodici_wire::{Target, layout_hash};

const TO: Target = Target {
    slot: 3,
    generation: 70_000,
};
const CONN: Target = Target {
    slot: 2,
    generation: 1,
};

const NAME: ConnId = ConnId {
    slot: 4,
    generation: 1,
};

const fn over(reused: bool, stream: u32) -> Over {
    Over {
        reused,
        stream,
        decoded: false,
        last: false,
    }
}

/// Set to write the vectors instead of comparing them.
const BLESS: &str = "DODICI_BLESS";

/// The file is `{ layoutHash, submissions: [vector…], completions: […], options: […] }`, where a
/// vector is `{ name, hex, record }`. `record` has text as latin1.
#[test]
fn the_golden_vectors_are_those_of_the_encoders() {
    let mut vectors = String::from("{\n");
    let _ = writeln!(vectors, "  \"layoutHash\": {},", layout_hash());
    section(&mut vectors, "submissions", &submissions(), ",");
    section(&mut vectors, "completions", &completions(), ",");
    section(&mut vectors, "options", &options(), "");
    vectors.push_str("}\n");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/records.json");
    if std::env::var_os(BLESS).is_some() {
        std::fs::write(path, &vectors).unwrap();
    }
    let have = std::fs::read_to_string(path).unwrap();
    assert!(
        have == vectors,
        "{path} is stale: run `{BLESS}=1 cargo test -p dodici-wire --test golden` and commit it"
    );
}

/// Name, bytes, meaning as JSON.
type Vector = (&'static str, Vec<u8>, &'static str);

fn section(out: &mut String, name: &str, vectors: &[Vector], end: &str) {
    let _ = writeln!(out, "  \"{name}\": [");
    for (index, (name, bytes, record)) in vectors.iter().enumerate() {
        let comma = if index + 1 < vectors.len() { "," } else { "" };
        let _ = write!(
            out,
            "    {{\n      \"name\": \"{name}\",\n      \"hex\": \""
        );
        for byte in bytes {
            let _ = write!(out, "{byte:02x}");
        }
        let _ = writeln!(out, "\",\n      \"record\": {record}\n    }}{comma}");
    }
    let _ = writeln!(out, "  ]{end}");
}

fn fields(pairs: &[(&str, &str)]) -> HeaderBlock {
    pairs.iter().copied().collect()
}

fn submissions() -> Vec<Vector> {
    let put = |submitted: Submitted| {
        let mut out = Vec::new();
        put_submission(&mut out, TO, &submitted);
        out
    };
    let put_request = |request: Request, reports_connection| {
        put(Submitted::Dispatch {
            pool: 2,
            request,
            reports_connection,
        })
    };
    let dispatch = |request: Request| put_request(request, false);
    let mut plain = Request::new("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    plain.idempotent = true;
    plain.blocking = false;
    let mut full = Request::new("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n");
    full.body = BodyKind::Full(Bytes::from_static(b"hello"));
    full.headers_timeout = Some(Duration::from_millis(1500));
    full.body_timeout = Some(Duration::ZERO);
    let mut sized = Request::new("PUT / HTTP/1.1\r\nexpect: 100-continue\r\n\r\n");
    sized.body = BodyKind::Sized(0x1_0000_0002);
    sized.expect_continue = true;
    sized.reset = true;
    let mut chunked = Request::new("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n");
    chunked.body = BodyKind::Chunked;
    let mut head = Request::new("HEAD / HTTP/1.1\r\n\r\n");
    head.kind = RequestKind::Head;
    let mut connect = Request::new("CONNECT a:1 HTTP/1.1\r\n\r\n");
    connect.kind = RequestKind::Connect;
    let mut upgrade = Request::new("GET / HTTP/1.1\r\nupgrade: websocket\r\n\r\n");
    upgrade.kind = RequestKind::Upgrade;
    let mut decode = Decode::new(DecodeManner::Interceptor);
    decode.max_size = NonZeroU64::new(0x2_0000_0001);
    let mut decoded = Request::new("GET /z HTTP/1.1\r\n\r\n");
    decoded.decode = Some(decode);
    let mut timed = Request::new("GET /t HTTP/1.1\r\n\r\n");
    timed.timed = true;
    let mut limited = Request::new("GET /l HTTP/1.1\r\n\r\n");
    limited.total_timeout = Some(Duration::from_secs(2));
    limited.min_body_rate = Some(1024);
    let mut both = limited.clone();
    both.decode = Some(decode);
    both.total_timeout = None;
    vec![
        (
            "dispatch with a total timeout and a minimum rate",
            dispatch(limited),
            r#"{ "kind": "Dispatch", "slot": 3, "generation": 70000, "flags": ["Blocking"], "body": "None", "pool": 2, "headersTimeout": 4294967295, "bodyTimeout": 4294967295, "bodyLength": 0, "totalTimeout": 2000, "minBodyRate": 1024, "head": "GET /l HTTP/1.1\r\n\r\n" }"#,
        ),
        (
            "dispatch with a minimum rate of what is to be decoded",
            dispatch(both),
            r#"{ "kind": "Dispatch", "slot": 3, "generation": 70000, "flags": ["Blocking", "Decode"], "body": "None", "pool": 2, "headersTimeout": 4294967295, "bodyTimeout": 4294967295, "bodyLength": 0, "decode": "Interceptor", "maxSize": 8589934593, "minBodyRate": 1024, "head": "GET /l HTTP/1.1\r\n\r\n" }"#,
        ),
        (
            "dispatch of what is to be decoded",
            dispatch(decoded),
            r#"{ "kind": "Dispatch", "slot": 3, "generation": 70000, "flags": ["Blocking", "Decode"], "body": "None", "pool": 2, "headersTimeout": 4294967295, "bodyTimeout": 4294967295, "bodyLength": 0, "decode": "Interceptor", "maxSize": 8589934593, "head": "GET /z HTTP/1.1\r\n\r\n" }"#,
        ),
        (
            "dispatch of a timed request",
            dispatch(timed),
            r#"{ "kind": "Dispatch", "slot": 3, "generation": 70000, "flags": ["Blocking"], "body": "None", "timed": true, "pool": 2, "headersTimeout": 4294967295, "bodyTimeout": 4294967295, "bodyLength": 0, "head": "GET /t HTTP/1.1\r\n\r\n" }"#,
        ),
        (
            "dispatch without a body",
            dispatch(plain),
            r#"{ "kind": "Dispatch", "slot": 3, "generation": 70000, "flags": ["Idempotent"], "body": "None", "pool": 2, "headersTimeout": 4294967295, "bodyTimeout": 4294967295, "bodyLength": 0, "head": "GET / HTTP/1.1\r\nhost: a\r\n\r\n" }"#,
        ),
        (
            "dispatch with a whole body and timeouts",
            dispatch(full),
            r#"{ "kind": "Dispatch", "slot": 3, "generation": 70000, "flags": ["Blocking"], "body": "Full", "pool": 2, "headersTimeout": 1500, "bodyTimeout": 0, "bodyLength": 5, "head": "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n", "data": "hello" }"#,
        ),
        (
            "dispatch with a pulled body longer than 32 bits",
            dispatch(sized),
            r#"{ "kind": "Dispatch", "slot": 3, "generation": 70000, "flags": ["Blocking", "Reset", "ExpectContinue"], "body": "Sized", "pool": 2, "headersTimeout": 4294967295, "bodyTimeout": 4294967295, "bodyLength": 4294967298, "head": "PUT / HTTP/1.1\r\nexpect: 100-continue\r\n\r\n" }"#,
        ),
        (
            "dispatch with a body of unknown length",
            dispatch(chunked),
            r#"{ "kind": "Dispatch", "slot": 3, "generation": 70000, "flags": ["Blocking"], "body": "Chunked", "pool": 2, "headersTimeout": 4294967295, "bodyTimeout": 4294967295, "bodyLength": 0, "head": "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n" }"#,
        ),
        (
            "dispatch of HEAD",
            dispatch(head),
            r#"{ "kind": "Dispatch", "slot": 3, "generation": 70000, "flags": ["Blocking", "Head"], "body": "None", "pool": 2, "headersTimeout": 4294967295, "bodyTimeout": 4294967295, "bodyLength": 0, "head": "HEAD / HTTP/1.1\r\n\r\n" }"#,
        ),
        (
            "dispatch of CONNECT",
            dispatch(connect),
            r#"{ "kind": "Dispatch", "slot": 3, "generation": 70000, "flags": ["Blocking", "Connect"], "body": "None", "pool": 2, "headersTimeout": 4294967295, "bodyTimeout": 4294967295, "bodyLength": 0, "head": "CONNECT a:1 HTTP/1.1\r\n\r\n" }"#,
        ),
        (
            "dispatch of an upgrade",
            put_request(upgrade, true),
            r#"{ "kind": "Dispatch", "slot": 3, "generation": 70000, "flags": ["Blocking", "Upgrade"], "body": "None", "aux": ["Assigned"], "pool": 2, "headersTimeout": 4294967295, "bodyTimeout": 4294967295, "bodyLength": 0, "head": "GET / HTTP/1.1\r\nupgrade: websocket\r\n\r\n" }"#,
        ),
        (
            "a body chunk with padding",
            put(Submitted::BodyChunk(Bytes::from_static(b"hello"))),
            r#"{ "kind": "BodyChunk", "slot": 3, "generation": 70000, "data": "hello" }"#,
        ),
        (
            "the end of a body with trailers",
            put(Submitted::BodyEnd(fields(&[
                ("X-Sum", "1"),
                ("x-empty", ""),
            ]))),
            r#"{ "kind": "BodyEnd", "slot": 3, "generation": 70000, "trailers": [["X-Sum", "1"], ["x-empty", ""]] }"#,
        ),
        (
            "the end of a body that stays short",
            put(Submitted::BodyLeft),
            r#"{ "kind": "BodyLeft", "slot": 3, "generation": 70000 }"#,
        ),
        (
            "a cancel",
            put(Submitted::Cancel),
            r#"{ "kind": "Cancel", "slot": 3, "generation": 70000 }"#,
        ),
        (
            "a cancel with a reset",
            put(Submitted::Reset),
            r#"{ "kind": "Cancel", "slot": 3, "generation": 70000, "resets": true }"#,
        ),
        (
            "a credit",
            put(Submitted::Credit {
                bytes: 65_536,
                paused: false,
            }),
            r#"{ "kind": "Credit", "slot": 3, "generation": 70000, "flags": [], "bytes": 65536 }"#,
        ),
        (
            "a pause",
            put(Submitted::Credit {
                bytes: 0,
                paused: true,
            }),
            r#"{ "kind": "Credit", "slot": 3, "generation": 70000, "flags": ["Paused"], "bytes": 0 }"#,
        ),
        (
            "closing a pool",
            put(Submitted::PoolClose),
            r#"{ "kind": "PoolClose", "slot": 3, "generation": 70000 }"#,
        ),
        (
            "destroying a pool",
            put(Submitted::PoolDestroy),
            r#"{ "kind": "PoolDestroy", "slot": 3, "generation": 70000 }"#,
        ),
        (
            "connecting a pool",
            put(Submitted::PoolConnect),
            r#"{ "kind": "PoolConnect", "slot": 3, "generation": 70000 }"#,
        ),
        (
            "configuring a pool",
            put(Submitted::PoolConfigure(Bytes::from_static(b"abcd"))),
            r#"{ "kind": "PoolConfigure", "slot": 3, "generation": 70000, "text": "abcd" }"#,
        ),
        (
            "changing the depth of a pool",
            put(Submitted::PoolPipelining(9)),
            r#"{ "kind": "PoolPipelining", "slot": 3, "generation": 70000, "depth": 9 }"#,
        ),
        (
            "asking what connections are doing",
            put(Submitted::PoolInspect),
            r#"{ "kind": "PoolInspect", "slot": 3, "generation": 70000 }"#,
        ),
        (
            "opening connections in advance",
            put(Submitted::PoolPreconnect(5)),
            r#"{ "kind": "PoolPreconnect", "slot": 3, "generation": 70000, "count": 5 }"#,
        ),
        (
            "destroying a connection",
            put(Submitted::ConnectionDestroy),
            r#"{ "kind": "ConnectionDestroy", "slot": 3, "generation": 70000 }"#,
        ),
        (
            "giving a connection up",
            put(Submitted::ConnectionGiveUp),
            r#"{ "kind": "ConnectionGiveUp", "slot": 3, "generation": 70000 }"#,
        ),
        (
            "the addresses of a name",
            put(Submitted::LookupResult(Ok(vec![
                IpAddr::from([127, 0, 0, 1]).into(),
                IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]).into(),
            ]))),
            r#"{ "kind": "LookupResult", "slot": 3, "generation": 70000, "answer": ["127.0.0.1", "::1"] }"#,
        ),
        (
            "a look-up that failed",
            put(Submitted::LookupResult(Err(7))),
            r#"{ "kind": "LookupResult", "slot": 3, "generation": 70000, "answer": 7 }"#,
        ),
    ]
}

fn completions() -> Vec<Vector> {
    let head = |status, reason: &[u8], version, headers| ResponseHead {
        version,
        status,
        reason: reason.to_vec(),
        headers,
    };
    let ok = head(
        200,
        b"OK",
        Version::Http11,
        fields(&[
            ("Content-Type", "text/plain"),
            ("Set-Cookie", "a=1"),
            ("Set-Cookie", "b=2"),
        ]),
    );
    let odd = head(299, b"caf\xe9", Version::Http10, {
        let mut headers = HeaderBlock::new();
        headers.push(b"x", b"");
        headers.push(b"x-latin", b"\xfc\xff");
        headers
    });
    let h2 = head(404, b"", Version::Http2, fields(&[("server", "x")]));
    let hints = head(
        103,
        b"Early Hints",
        Version::Http11,
        fields(&[("Link", "</a>")]),
    );
    let switching = head(
        101,
        b"Switching Protocols",
        Version::Http11,
        fields(&[("Upgrade", "websocket")]),
    );
    let put = |write: &dyn Fn(&mut Vec<u8>)| {
        let mut out = Vec::new();
        write(&mut out);
        out
    };
    let epoch = Epoch(Instant::now());
    let at = |micros| Some(epoch.0 + Duration::from_micros(micros));
    let timings = with(RequestTimings::new(epoch.0), |timings| {
        timings.assigned = at(250);
        timings.head_sent = at(500);
        timings.first_byte = at(5_000_000_000_500);
        timings.is_new = true;
    });
    let mut vectors = vec![
        (
            "the timings of a request",
            put(&|out| to_js::put_timings(out, TO, epoch, 7, &timings)),
            r#"{ "kind": "Timings", "slot": 3, "generation": 70000, "isNew": true, "serial": 7, "times": [0.25, 0.5, 0, 5000000000.5, 0] }"#,
        ),
        (
            "a head",
            put(&|out| to_js::put_head(out, HeadKind::Final, TO, &ok, over(true, 0))),
            r#"{ "kind": "Head", "slot": 3, "generation": 70000, "status": 200, "flags": ["Reused"], "reason": "OK", "fields": [["Content-Type", "text/plain"], ["Set-Cookie", "a=1"], ["Set-Cookie", "b=2"]] }"#,
        ),
        (
            "a head of HTTP/1.0 with bytes above ASCII",
            put(&|out| to_js::put_head(out, HeadKind::Final, TO, &odd, over(false, 0))),
            r#"{ "kind": "Head", "slot": 3, "generation": 70000, "status": 299, "flags": ["Http10"], "reason": "caf\u00e9", "fields": [["x", ""], ["x-latin", "\u00fc\u00ff"]] }"#,
        ),
        (
            "a head of HTTP/2",
            put(&|out| to_js::put_head(out, HeadKind::Final, TO, &h2, over(false, 7))),
            r#"{ "kind": "Head", "slot": 3, "generation": 70000, "status": 404, "flags": ["Http2"], "reason": "7", "fields": [["server", "x"]] }"#,
        ),
        (
            "a head whose body was decoded",
            put(&|out| {
                let over = Over {
                    decoded: true,
                    ..Over::default()
                };
                to_js::put_head(out, HeadKind::Final, TO, &ok, over);
            }),
            r#"{ "kind": "Head", "slot": 3, "generation": 70000, "status": 200, "flags": ["Decoded"], "reason": "OK", "fields": [["Content-Type", "text/plain"], ["Set-Cookie", "a=1"], ["Set-Cookie", "b=2"]] }"#,
        ),
        (
            "an informational head",
            put(&|out| to_js::put_head(out, HeadKind::Informational, TO, &hints, over(false, 0))),
            r#"{ "kind": "Informational", "slot": 3, "generation": 70000, "status": 103, "flags": [], "reason": "Early Hints", "fields": [["Link", "</a>"]] }"#,
        ),
        (
            "an upgrade",
            put(&|out| to_js::put_head(out, HeadKind::Upgrade, TO, &switching, over(false, 0))),
            r#"{ "kind": "Upgrade", "slot": 3, "generation": 70000, "status": 101, "flags": [], "reason": "Switching Protocols", "fields": [["Upgrade", "websocket"]] }"#,
        ),
        (
            "a chunk in the batch",
            put(&|out| to_js::put_data(out, TO, b"hello")),
            r#"{ "kind": "Data", "slot": 3, "generation": 70000, "data": "hello" }"#,
        ),
        (
            "a chunk in a slab",
            put(&|out| {
                let place = to_js::InSlab {
                    slab: 1,
                    offset: 65_536,
                    length: 16_384,
                };
                to_js::put_large_data(out, TO, place);
            }),
            r#"{ "kind": "Data", "slot": 3, "generation": 70000, "slab": 1, "offset": 65536, "length": 16384 }"#,
        ),
        (
            "an end without trailers",
            put(&|out| to_js::put_end(out, TO, &HeaderBlock::new())),
            r#"{ "kind": "End", "slot": 3, "generation": 70000, "trailers": [] }"#,
        ),
        (
            "an end with trailers",
            put(&|out| to_js::put_end(out, TO, &fields(&[("X-Sum", "1")]))),
            r#"{ "kind": "End", "slot": 3, "generation": 70000, "trailers": [["X-Sum", "1"]] }"#,
        ),
        (
            "the end of a decoded response",
            put(&|out| to_js::put_end_decoded(out, TO, &fields(&[("X-Sum", "1")]), 87)),
            r#"{ "kind": "End", "slot": 3, "generation": 70000, "received": 87, "trailers": [["X-Sum", "1"]] }"#,
        ),
        (
            "a pull",
            put(&|out| to_js::put_pull(out, TO, 65_536)),
            r#"{ "kind": "Pull", "slot": 3, "generation": 70000, "bytes": 65536 }"#,
        ),
        (
            "the connection of a request",
            put(&|out| to_js::put_assigned(out, TO, 7)),
            r#"{ "kind": "Assigned", "slot": 3, "generation": 70000, "serial": 7 }"#,
        ),
        (
            "how many requests an HTTP/2 connection takes",
            put(&|out| to_js::put_concurrency(out, TO, 128)),
            r#"{ "kind": "Concurrency", "slot": 3, "generation": 70000, "streams": 128 }"#,
        ),
        (
            "an answered PING",
            put(&|out| to_js::put_pong(out, TO, Duration::from_micros(1500))),
            r#"{ "kind": "Pong", "slot": 3, "generation": 70000, "milliseconds": 1.5 }"#,
        ),
        (
            "a name to resolve",
            put(&|out| to_js::put_lookup(out, TO, "example.org")),
            r#"{ "kind": "Lookup", "slot": 3, "generation": 70000, "host": "example.org" }"#,
        ),
        (
            "a server to judge",
            put(&|out| to_js::put_identity(out, TO, true, "a", &[vec![1, 2, 3]])),
            r#"{ "kind": "Identity", "slot": 3, "generation": 70000, "flags": ["Proxy"] }"#,
        ),
        (
            "a connection attempt that was given up",
            put(&|out| to_js::put_connect_given_up(out, CONN)),
            r#"{ "kind": "ConnectGivenUp", "slot": 2, "generation": 1 }"#,
        ),
        (
            "an address to judge",
            put(&|out| to_js::put_address(out, TO, true, [10, 0, 0, 1].into(), "a.example")),
            r#"{ "kind": "Address", "slot": 3, "generation": 70000, "flags": ["Proxied"], "question": "10.0.0.1\na.example" }"#,
        ),
        (
            "the end of a pool",
            put(&|out| to_js::put_pool_closed(out, 2)),
            r#"{ "kind": "PoolClosed", "slot": 2, "generation": 0 }"#,
        ),
        (
            "three records in one batch",
            put(&|out| {
                to_js::put_head(out, HeadKind::Final, TO, &h2, over(true, 7));
                to_js::put_data(out, TO, b"x");
                to_js::put_end(out, TO, &HeaderBlock::new());
            }),
            r#"[{ "kind": "Head", "slot": 3, "generation": 70000, "status": 404, "flags": ["Http2", "Reused"], "reason": "7", "fields": [["server", "x"]] }, { "kind": "Data", "slot": 3, "generation": 70000, "data": "x" }, { "kind": "End", "slot": 3, "generation": 70000, "trailers": [] }]"#,
        ),
    ];
    vectors.extend(errors());
    vectors.extend(connections());
    vectors
}

fn errors() -> Vec<Vector> {
    let put = |error: &Error| {
        let mut out = Vec::new();
        to_js::put_failure(&mut out, TO, error);
        out
    };
    let address = |text: &str| text.parse::<SocketAddr>().ok();
    let refused = |address: &str| {
        Error::new(
            ErrorKind::Connect,
            Phase::Connect,
            format!("connect ECONNREFUSED {address}:80"),
        )
        .with_system(with(
            SystemDetail::of_call("connect", "ECONNREFUSED", -111),
            |detail| {
                detail.address = Some(address.to_owned());
                detail.port = Some(80);
            },
        ))
    };
    let socket = Error::new(ErrorKind::Socket, Phase::Body, "other side closed").with_socket(with(
        SocketInfo::default(),
        |socket| {
            socket.local = address("127.0.0.1:5000");
            socket.remote = address("[::1]:80");
            socket.bytes_written = 10;
            socket.bytes_read = 5_000_000_000;
        },
    ));
    let parse = Error::new(
        ErrorKind::Parse(ParseErrorCode::InvalidConstant),
        Phase::Headers,
        "Expected HTTP/",
    );
    let coding = Error::new(
        ErrorKind::ContentCoding,
        Phase::Body,
        "incorrect header check",
    )
    .with_system(with(SystemDetail::new("Z_DATA_ERROR"), |detail| {
        detail.errno = -3;
    }));
    let all = Error::new(ErrorKind::Connect, Phase::Connect, "")
        .with_system(SystemDetail::new("ECONNREFUSED"))
        .with_attempts(vec![refused("::1"), refused("127.0.0.1")]);
    let unresolved = Error::new(
        ErrorKind::Resolve,
        Phase::Resolve,
        "getaddrinfo ENOTFOUND x",
    )
    .with_system(with(
        SystemDetail::of_call("getaddrinfo", "ENOTFOUND", -3008),
        |detail| detail.hostname = Some("x".to_owned()),
    ));
    vec![
        (
            "a failed socket",
            put(&socket),
            r#"{ "kind": "Error", "slot": 3, "generation": 70000, "error": { "Code": 16, "Phase": "body", "Message": "other side closed", "LocalAddress": "127.0.0.1", "LocalPort": 5000, "RemoteAddress": "::1", "RemotePort": 80, "BytesWritten": 10, "BytesRead": 5000000000 } }"#,
        ),
        (
            "a parse error",
            put(&parse),
            r#"{ "kind": "Error", "slot": 3, "generation": 70000, "error": { "Code": 15, "Phase": "headers", "Message": "Expected HTTP/", "SystemCode": "HPE_INVALID_CONSTANT" } }"#,
        ),
        (
            "a broken content coding",
            put(&coding),
            r#"{ "kind": "Error", "slot": 3, "generation": 70000, "error": { "Code": 24, "Phase": "body", "Message": "incorrect header check", "SystemCode": "Z_DATA_ERROR", "Errno": -3 } }"#,
        ),
        (
            "a refused connection",
            put(&refused("127.0.0.1")),
            r#"{ "kind": "Error", "slot": 3, "generation": 70000, "error": { "Code": 9, "Phase": "connect", "Message": "connect ECONNREFUSED 127.0.0.1:80", "SystemCode": "ECONNREFUSED", "Errno": -111, "Syscall": "connect", "Address": "127.0.0.1", "Port": 80 } }"#,
        ),
        (
            "two refused addresses",
            put(&all),
            r#"{ "kind": "Error", "slot": 3, "generation": 70000, "error": { "Code": 9, "Phase": "connect", "Message": "", "SystemCode": "ECONNREFUSED", "Attempt": [{ "Code": 9, "Phase": "connect", "Message": "connect ECONNREFUSED ::1:80", "SystemCode": "ECONNREFUSED", "Errno": -111, "Syscall": "connect", "Address": "::1", "Port": 80 }, { "Code": 9, "Phase": "connect", "Message": "connect ECONNREFUSED 127.0.0.1:80", "SystemCode": "ECONNREFUSED", "Errno": -111, "Syscall": "connect", "Address": "127.0.0.1", "Port": 80 }] } }"#,
        ),
        (
            "a name that does not resolve",
            put(&unresolved),
            r#"{ "kind": "Error", "slot": 3, "generation": 70000, "error": { "Code": 9, "Phase": "resolve", "Message": "getaddrinfo ENOTFOUND x", "SystemCode": "ENOTFOUND", "Errno": -3008, "Syscall": "getaddrinfo", "Hostname": "x" } }"#,
        ),
    ]
}

fn connections() -> Vec<Vector> {
    let put = |write: &dyn Fn(&mut Vec<u8>)| {
        let mut out = Vec::new();
        write(&mut out);
        out
    };
    let mut tls = ConnectInfo::new(Protocol::Http2);
    tls.local = "127.0.0.1:5000".parse().ok();
    tls.remote = "127.0.0.1:443".parse().ok();
    tls.tls = Some(with(TlsInfo::default(), |tls| {
        tls.version = "TLSv1.3";
        tls.cipher = "TLS_AES_128_GCM_SHA256";
        tls.alpn = Some("h2".to_owned());
        tls.resumed = true;
        tls.server_name = Some("localhost".to_owned());
        tls.verified = true;
        tls.peer_certificate = Some(Arc::new(vec![1, 2, 3]));
    }));
    let epoch = Epoch(Instant::now());
    tls.timings.started = Some(epoch.0 + Duration::from_micros(1250));
    tls.timings.dns = Some(Duration::from_micros(500));
    tls.timings.tcp = Some(Duration::from_micros(250));
    tls.timings.tls = Some(Duration::from_millis(2));
    tls.timings.total = Duration::from_micros(2750);
    let mut unix = ConnectInfo::new(Protocol::Http1);
    unix.path = Some("/run/x.sock".to_owned());
    unix.timings.total = Duration::from_millis(1);
    let reset = Error::new(ErrorKind::Socket, Phase::Body, "read ECONNRESET")
        .with_system(SystemDetail::of_call("read", "ECONNRESET", -104));
    let ended = |reason, error| {
        with(DisconnectInfo::new(reason), |info| {
            info.error = error;
            info.bytes_read = 100;
            info.bytes_written = 50;
            info.requests = 2;
            info.age = Duration::from_millis(1500);
        })
    };
    let idle = ended(CloseReason::IdleTimeout, None);
    let broken = ended(CloseReason::IoError, Some(reset.clone()));
    let mut status = ConnectionStatus::new(NAME, Activity::Idle);
    status.age = Duration::from_millis(1500);
    status.idle = Some(Duration::from_millis(500));
    status.protocol = Some(Protocol::Http1);
    status.remote = "127.0.0.1:80".parse().ok();
    (status.requests, status.bytes_read, status.bytes_written) = (2, 100, 50);
    let attempt = ConnectionStatus::new(NAME, Activity::Connecting);
    vec![
        (
            "what two connections are doing",
            put(&|out| to_js::put_connections(out, CONN, &[status.clone(), attempt.clone()])),
            r#"{ "kind": "Answer", "slot": 2, "generation": 1, "statuses": [{ "activity": "idle", "open": 0, "age": 1500, "idle": 500, "protocol": "h1", "remoteAddress": "127.0.0.1", "remotePort": 80, "requests": 2, "bytesWritten": 50, "bytesRead": 100 }, { "activity": "connecting", "open": 0, "age": 0, "requests": 0, "bytesWritten": 0, "bytesRead": 0 }] }"#,
        ),
        (
            "connections that are ready",
            put(&|out| to_js::put_ready(out, CONN, Ok(3))),
            r#"{ "kind": "Answer", "slot": 2, "generation": 1, "ready": 3 }"#,
        ),
        (
            "no connection that is ready",
            put(&|out| to_js::put_ready(out, CONN, Err(&reset))),
            r#"{ "kind": "Answer", "slot": 2, "generation": 1, "flags": ["Failed"] }"#,
        ),
        (
            "a TLS connection",
            put(&|out| to_js::put_connected(out, CONN, NAME, epoch, &tls)),
            r#"{ "kind": "Connected", "slot": 2, "generation": 1, "info": { "Conn": "c4.1", "Protocol": "h2", "LocalAddress": "127.0.0.1", "LocalPort": 5000, "RemoteAddress": "127.0.0.1", "RemotePort": 443, "TlsVersion": "TLSv1.3", "Cipher": "TLS_AES_128_GCM_SHA256", "AlpnProtocol": "h2", "Resumed": 1, "ServerName": "localhost", "Authorized": 1, "Certificate": "010203", "DnsTime": 0.5, "TcpTime": 0.25, "TlsTime": 2, "TotalTime": 2.75, "Started": 1.25 } }"#,
        ),
        (
            "a connection to a unix socket",
            put(&|out| to_js::put_connected(out, CONN, NAME, epoch, &unix)),
            r#"{ "kind": "Connected", "slot": 2, "generation": 1, "info": { "Conn": "c4.1", "Protocol": "h1", "Path": "/run/x.sock", "TotalTime": 1 } }"#,
        ),
        (
            "an idle connection's end",
            put(&|out| to_js::put_disconnected(out, CONN, &idle)),
            r#"{ "kind": "Disconnected", "slot": 2, "generation": 1, "info": { "Reason": 1, "BytesWritten": 50, "BytesRead": 100, "Requests": 2, "Age": 1500 } }"#,
        ),
        (
            "a broken connection's end",
            put(&|out| to_js::put_disconnected(out, CONN, &broken)),
            r#"{ "kind": "Disconnected", "slot": 2, "generation": 1, "info": { "Reason": 8, "BytesWritten": 50, "BytesRead": 100, "Requests": 2, "Age": 1500, "Cause": { "Code": 16, "Phase": "body", "Message": "read ECONNRESET", "SystemCode": "ECONNRESET", "Errno": -104, "Syscall": "read" } } }"#,
        ),
        (
            "a failed connection attempt",
            put(&|out| to_js::put_connect_failed(out, CONN, &reset)),
            r#"{ "kind": "ConnectFailed", "slot": 2, "generation": 1, "error": { "Code": 16, "Phase": "body", "Message": "read ECONNRESET", "SystemCode": "ECONNRESET", "Errno": -104, "Syscall": "read" } }"#,
        ),
    ]
}

fn options() -> Vec<Vector> {
    let mut plain = Vec::new();
    put_option(&mut plain, OptionKey::Scheme, b"http");
    put_option(&mut plain, OptionKey::Host, b"localhost");
    put_number_option(&mut plain, OptionKey::Port, 3000.0);
    put_number_option(&mut plain, OptionKey::KeepAliveTimeout, 4e3);
    put_number_option(&mut plain, OptionKey::HeadersTimeout, f64::INFINITY);
    put_flag_option(&mut plain, OptionKey::FailQueue, true);
    let mut tls = Vec::new();
    put_option(&mut tls, OptionKey::Scheme, b"https");
    put_option(&mut tls, OptionKey::Host, "b\u{fc}cher".as_bytes());
    put_option(&mut tls, OptionKey::Alpn, b"h2");
    put_option(&mut tls, OptionKey::Alpn, b"http/1.1");
    put_flag_option(&mut tls, OptionKey::RejectUnauthorized, false);
    vec![
        (
            "numbers, booleans and text",
            plain,
            r#"[["Scheme", "http"], ["Host", "localhost"], ["Port", 3000], ["KeepAliveTimeout", 4000], ["HeadersTimeout", "Infinity"], ["FailQueue", true]]"#,
        ),
        (
            "repeated keys and UTF-8",
            tls,
            r#"[["Scheme", "https"], ["Host", "b\u00fccher"], ["Alpn", "h2"], ["Alpn", "http/1.1"], ["RejectUnauthorized", false]]"#,
        ),
    ]
}
