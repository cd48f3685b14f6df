//! Blocking on a future.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use crate::error::TimedOut;

/// How long the final poll may take before the worker is considered stuck: a callback of the
/// caller's may block it.
const LOOK: Duration = Duration::from_secs(5);

/// Why a wait ended without a value.
pub(super) enum Waited<E> {
    TimedOut(TimedOut),
    Failed(E),
}

/// Runs a future to completion on this thread, or until the timeout has expired and a final look
/// has found nothing: `look` is ready once everything received by then has been delivered.
pub(super) fn timeout<T, E>(
    future: impl Future<Output = Result<T, E>>,
    limit: Option<Duration>,
    mut look: impl FnMut(&mut Context<'_>) -> Poll<()>,
) -> Result<T, Waited<E>> {
    let mut late = false;
    let mut deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(result) = future.as_mut().poll(&mut cx) {
            return result.map_err(Waited::Failed);
        }
        if late && look(&mut cx).is_ready() {
            return match future.as_mut().poll(&mut cx) {
                Poll::Ready(result) => result.map_err(Waited::Failed),
                Poll::Pending => Err(Waited::TimedOut(TimedOut)),
            };
        }
        match deadline {
            None => thread::park(),
            Some(at) => match at.checked_duration_since(Instant::now()) {
                None | Some(Duration::ZERO) if late => return Err(Waited::TimedOut(TimedOut)),
                None | Some(Duration::ZERO) => {
                    late = true;
                    deadline = Instant::now().checked_add(LOOK);
                }
                Some(rest) => thread::park_timeout(rest),
            },
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}
