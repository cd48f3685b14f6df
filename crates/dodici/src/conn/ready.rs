//! Numbered wakers: which parts of a connection's task have work to do.
//!
//! One task serves up to hundreds of streams. Polling all of them at each wake-up would cost more
//! than serving one, so each has its own waker, which adds its number to a list and wakes the task
//! unless it is already running.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

use parking_lot::Mutex;

/// The list. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Ready(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    numbers: Vec<u32>,
    /// The task's own waker.
    task: Option<Waker>,
    /// The task is running and will check the list before it sleeps.
    awake: bool,
}

impl Ready {
    /// The waker of this number.
    pub(crate) fn waker(&self, number: u32) -> SlotWaker {
        let slot = Arc::new(Slot {
            ready: self.clone(),
            number,
            listed: AtomicBool::new(false),
        });
        SlotWaker {
            waker: Waker::from(Arc::clone(&slot)),
            slot,
        }
    }

    /// The task starts running; `task` is its waker.
    pub(crate) fn begin(&self, task: &Waker) {
        let mut inner = self.0.lock();
        inner.awake = true;
        match &mut inner.task {
            Some(have) => have.clone_from(task),
            none => *none = Some(task.clone()),
        }
    }

    /// Moves the list to `into`, which must be empty.
    pub(crate) fn take(&self, into: &mut Vec<u32>) {
        std::mem::swap(&mut self.0.lock().numbers, into);
    }

    /// The task wants to sleep. False, and it keeps running, if the list is not empty.
    pub(crate) fn sleep(&self) -> bool {
        let mut inner = self.0.lock();
        inner.awake = !inner.numbers.is_empty();
        !inner.awake
    }

    /// The task yields although there is work to do, so that others get their turn.
    pub(crate) fn pause(&self) {
        self.0.lock().awake = false;
    }

    fn list(&self, number: u32) {
        let task = {
            let mut inner = self.0.lock();
            inner.numbers.push(number);
            if inner.awake {
                None
            } else {
                inner.task.clone()
            }
        };
        if let Some(task) = task {
            task.wake();
        }
    }
}

/// A waker of one number, for the task's own use.
pub(crate) struct SlotWaker {
    slot: Arc<Slot>,
    waker: Waker,
}

impl SlotWaker {
    pub(crate) fn waker(&self) -> &Waker {
        &self.waker
    }

    /// The number was taken from the list and is about to be processed: from now on it can be
    /// listed again.
    pub(crate) fn reset(&self) {
        self.slot.listed.store(false, Ordering::Release);
    }

    /// Adds the number to the list.
    pub(crate) fn wake(&self) {
        self.waker.wake_by_ref();
    }
}

struct Slot {
    ready: Ready,
    number: u32,
    listed: AtomicBool,
}

impl Wake for Slot {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.listed.swap(true, Ordering::AcqRel) {
            self.ready.list(self.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_sleeping_task_is_woken_and_a_number_is_listed_once() {
        let ready = Ready::default();
        let task = Arc::new(Count::default());
        let (one, two) = (ready.waker(1), ready.waker(2));
        ready.begin(&Waker::from(Arc::clone(&task)));
        assert!(ready.sleep());
        one.wake();
        one.wake();
        two.wake();
        assert_eq!(task.0.load(Ordering::SeqCst), 2);
        let mut list = Vec::new();
        ready.take(&mut list);
        assert_eq!(list, [1, 2]);
        list.clear();
        one.reset();
        one.wake();
        two.wake();
        ready.take(&mut list);
        assert_eq!(list, [1]);
    }

    #[test]
    fn a_running_task_is_not_woken_but_polls_again() {
        let ready = Ready::default();
        let task = Arc::new(Count::default());
        let one = ready.waker(1);
        ready.begin(&Waker::from(Arc::clone(&task)));
        one.wake();
        assert_eq!(task.0.load(Ordering::SeqCst), 0);
        assert!(!ready.sleep());
        let mut list = Vec::new();
        ready.take(&mut list);
        assert!(ready.sleep());
    }
}
