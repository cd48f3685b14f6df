//! Deadlines of an HTTP/2 or HTTP/3 connection: those of its exchanges, its rest, and PING.
//!
//! One timer serves them all. It is set to the earliest instant that anybody asked for; when it
//! fires, all are looked at.

use std::task::Context;
use std::time::Duration;

use dodici_pool::{CloseReason, Error, ErrorKind, Event, Phase};
use tokio::time::Instant;

use super::{Multiplex, contain};
use crate::clock::{Verdict, after, past_the_reactor};
use crate::conn::Multiplexed;
use crate::exchange::StreamExchange;

/// Least time that a PING gets after a stream timed out, as in undici: that timeout may be far
/// shorter than what a loaded peer takes to answer.
const LEAST_PROBE: Duration = Duration::from_secs(1);

/// When the peer is pinged.
pub(super) struct Ping {
    /// The next PING.
    next: Option<Instant>,
    /// When the last one was made, and when its answer must be there; `None` once it is.
    unanswered: Option<(Instant, Instant)>,
    /// A request timed out: no stream is opened before the peer has answered.
    probing: bool,
}

impl Ping {
    pub(super) fn new(interval: Option<Duration>) -> Self {
        Self {
            next: after(interval),
            unanswered: None,
            probing: false,
        }
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.next
    }

    pub(super) fn is_probing(&self) -> bool {
        self.probing
    }

    fn due(&self) -> Option<Instant> {
        self.unanswered.map(|(_, due)| due)
    }
}

impl<C: Multiplexed> Multiplex<C> {
    /// Takes note of a deadline. True if the timer must be set for it.
    pub(super) fn arm(&mut self, deadline: Option<Instant>) -> bool {
        let Some(deadline) = deadline else {
            return false;
        };
        let sooner = self.earliest.is_none_or(|earliest| deadline < earliest);
        if sooner {
            self.earliest = Some(deadline);
        }
        sooner
    }

    pub(super) fn tick(&mut self) {
        self.clock.reset();
        let clock = self.clock.waker().clone();
        let mut cx = Context::from_waker(&clock);
        loop {
            match self.timer.judge(&mut cx, self.earliest) {
                Verdict::Waits => return,
                Verdict::Look => {
                    past_the_reactor(|| self.drive());
                    self.hear_pong();
                }
                Verdict::Passed => self.expire(),
            }
        }
    }

    /// Some deadline has passed, or was put off since: looks at all.
    fn expire(&mut self) {
        let now = Instant::now();
        let passed = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        self.earliest = None;
        if passed(self.rest_until) {
            self.rest_until = None;
            let machine = &mut self.pool.state.lock().machine;
            machine.handle_deadline(now.into_std());
            self.stirred = true;
        }
        if passed(self.ping.due()) {
            self.ping.unanswered = None;
            let error = Error::new(
                ErrorKind::Socket,
                Phase::Headers,
                format!("{}: connection unresponsive", C::NAME),
            );
            let late =
                std::io::Error::new(std::io::ErrorKind::TimedOut, "a PING was not acknowledged");
            let error = error.with_source(late);
            let error = error.with_socket(self.conn.socket_info());
            self.lose((CloseReason::Timeout, error));
        }
        if passed(self.ping.next) {
            // From now on, and not from the answer on: a peer that answers slowly is not asked
            // less often, and a stream that is opened meanwhile waits for an interval at most.
            self.ping.next = after(self.limits.ping_interval);
            if self.limits.ping_while_idle || self.active > 0 {
                self.send_ping(self.limits.ping_timeout);
            }
        }
        for index in 0..self.slots.len() as u32 {
            let exchange = self.slots[index as usize].exchange.as_ref();
            let deadline = exchange.and_then(StreamExchange::deadline);
            if passed(deadline) {
                self.poll_slot(index, true);
            } else {
                self.arm(deadline);
            }
        }
        self.arm(self.rest_until);
        self.arm(self.ping.due());
        self.arm(self.ping.next);
    }

    /// A request timed out: either it was slow, or the connection is dead.
    pub(super) fn probe(&mut self, timeout: Option<Duration>) {
        if self.ping.probing {
            return;
        }
        self.ping.probing = true;
        self.send_ping(timeout.unwrap_or_default().max(LEAST_PROBE));
    }

    fn send_ping(&mut self, timeout: Duration) {
        // One that is still unanswered serves as well.
        if self.ping.unanswered.is_some() || !self.conn.send_ping() {
            return;
        }
        let now = Instant::now();
        let due = now.checked_add(timeout).unwrap_or(now);
        self.ping.unanswered = Some((now, due));
        self.pong.wake();
        if self.arm(Some(due)) {
            self.clock.wake();
        }
    }

    pub(super) fn hear_pong(&mut self) {
        self.pong.reset();
        let pong = self.pong.waker().clone();
        let mut cx = Context::from_waker(&pong);
        let Some((made, _)) = self.ping.unanswered else {
            return;
        };
        if self.conn.poll_pong(&mut cx).is_pending() {
            return;
        }
        self.ping.unanswered = None;
        if std::mem::take(&mut self.ping.probing) {
            self.inbox.wake();
            return;
        }
        let event = Event::Pong {
            conn: self.id,
            round_trip: made.elapsed(),
        };
        contain(|| self.pool.events.event(event));
    }
}
