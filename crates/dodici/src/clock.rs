//! Time: the one place that decides that a deadline has passed.
//!
//! A deadline that has passed by the clock is judged only after a look at what the kernel holds. The
//! runtime learns of bytes when it asks the kernel for events, and runs timers although that call
//! was interrupted, as by SIGCONT, or told of other sockets only; a process that was stopped for
//! longer than its time-outs would report answers that are there as time-outs. So who waits is
//! polled once more with [`past_the_reactor`], where a socket that would wait for an event tries the
//! system call itself. What is there is read, and may have answered the deadline; whatever it was,
//! the second verdict stands, so that a peer that trickles bytes cannot put it off.
//!
//! Deadlines of an exchange move with every chunk; re-registering a tokio timer each time would
//! cost more than reading the chunk. So the timer of a connection stays registered at the earliest
//! instant it was ever asked for and, when it fires early, re-arms itself for the deadline that
//! counts now. Until a deadline passes none of this costs anything.

use std::cell::{Cell, OnceCell};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// Bytes that one look may bring. 1 MiB: no response head, and no window, is larger.
const LOOK: usize = 1024 * 1024;

/// The least that a read counts. With 64, a look makes at most 16,384 system calls.
const LEAST: usize = 64;

thread_local! {
    /// Bytes that the look of the task that runs now may still bring; 0 outside of a look.
    static LOOKING: Cell<usize> = const { Cell::new(0) };
}

/// Polls with sockets that try the system call where the runtime knows of no event.
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

/// For sockets: makes `call`, which must not block, if this is a look and the runtime says that
/// there is no event.
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

/// How a deadline stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// There is time left; the task is woken at its end.
    Waits,
    /// It has passed by the clock: who asks reads what is there, [`past_the_reactor`], and asks
    /// again.
    Look,
    /// It has passed, and nothing that is there has answered it.
    Passed,
}

/// The one timer of a connection task.
pub(crate) struct Timer {
    sleep: Pin<Box<Sleep>>,
    armed: bool,
    /// The deadline for which there was a look.
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

    /// How `deadline`, which a peer can answer, stands.
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

    /// Whether `instant` has come by the clock, which is all there is to say where nobody can
    /// answer; registers for a wake-up at it if not.
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

/// The deadline passed before the future was done.
#[derive(Debug)]
pub(crate) struct Elapsed;

/// Runs `future` until it is done or `deadline` has passed; then it is dropped.
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

/// The deadline `timeout` from now; `None` and zero mean never.
pub(crate) fn after(timeout: Option<Duration>) -> Option<Instant> {
    Moment::default().after(timeout)
}

/// The time of one pass over what was read, taken when it is first asked for: a look at the clock costs
/// as much as a small response.
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
            // A duration too long for the clock is as good as never.
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
