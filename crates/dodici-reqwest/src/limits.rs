//! Timeouts and size limit of a response.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use dodici::{LastLook, OnWritten};
use tokio::time::{Instant, Sleep};

/// A request's own limit on the size of its response body, in its extensions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MaxBody(pub(crate) u64);

/// A request's own minimum rate of its response body, in its extensions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MinBodyRate(pub(crate) u32);

/// Bytes of a body that may still be read after its timeout expired: those that had arrived in
/// time. 1 MiB: no window is larger, and a peer that keeps sending cannot postpone the end.
const IN_TIME: usize = 1024 * 1024;

/// Reads what this machine had received of a response when its timeout expired, whether or not the
/// runtime has noticed yet, as when the process was stopped in the meantime.
pub(crate) struct Late {
    /// Only with a timeout.
    look: Option<LastLook>,
    looked: bool,
    left: usize,
}

impl Late {
    pub(crate) fn new(look: Option<LastLook>) -> Self {
        Self {
            look,
            looked: false,
            left: IN_TIME,
        }
    }

    /// Poll this when the timeout has expired and polling the response was pending. Once it is
    /// ready, poll the response again: if it is still pending, it was too late.
    pub(crate) fn poll_looked(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.looked {
            if let Some(look) = &self.look {
                ready!(look.poll(cx));
            }
            self.looked = true;
        }
        Poll::Ready(())
    }

    /// The timeout has not expired for good: the next time, it looks again.
    pub(crate) fn starts_again(&mut self) {
        self.looked = false;
    }

    pub(crate) fn look(&self) -> Option<LastLook> {
        self.look.clone()
    }

    /// Whether this many bytes may still be read after the timeout.
    pub(crate) fn may_still_bring(&mut self, bytes: usize) -> bool {
        match self.left.checked_sub(bytes) {
            Some(left) => self.left = left,
            None => return false,
        }
        true
    }
}

/// The read timeout while waiting for a response head, from the start or from the last byte of the
/// request that was written.
pub(crate) struct Silence {
    limit: Duration,
    sleep: Pin<Box<Sleep>>,
    written: Arc<Written>,
}

/// When bytes were last written.
struct Written {
    begun: Instant,
    /// In nanoseconds since then.
    last: AtomicU64,
}

impl Silence {
    pub(crate) fn new(limit: Duration) -> Self {
        Self {
            limit,
            sleep: Box::pin(tokio::time::sleep(limit)),
            written: Arc::new(Written {
                begun: Instant::now(),
                last: AtomicU64::new(0),
            }),
        }
    }

    /// Call this when bytes were written.
    pub(crate) fn ended_by_writing(&self) -> OnWritten {
        let written = Arc::clone(&self.written);
        OnWritten(Arc::new(move || {
            let after = written.begun.elapsed().as_nanos();
            let after = u64::try_from(after).unwrap_or(u64::MAX);
            written.last.store(after, Ordering::Relaxed);
        }))
    }

    /// Ready when the timeout has expired.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.sleep.as_mut().poll(cx));
            let last = Duration::from_nanos(self.written.last.load(Ordering::Relaxed));
            // An instant beyond the clock's range is never reached: the sleep would not have ended.
            let at = self.written.begun + last + self.limit;
            if at <= Instant::now() {
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(at);
        }
    }
}
