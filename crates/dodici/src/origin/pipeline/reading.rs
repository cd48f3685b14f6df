//! From the wire: hands the responses that are there to the sinks of their requests.
//!
//! Called by the rounds of `origin::pipeline`. The response that is due is in [`Due`].

use std::cell::OnceCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll};
use std::time::Duration;

use dodici_pool::{CloseReason, Error, Outcome};
use tokio::time::Instant;

use super::{Flight, Pipeline};
use crate::conn::{PipeConn, Received};
use crate::exchange::{HeadWait, Job, override_timeout, too_large_error};
use crate::origin::{PoolInner, contain};
use crate::sink::ExchangeInfo;

/// Most bytes of a body read into a sink's memory in one step.
const DIRECT_READ: usize = 64 * 1024;

/// Bytes by which the memory for the last part of a body is larger than the part. 64: one would do,
/// and memory comes in such steps.
const SLACK: usize = 64;

/// Where the response that is due stands.
#[derive(Default)]
pub(super) struct Due {
    pub(super) begun: bool,
    /// Something of it was told to its sink: the request is not sent again.
    pub(super) told: bool,
    pub(super) head_told: bool,
    pub(super) received: u64,
    /// Its body is read into the sink's memory.
    pub(super) direct: bool,
    /// The reader took nothing for a while; its silence must not count as the server's.
    pub(super) stopped: bool,
    pub(super) head_wait: HeadWait,
    pub(super) deadline: Option<Instant>,
}

/// What reading led to.
pub(super) enum Read {
    /// Nothing to do until a wake-up.
    Wait,
    End(CloseReason, Option<Error>),
}

/// Why reading cannot go on.
enum Broken {
    /// A response said so.
    Done(CloseReason),
    Lost(CloseReason, Error),
}

/// The time of one pass over what was read, taken when it is first asked for.
#[derive(Default)]
struct Moment(OnceCell<Instant>);

impl Moment {
    fn now(&self) -> Instant {
        *self.0.get_or_init(Instant::now)
    }

    fn after(&self, timeout: Option<Duration>) -> Option<Instant> {
        self.now().checked_add(timeout?)
    }
}

fn body_timeout(job: &Job, pool: &PoolInner) -> Option<Duration> {
    override_timeout(job.request.body_timeout, pool.config.exchange.body_timeout)
}

/// Reads the next part of a large body into the sink's memory; `Ok` if more may be there.
fn poll_direct(
    cx: &mut Context<'_>,
    conn: &mut PipeConn,
    job: &mut Job,
    due: &mut Due,
    pool: &PoolInner,
    moment: &Moment,
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
    // A little more than the rest of the body: see `PipeConn::poll_direct`.
    let most = match usize::try_from(left) {
        Ok(left) if left <= most => left + SLACK,
        _ => most,
    };
    match sink.read_in_place(most, &mut |memory| conn.poll_direct(cx, memory, most)) {
        Poll::Pending => Poll::Pending,
        Poll::Ready(Err(error)) => Poll::Ready(Err(conn.direct_failure(&error))),
        Poll::Ready(Ok(bytes)) => {
            due.received += bytes as u64;
            due.deadline = moment.after(body_timeout(job, pool));
            job.command.spend(bytes);
            Poll::Ready(Ok(()))
        }
    }
}

impl Pipeline {
    pub(super) fn read(&mut self, cx: &mut Context<'_>, conn: &mut PipeConn) -> Read {
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
        if reason == CloseReason::UnsolicitedData {
            self.fetch_next(&error);
        }
        self.disband(conn.written(), Some(error.clone()), reason);
        Read::End(reason, Some(error))
    }

    /// Hands out the responses that are there.
    fn poll_read(&mut self, cx: &mut Context<'_>, conn: &mut PipeConn) -> Poll<Broken> {
        // One look at the clock serves all that is there: it costs as much as a small response.
        let moment = Moment::default();
        loop {
            let Some(flight) = self.flights.front_mut() else {
                return conn
                    .poll_rest(cx, self.fresh)
                    .map(|(reason, error)| Broken::Lost(reason, error));
            };
            if !self.due.begun {
                self.due.begun = true;
                conn.begin(flight.job.request.kind);
                let timeout = flight.job.request.headers_timeout;
                self.due.head_wait = HeadWait::new(timeout, &self.pool.config.exchange);
                self.due.deadline = moment.after(self.due.head_wait.timeout());
            }
            if flight.start >= conn.written() {
                // Nothing of it has left, so nothing that comes can be its answer.
                return conn
                    .poll_rest(cx, false)
                    .map(|(reason, error)| Broken::Lost(reason, error));
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
                    due.deadline = moment.after(body_timeout(job, &self.pool));
                }
            }
            if due.direct {
                match poll_direct(cx, conn, job, due, &self.pool, &moment) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(())) if job.command.is_cancelled() => {
                        // As below.
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
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
                    let head = conn.head();
                    if due.head_wait.hear(head.status, &self.pool.config.exchange) {
                        due.deadline = moment.after(due.head_wait.timeout());
                    }
                    if head.status != 100
                        && let Some(sink) = job.settle.sink()
                    {
                        sink.informational(head);
                    }
                }
                Received::Head => {
                    due.told = true;
                    due.head_told = true;
                    due.deadline = moment.after(body_timeout(job, &self.pool));
                    let info = ExchangeInfo {
                        conn: self.id,
                        reused: flight.reused,
                        stream: 0,
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
                    due.deadline = moment.after(body_timeout(job, &self.pool));
                    job.command.spend(chunk.len());
                    if let Some(sink) = job.settle.sink() {
                        sink.data(chunk);
                    }
                }
                Received::End => {
                    if let Some(reason) = self.end(conn, moment.now()) {
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
    fn end(&mut self, conn: &PipeConn, at: Instant) -> Option<CloseReason> {
        let mut flight = self.flights.pop_front()?;
        self.due = Due::default();
        self.lease.count_request();
        let reusable = conn.reusable(flight.end, self.flights.is_empty());
        let going_on = match (reusable, self.doomed) {
            (Ok(_), _) if flight.job.request.reset => Err(CloseReason::NotReusable),
            (Ok(_), Some(reason)) => Err(reason),
            (reusable, _) => reusable,
        };
        let trailers = conn.trailers();
        match going_on {
            Ok(hint) => {
                // Told only now that there is room, so that a request which follows from this one's
                // end finds it.
                self.release(flight.request, Outcome::Reusable { hint }, at);
                contain(|| flight.job.settle.end(trailers));
                None
            }
            Err(reason) => {
                contain(|| flight.job.settle.end(trailers));
                self.forget(flight.request, reason);
                Some(reason)
            }
        }
    }
}
