//! What hyper reads in place of what the server sent: the inward half of the link.
//!
//! Called by the link with what it has read. Knows nothing of sockets.

use dodici_pool::{CloseReason, Error, ErrorKind, Phase};

use super::framing::{Guard, GuardEvent};
use super::link::{Seen, are_line_ends};

/// Runs `input` through the guard and turns it into what hyper shall read: body bytes stay, a head
/// is cut out and replaced by a synthetic one, trailers are cut out. Returns the length of the
/// prefix of `input` that is for hyper now; what does not fit there goes to `to_hyper`.
pub(super) fn pass(
    guard: &mut Guard,
    seen: &mut Seen,
    to_hyper: &mut Vec<u8>,
    surplus: &mut Vec<u8>,
    input: &mut [u8],
) -> Result<usize, Error> {
    let mut at = 0;
    // Where the body's bytes start and end in this input.
    let mut body_start = 0;
    let mut body_end = seen.last_chunk.then_some(0);
    loop {
        let step = guard.feed(&input[at..])?;
        at += step.consumed;
        match step.event {
            GuardEvent::Data(_) => {}
            GuardEvent::NeedMore | GuardEvent::Idle => break,
            GuardEvent::Informational => {
                seen.informational.push_back(guard.head().clone());
                body_start = at;
            }
            GuardEvent::Continue => {
                seen.continued = true;
                body_start = at;
            }
            GuardEvent::Head => {
                seen.head = true;
                guard.write_synthetic_head(to_hyper);
                body_start = at;
            }
            GuardEvent::Upgrade => {
                seen.upgraded = true;
                surplus.extend_from_slice(&input[at..]);
                return Ok(0);
            }
            GuardEvent::LastChunk => {
                seen.last_chunk = true;
                body_end = Some(at);
            }
            GuardEvent::End => {
                seen.ended = true;
                break;
            }
        }
    }
    if seen.ended && !are_line_ends(&input[at..]) {
        // More than the one message that was asked for: hyper never sees it, and the connection
        // is not used again.
        seen.failure.get_or_insert_with(|| {
            let error = Error::new(ErrorKind::Socket, Phase::Queued, "bad response");
            (CloseReason::UnsolicitedData, error)
        });
    }
    if !seen.head {
        return Ok(0);
    }
    let body_end = body_end.unwrap_or(at);
    // The empty line behind the last chunk, in place of the trailers that hyper does not see.
    let closing: &[u8] = if seen.ended && seen.last_chunk {
        b"\r\n"
    } else {
        b""
    };
    let synthetic = to_hyper.len();
    let body = body_end - body_start;
    let visible = synthetic + body;
    // The usual case: all of it fits where it came from.
    if synthetic <= body_start && visible + closing.len() <= at {
        if synthetic != body_start {
            input.copy_within(body_start..body_end, synthetic);
        }
        input[..synthetic].copy_from_slice(to_hyper);
        input[visible..visible + closing.len()].copy_from_slice(closing);
        to_hyper.clear();
        return Ok(visible + closing.len());
    }
    to_hyper.extend_from_slice(&input[body_start..body_end]);
    to_hyper.extend_from_slice(closing);
    Ok(0)
}
