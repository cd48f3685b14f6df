//! Random sequences of inputs against a simple model of the pool's contract.
//!
//! The model tracks requests and connections itself, checks every action against the rules, and
//! every counter after each input. It uses the public interface only.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic is how a test fails"
)]

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use dodici_pool::{
    Action, Cancelled, CloseReason, ConnId, ConnectFailure, OriginPool, Outcome, PoolConfig,
    Refused, RequestId, Traits,
};
use proptest::prelude::*;
use proptest::sample::Index;

/// One input, or one step of the model's clock.
#[derive(Clone, Debug)]
enum Op {
    Enqueue(Traits),
    Cancel(Index),
    ConnectRequested,
    Connected(Index, u32),
    ConnectFailed(Index),
    Head(Index),
    Release(Index, Outcome),
    Unsent(Index),
    /// The connection ends; the flag says whether its requests are returned as unsent before.
    Gone(Index, bool),
    /// The owner closes a connection.
    ClosedAsAsked(Index),
    /// A changed pipelining depth.
    Pipelining(u32),
    Advance(u64),
    Deadline,
    /// Inputs with ids that have ended.
    Stale(Index),
    Close,
    Destroy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Queued,
    Running(ConnId),
}

struct Request {
    traits: Traits,
    place: Place,
    order: u64,
    /// Rank of its latest assignment.
    assigned: u64,
    headless: bool,
    cancelled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Connecting,
    Up,
    Closing,
}

struct Conn {
    state: State,
    concurrency: u32,
    since: Instant,
    served: u32,
    /// Why it accepts no more requests, once that is decided.
    spent: Option<CloseReason>,
    rest: Duration,
    idle_since: Instant,
}

struct Model {
    pool: OriginPool,
    now: Instant,
    /// The latest time passed to the pool: cancels and heads carry none.
    told: Instant,
    requests: BTreeMap<RequestId, Request>,
    conns: BTreeMap<ConnId, Conn>,
    ended_requests: Vec<RequestId>,
    ended_conns: Vec<ConnId>,
    enqueued: usize,
    assignments: u64,
    closing: bool,
    destroyed: bool,
    closed_seen: bool,
    was_draining: bool,
    connect_requested: bool,
}

impl Model {
    fn new(config: PoolConfig) -> Self {
        let now = Instant::now();
        Self {
            pool: OriginPool::new(config),
            now,
            told: now,
            requests: BTreeMap::new(),
            conns: BTreeMap::new(),
            ended_requests: Vec::new(),
            ended_conns: Vec::new(),
            enqueued: 0,
            assignments: 0,
            closing: false,
            destroyed: false,
            closed_seen: false,
            was_draining: false,
            connect_requested: false,
        }
    }

    fn config(&self) -> PoolConfig {
        self.pool.config().clone()
    }

    fn oldest_queued(&self) -> Option<RequestId> {
        self.requests
            .iter()
            .filter(|(_, request)| request.place == Place::Queued)
            .min_by_key(|(_, request)| request.order)
            .map(|(id, _)| *id)
    }

    fn queued(&self) -> usize {
        let queued = |request: &&Request| request.place == Place::Queued;
        self.requests.values().filter(queued).count()
    }

    /// The requests on a connection, oldest assignment first.
    fn on(&self, conn: ConnId) -> Vec<RequestId> {
        let mut on: Vec<_> = self
            .requests
            .iter()
            .filter(|(_, request)| request.place == Place::Running(conn))
            .map(|(id, request)| (request.assigned, *id))
            .collect();
        on.sort_unstable();
        on.into_iter().map(|(_, id)| id).collect()
    }

    fn running(&self) -> Vec<(RequestId, ConnId)> {
        self.requests
            .iter()
            .filter_map(|(id, request)| match request.place {
                Place::Running(conn) => Some((*id, conn)),
                Place::Queued => None,
            })
            .collect()
    }

    fn in_state(&self, state: State) -> Vec<ConnId> {
        let in_state = |entry: &(&ConnId, &Conn)| entry.1.state == state;
        let conns = self.conns.iter().filter(in_state);
        conns.map(|(id, _)| *id).collect()
    }

    fn expired(&self, conn: &Conn) -> bool {
        self.config()
            .max_connection_age
            .is_some_and(|ttl| self.told >= conn.since + ttl)
    }

    /// Whether an idempotent request may join those on this connection.
    fn can_share(&self, conn: ConnId) -> bool {
        let (entry, on) = (&self.conns[&conn], self.on(conn));
        let held = |id: &RequestId| {
            let other = &self.requests[id];
            other.traits.blocking && other.headless
        };
        entry.spent.is_none() && on.len() < entry.concurrency as usize && !on.iter().any(held)
    }

    fn end_request(&mut self, id: RequestId) -> Request {
        self.ended_requests.push(id);
        let ended = self.requests.remove(&id);
        ended.expect("a request ends once, and only while it is tracked")
    }

    fn end_conn(&mut self, id: ConnId) {
        assert!(self.on(id).is_empty());
        self.ended_conns.push(id);
        self.conns.remove(&id).expect("a connection ends once");
    }

    /// Carries out all actions, checking each against the rules.
    fn drain(&mut self, failing: Option<usize>) {
        let mut failed = 0;
        while let Some(action) = self.pool.poll_action() {
            assert!(!self.closed_seen, "{action:?} after Closed");
            match action {
                Action::Connect(conn) => self.on_connect(conn),
                Action::Assign { conn, request } => self.on_assign(conn, request),
                Action::Close { conn, reason } => self.on_close(conn, reason),
                Action::FailConnect(request) => {
                    failed += 1;
                    assert_eq!(self.oldest_queued(), Some(request));
                    self.end_request(request);
                }
                Action::FailDestroyed(request) => {
                    assert!(self.destroyed);
                    self.end_request(request);
                }
                Action::Drain => {
                    assert!(self.was_draining && !self.closing && !self.destroyed);
                    self.was_draining = false;
                    assert!(!self.pool.is_busy());
                }
                Action::Closed => {
                    assert!(self.closing || self.destroyed);
                    assert!(self.conns.is_empty() && self.requests.is_empty());
                    self.closed_seen = true;
                }
            }
        }
        assert_eq!(failed, failing.unwrap_or(0), "requests failed by a connect");
        self.check_rest();
    }

    fn on_connect(&mut self, conn: ConnId) {
        assert!(!self.destroyed);
        assert!(!self.ended_conns.contains(&conn), "an id came twice");
        let connecting = self.in_state(State::Connecting).len();
        let wish = std::mem::take(&mut self.connect_requested);
        assert!(connecting < self.queued() || wish, "an unneeded connection");
        let now = self.now;
        let fresh = Conn {
            state: State::Connecting,
            concurrency: 1,
            since: now,
            served: 0,
            spent: None,
            rest: self.config().keep_alive_timeout.unwrap(),
            idle_since: now,
        };
        assert!(self.conns.insert(conn, fresh).is_none());
        if let Some(limit) = self.config().max_connections {
            assert!(self.conns.len() <= limit.get() as usize, "over the limit");
        }
    }

    fn on_assign(&mut self, conn: ConnId, request: RequestId) {
        assert_eq!(self.oldest_queued(), Some(request), "out of order");
        let config = self.config();
        let traits = self.requests[&request].traits;
        let others = self.on(conn);
        let entry = &self.conns[&conn];
        assert_eq!(entry.state, State::Up);
        assert_eq!(entry.spent, None, "it takes no further request");
        assert!(!self.expired(entry));
        if others.is_empty() {
            if entry.served > 0 {
                assert!(entry.idle_since == self.now || self.now < entry.idle_since + entry.rest);
            }
        } else {
            assert!(traits.idempotent && !traits.exclusive);
            assert!(others.len() < entry.concurrency as usize);
            let held = |id: &RequestId| {
                let other = &self.requests[id];
                other.traits.exclusive || (other.traits.blocking && other.headless)
            };
            assert!(!others.iter().any(held), "it is held by another request");
        }
        let entry = self.conns.get_mut(&conn).unwrap();
        entry.served += 1;
        if traits.exclusive || !config.keep_alive {
            entry.spent = Some(CloseReason::NotReusable);
        } else if config.max_requests_per_connection.map(NonZeroU32::get) == Some(entry.served) {
            entry.spent = Some(CloseReason::MaxRequests);
        }
        let request = self.requests.get_mut(&request).unwrap();
        self.assignments += 1;
        request.assigned = self.assignments;
        request.place = Place::Running(conn);
        request.headless = true;
    }

    fn on_close(&mut self, conn: ConnId, reason: CloseReason) {
        let resting = self.on(conn).is_empty();
        let entry = &self.conns[&conn];
        assert_ne!(entry.state, State::Closing, "closed twice");
        match reason {
            CloseReason::IdleTimeout => {
                assert!(resting && self.now >= entry.idle_since + entry.rest);
            }
            CloseReason::Expired => assert!(resting && self.expired(entry)),
            CloseReason::PoolClosed => assert!(resting && self.closing && self.queued() == 0),
            CloseReason::PoolDestroyed => assert!(self.destroyed),
            reason => assert_eq!(entry.spent, Some(reason)),
        }
        self.conns.get_mut(&conn).unwrap().state = State::Closing;
    }

    /// What must hold between any two inputs.
    fn check_rest(&mut self) {
        let stats = self.pool.stats();
        let up = self.in_state(State::Up);
        let idle: Vec<_> = up
            .iter()
            .copied()
            .filter(|conn| self.on(*conn).is_empty())
            .collect();
        let connecting = self.in_state(State::Connecting).len();
        let queued = self.queued();
        assert_eq!(stats.connected as usize, up.len());
        assert_eq!(stats.free as usize, idle.len());
        assert_eq!(stats.pending as usize, queued);
        assert_eq!(stats.running as usize, self.running().len());
        assert_eq!(stats.queued as usize, queued.saturating_sub(connecting));
        assert_eq!(stats.size() as usize, self.requests.len());

        assert!(queued == 0 || idle.is_empty(), "idle while a request waits");
        let limit = self
            .config()
            .max_connections
            .map(|limit| limit.get() as usize);
        let may_open = limit.is_none_or(|limit| self.conns.len() < limit);
        assert!(queued <= connecting || !may_open, "a connection was due");

        let mut earliest = None;
        for conn in &idle {
            let entry = &self.conns[conn];
            assert!(entry.spent.is_none() && !self.closing && !self.destroyed);
            let ttl = self
                .config()
                .max_connection_age
                .map(|ttl| entry.since + ttl);
            let rest = Some(entry.idle_since + entry.rest);
            let until = rest.into_iter().chain(ttl).min();
            assert_eq!(self.pool.idle_deadline(*conn), until);
            earliest = earliest.into_iter().chain(until).min();
        }
        assert_eq!(self.pool.next_deadline(), earliest);

        // An expired connection with requests on it may or may not have been noticed yet.
        let expired = |conn: &ConnId| self.expired(&self.conns[conn]);
        if !up.iter().any(expired) {
            let room = match queued {
                0 => !idle.is_empty() || connecting > 0 || up.iter().any(|c| self.can_share(*c)),
                queued => connecting > queued,
            };
            assert_eq!(self.pool.is_busy(), !room && !may_open);
        }
        if self.pool.needs_drain() {
            assert!(self.pool.is_busy(), "a drain was due");
        }
        assert_eq!(
            self.was_draining,
            self.pool.needs_drain(),
            "drain unreported"
        );
        if (self.closing || self.destroyed) && self.conns.is_empty() && self.requests.is_empty() {
            assert!(self.closed_seen, "Closed was due");
        }
    }

    fn enqueue(&mut self, traits: Traits) {
        if !self.closing && !self.destroyed {
            self.told = self.now;
        }
        let result = self.pool.handle_enqueue(traits, self.now);
        if self.destroyed {
            assert_eq!(result, Err(Refused::Destroyed));
        } else if self.closing {
            assert_eq!(result, Err(Refused::Closed));
        } else {
            let id = result.unwrap();
            let request = Request {
                traits,
                place: Place::Queued,
                order: self.enqueued as u64,
                assigned: 0,
                headless: true,
                cancelled: false,
            };
            assert!(!self.ended_requests.contains(&id), "an id came twice");
            assert!(self.requests.insert(id, request).is_none());
            self.enqueued += 1;
            if self.pool.is_busy() {
                assert!(self.pool.needs_drain());
                self.was_draining = true;
            }
        }
        self.drain(None);
    }

    fn cancel(&mut self, id: RequestId) {
        let expected = match self.requests[&id].place {
            Place::Queued => Cancelled::Queued,
            Place::Running(conn) => Cancelled::Running(conn),
        };
        assert_eq!(self.pool.handle_cancel(id), expected);
        if expected == Cancelled::Queued {
            self.end_request(id);
        } else {
            self.requests.get_mut(&id).unwrap().cancelled = true;
        }
        self.drain(None);
    }

    fn connected(&mut self, id: ConnId, concurrency: u32) {
        self.told = self.now;
        let entry = self.conns.get_mut(&id).unwrap();
        entry.state = State::Up;
        entry.concurrency = concurrency.max(1);
        entry.since = self.now;
        entry.idle_since = self.now;
        self.pool.handle_connected(id, self.now, concurrency);
        self.drain(None);
    }

    fn connect_failed(&mut self, id: ConnId) {
        self.told = self.now;
        let wanted = self.conns[&id].state == State::Connecting;
        self.end_conn(id);
        let (queued, connecting) = (self.queued(), self.in_state(State::Connecting).len());
        let failing = match self.config().connect_failure {
            _ if !wanted => 0,
            ConnectFailure::FailQueue if self.running().is_empty() => queued,
            ConnectFailure::FailQueue => 0,
            ConnectFailure::FailOldest => usize::from(connecting < queued),
        };
        self.pool.handle_connect_failed(id, self.now);
        self.drain(Some(failing));
    }

    fn release(&mut self, request: RequestId, conn: ConnId, outcome: Outcome) {
        self.told = self.now;
        self.end_request(request);
        let config = self.config();
        let last = self.on(conn).is_empty();
        let expired = self.expired(&self.conns[&conn]);
        let now = self.now;
        let entry = self.conns.get_mut(&conn).unwrap();
        match outcome {
            Outcome::Finished(reason) => entry.spent = Some(reason),
            // There are two time limits, age and idle timeout: whichever has expired.
            Outcome::Unwritten if last && expired => {
                entry.spent = entry.spent.or(Some(CloseReason::Expired));
            }
            Outcome::Unwritten if last && now >= entry.idle_since + entry.rest => {
                entry.spent = entry.spent.or(Some(CloseReason::IdleTimeout));
            }
            Outcome::Unwritten if expired => {
                entry.spent = entry.spent.or(Some(CloseReason::Expired));
            }
            Outcome::Unwritten => {}
            Outcome::Reusable { hint } => {
                let millis = |time: Duration| time.as_millis() as i128;
                let rest = match hint {
                    None => millis(config.keep_alive_timeout.unwrap()),
                    Some(hint) => (millis(hint) - millis(config.keep_alive_timeout_threshold))
                        .min(millis(config.keep_alive_max_timeout.unwrap())),
                };
                if hint.is_some() && rest <= 0 {
                    entry.spent = entry.spent.or(Some(CloseReason::NotReusable));
                } else {
                    entry.rest = Duration::from_millis(rest as u64);
                    if expired {
                        entry.spent = entry.spent.or(Some(CloseReason::Expired));
                    }
                }
            }
        }
        if outcome != Outcome::Unwritten {
            entry.idle_since = now;
        }
        let due = entry.spent.is_some() && (last || matches!(outcome, Outcome::Finished(_)));
        self.pool.handle_released(conn, request, outcome, now);
        self.drain(None);
        assert!(
            !due || self.conns[&conn].state == State::Closing,
            "a close was due"
        );
    }

    fn pipelining(&mut self, depth: u32) {
        self.told = self.now;
        for conn in self.in_state(State::Up) {
            let serves = !self.on(conn).is_empty();
            let entry = self.conns.get_mut(&conn).unwrap();
            entry.concurrency = depth.max(1);
            if depth == 0 && serves {
                entry.spent = entry.spent.or(Some(CloseReason::NotReusable));
            }
        }
        self.pool.handle_keep_alive(depth > 0, self.now);
        self.pool.handle_pipelining(depth, self.now);
        self.drain(None);
    }

    fn unsent(&mut self, request: RequestId, conn: ConnId) {
        self.told = self.now;
        let entry = self.conns.get_mut(&conn).unwrap();
        entry.spent = Some(CloseReason::PeerClosed);
        if self.requests[&request].cancelled {
            self.end_request(request);
        } else {
            self.requests.get_mut(&request).unwrap().place = Place::Queued;
        }
        self.pool.handle_unsent(conn, request, self.now);
        self.drain(None);
        assert_eq!(self.conns[&conn].state, State::Closing);
    }

    fn closed(&mut self, conn: ConnId, return_requests: bool) {
        self.told = self.now;
        if return_requests {
            for request in self.on(conn) {
                self.unsent(request, conn);
            }
        }
        let left = self.on(conn);
        for request in &left {
            self.end_request(*request);
        }
        self.end_conn(conn);
        assert_eq!(self.pool.handle_closed(conn, self.now), left);
        self.drain(None);
    }

    /// None of these may change or report anything.
    fn stale(&mut self, index: Index) {
        if !self.ended_requests.is_empty() {
            let request = *index.get(&self.ended_requests);
            assert_eq!(self.pool.handle_cancel(request), Cancelled::Unknown);
            for conn in self.conns.keys().copied().collect::<Vec<_>>() {
                let outcome = Outcome::Finished(CloseReason::IoError);
                self.told = self.now;
                self.pool.handle_released(conn, request, outcome, self.now);
                self.pool.handle_unsent(conn, request, self.now);
                self.pool.handle_head_received(conn, request);
            }
        }
        if !self.ended_conns.is_empty() {
            let conn = *index.get(&self.ended_conns);
            self.told = self.now;
            self.pool.handle_connected(conn, self.now, 3);
            self.pool.handle_connect_failed(conn, self.now);
            assert!(self.pool.handle_closed(conn, self.now).is_empty());
            assert_eq!(self.pool.idle_deadline(conn), None);
            for (request, _) in self.running() {
                self.pool.handle_unsent(conn, request, self.now);
            }
        }
        for conn in self.in_state(State::Up) {
            self.told = self.now;
            self.pool.handle_connected(conn, self.now, 3);
            self.pool.handle_connect_failed(conn, self.now);
        }
        assert_eq!(self.pool.poll_action(), None);
        self.check_rest();
    }

    fn apply(&mut self, op: Op) {
        fn pick<T: Copy>(index: Index, from: Vec<T>) -> Option<T> {
            (!from.is_empty()).then(|| *index.get(&from))
        }
        match op {
            Op::Enqueue(traits) => self.enqueue(traits),
            Op::Cancel(index) => {
                if let Some(id) = pick(index, self.requests.keys().copied().collect()) {
                    self.cancel(id);
                }
            }
            Op::ConnectRequested => {
                self.told = self.now;
                self.connect_requested = !self.closing
                    && !self.destroyed
                    && self.conns.len() == self.in_state(State::Closing).len();
                self.pool.handle_connect_requested(self.now);
                self.drain(None);
            }
            Op::Connected(index, concurrency) => {
                if let Some(id) = pick(index, self.in_state(State::Connecting)) {
                    self.connected(id, concurrency);
                }
            }
            Op::ConnectFailed(index) => {
                if let Some(id) = pick(index, self.in_state(State::Connecting)) {
                    self.connect_failed(id);
                }
            }
            Op::Head(index) => {
                if let Some((request, conn)) = pick(index, self.running()) {
                    self.requests.get_mut(&request).unwrap().headless = false;
                    self.pool.handle_head_received(conn, request);
                    self.drain(None);
                }
            }
            Op::Release(index, outcome) => {
                if let Some((request, conn)) = pick(index, self.running()) {
                    self.release(request, conn, outcome);
                }
            }
            Op::Unsent(index) => {
                let running = self.running();
                if let (Some((request, conn)), false) = (pick(index, running), self.destroyed) {
                    self.unsent(request, conn);
                }
            }
            Op::Gone(index, return_requests) => {
                if let Some(conn) = pick(index, self.conns.keys().copied().collect()) {
                    self.closed(conn, return_requests && !self.destroyed);
                }
            }
            Op::ClosedAsAsked(index) => {
                if let Some(conn) = pick(index, self.in_state(State::Closing)) {
                    self.closed(conn, false);
                }
            }
            Op::Pipelining(depth) => self.pipelining(depth),
            Op::Advance(millis) => self.now += Duration::from_millis(millis),
            Op::Deadline => {
                self.told = self.now;
                self.pool.handle_deadline(self.now);
                self.drain(None);
                assert!(self.pool.next_deadline().is_none_or(|at| at > self.now));
            }
            Op::Stale(index) => self.stale(index),
            Op::Close => {
                self.told = self.now;
                self.closing |= !self.destroyed;
                self.was_draining = false;
                self.connect_requested = false;
                self.pool.handle_close(self.now);
                self.drain(None);
            }
            Op::Destroy => {
                self.told = self.now;
                self.destroyed = true;
                self.was_draining = false;
                self.connect_requested = false;
                self.pool.handle_destroy(self.now);
                self.drain(None);
                assert_eq!(self.queued(), 0);
                assert_eq!(self.in_state(State::Closing).len(), self.conns.len());
            }
        }
    }

    /// Lets everything finish and checks that no request was forgotten.
    fn finish(mut self) {
        self.apply(Op::Close);
        for round in 0.. {
            assert!(round < 1000, "the pool does not finish");
            for conn in self.in_state(State::Connecting) {
                if self.conns.get(&conn).map(|c| c.state) == Some(State::Connecting) {
                    self.connected(conn, 1);
                }
            }
            for (request, conn) in self.running() {
                self.release(request, conn, Outcome::Reusable { hint: None });
            }
            for conn in self.in_state(State::Closing) {
                self.closed(conn, false);
            }
            if self.closed_seen {
                break;
            }
        }
        assert_eq!(self.ended_requests.len(), self.enqueued);
        assert_eq!(self.pool.poll_action(), None);
    }
}

fn traits() -> impl Strategy<Value = Traits> {
    (
        prop::bool::weighted(0.7),
        any::<bool>(),
        prop::bool::weighted(0.1),
    )
        .prop_map(|(idempotent, blocking, exclusive)| Traits {
            idempotent,
            blocking,
            exclusive,
        })
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        4 => Just(Outcome::Reusable { hint: None }),
        2 => Just(Outcome::Unwritten),
        2 => (0u64..12_000).prop_map(|ms| Outcome::Reusable {
            hint: Some(Duration::from_millis(ms)),
        }),
        1 => prop::sample::select(vec![
            CloseReason::NotReusable,
            CloseReason::IoError,
            CloseReason::Aborted,
            CloseReason::Upgraded,
        ])
        .prop_map(Outcome::Finished),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let index = any::<Index>;
    prop_oneof![
        30 => traits().prop_map(Op::Enqueue),
        6 => index().prop_map(Op::Cancel),
        2 => Just(Op::ConnectRequested),
        20 => (index(), 0u32..4).prop_map(|(index, n)| Op::Connected(index, n)),
        3 => index().prop_map(Op::ConnectFailed),
        10 => index().prop_map(Op::Head),
        25 => (index(), outcome()).prop_map(|(index, outcome)| Op::Release(index, outcome)),
        4 => index().prop_map(Op::Unsent),
        3 => (index(), any::<bool>()).prop_map(|(index, back)| Op::Gone(index, back)),
        15 => index().prop_map(Op::ClosedAsAsked),
        2 => (0u32..4).prop_map(Op::Pipelining),
        8 => (0u64..3_000).prop_map(Op::Advance),
        5 => Just(Op::Deadline),
        3 => index().prop_map(Op::Stale),
    ]
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let ending = prop::option::weighted(0.5, prop::sample::select(vec![Op::Close, Op::Destroy]));
    (
        prop::collection::vec(op(), 1..120),
        ending,
        prop::collection::vec(op(), 0..30),
    )
        .prop_map(|(mut ops, ending, after)| {
            ops.extend(ending);
            ops.extend(after);
            ops
        })
}

fn config() -> impl Strategy<Value = PoolConfig> {
    (
        prop::option::weighted(0.8, 1u32..5),
        0u32..3,
        prop::option::of(1u64..5_000),
        prop::option::of(1u32..5),
        any::<bool>(),
        0u64..5_000,
    )
        .prop_map(|(limit, pipelining, ttl, requests, queue, rest)| {
            let mut config = PoolConfig::default();
            config.max_connections = limit.and_then(NonZeroU32::new);
            config.pipelining = pipelining;
            config.keep_alive = pipelining > 0;
            config.keep_alive_timeout = Some(Duration::from_millis(rest));
            config.keep_alive_max_timeout = Some(Duration::from_secs(8));
            config.max_connection_age = ttl.map(Duration::from_millis);
            config.max_requests_per_connection = requests.and_then(NonZeroU32::new);
            config.connect_failure = if queue {
                ConnectFailure::FailQueue
            } else {
                ConnectFailure::FailOldest
            };
            config
        })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1024,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_pool_keeps_its_rules_under_any_sequence_of_inputs(
        config in config(),
        ops in ops(),
    ) {
        let mut model = Model::new(config);
        for op in ops {
            model.apply(op);
        }
        model.finish();
    }
}
