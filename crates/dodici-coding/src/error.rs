//! Why a body could not be decoded, in the words and numbers of Node's zlib.

use std::borrow::Cow;
use std::fmt;

/// See the module. What a decoder has failed with, it fails with again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The bytes are not of the coding.
    Broken(Broken),
    /// The body ended inside of its coding.
    Truncated,
    /// Bytes lie behind the end of the coded body, and [`Behind`](crate::Behind) refuses them.
    Behind,
    /// More came out than the limit allows: so many bytes of one coding.
    TooLarge(u64),
}

/// What a codec said of bytes that are not of its coding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    pub(crate) code: Cow<'static, str>,
    pub(crate) number: i32,
    pub(crate) message: Cow<'static, str>,
}

impl Broken {
    /// A codec has done nothing although it could, and never would: no such codec is known.
    pub(crate) fn stalled() -> Self {
        Self {
            code: Cow::Borrowed(""),
            number: 0,
            message: Cow::Borrowed("the decoder stands still"),
        }
    }
}

impl DecodeError {
    /// Node's code: `Z_DATA_ERROR`, `Z_BUF_ERROR`, `ERR__ERROR_FORMAT_PADDING_1`,
    /// `ZSTD_error_prefix_unknown`, …; empty where Node has none.
    pub fn code(&self) -> &str {
        match self {
            Self::Broken(broken) => &broken.code,
            Self::Truncated => "Z_BUF_ERROR",
            Self::Behind | Self::TooLarge(_) => "",
        }
    }

    /// The codec's number of the error, which Node calls `errno`; 0 where there is none.
    pub fn number(&self) -> i32 {
        match self {
            Self::Broken(broken) => broken.number,
            Self::Truncated => -5,
            Self::Behind | Self::TooLarge(_) => 0,
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(broken) => f.write_str(&broken.message),
            Self::Truncated => f.write_str("unexpected end of file"),
            Self::Behind => f.write_str("there are bytes behind the end of the coded body"),
            Self::TooLarge(size) => {
                write!(f, "the decoded body is larger than allowed: {size} bytes")
            }
        }
    }
}

impl std::error::Error for DecodeError {}
