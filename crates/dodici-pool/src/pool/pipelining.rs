//! The depth of pipelining changes while connections are up.

use std::time::Instant;

use super::OriginPool;
use super::connection::ConnState;
use crate::model::close_reason::CloseReason;

impl OriginPool {
    /// From now on a connection carries this many requests at once, also one that is up; as with
    /// [`PoolConfig::pipelining`](crate::PoolConfig::pipelining), 0 means one request for each
    /// connection. Without effect on multiplexed connections.
    ///
    /// Requests beyond a lowered depth stay where they are. At 0, a connection that serves
    /// requests ends with the last of them, and one at rest with the next one.
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
                // What is being made is told its depth when it is up.
                ConnState::Connecting
                | ConnState::Idle { .. }
                | ConnState::Draining { .. }
                | ConnState::Closing => {}
            }
        }
        self.settle();
    }
}
