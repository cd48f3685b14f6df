//! What a connection is doing: one line of a pool's snapshot.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use super::event::Protocol;
use super::id::ConnId;

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Activity {
    /// It is being opened.
    Connecting,
    /// It is open, and nothing is on it.
    Idle,
    /// Requests, or streams that outlived theirs, are on it.
    Active,
    /// As `Active`, and it accepts no more.
    Draining,
    /// It is about to be closed.
    Closing,
    /// It has become a byte stream, and no longer belongs to the pool.
    Upgraded,
}

impl Activity {
    /// Stable lower-case name, used in logs and JavaScript.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Idle => "idle",
            Self::Active => "active",
            Self::Draining => "draining",
            Self::Closing => "closing",
            Self::Upgraded => "upgraded",
        }
    }
}

impl fmt::Display for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A connection at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionStatus {
    /// The connection, as its events name it.
    pub conn: ConnId,
    /// What it is doing.
    pub activity: Activity,
    /// Requests, or streams, on it.
    pub open: u32,
    /// Since when it has been idle, if it is.
    pub idle: Option<Duration>,
    /// Time since it was opened; of one that is being opened, since the attempt began.
    pub age: Duration,
    /// Its protocol; `None` while it is being opened.
    pub protocol: Option<Protocol>,
    /// Local address; `None` for a Unix socket, and while it is being opened.
    pub local: Option<SocketAddr>,
    /// Remote address, or the proxy's if there is one; likewise.
    pub remote: Option<SocketAddr>,
    /// Responses received.
    pub requests: u64,
    /// Bytes received, excluding TLS overhead.
    pub bytes_read: u64,
    /// Bytes sent, excluding TLS overhead.
    pub bytes_written: u64,
}

impl ConnectionStatus {
    /// A connection of which nothing else is known.
    pub fn new(conn: ConnId, activity: Activity) -> Self {
        Self {
            conn,
            activity,
            open: 0,
            idle: None,
            age: Duration::ZERO,
            protocol: None,
            local: None,
            remote: None,
            requests: 0,
            bytes_read: 0,
            bytes_written: 0,
        }
    }
}
