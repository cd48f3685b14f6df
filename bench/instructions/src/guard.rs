//! Cost of the framing guard per response. main.rs lists these.

use std::hint::black_box;

use dodici::framing::{Guard, GuardEvent, Limits};
use dodici::{RequestKind, UnexpectedContinue};

const SMALL: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Date: Mon, 23 Nov 2026 10:00:00 GMT\r\n\
    Connection: keep-alive\r\n\
    Keep-Alive: timeout=60\r\n\
    Content-Length: 13\r\n\r\n\
    hello, world\n";

/// A head like those of large sites.
pub(crate) fn large_head() -> Vec<u8> {
    let mut head = b"HTTP/1.1 200 OK\r\n".to_vec();
    for number in 0..23 {
        let field = format!(
            "X-Field-Number-{number}: {}\r\n",
            "value ".repeat(number % 7 + 1)
        );
        head.extend_from_slice(field.as_bytes());
    }
    head.extend_from_slice(b"Content-Length: 0\r\n\r\n");
    head
}

/// A small response in one piece.
pub(crate) fn small(repetitions: u64) {
    repeat(SMALL, SMALL.len(), 13, repetitions);
}

/// A head of 24 fields, no body.
pub(crate) fn fields(repetitions: u64) {
    let response = large_head();
    repeat(&response, response.len(), 0, repetitions);
}

/// Eight chunks of 100 bytes.
pub(crate) fn chunked(repetitions: u64) {
    let mut response = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..8 {
        response.extend_from_slice(b"64\r\n");
        response.extend_from_slice(&[b'x'; 100]);
        response.extend_from_slice(b"\r\n");
    }
    response.extend_from_slice(b"0\r\n\r\n");
    repeat(&response, response.len(), 800, repetitions);
}

/// What a peer sends to waste our time.
pub(crate) fn bytewise(repetitions: u64) {
    repeat(SMALL, 1, 13, repetitions);
}

/// Reads `response`, in pieces of this size, repeatedly on one connection.
fn repeat(response: &[u8], piece: usize, body: u64, repetitions: u64) {
    let mut guard = Guard::new(Limits::default(), UnexpectedContinue::Error);
    for _ in 0..repetitions {
        guard.begin(RequestKind::Plain, false);
        for piece in black_box(response).chunks(piece) {
            read(&mut guard, piece);
        }
        assert!(guard.is_idle(), "the response has ended");
    }
    assert_eq!(guard.body_received(), body, "the whole body was read");
}

fn read(guard: &mut Guard, mut input: &[u8]) {
    loop {
        let step = match guard.feed(input) {
            Ok(step) => step,
            Err(error) => unreachable!("the response is well-formed: {error}"),
        };
        input = &input[step.consumed..];
        let ended = matches!(
            black_box(step.event),
            GuardEvent::NeedMore | GuardEvent::End
        );
        // With no input left, the end may still have to be polled.
        if ended || guard.is_idle() {
            return;
        }
    }
}
