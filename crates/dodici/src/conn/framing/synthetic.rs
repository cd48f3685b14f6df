//! The head that hyper gets instead of the peer's: same framing, same persistence, nothing else.
//!
//! Called by the guard in pass-through mode. hyper parses it at a fixed small cost, keeps no
//! header map, and cannot disagree with the guard about where the body ends.

use http::StatusCode;

use super::Framing;

/// Appends the head of a response that is followed by a body in the given framing.
pub(super) fn write_response(out: &mut Vec<u8>, status: u16, framing: Framing, reusable: bool) {
    write_status_line(out, status);
    match framing {
        // 204 and 304 end at their head; for others, that must be said.
        Framing::None if matches!(status, 204 | 304) => {}
        Framing::None => out.extend_from_slice(b"content-length: 0\r\n"),
        Framing::Length(length) => {
            out.extend_from_slice(b"content-length: ");
            write_decimal(out, length);
            out.extend_from_slice(b"\r\n");
        }
        Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Framing::UntilClose => {}
    }
    if !reusable {
        out.extend_from_slice(b"connection: close\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends the head of a response that turns the connection into a byte stream.
pub(super) fn write_upgrade(out: &mut Vec<u8>, status: u16) {
    write_status_line(out, status);
    out.extend_from_slice(b"\r\n");
}

fn write_status_line(out: &mut Vec<u8>, status: u16) {
    out.extend_from_slice(b"HTTP/1.1 ");
    write_decimal(out, u64::from(status));
    out.push(b' ');
    // hyper allocates for a reason phrase that is not the usual one.
    let reason = StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason());
    out.extend_from_slice(reason.unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn write_decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}
