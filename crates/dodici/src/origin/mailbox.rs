//! Messages from the pool to the task of a connection: requests, and when to close.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Waker;

use dodici_pool::{CloseReason, Error, ErrorKind, Phase, RequestId};
use parking_lot::Mutex;

use super::destroyed;
use crate::exchange::{Interrupt, Job};

/// Messages from the pool to a connection's task.
pub(super) struct Mailbox {
    pub(super) inner: Mutex<MailboxInner>,
    /// Copy of `MailboxInner::close`, so that a running exchange need not take the lock.
    closing: AtomicU32,
}

#[derive(Default)]
pub(super) struct MailboxInner {
    pub(super) job: Option<(RequestId, Box<Job>)>,
    /// Requests after `job`: only on a multiplexed or pipelining connection.
    pub(super) more: VecDeque<(RequestId, Box<Job>)>,
    pub(super) close: Option<CloseReason>,
    /// See [`Pool::give_up_connection`](super::Pool::give_up_connection).
    pub(super) give_up: bool,
    pub(super) waker: Option<Waker>,
}

impl MailboxInner {
    pub(super) fn put(&mut self, request: RequestId, job: Box<Job>) {
        if self.job.is_none() && self.more.is_empty() {
            self.job = Some((request, job));
        } else {
            self.more.push_back((request, job));
        }
    }
}

impl Mailbox {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::default(),
            closing: AtomicU32::new(0),
        })
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut MailboxInner)) -> Option<Waker> {
        let mut inner = self.inner.lock();
        change(&mut inner);
        inner.waker.take()
    }

    pub(super) fn close(&self, reason: CloseReason) -> Option<Waker> {
        let waker = self.update(|inner| inner.close = Some(reason));
        self.closing.store(1, Ordering::Release);
        waker
    }

    pub(super) fn close_reason(&self) -> Option<CloseReason> {
        if self.closing.load(Ordering::Acquire) == 0 {
            None
        } else {
            self.inner.lock().close
        }
    }
}

impl Interrupt for Mailbox {
    fn interrupted(&self) -> Option<(CloseReason, Error)> {
        // A graceful close lets the exchange finish; the pool closes the connection at release.
        match self.close_reason()? {
            reason @ CloseReason::PoolDestroyed => Some((reason, destroyed())),
            reason @ CloseReason::Aborted => {
                Some((reason, Error::new(ErrorKind::Socket, Phase::Send, "closed")))
            }
            _ => None,
        }
    }
}
