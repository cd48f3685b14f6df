//! From the wire: delivers available responses to the sinks of their requests.
//!
//! Called by the rounds of `origin::pipeline`. The response that is due is in [`Due`].

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll};

use dodici_pool::{CloseReason, Error, Outcome};
use tokio::time::Instant;

use super::{Flight, Intake, Pipeline};
use crate::clock::Moment;
use crate::conn::{PipeConn, Received};
use crate::exchange::{Job, Length, Rules, Stage, Wire};
use crate::origin::contain;
use crate::sink::ExchangeInfo;
use crate::tuning::{DIRECT_READ, READ_SLACK};

/// The response that is due.
#[derive(Default)]
pub(super) struct Due {
    pub(super) rules: Rules,
    /// Its body is read into the sink's memory.
    direct: bool,
}

/// Result of reading.
pub(super) enum Read {
    /// Nothing to do until a wake-up.
    Wait,
    End(CloseReason, Option<Error>),
}

/// Why reading cannot continue.
enum Broken {
    /// A response requires it.
    Done(CloseReason),
    Lost(CloseReason, Error),
}

/// The response is invalid, or exceeds a limit.
#[cold]
fn refused(conn: &PipeConn, error: Error) -> Broken {
    Broken::Lost(CloseReason::ProtocolError, conn.describe(error))
}

/// Reads the next part of a large body into the sink's memory; `Ok` if more may be available.
fn poll_direct(
    cx: &mut Context<'_>,
    conn: &mut PipeConn,
    job: &mut Job,
    due: &mut Due,
    now: &Moment,
) -> Poll<Result<(), (CloseReason, Error)>> {
    let left = conn.direct_left().unwrap_or(0);
    let Some(sink) = job.settle.sink().filter(|_| left > 0) else {
        due.direct = false;
        return Poll::Ready(Ok(()));
    };
    let most = match due.rules.readable(job.command.room().min(DIRECT_READ)) {
        Ok(most) => most,
        Err(error) => {
            return Poll::Ready(Err((CloseReason::ProtocolError, conn.describe(error))));
        }
    };
    // A little more than the rest of the body: see `PipeConn::poll_direct`.
    let most = match usize::try_from(left) {
        Ok(left) if left <= most => left + READ_SLACK,
        _ => most,
    };
    match sink.read_in_place(most, &mut |memory| conn.poll_direct(cx, memory, most)) {
        Poll::Pending => Poll::Pending,
        Poll::Ready(Err(error)) => Poll::Ready(Err(conn.direct_failure(&error))),
        Poll::Ready(Ok(bytes)) => {
            job.command.spend(bytes);
            let counted = due.rules.data(bytes, now);
            Poll::Ready(counted.map_err(|error| (CloseReason::ProtocolError, error)))
        }
    }
}

impl Pipeline {
    pub(super) fn read(&mut self, cx: &mut Context<'_>, conn: &mut PipeConn) -> Read {
        // A sink that panics ends its own request and the connection, but no other request.
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
                    // Its drop reports to the sink that there is no response.
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

    /// Delivers available responses.
    fn poll_read(&mut self, cx: &mut Context<'_>, conn: &mut PipeConn) -> Poll<Broken> {
        let now = Moment::default();
        loop {
            let Some(flight) = self.flights.front_mut() else {
                return conn
                    .poll_rest(cx, self.fresh)
                    .map(|(reason, error)| Broken::Lost(reason, error));
            };
            let job = &mut flight.job;
            let due = &mut self.due;
            if due.rules.stage() == Stage::Waits {
                conn.begin(job.request.kind);
                due.rules = Rules::new(Wire::Http1, &job.request, &self.pool.config.exchange);
                due.rules.begin(&now);
            }
            if flight.start >= conn.written() {
                // Nothing of it has been sent, so nothing received can answer it.
                return conn
                    .poll_rest(cx, false)
                    .map(|(reason, error)| Broken::Lost(reason, error));
            }
            let mut room = usize::MAX;
            if due.rules.has_head() {
                match job.poll_takes(cx, &mut due.rules, &now) {
                    Ok(true) => {}
                    // The reader's next credit wakes the task.
                    Ok(false) => return Poll::Pending,
                    Err(error) => return Poll::Ready(refused(conn, error)),
                }
                room = if job.settle.is_decoding() {
                    DIRECT_READ
                } else {
                    job.command.room()
                };
            }
            if due.direct {
                match poll_direct(cx, conn, job, due, &now) {
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
            let received = conn.poll_next(cx, room);
            if conn.is_touched() {
                job.settle.first_byte();
            }
            let received = match received {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(received)) => received,
                Poll::Ready(Err((reason, error))) => {
                    return Poll::Ready(Broken::Lost(reason, error));
                }
            };
            match received {
                Received::Informational => {
                    let head = conn.head();
                    due.rules.informational(head.status, &now);
                    if head.status != 100
                        && let Some(sink) = job.settle.sink()
                    {
                        sink.informational(head);
                    }
                }
                Received::Head => {
                    due.rules.head(Length::Any, &now);
                    let mut info = ExchangeInfo::new(self.id, flight.reused);
                    info.last = !conn.persists();
                    if let Err(error) = job.deliver_head(&mut due.rules, conn.head(), &info) {
                        return Poll::Ready(refused(conn, error));
                    }
                    due.direct = conn.direct_left().is_some()
                        && !job.settle.is_decoding()
                        && job.settle.sink().is_some_and(|sink| sink.reads_in_place());
                    if info.last {
                        // Nothing may follow on this connection (RFC 9112, section 9.6).
                        let machine = &mut self.pool.state.lock().machine;
                        machine.handle_draining(
                            self.id,
                            CloseReason::NotReusable,
                            now.now().into_std(),
                        );
                        self.stirred = true;
                    } else if job.request.blocking {
                        let machine = &mut self.pool.state.lock().machine;
                        machine.handle_head_received(self.id, flight.request);
                        self.stirred = true;
                    }
                }
                Received::Data(chunk) => {
                    if let Err(error) = due.rules.data(chunk.len(), &now) {
                        return Poll::Ready(refused(conn, error));
                    }
                    job.deliver(Some(chunk));
                }
                Received::End => {
                    if let Some(reason) = self.end(conn, now.now()) {
                        return Poll::Ready(Broken::Done(reason));
                    }
                }
            }
            if self
                .flights
                .front()
                .is_some_and(|due| !due.given_up && due.job.command.is_cancelled())
            {
                // A sink that cancels in a callback gets nothing more.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    }

    /// The due response is complete. Why the connection ends with it, if so.
    fn end(&mut self, conn: &PipeConn, at: Instant) -> Option<CloseReason> {
        let mut flight = self.flights.pop_front()?;
        self.due = Due::default();
        self.lease.count_request();
        let reusable = conn.reusable(flight.end, self.flights.is_empty());
        let going_on = match (reusable, self.intake) {
            (Ok(_), _) if flight.job.request.reset => Err(CloseReason::NotReusable),
            (Ok(_), Intake::Doomed(reason)) => Err(reason),
            (reusable, _) => reusable,
        };
        let trailers = conn.trailers();
        match going_on {
            Ok(hint) => {
                // Reported only now that there is room, so that a request dispatched in response
                // finds it.
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
