//! Random sequences of inputs for multiplexed connections: no request is lost, none is on two
//! connections, and no connection exceeds its limit.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use dodici_pool::{
    Action, CloseReason, ConnId, OriginPool, Outcome, PoolConfig, RequestId, Traits,
};
use proptest::prelude::*;
use proptest::sample::Index;

#[derive(Clone, Debug)]
enum Op {
    Enqueue,
    Cancel(Index),
    Connected(Index, u32),
    ConnectFailed(Index),
    Limit(Index, u32),
    Release(Index),
    Return(Index),
    Pin(Index),
    Unpin(Index),
    Drain(Index),
    Gone(Index),
    Advance(u64),
}

#[derive(Default)]
struct Conn {
    up: bool,
    closing: bool,
    draining: bool,
    limit: usize,
    on: BTreeSet<RequestId>,
    pinned: usize,
}

struct Model {
    pool: OriginPool,
    now: Instant,
    conns: BTreeMap<ConnId, Conn>,
    queued: BTreeSet<RequestId>,
    most: usize,
}

const GET: Traits = Traits {
    idempotent: false,
    blocking: true,
    exclusive: true,
};

impl Model {
    fn new(most: u32, expected: u32) -> Self {
        let mut config = PoolConfig::default();
        config.max_connections = NonZeroU32::new(most);
        config.expected_concurrency = expected;
        Self {
            pool: OriginPool::new(config),
            now: Instant::now(),
            conns: BTreeMap::new(),
            queued: BTreeSet::new(),
            most: most as usize,
        }
    }

    fn drain(&mut self) {
        while let Some(action) = self.pool.poll_action() {
            match action {
                Action::Connect(conn) => {
                    assert!(self.conns.insert(conn, Conn::default()).is_none());
                    assert!(self.conns.len() <= self.most, "over the limit");
                }
                Action::Assign { conn, request } => {
                    assert!(self.queued.remove(&request), "assigned twice");
                    let entry = self.conns.get_mut(&conn).unwrap();
                    assert!(entry.up && !entry.closing && !entry.draining);
                    entry.on.insert(request);
                    assert!(entry.on.len() + entry.pinned <= entry.limit, "too many");
                }
                Action::Close { conn, .. } => {
                    let entry = self.conns.get_mut(&conn).unwrap();
                    assert!(!entry.closing, "closed twice");
                    assert!(entry.on.is_empty() && entry.pinned == 0, "closed in use");
                    entry.closing = true;
                }
                Action::FailConnect(request) => assert!(self.queued.remove(&request)),
                Action::FailDestroyed(_) | Action::Drain | Action::Closed => {}
            }
        }
        let open = |conn: &Conn| conn.up && !conn.closing && !conn.draining;
        let room = |conn: &Conn| conn.on.len() + conn.pinned < conn.limit;
        if !self.queued.is_empty() {
            let free = self.conns.values().any(|conn| open(conn) && room(conn));
            assert!(!free, "a request waits although a connection has room");
            let coming = self.conns.values().any(|conn| !conn.up && !conn.closing);
            assert!(
                coming || self.conns.len() == self.most,
                "no connection is opened"
            );
        }
        let stats = self.pool.stats();
        let running: usize = self.conns.values().map(|conn| conn.on.len()).sum();
        assert_eq!(stats.running as usize, running);
        assert_eq!(stats.pending as usize, self.queued.len());
    }

    fn pick(&self, index: Index, wanted: impl Fn(&Conn) -> bool) -> Option<ConnId> {
        let found: Vec<_> = self
            .conns
            .iter()
            .filter(|(_, conn)| wanted(conn))
            .map(|(id, _)| *id)
            .collect();
        (!found.is_empty()).then(|| *index.get(&found))
    }

    fn running(&self, index: Index) -> Option<(ConnId, RequestId)> {
        let all: Vec<_> = self
            .conns
            .iter()
            .flat_map(|(id, conn)| conn.on.iter().map(|request| (*id, *request)))
            .collect();
        (!all.is_empty()).then(|| *index.get(&all))
    }

    fn conn(&mut self, id: ConnId) -> &mut Conn {
        self.conns.get_mut(&id).unwrap()
    }

    fn apply(&mut self, op: Op) {
        let now = self.now;
        match op {
            Op::Enqueue => {
                let request = self.pool.handle_enqueue(GET, now).unwrap();
                assert!(self.queued.insert(request));
            }
            Op::Cancel(index) => {
                if !self.queued.is_empty() {
                    let all: Vec<_> = self.queued.iter().copied().collect();
                    let request = *index.get(&all);
                    self.queued.remove(&request);
                    self.pool.handle_cancel(request);
                }
            }
            Op::Connected(index, limit) => {
                if let Some(id) = self.pick(index, |conn| !conn.up && !conn.closing) {
                    let conn = self.conn(id);
                    (conn.up, conn.limit) = (true, limit.max(1) as usize);
                    self.pool.handle_connected_multiplexed(id, now, limit);
                }
            }
            Op::ConnectFailed(index) => {
                if let Some(id) = self.pick(index, |conn| !conn.up) {
                    self.conns.remove(&id);
                    self.pool.handle_connect_failed(id, now);
                }
            }
            Op::Limit(index, limit) => {
                if let Some(id) = self.pick(index, |conn| conn.up) {
                    self.conn(id).limit = limit.max(1) as usize;
                    self.pool.handle_concurrency(id, limit, now);
                }
            }
            Op::Release(index) => {
                if let Some((id, request)) = self.running(index) {
                    self.conn(id).on.remove(&request);
                    let outcome = Outcome::Reusable { hint: None };
                    self.pool.handle_released(id, request, outcome, now);
                }
            }
            Op::Return(index) => {
                if let Some((id, request)) = self.running(index) {
                    self.conn(id).on.remove(&request);
                    self.queued.insert(request);
                    self.pool.handle_returned(id, request, now);
                }
            }
            Op::Pin(index) => {
                if let Some((id, request)) = self.running(index) {
                    let conn = self.conn(id);
                    conn.on.remove(&request);
                    conn.pinned += 1;
                    self.pool.handle_pinned(id, request, now);
                }
            }
            Op::Unpin(index) => {
                if let Some(id) = self.pick(index, |conn| conn.pinned > 0) {
                    self.conn(id).pinned -= 1;
                    self.pool.handle_unpinned(id, now);
                }
            }
            Op::Drain(index) => {
                if let Some(id) = self.pick(index, |conn| conn.up && !conn.closing) {
                    self.conn(id).draining = true;
                    self.pool.handle_draining(id, CloseReason::PeerClosed, now);
                }
            }
            Op::Gone(index) => {
                let idle = |conn: &Conn| conn.up && conn.on.is_empty();
                if let Some(id) = self.pick(index, idle) {
                    self.conns.remove(&id);
                    assert!(self.pool.handle_closed(id, now).is_empty());
                }
            }
            Op::Advance(millis) => {
                self.now += Duration::from_millis(millis);
                self.pool.handle_deadline(self.now);
            }
        }
        self.drain();
    }
}

fn op() -> impl Strategy<Value = Op> {
    let index = any::<Index>;
    prop_oneof![
        30 => Just(Op::Enqueue),
        4 => index().prop_map(Op::Cancel),
        15 => (index(), 0u32..5).prop_map(|(index, n)| Op::Connected(index, n)),
        2 => index().prop_map(Op::ConnectFailed),
        10 => (index(), 0u32..6).prop_map(|(index, n)| Op::Limit(index, n)),
        20 => index().prop_map(Op::Release),
        8 => index().prop_map(Op::Return),
        5 => index().prop_map(Op::Pin),
        5 => index().prop_map(Op::Unpin),
        4 => index().prop_map(Op::Drain),
        8 => index().prop_map(Op::Gone),
        4 => (0u64..6_000).prop_map(Op::Advance),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1024,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn multiplexed_connections_lose_no_request_under_any_sequence_of_inputs(
        most in 1u32..4,
        expected in 1u32..5,
        ops in prop::collection::vec(op(), 1..150),
    ) {
        let mut model = Model::new(most, expected);
        for op in ops {
            model.apply(op);
        }
    }
}
