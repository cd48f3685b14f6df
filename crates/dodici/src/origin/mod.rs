//! The pool of one origin: the state machine of `dodici-pool` behind a lock, and the tasks that
//! carry out its actions.
//!
//! - [`Pool`]: what users hold.
//! - `task`: one task for each connection.
//! - `multiplex`: what that task does on an HTTP/2 connection.
//! - `pipeline`: what it does where HTTP/1.1 requests share a connection in flight; `solo`: with a
//!   request there that needs it for itself.
//! - `lease`: the guard that owns a connection's events.
//!
//! The lock is held to change the state machine and to move a request from one table to another;
//! sinks, event sinks and wakers are called after it was released.

mod lease;
mod multiplex;
mod pipeline;
mod solo;
mod task;

use std::cell::Cell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Waker;

use dodici_pool::{
    Action, Cancelled, CloseReason, ConnId, ConnectConfig, Error, ErrorKind, Event, HeaderBlock,
    Origin, OriginConfig, OriginPool, Outcome, Phase, PoolStats, Refused, Request, RequestId,
    RequestKind, Scheme, Traits,
};
use parking_lot::{Mutex, ReentrantMutex};
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::command::{Command, Settle};
use crate::connect::{ConnectHooks, Connector};
use crate::exchange::{Interrupt, Job};
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

/// How the pool speaks to a connection's task.
struct Mailbox {
    inner: Mutex<MailboxInner>,
    /// Mirror of `MailboxInner::close`, so that a running exchange need not take the lock.
    closing: AtomicU32,
}

#[derive(Default)]
struct MailboxInner {
    job: Option<(RequestId, Box<Job>)>,
    /// Requests behind `job`: only a multiplexed or pipelining connection has them.
    more: VecDeque<(RequestId, Box<Job>)>,
    close: Option<CloseReason>,
    /// See [`Pool::give_up_connection`].
    give_up: bool,
    waker: Option<Waker>,
}

impl MailboxInner {
    fn put(&mut self, request: RequestId, job: Box<Job>) {
        if self.job.is_none() && self.more.is_empty() {
            self.job = Some((request, job));
        } else {
            self.more.push_back((request, job));
        }
    }
}

impl Mailbox {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::default(),
            closing: AtomicU32::new(0),
        })
    }

    fn update(&self, change: impl FnOnce(&mut MailboxInner)) -> Option<Waker> {
        let mut inner = self.inner.lock();
        change(&mut inner);
        inner.waker.take()
    }

    fn close(&self, reason: CloseReason) -> Option<Waker> {
        let waker = self.update(|inner| inner.close = Some(reason));
        self.closing.store(1, Ordering::Release);
        waker
    }

    fn close_reason(&self) -> Option<CloseReason> {
        if self.closing.load(Ordering::Acquire) == 0 {
            None
        } else {
            self.inner.lock().close
        }
    }
}

impl Interrupt for Mailbox {
    fn interrupted(&self) -> Option<(CloseReason, Error)> {
        // A graceful close lets the exchange finish; the pool closes the connection at release.
        match self.close_reason()? {
            reason @ CloseReason::PoolDestroyed => Some((reason, destroyed())),
            reason @ CloseReason::Aborted => {
                Some((reason, Error::new(ErrorKind::Socket, Phase::Send, "closed")))
            }
            _ => None,
        }
    }
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
            state,
            closed: ReentrantMutex::default(),
        }))
    }

    /// Queues a request and returns at once. The sink hears everything else, an error included
    /// when the pool is closed.
    pub fn dispatch(&self, request: Request, sink: Box<dyn Sink>) -> RequestHandle {
        let command = Command::new(self.0.config.exchange.window, &request.body);
        // A pulled body can be read once only, and nothing can be written behind it before its end.
        let pulled = request.body.is_pulled();
        let traits = Traits {
            idempotent: request.idempotent && !pulled,
            blocking: request.blocking || pulled || request.expect_continue,
            exclusive: matches!(request.kind, RequestKind::Connect | RequestKind::Upgrade),
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

/// The caller's hold on one request. Dropping it does not cancel.
#[derive(Clone)]
pub struct RequestHandle {
    command: Arc<Command>,
    /// Where it may still be queued.
    place: Option<(Arc<PoolInner>, RequestId)>,
}

impl RequestHandle {
    /// Gives the request up: its sink gets [`ErrorKind::Aborted`] unless it has settled, and a
    /// connection that was serving it is closed.
    pub fn cancel(&self) {
        self.command.cancel();
        let Some((pool, id)) = &self.place else {
            return;
        };
        let job = {
            let mut state = pool.state.lock();
            let place = state.machine.handle_cancel(*id);
            let job = state.take_queued(*id);
            if let (Cancelled::Running(conn), true) = (place, job.is_some()) {
                // It was given to a connection, which has not been told yet and never will be.
                let outcome = Outcome::Unwritten;
                state.machine.handle_released(conn, *id, outcome, now());
            }
            job
        };
        if let Some(mut job) = job {
            contain(|| job.settle.error(aborted()));
        }
        pool.run_actions();
    }

    /// For who measures time for a request: ready when what this machine has received of the answer
    /// has been told to the sink, whatever the runtime knows of it yet. A process that was stopped
    /// finds its timers run out before it has heard of its sockets.
    pub(crate) fn poll_looked(&self, waker: &Waker) -> std::task::Poll<()> {
        self.command.poll_looked(waker)
    }

    /// Gives back what delivered pieces have cost ([`piece_cost`](dodici_pool::piece_cost)), so that
    /// as much more may be delivered.
    pub fn credit(&self, bytes: u32) {
        self.command.credit(bytes);
    }

    /// Stops the delivery of the response body although there is credit, and lets it go on. While
    /// it is stopped, no body timeout runs; it starts anew when delivery goes on.
    pub fn pause(&self, paused: bool) {
        self.command.pause(paused);
    }

    /// Answers [`Sink::pull`] with a slice of the request body.
    pub fn body_chunk(&self, chunk: bytes::Bytes) {
        self.command.chunk(chunk);
    }

    /// Ends the request body, with trailers where the body is chunked; of a request that was
    /// upgraded, the writing side of the stream. A pulled body has to be ended first, also one whose
    /// length is declared.
    pub fn body_end(&self, trailers: HeaderBlock) {
        self.command.end(trailers);
    }

    /// Ready when all slices of the stream of an upgrade, and its end, have left. The waker is woken
    /// then, but not if the stream fails, which the sink is told.
    pub(crate) fn poll_written(&self, waker: &Waker) -> std::task::Poll<()> {
        self.command.poll_written(waker)
    }

    /// Nothing more comes of a body whose declared length is not reached, and the request stands: the
    /// server may answer all the same, and its silence counts. The connection ends with the answer,
    /// because whatever came next would be the rest of the body.
    pub fn body_left(&self) {
        self.command.leave();
    }

    /// The source of the request body failed: so does the request.
    pub fn body_error(&self, error: Error) {
        self.command.fail(error);
    }
}
