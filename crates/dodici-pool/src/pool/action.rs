//! The pool's outputs (actions for its owner) and the values of its inputs.

use std::fmt;
use std::time::Duration;

use crate::model::close_reason::CloseReason;
use crate::model::id::{ConnId, RequestId};

/// What the owner must do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Open a connection; report `handle_connected` or `handle_connect_failed`.
    Connect(ConnId),
    /// Write this request to this connection; report `handle_released`, `handle_unsent` or
    /// `handle_closed`.
    Assign {
        /// Connection.
        conn: ConnId,
        /// Request.
        request: RequestId,
    },
    /// Close this connection, or stop opening it; report `handle_closed` (or
    /// `handle_connect_failed`, if it was not open yet).
    Close {
        /// Connection.
        conn: ConnId,
        /// Why.
        reason: CloseReason,
    },
    /// This request waited for a connection that could not be opened: settle it with the error of
    /// that attempt.
    FailConnect(RequestId),
    /// This request was queued when the pool was destroyed: settle it.
    FailDestroyed(RequestId),
    /// There is room again after `needs_drain`.
    Drain,
    /// Closed or destroyed, and the last connection is gone. Emitted once.
    Closed,
}

/// What the pool must know of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traits {
    /// May share a connection with earlier requests. False for what cannot be resent if one of
    /// those ends the connection: non-idempotent methods, and bodies that can be read only once.
    pub idempotent: bool,
    /// Keeps later requests off its connection until its response head has arrived.
    pub blocking: bool,
    /// Needs an exclusive connection and leaves it unusable (CONNECT, Upgrade).
    pub exclusive: bool,
}

/// The state in which an exchange left its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Reusable, with the server's `Keep-Alive: timeout=` hint, if any.
    Reusable {
        /// The hint.
        hint: Option<Duration>,
    },
    /// Nothing was written: the connection is unchanged, and its idle time continues.
    Unwritten,
    /// Not reusable.
    Finished(CloseReason),
}

/// Where a request was when its caller aborted it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// In the queue, from which it is now removed.
    Queued,
    /// On this connection, where it stays until `handle_released`, `handle_unsent` or
    /// `handle_closed`.
    Running(ConnId),
    /// Nowhere: it has ended already.
    Unknown,
}

/// Why a request was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The pool was closed.
    Closed,
    /// The pool was destroyed.
    Destroyed,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the pool is closed",
            Self::Destroyed => "the pool is destroyed",
        })
    }
}

impl std::error::Error for Refused {}
