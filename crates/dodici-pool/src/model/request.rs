//! What the pool and the connection must know of a request before they handle it.

use std::num::NonZeroU64;
use std::time::Duration;

use bytes::Bytes;

/// How the response to a request must be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// The response has a body unless its status forbids one.
    Plain,
    /// `HEAD`: the response never has a body (RFC 9110, section 9.3.2).
    Head,
    /// `CONNECT`: a 2xx response turns the connection into a byte stream.
    Connect,
    /// `Upgrade:` request: a 101 response turns the connection into a byte stream.
    Upgrade,
}

/// The body that accompanies a request head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyKind {
    /// No body.
    None,
    /// The whole body is in memory.
    Full(Bytes),
    /// Pulled in slices from the caller; exactly this many bytes in total.
    Sized(u64),
    /// Pulled in slices, length unknown: chunked over HTTP/1.1.
    Chunked,
}

impl BodyKind {
    /// Whether slices are pulled from the caller.
    pub const fn is_pulled(&self) -> bool {
        matches!(self, Self::Sized(_) | Self::Chunked)
    }
}

/// How the content codings of the response (RFC 9110, section 8.4) are decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Decode {
    /// Whose rules apply.
    pub manner: DecodeManner,
    /// Maximum number of bytes that each coding may produce; `None`: no limit other than
    /// [`ExchangeConfig::max_response_size`](super::config::ExchangeConfig::max_response_size),
    /// which counts decoded bytes
    /// with [`DecodeManner::Interceptor`].
    pub max_size: Option<NonZeroU64>,
}

impl Decode {
    /// Without a limit of its own.
    pub const fn new(manner: DecodeManner) -> Self {
        Self {
            manner,
            max_size: None,
        }
    }
}

/// Which responses are decoded, and how their head changes. gzip, deflate, br, zstd and
/// combinations are supported; a response with any other coding, or without a body, is not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeManner {
    /// As undici's decompress interceptor: not if the status is 400 or more, and the head is
    /// delivered without `content-encoding` and `content-length`.
    Interceptor,
    /// As undici's `fetch`: whatever the status, and the head is delivered unchanged. The pool's
    /// limit counts encoded bytes.
    Fetch,
    /// As `Fetch`, but a redirect with a `location` is not decoded: it is followed, and its body is
    /// not read.
    FetchFollowing,
}

/// A request as submitted to the engine.
///
/// `head` is the complete serialised HTTP/1.1 head, from the request line to the empty line, and is
/// sent byte for byte. Its framing headers (`content-length`, `transfer-encoding`) must agree with
/// `body`: the engine frames the body by `body` and does not parse `head`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Request {
    /// Serialised HTTP/1.1 head, ending with CR LF CR LF.
    pub head: Bytes,
    /// How to read the response.
    pub kind: RequestKind,
    /// Body.
    pub body: BodyKind,
    /// May be resent if the connection failed before a response arrived (RFC 9110, section 9.2.2).
    pub idempotent: bool,
    /// No other request may share the connection until the response head has arrived.
    pub blocking: bool,
    /// Close the connection after this exchange. Must be set if the head says `connection: close`,
    /// or HTTP/1.0 without `connection: keep-alive`.
    pub reset: bool,
    /// Requires HTTP/2: on any other connection it fails before a byte of it is written.
    pub needs_http2: bool,
    /// Its upgrade exists in HTTP/1.1 only: over HTTP/2 it is sent without it.
    pub http1_upgrade: bool,
    /// The head carries `expect: 100-continue`: the body waits for 100, a final status or
    /// [`ExchangeConfig::continue_timeout`](super::config::ExchangeConfig::continue_timeout).
    pub expect_continue: bool,
    /// Overrides the origin's headers timeout; `Some(Duration::ZERO)` disables it.
    pub headers_timeout: Option<Duration>,
    /// Overrides the origin's body timeout; `Some(Duration::ZERO)` disables it.
    pub body_timeout: Option<Duration>,
    /// Overrides the origin's total timeout; `Some(Duration::ZERO)` disables it.
    pub total_timeout: Option<Duration>,
    /// Overrides the origin's minimum rate of a response body, in bytes per second; `Some(0)` disables
    /// it.
    pub min_body_rate: Option<u32>,
    /// Whether the response's content codings are decoded; `None`: it is delivered as it is.
    pub decode: Option<Decode>,
    /// Whether its sink gets [`RequestTimings`](super::timings::RequestTimings).
    pub timed: bool,
}

impl Request {
    /// A plain request without a body, with defaults for all other fields.
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
            total_timeout: None,
            min_body_rate: None,
            decode: None,
            timed: false,
        }
    }

    /// With this body.
    #[must_use]
    pub fn with_body(mut self, body: BodyKind) -> Self {
        self.body = body;
        self
    }

    /// With a response that must be read like this.
    #[must_use]
    pub fn with_kind(mut self, kind: RequestKind) -> Self {
        self.kind = kind;
        self
    }
}
