//! Messages from the pool to the task of a connection: requests, when to close, and what it is doing.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Waker;

use dodici_pool::{CloseReason, Error, ErrorKind, Phase, Protocol, RequestId};
use parking_lot::Mutex;
use tokio::sync::oneshot::Sender;
use tokio::time::Instant;

use super::destroyed;
use crate::exchange::{Interrupt, Job};

/// Messages from the pool to a connection's task.
pub(super) struct Mailbox {
    pub(super) inner: Mutex<MailboxInner>,
    /// Whether there may be something in `MailboxInner::close` or `inquiries`, so that a running
    /// exchange need not take the lock.
    asks: AtomicU32,
    /// When the attempt to open the connection began.
    pub(super) since: Instant,
    /// Set when it is open.
    pub(super) place: OnceLock<Place>,
}

/// What is known of a connection since it was opened.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) since: Instant,
    pub(super) protocol: Protocol,
    pub(super) local: Option<SocketAddr>,
    pub(super) remote: Option<SocketAddr>,
}

/// A task's answer.
#[derive(Clone, Copy)]
pub(super) struct Figures {
    pub(super) place: Option<Place>,
    pub(super) requests: u64,
    /// Bytes read and written.
    pub(super) traffic: (u64, u64),
}

#[derive(Default)]
pub(super) struct MailboxInner {
    pub(super) job: Option<(RequestId, Box<Job>)>,
    /// Requests after `job`: only on a multiplexed or pipelining connection.
    pub(super) more: VecDeque<(RequestId, Box<Job>)>,
    pub(super) close: Option<CloseReason>,
    /// See [`Pool::give_up_connection`](super::Pool::give_up_connection).
    pub(super) give_up: bool,
    /// Who wants to know what the connection is doing.
    pub(super) inquiries: Vec<Sender<Figures>>,
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
            asks: AtomicU32::new(0),
            since: Instant::now(),
            place: OnceLock::new(),
        })
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut MailboxInner)) -> Option<Waker> {
        let mut inner = self.inner.lock();
        change(&mut inner);
        inner.waker.take()
    }

    pub(super) fn close(&self, reason: CloseReason) -> Option<Waker> {
        let waker = self.update(|inner| inner.close = Some(reason));
        self.asks.store(1, Ordering::Release);
        waker
    }

    /// Asks the task of an open connection what it is doing.
    pub(super) fn inquire(&self, to: Sender<Figures>) -> Option<Waker> {
        let waker = self.update(|inner| inner.inquiries.push(to));
        self.asks.store(1, Ordering::Release);
        waker
    }

    /// Answers those who have asked.
    pub(super) fn answer(&self, requests: u64, traffic: impl FnOnce() -> (u64, u64)) {
        if self.asks.load(Ordering::Acquire) == 0 {
            return;
        }
        let asked = {
            let mut inner = self.inner.lock();
            if inner.close.is_none() {
                self.asks.store(0, Ordering::Release);
            }
            std::mem::take(&mut inner.inquiries)
        };
        if asked.is_empty() {
            return;
        }
        let figures = Figures {
            place: self.place.get().copied(),
            requests,
            traffic: traffic(),
        };
        for to in asked {
            // One who no longer waits is no loss.
            let _ = to.send(figures);
        }
    }

    pub(super) fn close_reason(&self) -> Option<CloseReason> {
        if self.asks.load(Ordering::Acquire) == 0 {
            None
        } else {
            self.inner.lock().close
        }
    }
}

/// The mailbox of a connection during an exchange that it has to itself.
pub(super) struct Interruptions<'a> {
    pub(super) mailbox: &'a Mailbox,
    /// How many requests the connection has answered before.
    pub(super) requests: u64,
}

impl Interrupt for Interruptions<'_> {
    fn interrupted(&self, traffic: impl FnOnce() -> (u64, u64)) -> Option<(CloseReason, Error)> {
        self.mailbox.answer(self.requests, traffic);
        // A graceful close lets the exchange finish; the pool closes the connection at release.
        match self.mailbox.close_reason()? {
            reason @ CloseReason::PoolDestroyed => Some((reason, destroyed())),
            reason @ CloseReason::Aborted => {
                Some((reason, Error::new(ErrorKind::Socket, Phase::Send, "closed")))
            }
            _ => None,
        }
    }
}
