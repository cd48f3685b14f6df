//! The queue and the connections of one origin.
//!
//! [`OriginPool`] decides which request goes on which connection, and when connections are opened
//! and closed. The engine's origin calls it and carries out its [`Action`]s. It reads no clock,
//! does no I/O, and must not know sockets, protocols or message contents.
//!
//! - `slot`, `list`: tables with generations, and lists through them;
//! - `queue`: the requests; `connection`: one connection and its state diagram;
//! - `multiplex`: inputs of connections that carry requests as streams (HTTP/2);
//! - `pipelining`: changing how requests share HTTP/1.1 connections;
//! - `transitions`: changing that state; `lifecycle`: closing and destroying the pool;
//! - `admission`: which request gets which connection, when to connect; `idle`: idle timeouts;
//! - `shared_limit`: a limit on the connections of several pools; `share`: a pool's part in one;
//! - `stats`: counters, busy, needs drain; `action`: outputs, and values of inputs.

mod action;
mod admission;
mod connection;
mod idle;
mod lifecycle;
mod list;
mod multiplex;
mod pipelining;
mod queue;
mod share;
mod shared_limit;
mod slot;
mod stats;
#[cfg(test)]
mod tests;
mod transitions;

use std::collections::VecDeque;
use std::time::Instant;

pub use action::{Action, Cancelled, Outcome, Refused, Traits};
pub use shared_limit::{MemberId, Members, SharedLimit};
pub use stats::PoolStats;

use crate::deadlines::Deadlines;
use crate::model::close_reason::CloseReason;
use crate::model::config::{ConnectFailure, PoolConfig};
use crate::model::id::{ConnId, RequestId};
use connection::{ConnState, Connection};
use lifecycle::Lifecycle;
use list::List;
use queue::{Place, Requests};
use share::Share;
use slot::Slots;

/// The pool of one origin, as a state machine without I/O.
///
/// # Call order
///
/// 1. Report what happened: call one of the `handle_*` inputs, with the time it happened at.
/// 2. Call [`poll_action`](Self::poll_action) until it returns `None`, and do what it says, in
///    order.
/// 3. Arm a timer: for [`next_deadline`](Self::next_deadline) of the pool, or for
///    [`idle_deadline`](Self::idle_deadline) of each connection. When it fires, call
///    [`handle_deadline`](Self::handle_deadline) and continue with 2.
///
/// Each connection that the pool requests ends in exactly one `handle_closed` or
/// `handle_connect_failed`, whether or not the pool asked to close it. Each request ends in
/// exactly one of: `handle_released`, the return value of `handle_closed`,
/// [`Action::FailConnect`], [`Action::FailDestroyed`], or a cancel.
///
/// Stale inputs are ignored: ids carry a generation, so a finished request or closed connection is
/// not mistaken for its successor in the same slot. Inputs that the state of a connection does not
/// allow are ignored too. Time never runs backwards: a `now` earlier than the latest one counts as
/// the latest one, which is also what inputs without a `now` use.
///
/// Once the pool has seen its peak load, nothing is allocated between enqueue and release.
///
/// # Examples
///
/// ```
/// use std::time::{Duration, Instant};
/// use dodici_pool::{Action, CloseReason, OriginPool, Outcome, PoolConfig, Traits};
///
/// let mut pool = OriginPool::new(PoolConfig::default());
/// let start = Instant::now();
/// let get = Traits { idempotent: true, blocking: true, exclusive: false };
///
/// // A request arrives. There is no connection yet, so the pool asks for one.
/// let request = pool.handle_enqueue(get, start)?;
/// let Some(Action::Connect(conn)) = pool.poll_action() else { panic!("a connection is needed") };
/// assert_eq!(pool.poll_action(), None);
///
/// // The connection is open: the request is assigned to it.
/// pool.handle_connected(conn, start + Duration::from_millis(20), 1);
/// assert_eq!(pool.poll_action(), Some(Action::Assign { conn, request }));
///
/// // The response has ended, and the server keeps the connection for five seconds.
/// let done = start + Duration::from_millis(50);
/// let hint = Some(Duration::from_secs(5));
/// pool.handle_released(conn, request, Outcome::Reusable { hint }, done);
/// assert_eq!(pool.poll_action(), None);
/// assert_eq!(pool.stats().free, 1);
///
/// // It is unused for three seconds (the hint minus the threshold of two), so it is closed.
/// let deadline = done + Duration::from_secs(3);
/// assert_eq!(pool.next_deadline(), Some(deadline));
/// pool.handle_deadline(deadline);
/// let reason = CloseReason::IdleTimeout;
/// assert_eq!(pool.poll_action(), Some(Action::Close { conn, reason }));
/// assert!(pool.handle_closed(conn, deadline).is_empty());
///
/// // Without connections, the pool closes immediately.
/// pool.handle_close(deadline);
/// assert_eq!(pool.poll_action(), Some(Action::Closed));
/// # Ok::<(), dodici_pool::Refused>(())
/// ```
#[derive(Debug)]
pub struct OriginPool {
    config: PoolConfig,
    lifecycle: Lifecycle,
    /// The latest time passed to an input.
    now: Option<Instant>,
    requests: Requests,
    conns: Slots<ConnId, Connection>,
    /// Idle connections, most recently used first, so that surplus ones reach their deadline.
    idle: List<ConnId>,
    /// Busy connections that one more request may join, if it can be resent.
    shared: List<ConnId>,
    /// Busy multiplexed connections with a free stream.
    streams: List<ConnId>,
    /// Deadlines of `idle`.
    deadlines: Deadlines,
    /// Connections in state `Connecting`.
    connecting: u32,
    /// Connections in state `Closing`.
    closing: u32,
    /// How many requests a connection being opened is expected to take: as many as the last one, or
    /// [`PoolConfig::expected_concurrency`].
    expected: u32,
    /// How many connections are to be ready, until they are or cannot be.
    preconnect: u32,
    /// A connection was requested although nothing is queued.
    connect_wanted: bool,
    /// The same of an attempt that has not ended: it is kept although no request waits for it.
    connect_kept: bool,
    needs_drain: bool,
    /// Its part in a limit, if it has one. Boxed: few pools do.
    share: Option<Box<Share>>,
    actions: VecDeque<Action>,
}

impl OriginPool {
    /// A pool without connections. Does not allocate.
    pub fn new(config: PoolConfig) -> Self {
        Self {
            expected: config.expected_concurrency.max(1),
            config,
            lifecycle: Lifecycle::Open,
            now: None,
            requests: Requests::new(),
            conns: Slots::new(),
            idle: List::new(),
            shared: List::new(),
            streams: List::new(),
            deadlines: Deadlines::default(),
            connecting: 0,
            closing: 0,
            preconnect: 0,
            connect_wanted: false,
            connect_kept: false,
            needs_drain: false,
            share: None,
            actions: VecDeque::new(),
        }
    }

    /// Its limits.
    pub fn config(&self) -> &PoolConfig {
        &self.config
    }

    /// The next action, oldest first. Call it until `None` after each input.
    ///
    /// Actions made obsolete by an input in between are skipped: an assignment that is over, or
    /// anything about a connection that is gone.
    pub fn poll_action(&mut self) -> Option<Action> {
        loop {
            let action = self.actions.pop_front()?;
            let current = match action {
                Action::Connect(conn) | Action::Close { conn, .. } => {
                    self.conns.get(conn).is_some()
                }
                Action::Assign { conn, request } => self.is_on(request, conn),
                Action::FailConnect(_)
                | Action::FailDestroyed(_)
                | Action::Drain
                | Action::Closed => true,
            };
            if current {
                return Some(action);
            }
        }
    }

    /// Queues a request and returns its id.
    ///
    /// # Errors
    ///
    /// [`Refused`] once the pool is closed or destroyed; nothing changes then.
    pub fn handle_enqueue(&mut self, traits: Traits, now: Instant) -> Result<RequestId, Refused> {
        self.accepts()?;
        self.tick(now);
        let request = self.requests.enqueue(traits);
        self.settle();
        self.needs_drain = self.needs_drain || self.is_busy();
        Ok(request)
    }

    /// The caller aborted a request. Returns where the request was.
    ///
    /// A connection being opened for it is kept, for the next request, until
    /// [`handle_unneeded`](Self::handle_unneeded).
    pub fn handle_cancel(&mut self, request: RequestId) -> Cancelled {
        let Some(entry) = self.requests.table.get_mut(request) else {
            return Cancelled::Unknown;
        };
        match entry.place {
            Place::Queued => {
                self.requests.forget_waiting(request);
                self.settle();
                Cancelled::Queued
            }
            Place::Running(conn) | Place::Abandoned(conn) => {
                entry.place = Place::Abandoned(conn);
                Cancelled::Running(conn)
            }
        }
    }

    /// Whether more connections are being opened than queued requests can use.
    pub fn has_unneeded(&self) -> bool {
        self.connecting as usize > self.needed()
    }

    /// Gives up the connections being opened that no request waits for, after one was cancelled.
    pub fn handle_unneeded(&mut self) {
        self.close_attempts(self.needed(), CloseReason::Aborted);
    }

    /// Opens a connection although nothing is queued, unless one is open or being opened.
    ///
    /// If closing connections use up the limit, it is opened after them.
    pub fn handle_connect_requested(&mut self, now: Instant) {
        self.tick(now);
        if self.is_open() {
            self.connect_wanted = true;
            self.settle();
            self.connect_kept = self.connecting > 0;
        }
    }

    /// Opens connections until so many are [ready](Self::ready), or as many as the limits allow and as
    /// do not fail. One that is lost is not replaced.
    ///
    /// # Errors
    ///
    /// [`Refused`] once the pool is closed or destroyed; nothing changes then.
    pub fn handle_preconnect(&mut self, count: u32, now: Instant) -> Result<(), Refused> {
        self.accepts()?;
        self.tick(now);
        let most = self.config.max_idle_connections.unwrap_or(u32::MAX);
        self.preconnect = self.preconnect.max(count.min(most));
        self.settle();
        Ok(())
    }

    /// Whether connections are still being opened for `handle_preconnect`, or wait for that.
    pub fn is_preconnecting(&self) -> bool {
        self.preconnect > 0
    }

    /// Connections that take a request at once: idle, or with a free stream.
    pub fn ready(&self) -> u32 {
        (self.idle.len() + self.streams.len()) as u32
    }

    /// A connection that the pool requested is open.
    ///
    /// `concurrency` is how many concurrent requests it can carry: pipelining or streams; 0 counts
    /// as
    /// 1. If the pool has asked to close the connection in the meantime, that remains in force.
    pub fn handle_connected(&mut self, conn: ConnId, now: Instant, concurrency: u32) {
        self.tick(now);
        let expires = self.expiry();
        let Some(entry) = self.conns.get_mut(conn) else {
            return;
        };
        if entry.state != ConnState::Connecting {
            return;
        }
        entry.rests_since = self.now;
        entry.concurrency = concurrency.max(1);
        entry.expires = expires;
        self.expected = 1;
        self.offer(conn);
        self.settle();
    }

    /// A connection that the pool requested could not be opened.
    ///
    /// Queued requests fail as [`ConnectFailure`] says, but not because of an attempt that no
    /// request waits for. If requests remain queued, the next connection is tried immediately.
    pub fn handle_connect_failed(&mut self, conn: ConnId, now: Instant) {
        self.tick(now);
        let wanted = match self.conns.get(conn).map(|entry| entry.state) {
            Some(ConnState::Connecting) => true,
            Some(ConnState::Closing) => false,
            _ => return,
        };
        self.forget(conn);
        if wanted {
            match self.config.connect_failure {
                ConnectFailure::FailQueue if self.requests.running() == 0 => {
                    while self.fail_oldest(Action::FailConnect) {}
                }
                ConnectFailure::FailQueue => {}
                // If there are at least as many other attempts as waiting requests, the one that
                // this attempt was for was cancelled or served by another connection.
                ConnectFailure::FailOldest => {
                    for _ in 0..self.expected {
                        if self.expected_places() < self.requests.waiting() {
                            self.fail_oldest(Action::FailConnect);
                        }
                    }
                }
            }
        }
        self.settle();
    }

    /// The response head of a request arrived: if the request was blocking, others may now share
    /// the connection. Only matters if the connection can carry more than one request.
    pub fn handle_head_received(&mut self, conn: ConnId, request: RequestId) {
        let Some(entry) = self.conns.get_mut(conn) else {
            return;
        };
        if entry.hold == Some(request) {
            entry.hold = None;
            self.reopen(conn);
            self.settle();
        }
    }

    /// An exchange has ended; `outcome` says whether the connection is reusable.
    ///
    /// With [`Outcome::Finished`] the pool asks to close the connection. Report the requests still
    /// on it with `handle_unsent` or `handle_released` before `handle_closed`.
    pub fn handle_released(
        &mut self,
        conn: ConnId,
        request: RequestId,
        outcome: Outcome,
        now: Instant,
    ) {
        self.tick(now);
        if !self.take_off(conn, request) {
            return;
        }
        self.requests.table.remove(request);
        match outcome {
            Outcome::Reusable { hint } => self.after_exchange(conn, hint),
            Outcome::Unwritten => self.after_nothing(conn),
            Outcome::Finished(reason) => self.close(conn, reason),
        }
        self.settle();
    }

    /// A request was provably not sent, or may be resent: it returns to its place in the queue,
    /// ahead of all later requests. The connection is unusable.
    ///
    /// It does not return if its caller has aborted it, or if the pool was destroyed
    /// ([`Action::FailDestroyed`]). The pool emits [`Action::Close`] with reason
    /// [`CloseReason::PeerClosed`], unless `handle_closed` follows before the next poll or it has
    /// done so before. For several requests of one connection, call it in the order of assignment,
    /// since the first may be reassigned immediately.
    pub fn handle_unsent(&mut self, conn: ConnId, request: RequestId, now: Instant) {
        self.tick(now);
        let abandoned = self.is_abandoned(request);
        if !self.take_off(conn, request) {
            return;
        }
        self.close(conn, CloseReason::PeerClosed);
        self.put_back(request, abandoned);
        self.settle();
    }

    fn is_abandoned(&self, request: RequestId) -> bool {
        matches!(
            self.requests.table.get(request).map(|entry| entry.place),
            Some(Place::Abandoned(_))
        )
    }

    /// Returns a request that was removed from a connection to the queue, unless it was aborted.
    fn put_back(&mut self, request: RequestId, abandoned: bool) {
        match self.lifecycle {
            _ if abandoned => {
                self.requests.table.remove(request);
            }
            Lifecycle::Open | Lifecycle::Closing => self.requests.requeue(request),
            Lifecycle::Closed | Lifecycle::Destroying | Lifecycle::Destroyed => {
                self.requests.table.remove(request);
                self.actions.push_back(Action::FailDestroyed(request));
            }
        }
    }

    /// A connection has ended, for whatever reason.
    ///
    /// Every request on it must have been reported as released or unsent before. Any others are
    /// removed and returned, oldest assignment first, so that the caller can settle them. An empty
    /// result does not allocate.
    pub fn handle_closed(&mut self, conn: ConnId, now: Instant) -> Vec<RequestId> {
        self.tick(now);
        let mut left = Vec::new();
        while let Some(request) = self.conns.get(conn).and_then(|c| c.running.front()) {
            if !self.take_off(conn, request) {
                break;
            }
            self.requests.table.remove(request);
            left.push(request);
        }
        if self.conns.get(conn).is_some() {
            self.forget(conn);
            self.settle();
        }
        left
    }

    /// Closes the connections whose idle timeout has expired. Early or repeated calls are harmless.
    pub fn handle_deadline(&mut self, now: Instant) {
        self.tick(now);
        self.close_rested();
        self.settle();
    }

    /// Advances the time.
    fn tick(&mut self, now: Instant) {
        self.now = self.now.max(Some(now));
    }

    /// Whether `request` is on `conn`.
    fn is_on(&self, request: RequestId, conn: ConnId) -> bool {
        self.requests.table.get(request).is_some_and(|entry| {
            entry.place == Place::Running(conn) || entry.place == Place::Abandoned(conn)
        })
    }

    /// Removes `request` from `conn` but not from the pool. False if it is not there.
    fn take_off(&mut self, conn: ConnId, request: RequestId) -> bool {
        if !self.is_on(request, conn) {
            return false;
        }
        let Some(entry) = self.conns.get_mut(conn) else {
            return false;
        };
        entry.running.remove(&mut self.requests.table, request);
        if entry.hold == Some(request) {
            entry.hold = None;
        }
        true
    }

    /// Removes the oldest queued request and reports it. False if there is none.
    fn fail_oldest(&mut self, report: fn(RequestId) -> Action) -> bool {
        let oldest = self.requests.pop_front();
        self.actions.extend(oldest.map(report));
        oldest.is_some()
    }
}
