//! The pool of one origin: the state machine of `dodici-pool` behind a lock, and the tasks that
//! carry out its actions.
//!
//! - [`Pool`]: what users hold; `state`: what is behind its lock.
//! - `task`: one task per connection.
//! - `multiplex`: its loop on an HTTP/2 connection.
//! - `pipeline`: its loop on an HTTP/1.1 connection.
//! - `discovery`: HTTP/3 where the origin offers it.
//! - `inquiry`: what each connection is doing.
//! - `limit`: a limit on the connections of several pools.
//! - `lease`: the guard that owns a connection's events; `mailbox`: messages to its task.
//! - [`RequestHandle`]: the caller's side of a request.
//!
//! The lock is held to change the state machine and to move a request from one table to another;
//! sinks, event sinks and wakers are called after it is released.

#[cfg(feature = "http3")]
mod discovery;
mod handle;
mod inquiry;
mod lease;
mod limit;
mod mailbox;
mod multiplex;
mod pipeline;
mod state;
mod task;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Waker;

use dodici_pool::{
    Alternatives, CloseReason, ConnId, ConnectConfig, Error, ErrorKind, Event, Http3Mode, Origin,
    OriginConfig, OriginPool, Phase, PoolStats, Refused, Request, RequestId, RequestKind, Traits,
};
use parking_lot::{Mutex, ReentrantMutex};
use tokio::runtime::Handle;
use tokio::sync::oneshot::channel;
use tokio::time::Instant;

pub use self::handle::RequestHandle;
pub use self::limit::ConnectionLimit;
use self::limit::Member;
pub(crate) use self::limit::Permit;
use self::mailbox::Mailbox;
use self::state::{After, Effect, State, put};
use crate::clock;
use crate::command::{Command, Space};
use crate::connect::{ConnectHooks, Connector};
use crate::exchange::Job;
use crate::settle::Settle;
use crate::sink::{EventSink, Sink};
use crate::trace::{self, Trace};

/// The connections and the queue of one origin. Cheap to clone.
///
/// After the last clone is dropped, queued and running requests finish, and connections close when
/// their keep-alive timeout expires. [`Pool::close`] and [`Pool::destroy`] close them sooner.
#[derive(Clone)]
pub struct Pool(Arc<PoolInner>);

pub(crate) struct PoolInner {
    origin: Origin,
    config: OriginConfig,
    /// Or why no connection can be opened.
    connector: Mutex<Result<Arc<Connector>, Error>>,
    /// Its place in a limit that it shares, if it has one.
    member: Option<Member>,
    events: Arc<dyn EventSink>,
    runtime: Handle,
    space: Arc<Space>,
    #[cfg(feature = "http3")]
    discovery: Option<discovery::Discovery>,
    state: Mutex<State>,
    /// Whether [`Event::Closed`] was emitted.
    closed: ReentrantMutex<Cell<bool>>,
}

impl PoolInner {
    /// Concurrent requests on a connection opened now; 0 if it serves only one request.
    /// See [`PoolConfig::eager`](dodici_pool::PoolConfig::eager).
    fn is_eager(&self) -> bool {
        let state = self.state.lock();
        let config = state.machine.config();
        config.eager || config.pipelining > 1
    }

    /// As [`State::take_back`], and settles a request that was cancelled.
    fn give_back(&self, conn: ConnId, after: After, request: RequestId, job: Box<Job>) {
        let cancelled = self.state.lock().take_back(conn, after, request, job);
        if let Some(mut job) = cancelled {
            let (_, error) = job.command.cancellation(Phase::Queued);
            contain(|| job.settle.error(error));
        }
    }

    /// Opens the next connection.
    fn connector(&self) -> Result<Arc<Connector>, Error> {
        self.connector.lock().clone()
    }

    fn pipelining(&self) -> u32 {
        self.state.lock().machine.config().pipelining
    }

    /// Carries out the state machine's actions until there are none left.
    fn run_actions(self: &Arc<Self>) {
        let (concerns, ready) = loop {
            let effect = {
                let mut state = self.state.lock();
                match state.machine.poll_action() {
                    None => {
                        let member = self.member.as_ref();
                        let concerns = member.filter(|m| m.concerns(&mut state.machine));
                        break (concerns, state.ready());
                    }
                    Some(action) => state.effect(action),
                }
            };
            self.apply(effect);
        };
        if let Some((waiting, result)) = ready {
            for to in waiting {
                // One who no longer waits is no loss.
                let _ = to.send(result.clone());
            }
        }
        if let Some(member) = concerns {
            member.changed();
        }
    }

    fn apply(self: &Arc<Self>, effect: Effect) {
        match effect {
            Effect::Nothing => {}
            Effect::Spawn(id, mailbox) => {
                let permit = self.member.as_ref().map(Member::permit);
                let task = task::run(Arc::clone(self), id, mailbox, permit);
                drop(self.runtime.spawn(task));
            }
            Effect::Wake(waker) => waker.wake(),
            Effect::Settle(mut job, error) => contain(|| job.settle.error(error)),
            Effect::Drain => self.emit(Event::Drain),
            Effect::Closed => self.emit(Event::Closed),
        }
    }

    /// Emits an event of the pool itself. Two threads may be emitting one at the same time; none
    /// follows `Closed`. The receiver may take the lock again.
    fn emit(&self, event: Event) {
        let closed = self.closed.lock();
        if closed.get() {
            return;
        }
        closed.set(matches!(event, Event::Closed));
        contain(|| self.events.event(event));
    }
}

/// Runs a user callback whose panic must not prevent the rest of the pool's work: it may belong to
/// another request than the thread is working on.
fn contain(callback: impl FnOnce()) {
    // The panic hook has already reported it.
    drop(catch_unwind(AssertUnwindSafe(callback)));
}

fn refused(reason: Refused) -> Error {
    match reason {
        Refused::Closed => Error::new(ErrorKind::Closed, Phase::Queued, "The client is closed"),
        Refused::Destroyed => destroyed(),
    }
}

fn destroyed() -> Error {
    Error::new(
        ErrorKind::Destroyed,
        Phase::Queued,
        "The client is destroyed",
    )
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}

impl Pool {
    #[expect(
        clippy::too_many_arguments,
        reason = "all of the engine's, called once"
    )]
    pub(crate) fn new(
        origin: Origin,
        config: OriginConfig,
        connector: Connector,
        events: Arc<dyn EventSink>,
        runtime: Handle,
        space: Arc<Space>,
        limit: Option<&ConnectionLimit>,
        alternatives: &Arc<Mutex<Alternatives>>,
    ) -> Self {
        #[cfg(not(feature = "http3"))]
        let _ = alternatives;
        let mut limits = config.pool.clone();
        let may_be_http2 = connector.offers_http2() || config.http2.prior_knowledge;
        if limits.expected_concurrency <= 1 && may_be_http2 {
            limits.expected_concurrency = config.http2.max_concurrent_streams;
        }
        if config.http3.mode == Http3Mode::PriorKnowledge {
            limits.expected_concurrency = config.http3.max_concurrent_streams;
        }
        let member = limit.map(ConnectionLimit::join);
        let mut machine = OriginPool::new(limits);
        if let Some(limit) = limit {
            machine.share_limit(limit.most());
        }
        let state = Mutex::new(State::new(machine));
        let events = trace::events(&origin, events);
        let inner = Arc::new(PoolInner {
            #[cfg(feature = "http3")]
            discovery: (config.http3.mode == Http3Mode::Discovered)
                .then(|| discovery::Discovery::new(Arc::clone(alternatives))),
            origin,
            config,
            member,
            connector: Mutex::new(Ok(Arc::new(connector))),
            events,
            runtime,
            space,
            state,
            closed: ReentrantMutex::default(),
        });
        if let Some(member) = &inner.member {
            member.introduce(&inner);
        }
        Self(inner)
    }

    /// Queues a request and returns immediately. Everything else is reported to the sink, including
    /// the error if the pool is closed.
    pub fn dispatch(&self, request: Request, sink: Box<dyn Sink>) -> RequestHandle {
        // A pulled body can be read only once, and nothing can be written after it before its end.
        let pulled = request.body.is_pulled();
        let exclusive = matches!(request.kind, RequestKind::Connect | RequestKind::Upgrade);
        let space = (pulled || exclusive).then(|| Arc::clone(&self.0.space));
        let window = self.0.config.exchange.window;
        let command = Command::new(window, &request.body, space);
        let traits = Traits {
            idempotent: request.idempotent && !pulled,
            blocking: request.blocking || pulled || request.expect_continue,
            exclusive,
        };
        let total = request
            .total_timeout
            .or(self.0.config.exchange.total_timeout);
        let deadline = clock::after(total);
        #[cfg(feature = "http3")]
        let sink = discovery::listening(&self.0, sink);
        let (trace, sink) = Trace::new(&self.0.origin, sink);
        let dispatched = now();
        let settle = Settle::new(sink, request.timed.then_some(dispatched));
        let mut job = Box::new(Job::new(request, settle, Arc::clone(&command), trace));
        let mut state = self.0.state.lock();
        let id = match state.machine.handle_enqueue(traits, dispatched) {
            Ok(id) => id,
            Err(reason) => {
                drop(state);
                job.settle.error(refused(reason));
                return RequestHandle {
                    command,
                    place: None,
                };
            }
        };
        let handle = RequestHandle {
            command,
            place: Some((Arc::clone(&self.0), id)),
        };
        job.watch = deadline.map(|deadline| handle.clone().end_at(&self.0.runtime, deadline));
        put(&mut state.queued, id.slot, (id, job));
        drop(state);
        self.0.run_actions();
        handle
    }

    /// Opens a connection if there is none, even if nothing is queued.
    pub fn connect(&self) {
        self.0.state.lock().machine.handle_connect_requested(now());
        self.0.run_actions();
    }

    /// Opens connections until `count` are ready to take a request, and returns how many are: fewer, if
    /// limits do not allow more, or if some attempts have failed; one, if it speaks HTTP/2. Under a
    /// [`ConnectionLimit`], the pool waits for its turn. Connections that are not used are closed when
    /// their keep-alive timeout expires.
    ///
    /// # Errors
    /// That of an attempt, if none is ready; [`ErrorKind::Closed`] or [`ErrorKind::Destroyed`].
    pub async fn preconnect(&self, count: u32) -> Result<u32, Error> {
        let (to, ready) = channel();
        {
            let mut state = self.0.state.lock();
            let started = state.machine.handle_preconnect(count, now());
            started.map_err(refused)?;
            state.preconnects.push(to);
        }
        self.0.run_actions();
        ready.await.unwrap_or_else(|_| Err(destroyed()))
    }

    /// Changes how connections are opened from now on. Open and pending ones stay as they are; TLS
    /// sessions of the previous configuration are not resumed. Without a change, nothing happens.
    /// If the new configuration is invalid, each attempt fails with the reason until the next
    /// change.
    pub fn reconfigure(&self, config: &ConnectConfig, hooks: ConnectHooks) {
        let mut connector = self.0.connector.lock();
        let is_same = |current: &Arc<Connector>| current.is_made_of(config, &hooks);
        if !connector.as_ref().is_ok_and(is_same) {
            let origin = self.0.origin.clone();
            *connector = Connector::with_hooks(origin, config.clone(), hooks)
                .and_then(|connector| connector.with_http3(&self.0.config.http3))
                .map(Arc::new);
        }
    }

    /// From now on HTTP/1.1 connections serve one request each, or more than one again; see
    /// [`PoolConfig::keep_alive`](dodici_pool::PoolConfig::keep_alive).
    pub fn set_keep_alive(&self, keep_alive: bool) {
        let mut state = self.0.state.lock();
        state.machine.handle_keep_alive(keep_alive, now());
        drop(state);
        self.0.run_actions();
    }

    /// Sets the number of concurrent requests per HTTP/1.1 connection, also of open ones; see
    /// [`PoolConfig::pipelining`](dodici_pool::PoolConfig::pipelining). Requests beyond a lowered
    /// depth stay where they are.
    pub fn set_pipelining(&self, depth: u32) {
        self.0.state.lock().machine.handle_pipelining(depth, now());
        self.0.run_actions();
    }

    /// Closes one connection immediately. The request running on it fails with
    /// [`ErrorKind::Socket`]; one that was not started returns to the queue. No effect on a
    /// connection that has ended or is not open yet. [`Event::Disconnected`] follows.
    pub fn destroy_connection(&self, conn: ConnId) {
        self.notify_connection(conn, |mailbox| mailbox.close(CloseReason::Aborted));
    }

    /// Closes one connection as if a request written to it was cancelled: requests on it that may
    /// be sent again return to the queue; a response that has begun, or whose request cannot be
    /// repeated, is finished first. No effect on HTTP/2, where only a stream ends, and on a
    /// connection that has ended or is not open yet. [`Event::Disconnected`] follows.
    pub fn give_up_connection(&self, conn: ConnId) {
        self.notify_connection(conn, |mailbox| mailbox.update(|inner| inner.give_up = true));
    }

    fn notify_connection(&self, conn: ConnId, notify: impl FnOnce(&Mailbox) -> Option<Waker>) {
        let waker = {
            let state = self.0.state.lock();
            match state.mailbox(conn) {
                Some(mailbox) if mailbox.close_reason().is_none() => notify(mailbox),
                _ => None,
            }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether its connections may speak HTTP/2: TLS offers it, or it is used with prior knowledge.
    pub fn may_be_http2(&self) -> bool {
        let offered = || {
            self.0
                .connector()
                .is_ok_and(|connector| connector.offers_http2())
        };
        self.0.config.http2.prior_knowledge || offered()
    }

    /// Counters.
    pub fn stats(&self) -> PoolStats {
        self.0.state.lock().machine.stats()
    }

    /// Accepts no further requests, finishes those it has, then closes all connections.
    /// [`Event::Closed`] follows.
    pub fn close(&self) {
        self.0.state.lock().machine.handle_close(now());
        self.0.run_actions();
    }

    /// Fails all requests and closes all connections immediately. [`Event::Closed`] follows.
    pub fn destroy(&self) {
        self.0.state.lock().machine.handle_destroy(now());
        self.0.run_actions();
    }

    /// Runs a task of a request on the engine's runtime.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        drop(self.0.runtime.spawn(task));
    }

    /// The pool's origin.
    pub fn origin(&self) -> &Origin {
        &self.0.origin
    }
}
