//! The pool of one origin: the state machine of `dodici-pool` behind a lock, and the tasks that
//! carry out its actions.
//!
//! - [`Pool`]: what users hold.
//! - `task`: one task for each connection.
//! - `multiplex`: what that task does on an HTTP/2 connection.
//! - `pipeline`: what it does where HTTP/1.1 requests share a connection in flight; `solo`: with a
//!   request there that needs it for itself.
//! - `lease`: the guard that owns a connection's events; `mailbox`: how its task is spoken to.
//! - [`RequestHandle`]: the caller's side of a request.
//!
//! The lock is held to change the state machine and to move a request from one table to another;
//! sinks, event sinks and wakers are called after it was released.

mod handle;
mod lease;
mod mailbox;
mod multiplex;
mod pipeline;
mod solo;
mod task;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Waker;

use dodici_pool::{
    Action, CloseReason, ConnId, ConnectConfig, Error, ErrorKind, Event, Origin, OriginConfig,
    OriginPool, Outcome, Phase, PoolStats, Refused, Request, RequestId, RequestKind, Scheme,
    Traits,
};
use parking_lot::{Mutex, ReentrantMutex};
use tokio::runtime::Handle;
use tokio::time::Instant;

pub use self::handle::RequestHandle;
use self::mailbox::Mailbox;
use crate::command::{Command, Space};
use crate::connect::{ConnectHooks, Connector};
use crate::exchange::Job;
use crate::settle::Settle;
use crate::sink::{EventSink, Sink};

/// The connections and the queue of one origin. Cheap to clone.
///
/// Dropping the last clone lets queued and running requests finish; connections then end when
/// their keep-alive time runs out. [`Pool::close`] and [`Pool::destroy`] end them sooner.
#[derive(Clone)]
pub struct Pool(Arc<PoolInner>);

pub(crate) struct PoolInner {
    origin: Origin,
    config: OriginConfig,
    /// Or why no connection can be made.
    connector: Mutex<Result<Arc<Connector>, Error>>,
    events: Arc<dyn EventSink>,
    runtime: Handle,
    space: Arc<Space>,
    state: Mutex<State>,
    /// Whether [`Event::Closed`] was told.
    closed: ReentrantMutex<Cell<bool>>,
}

struct State {
    machine: OriginPool,
    /// Requests that are queued, by the slot of their id.
    queued: Vec<Option<(RequestId, Box<Job>)>>,
    /// Connections, by the slot of their id.
    conns: Vec<Option<(ConnId, Arc<Mailbox>)>>,
    /// Why the last connection could not be made, for the requests that waited for it.
    connect_error: Option<Error>,
}

/// One thing to do after the lock was released.
enum Effect {
    Spawn(ConnId, Arc<Mailbox>),
    Wake(Waker),
    Settle(Box<Job>, Error),
    Drain,
    Closed,
    Nothing,
}

impl PoolInner {
    /// Requests at once on a connection that comes up now; 0 for one that serves once.
    /// See [`PoolConfig::eager`](dodici_pool::PoolConfig::eager).
    fn is_eager(&self) -> bool {
        let state = self.state.lock();
        let config = state.machine.config();
        config.eager || config.pipelining > 1
    }

    /// Makes the next connection.
    fn connector(&self) -> Result<Arc<Connector>, Error> {
        self.connector.lock().clone()
    }

    fn pipelining(&self) -> u32 {
        self.state.lock().machine.config().pipelining
    }

    /// Carries out what the state machine asks for until it asks for nothing more.
    fn run_actions(self: &Arc<Self>) {
        loop {
            let effect = {
                let mut state = self.state.lock();
                match state.machine.poll_action() {
                    None => break,
                    Some(action) => state.effect(action),
                }
            };
            self.apply(effect);
        }
    }

    fn apply(self: &Arc<Self>, effect: Effect) {
        match effect {
            Effect::Nothing => {}
            Effect::Spawn(id, mailbox) => {
                drop(self.runtime.spawn(task::run(Arc::clone(self), id, mailbox)));
            }
            Effect::Wake(waker) => waker.wake(),
            Effect::Settle(mut job, error) => contain(|| job.settle.error(error)),
            Effect::Drain => self.tell(Event::Drain),
            Effect::Closed => self.tell(Event::Closed),
        }
    }

    /// Tells of the pool itself. Two threads may have such an event in hand at the same time; none
    /// comes after `Closed`. The lock may be taken again by what the event's receiver does.
    fn tell(&self, event: Event) {
        let closed = self.closed.lock();
        if closed.get() {
            return;
        }
        closed.set(matches!(event, Event::Closed));
        contain(|| self.events.event(event));
    }
}

impl State {
    fn effect(&mut self, action: Action) -> Effect {
        match action {
            Action::Connect(id) => {
                let mailbox = Mailbox::new();
                put(&mut self.conns, id.slot, (id, Arc::clone(&mailbox)));
                Effect::Spawn(id, mailbox)
            }
            Action::Assign { conn, request } => {
                let Some(mailbox) = self.mailbox(conn).map(Arc::clone) else {
                    return Effect::Nothing;
                };
                let Some(job) = self.take_queued(request) else {
                    return Effect::Nothing;
                };
                wake(mailbox.update(|inner| inner.put(request, job)))
            }
            Action::Close { conn, reason } => match self.mailbox(conn) {
                Some(mailbox) => wake(mailbox.close(reason)),
                None => Effect::Nothing,
            },
            Action::FailConnect(request) => match self.take_queued(request) {
                Some(job) => {
                    let error = self.connect_error.clone().unwrap_or_else(|| {
                        Error::new(
                            ErrorKind::Connect,
                            Phase::Connect,
                            "the connection could not be opened",
                        )
                    });
                    Effect::Settle(job, error)
                }
                None => Effect::Nothing,
            },
            Action::FailDestroyed(request) => match self.take_queued(request) {
                Some(job) => Effect::Settle(job, destroyed()),
                None => Effect::Nothing,
            },
            Action::Drain => Effect::Drain,
            Action::Closed => Effect::Closed,
        }
    }

    fn take_queued(&mut self, id: RequestId) -> Option<Box<Job>> {
        let entry = self.queued.get_mut(id.slot as usize)?;
        entry.take_if(|(have, _)| *have == id).map(|(_, job)| job)
    }

    /// Returns an unsent request from connection `conn` to the front of the queue; to the caller,
    /// for settling, if it was cancelled meanwhile. A cancel sets its mark before it takes the
    /// lock, so under the lock either the mark is there or the cancel will find the request queued.
    fn take_back(&mut self, conn: ConnId, request: RequestId, job: Box<Job>) -> Option<Box<Job>> {
        job.command.detach();
        if job.command.is_cancelled() {
            let outcome = Outcome::Finished(CloseReason::PeerClosed);
            self.machine.handle_released(conn, request, outcome, now());
            return Some(job);
        }
        put(&mut self.queued, request.slot, (request, job));
        self.machine.handle_unsent(conn, request, now());
        None
    }

    /// As [`State::take_back`], for a request that was not processed on a connection that goes on.
    fn take_over(&mut self, conn: ConnId, request: RequestId, job: Box<Job>) -> Option<Box<Job>> {
        job.command.detach();
        if job.command.is_cancelled() {
            let outcome = Outcome::Unwritten;
            self.machine.handle_released(conn, request, outcome, now());
            return Some(job);
        }
        put(&mut self.queued, request.slot, (request, job));
        self.machine.handle_returned(conn, request, now());
        None
    }

    fn mailbox(&self, id: ConnId) -> Option<&Arc<Mailbox>> {
        self.conns
            .get(id.slot as usize)?
            .as_ref()
            .filter(|(have, _)| *have == id)
            .map(|(_, m)| m)
    }

    fn forget_conn(&mut self, id: ConnId) {
        if let Some(entry) = self.conns.get_mut(id.slot as usize) {
            entry.take_if(|(have, _)| *have == id);
        }
    }
}

fn wake(waker: Option<Waker>) -> Effect {
    waker.map_or(Effect::Nothing, Effect::Wake)
}

fn put<T>(table: &mut Vec<Option<T>>, slot: u32, value: T) {
    let slot = slot as usize;
    if table.len() <= slot {
        table.resize_with(slot + 1, || None);
    }
    table[slot] = Some(value);
}

/// Runs a callback of the user whose panic must not keep the rest of the pool's work undone: it
/// may belong to another request than the one the thread is working for.
fn contain(callback: impl FnOnce()) {
    // The panic hook has reported it.
    drop(catch_unwind(AssertUnwindSafe(callback)));
}

fn aborted() -> Error {
    Error::new(ErrorKind::Aborted, Phase::Queued, "Request aborted")
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
    pub(crate) fn new(
        origin: Origin,
        config: OriginConfig,
        connector: Connector,
        events: Arc<dyn EventSink>,
        runtime: Handle,
        space: Arc<Space>,
    ) -> Self {
        let mut limits = config.pool.clone();
        let offers_h2 = origin.scheme == Scheme::Https
            && config.connect.tls.alpn.iter().any(|name| name == b"h2");
        if limits.expected_concurrency <= 1 && (offers_h2 || config.http2.prior_knowledge) {
            limits.expected_concurrency = config.http2.max_concurrent_streams;
        }
        let state = Mutex::new(State {
            machine: OriginPool::new(limits),
            queued: Vec::new(),
            conns: Vec::new(),
            connect_error: None,
        });
        Self(Arc::new(PoolInner {
            origin,
            config,
            connector: Mutex::new(Ok(Arc::new(connector))),
            events,
            runtime,
            space,
            state,
            closed: ReentrantMutex::default(),
        }))
    }

    /// Queues a request and returns at once. The sink hears everything else, an error included
    /// when the pool is closed.
    pub fn dispatch(&self, request: Request, sink: Box<dyn Sink>) -> RequestHandle {
        // A pulled body can be read once only, and nothing can be written behind it before its end.
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
        let mut job = Box::new(Job::new(request, Settle::new(sink), Arc::clone(&command)));
        let mut state = self.0.state.lock();
        let id = match state.machine.handle_enqueue(traits, now()) {
            Ok(id) => id,
            Err(refused) => {
                drop(state);
                job.settle.error(match refused {
                    Refused::Closed => {
                        Error::new(ErrorKind::Closed, Phase::Queued, "The client is closed")
                    }
                    Refused::Destroyed => destroyed(),
                });
                return RequestHandle {
                    command,
                    place: None,
                };
            }
        };
        put(&mut state.queued, id.slot, (id, job));
        drop(state);
        self.0.run_actions();
        RequestHandle {
            command,
            place: Some((Arc::clone(&self.0), id)),
        }
    }

    /// Opens a connection although nothing is queued, if there is none.
    pub fn connect(&self) {
        self.0.state.lock().machine.handle_connect_requested(now());
        self.0.run_actions();
    }

    /// Makes connections in another way from now on. Those that are up, and those that are being
    /// made, stay as they are; TLS sessions of the way before are not resumed. Where nothing has
    /// changed, nothing happens. If the new way cannot be gone, each attempt fails with the reason
    /// until there is another.
    pub fn reconfigure(&self, config: &ConnectConfig, hooks: ConnectHooks) {
        let mut connector = self.0.connector.lock();
        let is_same = |current: &Arc<Connector>| current.is_made_of(config, &hooks);
        if !connector.as_ref().is_ok_and(is_same) {
            let origin = self.0.origin.clone();
            *connector = Connector::with_hooks(origin, config.clone(), hooks).map(Arc::new);
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

    /// From now on an HTTP/1.1 connection carries this many requests at once, also one that is up;
    /// see [`PoolConfig::pipelining`](dodici_pool::PoolConfig::pipelining). Requests beyond a
    /// lowered depth stay where they are.
    pub fn set_pipelining(&self, depth: u32) {
        self.0.state.lock().machine.handle_pipelining(depth, now());
        self.0.run_actions();
    }

    /// Closes one connection at once. The request that runs on it fails with
    /// [`ErrorKind::Socket`], one that was not begun goes back to the queue. Without effect on a
    /// connection that has ended or is not up yet. [`Event::Disconnected`] follows.
    pub fn destroy_connection(&self, conn: ConnId) {
        self.tell_connection(conn, |mailbox| mailbox.close(CloseReason::Aborted));
    }

    /// Ends one connection as a request does that was written to it and is cancelled: the requests
    /// on it that may be sent again go back to the queue, a response that has begun, or that cannot
    /// be asked for again, ends first. Without effect on HTTP/2, where a stream ends alone, and on
    /// a connection that has ended or is not up yet. [`Event::Disconnected`] follows.
    pub fn give_up_connection(&self, conn: ConnId) {
        self.tell_connection(conn, |mailbox| mailbox.update(|inner| inner.give_up = true));
    }

    fn tell_connection(&self, conn: ConnId, tell: impl FnOnce(&Mailbox) -> Option<Waker>) {
        let waker = {
            let state = self.0.state.lock();
            match state.mailbox(conn) {
                Some(mailbox) if mailbox.close_reason().is_none() => tell(mailbox),
                _ => None,
            }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Closes a connection that is at rest, to make room for one of another pool. Whether there
    /// was one.
    pub fn close_idle(&self) -> bool {
        let closed = self.0.state.lock().machine.handle_close_idle(now());
        self.0.run_actions();
        closed
    }

    /// Counters.
    pub fn stats(&self) -> PoolStats {
        self.0.state.lock().machine.stats()
    }

    /// Takes no further request, lets those it has finish, then closes all connections.
    /// [`Event::Closed`] follows.
    pub fn close(&self) {
        self.0.state.lock().machine.handle_close(now());
        self.0.run_actions();
    }

    /// Fails all requests and closes all connections at once. [`Event::Closed`] follows.
    pub fn destroy(&self) {
        self.0.state.lock().machine.handle_destroy(now());
        self.0.run_actions();
    }

    /// Runs a task of a request on the engine's runtime.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        drop(self.0.runtime.spawn(task));
    }

    /// The origin that the pool serves.
    pub fn origin(&self) -> &Origin {
        &self.0.origin
    }
}
