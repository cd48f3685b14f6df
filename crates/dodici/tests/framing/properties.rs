//! Properties of the framing guard over generated streams.

use crate::support::{End, Outcome, Reader};
use dodici::framing::{Framing, Guard, GuardEvent, Limits};
use dodici_pool::{RequestKind, UnexpectedContinue, Version};
use proptest::prelude::*;

fn kinds() -> impl Strategy<Value = Vec<(RequestKind, bool)>> {
    let kind = prop_oneof![
        4 => Just(RequestKind::Plain),
        1 => Just(RequestKind::Head),
        1 => Just(RequestKind::Connect),
        1 => Just(RequestKind::Upgrade),
    ];
    prop::collection::vec((kind, any::<bool>()), 1..4)
}

/// Pieces that reach deep into the reader, intact and damaged, with noise between them.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let known: Vec<&'static [u8]> = vec![
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.0 200\r\n",
        b"HTTP/1.1 103 E\r\n\r\n",
        b"HTTP/1.1 100 C\r\n\r\n",
        b"HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 204 N\r\n\r\n",
        b"HTTP/1.1 304 N\r\nContent-Length: 3\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
        b"Content-Length: 4\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: \"",
        b"Connection: close\r\n",
        b"Keep-Alive: timeout=5, max=1\r\n",
        b"A: b\r\n",
        b" folded\r\n",
        b"3\r\nabc\r\n",
        b"2;a=\"b\\\"\";c\r\nab\r\n",
        b"0\r\n\r\n",
        b"0\r\nT: v\r\n\r\n",
        b"0\r\nHost: v\r\n\r\n",
        b"\r\n\r\n",
        b"\r\n",
        b"\n",
        b"\r",
        b" ",
        b"\0",
        b"\xff",
        b"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    ];
    let piece = prop_oneof![
        12 => prop::sample::select(known).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..20),
    ];
    prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

fn tight() -> Limits {
    Limits {
        max_fields: usize::MAX,
        max_header_size: 120,
        max_informational: 2,
        max_informational_bytes: 100,
        max_chunk_extension_bytes: 16,
        max_trailer_size: 60,
        max_trailers: 3,
    }
}

fn outcomes(
    limits: Limits,
    kinds: &[(RequestKind, bool)],
    pieces: &[&[u8]],
    eof: bool,
) -> (Vec<Outcome>, Vec<u8>) {
    let mut reader = Reader::new(limits, UnexpectedContinue::Error).expect(kinds.to_vec());
    for piece in pieces {
        reader.feed(piece);
    }
    if eof {
        reader.eof();
    }
    (reader.outcomes, reader.left)
}

fn cut_at<'a>(stream: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
    at.push(stream.len());
    at.sort_unstable();
    let mut from = 0;
    at.into_iter()
        .map(|to| &stream[std::mem::replace(&mut from, to)..to])
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn s22_how_a_stream_is_split_never_changes_the_result(
        stream in stream(),
        kinds in kinds(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        small in any::<bool>(),
        eof in any::<bool>(),
    ) {
        let limits = if small { tight() } else { Limits::default() };
        let whole = outcomes(limits, &kinds, &[&stream], eof);
        let cut = outcomes(limits, &kinds, &cut_at(&stream, &cuts), eof);
        prop_assert_eq!(&whole, &cut);
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        prop_assert_eq!(&whole, &outcomes(limits, &kinds, &bytes, eof));
    }

    #[test]
    fn s22_random_bytes_never_panic(
        stream in prop::collection::vec(any::<u8>(), 0..400),
        start in 0usize..4,
        kinds in kinds(),
    ) {
        let starts: [&[u8]; 4] = [
            b"",
            b"HTTP/1.1 200 ",
            b"HTTP/1.1 200 OK\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        ];
        outcomes(Limits::default(), &kinds, &[starts[start], &stream], true);
    }
}

/// A response with known parts.
#[derive(Clone, Debug)]
struct Message {
    status: u16,
    reason: String,
    close: bool,
    fields: Vec<(String, Vec<u8>)>,
    chunks: Vec<Vec<u8>>,
    framing: u8,
    trailers: Vec<(String, Vec<u8>)>,
}

impl Message {
    fn body(&self) -> Vec<u8> {
        if self.bodyless() {
            Vec::new()
        } else {
            self.chunks.concat()
        }
    }

    fn bodyless(&self) -> bool {
        matches!(self.status, 204 | 304)
    }

    fn chunked(&self) -> bool {
        self.framing == 1 && !self.bodyless()
    }

    fn bytes(&self) -> (Vec<u8>, Vec<(String, Vec<u8>)>) {
        let mut fields = self.fields.clone();
        let body = self.body();
        match self.framing {
            _ if self.bodyless() => {}
            0 => fields.push(("Content-Length".into(), body.len().to_string().into_bytes())),
            1 => fields.insert(0, ("Transfer-Encoding".into(), b"chunked".to_vec())),
            _ => {}
        }
        if self.close {
            fields.push(("connection".into(), b"close".to_vec()));
        }
        let mut out = format!("HTTP/1.1 {} {}\r\n", self.status, self.reason).into_bytes();
        write_fields(&mut out, &fields);
        if self.chunked() {
            for chunk in &self.chunks {
                if !chunk.is_empty() {
                    out.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
                    out.extend_from_slice(chunk);
                    out.extend_from_slice(b"\r\n");
                }
            }
            out.extend_from_slice(b"0\r\n");
            write_fields(&mut out, &self.trailers);
        } else {
            out.extend_from_slice(&body);
        }
        (out, fields)
    }
}

fn write_fields(out: &mut Vec<u8>, fields: &[(String, Vec<u8>)]) {
    for (name, value) in fields {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

fn field() -> impl Strategy<Value = (String, Vec<u8>)> {
    let value = prop::collection::vec(
        prop_oneof![0x20u8..=0x7e, 0x80u8..=0xff, Just(b'\t')],
        0..30,
    )
    .prop_map(|value| value.trim_ascii().to_vec());
    ("[Xx]-[A-Za-z0-9!#$%&'*+.^_`|~-]{0,12}", value)
}

fn message() -> impl Strategy<Value = Message> {
    let fields = || prop::collection::vec(field(), 0..8);
    (
        prop_oneof![Just(200u16), Just(204), Just(304), 200u16..=999],
        "[ -~]{0,20}",
        any::<bool>(),
        fields(),
        prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..5),
        0u8..3,
        fields(),
    )
        .prop_map(
            |(status, reason, close, fields, chunks, framing, trailers)| Message {
                status,
                reason,
                close,
                fields,
                chunks,
                framing,
                trailers,
            },
        )
}

/// Reads head and body as another HTTP/1 implementation would: httparse for the head and the
/// chunk sizes, and an independent version of RFC 9112's framing rules.
fn read_with_httparse(bytes: &[u8]) -> (u16, Vec<u8>, bool) {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut head = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(len) = head.parse(bytes).unwrap() else {
        panic!("the head is incomplete");
    };
    let get = |name: &str| {
        head.headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case(name))
            .map(|header| std::str::from_utf8(header.value).unwrap())
    };
    let mut rest = &bytes[len..];
    let close = get("connection") == Some("close");
    let status = head.code.unwrap();
    if matches!(status, 204 | 304) {
        assert!(rest.is_empty());
        return (status, Vec::new(), !close);
    }
    if get("transfer-encoding") == Some("chunked") {
        let mut body = Vec::new();
        loop {
            let httparse::Status::Complete((line, size)) =
                httparse::parse_chunk_size(rest).unwrap()
            else {
                panic!("a chunk size is incomplete");
            };
            rest = &rest[line..];
            if size == 0 {
                assert_eq!(rest, b"\r\n");
                return (status, body, !close);
            }
            body.extend_from_slice(&rest[..size as usize]);
            rest = rest[size as usize..].strip_prefix(b"\r\n").unwrap();
        }
    }
    if let Some(length) = get("content-length") {
        assert_eq!(length.parse(), Ok(rest.len()));
    } else {
        assert!(close, "a body until the end on a connection that stays");
    }
    (status, rest.to_vec(), !close)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn a_valid_response_is_reported_exactly_as_it_was_written(
        message in message(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let (bytes, fields) = message.bytes();
        let (outcomes, left) = outcomes(
            Limits::default(),
            &[(RequestKind::Plain, false)],
            &cut_at(&bytes, &cuts),
            true,
        );
        let pairs = |fields: &[(String, Vec<u8>)]| {
            fields.iter().map(|(name, value)| (name.clone().into_bytes(), value.clone())).collect()
        };
        let until_close = message.framing == 2 && !message.bodyless();
        let expected = Outcome {
            version: Version::Http11,
            status: message.status,
            reason: message.reason.clone().into_bytes(),
            headers: pairs(&fields),
            body: message.body(),
            trailers: if message.chunked() { pairs(&message.trailers) } else { Vec::new() },
            reusable: !message.close && !until_close,
            other_codings: false,
            informational: 0,
            continues: 0,
            end: End::Complete,
        };
        prop_assert_eq!(&outcomes[0], &expected);
        prop_assert!(left.is_empty());

        // httparse reads the same fields from the same head.
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut head = httparse::Response::new(&mut headers);
        prop_assert!(head.parse(&bytes).unwrap().is_complete());
        let theirs: Vec<_> = head
            .headers
            .iter()
            .map(|header| (header.name.as_bytes().to_vec(), header.value.to_vec()))
            .collect();
        prop_assert_eq!(&outcomes[0].headers, &theirs);
    }

    #[test]
    fn the_synthetic_head_frames_the_passed_on_bytes_as_the_guard_did(
        message in message(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let (bytes, _) = message.bytes();
        let mut guard = Guard::new(Limits::default(), UnexpectedContinue::Ignore);
        guard.begin(RequestKind::Plain, false);
        // The pass-through adapter: head replaced, body bytes unchanged, trailers dropped.
        let mut passed_on = Vec::new();
        let mut in_trailers = false;
        for piece in cut_at(&bytes, &cuts) {
            let mut rest = piece;
            loop {
                let head_was_done = !passed_on.is_empty();
                let step = guard.feed(rest).unwrap();
                let (taken, behind) = rest.split_at(step.consumed);
                rest = behind;
                if head_was_done && !in_trailers {
                    passed_on.extend_from_slice(taken);
                }
                match step.event {
                    GuardEvent::Head => guard.write_synthetic_head(&mut passed_on),
                    GuardEvent::LastChunk => in_trailers = true,
                    GuardEvent::NeedMore | GuardEvent::Idle => break,
                    _ => {}
                }
            }
        }
        if in_trailers {
            passed_on.extend_from_slice(b"\r\n");
        }
        let until_close = guard.framing() == Framing::UntilClose;
        prop_assert_eq!(guard.eof().unwrap() == GuardEvent::End, until_close);
        prop_assert_eq!(
            read_with_httparse(&passed_on),
            (message.status, message.body(), guard.keep_alive().reusable)
        );
    }
}
