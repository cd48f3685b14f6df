//! Limits on responses. Set by the creator of a guard, read by the parsers in this folder; those
//! that do not depend on the message syntax apply to HTTP/2 as well (`conn::h2`).

use dodici_pool::{Error, HeaderBlock, ParseErrorCode, Phase};

use super::reject::Reject;

/// How much of a response the guard reads before it rejects it.
///
/// All limits are inclusive: a message of exactly the limit's size is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one response head, from the first byte of the status line (or of the empty lines
    /// before it) to the empty line, reason phrase and separators included. Default 16 KiB:
    /// Node's `--max-http-header-size`.
    pub max_header_size: usize,
    /// Fields of one response head. Default: as many as fit into it.
    pub max_fields: usize,
    /// Informational responses to one request. Default 64: servers need a handful.
    pub max_informational: u32,
    /// Bytes of all informational heads of one request together. Default 64 KiB.
    pub max_informational_bytes: usize,
    /// Bytes of the extensions of one chunk, including semicolons. Default 16 KiB: as much as
    /// Node's server accepts.
    pub max_chunk_extension_bytes: usize,
    /// Bytes of a trailer section, including its empty line. Default 16 KiB.
    pub max_trailer_size: usize,
    /// Fields of a trailer section. Default 1,000.
    pub max_trailers: usize,
}

impl Limits {
    /// The defaults with a different limit for heads, which then applies to trailers as well:
    /// undici's `maxHeaderSize` covers both.
    pub fn with_max_header_size(bytes: usize) -> Self {
        Self {
            max_header_size: bytes,
            max_trailer_size: bytes,
            ..Self::default()
        }
    }

    /// With a different limit on the fields of heads and of trailers.
    #[must_use]
    pub fn with_max_fields(self, fields: usize) -> Self {
        Self {
            max_fields: fields,
            max_trailers: fields,
            ..self
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_header_size: 16 * 1024,
            max_fields: usize::MAX,
            max_informational: 64,
            max_informational_bytes: 64 * 1024,
            max_chunk_extension_bytes: 16 * 1024,
            max_trailer_size: 16 * 1024,
            max_trailers: 1_000,
        }
    }
}

/// The informational responses to one request so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Informational {
    count: u32,
    bytes: usize,
}

impl Informational {
    /// None has arrived.
    pub(crate) fn is_none(self) -> bool {
        self.count == 0
    }

    /// Another one arrived, with a head of this many bytes.
    pub(super) fn add(&mut self, bytes: usize, limits: &Limits) -> Result<(), Reject> {
        self.count += 1;
        self.bytes += bytes;
        if self.count > limits.max_informational || self.bytes > limits.max_informational_bytes {
            return Err(Reject::Parse(
                ParseErrorCode::Strict,
                "Too many informational responses: more than 64, or 64 KiB",
            ));
        }
        Ok(())
    }

    /// Like [`Informational::add`], for a head that no guard has parsed.
    ///
    /// # Errors
    /// That of the guard.
    pub(crate) fn add_decoded(&mut self, head: &HeaderBlock) -> Result<(), Error> {
        self.add(decoded_size(head), &Limits::default())
            .map_err(|reject| reject.into_http2_error(Phase::Headers))
    }
}

/// Size of a list of fields in HTTP/1.1 encoding, whatever it was on the wire.
pub(crate) fn decoded_size(fields: &HeaderBlock) -> usize {
    let sizes = fields
        .iter()
        .map(|(name, value)| name.len() + value.len() + 4);
    sizes.sum()
}
