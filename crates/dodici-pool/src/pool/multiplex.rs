//! Inputs of multiplexed connections, whose requests are separate streams (HTTP/2).
//!
//! Such connections change their concurrency, shut down gracefully, hand requests back, and can
//! have streams that outlive their request.

use std::time::Instant;

use super::OriginPool;
use super::connection::ConnState;
use crate::model::close_reason::CloseReason;
use crate::model::id::{ConnId, RequestId};

impl OriginPool {
    /// Like [`handle_connected`](Self::handle_connected), for a connection whose requests are
    /// separate streams (HTTP/2): any request may join others there, none blocks others, and
    /// CONNECT and upgrades leave the connection usable.
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

    /// The peer changed how many concurrent requests a multiplexed connection may carry; 0 counts
    /// as 1.
    ///
    /// Requests beyond a lowered limit stay on it until the caller hands them back.
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

    /// A connection accepts no more requests, for this reason (HTTP/2: GOAWAY). Those on it
    /// continue; it is closed when the last of them has ended.
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

    /// A request was not processed and may be resent: it returns to its place in the queue, as with
    /// [`handle_unsent`](Self::handle_unsent), but its connection stays open.
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

    /// A request has become a stream that outlives it (HTTP/2: CONNECT, upgrades). The request is
    /// removed; its place stays occupied until [`handle_unpinned`](Self::handle_unpinned).
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

    /// Updates the state of a connection to match its free places.
    fn refit(&mut self, conn: ConnId) {
        let Some(entry) = self.conns.get(conn) else {
            return;
        };
        match entry.state {
            // Also renews its deadline, which pinned streams suspend.
            ConnState::Idle { .. } => self.rest(conn),
            ConnState::Busy { .. } if entry.running.is_empty() => self.offer(conn),
            ConnState::Busy { .. } => self.reopen(conn),
            ConnState::Connecting | ConnState::Draining { .. } | ConnState::Closing => {}
        }
    }
}
