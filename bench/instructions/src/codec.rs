//! Cost of the boundary on the Rust side. main.rs lists these.

use std::hint::black_box;

use bytes::Bytes;
use dodici_pool::{HeaderBlock, ResponseHead};
use dodici_wire::Target;
use dodici_wire::completion::{HeadKind, Over, put_data, put_end, put_head};
use dodici_wire::frame::put_record;
use dodici_wire::schema::{DEFAULT_TIMEOUT, DispatchFlag, Submission, WireBody};
use dodici_wire::submission::{Submitted, submissions};

const TARGET: Target = Target {
    slot: 7,
    generation: 3,
};
/// Requests in a flush under load.
const FLUSH: u32 = 16;

/// A flush of small GETs, as one Buffer.
pub(crate) fn decode_dispatches(repetitions: u64) {
    let head: &[u8] = b"GET /path HTTP/1.1\r\nhost: 127.0.0.1:8080\r\n\
        connection: keep-alive\r\naccept: */*\r\n\r\n";
    let mut flush = Vec::new();
    for slot in 0..FLUSH {
        let target = Target { slot, ..TARGET };
        let (kind, flags) = (Submission::Dispatch as u8, DispatchFlag::Blocking as u8);
        put_record(
            &mut flush,
            kind,
            flags,
            WireBody::None as u16,
            target,
            |out| {
                for number in [1, head.len() as u32, DEFAULT_TIMEOUT, DEFAULT_TIMEOUT, 0, 0] {
                    out.extend_from_slice(&number.to_le_bytes());
                }
                out.extend_from_slice(head);
            },
        );
    }
    let flush = Bytes::from(flush);
    for _ in 0..repetitions {
        let mut decoded = 0;
        for record in submissions(black_box(flush.clone())) {
            if let Ok((_, Submitted::Dispatch { request, .. })) = black_box(record) {
                decoded += u32::from(request.head.len() == head.len());
            }
        }
        assert_eq!(decoded, FLUSH, "every request was decoded");
    }
}

/// Head, chunk and end of a small response, written into an existing batch.
pub(crate) fn encode_response(repetitions: u64) {
    let mut fields = HeaderBlock::new();
    for (name, value) in [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Date", "Mon, 23 Nov 2026 10:00:00 GMT"),
        ("Connection", "keep-alive"),
        ("Keep-Alive", "timeout=60"),
        ("Content-Length", "13"),
    ] {
        fields.push(name.as_bytes(), value.as_bytes());
    }
    encode(fields, b"hello, world\n", repetitions);
}

/// The same with many fields and no body.
pub(crate) fn encode_fields(repetitions: u64) {
    let mut fields = HeaderBlock::new();
    for number in 0..24 {
        let name = format!("X-Field-Number-{number}");
        fields.push(name.as_bytes(), "value ".repeat(number % 7 + 1).as_bytes());
    }
    encode(fields, b"", repetitions);
}

fn encode(headers: HeaderBlock, body: &[u8], repetitions: u64) {
    let head = ResponseHead {
        status: 200,
        reason: b"OK".to_vec(),
        headers,
        ..ResponseHead::default()
    };
    let trailers = HeaderBlock::new();
    let mut batch = Vec::with_capacity(16 * 1024);
    let over = Over {
        reused: true,
        ..Over::default()
    };
    for _ in 0..repetitions {
        batch.clear();
        put_head(&mut batch, HeadKind::Final, TARGET, black_box(&head), over);
        if !body.is_empty() {
            put_data(&mut batch, TARGET, black_box(body));
        }
        put_end(&mut batch, TARGET, &trailers);
        assert!(black_box(&batch).len() > head.headers.byte_len(), "encoded");
    }
}
