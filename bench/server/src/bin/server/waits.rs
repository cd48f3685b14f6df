//! How long requests had waited in the client when they arrived. The connection loop feeds it.
//!
//! A client writes the time of its `dispatch()` into a header; the time of arrival is taken here.
//! Both are the same system clock, so they can be subtracted.

use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds since 1970, as `x-dispatched` has them.
pub(crate) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_micros() as u64)
}

/// The waits since the last account, in microseconds.
#[derive(Default)]
pub(crate) struct Waits(Vec<u64>);

impl Waits {
    /// Requests that were dispatched at these times have arrived at `now`.
    pub(crate) fn arrived(&mut self, now: u64, dispatched: impl Iterator<Item = u64>) {
        self.0
            .extend(dispatched.map(|then| now.saturating_sub(then)));
    }

    /// Fields of a JSON object, in milliseconds, after a comma; then resets.
    pub(crate) fn account(&mut self) -> String {
        let mut waits = std::mem::take(&mut self.0);
        waits.sort_unstable();
        let Some(last) = waits.len().checked_sub(1) else {
            return String::new();
        };
        let [p50, p99] = [50, 99].map(|percent| waits[last * percent / 100] as f64 / 1e3);
        format!(",\"waitP50\":{p50},\"waitP99\":{p99}")
    }
}

#[cfg(test)]
mod tests {
    use super::Waits;

    #[test]
    fn an_account_has_the_percentiles_since_the_last_one() {
        let mut waits = Waits::default();
        waits.arrived(1_000_000, (0..=100).map(|wait| 1_000_000 - wait * 1000));
        assert_eq!(waits.account(), ",\"waitP50\":50,\"waitP99\":99");
        assert_eq!(waits.account(), "");
    }

    #[test]
    fn a_clock_that_went_back_counts_as_no_wait() {
        let mut waits = Waits::default();
        waits.arrived(5, [7].into_iter());
        assert_eq!(waits.account(), ",\"waitP50\":0,\"waitP99\":0");
    }
}
