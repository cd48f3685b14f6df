//! The phases of one request, shared by configuration, deadlines, errors and logs.

use std::fmt;

/// What a request is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Phase {
    /// In the pool's queue.
    Queued,
    /// Resolving the host name.
    Resolve,
    /// Connecting the socket.
    Connect,
    /// Negotiating with the proxy.
    Proxy,
    /// TLS handshake: the server supports nothing that our ClientHello offers, and rejected it
    /// before showing a certificate.
    TlsHello,
    /// TLS handshake.
    TlsHandshake,
    /// Sending the request head or body.
    Send,
    /// Waiting for the response head.
    Headers,
    /// Receiving the response body.
    Body,
    /// After an upgrade: a byte stream in both directions.
    Upgraded,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Queued => "queued",
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Proxy => "proxy",
            Self::TlsHello => "tls hello",
            Self::TlsHandshake => "tls handshake",
            Self::Send => "send",
            Self::Headers => "headers",
            Self::Body => "body",
            Self::Upgraded => "upgraded",
        })
    }
}
