//! Changing the pipelining depth while connections are open.

use std::time::Instant;

use super::OriginPool;
use super::connection::ConnState;
use crate::model::close_reason::CloseReason;

impl OriginPool {
    /// Sets how many requests a connection may have in flight, also for open ones; as with
    /// [`PoolConfig::pipelining`](crate::PoolConfig::pipelining), 0 means one request per
    /// connection. No effect on multiplexed connections.
    ///
    /// Requests beyond a lowered depth stay where they are. At 0, a busy connection closes after
    /// its last request, and an idle one after its next.
    pub fn handle_pipelining(&mut self, depth: u32, now: Instant) {
        self.tick(now);
        self.config.pipelining = depth;
        for slot in 0..self.conns.slots() {
            let Some(conn) = self.conns.id_at(slot) else {
                continue;
            };
            let Some(entry) = self.conns.get_mut(conn).filter(|conn| !conn.multiplexed) else {
                continue;
            };
            entry.concurrency = depth.max(1);
            match entry.state {
                ConnState::Busy { .. } if depth == 0 => {
                    let reason = CloseReason::NotReusable;
                    self.enter(conn, ConnState::Draining { reason });
                }
                ConnState::Busy { .. } => self.reopen(conn),
                // A connection being opened learns its depth when it is open.
                ConnState::Connecting
                | ConnState::Idle { .. }
                | ConnState::Draining { .. }
                | ConnState::Closing => {}
            }
        }
        self.settle();
    }
}
