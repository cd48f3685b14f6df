//! Closing and destroying the pool.

use std::time::Instant;

use super::OriginPool;
use super::action::{Action, Refused};
use super::connection::ConnState;
use crate::model::close_reason::CloseReason;

/// Life cycle of the pool.
///
/// ```text
///   Open ── handle_close ──▶ Closing ── nothing left ──▶ Closed
///    │                          │                          │
///    └───── handle_destroy ─────┴──▶ Destroying            │ handle_destroy
///                                        │ nothing left    ▼
///                                        └───────────▶ Destroyed
/// ```
///
/// `Action::Closed` is emitted on entering `Closed`, or `Destroyed` from `Destroying`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lifecycle {
    /// Accepts requests.
    Open,
    /// Accepts none; those it has continue.
    Closing,
    /// Closed, and the last connection is gone.
    Closed,
    /// Waiting for its connections to end.
    Destroying,
    /// Destroyed, and the last connection is gone.
    Destroyed,
}

impl OriginPool {
    /// Whether requests are accepted, or why not.
    pub(super) fn accepts(&self) -> Result<(), Refused> {
        match self.lifecycle {
            Lifecycle::Open => Ok(()),
            Lifecycle::Closing | Lifecycle::Closed => Err(Refused::Closed),
            Lifecycle::Destroying | Lifecycle::Destroyed => Err(Refused::Destroyed),
        }
    }

    /// Whether requests are accepted.
    pub(super) fn is_open(&self) -> bool {
        self.lifecycle == Lifecycle::Open
    }

    /// Closes the pool: it accepts no more requests, finishes those it has, and closes each
    /// connection when nothing is left for it. [`Action::Closed`] follows in the end.
    pub fn handle_close(&mut self, now: Instant) {
        self.tick(now);
        if self.is_open() {
            self.lifecycle = Lifecycle::Closing;
            self.connect_wanted = false;
            self.preconnect = 0;
            self.needs_drain = false;
            self.settle();
        }
    }

    /// Destroys the pool: queued requests fail and all connections are closed, including those
    /// being opened and those serving requests. [`Action::Closed`] follows when the last of them is
    /// gone, unless it was emitted before.
    pub fn handle_destroy(&mut self, now: Instant) {
        self.tick(now);
        match self.lifecycle {
            Lifecycle::Open | Lifecycle::Closing => {}
            Lifecycle::Closed => {
                self.lifecycle = Lifecycle::Destroyed;
                return;
            }
            Lifecycle::Destroying | Lifecycle::Destroyed => return,
        }
        self.lifecycle = Lifecycle::Destroying;
        self.connect_wanted = false;
        self.preconnect = 0;
        self.needs_drain = false;
        while self.fail_oldest(Action::FailDestroyed) {}
        for slot in 0..self.conns.slots() {
            if let Some(conn) = self.conns.id_at(slot) {
                self.close(conn, CloseReason::PoolDestroyed);
            }
        }
        self.settle();
    }

    /// Closes what a closed pool no longer needs, and reports the end of a closed or destroyed one,
    /// once.
    pub(super) fn finish(&mut self) {
        let end = match self.lifecycle {
            Lifecycle::Closing => Lifecycle::Closed,
            Lifecycle::Destroying => Lifecycle::Destroyed,
            Lifecycle::Open | Lifecycle::Closed | Lifecycle::Destroyed => return,
        };
        if self.lifecycle == Lifecycle::Closing && self.requests.waiting() == 0 {
            self.close_surplus();
        }
        if self.conns.len() == 0 && self.requests.waiting() == 0 {
            self.lifecycle = end;
            self.actions.push_back(Action::Closed);
        }
    }

    /// A closing pool with an empty queue needs neither idle connections nor new ones.
    fn close_surplus(&mut self) {
        while let Some(conn) = self.idle.front() {
            self.close(conn, CloseReason::PoolClosed);
        }
        self.close_attempts(0, CloseReason::PoolClosed);
    }

    /// Closes all connections being opened except `keep` of them.
    pub(super) fn close_attempts(&mut self, keep: usize, reason: CloseReason) {
        if self.connecting as usize <= keep {
            return;
        }
        let mut kept = 0;
        for slot in 0..self.conns.slots() {
            let Some(conn) = self.conns.id_at(slot) else {
                continue;
            };
            if self.conns.get(conn).map(|entry| entry.state) != Some(ConnState::Connecting) {
                continue;
            }
            if kept < keep {
                kept += 1;
            } else {
                self.close(conn, reason);
            }
        }
    }
}
