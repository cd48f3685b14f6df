//! One test per rule of the pool, by subject, and their shared fixture.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic is how a test fails"
)]

mod connecting;
mod ending;
mod failing;
mod multiplexed;
mod resting;
mod sharing;

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use super::*;

const GET: Traits = Traits {
    idempotent: true,
    blocking: false,
    exclusive: false,
};
const BLOCKING: Traits = Traits {
    blocking: true,
    ..GET
};
const POST: Traits = Traits {
    idempotent: false,
    ..GET
};
const CONNECT: Traits = Traits {
    exclusive: true,
    ..GET
};
const REUSABLE: Outcome = Outcome::Reusable { hint: None };

/// A pool whose clock moves only when a test advances it.
struct Rig {
    pool: OriginPool,
    now: Instant,
}

impl Rig {
    fn new(config: PoolConfig) -> Self {
        Self {
            pool: OriginPool::new(config),
            now: Instant::now(),
        }
    }

    fn limited(connections: u32) -> Self {
        Self::new(limited(connections))
    }

    fn advance(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
    }

    fn enqueue(&mut self, traits: Traits) -> RequestId {
        self.pool.handle_enqueue(traits, self.now).unwrap()
    }

    fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.pool.poll_action()).collect()
    }

    /// The only connection the pool asks for.
    fn wanted(&mut self) -> ConnId {
        match self.actions()[..] {
            [Action::Connect(conn)] => conn,
            ref other => panic!("one connect was expected, not {other:?}"),
        }
    }

    /// An open, idle connection that was requested without a request.
    fn idle(&mut self, concurrency: u32) -> ConnId {
        self.pool.handle_connect_requested(self.now);
        let conn = self.wanted();
        self.pool.handle_connected(conn, self.now, concurrency);
        assert_eq!(self.actions(), []);
        conn
    }

    /// Enqueues, connects and assigns.
    fn busy(&mut self, traits: Traits) -> (ConnId, RequestId) {
        let request = self.enqueue(traits);
        let conn = self.wanted();
        self.pool.handle_connected(conn, self.now, 1);
        assert_eq!(self.actions(), [assign(conn, request)]);
        (conn, request)
    }

    fn release(&mut self, conn: ConnId, request: RequestId, outcome: Outcome) -> Vec<Action> {
        self.pool.handle_released(conn, request, outcome, self.now);
        self.actions()
    }

    fn closed(&mut self, conn: ConnId) -> Vec<Action> {
        assert!(self.pool.handle_closed(conn, self.now).is_empty());
        self.actions()
    }
}

fn limited(connections: u32) -> PoolConfig {
    PoolConfig {
        max_connections: NonZeroU32::new(connections),
        ..PoolConfig::default()
    }
}

fn assign(conn: ConnId, request: RequestId) -> Action {
    Action::Assign { conn, request }
}

fn close(conn: ConnId, reason: CloseReason) -> Action {
    Action::Close { conn, reason }
}

fn hint(millis: u64) -> Outcome {
    Outcome::Reusable {
        hint: Some(Duration::from_millis(millis)),
    }
}
