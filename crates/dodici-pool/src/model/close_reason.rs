//! Why a connection ended; explains every `disconnect` event.

use std::fmt;

/// Why a connection was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// Its keep-alive timeout expired while it was idle.
    IdleTimeout,
    /// It reached `max_connection_age`.
    Expired,
    /// It served `max_requests_per_connection` requests.
    MaxRequests,
    /// A message required it (`connection: close`, HTTP/1.0, a body delimited by the close), or the
    /// request set `reset`, or the response ended before the request body was sent.
    NotReusable,
    /// The peer closed it.
    PeerClosed,
    /// Bytes arrived while no request was in flight.
    UnsolicitedData,
    /// The peer violated the protocol.
    ProtocolError,
    /// The transport failed.
    IoError,
    /// A timeout of the exchange expired.
    Timeout,
    /// The caller aborted the exchange.
    Aborted,
    /// It became a byte stream (101 or CONNECT).
    Upgraded,
    /// The pool was closed.
    PoolClosed,
    /// The pool was destroyed.
    PoolDestroyed,
    /// A task of the connection panicked.
    Panicked,
}

impl CloseReason {
    /// Stable lower-case name, used in logs and JavaScript.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IdleTimeout => "idle timeout",
            Self::Expired => "expired",
            Self::MaxRequests => "max requests",
            Self::NotReusable => "not reusable",
            Self::PeerClosed => "peer closed",
            Self::UnsolicitedData => "unsolicited data",
            Self::ProtocolError => "protocol error",
            Self::IoError => "i/o error",
            Self::Timeout => "timeout",
            Self::Aborted => "aborted",
            Self::Upgraded => "upgraded",
            Self::PoolClosed => "pool closed",
            Self::PoolDestroyed => "pool destroyed",
            Self::Panicked => "panicked",
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
