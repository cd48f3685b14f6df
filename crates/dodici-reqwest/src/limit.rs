//! A limit on the total number of a client's connections.
//!
//! Each connection holds a permit as long as its socket lives. If none is available, an idle
//! connection of any origin is closed, and the attempt waits. Used by the hooks of a client's
//! pools, which it must not know.

use std::pin::pin;
use std::sync::Arc;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// See the module.
pub(crate) struct TotalLimit {
    permits: Arc<Semaphore>,
    idle: Notify,
}

impl TotalLimit {
    pub(crate) fn new(most: u32) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(most as usize)),
            idle: Notify::new(),
        }
    }

    /// A connection may have become idle: one of the waiting attempts looks for it.
    pub(crate) fn found_idle(&self) {
        self.idle.notify_one();
    }

    /// Waits for a permit; cancelling the future gives up the place in the queue. `close_idle`
    /// closes an idle connection, if there is one.
    pub(crate) async fn permit(
        &self,
        close_idle: impl Fn(),
    ) -> Result<OwnedSemaphorePermit, dodici::Error> {
        let mut permit = pin!(Arc::clone(&self.permits).acquire_owned());
        loop {
            let granted = tokio::select! {
                biased;
                granted = &mut permit => granted,
                () = async {
                    let mut idle = pin!(self.idle.notified());
                    // It listens before it looks, so that no connection is missed in between.
                    idle.as_mut().enable();
                    close_idle();
                    idle.await;
                } => continue,
            };
            return granted.map_err(|_| {
                dodici::Error::new(
                    dodici::ErrorKind::Internal,
                    dodici::Phase::Queued,
                    "the limit on connections is gone",
                )
            });
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[test]
    fn an_attempt_looks_for_idle_connections_once_and_again_when_one_may_have_become_idle() {
        let limit = TotalLimit::new(1);
        let looks = AtomicUsize::new(0);
        let close_idle = || {
            looks.fetch_add(1, Ordering::Relaxed);
        };
        let mut cx = Context::from_waker(Waker::noop());
        let held = match pin!(limit.permit(close_idle)).poll(&mut cx) {
            Poll::Ready(permit) => permit.expect("free"),
            Poll::Pending => panic!("it is free"),
        };
        assert_eq!(looks.load(Ordering::Relaxed), 0);
        let mut waiting = pin!(limit.permit(close_idle));
        for (becomes_idle, expected) in [(false, 1), (false, 1), (true, 2), (false, 2)] {
            if becomes_idle {
                limit.found_idle();
            }
            assert!(waiting.as_mut().poll(&mut cx).is_pending());
            assert_eq!(looks.load(Ordering::Relaxed), expected);
        }
        drop(held);
        assert!(waiting.poll(&mut cx).is_ready());
    }

    #[test]
    fn an_attempt_that_is_given_up_leaves_its_turn_to_the_next() {
        let limit = TotalLimit::new(1);
        let looks = AtomicUsize::new(0);
        let close_idle = || {
            looks.fetch_add(1, Ordering::Relaxed);
        };
        let mut cx = Context::from_waker(Waker::noop());
        let mut held = pin!(limit.permit(close_idle));
        let held = held.as_mut().poll(&mut cx);
        let mut first = Box::pin(limit.permit(close_idle));
        let mut second = pin!(limit.permit(close_idle));
        assert!(first.as_mut().poll(&mut cx).is_pending());
        assert!(second.as_mut().poll(&mut cx).is_pending());
        limit.found_idle();
        drop(first);
        assert!(second.as_mut().poll(&mut cx).is_pending());
        assert_eq!(looks.load(Ordering::Relaxed), 3);
        drop(held);
        assert!(second.poll(&mut cx).is_ready());
    }
}
