//! The only place that decides whether a deadline has passed.
//!
//! A deadline that has passed by the clock only fires after checking what the kernel has received.
//! The runtime learns about bytes when it polls the kernel for events, but also runs timers if that
//! call was interrupted, for example by SIGCONT, or reported other sockets only: a process stopped
//! for longer than its timeouts would report timeouts for responses that have arrived. So the
//! waiting task is polled once more with [`past_the_reactor`], in which a socket that would wait
//! for an event tries the system call itself. What has arrived is read, and may satisfy the
//! deadline; the second verdict is final whatever was read, so that a peer cannot postpone a
//! deadline by trickling bytes.
//!
//! The deadlines of an exchange move with every chunk; re-registering a tokio timer each time would
//! cost more than reading the chunk. So a connection's timer stays registered at its earliest
//! deadline and, when it fires early, re-arms itself for the current one. None of this costs
//! anything before a deadline passes.

use std::cell::{Cell, OnceCell};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// Maximum bytes read in one final check. 1 MiB: more than response heads and most windows.
const LOOK: usize = 1024 * 1024;

/// Minimum charge per read. With 64, a check makes at most 16,384 system calls.
const LEAST: usize = 64;

thread_local! {
    /// Bytes that the current task's check may still read; 0 outside of a check.
    static LOOKING: Cell<usize> = const { Cell::new(0) };
}

/// Polls with sockets that try the system call even if the runtime has seen no event.
pub(crate) fn past_the_reactor<T>(poll: impl FnOnce() -> T) -> T {
    struct Outer(usize);
    impl Drop for Outer {
        fn drop(&mut self) {
            LOOKING.set(self.0);
        }
    }
    let _outer = Outer(LOOKING.replace(LOOK));
    poll()
}

/// For sockets: makes `call`, which must not block, if this is a check and the runtime has seen no
/// event.
pub(crate) fn or_look<T>(
    polled: Poll<std::io::Result<T>>,
    size: impl FnOnce(&T) -> usize,
    call: impl FnOnce() -> std::io::Result<T>,
) -> Poll<std::io::Result<T>> {
    if polled.is_ready() {
        return polled;
    }
    let left = LOOKING.get();
    if left == 0 {
        return Poll::Pending;
    }
    look(left, size, call)
}

#[cold]
fn look<T>(
    left: usize,
    size: impl FnOnce(&T) -> usize,
    call: impl FnOnce() -> std::io::Result<T>,
) -> Poll<std::io::Result<T>> {
    match call() {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Poll::Pending,
        Err(error) => Poll::Ready(Err(error)),
        Ok(done) => {
            LOOKING.set(left.saturating_sub(size(&done).max(LEAST)));
            Poll::Ready(Ok(done))
        }
    }
}

/// The state of a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It has not passed; the task is woken when it does.
    Waits,
    /// It has passed by the clock: read what has arrived, with [`past_the_reactor`], and ask again.
    Look,
    /// It has passed, and nothing that has arrived satisfies it.
    Passed,
}

/// The one timer of a connection task.
pub(crate) struct Timer {
    sleep: Pin<Box<Sleep>>,
    armed: bool,
    /// The deadline that was already checked.
    looked: Option<Instant>,
}

impl Timer {
    pub(crate) fn new() -> Self {
        Self {
            sleep: Box::pin(sleep_until(Instant::now())),
            armed: false,
            looked: None,
        }
    }

    /// The state of `deadline`, which a peer can satisfy.
    pub(crate) fn judge(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>) -> Verdict {
        if !self.poll_reached(cx, deadline) {
            Verdict::Waits
        } else if self.looked == deadline {
            Verdict::Passed
        } else {
            self.looked = deadline;
            Verdict::Look
        }
    }

    /// Whether `instant` has passed by the clock, for deadlines that no peer can satisfy; registers
    /// for a wake-up if not.
    pub(crate) fn poll_reached(&mut self, cx: &mut Context<'_>, instant: Option<Instant>) -> bool {
        let Some(instant) = instant else {
            return false;
        };
        if !self.armed || self.sleep.deadline() > instant {
            self.sleep.as_mut().reset(instant);
            self.armed = true;
        }
        while self.sleep.as_mut().poll(cx).is_ready() {
            if Instant::now() >= instant {
                self.armed = false;
                return true;
            }
            self.sleep.as_mut().reset(instant);
        }
        false
    }
}

/// The deadline passed before the future completed.
#[derive(Debug)]
pub(crate) struct Elapsed;

/// Runs `future` until it completes or `deadline` has passed; then it is dropped.
pub(crate) async fn before<F: Future>(deadline: Instant, future: F) -> Result<F::Output, Elapsed> {
    let mut future = pin!(future);
    let mut sleep = pin!(sleep_until(deadline));
    std::future::poll_fn(|cx| {
        if let Poll::Ready(done) = future.as_mut().poll(cx) {
            return Poll::Ready(Ok(done));
        }
        ready!(sleep.as_mut().poll(cx));
        match past_the_reactor(|| future.as_mut().poll(cx)) {
            Poll::Ready(done) => Poll::Ready(Ok(done)),
            Poll::Pending => Poll::Ready(Err(Elapsed)),
        }
    })
    .await
}

/// For deadlines of which the waiting task knows nothing: ready when `deadline` has passed, and when the
/// task has read what had arrived by then and delivered it, which `look` asks for.
pub(crate) async fn passed(deadline: Instant, mut look: impl FnMut(&Waker) -> Poll<()>) {
    sleep_until(deadline).await;
    std::future::poll_fn(|cx| look(cx.waker())).await;
}

/// The deadline `timeout` from now; `None` and zero mean never.
pub(crate) fn after(timeout: Option<Duration>) -> Option<Instant> {
    Moment::default().after(timeout)
}

/// The time of one pass over what was read, taken on first use: reading the clock costs as much as
/// a small response.
#[derive(Default)]
pub(crate) struct Moment(OnceCell<Instant>);

impl Moment {
    pub(crate) fn now(&self) -> Instant {
        *self.0.get_or_init(Instant::now)
    }

    /// The deadline `timeout` from this moment; `None` and zero mean never.
    pub(crate) fn after(&self, timeout: Option<Duration>) -> Option<Instant> {
        match timeout {
            None | Some(Duration::ZERO) => None,
            // A duration beyond the clock's range means never.
            Some(timeout) => self.now().checked_add(timeout),
        }
    }
}

#[cfg(test)]
impl From<Instant> for Moment {
    fn from(at: Instant) -> Self {
        Self(OnceCell::from(at))
    }
}
