//! Parses response heads (RFC 9112, sections 2 to 5) line by line, in one pass over the bytes.
//!
//! Called by the guard until a head is complete. Decides nothing that depends on the request.

use dodici_pool::ParseErrorCode::{
    CrExpected, InvalidConstant, InvalidStatus, InvalidVersion, LfExpected,
};
use dodici_pool::{Leniency, ResponseHead, Version};

use super::field::{self, bad_text, is_text};
use super::lenient::{self, Forgiven};
use super::limits::Limits;
use super::line::{Line, LineBuffer};
use super::reject::Reject;
use super::rules::FramingFields;

/// Memory kept for the next head, however large the limit: a typical head needs 1 KiB. A partial
/// line is freed when its head is complete, the head itself when the next one starts.
const KEEP: usize = 16 * 1024;

/// The parser; serves all heads of one connection and reuses its memory.
#[derive(Debug)]
pub(super) struct HeadReader {
    head: ResponseHead,
    fields: FramingFields,
    lines: LineBuffer,
    expects: Expects,
    leniency: Leniency,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expects {
    StatusLine,
    Field,
    /// The head is complete and stays readable until the next one starts.
    Next,
}

impl HeadReader {
    pub(super) fn new() -> Self {
        Self {
            head: ResponseHead::default(),
            fields: FramingFields::default(),
            lines: LineBuffer::default(),
            expects: Expects::StatusLine,
            leniency: Leniency::default(),
        }
    }

    pub(super) fn forgive(&mut self, leniency: Leniency) {
        self.leniency = leniency;
        self.fields = FramingFields::new(leniency.doubtful_framing);
    }

    /// Whether a response that starts with `input` has no head, if that is forgiven; `None` if it
    /// is too short to tell. Must not be called inside a head.
    pub(super) fn is_missing(&self, input: &[u8]) -> Option<bool> {
        const START: &[u8; 5] = b"HTTP/";
        if !self.leniency.missing_head || self.section_len() > 0 {
            return Some(false);
        }
        let have = input.len().min(START.len());
        if input[..have] != START[..have] {
            Some(true)
        } else {
            (have == START.len()).then_some(false)
        }
    }

    /// Substitutes a head for a missing one.
    pub(super) fn stand_in(&mut self) {
        self.head.version = Version::Http09;
        self.head.status = 200;
        self.expects = Expects::Next;
    }

    /// A missing head is rejected.
    pub(super) fn insist(&mut self) {
        self.leniency.missing_head = false;
    }

    /// The last complete head.
    pub(super) fn head(&self) -> &ResponseHead {
        &self.head
    }

    /// The framing fields of that head.
    pub(super) fn fields(&self) -> &FramingFields {
        &self.fields
    }

    /// Bytes read of the current head, or of the last one if none has started.
    pub(super) fn section_len(&self) -> usize {
        self.lines.section_len()
    }

    /// Discards the last head; the next byte starts another one.
    pub(super) fn start(&mut self) {
        self.head.clear();
        if self.head.headers.byte_len() > KEEP {
            self.head = ResponseHead::default();
        }
        self.fields = FramingFields::new(self.leniency.doubtful_framing);
        self.lines.start();
        self.expects = Expects::StatusLine;
    }

    /// Continues. Returns how many bytes of `input` were consumed and whether the head is complete;
    /// if it is not, all of `input` was consumed.
    pub(super) fn read(&mut self, input: &[u8], limits: &Limits) -> Result<(usize, bool), Reject> {
        if self.expects == Expects::Next {
            self.start();
        }
        let mut at = 0;
        loop {
            let (taken, line) = self.lines.take(&input[at..], limits.max_header_size);
            at += taken;
            if self.expects == Expects::StatusLine {
                let (Line::Complete(start) | Line::Partial(start) | Line::Overflow(start)) = &line;
                check_start(start)?;
            }
            let line = match line {
                Line::Complete(line) => line,
                Line::Partial(_) => return Ok((at, false)),
                Line::Overflow(_) => return Err(Reject::Overflow),
            };
            let fields = &mut self.fields;
            if self.expects == Expects::StatusLine {
                // Some servers send a CRLF after the previous message's body, and RFC 9112, section
                // 2.2, has the recipient skip it. The limit of the head includes them.
                if line == b"\r\n" {
                    continue;
                }
                let end = "Missing expected CR after response line";
                read_status_line(fields.without_end(line, end)?, &mut self.head)?;
                self.expects = Expects::Field;
                continue;
            }
            let line = fields.without_end(line, "Missing expected CR after header value")?;
            if line.is_empty() {
                self.expects = Expects::Next;
                self.lines.shrink(KEEP);
                return Ok((at, true));
            }
            let (name, value) = match field::split(line) {
                Ok(field) => field,
                Err(fault) => {
                    let headers = &mut self.head.headers;
                    match lenient::read(self.leniency, line, headers, fault)? {
                        Forgiven::Field(name, value) => (name, value),
                        Forgiven::Continued(more) => {
                            headers.extend_last(more);
                            continue;
                        }
                        Forgiven::LeftOut => continue,
                    }
                }
            };
            fields.note(self.head.version, name, value)?;
            if self.head.headers.len() == limits.max_fields {
                return Err(Reject::Overflow);
            }
            self.head.headers.push(name, value);
        }
    }

    #[cfg(test)]
    pub(super) fn held_capacity(&self) -> usize {
        self.lines.capacity()
    }
}

/// Compares the start of a status line, complete or not, with `HTTP/1.x` and a space, so that a
/// peer that speaks another protocol is rejected at its first wrong byte, even without a line end.
/// An empty line passes.
fn check_start(start: &[u8]) -> Result<(), Reject> {
    const EXPECTED: &[u8; 9] = b"HTTP/1.x ";
    const VERSION_STARTS: usize = 5;
    const MINOR: usize = 7;
    if start.first() == Some(&b'\r') {
        return match start.get(1) {
            None | Some(b'\n') => Ok(()),
            Some(_) => Err(Reject::Parse(LfExpected, "Expected LF after CR")),
        };
    }
    if start.first() == Some(&b'\n') {
        return Err(Reject::Parse(CrExpected, "Expected CRLF"));
    }
    for (index, (&have, &want)) in start.iter().zip(EXPECTED).enumerate() {
        let matches = if index == MINOR {
            matches!(have, b'0' | b'1')
        } else {
            have == want
        };
        if !matches {
            return Err(if index < VERSION_STARTS {
                Reject::Parse(InvalidConstant, "Expected HTTP/, RTSP/ or ICE/")
            } else {
                Reject::Parse(InvalidVersion, "Invalid HTTP version")
            });
        }
    }
    Ok(())
}

/// Parses a complete line that [`check_start`] has accepted, without its end.
fn read_status_line(line: &[u8], head: &mut ResponseHead) -> Result<(), Reject> {
    const INVALID: Reject = Reject::Parse(InvalidStatus, "Invalid response status");
    // "HTTP/1.x " is checked and has no line end in it, so the line has at least these 9 bytes.
    let (version, rest) = line.split_at_checked(9).ok_or(INVALID)?;
    head.version = if version[7] == b'0' {
        Version::Http10
    } else {
        Version::Http11
    };
    let (digits, rest) = rest.split_at_checked(3).ok_or(INVALID)?;
    let mut status = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return Err(INVALID);
        }
        status = status * 10 + u16::from(digit - b'0');
    }
    if status < 100 {
        return Err(Reject::Parse(InvalidStatus, "Invalid status code"));
    }
    head.status = status;
    let reason = match rest {
        [] => rest,
        [b' ', reason @ ..] => reason,
        [b'\r', ..] => {
            return Err(Reject::Parse(
                LfExpected,
                "Missing expected LF after response line",
            ));
        }
        _ => return Err(INVALID),
    };
    if !is_text(reason) {
        return Err(bad_text(
            reason,
            "Missing expected LF after response line",
            "Invalid character in reason phrase",
        ));
    }
    head.reason.extend_from_slice(reason);
    Ok(())
}
