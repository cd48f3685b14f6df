//! Cost of the pool per request. main.rs lists these.

use std::hint::black_box;
use std::num::NonZeroU32;
use std::time::Instant;

use dodici_pool::{Action, ConnId, OriginPool, Outcome, PoolConfig, RequestId, Traits};

const CONNECTIONS: u32 = 50;
const GET: Traits = Traits {
    idempotent: true,
    blocking: false,
    exclusive: false,
};
const REUSABLE: Outcome = Outcome::Reusable { hint: None };

/// A pool with all its connections open and idle, and a clock that stands still.
struct Rig {
    pool: OriginPool,
    now: Instant,
}

impl Rig {
    fn new(connections: u32, mut config: PoolConfig, connect: fn(&mut Self, ConnId)) -> Self {
        config.max_connections = NonZeroU32::new(connections);
        let mut rig = Self {
            pool: OriginPool::new(config),
            now: Instant::now(),
        };
        // One request per connection, concurrently.
        for _ in 0..connections {
            rig.enqueue();
        }
        while let Some(action) = rig.pool.poll_action() {
            if let Action::Connect(conn) = action {
                connect(&mut rig, conn);
            } else if let Action::Assign { conn, request } = action {
                rig.release(conn, request);
            }
        }
        assert_eq!(rig.pool.stats().running, 0, "all connections are idle");
        rig
    }

    fn enqueue(&mut self) -> RequestId {
        match self.pool.handle_enqueue(GET, self.now) {
            Ok(request) => request,
            Err(refused) => unreachable!("the pool is open: {refused}"),
        }
    }

    /// The next assignment, possibly after a drain.
    fn assigned(&mut self) -> (ConnId, RequestId) {
        loop {
            match self.pool.poll_action() {
                Some(Action::Assign { conn, request }) => return (conn, request),
                Some(Action::Drain) => {}
                other => unreachable!("a connection is free: {other:?}"),
            }
        }
    }

    fn release(&mut self, conn: ConnId, request: RequestId) {
        let (request, now) = (black_box(request), self.now);
        self.pool.handle_released(conn, request, REUSABLE, now);
    }

    fn settle(&mut self) {
        while let Some(action) = self.pool.poll_action() {
            black_box(action);
        }
    }
}

fn http1(rig: &mut Rig, conn: ConnId) {
    rig.pool.handle_connected(conn, rig.now, 1);
}

/// A request arrives, is assigned to an idle connection, and its response ends.
pub(crate) fn reuse(repetitions: u64) {
    let mut rig = Rig::new(CONNECTIONS, PoolConfig::default(), http1);
    for _ in 0..repetitions {
        rig.enqueue();
        let (conn, request) = rig.assigned();
        rig.pool.handle_head_received(conn, request);
        rig.release(conn, request);
        rig.settle();
    }
    assert_eq!(rig.pool.stats().running, 0, "all have ended");
}

/// A response ends, a waiting request takes its connection, and another is queued.
pub(crate) fn queued(repetitions: u64) {
    let mut rig = Rig::new(CONNECTIONS, PoolConfig::default(), http1);
    for _ in 0..2 * CONNECTIONS {
        rig.enqueue();
    }
    let (mut conn, mut request) = rig.assigned();
    rig.settle();
    for _ in 0..repetitions {
        rig.release(conn, request);
        (conn, request) = rig.assigned();
        rig.enqueue();
        rig.settle();
    }
    assert_eq!(rig.pool.stats().queued, CONNECTIONS, "as many are queued");
}

/// A request arrives, waits for a connection, and is cancelled.
pub(crate) fn cancelled(repetitions: u64) {
    let mut rig = Rig::new(CONNECTIONS, PoolConfig::default(), http1);
    for _ in 0..CONNECTIONS {
        rig.enqueue();
    }
    rig.settle();
    for _ in 0..repetitions {
        let request = rig.enqueue();
        black_box(rig.pool.handle_cancel(black_box(request)));
        rig.settle();
    }
    assert_eq!(rig.pool.stats().queued, 0, "none waits");
}

/// Ten requests share a connection; the first one ends and another joins.
pub(crate) fn pipelined(repetitions: u64) {
    let mut config = PoolConfig::default();
    config.pipelining = 10;
    let mut rig = Rig::new(1, config, |rig, conn| {
        rig.pool.handle_connected(conn, rig.now, 10);
    });
    rotate(&mut rig, 10, repetitions);
}

/// A hundred requests are streams of one connection; one ends and another starts.
pub(crate) fn stream(repetitions: u64) {
    let mut rig = Rig::new(1, PoolConfig::default(), |rig, conn| {
        rig.pool.handle_connected_multiplexed(conn, rig.now, 100);
    });
    rotate(&mut rig, 100, repetitions);
}

/// Keeps `many` requests running, the oldest one ending each time.
fn rotate(rig: &mut Rig, many: usize, repetitions: u64) {
    let mut running = std::collections::VecDeque::with_capacity(many);
    for _ in 0..many {
        rig.enqueue();
        running.push_back(rig.assigned());
    }
    for _ in 0..repetitions {
        if let Some((conn, request)) = running.pop_front() {
            rig.pool.handle_head_received(conn, request);
            rig.release(conn, request);
        }
        rig.enqueue();
        running.push_back(rig.assigned());
        rig.settle();
    }
    assert_eq!(
        rig.pool.stats().running as usize,
        many,
        "as many are running"
    );
}
