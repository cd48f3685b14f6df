//! Why a body could not be decoded, with the messages, codes and numbers of Node's zlib.

use std::borrow::Cow;
use std::fmt;

/// See the module. A decoder that has failed returns the same error again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The bytes are not valid in the coding.
    Broken(Broken),
    /// The body ended before its coding did.
    Truncated,
    /// Bytes follow the end of the encoded body, and [`Behind`](crate::Behind) does not allow them.
    Behind,
    /// One coding produced more than the limit allows: this many bytes.
    TooLarge(u64),
}

/// A codec's error for bytes that are not valid in its coding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    pub(crate) code: Cow<'static, str>,
    pub(crate) number: i32,
    pub(crate) message: Cow<'static, str>,
}

impl Broken {
    /// A codec made no progress although it had input and room. No codec is known to do this.
    pub(crate) fn stalled() -> Self {
        Self {
            code: Cow::Borrowed(""),
            number: 0,
            message: Cow::Borrowed("the decoder makes no progress"),
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

    /// The codec's error number, which Node calls `errno`; 0 if there is none.
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
