//! Changing how requests share HTTP/1.1 connections while connections are open.

use std::time::Instant;

use super::OriginPool;
use super::connection::ConnState;
use crate::model::close_reason::CloseReason;
use crate::model::id::ConnId;

impl OriginPool {
    /// Sets how many requests an HTTP/1.1 connection may have in flight, also for open ones; see
    /// [`PoolConfig::pipelining`](crate::PoolConfig::pipelining). Requests beyond a lowered depth
    /// stay where they are.
    pub fn handle_pipelining(&mut self, depth: u32, now: Instant) {
        self.tick(now);
        self.config.pipelining = depth;
        self.for_each_http1(|pool, conn| {
            if let Some(entry) = pool.conns.get_mut(conn) {
                entry.concurrency = depth.max(1);
                // A connection being opened learns its depth when it is open.
                if matches!(entry.state, ConnState::Busy { .. }) {
                    pool.reopen(conn);
                }
            }
        });
        self.settle();
    }

    /// Sets whether HTTP/1.1 connections are reused; see
    /// [`PoolConfig::keep_alive`](crate::PoolConfig::keep_alive). Turned off, a busy connection
    /// closes after its last request, and an idle one after its next.
    pub fn handle_keep_alive(&mut self, keep_alive: bool, now: Instant) {
        self.tick(now);
        self.config.keep_alive = keep_alive;
        if !keep_alive {
            self.for_each_http1(|pool, conn| {
                let state = pool.conns.get(conn).map(|entry| entry.state);
                if matches!(state, Some(ConnState::Busy { .. })) {
                    let reason = CloseReason::NotReusable;
                    pool.enter(conn, ConnState::Draining { reason });
                }
            });
        }
        self.settle();
    }

    fn for_each_http1(&mut self, mut change: impl FnMut(&mut Self, ConnId)) {
        for slot in 0..self.conns.slots() {
            if let Some(conn) = self.conns.id_at(slot)
                && self.conns.get(conn).is_some_and(|conn| !conn.multiplexed)
            {
                change(self, conn);
            }
        }
    }
}
