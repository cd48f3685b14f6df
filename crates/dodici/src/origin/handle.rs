//! The caller's side of a request that was dispatched.

use std::sync::Arc;
use std::task::{Poll, Waker};

#[cfg(doc)]
use dodici_pool::piece_cost;
use dodici_pool::{Cancelled, Error, HeaderBlock, Outcome, RequestId};

use super::{PoolInner, aborted, contain, now};
use crate::command::Command;

/// The caller's hold on one request. Dropping it does not cancel.
#[derive(Clone)]
pub struct RequestHandle {
    pub(super) command: Arc<Command>,
    /// Where it may still be queued.
    pub(super) place: Option<(Arc<PoolInner>, RequestId)>,
}

impl RequestHandle {
    /// Gives the request up: its sink gets [`ErrorKind::Aborted`](dodici_pool::ErrorKind::Aborted) unless it has settled, and a
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
    pub(crate) fn poll_looked(&self, waker: &Waker) -> Poll<()> {
        self.command.poll_looked(waker)
    }

    /// Gives back what delivered pieces have cost ([`piece_cost`]), so that
    /// as much more may be delivered.
    pub fn credit(&self, bytes: u32) {
        self.command.credit(bytes);
    }

    /// Stops the delivery of the response body although there is credit, and lets it go on. While
    /// it is stopped, no body timeout runs; it starts anew when delivery goes on.
    pub fn pause(&self, paused: bool) {
        self.command.pause(paused);
    }

    /// Answers [`Sink::pull`](crate::Sink::pull) with a slice of the request body.
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
    pub(crate) fn poll_written(&self, waker: &Waker) -> Poll<()> {
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
