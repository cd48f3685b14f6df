//! Counters of a pool, and whether it has capacity.
//!
//! Everything here is O(1), except the list of connections.

use std::time::Instant;

use super::OriginPool;
use super::connection::ConnState;
use crate::model::status::{Activity, ConnectionStatus};

/// Counters, with undici's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStats {
    /// Open connections, except those asked to close.
    pub connected: u32,
    /// Open connections without a request.
    pub free: u32,
    /// Requests not yet on a connection.
    pub pending: u32,
    /// Those of `pending` for which no connection is being opened either.
    pub queued: u32,
    /// Requests on a connection.
    pub running: u32,
}

impl PoolStats {
    /// All requests: `pending + running`.
    pub const fn size(&self) -> u32 {
        self.pending + self.running
    }
}

impl OriginPool {
    /// The current counters.
    pub fn stats(&self) -> PoolStats {
        let pending = self.requests.waiting() as u32;
        PoolStats {
            connected: self.conns.len() as u32 - self.connecting - self.closing,
            free: self.idle.len() as u32,
            pending,
            queued: pending.saturating_sub(self.expected_places() as u32),
            running: self.requests.running() as u32,
        }
    }

    /// What each connection is doing. Not O(1), and allocates.
    pub fn connections(&self, now: Instant) -> Vec<ConnectionStatus> {
        let conns = (0..self.conns.slots()).filter_map(|slot| {
            let conn = self.conns.id_at(slot)?;
            let entry = self.conns.get(conn)?;
            let activity = match entry.state {
                ConnState::Connecting => Activity::Connecting,
                ConnState::Idle { .. } if entry.is_unused() => Activity::Idle,
                ConnState::Idle { .. } | ConnState::Busy { .. } => Activity::Active,
                ConnState::Draining { .. } => Activity::Draining,
                ConnState::Closing => Activity::Closing,
            };
            let mut status = ConnectionStatus::new(conn, activity);
            status.open = entry.running.len() as u32 + entry.pinned;
            let since = entry.rests_since.filter(|_| activity == Activity::Idle);
            status.idle = since.map(|since| now.saturating_duration_since(since));
            Some(status)
        });
        conns.collect()
    }

    /// Whether the next request would have to wait for another to end.
    ///
    /// It would not while a connection may be opened, an idle or shareable one is available, or
    /// more connections are being opened than requests wait. A pool without a limit is never busy.
    /// (undici: `kBusy`.)
    pub fn is_busy(&self) -> bool {
        if self.may_open() {
            return false;
        }
        let places = self.expected_places();
        match self.requests.waiting() {
            0 => {
                self.idle.is_empty()
                    && self.shared.is_empty()
                    && self.streams.is_empty()
                    && places == 0
            }
            waiting => places <= waiting,
        }
    }

    /// Whether a request left the pool busy and [`Action::Drain`](super::Action::Drain) has not
    /// been emitted since: `dispatch()` returns its negation. Always false once the pool is closed
    /// or destroyed. (undici: `kNeedDrain`.)
    pub fn needs_drain(&self) -> bool {
        self.needs_drain
    }
}
