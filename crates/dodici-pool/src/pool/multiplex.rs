//! Inputs of multiplexed connections: those whose requests are streams of their own (HTTP/2).
//!
//! They change how many requests they take, go away while some are under way, hand requests back,
//! and leave streams behind that outlive their request.

use std::time::Instant;

use super::OriginPool;
use super::connection::ConnState;
use crate::model::close_reason::CloseReason;
use crate::model::id::{ConnId, RequestId};

impl OriginPool {
    /// As [`handle_connected`](Self::handle_connected), for a connection whose requests are
    /// streams of their own (HTTP/2): any request may join others there, none holds others up,
    /// and CONNECT and upgrades leave the connection usable.
    pub fn handle_connected_multiplexed(&mut self, conn: ConnId, now: Instant, concurrency: u32) {
        self.tick(now);
        let expires = self.expiry();
        let Some(entry) = self.conns.get_mut(conn) else {
            return;
        };
        if entry.state != ConnState::Connecting {
            return;
        }
        entry.rests_since = self.now;
        entry.multiplexed = true;
        entry.concurrency = concurrency.max(1);
        entry.expires = expires;
        self.expected = concurrency.max(1);
        self.offer(conn);
        self.settle();
    }

    /// The peer changed how many requests a multiplexed connection may carry; 0 counts as 1.
    ///
    /// Requests beyond a lowered limit stay on it until the caller returns them.
    pub fn handle_concurrency(&mut self, conn: ConnId, concurrency: u32, now: Instant) {
        self.tick(now);
        let Some(entry) = self.conns.get_mut(conn) else {
            return;
        };
        entry.concurrency = concurrency.max(1);
        self.expected = concurrency.max(1);
        self.refit(conn);
        self.settle();
    }

    /// A connection takes no further request, for this reason (HTTP/2: GOAWAY). Those on it go
    /// on; it is closed when the last of them has left.
    pub fn handle_draining(&mut self, conn: ConnId, reason: CloseReason, now: Instant) {
        self.tick(now);
        let Some(entry) = self.conns.get(conn) else {
            return;
        };
        match entry.state {
            ConnState::Idle { .. } | ConnState::Busy { .. } if entry.is_unused() => {
                self.close(conn, reason);
            }
            ConnState::Idle { .. } | ConnState::Busy { .. } => {
                self.enter(conn, ConnState::Draining { reason });
            }
            ConnState::Connecting | ConnState::Draining { .. } | ConnState::Closing => {}
        }
        self.settle();
    }

    /// A request was not processed and may be sent again: it goes back to where it stood in the
    /// queue, as with [`handle_unsent`](Self::handle_unsent), but its connection lives on.
    pub fn handle_returned(&mut self, conn: ConnId, request: RequestId, now: Instant) {
        self.tick(now);
        let abandoned = self.is_abandoned(request);
        if !self.take_off(conn, request) {
            return;
        }
        self.put_back(request, abandoned);
        if self.conns.get(conn).is_some_and(|entry| entry.multiplexed) {
            self.after_exchange(conn, None);
        } else {
            self.after_nothing(conn);
        }
        self.settle();
    }

    /// A request has become a stream that lives on after it (HTTP/2: CONNECT, upgrades). The
    /// request is off the books, its place stays taken until
    /// [`handle_unpinned`](Self::handle_unpinned).
    pub fn handle_pinned(&mut self, conn: ConnId, request: RequestId, now: Instant) {
        self.tick(now);
        if !self.take_off(conn, request) {
            return;
        }
        self.requests.table.remove(request);
        if let Some(entry) = self.conns.get_mut(conn) {
            entry.pinned += 1;
        }
        self.after_exchange(conn, None);
        self.settle();
    }

    /// A stream that outlived its request has ended.
    pub fn handle_unpinned(&mut self, conn: ConnId, now: Instant) {
        self.tick(now);
        let Some(entry) = self.conns.get_mut(conn) else {
            return;
        };
        entry.pinned = entry.pinned.saturating_sub(1);
        entry.rests_since = self.now;
        match entry.state {
            ConnState::Draining { reason } if entry.is_unused() => self.close(conn, reason),
            _ => self.refit(conn),
        }
        self.settle();
    }

    /// Brings the state of a connection in step with its room.
    fn refit(&mut self, conn: ConnId) {
        let Some(entry) = self.conns.get(conn) else {
            return;
        };
        match entry.state {
            // Also renews its deadline, which what is pinned suspends.
            ConnState::Idle { .. } => self.rest(conn),
            ConnState::Busy { .. } if entry.running.is_empty() => self.offer(conn),
            ConnState::Busy { .. } => self.reopen(conn),
            ConnState::Connecting | ConnState::Draining { .. } | ConnState::Closing => {}
        }
    }
}
