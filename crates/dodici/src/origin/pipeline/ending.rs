//! What happens to the requests of a connection that ends, and to cancelled ones.
//!
//! Called by the rounds of `origin::pipeline` when a caller cancels, when reading or writing fails,
//! and when a response was the last one.

use std::mem::take;

#[cfg(doc)]
use dodici_pool::PoolConfig;
use dodici_pool::{CloseReason, Error, ErrorKind, Outcome, Phase, RequestId};

use super::{Due, Flight, Intake, Next, Pipeline};
use crate::command::{Attention, aborted};
use crate::conn::PipeConn;
use crate::exchange::{Job, Loss};
use crate::origin::{After, contain};

impl Pipeline {
    /// Cancelling a request that was written closes the connection: HTTP/1.1 cannot take it back.
    /// If it is not due, a response that has begun, or whose request cannot be repeated, is
    /// finished first.
    pub(super) fn look_for_cancels(&mut self, conn: &PipeConn) -> Option<Next> {
        let mut at = 0;
        while let Some((_, job)) = self.waiting.get(at) {
            let attention = job.command.attention();
            if attention != Attention::Cancelled {
                self.look |= attention == Attention::Look;
                at += 1;
                continue;
            }
            let Some((request, mut job)) = self.waiting.remove(at) else {
                break;
            };
            self.release(request, Outcome::Unwritten, tokio::time::Instant::now());
            let (_, error) = job.command.cancellation(Phase::Queued);
            contain(|| job.settle.error(error));
        }
        let mut lost = take(&mut self.gives_up).then(|| {
            let (reason, error) = aborted(Phase::Headers);
            (reason, conn.describe(error))
        });
        for (place, flight) in self.flights.iter_mut().enumerate() {
            if flight.given_up {
                continue;
            }
            let attention = flight.job.command.attention();
            if attention != Attention::Cancelled {
                self.look |= attention == Attention::Look;
                continue;
            }
            flight.given_up = true;
            let phase = match place {
                0 => self.due.rules.phase(),
                _ => Phase::Headers,
            };
            let (reason, error) = flight.job.command.cancellation(phase);
            let error = conn.describe(error);
            lost = Some((reason, error.clone()));
            let job = &mut flight.job;
            contain(|| job.settle.error(error));
        }
        let (reason, error) = lost?;
        let delivered = self.due.rules.has_delivered();
        let precious = self
            .flights
            .front_mut()
            .is_some_and(|due| !due.given_up && !due.job.goes_again(&Loss::Behind { delivered }));
        if precious {
            self.intake = Intake::Doomed(reason);
            self.drain(reason);
            return None;
        }
        self.disband(conn.written(), None, reason);
        Some(Next::End(reason, Some(error)))
    }

    pub(super) fn fail(&self, mut flight: Flight, error: Error, reason: CloseReason) {
        contain(|| flight.job.settle.error(error));
        self.forget(flight.request, reason);
    }

    /// Empties a connection that ends after this many `written` bytes. `blame` fails the oldest
    /// request, if any of it was sent; the others are sent again if that is safe.
    pub(super) fn disband(&mut self, written: u64, mut blame: Option<Error>, reason: CloseReason) {
        let delivered = self.due.rules.has_delivered();
        let mut back = Vec::with_capacity(self.flights.len() + self.waiting.len());
        let reused = self.lease.requests() > 0;
        for (place, mut flight) in take(&mut self.flights).into_iter().enumerate() {
            if flight.given_up {
                self.forget(flight.request, reason);
                continue;
            }
            let unsent = flight.start >= written;
            let blamed = if unsent { None } else { blame.take() };
            let delivered = place == 0 && delivered;
            let loss = match &blamed {
                // The error says whether any of the response was received.
                Some(error) => Loss::Sent {
                    error,
                    reused,
                    received: 0,
                },
                None => Loss::Behind { delivered },
            };
            if unsent || flight.job.goes_again(&loss) {
                back.push((flight.request, flight.job));
            } else {
                let closed = || Error::new(ErrorKind::Socket, Phase::Headers, "closed");
                self.fail(flight, blamed.unwrap_or_else(closed), reason);
            }
        }
        back.extend(take(&mut self.waiting));
        if let Some(error) = blame
            && !back.is_empty()
        {
            let (request, mut job) = back.remove(0);
            if self.is_answered_by(&error) {
                contain(|| job.settle.error(error));
                self.forget(request, reason);
            } else {
                self.give_back_first(request, job, &error, reason);
            }
        }
        for (request, job) in back {
            self.give_back(request, job);
        }
        self.due = Due::default();
    }

    /// Whether `error` comes from invalid bytes after a response, and the next request is to fail
    /// with it although nothing of it was sent; see [`PoolConfig::eager`].
    fn is_answered_by(&self, error: &Error) -> bool {
        matches!(error.kind(), ErrorKind::Parse(_)) && self.pool.is_eager()
    }

    /// Assigns the next request in the queue to a connection that such bytes end.
    pub(super) fn fetch_next(&mut self, error: &Error) {
        if self.is_answered_by(error) && self.flights.is_empty() && self.waiting.is_empty() {
            self.pool.run_actions();
            let mut inner = self.mailbox.inner.lock();
            if inner.close.is_none() {
                self.waiting.extend(inner.job.take());
                self.waiting.extend(take(&mut inner.more));
            }
        }
    }

    /// Returns the oldest request of a connection that failed with `error` before it was sent.
    pub(super) fn give_back_first(
        &self,
        request: RequestId,
        mut job: Box<Job>,
        error: &Error,
        reason: CloseReason,
    ) {
        let reused = self.lease.requests() > 0;
        if job.goes_again(&Loss::Unsent { reused }) {
            return self.give_back(request, job);
        }
        contain(|| job.settle.error(error.clone()));
        self.forget(request, reason);
    }

    pub(super) fn give_back(&self, request: RequestId, job: Box<Job>) {
        self.pool.give_back(self.id, After::End, request, job);
    }

    /// The connection has failed.
    pub(super) fn lose(&mut self, conn: &PipeConn, reason: CloseReason, error: Error) -> Next {
        self.disband(conn.written(), Some(error.clone()), reason);
        Next::End(reason, Some(error))
    }
}
