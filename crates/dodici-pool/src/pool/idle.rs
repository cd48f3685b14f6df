//! Idle connections: how long they may stay idle, and when they close.
//!
//! The idle timeout follows the server's `Keep-Alive: timeout=` hint if there is one. A connection
//! must be closed here before the server closes it, or a request could be written to a connection
//! that is already gone; hence the threshold.

use std::time::{Duration, Instant};

use super::OriginPool;
use super::connection::{ConnState, has_passed};
use crate::model::close_reason::CloseReason;
use crate::model::id::ConnId;

impl OriginPool {
    /// Earliest time at which an idle connection must be closed: then call
    /// [`handle_deadline`](Self::handle_deadline).
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| at)
    }

    /// Time at which this connection must be closed if it stays idle; `None` if it is not idle, or
    /// may stay idle forever.
    pub fn idle_deadline(&self, conn: ConnId) -> Option<Instant> {
        match self.conns.get(conn)?.state {
            ConnState::Idle { until } => until,
            _ => None,
        }
    }

    /// When a connection opened now stops accepting requests.
    pub(super) fn expiry(&self) -> Option<Instant> {
        let ttl = self
            .config
            .max_connection_age
            .filter(|ttl| !ttl.is_zero())?;
        self.now?.checked_add(ttl)
    }

    /// A request has left a reusable connection. Its idle time starts again.
    #[inline(always)] // 26 instructions of each request
    pub(super) fn after_exchange(&mut self, conn: ConnId, hint: Option<Duration>) {
        let rest = self.rest_time(hint);
        if let Some(entry) = self.conns.get_mut(conn) {
            entry.rests_since = self.now;
            if let Rest::For(time) = rest {
                entry.rest = time;
            }
        }
        let end = matches!(rest, Rest::Never).then_some(CloseReason::NotReusable);
        self.after_request(conn, end);
    }

    /// A request of which nothing was written has left a connection. The server counts from its
    /// last response, and so does the idle time.
    pub(super) fn after_nothing(&mut self, conn: ConnId) {
        let Some(entry) = self.conns.get(conn) else {
            return;
        };
        let over = has_passed(entry.rest_deadline(), self.now) && !entry.is_expired(self.now);
        let end = (over && entry.is_unused()).then_some(CloseReason::IdleTimeout);
        self.after_request(conn, end);
    }

    /// A request has left a connection, which must close if there is a reason.
    fn after_request(&mut self, conn: ConnId, end: Option<CloseReason>) {
        let Some(entry) = self.conns.get_mut(conn) else {
            return;
        };
        let (free, last) = (entry.running.is_empty(), entry.is_unused());
        let end = match entry.state {
            ConnState::Draining { reason } => Some(reason),
            ConnState::Busy { .. } if entry.is_expired(self.now) => {
                end.or(Some(CloseReason::Expired))
            }
            ConnState::Busy { .. } => end,
            ConnState::Connecting | ConnState::Idle { .. } | ConnState::Closing => return,
        };
        match end {
            Some(reason) if last => self.close(conn, reason),
            Some(reason) => self.enter(conn, ConnState::Draining { reason }),
            None if free => self.offer(conn),
            None => self.reopen(conn),
        }
    }

    /// Makes a connection idle until its deadline.
    pub(super) fn rest(&mut self, conn: ConnId) {
        if let Some(entry) = self.conns.get(conn) {
            if !entry.has_room() {
                return self.enter(conn, ConnState::Busy { open: false });
            }
            let until = entry.rest_deadline();
            let surplus = self
                .config
                .max_idle_connections
                .is_some_and(|max| self.idle.len() >= max as usize);
            if surplus {
                return self.close(conn, CloseReason::NotReusable);
            }
            if entry.is_unused() && self.share.as_ref().is_some_and(|share| share.owes()) {
                self.preconnect = 0;
                return self.close(conn, CloseReason::MadeRoom);
            }
            self.enter(conn, ConnState::Idle { until });
        }
    }

    /// Closes all connections whose deadline has passed, earliest first.
    pub(super) fn close_rested(&mut self) {
        while let Some((at, conn)) = self.deadlines.first() {
            if self.now.is_none_or(|now| now < at) {
                return;
            }
            let expired = self
                .conns
                .get(conn)
                .is_some_and(|entry| entry.is_expired(self.now));
            let reason = if expired {
                CloseReason::Expired
            } else {
                CloseReason::IdleTimeout
            };
            self.close(conn, reason);
        }
    }

    /// How long a connection may stay idle after a response with this hint.
    fn rest_time(&self, hint: Option<Duration>) -> Rest {
        let Some(hint) = hint else {
            return Rest::For(self.config.keep_alive_timeout);
        };
        let most = self.config.keep_alive_max_timeout;
        hint.checked_sub(self.config.keep_alive_timeout_threshold)
            .map(|rest| most.map_or(rest, |most| rest.min(most)))
            .filter(|rest| !rest.is_zero())
            .map_or(Rest::Never, |rest| Rest::For(Some(rest)))
    }
}

/// What a response means for its connection's idle time.
enum Rest {
    /// This long; `None`: forever.
    For(Option<Duration>),
    /// The server would close the connection before it could be reused.
    Never,
}
