//! Counters of a pool, and whether it has capacity.
//!
//! Everything here is O(1).

use super::OriginPool;

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
