//! Events a pool reports about its connections.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::close_reason::CloseReason;
use super::error::Error;
use super::id::ConnId;
use super::named::named;
use super::proxy::ProxyInfo;
use super::tls::TlsInfo;

/// The protocol of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// HTTP/1.1 or HTTP/1.0.
    Http1,
    /// HTTP/2.
    Http2,
    /// HTTP/3.
    Http3,
}

impl Protocol {
    /// `h1`, `h2` or `h3`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http1 => "h1",
            Self::Http2 => "h2",
            Self::Http3 => "h3",
        }
    }
}

/// How long each leg of connecting took; `None` for a leg that did not happen. Each begins when the
/// one before it has ended: DNS, TCP, the proxy ([`ProxyInfo::time`]), TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectTimings {
    /// When the first leg began. `None` in a default value only.
    pub started: Option<Instant>,
    /// Name resolution.
    pub dns: Option<Duration>,
    /// Socket connect, from the first attempt to the winner.
    pub tcp: Option<Duration>,
    /// TLS handshake with the origin.
    pub tls: Option<Duration>,
    /// All legs together.
    pub total: Duration,
}

/// Details of a connection that was just opened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectInfo {
    /// Local address; `None` for a Unix socket.
    pub local: Option<SocketAddr>,
    /// Remote address, or the proxy's if there is one; `None` for a Unix socket.
    pub remote: Option<SocketAddr>,
    /// Path of the Unix socket, if it is one.
    pub path: Option<String>,
    /// Its protocol.
    pub protocol: Protocol,
    /// TLS with the origin; `None` without TLS.
    pub tls: Option<TlsInfo>,
    /// The proxy's response; `None` without a proxy. Boxed, because that is the usual case.
    pub proxy: Option<Box<ProxyInfo>>,
    /// Timings.
    pub timings: ConnectTimings,
}

impl ConnectInfo {
    /// A connection of which nothing else is known.
    pub fn new(protocol: Protocol) -> Self {
        Self {
            local: None,
            remote: None,
            path: None,
            protocol,
            tls: None,
            proxy: None,
            timings: ConnectTimings::default(),
        }
    }
}

/// Summary of a connection that ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DisconnectInfo {
    /// Why.
    pub reason: CloseReason,
    /// The error that ended it, if there was one.
    pub error: Option<Error>,
    /// Bytes received, excluding TLS overhead.
    pub bytes_read: u64,
    /// Bytes sent, excluding TLS overhead.
    pub bytes_written: u64,
    /// Responses received.
    pub requests: u64,
    /// Time since the connect event.
    pub age: Duration,
}

impl DisconnectInfo {
    /// A connection that ended for this reason, without having been used.
    pub fn new(reason: CloseReason) -> Self {
        Self {
            reason,
            error: None,
            bytes_read: 0,
            bytes_written: 0,
            requests: 0,
            age: Duration::ZERO,
        }
    }
}

named! {
    /// One event of a pool, in the order in which they happened.
    ///
    /// Exactly one `Disconnected` follows each `Connected`. As in undici, the requests a failing
    /// connection was serving fail before its `Disconnected`, and the queue continues after it.
    #[derive(Clone, Debug)]
    #[expect(
        clippy::large_enum_variant,
        reason = "an event is moved a few times in a connection's life; a box would cost more"
    )]
    #[non_exhaustive]
    pub enum Event {
        /// A connection is ready.
        Connected {
            /// The connection.
            conn: ConnId,
            /// Details.
            info: ConnectInfo,
        },
        /// A connection ended.
        Disconnected {
            /// The connection.
            conn: ConnId,
            /// Details.
            info: DisconnectInfo,
        },
        /// A connection could not be opened.
        ConnectFailed {
            /// The id it would have had.
            conn: ConnId,
            /// Why.
            error: Error,
        },
        /// A connection was given up while it was being opened, because no request waits for it, or
        /// because its runtime has ended.
        ConnectGivenUp {
            /// The id it would have had.
            conn: ConnId,
        },
        /// An HTTP/2 or HTTP/3 connection takes this many concurrent requests from now on, possibly none. Until
        /// the peer has announced its limit, it takes one.
        Concurrency {
            /// The connection.
            conn: ConnId,
            /// How many.
            streams: u32,
        },
        /// The peer of an HTTP/2 connection has acknowledged one of the PINGs that
        /// [`Http2Config::ping_interval`](super::config::Http2Config::ping_interval) asks for.
        Pong {
            /// The connection.
            conn: ConnId,
            /// Time from the PING to its acknowledgement.
            round_trip: Duration,
        },
        /// The pool has room for requests again.
        Drain,
        /// The pool is closed or destroyed, and its last connection is gone.
        Closed,
    }
}
