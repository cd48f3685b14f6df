//! The minimum rate of a response body.
//!
//! Embedded in [`super::rules`], and like them without I/O: a body is measured over periods in which its
//! reader takes what arrives. Time in which the reader is stopped counts for nothing, and a stop does
//! not begin a new period, so that a peer cannot make use of it.

use std::num::NonZeroU32;
use std::time::Duration;

use dodici_pool::{CloseReason, Error, ErrorKind, Phase};
use tokio::time::Instant;

use crate::clock::Moment;

/// How long a body is measured at a time. 5 s: retransmissions on a bad network take a second or two.
const PERIOD: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Debug)]
pub(super) struct Pace {
    /// Bytes that must arrive in a period.
    least: u64,
    /// Bytes that have arrived in this one.
    pub(super) received: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The period ends then.
    Runs(Instant),
    /// So much is left of it when the reader takes bytes again.
    Stopped(Duration),
}

impl Pace {
    /// `None` if there is no minimum.
    pub(super) fn new(request: Option<u32>, default: Option<NonZeroU32>) -> Option<Self> {
        let rate = request.map_or(default, NonZeroU32::new)?;
        Some(Self {
            least: u64::from(rate.get()) * PERIOD.as_secs(),
            received: 0,
            state: State::Stopped(PERIOD),
        })
    }

    /// The body begins, or its reader takes bytes again.
    pub(super) fn run(&mut self, now: &Moment) {
        if let State::Stopped(left) = self.state {
            self.state = State::Runs(now.now() + left);
        }
    }

    /// The reader takes no more.
    pub(super) fn stop(&mut self, now: &Moment) {
        if let State::Runs(until) = self.state {
            self.state = State::Stopped(until.saturating_duration_since(now.now()));
        }
    }

    /// The end of the period.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Runs(until) => Some(until),
            State::Stopped(_) => None,
        }
    }

    pub(super) fn has_passed(&self, now: &Moment) -> bool {
        self.deadline().is_some_and(|until| until <= now.now())
    }

    /// The period is over: the next one begins, or the exchange fails.
    pub(super) fn judge(&mut self, now: &Moment) -> Option<(CloseReason, Error)> {
        if self.received < self.least {
            let error = Error::new(ErrorKind::BodyTooSlow, Phase::Body, "Body Rate Error");
            return Some((CloseReason::Timeout, error));
        }
        self.received = 0;
        self.state = State::Runs(now.now() + PERIOD);
        None
    }
}
