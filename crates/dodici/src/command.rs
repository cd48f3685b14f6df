//! What a caller tells the task that serves its request: cancel, credit, body slices.
//!
//! A [`Command`] is shared by the caller's handle and the connection task. Its lock is held for a
//! few instructions only, never across I/O or a call into a sink.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;
use dodici_pool::{Error, HeaderBlock};
use parking_lot::Mutex;

use crate::sink::Sink;

/// Bytes of request body that a caller may have in flight towards the engine.
/// 128 KiB: two slices, so that one can be written while the next is fetched.
pub(crate) const PULL_WINDOW: u32 = 128 * 1024;

/// Credit is asked for again in steps of at least this many bytes, unless nothing is buffered.
const PULL_STEP: u32 = 32 * 1024;

/// Shared state of one request. See the module.
pub(crate) struct Command {
    inner: Mutex<Inner>,
}

struct Inner {
    cancelled: bool,
    /// Response bytes that may still be delivered; negative by at most one chunk.
    credit: i64,
    upload: Upload,
    waker: Option<Waker>,
}

#[derive(Default)]
struct Upload {
    chunks: VecDeque<Bytes>,
    end: Option<HeaderBlock>,
    error: Option<Error>,
    /// Consumed bytes that were not asked for again yet.
    owed: u32,
    /// The body waits for `100 Continue`.
    held: bool,
    /// A slice has been handed to a connection: the body cannot be sent again.
    touched: bool,
    /// The end has been handed to the connection.
    finished: bool,
}

/// The next piece of a request body.
pub(crate) enum Slice {
    Wait,
    Chunk(Bytes),
    End,
    Failed(Error),
}

impl Command {
    pub(crate) fn new(window: u32) -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::new(Inner {
                cancelled: false,
                credit: i64::from(window),
                upload: Upload::default(),
                waker: None,
            }),
        })
    }

    // --- the caller's side ---

    fn tell(&self, change: impl FnOnce(&mut Inner)) {
        let waker = {
            let mut inner = self.inner.lock();
            change(&mut inner);
            inner.waker.clone()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(crate) fn cancel(&self) {
        self.tell(|inner| inner.cancelled = true);
    }

    pub(crate) fn credit(&self, bytes: u32) {
        // Only a reader that had stopped the delivery needs a wake-up.
        let waker = {
            let mut inner = self.inner.lock();
            let stopped = inner.credit <= 0;
            inner.credit += i64::from(bytes);
            if stopped && inner.credit > 0 {
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
        if !chunk.is_empty() {
            self.tell(|inner| inner.upload.chunks.push_back(chunk));
        }
    }

    pub(crate) fn end(&self, trailers: HeaderBlock) {
        self.tell(|inner| inner.upload.end = Some(trailers));
    }

    pub(crate) fn fail(&self, error: Error) {
        self.tell(|inner| inner.upload.error = Some(error));
    }

    // --- the connection's side ---

    /// Binds the request to the task that serves it.
    pub(crate) fn attach(&self, waker: &Waker) {
        self.inner.lock().waker = Some(waker.clone());
    }

    /// Prepares a body that is at hand but has to wait for `100 Continue`.
    pub(crate) fn hold(&self, full: Option<Bytes>) {
        let mut inner = self.inner.lock();
        inner.upload.held = true;
        if let Some(full) = full {
            // A request that is written for the second time brings its body again.
            inner.upload.chunks.clear();
            inner.upload.chunks.push_back(full);
            inner.upload.end = Some(HeaderBlock::new());
        }
    }

    /// Lets a held body go; whether it was held.
    pub(crate) fn release_hold(&self) -> bool {
        std::mem::take(&mut self.inner.lock().upload.held)
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.inner.lock().cancelled
    }

    pub(crate) fn has_credit(&self) -> bool {
        self.inner.lock().credit > 0
    }

    /// Bytes of the response's body that the reader still has room for.
    pub(crate) fn room(&self) -> usize {
        usize::try_from(self.inner.lock().credit).unwrap_or(0)
    }

    pub(crate) fn spend(&self, bytes: usize) {
        self.inner.lock().credit -= bytes as i64;
    }

    pub(crate) fn next_slice(&self) -> Slice {
        let mut inner = self.inner.lock();
        let upload = &mut inner.upload;
        if let Some(error) = upload.error.take() {
            return Slice::Failed(error);
        }
        if upload.held {
            return Slice::Wait;
        }
        if let Some(chunk) = upload.chunks.pop_front() {
            upload.touched = true;
            upload.owed = upload.owed.saturating_add(chunk.len() as u32);
            return Slice::Chunk(chunk);
        }
        if upload.end.is_some() {
            upload.finished = true;
            return Slice::End;
        }
        Slice::Wait
    }

    /// Bytes to ask the caller for now; 0 for none.
    pub(crate) fn take_pull(&self) -> u32 {
        let mut inner = self.inner.lock();
        let upload = &mut inner.upload;
        let ask = upload.end.is_none()
            && (upload.owed >= PULL_STEP || (upload.owed > 0 && upload.chunks.is_empty()));
        if ask {
            std::mem::take(&mut upload.owed)
        } else {
            0
        }
    }

    /// Whether a pulled body can still be sent from its start.
    pub(crate) fn is_untouched(&self) -> bool {
        !self.inner.lock().upload.touched
    }

    /// Whether the connection waits for the caller to deliver body bytes.
    pub(crate) fn is_starved(&self) -> bool {
        let inner = self.inner.lock();
        inner.upload.held || (inner.upload.chunks.is_empty() && inner.upload.end.is_none())
    }

    /// Trailers to be written behind the last chunk, once the end has been handed over.
    pub(crate) fn take_trailers(&self) -> Option<HeaderBlock> {
        let mut inner = self.inner.lock();
        if !inner.upload.finished {
            return None;
        }
        inner
            .upload
            .end
            .as_mut()
            .filter(|end| !end.is_empty())
            .map(std::mem::take)
    }
}

/// Owns a sink and settles it exactly once: a sink that was never told an end is told an error
/// when it is dropped, so that no caller waits for ever.
pub(crate) struct Settle(Option<Box<dyn Sink>>);

impl Settle {
    pub(crate) fn new(sink: Box<dyn Sink>) -> Self {
        Self(Some(sink))
    }

    /// The sink, for everything but the two calls that end it.
    pub(crate) fn sink(&mut self) -> Option<&mut (dyn Sink + 'static)> {
        self.0.as_deref_mut()
    }

    pub(crate) fn end(&mut self, trailers: &HeaderBlock) {
        if let Some(mut sink) = self.0.take() {
            sink.end(trailers);
        }
    }

    pub(crate) fn error(&mut self, error: Error) {
        if let Some(mut sink) = self.0.take() {
            sink.error(error);
        }
    }
}

impl Drop for Settle {
    fn drop(&mut self) {
        use dodici_pool::{ErrorKind, Phase};
        if let Some(mut sink) = self.0.take() {
            // Reached when a task panicked or a runtime was shut down. The sink itself may be
            // what panicked, so a second panic must not turn the unwinding into an abort.
            let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                sink.error(Error::new(
                    ErrorKind::Internal,
                    Phase::Send,
                    "the task that served the request ended without an answer",
                ));
                drop(sink);
            }));
            drop(told);
        }
    }
}
