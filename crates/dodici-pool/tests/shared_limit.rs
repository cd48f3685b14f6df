//! Several pools under one limit: random sequences of inputs, and what each pool is owed.
//!
//! The world carries out the pools' actions, counts sockets itself, and checks after each input that
//! there are no more than allowed. In the end, everything that can happen happens, and no request may
//! be left.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic is how a test fails"
)]

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use dodici_pool::{
    Action, CloseReason, ConnId, MemberId, Members, OriginPool, Outcome, PoolConfig, RequestId,
    SharedLimit, Traits,
};
use proptest::prelude::*;
use proptest::sample::Index;

const GET: Traits = Traits {
    idempotent: true,
    blocking: false,
    exclusive: false,
};
const UPGRADE: Traits = Traits {
    exclusive: true,
    ..GET
};

/// One input.
#[derive(Clone, Debug)]
enum Op {
    Enqueue(usize),
    EnqueueUpgrade(usize),
    Preconnect(usize, u32),
    Cancel(Index),
    Connected(Index),
    ConnectedMultiplexed(Index),
    ConnectFailed(Index),
    Release(Index),
    /// The connection has no further use.
    Finish(Index),
    /// The owner closes a connection as it was asked to; the flag says whether the socket is closed
    /// before the pool hears of it.
    Close(Index, bool),
    /// The peer closes a connection.
    Gone(Index, bool),
    /// A byte stream ends.
    StreamEnds(Index),
    Advance(u64),
    Leave(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Connecting,
    Open,
    Closing(CloseReason),
}

#[derive(Clone, Copy, Debug)]
struct Conn {
    pool: usize,
    id: ConnId,
    state: State,
}

struct Pools(Vec<(Option<OriginPool>, MemberId)>);

impl Members for Pools {
    fn with<R>(&mut self, member: MemberId, work: impl FnOnce(&mut OriginPool) -> R) -> Option<R> {
        let (pool, _) = self.0.iter_mut().find(|(_, id)| *id == member)?;
        pool.as_mut().map(work)
    }
}

struct World {
    now: Instant,
    most: u32,
    limit: SharedLimit,
    pools: Pools,
    conns: Vec<Conn>,
    /// Sockets that count.
    sockets: u32,
    /// Pools of those that have become byte streams.
    streams: Vec<usize>,
    running: Vec<(usize, ConnId, RequestId, bool)>,
    waiting: Vec<(usize, RequestId)>,
    upgrades: Vec<(usize, RequestId)>,
    /// Pools in the order in which their requests were assigned.
    served: Vec<usize>,
}

impl World {
    fn new(pools: usize, most: u32, config: &PoolConfig) -> Self {
        let most = NonZeroU32::new(most).unwrap();
        let mut limit = SharedLimit::new(most);
        let pools = (0..pools).map(|_| {
            let mut pool = OriginPool::new(config.clone());
            pool.share_limit(most);
            (Some(pool), limit.handle_joined())
        });
        let pools = Pools(pools.collect());
        Self {
            now: Instant::now(),
            most: most.get(),
            limit,
            pools,
            conns: Vec::new(),
            sockets: 0,
            streams: Vec::new(),
            running: Vec::new(),
            waiting: Vec::new(),
            upgrades: Vec::new(),
            served: Vec::new(),
        }
    }

    /// An input of one pool, and what follows from it.
    fn tell<R>(
        &mut self,
        pool: usize,
        input: impl FnOnce(&mut OriginPool, Instant) -> R,
    ) -> Option<R> {
        let now = self.now;
        let result = self.pools.0[pool].0.as_mut().map(|pool| input(pool, now));
        self.carry_out(pool);
        self.settle(pool);
        result
    }

    /// Tells the limit, if it matters to it.
    fn settle(&mut self, pool: usize) {
        let waited_for = self.limit.is_waited_for();
        let (machine, member) = &mut self.pools.0[pool];
        let member = *member;
        if machine
            .as_mut()
            .is_some_and(|machine| machine.concerns_limit(waited_for))
        {
            self.balance(Some(member));
        }
        assert_eq!(self.limit.open(), self.sockets);
        assert!(self.limit.open() <= self.most, "over the limit");
    }

    fn balance(&mut self, changed: Option<MemberId>) {
        self.limit.balance(changed, &mut self.pools, self.now);
        for pool in 0..self.pools.0.len() {
            let machine = self.pools.0[pool].0.as_ref();
            if machine.is_some_and(OriginPool::has_actions) {
                self.carry_out(pool);
                self.settle(pool);
            }
        }
    }

    fn carry_out(&mut self, pool: usize) {
        let Some(machine) = &mut self.pools.0[pool].0 else {
            return;
        };
        while let Some(action) = machine.poll_action() {
            match action {
                Action::Connect(id) => {
                    self.sockets += 1;
                    let state = State::Connecting;
                    self.conns.push(Conn { pool, id, state });
                }
                Action::Assign { conn, request } => {
                    self.waiting.retain(|waiting| *waiting != (pool, request));
                    let upgrade = self.upgrades.contains(&(pool, request));
                    self.running.push((pool, conn, request, upgrade));
                    self.served.push(pool);
                }
                Action::Close { conn, reason } => {
                    let conn = self
                        .conns
                        .iter_mut()
                        .find(|c| c.pool == pool && c.id == conn);
                    let conn = conn.expect("a connection that is open");
                    if conn.state == State::Connecting {
                        assert_ne!(reason, CloseReason::MadeRoom, "an attempt is left alone");
                    }
                    conn.state = State::Closing(reason);
                }
                Action::FailConnect(request) | Action::FailDestroyed(request) => {
                    self.waiting.retain(|waiting| *waiting != (pool, request));
                }
                Action::Drain | Action::Closed => {}
            }
        }
    }

    fn enqueue(&mut self, pool: usize, traits: Traits) {
        let Some(machine) = &mut self.pools.0[pool].0 else {
            return;
        };
        let request = machine.handle_enqueue(traits, self.now).unwrap();
        self.waiting.push((pool, request));
        if traits.exclusive {
            self.upgrades.push((pool, request));
        }
        self.carry_out(pool);
        self.settle(pool);
    }

    fn in_state(&self, wanted: impl Fn(State) -> bool) -> Vec<Conn> {
        let conns = self.conns.iter().copied();
        conns.filter(|conn| wanted(conn.state)).collect()
    }

    fn connected(&mut self, conn: Conn, multiplexed: bool) {
        let found = self
            .conns
            .iter_mut()
            .find(|c| c.pool == conn.pool && c.id == conn.id);
        found.unwrap().state = State::Open;
        self.tell(conn.pool, |pool, now| {
            if multiplexed {
                pool.handle_connected_multiplexed(conn.id, now, 3);
            } else {
                pool.handle_connected(conn.id, now, 1);
            }
        });
    }

    fn forget(&mut self, conn: Conn) {
        self.conns
            .retain(|c| !(c.pool == conn.pool && c.id == conn.id));
    }

    /// A socket is closed.
    fn returned(&mut self, pool: usize) {
        self.sockets -= 1;
        self.limit.handle_returned(self.pools.0[pool].1);
        self.balance(None);
    }

    fn connect_failed(&mut self, conn: Conn) {
        self.forget(conn);
        self.tell(conn.pool, |pool, now| {
            pool.handle_connect_failed(conn.id, now)
        });
        self.returned(conn.pool);
    }

    /// A connection ends; what is on it goes back to the queue.
    fn gone(&mut self, conn: Conn, socket_first: bool) {
        if socket_first {
            self.returned(conn.pool);
        }
        // What the pool has assigned meanwhile goes back as well.
        while let Some(at) = self
            .running
            .iter()
            .position(|(pool, id, ..)| (*pool, *id) == (conn.pool, conn.id))
        {
            let (pool, id, request, _) = self.running.remove(at);
            self.waiting.push((pool, request));
            self.tell(pool, |pool, now| pool.handle_unsent(id, request, now));
        }
        self.forget(conn);
        self.tell(conn.pool, |pool, now| {
            assert!(pool.handle_closed(conn.id, now).is_empty());
        });
        if !socket_first {
            self.returned(conn.pool);
        }
    }

    fn release(&mut self, at: usize, outcome: Outcome) {
        let (pool, conn, request, upgrade) = self.running.remove(at);
        let outcome = if upgrade {
            Outcome::Finished(CloseReason::Upgraded)
        } else {
            outcome
        };
        self.tell(pool, |pool, now| {
            pool.handle_released(conn, request, outcome, now)
        });
        let found = self
            .conns
            .iter()
            .copied()
            .find(|c| c.pool == pool && c.id == conn);
        if let Some(found) = found
            && upgrade
        {
            self.forget(found);
            self.streams.push(pool);
            self.tell(pool, |pool, now| drop(pool.handle_closed(conn, now)));
        }
    }

    fn apply(&mut self, op: Op) {
        fn pick<T: Copy>(index: Index, from: &[T]) -> Option<T> {
            (!from.is_empty()).then(|| *index.get(from))
        }
        let connecting = self.in_state(|state| state == State::Connecting);
        let reusable = Outcome::Reusable { hint: None };
        let running: Vec<_> = (0..self.running.len()).collect();
        match op {
            Op::Enqueue(pool) => self.enqueue(pool % self.pools.0.len(), GET),
            Op::EnqueueUpgrade(pool) => self.enqueue(pool % self.pools.0.len(), UPGRADE),
            Op::Preconnect(pool, count) => {
                let pool = pool % self.pools.0.len();
                self.tell(pool, |pool, now| {
                    pool.handle_preconnect(count, now).unwrap()
                });
            }
            Op::Cancel(index) => {
                if let Some((pool, request)) = pick(index, &self.waiting) {
                    self.waiting.retain(|waiting| *waiting != (pool, request));
                    self.tell(pool, |pool, _| {
                        pool.handle_cancel(request);
                        pool.handle_unneeded();
                    });
                }
            }
            Op::Connected(index) => {
                if let Some(conn) = pick(index, &connecting) {
                    self.connected(conn, false);
                }
            }
            Op::ConnectedMultiplexed(index) => {
                if let Some(conn) = pick(index, &connecting) {
                    self.connected(conn, true);
                }
            }
            Op::ConnectFailed(index) => {
                if let Some(conn) = pick(index, &connecting) {
                    self.connect_failed(conn);
                }
            }
            Op::Release(index) => {
                if let Some(at) = pick(index, &running) {
                    self.release(at, reusable);
                }
            }
            Op::Finish(index) => {
                if let Some(at) = pick(index, &running) {
                    self.release(at, Outcome::Finished(CloseReason::NotReusable));
                }
            }
            Op::Close(index, socket_first) => {
                let closing = self.in_state(|state| matches!(state, State::Closing(_)));
                if let Some(conn) = pick(index, &closing) {
                    self.gone(conn, socket_first);
                }
            }
            Op::Gone(index, socket_first) => {
                let open = self.in_state(|state| state == State::Open);
                if let Some(conn) = pick(index, &open) {
                    self.gone(conn, socket_first);
                }
            }
            Op::StreamEnds(index) => {
                if !self.streams.is_empty() {
                    let pool = self.streams.remove(index.index(self.streams.len()));
                    self.returned(pool);
                }
            }
            Op::Advance(millis) => {
                self.now += Duration::from_millis(millis);
                for pool in 0..self.pools.0.len() {
                    self.tell(pool, OriginPool::handle_deadline);
                }
            }
            Op::Leave(pool) => {
                let at = pool % self.pools.0.len();
                let (machine, member) = &mut self.pools.0[at];
                if machine
                    .as_ref()
                    .is_some_and(|machine| machine.stats().size() == 0)
                    && !self.conns.iter().any(|conn| conn.pool == at)
                {
                    *machine = None;
                    let member = *member;
                    self.limit.handle_left(member);
                }
            }
        }
    }

    /// Everything that can happen happens, one after the other. Whether there was something.
    fn step(&mut self) -> bool {
        if let Some(conn) = self
            .in_state(|state| matches!(state, State::Closing(_)))
            .first()
        {
            self.gone(*conn, false);
        } else if let Some(conn) = self.in_state(|state| state == State::Connecting).first() {
            self.connected(*conn, false);
        } else if !self.running.is_empty() {
            self.release(0, Outcome::Reusable { hint: None });
        } else if let Some(pool) = self.streams.pop() {
            self.returned(pool);
        } else {
            return false;
        }
        true
    }

    fn run(&mut self) {
        for _ in 0..100_000 {
            if !self.step() {
                let left = &self.waiting;
                assert!(left.is_empty(), "{left:?} wait for ever");
                for (pool, _) in &self.pools.0 {
                    let waits = pool.as_ref().is_some_and(OriginPool::is_preconnecting);
                    assert!(!waits, "connections in advance are waited for");
                }
                return;
            }
        }
        panic!("it does not come to rest");
    }
}

fn ops() -> impl Strategy<Value = Op> {
    let index = any::<Index>;
    prop_oneof![
        6 => (0..8usize).prop_map(Op::Enqueue),
        1 => (0..8usize).prop_map(Op::EnqueueUpgrade),
        1 => (0..8usize, 1..6u32).prop_map(|(pool, count)| Op::Preconnect(pool, count)),
        1 => index().prop_map(Op::Cancel),
        4 => index().prop_map(Op::Connected),
        1 => index().prop_map(Op::ConnectedMultiplexed),
        1 => index().prop_map(Op::ConnectFailed),
        5 => index().prop_map(Op::Release),
        1 => index().prop_map(Op::Finish),
        3 => (index(), any::<bool>()).prop_map(|(index, first)| Op::Close(index, first)),
        1 => (index(), any::<bool>()).prop_map(|(index, first)| Op::Gone(index, first)),
        1 => index().prop_map(Op::StreamEnds),
        1 => (0..6_000u64).prop_map(Op::Advance),
        1 => (0..8usize).prop_map(Op::Leave),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_connection_is_over_the_limit_and_no_request_is_left(
        most in 1..5u32,
        pools in 1..8usize,
        own in prop::option::of(1..3u32),
        ops in prop::collection::vec(ops(), 1..120),
    ) {
        let mut config = PoolConfig::default();
        config.max_connections = own.and_then(NonZeroU32::new);
        let mut world = World::new(pools, most, &config);
        for op in ops {
            world.apply(op);
        }
        world.run();
    }

    #[test]
    fn no_pool_waits_for_more_than_a_turn_of_each_connection(
        most in 1..6u32,
        pools in 2..9usize,
        each in 20..60usize,
    ) {
        let mut world = World::new(pools, most, &PoolConfig::default());
        for _ in 0..each {
            for pool in 0..pools {
                world.enqueue(pool, GET);
            }
        }
        world.run();
        // Eight requests are a turn. A connection may have begun the next one when it is asked for.
        let bound = 8 * pools + 2 * most as usize;
        for pool in 0..pools {
            let served: Vec<_> = (0..world.served.len())
                .filter(|at| world.served[*at] == pool)
                .collect();
            let first = served.first().copied().into_iter();
            let gaps = first.chain(served.windows(2).map(|pair| pair[1] - pair[0]));
            let longest = gaps.max().unwrap();
            prop_assert!(longest <= bound, "pool {pool} waited for {longest} requests");
        }
    }
}

fn idle_world(pools: usize, most: u32) -> World {
    let mut world = World::new(pools, most, &PoolConfig::default());
    for pool in 0..most as usize {
        world.now += Duration::from_millis(1);
        world.enqueue(pool, GET);
        world.run();
    }
    world
}

#[test]
fn the_connection_that_has_been_idle_longest_makes_room() {
    let mut world = idle_world(4, 3);
    // The first is used again, so that the second has been idle longest.
    world.now += Duration::from_millis(1);
    world.enqueue(0, GET);
    world.run();
    world.enqueue(3, GET);
    let closing = world.in_state(|state| matches!(state, State::Closing(_)));
    assert_eq!(closing.len(), 1);
    assert_eq!(closing[0].pool, 1);
    assert_eq!(closing[0].state, State::Closing(CloseReason::MadeRoom));
    world.run();
    assert_eq!(world.served, [0, 1, 2, 0, 3]);
}

#[test]
fn one_connection_is_closed_for_each_pool_that_waits() {
    let mut world = idle_world(6, 4);
    for _ in 0..5 {
        world.enqueue(4, GET);
    }
    let closing = |world: &World| {
        world
            .in_state(|state| matches!(state, State::Closing(_)))
            .len()
    };
    assert_eq!(closing(&world), 1);
    world.enqueue(5, GET);
    assert_eq!(closing(&world), 2);
    world.run();
}

#[test]
fn a_pool_is_served_although_another_holds_a_connection_that_never_becomes_free() {
    // Pool 0 has a connection with a request that never ends, pool 1 one that is always in use.
    let mut world = World::new(3, 2, &PoolConfig::default());
    world.enqueue(0, GET);
    let conn = world.in_state(|state| state == State::Connecting)[0];
    world.connected(conn, false);
    world.running.clear();
    for _ in 0..100 {
        world.enqueue(1, GET);
    }
    world.enqueue(2, GET);
    world.run();
    let other = world.served.iter().position(|pool| *pool == 2).unwrap();
    assert!(other <= 2 * 8, "{:?}", world.served);
    assert_eq!(world.served.len(), 102);
}

#[test]
fn connections_are_shared_out_equally_and_then_kept() {
    let mut world = World::new(2, 4, &PoolConfig::default());
    for _ in 0..200 {
        world.enqueue(0, GET);
    }
    for conn in world.in_state(|state| state == State::Connecting) {
        world.connected(conn, false);
    }
    for _ in 0..200 {
        world.enqueue(1, GET);
    }
    let mut opened = 0;
    for _ in 0..300 {
        opened += usize::from(
            !world
                .in_state(|state| state == State::Connecting)
                .is_empty(),
        );
        world.step();
    }
    let of = |pool| move |conn: &Conn| conn.pool == pool;
    let conns = world.in_state(|state| state == State::Open);
    assert_eq!(conns.iter().filter(|conn| of(0)(conn)).count(), 2);
    assert_eq!(conns.iter().filter(|conn| of(1)(conn)).count(), 2);
    assert_eq!(opened, 2, "connections are not exchanged for their like");
    world.run();
}

#[test]
fn a_pool_that_is_no_longer_waited_for_keeps_its_connection() {
    let mut world = World::new(2, 1, &PoolConfig::default());
    world.enqueue(0, GET);
    let conn = world.in_state(|state| state == State::Connecting)[0];
    world.connected(conn, false);
    world.enqueue(1, GET);
    let (pool, request) = world.waiting[0];
    world.waiting.clear();
    world.tell(pool, |pool, _| pool.handle_cancel(request));
    world.run();
    assert_eq!(world.in_state(|state| state == State::Open).len(), 1);
}

#[test]
fn connections_with_streams_make_room_when_their_streams_have_ended() {
    let mut world = World::new(2, 1, &PoolConfig::default());
    world.enqueue(0, GET);
    let conn = world.in_state(|state| state == State::Connecting)[0];
    world.connected(conn, true);
    world.enqueue(1, GET);
    // There is never a moment without a stream.
    for _ in 0..20 {
        world.enqueue(0, GET);
        if !world.running.is_empty() {
            world.release(0, Outcome::Reusable { hint: None });
        }
    }
    world.run();
    let other = world.served.iter().position(|pool| *pool == 1).unwrap();
    assert!(other <= 8 + 3, "{:?}", world.served);
}
