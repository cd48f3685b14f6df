//! The loop of an HTTP/1.1 connection's task, whose requests may share the connection in flight.
//!
//! Requests are sent in the order in which the pool assigns them and answered in that order: the
//! oldest one is *due*. A round ([`Pipeline::poll`]) takes what the pool has, writes it at once,
//! and delivers the available responses to their sinks. If the reader of the due response is
//! stopped, reading stops, and so do all responses behind it: HTTP/1.1 has one order, and what is
//! not read stays with the peer.
//!
//! A request that is more than a head and a body in memory (a pulled body, `expect: 100-continue`,
//! CONNECT, an upgrade) runs alone (`solo`), when nothing else is in flight.
//!
//! When the connection ends, the oldest request fails, unless none of it was sent; those that may
//! be sent again return to the queue; then `disconnect` is emitted, then the queue continues.

mod ending;
mod reading;
mod solo;
mod writing;

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

use dodici_pool::{CloseReason, ConnId, Error, ErrorKind, Outcome, Phase, RequestId};
use tokio::time::Instant;

use super::inquiry::Shown;
use super::lease::Lease;
use super::mailbox::Interruptions;
use super::{After, Mailbox, PoolInner, contain, destroyed, now};
use crate::clock::{Moment, Timer, Verdict, past_the_reactor};
use crate::conn::{AtRest, HyperConn, PipeConn};
use crate::connect::Transport;
use crate::exchange::{self, Job};
use crate::sink::ExchangeInfo;
use reading::{Due, Read};
use solo::Solo;
use writing::Taken;

/// Serves requests on the connection until it ends.
pub(super) async fn serve(
    pool: Arc<PoolInner>,
    id: ConnId,
    mailbox: Arc<Mailbox>,
    transport: Transport,
    lease: Lease,
) {
    let mut pipeline = Pipeline::new(pool, id, mailbox, lease);
    let rest = AtRest::new(transport);
    let mut conn = PipeConn::new(rest, &pipeline.pool.config.exchange);
    loop {
        let next = std::future::poll_fn(|cx| pipeline.poll(cx, &mut conn)).await;
        pipeline.lease.set_traffic(conn.traffic());
        let (request, job) = match next {
            Next::Alone(request, job) => (request, job),
            Next::End(reason, error) => {
                // The socket is closed before the pool hears of it.
                drop(conn);
                return pipeline.lease.end(reason, error);
            }
        };
        // Boxed, so that an idle connection does not hold memory for it.
        match Box::pin(solo::run(&mut pipeline, conn, request, job)).await {
            Solo::Goes(back) => conn = *back,
            Solo::Ended(reason, error) => {
                // What the pool has assigned meanwhile.
                pipeline.disband(0, None, reason);
                return pipeline.lease.end(reason, error);
            }
            Solo::Upgraded(conn, mut job) => {
                let reason = CloseReason::Upgraded;
                pipeline.disband(0, None, reason);
                let requests = pipeline.lease.requests();
                let info = ExchangeInfo::new(id, requests > 1);
                // While the connection is known.
                job.settle.ended();
                // The pool releases the connection before the caller gets it.
                pipeline.lease.end(reason, None);
                let mailbox = &*pipeline.mailbox;
                let _shown = Shown::new(pipeline.pool, id, Arc::clone(&pipeline.mailbox));
                let interrupt = Interruptions { mailbox, requests };
                let mut stream = Box::pin(become_stream(*conn, job, info, &interrupt));
                return std::future::poll_fn(|cx| {
                    solo::listen(mailbox, cx.waker());
                    stream.as_mut().poll(cx)
                })
                .await;
            }
        }
    }
}

async fn become_stream(
    conn: HyperConn,
    mut job: Box<Job>,
    info: ExchangeInfo,
    interrupt: &Interruptions<'_>,
) {
    conn.with_head(|head| job.settle.upgrade(head, &info));
    if let Some(stream) = conn.into_stream() {
        exchange::run_stream(stream, &mut job, interrupt).await;
    }
}

/// Result of a round.
enum Next {
    /// This request runs alone now.
    Alone(RequestId, Box<Job>),
    End(CloseReason, Option<Error>),
}

/// Whether the connection accepts requests.
///
/// ```text
///   Open ──the last one, or the peer takes no more bytes──▶ Closed
///     └──────────────┴──a written request was cancelled──▶ Doomed
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
enum Intake {
    Open,
    /// No more; those taken are still answered.
    Closed,
    /// No more; the connection ends after the due response, for this reason.
    Doomed(CloseReason),
}

/// A request taken for writing.
struct Flight {
    request: RequestId,
    job: Box<Job>,
    /// Its place among the bytes sent.
    start: u64,
    end: u64,
    reused: bool,
    /// Its caller cancelled and was notified; its response is discarded.
    given_up: bool,
}

/// See the module. Fields drop in this order: requests settle before the lease reports the end.
struct Pipeline {
    flights: VecDeque<Flight>,
    due: Due,
    /// Assigned by the pool and not yet taken for writing.
    waiting: VecDeque<(RequestId, Box<Job>)>,
    intake: Intake,
    /// A request that the pool no longer counts forces the connection to close.
    gives_up: bool,
    /// The pool has actions to carry out.
    stirred: bool,
    /// A caller requests a check of the socket.
    look: bool,
    /// A timed request was not sent completely.
    times: bool,
    timer: Timer,
    /// It has not carried a request: see [`PipeConn::poll_rest`].
    fresh: bool,
    mailbox: Arc<Mailbox>,
    id: ConnId,
    pool: Arc<PoolInner>,
    lease: Lease,
}

impl Pipeline {
    fn new(pool: Arc<PoolInner>, id: ConnId, mailbox: Arc<Mailbox>, lease: Lease) -> Self {
        // Behind a proxy, bytes before a request may be the proxy's own. With one request at a
        // time, the request that the connection was opened for is already there, and bytes before a
        // later one do not answer it: a server may end idle time with a 408.
        let fresh = pool.config.exchange.early_response
            && pool.config.connect.proxy.is_none()
            && (pool.pipelining() > 1 || mailbox.inner.lock().job.is_some());
        Self {
            flights: VecDeque::new(),
            due: Due::default(),
            waiting: VecDeque::new(),
            intake: Intake::Open,
            gives_up: false,
            stirred: false,
            look: false,
            times: false,
            timer: Timer::new(),
            fresh,
            mailbox,
            id,
            pool,
            lease,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>, conn: &mut PipeConn) -> Poll<Next> {
        let mut polled = self.poll_rounds(cx, conn);
        loop {
            match polled {
                Some(polled) => return polled,
                None => {
                    polled = past_the_reactor(|| self.poll_rounds(cx, conn));
                    let flights = self.flights.iter().map(|flight| &flight.job);
                    let waiting = self.waiting.iter().map(|(_, job)| job);
                    for job in flights.chain(waiting) {
                        job.command.looked();
                    }
                }
            }
        }
    }

    /// `None` if a deadline, or a caller, requires a check of the socket first.
    fn poll_rounds(&mut self, cx: &mut Context<'_>, conn: &mut PipeConn) -> Option<Poll<Next>> {
        loop {
            let ended = self.receive(cx, conn);
            if let Some(end) = ended.or_else(|| self.look_for_cancels(conn)) {
                return Some(Poll::Ready(end));
            }
            match self.take_requests(cx, conn) {
                Taken::Next(next) => return Some(Poll::Ready(next)),
                Taken::Blocked if self.sleep(cx) => return Some(Poll::Pending),
                Taken::Blocked => continue,
                Taken::Goes => {}
            }
            let backlogged = conn.is_backlogged();
            if let Some(end) = self.write(cx, conn) {
                return Some(Poll::Ready(end));
            }
            if backlogged && !conn.is_backlogged() {
                // Room for waiting requests.
                continue;
            }
            if let Read::End(reason, error) = self.read(cx, conn) {
                return Some(Poll::Ready(Next::End(reason, error)));
            }
            if std::mem::take(&mut self.stirred) {
                self.pool.run_actions();
                // Sinks and actions may have added requests.
                continue;
            }
            if std::mem::take(&mut self.look) {
                return None;
            }
            let deadline = self.deadline();
            match self.timer.judge(cx, deadline) {
                Verdict::Waits if self.sleep(cx) => return Some(Poll::Pending),
                Verdict::Waits => {}
                Verdict::Look => return None,
                Verdict::Passed => {
                    if let Some(end) = self.expire(conn) {
                        return Some(Poll::Ready(end));
                    }
                }
            }
        }
    }

    // --- the pool's side ---

    /// Registers for messages from the pool. False if there is one already.
    fn sleep(&self, cx: &mut Context<'_>) -> bool {
        let mut inner = self.mailbox.inner.lock();
        let mail = match inner.close {
            Some(reason) => is_immediate(reason) || self.flights.is_empty(),
            None => inner.give_up || inner.job.is_some() || !inner.more.is_empty(),
        };
        let mail = mail || !inner.inquiries.is_empty();
        if !mail {
            inner.waker = Some(cx.waker().clone());
        }
        !mail
    }

    /// Takes the pool's messages for this connection.
    fn receive(&mut self, cx: &mut Context<'_>, conn: &mut PipeConn) -> Option<Next> {
        self.mailbox
            .answer(self.lease.requests(), || conn.traffic());
        let close = {
            let mut inner = self.mailbox.inner.lock();
            inner.waker = None;
            self.gives_up |= std::mem::take(&mut inner.give_up);
            if inner.close.is_none() {
                let first = inner.job.take();
                let more = std::mem::take(&mut inner.more);
                for (request, job) in first.into_iter().chain(more) {
                    job.command.attach(cx.waker());
                    self.waiting.push_back((request, job));
                }
            }
            // What was assigned meanwhile stays: the lease returns it.
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

    /// Removes a settled request from a connection that is about to end.
    fn forget(&self, request: RequestId, reason: CloseReason) {
        self.pool.state.lock().machine.handle_released(
            self.id,
            request,
            Outcome::Finished(reason),
            now(),
        );
    }

    /// Removes a request from a connection that continues.
    fn release(&mut self, request: RequestId, outcome: Outcome, at: Instant) {
        let machine = &mut self.pool.state.lock().machine;
        machine.handle_released(self.id, request, outcome, at.into_std());
        self.stirred = true;
    }

    /// Returns requests that were not taken for writing to the queue; the connection continues.
    fn return_waiting(&mut self) {
        for (request, job) in std::mem::take(&mut self.waiting) {
            self.pool.give_back(self.id, After::GoOn, request, job);
            self.stirred = true;
        }
    }

    /// The connection accepts no further request.
    fn drain(&mut self, reason: CloseReason) {
        self.pool
            .state
            .lock()
            .machine
            .handle_draining(self.id, reason, now());
        self.stirred = true;
        self.return_waiting();
    }

    // --- time ---

    fn deadline(&self) -> Option<Instant> {
        if !self.flights.is_empty() {
            return self.due.rules.deadline();
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
        // Its body is in memory, so the caller is never slow.
        let (reason, error) = self.due.rules.expire(false, &Moment::default())?;
        let error = conn.describe(error);
        self.disband(u64::MAX, Some(error.clone()), reason);
        Some(Next::End(reason, Some(error)))
    }
}

fn is_immediate(reason: CloseReason) -> bool {
    matches!(reason, CloseReason::PoolDestroyed | CloseReason::Aborted)
}
