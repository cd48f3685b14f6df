//! A guard that owns a connection's place in the pool and its events.
//!
//! It emits `Connected` when it is created and exactly one `Disconnected` when it is dropped,
//! however the connection's task ends, even by a panic.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use dodici_pool::{CloseReason, ConnId, ConnectInfo, DisconnectInfo, Error, Event, Phase};
use tokio::time::Instant;

use super::mailbox::Place;
use super::{After, Mailbox, PoolInner, contain, now};

/// See the module.
pub(super) struct Lease {
    pool: Arc<PoolInner>,
    id: ConnId,
    mailbox: Arc<Mailbox>,
    since: Instant,
    info: DisconnectInfo,
}

impl Lease {
    pub(super) fn new(
        pool: Arc<PoolInner>,
        id: ConnId,
        mailbox: Arc<Mailbox>,
        info: ConnectInfo,
    ) -> Self {
        let place = Place {
            since: Instant::now(),
            protocol: info.protocol,
            local: info.local,
            remote: info.remote,
        };
        // Nobody else sets it.
        let _ = mailbox.place.set(place);
        pool.events.event(Event::Connected { conn: id, info });
        Self {
            pool,
            id,
            mailbox,
            since: place.since,
            // The reason if the task unwinds; every orderly end sets another one.
            info: DisconnectInfo::new(CloseReason::Panicked),
        }
    }

    /// Number of requests answered so far.
    pub(super) fn requests(&self) -> u64 {
        self.info.requests
    }

    pub(super) fn count_request(&mut self) {
        self.info.requests += 1;
    }

    /// Bytes received up to the last [`Lease::set_traffic`].
    pub(super) fn bytes_read(&self) -> u64 {
        self.info.bytes_read
    }

    pub(super) fn set_traffic(&mut self, (read, written): (u64, u64)) {
        self.info.bytes_read = read;
        self.info.bytes_written = written;
    }

    /// Ends the connection for this reason.
    pub(super) fn end(mut self, reason: CloseReason, error: Option<Error>) {
        self.info.reason = reason;
        self.info.error = error;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.info.age = self.since.elapsed();
        let event = Event::Disconnected {
            conn: self.id,
            info: self.info.clone(),
        };
        // An event sink that panics must neither abort the process (this may run while unwinding)
        // nor leave the pool's accounts unbalanced.
        let reported = catch_unwind(AssertUnwindSafe(|| self.pool.events.event(event)));
        drop(reported);
        let balanced = catch_unwind(AssertUnwindSafe(|| self.leave()));
        drop(balanced);
    }
}

impl Lease {
    /// Removes the connection from the pool. Requests that were assigned to it meanwhile, and so
    /// never written, return to the front of the queue.
    fn leave(&self) {
        let mut effects = Vec::new();
        let mut cancelled = Vec::new();
        {
            let mut state = self.pool.state.lock();
            // An assignment that was decided but not carried out must reach the mailbox first, or
            // its request would be lost between the tables.
            while let Some(action) = state.machine.poll_action() {
                let effect = state.effect(action);
                effects.push(effect);
            }
            let (first, more) = {
                let mut inner = self.mailbox.inner.lock();
                // Who asks gets no answer any more.
                inner.inquiries.clear();
                (inner.job.take(), std::mem::take(&mut inner.more))
            };
            for (request, job) in first.into_iter().chain(more) {
                cancelled.extend(state.take_back(self.id, After::End, request, job));
            }
            state.forget_conn(self.id);
            // Everything still accounted to it was settled by its task, or by dropping what the
            // task held.
            drop(state.machine.handle_closed(self.id, now()));
        }
        for mut job in cancelled {
            let (_, error) = job.command.cancellation(Phase::Queued);
            contain(|| job.settle.error(error));
        }
        for effect in effects {
            self.pool.apply(effect);
        }
        self.pool.run_actions();
    }
}
