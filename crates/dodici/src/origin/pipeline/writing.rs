//! To the wire: writes requests, as many as the connection accepts.
//!
//! Called by the rounds of `origin::pipeline`.

use std::task::{Context, Poll};

use dodici_pool::{
    BodyKind, CloseReason, Error, ErrorKind, Outcome, Phase, RequestId, RequestKind,
};
use tokio::time::Instant;

use super::{Flight, Intake, Next, Pipeline};
use crate::clock::Moment;
use crate::conn::PipeConn;
use crate::exchange::Job;
use crate::origin::contain;

/// Result of [`Pipeline::take_requests`].
pub(super) enum Taken {
    Goes,
    /// The reactor has yet to report bytes that have arrived.
    Blocked,
    Next(Next),
}

impl Pipeline {
    /// Passes requests to the connection, as many as it accepts.
    pub(super) fn take_requests(&mut self, cx: &mut Context<'_>, conn: &mut PipeConn) -> Taken {
        while !self.waiting.is_empty() {
            if self.intake != Intake::Open {
                self.return_waiting();
                return Taken::Goes;
            }
            if self
                .waiting
                .front()
                .is_some_and(|(_, job)| job.request.needs_http2)
            {
                self.refuse_first();
                continue;
            }
            let alone = self.waiting.front().is_some_and(|(_, job)| needs_all(job));
            if conn.is_backlogged() || (alone && !self.flights.is_empty()) {
                return Taken::Goes;
            }
            if alone && conn.has_input() {
                // Bytes already received cannot be passed on with the transport.
                let error = Error::new(ErrorKind::Socket, Phase::Queued, "bad response");
                let error = conn.describe(error);
                return Taken::Next(self.lose(conn, CloseReason::UnsolicitedData, error));
            }
            if self.flights.is_empty() {
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
            if alone {
                return Taken::Next(Next::Alone(request, job));
            }
            self.fresh = false;
            self.send(conn, request, job);
        }
        Taken::Goes
    }

    /// Fails the next request, which this connection cannot serve.
    #[cold]
    fn refuse_first(&mut self) {
        if let Some((request, mut job)) = self.waiting.pop_front() {
            let text = "the request is for HTTP/2, and the connection speaks HTTP/1";
            let error = Error::new(ErrorKind::InvalidRequest, Phase::Send, text);
            contain(|| job.settle.error(error));
            self.release(request, Outcome::Unwritten, Instant::now());
        }
    }

    fn send(&mut self, conn: &mut PipeConn, request: RequestId, mut job: Box<Job>) {
        job.report_assigned(self.id);
        let body = match &job.request.body {
            BodyKind::Full(bytes) => Some(bytes),
            _ => None,
        };
        let place = conn.push(&job.request.head, body);
        let reset = job.request.reset;
        let reused = self.lease.requests() > 0 || !self.flights.is_empty();
        job.settle.assigned(self.id, !reused);
        self.times |= job.settle.is_timed();
        self.flights.push_back(Flight {
            request,
            job,
            start: place.start,
            end: place.end,
            reused,
            given_up: false,
        });
        if reset {
            self.intake = Intake::Closed;
            self.drain(CloseReason::NotReusable);
        }
    }

    pub(super) fn write(&mut self, cx: &mut Context<'_>, conn: &mut PipeConn) -> Option<Next> {
        let before = conn.written();
        let wrote = conn.poll_write(cx);
        if wrote && self.times {
            self.time_sent(conn.written());
        }
        let failure = conn.write_failure();
        if failure.is_some() && self.intake == Intake::Open {
            self.intake = Intake::Closed;
            self.drain(CloseReason::IoError);
        }
        let due = self.flights.front_mut()?;
        if wrote && before < due.end && !self.due.rules.has_head() {
            due.job.report_written();
            self.due.rules.wrote(&Moment::default());
        }
        let due = self.flights.front()?;
        // If some of it was sent, the response may already be on its way.
        let (reason, error) = failure.filter(|_| due.start >= conn.written())?;
        Some(self.lose(conn, reason, error))
    }

    /// Stamps what was sent of timed requests.
    fn time_sent(&mut self, written: u64) {
        self.times = false;
        for Flight {
            job, start, end, ..
        } in &mut self.flights
        {
            if written >= *start + job.request.head.len() as u64 {
                job.settle.head_sent();
            }
            if written >= *end {
                job.settle.body_sent();
            } else {
                self.times |= job.settle.is_timed();
            }
        }
    }
}

/// Whether a request needs the connection to itself.
fn needs_all(job: &Job) -> bool {
    let request = &job.request;
    let plain = matches!(request.kind, RequestKind::Plain | RequestKind::Head);
    !plain || request.expect_continue || request.body.is_pulled()
}
