//! What goes in and out of the pool: actions for its owner, and the values of its inputs.

use std::fmt;
use std::time::Duration;

use crate::model::close_reason::CloseReason;
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
    /// Close this connection, or give up making it; answer with `handle_closed` (or with
    /// `handle_connect_failed`, if it was not up yet).
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
    /// May share a connection with requests before it. False for whatever cannot be sent again
    /// should one of those kill the connection: unsafe methods, and bodies that can be read once.
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
    /// Nothing of it was written: the connection is as it was, and its rest goes on.
    Unwritten,
    /// It cannot.
    Finished(CloseReason),
}

/// Where a request was when its caller gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// In the queue. It is off the books now.
    Queued,
    /// On this connection, where it stays until `handle_released`, `handle_unsent` or
    /// `handle_closed`.
    Running(ConnId),
    /// Nowhere: it has ended already.
    Unknown,
}

/// Why a request was not taken.
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
