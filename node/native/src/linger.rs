//! Waiting awake for the next submission, where it is sure to come soon.
//!
//! Called by `runtime` when a thread is about to park. A program that makes one request after the
//! other sends the next one some ten microseconds after it has the answer. To sleep in between
//! costs more than to stay awake: two switches of the thread here, and on the JavaScript thread a
//! system call that wakes a sleeping processor. So a thread that has no request left looks out for a
//! moment before it parks, as long as that pays.

use std::cell::Cell;
use std::hint::spin_loop;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

thread_local! {
    static LIVE: Cell<usize> = const { Cell::new(0) };
}

/// Longest time awake. 50 µs: what JavaScript needs to hear an answer and send the next request; of
/// 30, 50 and 120, the shortest that is enough for that on a busy machine.
const LOOK_OUT: Duration = Duration::from_micros(50);

/// Rounds between two looks at the clock.
const ROUNDS: usize = 20;

/// After the n-th miss in a row, 2ⁿ parks pass without a look-out; at most 2⁶: then the price is
/// less than a microsecond a request.
const MOST_MISSES: u32 = 6;

/// One request of this thread that the engine has not let go of.
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

/// How often a thread was told something.
#[derive(Clone, Default)]
pub(crate) struct Told(Arc<AtomicU32>);

impl Told {
    /// Called after the thread was told something.
    pub(crate) fn notice(&self) {
        self.0.fetch_add(1, Ordering::Release);
    }

    fn count(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }
}

/// One thread's experience.
pub(crate) struct Linger {
    told: Told,
    /// What was told when it parked without a request last.
    seen: Cell<u32>,
    misses: Cell<u32>,
    /// Parks without a look-out that are left.
    pause: Cell<u32>,
    /// Whether anybody else can run meanwhile.
    possible: bool,
}

impl Linger {
    pub(crate) fn new(told: Told) -> Self {
        Self {
            told,
            seen: Cell::new(0),
            misses: Cell::new(0),
            pause: Cell::new(0),
            possible: available_parallelism().is_ok_and(|processors| processors.get() > 1),
        }
    }

    /// The thread is about to park, and has handed over what it had.
    pub(crate) fn before_park(&self) {
        // Sockets and timers wait while a thread looks out.
        if !self.possible || Live::count() > 0 {
            return;
        }
        // Told nothing since it had no request last, it has done nothing for JavaScript.
        let told = self.told.count();
        if self.seen.replace(told) == told {
            return;
        }
        if let Some(left) = self.pause.get().checked_sub(1) {
            self.pause.set(left);
            return;
        }
        if self.hears_within(LOOK_OUT, told) {
            self.misses.set(0);
        } else {
            let misses = (self.misses.get() + 1).min(MOST_MISSES);
            self.misses.set(misses);
            self.pause.set(1 << misses);
        }
    }

    fn hears_within(&self, limit: Duration, told: u32) -> bool {
        let start = Instant::now();
        while start.elapsed() < limit {
            for _ in 0..ROUNDS {
                if self.told.count() != told {
                    return true;
                }
                spin_loop();
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A thread that may look out, was told something, and hears nothing.
    fn disappointed(linger: &Linger) -> u32 {
        linger.told.notice();
        let before = linger.misses.get();
        linger.before_park();
        linger.misses.get() - before
    }

    fn on_two_processors() -> Linger {
        Linger {
            possible: true,
            ..Linger::new(Told::default())
        }
    }

    #[test]
    fn a_look_out_ends_when_something_is_told() {
        let linger = on_two_processors();
        let told = linger.told.clone();
        let seen = told.count();
        std::thread::scope(|scope| {
            scope.spawn(move || told.notice());
            // No time-out of its own: it ends because of what is told.
            assert!(linger.hears_within(Duration::MAX, seen));
        });
    }

    #[test]
    fn misses_make_it_rarer() {
        let linger = on_two_processors();
        assert_eq!(disappointed(&linger), 1);
        let parks = (0..).take_while(|_| disappointed(&linger) == 0).count();
        assert_eq!(parks, 2);
        let parks = (0..).take_while(|_| disappointed(&linger) == 0).count();
        assert_eq!(parks, 4);
    }

    #[test]
    fn nothing_is_waited_for_while_a_request_lives_or_nothing_was_told() {
        let linger = on_two_processors();
        linger.before_park();
        assert_eq!(linger.misses.get(), 0);
        let live = Live::new();
        assert_eq!(disappointed(&linger), 0);
        drop(live);
        assert_eq!(disappointed(&linger), 1);
    }

    #[test]
    fn a_park_while_the_request_was_under_way_does_not_count() {
        let linger = on_two_processors();
        linger.told.notice();
        let live = Live::new();
        linger.before_park();
        drop(live);
        linger.before_park();
        assert_eq!(linger.misses.get(), 1);
    }

    #[test]
    fn one_processor_is_never_kept_busy() {
        let linger = Linger {
            possible: false,
            ..on_two_processors()
        };
        assert_eq!(disappointed(&linger), 0);
    }
}
