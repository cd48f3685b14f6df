//! Decodes the chunked transfer coding (RFC 9112, section 7.1) and its trailer section.
//!
//! Called by the guard during a chunked body. Examines only chunk lines; chunk data is reported as
//! ranges of the input and never touched.

use std::ops::Range;

use dodici_pool::HeaderBlock;
use dodici_pool::ParseErrorCode::{CrExpected, InvalidChunkSize, LfExpected, Strict};

use super::field::{self, is_token_byte, without_crlf};
use super::limits::Limits;
use super::line::{Line, LineBuffer};
use super::reject::Reject;
use super::rules::MAX_LENGTH;
use super::trailers::check_trailer_name;

/// Hex digits of a chunk size, including leading zeros: enough for a 64-bit size.
const MAX_SIZE_DIGITS: u8 = 16;

/// The decoder; serves all chunked bodies of one connection and reuses its memory.
///
/// ```text
/// Size ─CR─▶ SizeLf ─▶ Data ─▶ DataCr ─▶ DataLf ─▶ Size
///  │            ▲ └─(size 0)─▶ Trailers ─▶ end
///  └─;─▶ Ext* ──┘ CR                      (SizeSpace and ExtForgiven: see there)
/// ```
#[derive(Debug, Default)]
pub(super) struct ChunkedReader {
    at: At,
    /// [`Leniency::doubtful_framing`](dodici_pool::Leniency::doubtful_framing).
    lenient: bool,
    /// Something was forgiven: nothing may follow on the connection.
    forgiven: bool,
    /// Size of the current chunk while its line is read, then what remains of its data.
    size: u64,
    digits: u8,
    extension_bytes: usize,
    lines: LineBuffer,
    trailers: HeaderBlock,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    #[default]
    Size,
    /// After `;`.
    ExtNameStart,
    ExtName,
    /// After `=`.
    ExtValueStart,
    ExtToken,
    ExtQuoted,
    /// After `\` in a quoted string.
    ExtQuotedPair,
    /// After the closing quote.
    ExtQuotedEnd,
    /// In forgiven whitespace after a size.
    SizeSpace,
    /// In a forgiven extension.
    ExtForgiven,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    Trailers,
}

/// The result of [`ChunkedReader::read`].
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing to report; the input is consumed.
    Nothing,
    /// Body bytes, at this range of the input.
    Data(Range<usize>),
    /// The last chunk's line ended: the trailer section follows.
    LastChunk,
    /// The empty line after the trailers.
    End,
}

impl ChunkedReader {
    /// Forgives doubtful framing from now on.
    pub(super) fn forgive(&mut self) {
        self.lenient = true;
    }

    /// Whether something in the current body was forgiven.
    pub(super) fn forgave(&self) -> bool {
        self.forgiven
    }

    /// Starts a body and discards the previous one; keeps the memory.
    pub(super) fn start(&mut self) {
        self.forgiven = false;
        self.at = At::Size;
        self.size = 0;
        self.digits = 0;
        self.clear_trailers();
    }

    pub(super) fn take_trailers(&mut self) -> HeaderBlock {
        std::mem::take(&mut self.trailers)
    }

    /// Discards the trailers of the previous message.
    pub(super) fn clear_trailers(&mut self) {
        self.trailers.clear();
        self.lines.start();
    }

    /// Trailers of the last complete body.
    pub(super) fn trailers(&self) -> &HeaderBlock {
        &self.trailers
    }

    /// Continues. Returns how many bytes of `input` were consumed and what they were.
    pub(super) fn read(&mut self, input: &[u8], limits: &Limits) -> Result<(usize, Found), Reject> {
        let mut at = 0;
        while at < input.len() {
            match self.at {
                At::Data => {
                    let left = input.len() - at;
                    let len = usize::try_from(self.size).map_or(left, |size| size.min(left));
                    self.size -= len as u64;
                    if self.size == 0 {
                        self.at = At::DataCr;
                    }
                    return Ok((at + len, Found::Data(at..at + len)));
                }
                At::Trailers => {
                    let (taken, ended) = self.read_trailers(&input[at..], limits)?;
                    let found = if ended { Found::End } else { Found::Nothing };
                    return Ok((at + taken, found));
                }
                _ => {
                    self.at = self.step(input[at], limits)?;
                    at += 1;
                    if self.at == At::Trailers {
                        return Ok((at, Found::LastChunk));
                    }
                }
            }
        }
        Ok((at, Found::Nothing))
    }

    /// Processes one byte of framing around the data.
    fn step(&mut self, byte: u8, limits: &Limits) -> Result<At, Reject> {
        match self.at {
            At::Size => self.step_size(byte, limits),
            At::SizeLf if byte != b'\n' => {
                Err(Reject::Parse(LfExpected, "Expected LF after chunk size"))
            }
            At::SizeLf => {
                self.digits = 0;
                Ok(if self.size == 0 {
                    At::Trailers
                } else {
                    At::Data
                })
            }
            At::DataCr if byte != b'\r' => Err(Reject::Parse(
                CrExpected,
                "Missing expected CR after chunk data",
            )),
            At::DataCr => Ok(At::DataLf),
            At::DataLf if byte != b'\n' => {
                Err(Reject::Parse(LfExpected, "Expected LF after chunk data"))
            }
            At::DataLf => Ok(At::Size),
            _ => self.step_extension(byte, limits),
        }
    }

    fn step_size(&mut self, byte: u8, limits: &Limits) -> Result<At, Reject> {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            b'\r' if self.digits > 0 => return Ok(At::SizeLf),
            b';' if self.digits > 0 => {
                self.count_extension_byte(limits)?;
                return Ok(At::ExtNameStart);
            }
            b' ' | b'\t' if self.digits > 0 && self.lenient => {
                self.forgiven = true;
                self.count_extension_byte(limits)?;
                return Ok(At::SizeSpace);
            }
            b'\n' if self.digits > 0 => {
                return Err(Reject::Parse(
                    CrExpected,
                    "Missing expected CR after chunk size",
                ));
            }
            _ => {
                return Err(Reject::Parse(
                    InvalidChunkSize,
                    "Invalid character in chunk size",
                ));
            }
        };
        if self.digits == 0 {
            self.size = 0;
            self.extension_bytes = 0;
        }
        // Cannot wrap: the size is at most MAX_LENGTH before, and 16 * 2^53 < 2^64.
        let size = self.size * 16 + u64::from(digit);
        if self.digits == MAX_SIZE_DIGITS || size > MAX_LENGTH {
            return Err(Reject::Parse(InvalidChunkSize, "Chunk size overflow"));
        }
        self.size = size;
        self.digits += 1;
        Ok(At::Size)
    }

    /// `;name`, `;name=token` or `;name="quoted"`, any number of times (RFC 9112, section 7.1.1)
    /// and without bad whitespace (BWS).
    fn step_extension(&mut self, byte: u8, limits: &Limits) -> Result<At, Reject> {
        let next = match (self.at, byte) {
            (At::ExtNameStart | At::ExtName, byte) if is_token_byte(byte) => At::ExtName,
            (At::ExtName, b'=') => At::ExtValueStart,
            (At::ExtValueStart, b'"') => At::ExtQuoted,
            (At::ExtValueStart | At::ExtToken, byte) if is_token_byte(byte) => At::ExtToken,
            (At::ExtQuoted, b'"') => At::ExtQuotedEnd,
            (At::ExtQuoted, b'\\') => At::ExtQuotedPair,
            (At::ExtQuoted | At::ExtQuotedPair, byte) if field::is_text(&[byte]) => At::ExtQuoted,
            (At::ExtName | At::ExtToken | At::ExtQuotedEnd, b';') => At::ExtNameStart,
            (At::ExtName | At::ExtToken | At::ExtQuotedEnd, b'\r') => return Ok(At::SizeLf),
            (At::ExtName | At::ExtToken | At::ExtQuotedEnd, b'\n') => {
                return Err(Reject::Parse(
                    CrExpected,
                    "Missing expected CR after chunk extension",
                ));
            }
            (At::SizeSpace, b' ' | b'\t') => At::SizeSpace,
            (At::SizeSpace, b';') => At::ExtNameStart,
            (At::SizeSpace | At::ExtForgiven, b'\r') => return Ok(At::SizeLf),
            (At::SizeSpace, _) => {
                return Err(Reject::Parse(
                    InvalidChunkSize,
                    "Invalid character in chunk size",
                ));
            }
            (_, byte) if self.lenient && byte != b'\n' => {
                self.forgiven = true;
                if byte == b'\r' {
                    return Ok(At::SizeLf);
                }
                At::ExtForgiven
            }
            (At::ExtQuoted | At::ExtQuotedPair, _) => {
                return Err(Reject::Parse(
                    Strict,
                    "Invalid character in chunk extensions quoted value",
                ));
            }
            _ => {
                return Err(Reject::Parse(
                    Strict,
                    "Invalid character in chunk extensions",
                ));
            }
        };
        self.count_extension_byte(limits)?;
        Ok(next)
    }

    fn count_extension_byte(&mut self, limits: &Limits) -> Result<(), Reject> {
        self.extension_bytes += 1;
        if self.extension_bytes > limits.max_chunk_extension_bytes {
            return Err(Reject::Parse(Strict, "Chunk extensions too large"));
        }
        Ok(())
    }

    fn read_trailers(&mut self, input: &[u8], limits: &Limits) -> Result<(usize, bool), Reject> {
        let mut at = 0;
        loop {
            let (taken, line) = self.lines.take(&input[at..], limits.max_trailer_size);
            at += taken;
            let line = match line {
                Line::Complete(line) => line,
                Line::Partial(_) => return Ok((at, false)),
                Line::Overflow(_) => return Err(Reject::Overflow),
            };
            let line = without_crlf(line, "Missing expected CR after header value")?;
            if line.is_empty() {
                return Ok((at, true));
            }
            let (name, value) = field::split(line)?;
            check_trailer_name(name)?;
            if self.trailers.len() == limits.max_trailers {
                return Err(Reject::Overflow);
            }
            self.trailers.push(name, value);
        }
    }
}
