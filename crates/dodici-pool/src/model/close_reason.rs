//! Why a connection ended; explains every `disconnect` event.

use std::fmt;

macro_rules! close_reasons {
    ($($(#[$about:meta])* $variant:ident = $text:literal,)*) => {
        /// Why a connection was closed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum CloseReason {
            $($(#[$about])* $variant,)*
        }

        impl CloseReason {
            /// All reasons.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Stable lower-case name, used in logs and JavaScript.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }
    };
}

close_reasons! {
    /// Its keep-alive timeout expired while it was idle.
    IdleTimeout = "idle timeout",
    /// It reached `max_connection_age`.
    Expired = "expired",
    /// It served `max_requests_per_connection` requests.
    MaxRequests = "max requests",
    /// It was idle, or had served its turn, and another pool under the same limit needed a connection.
    MadeRoom = "made room",
    /// The origin is served with HTTP/3 from now on.
    Superseded = "superseded",
    /// A message required it (`connection: close`, HTTP/1.0, a body delimited by the close), or the
    /// request set `reset`, or the response ended before the request body was sent.
    NotReusable = "not reusable",
    /// The peer closed it.
    PeerClosed = "peer closed",
    /// Bytes arrived while no request was in flight.
    UnsolicitedData = "unsolicited data",
    /// The peer violated the protocol.
    ProtocolError = "protocol error",
    /// The transport failed.
    IoError = "i/o error",
    /// A timeout of the exchange expired.
    Timeout = "timeout",
    /// The caller aborted the exchange.
    Aborted = "aborted",
    /// It became a byte stream (101 or CONNECT).
    Upgraded = "upgraded",
    /// The pool was closed.
    PoolClosed = "pool closed",
    /// The pool was destroyed.
    PoolDestroyed = "pool destroyed",
    /// A task of the connection panicked.
    Panicked = "panicked",
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
