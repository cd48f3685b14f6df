//! What a scripted QUIC peer records of its connections.

use quinn::ConnectionError;

use super::Frame;

/// What a peer has seen so far.
#[derive(Clone, Debug, Default)]
pub struct QuicLog {
    /// Attempts to connect; one that is answered with Retry counts again when it comes back.
    pub attempts: usize,
    /// One entry per attempt that was accepted, in order.
    pub connections: Vec<QuicConnectionLog>,
    /// Messages of the scripts that panicked.
    pub failures: Vec<String>,
    /// Tasks that have not ended.
    pub(super) running: usize,
}

/// What one connection saw.
#[derive(Clone, Debug, Default)]
pub struct QuicConnectionLog {
    /// Server name the client sent.
    pub server_name: Option<String>,
    /// Whether the handshake is done.
    pub established: bool,
    /// How it ended, once it has.
    pub end: Option<End>,
    /// Frames of the client's control stream, the first of which is SETTINGS.
    pub control: Vec<Frame>,
    /// Bytes of the client's QPACK encoder stream.
    pub encoder: Vec<u8>,
    /// Bytes of the client's QPACK decoder stream.
    pub decoder: Vec<u8>,
    /// Types of the client's unidirectional streams, in the order in which they were read.
    pub stream_kinds: Vec<u64>,
    /// Request streams that a script has taken.
    pub requests: usize,
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The client closed it with this HTTP/3 code.
    Http(u64),
    /// The client closed it with this QUIC code.
    Quic(u64),
    /// This side closed it.
    Local,
    /// The client was silent for too long.
    TimedOut,
    /// Something else.
    Other(String),
}

impl From<ConnectionError> for End {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::ApplicationClosed(close) => Self::Http(close.error_code.into()),
            ConnectionError::ConnectionClosed(close) => Self::Quic(close.error_code.into()),
            ConnectionError::LocallyClosed => Self::Local,
            ConnectionError::TimedOut => Self::TimedOut,
            other => Self::Other(other.to_string()),
        }
    }
}
