//! What the pool and the connection must know of a request before they handle it.

use std::time::Duration;

use bytes::Bytes;

/// How a request wants its response to be read, and what may be done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// The response has a body unless its status forbids one.
    Plain,
    /// `HEAD`: the response never has a body (RFC 9110, section 9.3.2).
    Head,
    /// `CONNECT`: a 2xx answer turns the connection into a byte stream.
    Connect,
    /// `Upgrade:` request: a 101 answer turns the connection into a byte stream.
    Upgrade,
}

/// The body that accompanies a request head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyKind {
    /// No body.
    None,
    /// The whole body is at hand.
    Full(Bytes),
    /// Pulled slice by slice from the caller; exactly this many bytes in all.
    Sized(u64),
    /// Pulled slice by slice, length unknown: chunked on HTTP/1.1.
    Chunked,
}

impl BodyKind {
    /// Whether slices are pulled from the caller.
    pub const fn is_pulled(&self) -> bool {
        matches!(self, Self::Sized(_) | Self::Chunked)
    }
}

/// One request as the engine takes it.
///
/// `head` is the complete serialised HTTP/1.1 head, request line to the empty line, and goes on
/// the wire byte for byte. The framing headers in it (`content-length`, `transfer-encoding`)
/// must agree with `body`: the engine frames the body by `body` and does not parse `head`.
#[derive(Clone, Debug)]
pub struct Request {
    /// Serialised HTTP/1.1 head, ends with CR LF CR LF.
    pub head: Bytes,
    /// Reading rule of the response.
    pub kind: RequestKind,
    /// Body.
    pub body: BodyKind,
    /// May be sent again if the connection died before an answer came (RFC 9110, section 9.2.2).
    pub idempotent: bool,
    /// No other request may share the connection until the response head has come.
    pub blocking: bool,
    /// Close the connection after this exchange. To be set where the head says
    /// `connection: close`, or HTTP/1.0 without `connection: keep-alive`.
    pub reset: bool,
    /// Only HTTP/2 will do: on any other connection it fails before a byte of it is written.
    pub needs_http2: bool,
    /// Its upgrade is one of HTTP/1.1 alone: over HTTP/2 it is sent without it.
    pub http1_upgrade: bool,
    /// The head carries `expect: 100-continue`: the body waits for 100, a final status or
    /// [`ExchangeConfig::continue_timeout`](super::config::ExchangeConfig::continue_timeout).
    pub expect_continue: bool,
    /// Overrides the origin's headers timeout; `Some(Duration::ZERO)` means never.
    pub headers_timeout: Option<Duration>,
    /// Overrides the origin's body timeout; `Some(Duration::ZERO)` means never.
    pub body_timeout: Option<Duration>,
}

impl Request {
    /// A plain request without body; every other field at its default.
    pub fn new(head: impl Into<Bytes>) -> Self {
        Self {
            head: head.into(),
            kind: RequestKind::Plain,
            body: BodyKind::None,
            idempotent: false,
            blocking: true,
            reset: false,
            needs_http2: false,
            http1_upgrade: false,
            expect_continue: false,
            headers_timeout: None,
            body_timeout: None,
        }
    }
}
