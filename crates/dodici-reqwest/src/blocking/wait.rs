//! Waits on a thread for a future.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use crate::error::TimedOut;

/// Why a wait ended without a value.
pub(super) enum Waited<E> {
    TimedOut(TimedOut),
    Failed(E),
}

/// Runs a future to its end on this thread, or until the time is up.
pub(super) fn timeout<T, E>(
    future: impl Future<Output = Result<T, E>>,
    limit: Option<Duration>,
) -> Result<T, Waited<E>> {
    let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(result) = future.as_mut().poll(&mut cx) {
            return result.map_err(Waited::Failed);
        }
        match deadline {
            None => thread::park(),
            Some(deadline) => match deadline.checked_duration_since(Instant::now()) {
                None | Some(Duration::ZERO) => return Err(Waited::TimedOut(TimedOut)),
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
