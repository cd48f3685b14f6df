//! State of a request shared by its caller and its task: cancel, credit, pause, body slices.
//!
//! A [`Command`] is shared by the caller's handle and the connection task. Its lock is held for a
//! few instructions only, never across I/O or a call into a sink.

mod space;
#[cfg(test)]
mod tests;
mod upload;

use std::sync::Arc;
use std::task::{Poll, Waker};

use bytes::Bytes;
use dodici_pool::{BodyKind, CloseReason, Error, ErrorKind, HeaderBlock, Phase, piece_cost};
use parking_lot::Mutex;

pub(crate) use self::space::Space;
use self::upload::Upload;
pub(crate) use self::upload::{Slice, length_mismatch};

/// Shared state of one request. See the module.
pub(crate) struct Command {
    inner: Mutex<Inner>,
}

struct Inner {
    cancelled: Option<Cause>,
    /// The connection of a byte stream ends with a reset.
    resets: bool,
    /// Credit left for the response, by [`piece_cost`]; negative by at most one piece.
    credit: i64,
    /// Delivery is paused, whatever the credit.
    paused: bool,
    /// Credit at which the connection wants to be woken: it then grants the peer more room.
    wake_at: i64,
    upload: Upload,
    /// Wakes the task that serves the request.
    waker: Option<Waker>,
    look: Look,
}

/// A check of the socket that the caller requested, and the waker for its end.
#[derive(Default)]
enum Look {
    #[default]
    None,
    Asked(Waker),
    /// The task has seen it.
    UnderWay(Waker),
    Done,
}

impl Look {
    fn finish(&mut self) -> Option<Waker> {
        match std::mem::take(self) {
            Self::Asked(waiting) | Self::UnderWay(waiting) => {
                *self = Self::Done;
                Some(waiting)
            }
            other => {
                *self = other;
                None
            }
        }
    }
}

/// Why a request is cancelled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    Caller,
    TotalTimeout,
}

/// How a request fails that was cancelled by its caller.
pub(crate) fn aborted(phase: Phase) -> (CloseReason, Error) {
    let error = Error::new(ErrorKind::Aborted, phase, "Request aborted");
    (CloseReason::Aborted, error)
}

/// What a task has to do for the caller of its request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attention {
    None,
    /// The caller cancelled.
    Cancelled,
    /// The caller's timer has expired, and it asks for what the kernel has received. Returned once:
    /// read it without waiting for the reactor, deliver it, and call [`Command::looked`].
    Look,
}

impl Inner {
    fn may_deliver(&self) -> bool {
        self.credit > 0 && !self.paused
    }
}

impl Command {
    /// For a request with such a body, whose response has this window. `space`: what it may send
    /// more than a window of at a time, if it is a body or a stream that is pulled.
    pub(crate) fn new(window: u32, body: &BodyKind, space: Option<Arc<Space>>) -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::new(Inner {
                cancelled: None,
                resets: false,
                credit: i64::from(window),
                paused: false,
                wake_at: i64::MAX,
                upload: Upload::new(body, space),
                waker: None,
                look: Look::None,
            }),
        })
    }

    // --- the caller's side ---

    fn update(&self, change: impl FnOnce(&mut Inner)) {
        let waker = {
            let mut inner = self.inner.lock();
            change(&mut inner);
            inner.waker.clone()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The first cause counts.
    pub(crate) fn cancel(&self, cause: Cause) {
        self.update(|inner| {
            inner.cancelled.get_or_insert(cause);
        });
    }

    pub(crate) fn reset(&self) {
        self.update(|inner| {
            inner.cancelled.get_or_insert(Cause::Caller);
            inner.resets = true;
        });
    }

    /// Ready when what the kernel had received of the response has been delivered, or when no task
    /// serves the request, so that there is no response.
    pub(crate) fn poll_looked(&self, waker: &Waker) -> Poll<()> {
        let mut inner = self.inner.lock();
        match &mut inner.look {
            Look::Asked(waiting) | Look::UnderWay(waiting) => waiting.clone_from(waker),
            Look::Done => {
                inner.look = Look::None;
                return Poll::Ready(());
            }
            Look::None => {
                let Some(task) = inner.waker.clone() else {
                    return Poll::Ready(());
                };
                inner.look = Look::Asked(waker.clone());
                drop(inner);
                task.wake();
            }
        }
        Poll::Pending
    }

    pub(crate) fn credit(&self, bytes: u32) {
        self.adjust_delivery(|inner| inner.credit += i64::from(bytes));
    }

    pub(crate) fn pause(&self, paused: bool) {
        self.adjust_delivery(|inner| inner.paused = paused);
    }

    /// Only a change that resumes a stopped delivery, or that the connection waits for, needs a
    /// wake-up.
    fn adjust_delivery(&self, change: impl FnOnce(&mut Inner)) {
        let waker = {
            let mut inner = self.inner.lock();
            let stopped = !inner.may_deliver();
            let before = inner.credit;
            change(&mut inner);
            let goes_on = stopped && inner.may_deliver();
            if goes_on || (before < inner.wake_at && inner.credit >= inner.wake_at) {
                inner.waker.clone()
            } else {
                None
            }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(crate) fn chunk(&self, chunk: Bytes) {
        if chunk.is_empty() {
            return;
        }
        self.update(|inner| inner.upload.chunk(chunk));
    }

    pub(crate) fn end(&self, trailers: HeaderBlock) {
        self.update(|inner| inner.upload.end(trailers));
    }

    /// Ready when everything handed over has been sent; the waker is not woken if the stream fails.
    pub(crate) fn poll_written(&self, waker: &Waker) -> Poll<()> {
        self.inner.lock().upload.poll_written(waker)
    }

    /// The body will stay shorter than declared.
    pub(crate) fn leave(&self) {
        self.update(|inner| inner.upload.leave());
    }

    pub(crate) fn fail(&self, error: Error) {
        self.update(|inner| inner.upload.fail(error));
    }

    // --- the connection's side ---

    /// Binds the request to the task that serves it.
    pub(crate) fn attach(&self, waker: &Waker) {
        self.inner.lock().waker = Some(waker.clone());
    }

    /// No task serves the request now; another one may later.
    pub(crate) fn detach(&self) {
        let waiting = {
            let mut inner = self.inner.lock();
            inner.waker = None;
            inner.look.finish()
        };
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }

    /// What the caller wants from the task besides the request itself.
    pub(crate) fn attention(&self) -> Attention {
        let mut inner = self.inner.lock();
        if inner.cancelled.is_some() {
            return Attention::Cancelled;
        }
        if !matches!(inner.look, Look::Asked(_)) {
            return Attention::None;
        }
        if let Look::Asked(waiting) = std::mem::take(&mut inner.look) {
            inner.look = Look::UnderWay(waiting);
        }
        Attention::Look
    }

    /// The check that [`Attention::Look`] requested is done.
    pub(crate) fn looked(&self) {
        let waiting = self.inner.lock().look.finish();
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }

    /// Holds back a body in memory that has to wait for `100 Continue`.
    pub(crate) fn hold(&self, full: Option<Bytes>) {
        self.inner.lock().upload.hold(full);
    }

    /// Releases a held body; whether it was held.
    pub(crate) fn release_hold(&self) -> bool {
        self.inner.lock().upload.release_hold()
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.inner.lock().cancelled.is_some()
    }

    /// How a cancelled request fails in this phase, and why its connection ends, if it does.
    pub(crate) fn cancellation(&self, phase: Phase) -> (CloseReason, Error) {
        match self.inner.lock().cancelled {
            Some(Cause::TotalTimeout) => (
                CloseReason::Timeout,
                Error::new(ErrorKind::TotalTimeout, phase, "Total Timeout Error"),
            ),
            Some(Cause::Caller) | None => aborted(phase),
        }
    }

    pub(crate) fn resets(&self) -> bool {
        self.inner.lock().resets
    }

    /// Whether body bytes that the caller handed over have not been sent.
    pub(crate) fn has_chunks(&self) -> bool {
        self.next_len() > 0
    }

    /// Length of the slice that [`Command::next_slice`] would return; 0 if none.
    pub(crate) fn next_len(&self) -> usize {
        self.inner.lock().upload.next_len()
    }

    /// Why the request body cannot be sent, if so. hyper reports this only when it asks for more of
    /// the body, which it may never do, and then without the cause.
    pub(crate) fn failure(&self) -> Option<Error> {
        self.inner.lock().upload.failure()
    }

    /// Bytes to request from the caller when the body is due: 0 if a connection that was lost
    /// before the request was written has requested them already.
    pub(crate) fn first_pull(&self) -> u32 {
        self.inner.lock().upload.first_pull()
    }

    /// The connection became a byte stream: what the caller hands over from now on is not part of
    /// the request body, whose length and end no longer matter.
    pub(crate) fn begin_stream(&self) {
        self.inner.lock().upload.begin_stream();
    }

    /// Whether response bytes may be delivered now.
    pub(crate) fn has_credit(&self) -> bool {
        self.inner.lock().may_deliver()
    }

    /// Bytes of response body that the reader has credit for.
    pub(crate) fn room(&self) -> usize {
        usize::try_from(self.inner.lock().credit).unwrap_or(0)
    }

    /// Requests a wake-up when the reader has this much room; `None` cancels it.
    pub(crate) fn wake_at(&self, room: Option<usize>) {
        self.inner.lock().wake_at = room.map_or(i64::MAX, |room| room as i64);
    }

    /// A piece of this length was delivered.
    pub(crate) fn spend(&self, bytes: usize) {
        self.inner.lock().credit -= i64::from(piece_cost(bytes));
    }

    pub(crate) fn next_slice(&self) -> Slice {
        self.inner.lock().upload.next_slice()
    }

    /// All slices taken so far have been sent.
    pub(crate) fn written(&self) {
        let flusher = self.inner.lock().upload.written();
        if let Some(flusher) = flusher {
            flusher.wake();
        }
    }

    /// Bytes to request from the caller now; 0 for none.
    pub(crate) fn take_pull(&self) -> u32 {
        self.inner.lock().upload.take_pull()
    }

    /// Whether a pulled body can still be sent from the start.
    pub(crate) fn is_untouched(&self) -> bool {
        self.inner.lock().upload.is_untouched()
    }

    /// Whether the connection waits for body bytes from the caller.
    pub(crate) fn is_starved(&self) -> bool {
        self.inner.lock().upload.is_starved()
    }

    /// Whether the connection has taken the end of the body.
    pub(crate) fn has_ended(&self) -> bool {
        self.inner.lock().upload.has_ended()
    }

    /// Whether there are trailers that have not been taken.
    pub(crate) fn has_trailers(&self) -> bool {
        self.inner.lock().upload.has_trailers()
    }

    /// Trailers to write after the last chunk, once the end has been handed over.
    pub(crate) fn take_trailers(&self) -> Option<HeaderBlock> {
        self.inner.lock().upload.take_trailers()
    }
}
