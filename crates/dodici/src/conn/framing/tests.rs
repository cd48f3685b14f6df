//! What only the inside can see: memory. Behaviour is tested in `tests/framing_*.rs`.

use dodici_pool::{ErrorKind, RequestKind, UnexpectedContinue};

use super::{Guard, Limits};

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
fn the_memory_of_a_huge_cut_line_is_given_back_when_its_head_is_complete() {
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
