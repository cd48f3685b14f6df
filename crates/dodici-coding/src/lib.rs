//! Content codings (RFC 9110, section 8.4) taken away: gzip, deflate, br and zstd, several in a row.
//!
//! [`Decoder`] is a state machine over slices: it does no I/O, waits for nothing, and holds what its
//! codings must hold and no more. The engine drives it between wire and reader, dodici-reqwest under
//! its bodies. It knows nothing of HTTP but the names.
//!
//! Each coding is a Cargo feature; one that is not compiled in has no name ([`Coding::named`]).
//!
//! | coding | reads | holds |
//! |---|---|---|
//! | gzip | RFC 1952, any number of members | 48 KiB |
//! | deflate | RFC 1950, or RFC 1951 without that wrapper | 48 KiB |
//! | br | RFC 7932 | its window, up to 16 MiB |
//! | zstd | RFC 8878, any number of frames, of a window of 8 MiB (RFC 9659) | its window, up to 8 MiB |
#![forbid(unsafe_code)]

#[cfg(feature = "brotli")]
mod brotli;
mod decoder;
mod error;
#[cfg(any(feature = "gzip", feature = "deflate"))]
mod inflate;
mod stage;
#[cfg(feature = "zstd")]
mod zstd;

pub use decoder::{Decoder, MOST_CODINGS};
pub use error::DecodeError;

/// One content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coding {
    /// `gzip`, or `x-gzip`.
    Gzip,
    /// `deflate`: with the zlib wrapper, as the RFC has it, or without, as some servers have it.
    Deflate,
    /// `br`.
    Brotli,
    /// `zstd`.
    Zstd,
}

impl Coding {
    /// The coding of this name, in any letter case, if it is compiled in.
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

/// What may lie behind the end of a coded body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// As in Node's zlib: anything behind br and deflate, and behind gzip what begins with a zero, is
    /// passed over. Anything else behind gzip is another member, and behind zstd another frame.
    Ignored,
    /// Nothing but more members of gzip and frames of zstd.
    Refused,
}
