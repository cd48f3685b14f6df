//! What a pool reports of its connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::close_reason::CloseReason;
use super::error::Error;
use super::id::ConnId;
use super::proxy::ProxyInfo;

/// Which protocol the peers agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.1 or HTTP/1.0.
    Http1,
    /// HTTP/2.
    Http2,
}

/// How long each leg of making a connection took; `None` where a leg did not happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectTimings {
    /// Name resolution.
    pub dns: Option<Duration>,
    /// Socket connect, from the first attempt to the winner.
    pub tcp: Option<Duration>,
    /// TLS handshake with the origin.
    pub tls: Option<Duration>,
    /// All of it, first leg to last.
    pub total: Duration,
}

/// What TLS negotiated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsInfo {
    /// `"TLSv1.2"` or `"TLSv1.3"`.
    pub version: &'static str,
    /// IANA name of the cipher suite.
    pub cipher: &'static str,
    /// ALPN protocol the server chose.
    pub alpn: Option<String>,
    /// Whether the session was resumed from a ticket.
    pub resumed: bool,
    /// Server name sent in SNI.
    pub server_name: Option<String>,
    /// The server's own certificate, DER; `None` unless the pool's user asked for it.
    pub peer_certificate: Option<Arc<Vec<u8>>>,
}

/// Details of a connection that was just made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectInfo {
    /// Local address; `None` for a unix socket.
    pub local: Option<SocketAddr>,
    /// Remote address, the proxy's where there is one; `None` for a unix socket.
    pub remote: Option<SocketAddr>,
    /// Path of the unix socket, if it is one.
    pub path: Option<String>,
    /// Protocol spoken.
    pub protocol: Protocol,
    /// TLS with the origin; `None` without TLS.
    pub tls: Option<TlsInfo>,
    /// What the proxy answered; `None` without a proxy. Boxed, because that is the usual case.
    pub proxy: Option<Box<ProxyInfo>>,
    /// Timings.
    pub timings: ConnectTimings,
}

/// Account of a connection that ended.
#[derive(Clone, Debug)]
pub struct DisconnectInfo {
    /// Why.
    pub reason: CloseReason,
    /// The error that ended it, where there was one.
    pub error: Option<Error>,
    /// Bytes received, TLS records not counted.
    pub bytes_read: u64,
    /// Bytes sent, TLS records not counted.
    pub bytes_written: u64,
    /// Requests answered.
    pub requests: u64,
    /// Time since the connect event.
    pub age: Duration,
}

/// One event of a pool, in the order in which things happened.
///
/// Exactly one `Disconnected` follows each `Connected`. A request that a dying connection was
/// serving fails before the `Disconnected`, and the queue moves on after it, as in undici.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "an event is moved a few times in a connection's life; a box would cost more"
)]
pub enum Event {
    /// A connection is ready.
    Connected {
        /// Which.
        conn: ConnId,
        /// Details.
        info: ConnectInfo,
    },
    /// A connection ended.
    Disconnected {
        /// Which.
        conn: ConnId,
        /// Details.
        info: DisconnectInfo,
    },
    /// A connection could not be made.
    ConnectFailed {
        /// Which it would have been.
        conn: ConnId,
        /// Why not.
        error: Error,
    },
    /// An HTTP/2 connection takes this many requests at once from now on, perhaps none. Until the
    /// peer has said, it takes one.
    Concurrency {
        /// Which.
        conn: ConnId,
        /// How many.
        streams: u32,
    },
    /// The peer of an HTTP/2 connection has answered one of the PINGs that
    /// [`Http2Config::ping_interval`](super::config::Http2Config::ping_interval) asks for.
    Pong {
        /// Which.
        conn: ConnId,
        /// Time from the PING's making to its answer.
        round_trip: Duration,
    },
    /// The pool has room for requests again.
    Drain,
    /// The pool is closed or destroyed and its last connection is gone.
    Closed,
}
