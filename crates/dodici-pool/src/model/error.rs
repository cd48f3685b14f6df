//! The one error type of the engine: what went wrong, in which phase, and whether a replay is safe.
//!
//! Kinds are grouped by who is at fault. `dodici-wire` maps each kind to the `UND_ERR_*` or Node
//! code and class that JavaScript sees. Cloning is cheap, so a failed connection attempt can fail
//! several requests with the same error.

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use super::named::named;
use super::phase::Phase;

named! {
    /// What went wrong.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    pub enum ErrorKind {
        // --- the caller ---
        /// The request cannot be sent as given.
        InvalidRequest,
        /// The request body's length differs from the declared one.
        RequestContentLengthMismatch,
        /// The source of the request body failed.
        RequestBody,
        /// The caller aborted.
        Aborted,
        /// The request took longer than its total timeout.
        TotalTimeout,
        // --- this library ---
        /// The pool was destroyed.
        Destroyed,
        /// The pool is closed to new requests.
        Closed,
        /// A bug in this library: a task panicked.
        Internal,
        // --- connecting ---
        /// Connecting timed out.
        ConnectTimeout,
        /// The name did not resolve.
        Resolve,
        /// The socket did not connect.
        Connect,
        /// The caller's rule does not allow the address, to which nothing was sent.
        AddressNotAllowed,
        /// The TLS handshake or certificate verification failed.
        Tls,
        /// The proxy responded to `CONNECT` with a status other than 200.
        ProxyRefused {
            /// The status; 407 asks for credentials (RFC 9110, section 15.5.8).
            status: u16,
        },
        /// The proxy's certificate is for other names; [`Error::attempts`] has the verification error.
        ProxyTls,
        /// The proxy hung up before the tunnel was open; [`Error::attempts`] has the socket error.
        ProxyConnection,
        /// The proxy refused via SOCKS, or does not speak it. [`SystemDetail::code`] says which.
        Socks,
        // --- the peer ---
        /// The response head did not arrive in time.
        HeadersTimeout,
        /// The body stalled.
        BodyTimeout,
        /// The body arrived more slowly than the minimum rate.
        BodyTooSlow,
        /// The response head exceeds the limit.
        HeadersOverflow,
        /// The response body's length differs from the declared one.
        ResponseContentLengthMismatch,
        /// The response body exceeds the limit.
        ResponseExceededMaxSize,
        /// The response's content coding is invalid or truncated, or it has too many.
        /// [`SystemDetail::code`] and [`SystemDetail::errno`] are those of Node's zlib.
        ContentCoding,
        /// The response is not valid HTTP.
        Parse(ParseErrorCode),
        /// The connection failed or ended early.
        Socket,
        /// An HTTP/2 stream was reset with this code, by the peer or because of it (RFC 9113,
        /// section 7).
        StreamReset(u32),
        /// The peer is healthy but does not serve the request: it is shutting down gracefully, ended
        /// the stream without a response, or does not support the request.
        Unserved,
    }
}

/// The HTTP/1.1 rule that a response violated. The names are llhttp's, as reported by undici.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ParseErrorCode {
    /// The connection ended inside a message.
    InvalidEofState,
    /// A bare LF or a CR without LF.
    CrExpected,
    /// CR without LF.
    LfExpected,
    /// Not HTTP/1.0 or HTTP/1.1.
    InvalidVersion,
    /// Status code malformed or under 100.
    InvalidStatus,
    /// The status line does not start with `HTTP/`.
    InvalidConstant,
    /// Illegal byte in a header name, value or reason phrase.
    InvalidHeaderToken,
    /// `Content-Length` malformed.
    InvalidContentLength,
    /// `Content-Length` repeated, or beside `Transfer-Encoding`.
    UnexpectedContentLength,
    /// `Transfer-Encoding` malformed, repeated, or on HTTP/1.0.
    InvalidTransferEncoding,
    /// Chunk size malformed or too large.
    InvalidChunkSize,
    /// Any other strict rule: chunk extensions, trailers, limits on interim responses.
    Strict,
}

impl ParseErrorCode {
    /// llhttp's name, with undici's `HPE_` prefix.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidEofState => "HPE_INVALID_EOF_STATE",
            Self::CrExpected => "HPE_CR_EXPECTED",
            Self::LfExpected => "HPE_LF_EXPECTED",
            Self::InvalidVersion => "HPE_INVALID_VERSION",
            Self::InvalidStatus => "HPE_INVALID_STATUS",
            Self::InvalidConstant => "HPE_INVALID_CONSTANT",
            Self::InvalidHeaderToken => "HPE_INVALID_HEADER_TOKEN",
            Self::InvalidContentLength => "HPE_INVALID_CONTENT_LENGTH",
            Self::UnexpectedContentLength => "HPE_UNEXPECTED_CONTENT_LENGTH",
            Self::InvalidTransferEncoding => "HPE_INVALID_TRANSFER_ENCODING",
            Self::InvalidChunkSize => "HPE_INVALID_CHUNK_SIZE",
            Self::Strict => "HPE_STRICT",
        }
    }
}

/// Whether resending the request could execute it twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Replay {
    /// Never reached the peer: any request may be resent.
    Unsent,
    /// May have reached the peer: only idempotent requests may be resent, and only if the
    /// connection had served a request before (the peer may just have closed it while it was idle).
    IfIdempotentAndReused,
    /// Must not be resent.
    Never,
}

/// The operating system's or the TLS library's view of a failure, in Node's terms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SystemDetail {
    /// Node's code: `ECONNREFUSED`, `ENOTFOUND`, `ERR_TLS_CERT_ALTNAME_INVALID`, …
    pub code: Cow<'static, str>,
    /// Negative errno as libuv reports it; 0 if there is none.
    pub errno: i32,
    /// `connect`, `getaddrinfo`, `read`, `write`; empty if there is none.
    pub syscall: Cow<'static, str>,
    /// Address or path that was tried.
    pub address: Option<String>,
    /// Port that was tried.
    pub port: Option<u16>,
    /// Name that did not resolve.
    pub hostname: Option<String>,
}

impl SystemDetail {
    /// A failure with Node's code.
    pub fn new(code: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code: code.into(),
            ..Self::default()
        }
    }

    /// A failed system call.
    pub fn of_call(syscall: &'static str, code: &'static str, errno: i32) -> Self {
        Self {
            errno,
            syscall: syscall.into(),
            ..Self::new(code)
        }
    }
}

/// State of the socket when it failed: undici's `SocketError.socket`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SocketInfo {
    /// Local address.
    pub local: Option<SocketAddr>,
    /// Remote address.
    pub remote: Option<SocketAddr>,
    /// Bytes sent.
    pub bytes_written: u64,
    /// Bytes received.
    pub bytes_read: u64,
}

/// An error of the engine.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    phase: Phase,
    replay: Replay,
    message: Cow<'static, str>,
    system: Option<SystemDetail>,
    socket: Option<SocketInfo>,
    attempts: Vec<Error>,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error that forbids a replay, unless [`Error::with_replay`] says otherwise.
    pub fn new(kind: ErrorKind, phase: Phase, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Arc::new(Inner {
            kind,
            phase,
            replay: Replay::Never,
            message: message.into(),
            system: None,
            socket: None,
            attempts: Vec::new(),
            source: None,
        }))
    }

    fn map(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// Sets whether the request may be resent.
    #[must_use]
    pub fn with_replay(self, replay: Replay) -> Self {
        self.map(|inner| inner.replay = replay)
    }

    /// Sets the phase.
    #[must_use]
    pub fn with_phase(self, phase: Phase) -> Self {
        self.map(|inner| inner.phase = phase)
    }

    /// Adds the system's view.
    #[must_use]
    pub fn with_system(self, system: SystemDetail) -> Self {
        self.map(|inner| inner.system = Some(system))
    }

    /// Adds the state of the socket.
    #[must_use]
    pub fn with_socket(self, socket: SocketInfo) -> Self {
        self.map(|inner| inner.socket = Some(socket))
    }

    /// Adds the failures of the attempted addresses, in order.
    #[must_use]
    pub fn with_attempts(self, attempts: Vec<Error>) -> Self {
        self.map(|inner| inner.attempts = attempts)
    }

    /// Adds the library error behind this one.
    #[must_use]
    pub fn with_source(self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.map(|inner| inner.source = Some(Arc::from(source.into())))
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The phase it happened in.
    pub fn phase(&self) -> Phase {
        self.0.phase
    }

    /// Whether the request may be resent.
    pub fn replay(&self) -> Replay {
        self.0.replay
    }

    /// A human-readable sentence without credentials.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The system's view.
    pub fn system(&self) -> Option<&SystemDetail> {
        self.0.system.as_ref()
    }

    /// State of the socket.
    pub fn socket(&self) -> Option<&SocketInfo> {
        self.0.socket.as_ref()
    }

    /// Failures of the individual addresses, in order.
    pub fn attempts(&self) -> &[Error] {
        &self.0.attempts
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Error");
        out.field("kind", &self.0.kind)
            .field("phase", &self.0.phase)
            .field("message", &self.0.message);
        if let Some(system) = &self.0.system {
            out.field("code", &system.code);
        }
        if !self.0.attempts.is_empty() {
            out.field("attempts", &self.0.attempts);
        }
        if let Some(source) = &self.0.source {
            out.field("source", source);
        }
        out.finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|source| source.as_ref() as _)
    }
}
