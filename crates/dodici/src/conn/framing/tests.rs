//! What only the inside can see: memory; and what is forgiven. Other behaviour is tested in
//! `tests/framing_*.rs`.

use dodici_pool::{ErrorKind, Leniency, RequestKind, UnexpectedContinue};
use dodici_testkit::with;

use super::{Guard, GuardEvent, Limits};

fn held(guard: &Guard) -> usize {
    guard.head.held_capacity() + guard.head().headers.byte_len() + guard.head().reason.len()
}

#[test]
fn s28_a_megabyte_without_a_line_end_overflows_and_holds_less_than_twice_the_limit() {
    for prefix in ["HTTP/1.1 200 ", "HTTP/1.1 200 OK\r\nA: "] {
        for piece in [1usize, 7, 1_000, 1 << 20] {
            let limits = Limits::default();
            let mut guard = Guard::new(limits, UnexpectedContinue::Ignore);
            guard.begin(RequestKind::Plain, false);
            let mut stream = prefix.as_bytes().to_vec();
            stream.resize(1 << 20, b'x');
            let mut refused_after = 0;
            let mut error = None;
            for input in stream.chunks(piece) {
                refused_after += input.len();
                if let Err(refusal) = guard.feed(input) {
                    error = Some(refusal);
                    break;
                }
                assert!(held(&guard) < 2 * limits.max_header_size);
            }
            assert_eq!(
                error.map(|error| error.kind()),
                Some(ErrorKind::HeadersOverflow)
            );
            assert!(refused_after <= limits.max_header_size + piece);
            assert!(held(&guard) < 2 * limits.max_header_size);
        }
    }
}

#[test]
fn a_head_in_one_input_is_read_without_holding_a_byte_back() {
    let mut guard = Guard::new(Limits::default(), UnexpectedContinue::Ignore);
    for _ in 0..2 {
        guard.begin(RequestKind::Plain, false);
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Long: abc\r\n\r\n";
        assert!(guard.feed(head).is_ok());
        assert!(guard.feed(b"").is_ok());
        assert!(guard.is_idle());
    }
    assert_eq!(guard.head.held_capacity(), 0);
}

#[test]
fn the_memory_of_a_huge_split_line_is_freed_when_its_head_is_complete() {
    let mut guard = Guard::new(
        Limits::with_max_header_size(1 << 20),
        UnexpectedContinue::Ignore,
    );
    guard.begin(RequestKind::Plain, false);
    assert!(guard.feed(b"HTTP/1.1 204 N\r\nA: ").is_ok());
    assert!(guard.feed(&[b'x'; 500_000]).is_ok());
    assert!(guard.head.held_capacity() >= 500_000);
    assert!(guard.feed(b"\r\n\r").is_ok());
    assert!(guard.feed(b"\n").is_ok());
    assert_eq!(guard.head.held_capacity(), 0);
    assert_eq!(guard.head().headers.byte_len(), 500_001);
    assert!(guard.feed(b"").is_ok() && guard.is_idle());
}

/// Body and whether the connection is reusable; `None` if the response is refused.
fn read(leniency: Leniency, bytes: &[u8], piece: usize) -> Option<(Vec<u8>, bool)> {
    let guard = Guard::new(Limits::default(), UnexpectedContinue::Ignore);
    let mut guard = guard.with_leniency(leniency);
    guard.begin(RequestKind::Plain, false);
    let mut body = Vec::new();
    for mut input in bytes.chunks(piece) {
        loop {
            let step = guard.feed(input).ok()?;
            match step.event {
                GuardEvent::Data(range) => body.extend_from_slice(&input[range]),
                GuardEvent::End => return Some((body, guard.keep_alive().reusable)),
                GuardEvent::NeedMore if step.consumed == input.len() => break,
                _ => {}
            }
            input = &input[step.consumed..];
        }
    }
    guard.feed(b"").ok()?;
    Some((body, guard.keep_alive().reusable))
}

#[test]
fn doubtful_framing_is_tolerated_however_it_is_split_and_ends_the_connection() {
    let lenient = with(Leniency::default(), |leniency| {
        leniency.doubtful_framing = true
    });
    for doubtful in [
        "HTTP/1.1 200 OK\ncontent-length: 2\n\nok",
        "HTTP/1.1 103 E\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2 \t\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0 ;\"\r\n\r\n",
    ] {
        for piece in [1, 3, doubtful.len()] {
            let told = format!("{doubtful:?} by {piece}");
            assert_eq!(
                read(Leniency::default(), doubtful.as_bytes(), piece),
                None,
                "{told}"
            );
            let found = read(lenient, doubtful.as_bytes(), piece);
            assert_eq!(found, Some((b"ok".to_vec(), false)), "{told}");
        }
    }
    let clean = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\n\r\n";
    let found = read(lenient, clean.as_bytes(), clean.len());
    assert_eq!(found, Some((b"ok".to_vec(), true)));
}
