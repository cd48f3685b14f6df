//! Whether a stream's window is too small for the round-trip time.
//!
//! A distant peer sends a window, waits a round trip for window updates, and sends the next: a
//! window of 256 KiB over 100 ms carries 2.5 MB/s, whatever the link could do. If a reader consumes
//! a whole window within two round trips, the window is the bottleneck, and [`super::conn`] doubles
//! it. A slow reader, or a nearby peer, never gets more than the initial window. Has no I/O and no
//! clock.

use std::time::{Duration, Instant};

/// Windows of nearer peers never grow: 256 KiB per millisecond are 256 MB/s.
const NEAR: Duration = Duration::from_millis(1);

/// How fast the reader of one stream returns window.
pub(super) struct Pace {
    /// When the current window's worth started.
    since: Instant,
    taken: u64,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            since: now,
            taken: 0,
        }
    }

    /// Records window returned to the peer. True if that completes a whole window within two round
    /// trips.
    pub(super) fn took(
        &mut self,
        bytes: usize,
        window: u32,
        round_trip: Duration,
        now: Instant,
    ) -> bool {
        self.taken += bytes as u64;
        if self.taken < u64::from(window) {
            return false;
        }
        let took = now.saturating_duration_since(self.since);
        *self = Self::new(now);
        round_trip >= NEAR && took <= 2 * round_trip
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: u32 = 256 * 1024;

    /// Whether a window in four pieces, this far apart, is too small for this round trip.
    fn is_small(apart: Duration, round_trip: Duration) -> bool {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let answers: Vec<_> = (1..=4)
            .map(|n| pace.took(WINDOW as usize / 4, WINDOW, round_trip, start + n * apart))
            .collect();
        assert!(!answers[..3].contains(&true));
        answers[3]
    }

    #[test]
    fn one_window_per_round_trip_is_limited_by_the_window() {
        let far = Duration::from_millis(100);
        assert!(is_small(far / 4, far));
        assert!(is_small(far / 2, far));
    }

    #[test]
    fn a_slow_reader_and_a_near_peer_need_no_more() {
        let far = Duration::from_millis(100);
        assert!(!is_small(far, far));
        let near = Duration::from_micros(100);
        assert!(!is_small(near / 4, near));
    }

    #[test]
    fn each_window_is_measured_by_itself() {
        let far = Duration::from_millis(100);
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let whole = WINDOW as usize;
        assert!(!pace.took(whole, WINDOW, far, start + 10 * far));
        assert!(pace.took(whole, WINDOW, far, start + 11 * far));
    }
}
