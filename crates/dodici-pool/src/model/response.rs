//! The head of a response as the peer sent it.

use super::headers::HeaderBlock;

/// HTTP version of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Version {
    /// HTTP/0.9: a body without a head.
    Http09,
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    #[default]
    Http11,
    /// HTTP/2.
    Http2,
    /// HTTP/3.
    Http3,
}

/// Status line and header fields of one response, informational ones included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseHead {
    /// Version in the status line; HTTP/2 has none and reports [`Version::Http2`].
    pub version: Version,
    /// Status code, 100 to 999, as received.
    pub status: u16,
    /// Reason phrase bytes, possibly empty, possibly not UTF-8.
    pub reason: Vec<u8>,
    /// Fields in wire order.
    pub headers: HeaderBlock,
}

impl ResponseHead {
    /// Clears the contents and keeps the memory.
    pub fn clear(&mut self) {
        self.version = Version::Http11;
        self.status = 0;
        self.reason.clear();
        self.headers.clear();
    }
}
