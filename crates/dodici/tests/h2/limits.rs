//! What an HTTP/2 response may contain: the limits of HTTP/1.1, and what is forbidden in it.
//! Violations fail their stream, never the connection. (S26, S29)

use dodici::{Error, ErrorKind, Event, ParseErrorCode, Request};
use dodici_testkit::client::{get, head};
use dodici_testkit::h2::{block, code, flag, frame, kind, response_block};
use dodici_testkit::{Client, H2Peer, ScriptedPeer, within};

use crate::support::one_connection;

/// The outcome of a request answered with these frames.
struct Outcome {
    result: Result<u16, Error>,
    informational: usize,
    /// The code of the client's RST_STREAM.
    reset: Option<u32>,
}

impl Outcome {
    fn kind(&self) -> ErrorKind {
        self.result.as_ref().unwrap_err().kind()
    }
}

/// Answers a request with `answer`, and another one on the same connection correctly.
async fn outcome(
    request: Request,
    answer: impl Fn(u32) -> Vec<u8> + Clone + Send + Sync + 'static,
) -> Outcome {
    let (told, reset) = {
        let told = dodici_testkit::Watched::<Option<Option<u32>>>::default();
        (told.clone(), told)
    };
    let peer = ScriptedPeer::tcp().await.run(move |conn| {
        let (answer, told) = (answer.clone(), told.clone());
        async move {
            let mut peer = H2Peer::accept(conn, &[]).await;
            let stream = peer.next_request().await.unwrap().stream;
            peer.send_raw(answer(stream)).await;
            let other = peer.next_request().await.unwrap().stream;
            peer.respond(other, "ok").await;
            let of_it = peer.resets.iter().find(|(of, _)| *of == stream);
            told.update(|told| *told = Some(of_it.map(|(_, code)| *code)));
            peer.closed().await;
        }
    });
    let client = Client::new(peer.port(), one_connection());
    let call = client.send(request);
    let seen = within("the answer", call.settled()).await;
    let other = within("the other", client.get("/other").ended()).await;
    assert_eq!(other.body, b"ok");
    assert_eq!(client.events.connects(), 1, "it cost its connection");
    assert_eq!(
        client
            .events
            .count(|event| matches!(event, Event::Disconnected { .. })),
        0
    );
    let reset = within("the peer", reset.wait(|told| *told)).await;
    client.pool.destroy();
    within("closed", client.events.closed()).await;
    peer.finish().await;
    let result = match &seen.terminal.as_ref().unwrap().1 {
        dodici_testkit::Terminal::End(_) => Ok(seen.status()),
        dodici_testkit::Terminal::Error(error) => Err(error.clone()),
    };
    Outcome {
        result,
        informational: seen.informational.len(),
        reset,
    }
}

fn head_frame(stream: u32, status: u16, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(
        kind::HEADERS,
        flag::END_HEADERS,
        stream,
        response_block(status, fields),
    )
}

fn last(stream: u32, body: &str) -> Vec<u8> {
    frame(kind::DATA, flag::END_STREAM, stream, body)
}

const STRICT: ErrorKind = ErrorKind::Parse(ParseErrorCode::Strict);
const PROTOCOL_ERROR: ErrorKind = ErrorKind::StreamReset(code::PROTOCOL_ERROR);

#[tokio::test]
async fn s26_over_http2_sixty_four_informational_responses_are_allowed() {
    let answer = |count: usize| {
        move |stream| {
            let mut bytes = head_frame(stream, 103, &[("link", "</a>")]).repeat(count);
            bytes.extend(head_frame(stream, 200, &[]));
            bytes.extend(last(stream, "ok"));
            bytes
        }
    };
    let seen = outcome(get("/"), answer(64)).await;
    assert_eq!((seen.result.unwrap(), seen.informational), (200, 64));
    let seen = outcome(get("/"), answer(65)).await;
    assert_eq!((seen.kind(), seen.informational), (STRICT, 64));
    // What exceeds the limit is not delivered, and affects no other request.
    let seen = outcome(get("/"), answer(3_000)).await;
    assert_eq!((seen.kind(), seen.informational), (STRICT, 64));
    assert_eq!(seen.reset, Some(code::PROTOCOL_ERROR));
}

/// Informational responses of 30 KiB each, whose fields are two bytes on the wire: one entry of
/// HPACK's table, repeated.
fn indexed(stream: u32, count: usize) -> Vec<u8> {
    let mut first = block(&[(":status", "103")]);
    first.push(0x40);
    first.extend([5, b'x', b'-', b'b', b'i', b'g', 127]);
    first.extend([0xa1, 0x1e]);
    first.extend([b'v'; 4000]);
    let mut again = block(&[(":status", "103")]);
    again.extend([0xbe; 8]);
    let mut bytes = frame(kind::HEADERS, flag::END_HEADERS, stream, first);
    bytes.extend(frame(kind::HEADERS, flag::END_HEADERS, stream, again).repeat(count));
    bytes
}

#[tokio::test]
async fn s26_over_http2_their_size_counts_once_it_is_decoded() {
    let seen = outcome(get("/"), |stream| indexed(stream, 100)).await;
    assert_eq!(seen.kind(), STRICT);
    // 4 KiB, and twice 32 KiB are too many.
    assert_eq!(seen.informational, 2);
}

#[tokio::test]
async fn s29_over_http2_trailers_have_the_limits_of_http1() {
    let with = |trailers: Vec<(String, String)>| {
        move |stream| {
            let fields: Vec<_> = trailers.iter().map(|(n, v)| (&n[..], &v[..])).collect();
            let mut bytes = head_frame(stream, 200, &[]);
            bytes.extend(frame(kind::DATA, 0, stream, "ok"));
            let end = flag::END_HEADERS | flag::END_STREAM;
            let block = block(&fields);
            let (first, rest) = block.split_at(block.len().min(16_000));
            if rest.is_empty() {
                bytes.extend(frame(kind::HEADERS, end, stream, first));
            } else {
                bytes.extend(frame(kind::HEADERS, flag::END_STREAM, stream, first));
                let end = flag::END_HEADERS;
                bytes.extend(frame(kind::CONTINUATION, end, stream, rest));
            }
            bytes
        }
    };
    let field = |name: &str, len: usize| (name.to_owned(), "v".repeat(len));
    let many = |count: usize| -> Vec<_> {
        (0..count)
            .map(|n| (format!("t{n}"), String::new()))
            .collect()
    };
    let cases: Vec<(&str, Vec<_>, Option<ErrorKind>)> = vec![
        ("one", many(1), None),
        ("a thousand", many(1_000), None),
        ("one more", many(1_001), Some(ErrorKind::HeadersOverflow)),
        ("16,000 bytes", vec![field("x", 16_000)], None),
        (
            "16 KiB",
            vec![field("x", 16_384)],
            Some(ErrorKind::HeadersOverflow),
        ),
        ("a host", vec![field("host", 1)], Some(STRICT)),
        (
            "a length",
            vec![("content-length".into(), "2".into())],
            Some(ErrorKind::Parse(ParseErrorCode::UnexpectedContentLength)),
        ),
    ];
    for (name, trailers, expected) in cases {
        let seen = outcome(get("/"), with(trailers)).await;
        let kind = seen.result.as_ref().err().map(Error::kind);
        assert_eq!(kind, expected, "{name}");
    }
}

#[tokio::test]
async fn s22_a_length_that_is_repeated_or_no_number_is_rejected_over_http2() {
    for lengths in [
        &["2", "2"][..],
        &["2", "3"],
        &["2, 2"],
        &["+2"],
        &[" 2"],
        &[""],
    ] {
        for request in [get("/"), head("/")] {
            let seen = outcome(request, move |stream| {
                let fields: Vec<_> = lengths
                    .iter()
                    .map(|length| ("content-length", *length))
                    .collect();
                head_frame(stream, 200, &fields)
            })
            .await;
            assert_eq!(seen.kind(), PROTOCOL_ERROR, "{lengths:?}");
            assert_eq!(seen.reset, Some(code::PROTOCOL_ERROR), "{lengths:?}");
        }
    }
}

#[tokio::test]
async fn a_body_where_none_is_allowed_is_rejected_over_http2() {
    for (status, request) in [(204, get("/")), (304, get("/")), (200, head("/"))] {
        let seen = outcome(request, move |stream| {
            let mut bytes = head_frame(stream, status, &[]);
            bytes.extend(frame(kind::DATA, 0, stream, "body"));
            bytes
        })
        .await;
        assert_eq!(seen.kind(), PROTOCOL_ERROR, "{status}");
        assert_eq!(seen.reset, Some(code::PROTOCOL_ERROR), "{status}");
    }
    // An empty one has no effect.
    for (status, request) in [(204, get("/")), (304, get("/")), (200, head("/"))] {
        let seen = outcome(request, move |stream| {
            let mut bytes = head_frame(stream, status, &[]);
            bytes.extend(last(stream, ""));
            bytes
        })
        .await;
        assert_eq!(seen.result.unwrap(), status);
    }
}

#[tokio::test]
async fn a_pseudo_header_of_a_request_is_refused_in_a_response() {
    let end = flag::END_HEADERS | flag::END_STREAM;
    for (name, value) in [
        (":path", "/"),
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "a"),
        (":protocol", "websocket"),
    ] {
        let fields = [(":status", "200"), (name, value)];
        let head = move |stream| frame(kind::HEADERS, end, stream, block(&fields));
        let interim = move |stream| {
            let fields = [(":status", "103"), (name, value)];
            frame(kind::HEADERS, flag::END_HEADERS, stream, block(&fields))
        };
        let trailers = move |stream| {
            let mut bytes = head_frame(stream, 200, &[]);
            bytes.extend(frame(kind::DATA, 0, stream, "body"));
            bytes.extend(frame(kind::HEADERS, end, stream, block(&[(name, value)])));
            bytes
        };
        assert_eq!(
            outcome(get("/"), head).await.kind(),
            PROTOCOL_ERROR,
            "{name}"
        );
        let seen = outcome(get("/"), interim).await;
        assert_eq!(
            seen.kind(),
            PROTOCOL_ERROR,
            "{name} in an informational one"
        );
        assert_eq!(seen.reset, Some(code::PROTOCOL_ERROR));
        let seen = outcome(get("/"), trailers).await;
        assert_eq!(seen.kind(), PROTOCOL_ERROR, "{name} in trailers");
    }
}

/// A status that is not in HPACK's static table, put into the dynamic one.
const KEPT_STATUS: &[u8] = &[0x48, 3, b'2', b'0', b'1'];

#[tokio::test]
async fn a_status_is_refused_in_trailers() {
    let end = flag::END_HEADERS | flag::END_STREAM;
    let cases: [(&str, Vec<u8>); 4] = [
        ("a literal", block(&[(":status", "200")])),
        (
            "with a field behind it",
            block(&[(":status", "103"), ("x", "y")]),
        ),
        ("from the static table", vec![0x88]),
        ("from the dynamic table", vec![0xbe]),
    ];
    for (name, trailers) in cases {
        for body in ["body", ""] {
            let trailers = trailers.clone();
            let seen = outcome(get("/"), move |stream| {
                let mut bytes = head_frame(stream, 103, &[]);
                bytes.extend(frame(kind::HEADERS, flag::END_HEADERS, stream, KEPT_STATUS));
                if !body.is_empty() {
                    bytes.extend(frame(kind::DATA, 0, stream, body));
                }
                bytes.extend(frame(kind::HEADERS, end, stream, &trailers));
                bytes
            })
            .await;
            assert_eq!(seen.kind(), PROTOCOL_ERROR, "{name}");
        }
    }
}

#[tokio::test]
async fn a_head_that_ends_its_stream_is_not_trailers() {
    let end = flag::END_HEADERS | flag::END_STREAM;
    for head in [
        block(&[(":status", "201"), ("x", "y")]),
        KEPT_STATUS.to_vec(),
    ] {
        let seen = outcome(get("/"), move |stream| {
            let mut bytes = head_frame(stream, 103, &[]);
            bytes.extend(frame(kind::HEADERS, end, stream, &head));
            bytes
        })
        .await;
        assert_eq!((seen.result.unwrap(), seen.informational), (201, 1));
    }
}

#[tokio::test]
async fn s29_over_http2_trailers_beyond_the_list_of_headers_are_not_dropped() {
    let trailers = block(&[("x", &"v".repeat(70_000))]);
    let seen = outcome(get("/"), move |stream| {
        let mut bytes = head_frame(stream, 200, &[]);
        bytes.extend(frame(kind::DATA, 0, stream, "body"));
        let (first, rest) = trailers.split_at(16_000);
        bytes.extend(frame(kind::HEADERS, flag::END_STREAM, stream, first));
        for piece in rest.chunks(16_000) {
            let last = piece.as_ptr_range().end == trailers.as_ptr_range().end;
            let flags = if last { flag::END_HEADERS } else { 0 };
            bytes.extend(frame(kind::CONTINUATION, flags, stream, piece));
        }
        bytes
    })
    .await;
    assert_eq!(seen.kind(), PROTOCOL_ERROR);
}

#[tokio::test]
async fn a_connection_specific_field_fails_its_stream_only() {
    for name in ["connection", "transfer-encoding", "upgrade", "keep-alive"] {
        let seen = outcome(get("/"), move |stream| {
            head_frame(stream, 200, &[(name, "x")])
        })
        .await;
        assert_eq!(seen.kind(), PROTOCOL_ERROR, "{name}");
        assert_eq!(seen.reset, Some(code::PROTOCOL_ERROR), "{name}");
    }
}

/// Raw literals: the first byte, name and value.
fn raw(fields: &[(u8, &[u8], &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (first, name, value) in fields {
        bytes.push(*first);
        for text in [name, value] {
            bytes.push(text.len() as u8);
            bytes.extend(*text);
        }
    }
    bytes
}

/// Blocks of fields that make a response malformed, each behind a valid one.
fn malformed() -> Vec<(&'static str, Vec<u8>)> {
    let kept = |name: &'static [u8], value: &'static [u8]| raw(&[(0x40, name, value)]);
    vec![
        ("an upper-case name", kept(b"X-Up", b"b")),
        ("one that is not kept", raw(&[(0, b"X-Up", b"b")])),
        (
            "one that is Huffman-coded",
            vec![0x40, 0x82, 0xfd, 0x3f, 1, b'b'],
        ),
        ("a space in a name", kept(b"a b", b"c")),
        ("an unknown pseudo-header", kept(b":foo", b"x")),
        ("no name", raw(&[(0, b"", b"c")])),
        ("no name, kept", kept(b"", b"ccc")),
        ("CR LF in a value", kept(b"a", b"b\r\nc")),
        ("NUL in a value", kept(b"a", b"b\0c")),
        ("DEL in a value", raw(&[(0, b"a", b"\x7f")])),
        (
            "LF in a Huffman-coded value",
            vec![0x40, 1, b'a', 0x84, 0xff, 0xff, 0xff, 0xf3],
        ),
        (
            "NUL behind a static name",
            vec![0x40 | 33, 3, b'b', 0, b'c'],
        ),
        ("a path that is not UTF-8", vec![0x44, 2, 0xff, 0xfe]),
    ]
}

#[tokio::test]
async fn a_malformed_head_or_trailers_fail_their_stream_only() {
    let end = flag::END_HEADERS | flag::END_STREAM;
    for (name, field) in malformed() {
        let block = [&block(&[(":status", "200")]), &field[..]].concat();
        let (first, rest) = block.split_at(block.len() - 2);
        let whole = frame(kind::HEADERS, end, 1, &block);
        let mut split = frame(kind::HEADERS, flag::END_STREAM, 1, first);
        split.extend(frame(kind::CONTINUATION, flag::END_HEADERS, 1, rest));
        for head in [whole, split] {
            let seen = outcome(get("/"), move |_| head.clone()).await;
            assert_eq!(seen.kind(), PROTOCOL_ERROR, "{name}");
        }
        let interim = frame(kind::HEADERS, flag::END_HEADERS, 1, &block);
        let seen = outcome(get("/"), move |_| interim.clone()).await;
        assert_eq!(seen.kind(), PROTOCOL_ERROR, "{name}");
        assert_eq!(seen.reset, Some(code::PROTOCOL_ERROR), "{name}");
        let seen = outcome(get("/"), move |stream| {
            let mut bytes = head_frame(stream, 200, &[]);
            bytes.extend(frame(kind::DATA, 0, stream, "body"));
            bytes.extend(frame(kind::HEADERS, end, stream, &field));
            bytes
        })
        .await;
        assert_eq!(seen.kind(), PROTOCOL_ERROR, "{name} in trailers");
    }
    for status in ["abc", "1000", "20", "", "099", "2 0"] {
        for first in [0, 0x40] {
            let literal = raw(&[(first, b":status", status.as_bytes())]);
            let mut named = vec![first | 8, status.len() as u8];
            named.extend(status.as_bytes());
            for block in [literal, named] {
                let seen = outcome(get("/"), move |stream| {
                    frame(kind::HEADERS, end, stream, &block)
                })
                .await;
                assert_eq!(seen.kind(), PROTOCOL_ERROR, "status {status:?}");
            }
        }
    }
}

#[tokio::test]
async fn empty_data_never_closes_the_connection_if_it_accompanies_a_body() {
    let peer = ScriptedPeer::tcp().await.run(|conn| async move {
        let mut peer = H2Peer::accept(conn, &[]).await;
        // A thousand in one body, and one in each of 150 others.
        let mut empty = 1_000;
        while let Some(request) = peer.next_request().await {
            let stream = request.stream;
            peer.send_raw(head_frame(stream, 200, &[])).await;
            let frames = frame(kind::DATA, 0, stream, []).repeat(empty);
            peer.send_raw(frames).await;
            peer.data(stream, "hi", true).await;
            empty = 1;
        }
    });
    let client = Client::new(peer.port(), one_connection());
    for _ in 0..151 {
        let seen = within("the answer", client.get("/").ended()).await;
        assert_eq!(seen.body, b"hi");
    }
    assert_eq!(client.events.connects(), 1);
    client.pool.destroy();
    within("closed", client.events.closed()).await;
    peer.finish().await;
}

#[tokio::test]
async fn streams_beside_a_malformed_one_continue_with_hpacks_table() {
    let peer = ScriptedPeer::tcp().await.run(|conn| async move {
        let mut peer = H2Peer::accept(conn, &[]).await;
        let good = peer.next_request().await.unwrap().stream;
        let bad = peer.next_request().await.unwrap().stream;
        let last = peer.next_request().await.unwrap().stream;
        let fields: [(u8, &[u8], &[u8]); 2] = [(0, b":status", b"200"), (0x40, b"x-one", b"1")];
        let block = raw(&fields);
        peer.send(kind::HEADERS, flag::END_HEADERS, good, block)
            .await;
        peer.data(good, "first ", false).await;
        // Two invalid fields and a valid one, all kept: `x-one` is the fourth of the table now.
        let mut block = raw(&[(0, b":status", b"200"), (0x40, b"BAD", b"value")]);
        block.extend(raw(&[(0x40, b"x-bad", b"\n"), (0x40, b"x-two", b"2")]));
        // Byte by byte, wherever the client's reads end.
        let frames = frame(kind::HEADERS, flag::END_HEADERS, bad, block);
        for byte in frames {
            peer.send_raw([byte]).await;
        }
        peer.data(good, "second", true).await;
        let end = flag::END_HEADERS | flag::END_STREAM;
        peer.send(kind::HEADERS, end, last, [0x88, 0x80 | 65, 0x80 | 62])
            .await;
        peer.closed().await;
    });
    let client = Client::new(peer.port(), one_connection());
    let calls = ["/good", "/bad", "/last"].map(|path| client.send(get(path)));
    let [good, bad, last] = calls;
    let seen = within("the good one", good.ended()).await;
    assert_eq!(seen.body, b"first second");
    let error = within("the bad one", bad.error()).await;
    assert_eq!(error.kind(), PROTOCOL_ERROR);
    let seen = within("the last one", last.ended()).await;
    let fields = dodici_testkit::recording::fields(&seen.head.unwrap().headers);
    let expected = [("x-one", "1"), ("x-two", "2")];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(fields, expected);
    assert_eq!(client.events.connects(), 1);
    client.pool.destroy();
    within("closed", client.events.closed()).await;
    peer.finish().await;
}
