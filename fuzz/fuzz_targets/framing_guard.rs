//! The framing guard on arbitrary bytes: never panics, and reads the same from a stream whole,
//! cut in two, and byte by byte.
//!
//! The first byte chooses the request and the policy, the second the cut; the rest is the stream.
//! Run: `cargo +nightly fuzz run framing_guard` in this folder.
#![no_main]

use dodici::conn::framing::{Guard, GuardEvent, Limits};
use dodici_pool::{ErrorKind, RequestKind, UnexpectedContinue};
use libfuzzer_sys::fuzz_target;

/// Everything an owner can see, in order, with data ranges joined.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    heads: Vec<(u16, String)>,
    bodies: Vec<u8>,
    trailers: Vec<String>,
    left: Vec<u8>,
    error: Option<ErrorKind>,
}

fuzz_target!(|bytes: &[u8]| {
    let [choice, cut, stream @ ..] = bytes else {
        return;
    };
    let at = usize::from(*cut).min(stream.len());
    let whole = read(*choice, &[stream]);
    assert_eq!(whole, read(*choice, &[&stream[..at], &stream[at..]]));
    let single: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(whole, read(*choice, &single));
});

fn read(choice: u8, pieces: &[&[u8]]) -> Seen {
    let kind = match choice & 3 {
        0 => RequestKind::Plain,
        1 => RequestKind::Head,
        2 => RequestKind::Connect,
        _ => RequestKind::Upgrade,
    };
    let unexpected = if choice & 4 == 0 {
        UnexpectedContinue::Ignore
    } else {
        UnexpectedContinue::Error
    };
    let limits = if choice & 8 == 0 {
        Limits::default()
    } else {
        Limits::with_max_header_size(64)
    };
    let mut guard = Guard::new(limits, unexpected);
    guard.begin(kind, choice & 16 != 0);
    let mut seen = Seen::default();
    for piece in pieces {
        if !feed(&mut guard, piece, &mut seen) {
            return seen;
        }
    }
    match guard.eof() {
        Ok(GuardEvent::End) => end(&guard, &mut seen),
        Ok(_) => {}
        Err(error) => seen.error = Some(error.kind()),
    }
    seen
}

/// Whether the guard still lives.
fn feed(guard: &mut Guard, piece: &[u8], seen: &mut Seen) -> bool {
    let mut rest = piece;
    loop {
        let step = match guard.feed(rest) {
            Ok(step) => step,
            Err(error) => {
                seen.error = Some(error.kind());
                return false;
            }
        };
        let (taken, behind) = rest.split_at(step.consumed);
        match step.event {
            GuardEvent::NeedMore => {
                assert!(behind.is_empty());
                return true;
            }
            GuardEvent::Idle | GuardEvent::Upgrade => {
                seen.left.extend_from_slice(behind);
                return true;
            }
            GuardEvent::Informational | GuardEvent::Continue | GuardEvent::Head => {
                let head = guard.head();
                seen.heads
                    .push((head.status, format!("{:?}", head.headers)));
            }
            GuardEvent::Data(range) => seen.bodies.extend_from_slice(&taken[range]),
            GuardEvent::LastChunk => {}
            GuardEvent::End => {
                end(guard, seen);
                if guard.keep_alive().reusable {
                    guard.begin(RequestKind::Plain, false);
                }
            }
        }
        rest = behind;
    }
}

fn end(guard: &Guard, seen: &mut Seen) {
    seen.trailers.push(format!("{:?}", guard.trailers()));
}
