//! Which request gets which connection, and when a connection is opened.
//!
//! Strictly first come, first served: while the oldest request cannot be assigned, none is. It can
//! always be assigned to an idle connection, so requests wait only while none is idle. Called by
//! the pool's inputs. The sharing rules are those of undici's `client-h1.js` (`busy()`), the
//! connecting rule is that of its `Pool`.

use super::OriginPool;
use super::action::{Action, Traits};
use super::connection::{ConnState, Connection};
use crate::model::close_reason::CloseReason;
use crate::model::id::{ConnId, RequestId};

impl OriginPool {
    /// Brings the pool to a stable state after an input: assigns, connects, closes, reports.
    pub(super) fn settle(&mut self) {
        self.assign_queued();
        if self.connect_wanted || self.preconnect > 0 || self.is_short() {
            self.open_connections();
        }
        self.finish();
        if self.needs_drain && !self.is_busy() {
            self.needs_drain = false;
            self.actions.push_back(Action::Drain);
        }
    }

    /// Assigns a connection without requests to the oldest queued request, or makes it idle.
    pub(super) fn offer(&mut self, conn: ConnId) {
        let room = self.conns.get(conn).is_some_and(|entry| entry.has_room());
        match self.requests.front() {
            Some(_) if self.share.is_some() && self.had_its_turn(conn) => {
                self.close(conn, CloseReason::MadeRoom);
            }
            Some((request, traits)) if room => self.assign(conn, request, traits),
            _ => self.rest(conn),
        }
    }

    /// Records whether a busy connection can take one more request.
    pub(super) fn reopen(&mut self, conn: ConnId) {
        let Some(entry) = self.conns.get(conn) else {
            return;
        };
        if let ConnState::Busy { .. } = entry.state {
            let open = entry.has_room();
            self.enter(conn, ConnState::Busy { open });
        }
    }

    /// Whether the pool's own limit allows another connection. Those that are closing still count.
    pub(super) fn may_open(&self) -> bool {
        self.config
            .max_connections
            .is_none_or(|limit| self.conns.len() < limit.get() as usize)
    }

    /// Whether a limit that it shares with others allows one.
    fn is_granted(&self) -> bool {
        self.share.as_ref().is_none_or(|share| share.is_granted())
    }

    /// Whether another connection is needed, for the queue or because one was requested, and the
    /// pool's own limit allows it.
    pub(super) fn wants_connection(&self) -> bool {
        let needed = self.expected_places() < self.requests.waiting() + self.lacking()
            || (self.connect_wanted && self.conns.len() == self.closing as usize);
        needed && self.may_open()
    }

    /// How many more connections are to be ready.
    #[inline]
    fn lacking(&self) -> usize {
        if self.preconnect == 0 {
            return 0;
        }
        // A stream is free, or all of a connection are.
        let multiplexed = |conn| self.conns.get(conn).is_some_and(|entry| entry.multiplexed);
        if !self.streams.is_empty() || self.idle.front().is_some_and(multiplexed) {
            return 0;
        }
        (self.preconnect as usize).saturating_sub(self.idle.len())
    }

    /// Forgets the connections that were requested, once they are there or cannot be.
    fn end_asked(&mut self) {
        // An open or connecting connection satisfies the request to connect; closing ones do not.
        self.connect_wanted &= self.conns.len() == self.closing as usize;
        let is_full = !self.may_open() || self.has_whole_limit();
        if self.lacking() == 0 || (self.connecting == 0 && is_full) {
            self.preconnect = 0;
        }
    }

    /// Estimate of the requests that the connections being opened will take.
    pub(super) fn expected_places(&self) -> usize {
        self.connecting as usize * self.expected as usize
    }

    /// How many connections must be opened for the queued requests, or because one was requested.
    pub(super) fn needed(&self) -> usize {
        let places = self.requests.waiting() + self.lacking();
        let needed = places.div_ceil(self.expected as usize);
        needed.max(usize::from(self.connect_kept))
    }

    fn assign_queued(&mut self) {
        while let Some((request, traits)) = self.requests.front() {
            let Some(conn) = self.find_connection(traits) else {
                return;
            };
            self.assign(conn, request, traits);
        }
    }

    /// A connection that can take this request now: one with a free stream, an idle one, or else
    /// one to share.
    fn find_connection(&mut self, traits: Traits) -> Option<ConnId> {
        // Streams are packed onto few connections, so that the others become idle and close.
        while let Some(conn) = self.streams.front() {
            if !self.conns.get(conn)?.is_expired(self.now) {
                return Some(conn);
            }
            let reason = CloseReason::Expired;
            self.enter(conn, ConnState::Draining { reason });
        }
        while let Some(conn) = self.idle.front() {
            match self.conns.get(conn)?.rest_over(self.now) {
                Some(reason) => self.close(conn, reason),
                None => return Some(conn),
            }
        }
        if !traits.idempotent || traits.exclusive {
            return None;
        }
        while let Some(conn) = self.shared.front() {
            if !self.conns.get(conn)?.is_expired(self.now) {
                return Some(conn);
            }
            let reason = CloseReason::Expired;
            self.enter(conn, ConnState::Draining { reason });
        }
        None
    }

    fn assign(&mut self, conn: ConnId, request: RequestId, traits: Traits) {
        let Some(entry) = self.conns.get_mut(conn) else {
            return;
        };
        self.requests.start(request, conn);
        entry.running.push_back(&mut self.requests.table, request);
        entry.served = entry.served.saturating_add(1);
        let alone = !entry.multiplexed;
        if alone && traits.blocking {
            entry.hold = Some(request);
        }
        let limit = self.config.max_requests_per_connection;
        let draining = |reason| ConnState::Draining { reason };
        let next = if alone && (traits.exclusive || !self.config.keep_alive) {
            draining(CloseReason::NotReusable)
        } else if limit.is_some_and(|limit| entry.served >= limit.get()) {
            draining(CloseReason::MaxRequests)
        } else if let Some(share) = &mut self.share
            && share.ends_turn(entry.concurrency)
        {
            draining(CloseReason::MadeRoom)
        } else {
            ConnState::Busy {
                open: entry.has_room(),
            }
        };
        self.enter(conn, next);
        self.actions.push_back(Action::Assign { conn, request });
    }

    /// Whether the queue needs more connections, and the pool's own limit allows it.
    fn is_short(&self) -> bool {
        self.expected_places() < self.requests.waiting() && self.may_open()
    }

    #[cold]
    fn open_connections(&mut self) {
        while self.wants_connection() && self.is_granted() {
            self.connect();
        }
        self.end_asked();
    }

    fn connect(&mut self) {
        let rest = self.config.keep_alive_timeout;
        let conn = self.conns.insert(Connection::connecting(rest));
        self.connecting += 1;
        if let Some(share) = &mut self.share {
            share.spend();
        }
        self.actions.push_back(Action::Connect(conn));
    }
}
