//! Gathers the completions of several polls of the sockets for one doorbell.
//!
//! A doorbell wakes the JavaScript thread, which is usually asleep: an I/O thread's most expensive
//! operation. So while other requests are in flight, a batch waits for a few more non-blocking
//! polls of the sockets. `sink` calls [`noticed`], `runtime` runs [`run`] as a task of each I/O
//! thread; what this misses is handed over before the thread parks.

use std::cell::Cell;
use std::future::poll_fn;
use std::task::{Poll, Waker};

use dodici_wire::tuning::LOOKS;
use tokio::task::yield_now;

thread_local! {
    static LIVE: Cell<usize> = const { Cell::new(0) };
    /// A completion was written since the last hand-over.
    static NOTICED: Cell<bool> = const { Cell::new(false) };
    static WAKER: Cell<Option<Waker>> = const { Cell::new(None) };
}

/// A request of this thread that the engine has not released.
pub(crate) struct Live(());

impl Live {
    pub(crate) fn new() -> Self {
        LIVE.set(LIVE.get() + 1);
        Self(())
    }

    /// How many there are on this thread.
    pub(crate) fn count() -> usize {
        LIVE.get()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        LIVE.set(LIVE.get() - 1);
    }
}

/// A completion was written on this thread.
pub(crate) fn noticed() {
    if !NOTICED.replace(true)
        && let Some(waker) = WAKER.take()
    {
        waker.wake();
    }
}

/// Calls `hand_over` for what was noticed, forever.
pub(crate) async fn run(hand_over: impl Fn()) {
    loop {
        poll_fn(|cx| {
            if NOTICED.get() {
                return Poll::Ready(());
            }
            WAKER.set(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await;
        for _ in 0..LOOKS {
            // Nothing else can arrive.
            if Live::count() == 0 {
                break;
            }
            // The runtime polls the sockets before a task that yielded continues.
            yield_now().await;
        }
        NOTICED.set(false);
        hand_over();
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    /// Runs `work` alongside the gatherer; returns how often it handed over.
    fn beside<F: Future<Output = ()>>(work: impl FnOnce(Rc<Cell<u32>>) -> F) -> u32 {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let handed_over = Rc::new(Cell::new(0));
        let count = Rc::clone(&handed_over);
        let tasks = tokio::task::LocalSet::new();
        tasks.spawn_local(run(move || count.set(count.get() + 1)));
        #[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
        runtime
            .unwrap()
            .block_on(tasks.run_until(work(Rc::clone(&handed_over))));
        handed_over.get()
    }

    #[test]
    fn completions_within_a_few_polls_share_a_doorbell() {
        let handed_over = beside(|_| async {
            let _under_way = Live::new();
            for _ in 0..LOOKS {
                noticed();
                yield_now().await;
            }
            for _ in 0..10 {
                yield_now().await;
            }
        });
        assert_eq!(handed_over, 1);
    }

    #[test]
    fn the_last_response_is_handed_over_immediately() {
        beside(|handed_over| async move {
            yield_now().await;
            noticed();
            yield_now().await;
            assert_eq!(handed_over.get(), 1);
        });
    }

    #[test]
    fn nothing_is_handed_over_without_a_completion() {
        let handed_over = beside(|_| async {
            for _ in 0..10 {
                yield_now().await;
            }
        });
        assert_eq!(handed_over, 0);
    }
}
