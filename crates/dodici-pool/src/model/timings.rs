//! When the parts of a request happened.

use std::time::Instant;

use super::id::ConnId;

/// When each part of a request happened; `None`: it has not.
///
/// If the request was sent more than once, the parts are those of the last exchange. They happen in
/// the order of the fields, but a server may respond before the body was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestTimings {
    /// It was passed to the pool.
    pub dispatched: Instant,
    /// A connection was open and free for it, over HTTP/2 with a stream: until then, it was queued.
    pub assigned: Option<Instant>,
    /// Its head was written. Over HTTP/2, here and below: passed to the connection.
    pub head_sent: Option<Instant>,
    /// The end of its body was written; without a body, as `head_sent`.
    pub body_sent: Option<Instant>,
    /// The first byte of a response was read, also of an informational one; over HTTP/2, its first
    /// head.
    pub first_byte: Option<Instant>,
    /// It ended: with the end of the response, with an error, or by becoming a byte stream.
    pub ended: Option<Instant>,
    /// The connection of the exchange.
    pub conn: Option<ConnId>,
    /// It was the first request on that connection.
    pub is_new: bool,
}

impl RequestTimings {
    /// Of a request that was passed to the pool at this time.
    pub const fn new(dispatched: Instant) -> Self {
        Self {
            dispatched,
            assigned: None,
            head_sent: None,
            body_sent: None,
            first_byte: None,
            ended: None,
            conn: None,
            is_new: false,
        }
    }
}
