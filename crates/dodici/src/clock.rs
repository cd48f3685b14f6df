//! The one timer of a connection task.
//!
//! Deadlines of an exchange move with every chunk; re-registering a tokio timer each time would
//! cost more than reading the chunk. So the timer stays registered at the earliest instant it was
//! ever asked for and, when it fires early, re-arms itself for the deadline that counts now.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// A lazily re-armed deadline.
pub(crate) struct Timer {
    sleep: Pin<Box<Sleep>>,
    armed: bool,
}

impl Timer {
    pub(crate) fn new() -> Self {
        Self { sleep: Box::pin(sleep_until(Instant::now())), armed: false }
    }

    /// Whether `deadline` has passed; registers for a wake-up at it if not.
    pub(crate) fn poll_expired(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>) -> bool {
        let Some(deadline) = deadline else { return false };
        if !self.armed || self.sleep.deadline() > deadline {
            self.sleep.as_mut().reset(deadline);
            self.armed = true;
        }
        while self.sleep.as_mut().poll_elapsed(cx).is_ready() {
            if Instant::now() >= deadline {
                self.armed = false;
                return true;
            }
            self.sleep.as_mut().reset(deadline);
        }
        false
    }
}

trait PollElapsed {
    fn poll_elapsed(self, cx: &mut Context<'_>) -> Poll<()>;
}

impl PollElapsed for Pin<&mut Sleep> {
    fn poll_elapsed(self, cx: &mut Context<'_>) -> Poll<()> {
        Future::poll(self, cx)
    }
}

/// The deadline `timeout` from now; `None` and zero mean never.
pub(crate) fn after(timeout: Option<Duration>) -> Option<Instant> {
    match timeout {
        None | Some(Duration::ZERO) => None,
        // A duration too long for the clock is as good as never.
        Some(timeout) => Instant::now().checked_add(timeout),
    }
}
