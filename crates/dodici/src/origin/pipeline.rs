//! What the task of an HTTP/1.1 connection does where requests share it in flight.
//!
//! Requests leave in the order in which the pool gives them out and are answered in that order:
//! the oldest one is *due*. A round ([`Pipeline::poll`]) takes what the pool has, writes it in one
//! go, and hands the responses that are there to their sinks. A due response whose reader is
//! stopped stops the reading, and so all responses behind it, as in undici.
//!
//! What is more than a head and a body in memory (a pulled body, `expect: 100-continue`, CONNECT,
//! an upgrade) runs alone (`origin::solo`), when nothing else is in flight.
//!
//! When the connection ends, the request that is to blame fails, unless none of it was sent; those
//! that may be sent again go back to the queue; then comes `disconnect`, then the queue goes on.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll};

use dodici_pool::{
    BodyKind, CloseReason, ConnId, Error, ErrorKind, Outcome, Phase, Replay, RequestId, RequestKind,
};
use tokio::time::Instant;

use super::lease::Lease;
use super::solo::{self, Solo};
use super::{Mailbox, PoolInner, aborted, contain, destroyed, now};
use crate::clock::{Timer, after};
use crate::conn::{H1Conn, PipeConn, Received};
use crate::connect::Transport;
use crate::exchange::{self, Job, override_timeout, too_large_error};
use crate::sink::ExchangeInfo;

/// Fresh connections that may die before a request was written to them, as for one at a time.
const FRESH_FAILURES: u8 = 3;

/// Most bytes of a body read into a sink's memory in one step.
const DIRECT_READ: usize = 64 * 1024;

/// Serves requests on the connection until it ends.
pub(super) async fn serve(
    pool: Arc<PoolInner>,
    id: ConnId,
    mailbox: Arc<Mailbox>,
    transport: Transport,
    lease: Lease,
) {
    let mut pipeline = Pipeline::new(pool, id, mailbox, lease);
    let mut conn = PipeConn::new(transport, &pipeline.pool.config.exchange, (0, 0));
    loop {
        let next = std::future::poll_fn(|cx| pipeline.poll(cx, &mut conn)).await;
        pipeline.lease.set_traffic(conn.traffic());
        let (request, job) = match next {
            Next::Alone(request, job) => (request, job),
            Next::End(reason, error) => return pipeline.lease.end(reason, error),
        };
        match solo::run(&mut pipeline, conn, request, job).await {
            Solo::Goes(back) => conn = *back,
            Solo::Ended(reason, error) => {
                // What the pool has given out meanwhile.
                pipeline.disband(0, None, reason);
                return pipeline.lease.end(reason, error);
            }
            Solo::Upgraded(conn, job) => {
                let reason = CloseReason::Upgraded;
                pipeline.disband(0, None, reason);
                let info = ExchangeInfo {
                    conn: id,
                    reused: pipeline.lease.requests() > 1,
                };
                // As in undici, the pool is done with the connection before the caller has it.
                pipeline.lease.end(reason, None);
                return become_stream(*conn, job, info).await;
            }
        }
    }
}

async fn become_stream(conn: H1Conn, mut job: Box<Job>, info: ExchangeInfo) {
    conn.with_head(|head| {
        if let Some(sink) = job.settle.sink() {
            sink.upgrade(head, &info);
        }
    });
    if let Some(stream) = conn.into_stream() {
        exchange::run_stream(stream, &mut job).await;
    }
}

/// What a round led to.
enum Next {
    /// This request runs alone now.
    Alone(RequestId, Box<Job>),
    End(CloseReason, Option<Error>),
}

/// A request that was taken to be written.
struct Flight {
    request: RequestId,
    job: Box<Job>,
    /// Its place among the bytes sent.
    start: u64,
    end: u64,
    reused: bool,
    /// Its caller gave up and knows it; its response is nobody's.
    given_up: bool,
}

/// Where the response that is due stands.
#[derive(Default)]
struct Due {
    begun: bool,
    /// Something of it was told to its sink: the request is not sent again.
    told: bool,
    head_told: bool,
    received: u64,
    /// Its body is read into the sink's memory.
    direct: bool,
    /// The reader took nothing for a while; its silence must not count as the server's.
    stopped: bool,
    deadline: Option<Instant>,
}

/// See the module. Fields drop in this order: requests settle before the lease tells of the end.
pub(super) struct Pipeline {
    flights: VecDeque<Flight>,
    due: Due,
    /// Given out by the pool and not taken to be written.
    waiting: VecDeque<(RequestId, Box<Job>)>,
    /// No request is taken any more; the connection ends with the response that is due.
    doomed: Option<CloseReason>,
    /// The last request that was taken ends the connection, or the peer takes no more bytes.
    last: bool,
    /// The pool has actions to carry out.
    stirred: bool,
    pub(super) timer: Timer,
    /// It has not carried a request: see [`PipeConn::poll_rest`].
    pub(super) fresh: bool,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) id: ConnId,
    pub(super) pool: Arc<PoolInner>,
    pub(super) lease: Lease,
}

/// What reading led to.
enum Read {
    /// Nothing to do until a wake-up.
    Wait,
    End(CloseReason, Option<Error>),
}

impl Pipeline {
    fn new(pool: Arc<PoolInner>, id: ConnId, mailbox: Arc<Mailbox>, lease: Lease) -> Self {
        // Behind a proxy, what comes before a request may be the proxy's own.
        let fresh = pool.config.connect.proxy.is_none();
        Self {
            flights: VecDeque::new(),
            due: Due::default(),
            waiting: VecDeque::new(),
            doomed: None,
            last: false,
            stirred: false,
            timer: Timer::new(),
            fresh,
            mailbox,
            id,
            pool,
            lease,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>, conn: &mut PipeConn) -> Poll<Next> {
        loop {
            let ended = self.receive(cx, conn);
            if let Some(end) = ended.or_else(|| self.look_for_cancels(conn)) {
                return Poll::Ready(end);
            }
            match self.take_requests(cx, conn) {
                Taken::Next(next) => return Poll::Ready(next),
                Taken::Blocked if self.sleep(cx) => return Poll::Pending,
                Taken::Blocked => continue,
                Taken::Goes => {}
            }
            let backlogged = conn.is_backlogged();
            if let Some(end) = self.write(cx, conn) {
                return Poll::Ready(end);
            }
            if backlogged && !conn.is_backlogged() {
                // Room for what waits.
                continue;
            }
            if let Read::End(reason, error) = self.read(cx, conn) {
                return Poll::Ready(Next::End(reason, error));
            }
            if std::mem::take(&mut self.stirred) {
                self.pool.run_actions();
                // Sinks and actions may have brought new requests.
                continue;
            }
            let deadline = self.deadline();
            if self.timer.poll_expired(cx, deadline) {
                if let Some(end) = self.expire(conn) {
                    return Poll::Ready(end);
                }
                continue;
            }
            if self.sleep(cx) {
                return Poll::Pending;
            }
        }
    }

    // --- the pool's side ---

    /// Registers for what the pool may bring. False if it is there already.
    fn sleep(&self, cx: &mut Context<'_>) -> bool {
        let mut inner = self.mailbox.inner.lock();
        let mail = match inner.close {
            Some(reason) => is_immediate(reason) || self.flights.is_empty(),
            None => inner.job.is_some() || !inner.more.is_empty(),
        };
        if !mail {
            inner.waker = Some(cx.waker().clone());
        }
        !mail
    }

    /// Takes what the pool has for this connection.
    fn receive(&mut self, cx: &mut Context<'_>, conn: &mut PipeConn) -> Option<Next> {
        let close = {
            let mut inner = self.mailbox.inner.lock();
            inner.waker = None;
            if inner.close.is_none() {
                let first = inner.job.take();
                let more = std::mem::take(&mut inner.more);
                for (request, job) in first.into_iter().chain(more) {
                    job.command.attach(cx.waker());
                    self.waiting.push_back((request, job));
                }
            }
            // What was assigned meanwhile stays: the lease gives it back.
            inner.close
        };
        let reason = close?;
        match reason {
            CloseReason::PoolDestroyed => {
                for flight in std::mem::take(&mut self.flights) {
                    self.fail(flight, destroyed(), reason);
                }
                for (request, mut job) in std::mem::take(&mut self.waiting) {
                    contain(|| job.settle.error(destroyed()));
                    self.forget(request, reason);
                }
                Some(Next::End(reason, Some(destroyed())))
            }
            CloseReason::Aborted => {
                let error = Error::new(ErrorKind::Socket, Phase::Send, "closed");
                let error = conn.describe(error);
                Some(self.lose(conn, reason, error))
            }
            // A graceful close lets exchanges finish.
            _ if !self.flights.is_empty() => None,
            _ => {
                self.disband(0, None, reason);
                Some(Next::End(reason, None))
            }
        }
    }

    /// Takes a settled request off a connection that is about to end.
    pub(super) fn forget(&self, request: RequestId, reason: CloseReason) {
        self.pool.state.lock().machine.handle_released(
            self.id,
            request,
            Outcome::Finished(reason),
            now(),
        );
    }

    /// Takes a request off a connection that goes on.
    fn release(&mut self, request: RequestId, hint: Option<std::time::Duration>) {
        let outcome = Outcome::Reusable { hint };
        let machine = &mut self.pool.state.lock().machine;
        machine.handle_released(self.id, request, outcome, now());
        self.stirred = true;
    }

    /// Returns what was not taken to be written to the queue; the connection goes on.
    fn return_waiting(&mut self) {
        for (request, job) in std::mem::take(&mut self.waiting) {
            let cancelled = self.pool.state.lock().take_over(self.id, request, job);
            if let Some(mut job) = cancelled {
                contain(|| job.settle.error(aborted()));
            }
            self.stirred = true;
        }
    }

    /// No further request joins.
    fn drain(&mut self, reason: CloseReason) {
        self.pool
            .state
            .lock()
            .machine
            .handle_draining(self.id, reason, now());
        self.stirred = true;
        self.return_waiting();
    }

    /// As in undici, giving up a request that was written costs the connection. One that is not due
    /// leaves a response that has begun, or that cannot be asked for again, its end.
    fn look_for_cancels(&mut self, conn: &PipeConn) -> Option<Next> {
        let mut at = 0;
        while let Some((_, job)) = self.waiting.get(at) {
            if !job.command.is_cancelled() {
                at += 1;
                continue;
            }
            let Some((request, mut job)) = self.waiting.remove(at) else {
                break;
            };
            self.release(request, None);
            contain(|| job.settle.error(aborted()));
        }
        let mut lost = false;
        for (place, flight) in self.flights.iter_mut().enumerate() {
            if flight.given_up || !flight.job.command.is_cancelled() {
                continue;
            }
            flight.given_up = true;
            lost = true;
            let phase = if place == 0 && self.due.head_told {
                Phase::Body
            } else {
                Phase::Headers
            };
            let error = Error::new(ErrorKind::Aborted, phase, "Request aborted");
            let error = conn.describe(error);
            let job = &mut flight.job;
            contain(|| job.settle.error(error));
        }
        if !lost {
            return None;
        }
        let reason = CloseReason::Aborted;
        let precious = self
            .flights
            .front()
            .is_some_and(|due| !due.given_up && (self.due.told || !due.job.request.idempotent));
        if precious {
            self.doomed = Some(reason);
            self.drain(reason);
            return None;
        }
        self.disband(conn.written(), None, reason);
        let error = Error::new(ErrorKind::Aborted, Phase::Headers, "Request aborted");
        Some(Next::End(reason, Some(conn.describe(error))))
    }

    // --- the end ---

    fn fail(&self, mut flight: Flight, error: Error, reason: CloseReason) {
        contain(|| flight.job.settle.error(error));
        self.forget(flight.request, reason);
    }

    /// Empties a connection that ends after so many `written` bytes. `blame` fails the oldest
    /// request, if any of it was sent; the others are sent anew, as far as that cannot do anything
    /// twice.
    fn disband(&mut self, written: u64, mut blame: Option<Error>, reason: CloseReason) {
        let told = self.due.told;
        let mut back = Vec::with_capacity(self.flights.len() + self.waiting.len());
        for (place, flight) in std::mem::take(&mut self.flights).into_iter().enumerate() {
            if flight.given_up {
                self.forget(flight.request, reason);
                continue;
            }
            let unsent = flight.start >= written;
            let blamed = if unsent { None } else { blame.take() };
            let again = unsent || (flight.job.request.idempotent && !(place == 0 && told));
            match blamed {
                Some(error) => self.fail(flight, error, reason),
                None if again => back.push((flight.request, flight.job)),
                None => {
                    let error = Error::new(ErrorKind::Socket, Phase::Headers, "closed");
                    self.fail(flight, error, reason);
                }
            }
        }
        back.extend(std::mem::take(&mut self.waiting));
        if let Some(error) = blame
            && !back.is_empty()
        {
            let (request, job) = back.remove(0);
            self.give_back_first(request, job, &error, reason);
        }
        for (request, job) in back {
            self.give_back(request, job);
        }
        self.due = Due::default();
    }

    /// Returns the oldest request of a connection that died of `error` before it was sent.
    pub(super) fn give_back_first(
        &self,
        request: RequestId,
        mut job: Box<Job>,
        error: &Error,
        reason: CloseReason,
    ) {
        if self.lease.requests() == 0 {
            job.fresh_failures += 1;
            if job.fresh_failures > FRESH_FAILURES {
                // A peer that accepts and closes, again and again, is not a stale connection.
                contain(|| job.settle.error(error.clone()));
                return self.forget(request, reason);
            }
        }
        self.give_back(request, job);
    }

    fn give_back(&self, request: RequestId, job: Box<Job>) {
        let cancelled = self.pool.state.lock().take_back(self.id, request, job);
        if let Some(mut job) = cancelled {
            contain(|| job.settle.error(aborted()));
        }
    }

    /// The connection has failed.
    fn lose(&mut self, conn: &PipeConn, reason: CloseReason, error: Error) -> Next {
        self.disband(conn.written(), Some(error.clone()), reason);
        Next::End(reason, Some(error))
    }

    // --- towards the wire ---

    /// Hands requests to the connection, as many as it takes.
    fn take_requests(&mut self, cx: &mut Context<'_>, conn: &mut PipeConn) -> Taken {
        while !self.waiting.is_empty() {
            if self.last || self.doomed.is_some() {
                self.return_waiting();
                return Taken::Goes;
            }
            let alone = self.waiting.front().is_some_and(|(_, job)| needs_all(job));
            if conn.is_backlogged() || (alone && !self.flights.is_empty()) {
                return Taken::Goes;
            }
            if self.flights.is_empty() && !alone {
                match conn.poll_check(cx, self.fresh) {
                    Poll::Pending => return Taken::Blocked,
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err((reason, error))) => {
                        return Taken::Next(self.lose(conn, reason, error));
                    }
                }
            }
            let Some((request, job)) = self.waiting.pop_front() else {
                break;
            };
            if alone && conn.has_input() {
                // What the server said already cannot be handed on with the transport.
                self.waiting.push_front((request, job));
                let error = Error::new(ErrorKind::Socket, Phase::Queued, "bad response");
                let error = conn.describe(error);
                return Taken::Next(self.lose(conn, CloseReason::UnsolicitedData, error));
            }
            if alone {
                return Taken::Next(Next::Alone(request, job));
            }
            self.fresh = false;
            self.send(conn, request, job);
        }
        Taken::Goes
    }

    fn send(&mut self, conn: &mut PipeConn, request: RequestId, job: Box<Job>) {
        let body = match &job.request.body {
            BodyKind::Full(bytes) => Some(bytes),
            _ => None,
        };
        let place = conn.push(&job.request.head, body);
        self.last |= job.request.reset;
        self.flights.push_back(Flight {
            request,
            job,
            start: place.start,
            end: place.end,
            reused: self.lease.requests() > 0 || !self.flights.is_empty(),
            given_up: false,
        });
        if self.last {
            self.drain(CloseReason::NotReusable);
        }
    }

    fn write(&mut self, cx: &mut Context<'_>, conn: &mut PipeConn) -> Option<Next> {
        let before = conn.written();
        let wrote = conn.poll_write(cx);
        let failure = conn.write_failure();
        if failure.is_some() && !self.last {
            self.last = true;
            self.drain(CloseReason::IoError);
        }
        let due = self.flights.front()?;
        if wrote && before < due.end && self.due.begun && !self.due.head_told {
            self.due.deadline = after(self.headers_timeout());
        }
        // If some of it was sent, the answer may already be on its way.
        let (reason, error) = failure.filter(|_| due.start >= conn.written())?;
        Some(self.lose(conn, reason, error))
    }

    // --- from the wire ---

    fn read(&mut self, cx: &mut Context<'_>, conn: &mut PipeConn) -> Read {
        // A sink that panics ends its own request and the connection, and no other request.
        let read = catch_unwind(AssertUnwindSafe(|| self.poll_read(cx, conn)));
        let (reason, error) = match read {
            Ok(Poll::Pending) => return Read::Wait,
            Ok(Poll::Ready(Broken::Done(reason))) => {
                self.disband(conn.written(), None, reason);
                return Read::End(reason, None);
            }
            Ok(Poll::Ready(Broken::Lost(reason, error))) => (reason, error),
            Err(_panic) => {
                if let Some(Flight { request, job, .. }) = self.flights.pop_front() {
                    // Its drop tells the sink that there is no answer.
                    contain(|| drop(job));
                    self.forget(request, CloseReason::Panicked);
                }
                self.due = Due::default();
                self.disband(conn.written(), None, CloseReason::Panicked);
                return Read::End(CloseReason::Panicked, None);
            }
        };
        self.disband(conn.written(), Some(error.clone()), reason);
        Read::End(reason, Some(error))
    }

    /// Hands out the responses that are there.
    fn poll_read(&mut self, cx: &mut Context<'_>, conn: &mut PipeConn) -> Poll<Broken> {
        loop {
            let Some(flight) = self.flights.front_mut() else {
                return conn
                    .poll_rest(cx, self.fresh)
                    .map(|(reason, error)| Broken::Lost(reason, error));
            };
            if !self.due.begun {
                if flight.start >= conn.written() && conn.has_input() {
                    // An answer to what was not asked yet.
                    let error = Error::new(ErrorKind::Socket, Phase::Headers, "bad response");
                    let error = conn.describe(error.with_replay(Replay::Unsent));
                    return Poll::Ready(Broken::Lost(CloseReason::UnsolicitedData, error));
                }
                self.due.begun = true;
                conn.begin(flight.job.request.kind);
                let config = &self.pool.config.exchange;
                let timeout = flight.job.request.headers_timeout;
                self.due.deadline = after(override_timeout(timeout, config.headers_timeout));
            }
            let job = &mut flight.job;
            let due = &mut self.due;
            let mut room = usize::MAX;
            if due.head_told {
                if !job.command.has_credit() {
                    // The reader's next credit wakes the task.
                    due.stopped = true;
                    due.deadline = None;
                    return Poll::Pending;
                }
                room = job.command.room();
                if std::mem::take(&mut due.stopped) {
                    due.deadline = body_deadline(job, &self.pool);
                }
            }
            if due.direct {
                match poll_direct(cx, conn, job, due, &self.pool) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(())) => continue,
                    Poll::Ready(Err((reason, error))) => {
                        return Poll::Ready(Broken::Lost(reason, error));
                    }
                }
            }
            let received = match conn.poll_next(cx, room) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(received)) => received,
                Poll::Ready(Err((reason, error))) => {
                    return Poll::Ready(Broken::Lost(reason, error));
                }
            };
            match received {
                Received::Informational => {
                    due.told = true;
                    if let Some(sink) = job.settle.sink() {
                        sink.informational(conn.head());
                    }
                }
                Received::Head => {
                    due.told = true;
                    due.head_told = true;
                    due.deadline = body_deadline(job, &self.pool);
                    let info = ExchangeInfo {
                        conn: self.id,
                        reused: flight.reused,
                    };
                    if let Some(sink) = job.settle.sink() {
                        sink.head(conn.head(), &info);
                        due.direct = conn.direct_left().is_some() && sink.reads_in_place();
                    }
                    if job.request.blocking {
                        let machine = &mut self.pool.state.lock().machine;
                        machine.handle_head_received(self.id, flight.request);
                        self.stirred = true;
                    }
                }
                Received::Data(chunk) => {
                    due.received += chunk.len() as u64;
                    let most = self.pool.config.exchange.max_response_size;
                    if most.is_some_and(|most| due.received > most) {
                        let error = conn.describe(too_large_error());
                        return Poll::Ready(Broken::Lost(CloseReason::ProtocolError, error));
                    }
                    due.deadline = body_deadline(job, &self.pool);
                    job.command.spend(chunk.len());
                    if let Some(sink) = job.settle.sink() {
                        sink.data(chunk);
                    }
                }
                Received::End => {
                    if let Some(reason) = self.end(conn) {
                        return Poll::Ready(Broken::Done(reason));
                    }
                }
            }
            if self
                .flights
                .front()
                .is_some_and(|due| !due.given_up && due.job.command.is_cancelled())
            {
                // A sink that gives up in a callback: nothing more is told to it.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    }

    /// The response that was due is complete. Why the connection ends with it, if so.
    fn end(&mut self, conn: &PipeConn) -> Option<CloseReason> {
        let mut flight = self.flights.pop_front()?;
        self.due = Due::default();
        self.lease.count_request();
        let keep_alive = conn.keep_alive();
        // Not all of it is sent: as in undici, that ends the connection.
        let partly = flight.end > conn.written();
        let over = if !keep_alive.reusable || flight.job.request.reset || partly {
            Some(CloseReason::NotReusable)
        } else {
            self.doomed
        };
        let trailers = conn.trailers();
        match over {
            None => {
                // Told only now that there is room, so that a request which follows from this one's
                // end finds it.
                self.release(flight.request, keep_alive.hint);
                contain(|| flight.job.settle.end(trailers));
            }
            Some(reason) => {
                contain(|| flight.job.settle.end(trailers));
                self.forget(flight.request, reason);
            }
        }
        over
    }

    // --- time ---

    fn headers_timeout(&self) -> Option<std::time::Duration> {
        let due = self.flights.front()?;
        override_timeout(
            due.job.request.headers_timeout,
            self.pool.config.exchange.headers_timeout,
        )
    }

    fn deadline(&self) -> Option<Instant> {
        if !self.flights.is_empty() {
            return self.due.deadline;
        }
        let machine = &self.pool.state.lock().machine;
        machine.idle_deadline(self.id).map(Instant::from_std)
    }

    /// The deadline has passed.
    fn expire(&mut self, conn: &PipeConn) -> Option<Next> {
        if self.flights.is_empty() {
            self.pool.state.lock().machine.handle_deadline(now());
            self.pool.run_actions();
            return None;
        }
        let error = if self.due.head_told {
            Error::new(ErrorKind::BodyTimeout, Phase::Body, "Body Timeout Error")
        } else {
            let text = "Headers Timeout Error";
            Error::new(ErrorKind::HeadersTimeout, Phase::Headers, text).with_replay(Replay::Never)
        };
        let error = conn.describe(error);
        self.disband(u64::MAX, Some(error.clone()), CloseReason::Timeout);
        Some(Next::End(CloseReason::Timeout, Some(error)))
    }
}

/// What [`Pipeline::take_requests`] led to.
enum Taken {
    Goes,
    /// The event loop has still to tell of bytes that are there.
    Blocked,
    Next(Next),
}

/// Why reading cannot go on.
enum Broken {
    /// A response said so.
    Done(CloseReason),
    Lost(CloseReason, Error),
}

fn body_deadline(job: &Job, pool: &PoolInner) -> Option<Instant> {
    let config = &pool.config.exchange;
    after(override_timeout(
        job.request.body_timeout,
        config.body_timeout,
    ))
}

/// Reads the next part of a large body into the sink's memory; `Ok` if more may be there.
fn poll_direct(
    cx: &mut Context<'_>,
    conn: &mut PipeConn,
    job: &mut Job,
    due: &mut Due,
    pool: &PoolInner,
) -> Poll<Result<(), (CloseReason, Error)>> {
    let left = conn.direct_left().unwrap_or(0);
    let Some(sink) = job.settle.sink().filter(|_| left > 0) else {
        due.direct = false;
        return Poll::Ready(Ok(()));
    };
    let room = job.command.room().min(DIRECT_READ);
    let allowed = pool.config.exchange.max_response_size;
    let allowed = allowed.map_or(u64::MAX, |max| max - due.received);
    let most = usize::try_from(allowed).map_or(room, |allowed| allowed.min(room));
    if most == 0 {
        let error = conn.describe(too_large_error());
        return Poll::Ready(Err((CloseReason::ProtocolError, error)));
    }
    match sink.read_in_place(most, &mut |memory| conn.poll_direct(cx, memory, most)) {
        Poll::Pending => Poll::Pending,
        Poll::Ready(Err(error)) => Poll::Ready(Err(conn.direct_failure(&error))),
        Poll::Ready(Ok(bytes)) => {
            due.received += bytes as u64;
            due.deadline = body_deadline(job, pool);
            job.command.spend(bytes);
            Poll::Ready(Ok(()))
        }
    }
}

/// Whether a request can only be sent with the connection to itself.
fn needs_all(job: &Job) -> bool {
    let request = &job.request;
    let plain = matches!(request.kind, RequestKind::Plain | RequestKind::Head);
    !plain || request.expect_continue || request.body.is_pulled()
}

fn is_immediate(reason: CloseReason) -> bool {
    matches!(reason, CloseReason::PoolDestroyed | CloseReason::Aborted)
}
