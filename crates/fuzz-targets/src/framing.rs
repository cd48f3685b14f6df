//! The framing guard: HTTP/1.1 responses, split in any way.

use dodici::framing::{Guard, GuardEvent, Limits};
use dodici::{RequestKind, UnexpectedContinue};

const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

/// The first byte chooses the request and the policy, the second the size of the pieces; the rest
/// is the response.
pub(crate) fn http1_head(input: &[u8]) {
    let [choice, size, response @ ..] = input else {
        return;
    };
    let asked = Asked {
        kind: match choice & 3 {
            0 => RequestKind::Plain,
            1 => RequestKind::Head,
            2 => RequestKind::Connect,
            _ => RequestKind::Upgrade,
        },
        unexpected: match choice & 4 {
            0 => UnexpectedContinue::Ignore,
            _ => UnexpectedContinue::Error,
        },
        limits: match choice & 8 {
            0 => Limits::default(),
            _ => Limits::with_max_header_size(64),
        },
        expects: choice & 16 != 0,
    };
    let whole = read(response, &asked, response.len());
    assert_eq!(whole, read(response, &asked, (*size).into()));
    assert_eq!(whole, read(response, &asked, 1));
}

/// The input follows the head of a chunked response.
pub(crate) fn http1_chunked(input: &[u8]) {
    let response = [CHUNKED, input].concat();
    let asked = Asked {
        kind: RequestKind::Plain,
        unexpected: UnexpectedContinue::Ignore,
        limits: Limits::default(),
        expects: false,
    };
    let whole = read(&response, &asked, response.len());
    assert_eq!(whole, read(&response, &asked, 1));
    for event in &whole {
        if let Read::Data(body) = event {
            assert!(body.len() < input.len(), "more output than input");
        }
    }
}

/// What a guard knows about a request, and its leniency.
struct Asked {
    kind: RequestKind,
    unexpected: UnexpectedContinue,
    limits: Limits,
    expects: bool,
}

/// What a guard reported, with split events merged.
#[derive(Debug, PartialEq, Eq)]
enum Read {
    Head(String),
    Informational,
    Continue,
    Data(Vec<u8>),
    LastChunk,
    End(String),
    Left(Vec<u8>),
    Stream(Vec<u8>),
    Failed(String),
}

/// Decodes all responses to such requests from pieces of this size.
fn read(response: &[u8], asked: &Asked, size: usize) -> Vec<Read> {
    let mut guard = Guard::new(asked.limits, asked.unexpected);
    let mut told = Vec::new();
    guard.begin(asked.kind, asked.expects);
    for piece in response.chunks(size.max(1)) {
        if !feed(&mut guard, asked.kind, piece, &mut told) {
            return told;
        }
    }
    match guard.eof() {
        Ok(GuardEvent::End) => told.push(Read::End(format!("{:?}", guard.trailers()))),
        Ok(_) => {}
        Err(error) => told.push(failed(&error)),
    }
    told
}

/// Returns whether the guard continues.
fn feed(guard: &mut Guard, kind: RequestKind, piece: &[u8], told: &mut Vec<Read>) -> bool {
    let mut rest = piece;
    loop {
        let step = match guard.feed(rest) {
            Ok(step) => step,
            Err(error) => {
                told.push(failed(&error));
                return false;
            }
        };
        let (taken, behind) = rest.split_at(step.consumed);
        match step.event {
            GuardEvent::NeedMore => {
                assert!(behind.is_empty(), "unread bytes are left");
                return true;
            }
            GuardEvent::Idle => {
                assert!(taken.is_empty(), "a guard at rest takes nothing");
                put(told, behind, Read::Left);
                return true;
            }
            GuardEvent::Upgrade => {
                put(told, behind, Read::Stream);
                return true;
            }
            GuardEvent::Informational => told.push(Read::Informational),
            GuardEvent::Continue => told.push(Read::Continue),
            GuardEvent::Head => {
                let mut synthetic = Vec::new();
                guard.write_synthetic_head(&mut synthetic);
                assert!(synthetic.ends_with(b"\r\n\r\n"), "{synthetic:?}");
                told.push(Read::Head(format!(
                    "{:?} {:?}",
                    guard.head(),
                    guard.keep_alive()
                )));
            }
            GuardEvent::Data(range) => put(told, &rest[range], Read::Data),
            GuardEvent::LastChunk => told.push(Read::LastChunk),
            GuardEvent::End => {
                told.push(Read::End(format!("{:?}", guard.trailers())));
                if guard.keep_alive().reusable {
                    guard.begin(kind, false);
                }
            }
        }
        rest = behind;
    }
}

/// Appends bytes to the last entry if it is of the same kind, or adds one.
fn put(told: &mut Vec<Read>, bytes: &[u8], kind: fn(Vec<u8>) -> Read) {
    let new = kind(bytes.to_vec());
    match (told.last_mut(), &new) {
        (Some(Read::Data(all)), Read::Data(_))
        | (Some(Read::Left(all)), Read::Left(_))
        | (Some(Read::Stream(all)), Read::Stream(_)) => all.extend_from_slice(bytes),
        _ => told.push(new),
    }
}

fn failed(error: &dodici::Error) -> Read {
    Read::Failed(format!("{:?} {}", error.kind(), error.message()))
}
