//! What the guard reports to its owner.

use std::ops::Range;
use std::time::Duration;

#[cfg(doc)]
use super::Guard;

/// How a response body is delimited (RFC 9112, section 6.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// There is no body, whatever the fields say: HEAD, 204, 304 and upgrades.
    #[default]
    None,
    /// Exactly this many bytes.
    Length(u64),
    /// Chunked transfer coding, possibly with trailers.
    Chunked,
    /// All bytes until the peer closes.
    UntilClose,
}

/// What the head says about the connection after this message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeepAlive {
    /// Another request may follow on this connection.
    pub reusable: bool,
    /// How long the server says it keeps the connection idle (`Keep-Alive: timeout=`).
    pub hint: Option<Duration>,
}

/// Result of one [`Guard::feed`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// How many bytes were consumed from the front of the input.
    pub consumed: usize,
    /// The event.
    pub event: GuardEvent,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuardEvent {
    /// Nothing yet; all of the input was consumed.
    NeedMore,
    /// An informational response; [`Guard::head`] holds it.
    Informational,
    /// The `100 Continue` that the request asked for; [`Guard::head`] holds it.
    Continue,
    /// The final response's head; [`Guard::head`] holds it until the next head starts.
    Head,
    /// The connection is a byte stream from here on, and bytes after `consumed` belong to it.
    /// [`Guard::head`] holds the 101 or the 2xx to CONNECT.
    Upgrade,
    /// Decoded body bytes: this range of the input.
    Data(Range<usize>),
    /// The line of the last chunk was consumed; the trailer section follows, if only its empty
    /// line. An owner that passes raw bytes to another chunked decoder can stop here, drop what
    /// [`Guard::feed`] consumes until `End`, and end the body with its own CRLF.
    LastChunk,
    /// The message is complete, including trailers.
    End,
    /// Idle: no response is expected. Any remaining input is unsolicited, and the connection must
    /// not be used again; the guard consumes none.
    Idle,
}

impl Step {
    pub(super) fn nothing(event: GuardEvent) -> Self {
        Self { consumed: 0, event }
    }
}
