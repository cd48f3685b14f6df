//! What is behind a pool's lock: the state machine, and what its ids stand for.
//!
//! Used by the pool and the tasks of its connections. Turns the machine's actions into effects, which
//! are applied after the lock is released.

use std::sync::Arc;
use std::task::Waker;

use dodici_pool::{
    Action, CloseReason, ConnId, Error, ErrorKind, OriginPool, Outcome, Phase, RequestId,
};
use tokio::sync::oneshot::Sender;

use super::mailbox::Mailbox;
use super::{destroyed, now};
use crate::exchange::Job;

/// See the module.
pub(super) struct State {
    pub(super) machine: OriginPool,
    /// Queued requests, by the slot of their id.
    pub(super) queued: Vec<Option<(RequestId, Box<Job>)>>,
    /// Connections, by the slot of their id.
    pub(super) conns: Vec<Option<(ConnId, Arc<Mailbox>)>>,
    /// Connections that have become byte streams.
    pub(super) streams: Vec<(ConnId, Arc<Mailbox>)>,
    /// The last connect error, for the requests that waited for the connection.
    pub(super) connect_error: Option<Error>,
    /// Who waits for connections to be ready.
    pub(super) preconnects: Vec<Sender<Ready>>,
    /// Why an attempt for them has failed.
    pub(super) preconnect_error: Option<Error>,
}

/// How many connections are ready, or why none is.
pub(super) type Ready = Result<u32, Error>;

/// What a connection does after it returned a request.
#[derive(Clone, Copy)]
pub(super) enum After {
    End,
    GoOn,
}

/// Something to do after the lock is released.
pub(super) enum Effect {
    Spawn(ConnId, Arc<Mailbox>),
    Wake(Waker),
    Settle(Box<Job>, Error),
    Drain,
    Closed,
    Nothing,
}

impl State {
    pub(super) fn new(machine: OriginPool) -> Self {
        Self {
            machine,
            queued: Vec::new(),
            conns: Vec::new(),
            streams: Vec::new(),
            connect_error: None,
            preconnects: Vec::new(),
            preconnect_error: None,
        }
    }

    pub(super) fn effect(&mut self, action: Action) -> Effect {
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

    /// The callers of `preconnect` and their result, once it is known.
    pub(super) fn ready(&mut self) -> Option<(Vec<Sender<Ready>>, Ready)> {
        if self.preconnects.is_empty() || self.machine.is_preconnecting() {
            return None;
        }
        let result = match (self.machine.ready(), self.preconnect_error.take()) {
            (0, Some(error)) => Err(error),
            (ready, _) => Ok(ready),
        };
        Some((std::mem::take(&mut self.preconnects), result))
    }

    pub(super) fn take_queued(&mut self, id: RequestId) -> Option<Box<Job>> {
        let entry = self.queued.get_mut(id.slot as usize)?;
        entry.take_if(|(have, _)| *have == id).map(|(_, job)| job)
    }

    /// Returns a request that `conn` has not processed to the front of the queue, or to the caller for
    /// settling if it was cancelled meanwhile. A cancel sets its flag before it takes the lock, so
    /// under the lock either the flag is set or the cancel will find the request queued.
    pub(super) fn take_back(
        &mut self,
        conn: ConnId,
        after: After,
        request: RequestId,
        job: Box<Job>,
    ) -> Option<Box<Job>> {
        job.command.detach();
        if job.command.is_cancelled() {
            let outcome = match after {
                After::End => Outcome::Finished(CloseReason::PeerClosed),
                After::GoOn => Outcome::Unwritten,
            };
            self.machine.handle_released(conn, request, outcome, now());
            return Some(job);
        }
        put(&mut self.queued, request.slot, (request, job));
        match after {
            After::End => self.machine.handle_unsent(conn, request, now()),
            After::GoOn => self.machine.handle_returned(conn, request, now()),
        }
        None
    }

    pub(super) fn mailbox(&self, id: ConnId) -> Option<&Arc<Mailbox>> {
        self.conns
            .get(id.slot as usize)?
            .as_ref()
            .filter(|(have, _)| *have == id)
            .map(|(_, m)| m)
    }

    pub(super) fn forget_conn(&mut self, id: ConnId) {
        if let Some(entry) = self.conns.get_mut(id.slot as usize) {
            entry.take_if(|(have, _)| *have == id);
        }
    }
}

fn wake(waker: Option<Waker>) -> Effect {
    waker.map_or(Effect::Nothing, Effect::Wake)
}

pub(super) fn put<T>(table: &mut Vec<Option<T>>, slot: u32, value: T) {
    let slot = slot as usize;
    if table.len() <= slot {
        table.resize_with(slot + 1, || None);
    }
    table[slot] = Some(value);
}
