//! One header or trailer line (RFC 9112, section 5), split into name and value.
//!
//! Used by the head reader and the chunked decoder. Must not know any field by name.

use dodici_pool::ParseErrorCode::{CrExpected, InvalidHeaderToken, LfExpected};

use super::reject::Reject;

/// A line without its CRLF; a bare LF is rejected.
///
/// `line` ends with LF: it comes from [`Line::Complete`](super::line::Line::Complete).
pub(super) fn without_crlf<'a>(line: &'a [u8], bare_lf: &'static str) -> Result<&'a [u8], Reject> {
    line.strip_suffix(b"\r\n")
        .ok_or(Reject::Parse(CrExpected, bare_lf))
}

/// Name and value of a field line without its CRLF. Whitespace around the value is stripped;
/// nothing else is changed.
pub(super) fn split(line: &[u8]) -> Result<(&[u8], &[u8]), Reject> {
    let name_len = line
        .iter()
        .position(|byte| !is_token_byte(*byte))
        .unwrap_or(line.len());
    if name_len == 0 || line.get(name_len) != Some(&b':') {
        // A line that starts with whitespace is a folded line (RFC 9112, section 5.2) or, as the
        // first of a head, a smuggling attempt (section 2.2).
        let reason = match line.first() {
            Some(b' ' | b'\t') => "Unexpected whitespace after header value",
            _ => "Invalid header token",
        };
        return Err(Reject::Parse(InvalidHeaderToken, reason));
    }
    let value = trim(&line[name_len + 1..]);
    if !is_text(value) {
        return Err(bad_text(
            value,
            "Missing expected LF after header value",
            "Invalid header value char",
        ));
    }
    Ok((&line[..name_len], value))
}

/// Whether all bytes are allowed in a field value or reason phrase: HTAB, SP, VCHAR and obs-text
/// (RFC 9110, section 5.5). Without a branch per byte, so that the compiler vectorises it.
pub(super) fn is_text(bytes: &[u8]) -> bool {
    !bytes.iter().fold(false, |bad, &byte| {
        bad | ((byte < b' ') & (byte != b'\t')) | (byte == 0x7f)
    })
}

/// The error for bytes that are not text: a bare CR is distinguished from other control bytes.
#[cold]
pub(super) fn bad_text(bytes: &[u8], bare_cr: &'static str, other: &'static str) -> Reject {
    let first = bytes.iter().find(|byte| !is_text(&[**byte]));
    if first == Some(&b'\r') {
        Reject::Parse(LfExpected, bare_cr)
    } else {
        Reject::Parse(InvalidHeaderToken, other)
    }
}

/// Strips optional whitespace (SP and HTAB) on both sides.
pub(super) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// Whether a byte is allowed in a token (RFC 9110, section 5.6.2).
pub(super) const fn is_token_byte(byte: u8) -> bool {
    TOKEN[byte as usize]
}

const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let others = b"!#$%&'*+-.^_`|~";
    let mut at = 0;
    while at < others.len() {
        table[others[at] as usize] = true;
        at += 1;
    }
    table
};
