//! The framing guard's limits. Set by whoever makes a guard, read by the readers beside this file.

/// How much of a response the guard is willing to read before it gives up.
///
/// All limits are inclusive: a message that is exactly as large as its limit is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one response head, from the first byte of the status line (or of the empty lines
    /// before it) to the empty line, reason phrase and separators included. Default 16 KiB:
    /// Node's `--max-http-header-size`.
    pub max_header_size: usize,
    /// Informational responses to one request. Default 64: a server has use for a handful.
    pub max_informational: u32,
    /// Bytes of all informational heads of one request together. Default 64 KiB.
    pub max_informational_bytes: usize,
    /// Bytes of all chunk extensions of one body together, semicolons included. Default 16 KiB:
    /// nobody sends any, and hyper has the same limit.
    pub max_chunk_extension_bytes: usize,
    /// Bytes of a trailer section, its empty line included. Default 16 KiB.
    pub max_trailer_size: usize,
    /// Fields of a trailer section. Default 1,000.
    pub max_trailers: usize,
}

impl Limits {
    /// The defaults with another limit for heads, which trailers then have as well: undici's
    /// `maxHeaderSize` covers both.
    pub fn with_max_header_size(bytes: usize) -> Self {
        Self {
            max_header_size: bytes,
            max_trailer_size: bytes,
            ..Self::default()
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_header_size: 16 * 1024,
            max_informational: 64,
            max_informational_bytes: 64 * 1024,
            max_chunk_extension_bytes: 16 * 1024,
            max_trailer_size: 16 * 1024,
            max_trailers: 1_000,
        }
    }
}
