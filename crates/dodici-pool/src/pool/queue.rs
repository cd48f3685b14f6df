//! The requests of the pool: the waiting ones, in order, and where each of the others is.
//!
//! Used by the pool's inputs and by admission. Must not know connections, except for their ids.

use super::action::Traits;
use super::list::{Linked, Links, List};
use super::slot::Slots;
use crate::model::id::{ConnId, RequestId};

/// One request of the pool.
#[derive(Debug)]
pub(super) struct Entry {
    /// What the pool must know about it.
    pub(super) traits: Traits,
    /// Where it is.
    pub(super) place: Place,
    /// Order of arrival; the queue is always sorted by it.
    order: u64,
    links: Links<RequestId>,
}

/// Where a request is.
///
/// ```text
///            assigned             cancelled
///   Queued ───────────▶ Running ───────────▶ Abandoned
///     ▲                  │   │                   │
///     └──── unsent ──────┘   └─ released, closed ┴─ released, unsent, closed ─▶ (gone)
/// ```
///
/// A queued request is also gone once it is cancelled or failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Waits for a connection.
    Queued,
    /// On this connection.
    Running(ConnId),
    /// On this connection, and aborted: it never returns to the queue.
    Abandoned(ConnId),
}

impl Linked<RequestId> for Entry {
    fn links(&self) -> &Links<RequestId> {
        &self.links
    }

    fn links_mut(&mut self) -> &mut Links<RequestId> {
        &mut self.links
    }
}

/// All requests; the waiting ones first come, first served.
#[derive(Debug)]
pub(super) struct Requests {
    /// All requests.
    pub(super) table: Slots<RequestId, Entry>,
    waiting: List<RequestId>,
    next_order: u64,
}

impl Requests {
    /// No requests.
    pub(super) const fn new() -> Self {
        Self {
            table: Slots::new(),
            waiting: List::new(),
            next_order: 0,
        }
    }

    /// Number of waiting requests.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Number of requests on connections.
    pub(super) fn running(&self) -> usize {
        self.table.len() - self.waiting.len()
    }

    /// The request that has waited longest.
    pub(super) fn front(&self) -> Option<(RequestId, Traits)> {
        let id = self.waiting.front()?;
        Some((id, self.table.get(id)?.traits))
    }

    /// Adds a new request at the end of the queue.
    pub(super) fn enqueue(&mut self, traits: Traits) -> RequestId {
        let id = self.table.insert(Entry {
            traits,
            place: Place::Queued,
            order: self.next_order,
            links: Links::default(),
        });
        self.next_order += 1;
        self.waiting.push_back(&mut self.table, id);
        id
    }

    /// Returns a request that was on a connection to its place in the queue.
    ///
    /// Waiting requests that arrived before one on a connection have themselves returned, so the
    /// walk passes only returned requests: few, and only after connections were lost.
    pub(super) fn requeue(&mut self, id: RequestId) {
        let Some(entry) = self.table.get_mut(id) else {
            return;
        };
        entry.place = Place::Queued;
        let order = entry.order;
        let mut at = self.waiting.front();
        while let Some(other) = at {
            match self.table.get(other) {
                Some(entry) if entry.order < order => at = self.waiting.after(&self.table, other),
                _ => break,
            }
        }
        self.waiting.insert_before(&mut self.table, at, id);
    }

    /// Moves a waiting request from the queue to `conn`.
    pub(super) fn start(&mut self, id: RequestId, conn: ConnId) {
        self.waiting.remove(&mut self.table, id);
        if let Some(entry) = self.table.get_mut(id) {
            entry.place = Place::Running(conn);
        }
    }

    /// Removes a waiting request.
    pub(super) fn forget_waiting(&mut self, id: RequestId) {
        self.waiting.remove(&mut self.table, id);
        self.table.remove(id);
    }

    /// Removes the request that has waited longest.
    pub(super) fn pop_front(&mut self) -> Option<RequestId> {
        let id = self.waiting.front()?;
        self.forget_waiting(id);
        Some(id)
    }
}
