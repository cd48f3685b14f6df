//! The queue and the connections of one origin.

use std::time::{Duration, Instant};

use crate::model::close_reason::CloseReason;
use crate::model::config::PoolConfig;
use crate::model::id::{ConnId, RequestId};

/// What the pool wants its owner to do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make a connection; answer with `handle_connected` or `handle_connect_failed`.
    Connect(ConnId),
    /// Write this request on this connection; answer with `handle_released`, `handle_unsent` or
    /// `handle_closed`.
    Assign {
        /// Connection.
        conn: ConnId,
        /// Request.
        request: RequestId,
    },
    /// Close this connection; answer with `handle_closed`.
    Close {
        /// Connection.
        conn: ConnId,
        /// Why.
        reason: CloseReason,
    },
    /// This request waited for a connection that could not be made: settle it with the error
    /// that was given to `handle_connect_failed`.
    FailConnect(RequestId),
    /// This request was queued when the pool was destroyed: settle it.
    FailDestroyed(RequestId),
    /// There is room again after `needs_drain`.
    Drain,
    /// Closed or destroyed, and the last connection is gone. Comes once.
    Closed,
}

/// What the pool must know of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traits {
    /// May share a connection with requests before it.
    pub idempotent: bool,
    /// Keeps later requests off its connection until its response head has come.
    pub blocking: bool,
    /// Needs a connection of its own and leaves it unusable (CONNECT, Upgrade).
    pub exclusive: bool,
}

/// How an exchange left its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It can serve again; the server's `Keep-Alive: timeout=` hint, if it gave one.
    Reusable {
        /// The hint.
        hint: Option<Duration>,
    },
    /// It cannot.
    Finished(CloseReason),
}

/// Counters, named as undici names them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStats {
    /// Connections that are up.
    pub connected: u32,
    /// Connections that are up and serve nothing.
    pub free: u32,
    /// Requests not yet on a connection.
    pub pending: u32,
    /// Requests on a connection.
    pub running: u32,
}

/// See the module.
#[derive(Debug)]
pub struct OriginPool {
    config: PoolConfig,
    _now: Option<Instant>,
}
