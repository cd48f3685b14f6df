//! Decoders for content codings (RFC 9110, section 8.4): gzip, deflate, br, zstd, and combinations.
//!
//! [`Decoder`] is a state machine over slices: it does no I/O, never blocks, and buffers no more
//! than its codings require. The engine runs it between the wire and the reader.
//!
//! Each coding is a Cargo feature; [`Coding::named`] does not find one that is not compiled in.
//!
//! | coding | input | memory |
//! |---|---|---|
//! | gzip | RFC 1952, any number of members | 48 KiB |
//! | deflate | RFC 1950, or RFC 1951 without that wrapper | 48 KiB |
//! | br | RFC 7932 | the stream's window, up to 16 MiB |
//! | zstd | RFC 8878, any number of frames | the frame's window, up to 8 MiB (RFC 9659) |
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

#[cfg(feature = "brotli")]
mod brotli;
mod decoder;
mod error;
#[cfg(any(feature = "gzip", feature = "deflate"))]
mod inflate;
mod stage;
mod step;
#[cfg(feature = "zstd")]
mod zstd;

pub use decoder::{Decoder, MOST_CODINGS};
pub use error::DecodeError;

/// One content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coding {
    /// `gzip`, or `x-gzip`.
    Gzip,
    /// `deflate`: with the zlib wrapper, as in the RFC, or without, as some servers send it.
    Deflate,
    /// `br`.
    Brotli,
    /// `zstd`.
    Zstd,
}

impl Coding {
    /// The coding of this name, case-insensitively, if it is compiled in.
    pub fn named(name: &[u8]) -> Option<Self> {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if cfg!(feature = "gzip") && (is("gzip") || is("x-gzip")) {
            Some(Self::Gzip)
        } else if cfg!(feature = "deflate") && is("deflate") {
            Some(Self::Deflate)
        } else if cfg!(feature = "brotli") && is("br") {
            Some(Self::Brotli)
        } else if cfg!(feature = "zstd") && is("zstd") {
            Some(Self::Zstd)
        } else {
            None
        }
    }
}

/// What may follow the end of an encoded body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// As in Node's zlib: anything after br and deflate is ignored, and anything after gzip that
    /// begins with a zero. Anything else after gzip is another member, and after zstd another
    /// frame.
    Ignored,
    /// Only more gzip members and zstd frames.
    Refused,
}
