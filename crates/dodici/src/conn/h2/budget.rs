//! The frame budget: how many frames that do no work a peer may send.
//!
//! A frame costs the sender next to nothing and us a few hundred nanoseconds, and some require a
//! response: a peer can send 700,000 PINGs per second. The h2 crate bounds the state kept for such
//! frames, and for some types their number; this budget bounds all types but one. Useful traffic
//! earns credit, frames that do no work are charged, and the budget refills over time. Fields that
//! are much larger decoded than on the wire are charged by size, those that nobody reads by the
//! largest possible. The budget is a state machine without I/O: the tap reports each frame.
//!
//! DATA with content is free here. A reader that consumes it, a token or a log line at a time, gets what it
//! asked for in however many frames; one that has stopped gets no more than its window, and the
//! exchange merges small pieces. DATA without a reader is bounded by h2, with a budget for small
//! frames on reset streams ([`super::conn`]). DATA without content is free once for each DATA frame
//! with content: a server that flushes after each piece of a body may send that.

use std::mem::take;
use std::time::{Duration, Instant};

use super::frames::{ACK, END_STREAM, Frame, kind};

/// Maximum and initial budget. Ten thousand frames take about 15 ms to handle: a flood ends long
/// before others on the thread notice.
const BURST: i64 = 10_000;

/// Refill per second. 20,000 frames cost about 2 % of a core.
const PER_SECOND: i64 = 20_000;

/// Every HEADERS and DATA frame that we write may cause this many from the peer: a response head,
/// trailers, window updates for stream and connection, some PINGs for measurement. Responses to the
/// peer's frames earn nothing.
const EARNED_BY_WRITING: i64 = 8;

/// Bytes of decoded fields charged like a frame. 4 KiB: a typical head costs nothing extra; one of
/// 60 KiB that was forty bytes on the wire costs fifteen frames.
const FIELDS_OF_A_FRAME: usize = 4 * 1024;

/// Blocks of fields that may arrive on a stream after we have reset it, at the price of any frame:
/// the response and its trailers, which had been sent before the peer knew. Nobody learns what those
/// after them decode to.
const FIELDS_AFTER_RESET: u32 = 2;

/// See the module.
#[derive(Debug)]
pub(super) struct FrameBudget {
    balance: i64,
    /// Streams that we have reset, and the blocks of fields received on each since.
    reset: Vec<(u32, u32)>,
    /// Nobody will read the block of fields that is arriving.
    is_unread: bool,
    renewed: Instant,
    /// DATA with content has arrived since the last without.
    filled: bool,
}

impl FrameBudget {
    /// Lists of fields of at least this size must be reported.
    pub(super) const PRICED_FIELDS: usize = FIELDS_OF_A_FRAME;

    /// The error of requests whose peer has exceeded its budget.
    pub(super) const OVERDRAWN: &str = "HTTP/2: the server exceeded its budget of frames that do no \
                                        work: 10,000, plus 20,000 per second";

    /// A full budget.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            balance: BURST,
            reset: Vec::new(),
            is_unread: false,
            renewed: now,
            filled: false,
        }
    }

    /// Records a frame that we sent.
    pub(super) fn wrote(&mut self, frame: &Frame) {
        if matches!(frame.kind, kind::HEADERS | kind::DATA) {
            self.balance = (self.balance + EARNED_BY_WRITING).min(BURST);
        } else if frame.kind == kind::RST_STREAM {
            self.reset.push((frame.stream, 0));
        }
    }

    /// Charges a received frame. False once the budget is exceeded. `now` is only called if a
    /// refill could help.
    #[must_use]
    pub(super) fn received(&mut self, frame: &Frame, now: impl FnOnce() -> Instant) -> bool {
        if frame.kind == kind::DATA {
            if frame.length > 0 {
                self.filled = true;
            }
            if frame.length > 0 || frame.flags & END_STREAM != 0 || take(&mut self.filled) {
                return true;
            }
        }
        if frame.kind == kind::HEADERS {
            let mut reset = self.reset.iter_mut();
            let blocks = reset.find(|(stream, _)| *stream == frame.stream);
            self.is_unread = blocks.is_some_and(|(_, blocks)| {
                *blocks += 1;
                *blocks > FIELDS_AFTER_RESET
            });
        }
        self.pay(cost(frame), now)
    }

    /// Charges this many fields of the block that is arriving, a byte or two each on the wire and
    /// 4 KiB at most, HPACK's table by default; unless somebody reads them, and reports what they
    /// decode to.
    #[must_use]
    pub(super) fn repeated(&mut self, fields: u32, now: impl FnOnce() -> Instant) -> bool {
        !self.is_unread || self.pay(i64::from(fields), now)
    }

    /// Charges this many bytes of decoded fields, like [`FrameBudget::received`].
    #[must_use]
    pub(super) fn decoded(&mut self, bytes: usize, now: impl FnOnce() -> Instant) -> bool {
        self.pay((bytes / FIELDS_OF_A_FRAME) as i64, now)
    }

    fn pay(&mut self, cost: i64, now: impl FnOnce() -> Instant) -> bool {
        self.balance -= cost;
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

/// The charge for a frame. Those that require a response, or change settings, cost more.
fn cost(frame: &Frame) -> i64 {
    match frame.kind {
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

    /// Frames of this type until the budget is exceeded, all at one instant.
    fn tolerated(frame: &Frame) -> usize {
        let now = Instant::now();
        let mut budget = FrameBudget::new(now);
        (0..1_000_000)
            .take_while(|_| budget.received(frame, || now))
            .count()
    }

    #[test]
    fn every_kind_of_useless_frame_is_limited() {
        for kind in 1..=20 {
            assert!(tolerated(&frame(kind, 8)) <= BURST as usize, "kind {kind}");
        }
        assert_eq!(tolerated(&frame(kind::DATA, 0)), BURST as usize);
        assert!(tolerated(&frame(kind::GOAWAY, 8)) <= 20);
    }

    #[test]
    fn a_body_is_not_limited_however_small_its_frames_are() {
        assert_eq!(tolerated(&frame(kind::DATA, 16384)), 1_000_000);
        assert_eq!(tolerated(&frame(kind::DATA, 1)), 1_000_000);
    }

    #[test]
    fn empty_data_is_free_once_for_each_with_content() {
        let now = Instant::now();
        let mut budget = FrameBudget::new(now);
        for _ in 0..1_000_000 {
            assert!(budget.received(&frame(kind::DATA, 1), || now));
            assert!(budget.received(&frame(kind::DATA, 0), || now));
        }
        let last = Frame {
            flags: END_STREAM,
            ..frame(kind::DATA, 0)
        };
        assert_eq!(tolerated(&last), 1_000_000);
    }

    #[test]
    fn fields_are_charged_by_decoded_size() {
        let now = Instant::now();
        let large = |bytes: usize| {
            let mut budget = FrameBudget::new(now);
            let heads = (0..1_000_000).take_while(|_| {
                budget.received(&frame(kind::HEADERS, 40), || now) && budget.decoded(bytes, || now)
            });
            heads.count()
        };
        assert_eq!(large(1000), BURST as usize);
        assert!(large(60 * 1024) <= BURST as usize / 15);
    }

    #[test]
    fn repeated_fields_on_a_stream_that_was_reset_are_charged_as_the_largest() {
        let now = Instant::now();
        let of = |stream, kind| Frame {
            stream,
            ..frame(kind, 40)
        };
        let mut budget = FrameBudget::new(now);
        let mut arrives = |stream| {
            let head = of(stream, kind::HEADERS);
            budget.received(&head, || now) && budget.repeated(15, || now)
        };
        // Of one that was not reset, whoever reads them reports their size.
        assert!((0..1000).all(|_| arrives(1601)));
        for stream in (1..1601).step_by(2) {
            budget.wrote(&of(stream, kind::RST_STREAM));
        }
        let mut arrives = |stream| {
            let head = of(stream, kind::HEADERS);
            budget.received(&head, || now) && budget.repeated(15, || now)
        };
        // What crosses a reset is not held against the peer.
        for stream in (1..1601).step_by(2) {
            assert!((0..FIELDS_AFTER_RESET).all(|_| arrives(stream)));
        }
        assert!((0..100_000).take_while(|_| arrives(1)).count() as i64 <= BURST / 16);
    }

    #[test]
    fn responses_to_our_frames_are_free_but_frames_we_must_answer_are_not() {
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
    fn time_refills_the_budget_up_to_its_size() {
        let start = Instant::now();
        let mut budget = FrameBudget::new(start);
        let tiny = frame(kind::HEADERS, 1);
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
