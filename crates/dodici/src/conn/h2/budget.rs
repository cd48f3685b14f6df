//! How many frames that do no work a peer may send.
//!
//! A frame costs the sender next to nothing and us a few hundred nanoseconds, and some need an
//! answer. The h2 crate bounds what such frames make it remember, and for some kinds their number;
//! this account bounds all kinds (`../shared` figures: a peer can send 700,000 PINGs a second).
//! Useful traffic earns; frames without use cost; what is left over renews with time. The account
//! is a state machine without I/O: the tap tells it of each frame.

use std::time::{Duration, Instant};

use super::frames::{ACK, END_STREAM, Frame, kind};

/// What the account holds at most, and at first. Ten thousand frames take about 15 ms to handle:
/// a flood ends long before anybody else on the thread notices.
const BURST: i64 = 10_000;

/// What the account gains in a second, whatever happens. A server that streams tokens in tiny
/// DATA frames over many streams sends some thousands a second; 20,000 cost about 2 % of a core.
const PER_SECOND: i64 = 20_000;

/// Every HEADERS and DATA frame that we write may cause this many of the peer: a response head,
/// trailers, window updates for stream and connection, some PINGs that measure. Answers to the
/// peer's frames earn nothing.
const EARNED_BY_WRITING: i64 = 8;

/// DATA of at least this many bytes is useful whatever its number.
const USEFUL_DATA: u32 = 64;

/// See the module.
#[derive(Debug)]
pub(super) struct FrameBudget {
    balance: i64,
    renewed: Instant,
}

impl FrameBudget {
    /// A full account.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            balance: BURST,
            renewed: now,
        }
    }

    /// Takes note of a frame that we sent.
    pub(super) fn wrote(&mut self, frame: &Frame) {
        if matches!(frame.kind, kind::HEADERS | kind::DATA) {
            self.balance = (self.balance + EARNED_BY_WRITING).min(BURST);
        }
    }

    /// Takes note of a frame that came. False once the account is overdrawn. `now` is asked for
    /// only where time could help.
    #[must_use]
    pub(super) fn received(&mut self, frame: &Frame, now: impl FnOnce() -> Instant) -> bool {
        self.balance -= cost(frame);
        if self.balance >= 0 {
            return true;
        }
        let now = now();
        let passed = now.saturating_duration_since(self.renewed);
        self.renewed = now;
        self.balance = (self.balance + renewal(passed)).min(BURST);
        self.balance >= 0
    }
}

fn renewal(passed: Duration) -> i64 {
    i64::try_from(passed.as_micros())
        .unwrap_or(i64::MAX)
        .saturating_mul(PER_SECOND)
        / 1_000_000
}

/// What a frame costs. Those that need an answer, or change the rules, cost more.
fn cost(frame: &Frame) -> i64 {
    match frame.kind {
        kind::DATA if frame.length >= USEFUL_DATA || frame.flags & END_STREAM != 0 => 0,
        kind::PING if frame.flags & ACK == 0 => 2,
        kind::SETTINGS if frame.flags & ACK == 0 => 5,
        // A graceful shutdown takes two.
        kind::GOAWAY => 500,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, length: u32) -> Frame {
        Frame {
            kind,
            flags: 0,
            stream: 1,
            length,
            goaway: None,
        }
    }

    /// Frames of this kind until the account is overdrawn, all at one instant.
    fn tolerated(frame: &Frame) -> usize {
        let now = Instant::now();
        let mut budget = FrameBudget::new(now);
        (0..1_000_000)
            .take_while(|_| budget.received(frame, || now))
            .count()
    }

    #[test]
    fn every_kind_of_frame_without_use_has_an_end() {
        for kind in 1..=20 {
            assert!(tolerated(&frame(kind, 8)) <= BURST as usize, "kind {kind}");
        }
        assert!(tolerated(&frame(kind::DATA, 0)) <= BURST as usize);
        assert!(tolerated(&frame(kind::DATA, 1)) <= BURST as usize);
        assert!(tolerated(&frame(kind::GOAWAY, 8)) <= 20);
    }

    #[test]
    fn a_download_has_none() {
        assert_eq!(tolerated(&frame(kind::DATA, 16384)), 1_000_000);
    }

    #[test]
    fn answers_to_what_we_write_are_free_but_not_what_we_must_answer() {
        let now = Instant::now();
        let mut budget = FrameBudget::new(now);
        for _ in 0..100_000 {
            budget.wrote(&frame(kind::HEADERS, 20));
            for _ in 0..EARNED_BY_WRITING {
                assert!(budget.received(&frame(kind::HEADERS, 20), || now));
            }
        }
        let pings = (0..100_000).take_while(|_| {
            budget.wrote(&frame(kind::PING, 8));
            budget.received(&frame(kind::PING, 8), || now)
        });
        assert!(pings.count() as i64 <= BURST);
    }

    #[test]
    fn time_renews_the_account_up_to_its_size() {
        let start = Instant::now();
        let mut budget = FrameBudget::new(start);
        let tiny = frame(kind::DATA, 1);
        let mut now = start;
        for _ in 0..1000 {
            now += Duration::from_millis(1);
            for _ in 0..PER_SECOND / 1000 {
                assert!(budget.received(&tiny, || now));
            }
        }
        now += Duration::from_secs(3600);
        let tolerated = (0..100_000)
            .take_while(|_| budget.received(&tiny, || now))
            .count();
        assert!(tolerated as i64 <= 2 * BURST + 1, "{tolerated}");
    }
}
