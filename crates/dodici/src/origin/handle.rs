//! The caller's side of a dispatched request.

use std::sync::Arc;
use std::task::{Poll, Waker};

#[cfg(doc)]
use dodici_pool::piece_cost;
use dodici_pool::{Cancelled, Error, HeaderBlock, Outcome, Phase, RequestId};
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::{PoolInner, contain, now};
use crate::clock;
use crate::command::{Cause, Command};
use crate::exchange::Watch;

/// Controls one request. Dropping it does not cancel the request.
#[derive(Clone)]
pub struct RequestHandle {
    pub(super) command: Arc<Command>,
    /// The pool where it may still be queued.
    pub(super) place: Option<(Arc<PoolInner>, RequestId)>,
}

impl RequestHandle {
    /// Cancels the request: its sink gets [`ErrorKind::Aborted`](dodici_pool::ErrorKind::Aborted)
    /// unless it has settled, and a connection that was serving it is closed, or is not opened any
    /// more if no other request needs it.
    pub fn cancel(&self) {
        self.end(Cause::Caller);
    }

    /// Fails the request when its total timeout has expired, unless it has settled by then. Dropping
    /// the result prevents that.
    pub(super) fn end_at(self, runtime: &Handle, deadline: Instant) -> Watch {
        let task = runtime.spawn(async move {
            clock::passed(deadline, |waker| self.poll_looked(waker)).await;
            self.end(Cause::TotalTimeout);
        });
        Watch(task.abort_handle())
    }

    fn end(&self, cause: Cause) {
        self.command.cancel(cause);
        let Some((pool, id)) = &self.place else {
            return;
        };
        let (job, has_unneeded) = {
            let mut state = pool.state.lock();
            let place = state.machine.handle_cancel(*id);
            let job = state.take_queued(*id);
            if let (Cancelled::Running(conn), true) = (place, job.is_some()) {
                // It was assigned to a connection, which is not notified any more.
                let outcome = Outcome::Unwritten;
                state.machine.handle_released(conn, *id, outcome, now());
            }
            let has_unneeded = place == Cancelled::Queued && state.machine.has_unneeded();
            (job, has_unneeded)
        };
        if let Some(mut job) = job {
            let (_, error) = job.command.cancellation(Phase::Queued);
            contain(|| job.settle.error(error));
        }
        pool.run_actions();
        if has_unneeded {
            let pool = Arc::clone(pool);
            // Not at once: the caller may replace the request.
            drop(pool.runtime.clone().spawn(async move {
                tokio::task::yield_now().await;
                pool.state.lock().machine.handle_unneeded();
                pool.run_actions();
            }));
        }
    }

    /// Like [`RequestHandle::cancel`], but a byte stream over TCP, after
    /// [`Sink::upgrade`](crate::Sink::upgrade), is closed with a reset.
    pub fn reset(&self) {
        self.command.reset();
        self.cancel();
    }

    /// For callers with their own timers: ready when everything this machine has received of the
    /// response has been delivered to the sink, even if the reactor has not reported it yet. In a
    /// process that was suspended, timers expire before sockets are polled.
    pub(crate) fn poll_looked(&self, waker: &Waker) -> Poll<()> {
        self.command.poll_looked(waker)
    }

    /// Returns the cost of delivered pieces ([`piece_cost`]), so that as much more may be
    /// delivered.
    pub fn credit(&self, bytes: u32) {
        self.command.credit(bytes);
    }

    /// Pauses the delivery of the response body, whatever the credit, or resumes it. While it is
    /// paused, no body timeout runs; it restarts on resume.
    pub fn pause(&self, paused: bool) {
        self.command.pause(paused);
    }

    /// Answers [`Sink::pull`](crate::Sink::pull) with a slice of the request body.
    pub fn body_chunk(&self, chunk: bytes::Bytes) {
        self.command.chunk(chunk);
    }

    /// Ends the request body, with trailers if the body is chunked; after an upgrade, the writing
    /// side of the stream. A pulled body has to be ended first, even one of declared length.
    pub fn body_end(&self, trailers: HeaderBlock) {
        self.command.end(trailers);
    }

    /// Ready when all slices of an upgraded stream, and its end, have been sent. The waker is not
    /// woken if the stream fails, which is reported to the sink.
    pub(crate) fn poll_written(&self, waker: &Waker) -> Poll<()> {
        self.command.poll_written(waker)
    }

    /// No more will follow of a body whose declared length is not reached. The request continues:
    /// the server may respond anyway, and its timeouts run. The connection ends with the response,
    /// because anything sent after it would be taken for the rest of the body.
    pub fn body_left(&self) {
        self.command.leave();
    }

    /// The source of the request body failed, and so does the request.
    pub fn body_error(&self, error: Error) {
        self.command.fail(error);
    }
}
