//! Requests whose parts are timed, and the order of their times.

use std::time::Instant;

use dodici::{Request, RequestTimings};

/// A request that reports its timings.
pub fn timed(mut request: Request) -> Request {
    request.timed = true;
    request
}

/// The times from `dispatched` to `ended`.
///
/// # Panics
/// If one of them is missing, or before the one before it.
pub fn in_order(timings: &RequestTimings) -> [Instant; 6] {
    let times = [
        Some(timings.dispatched),
        timings.assigned,
        timings.head_sent,
        timings.body_sent,
        timings.first_byte,
        timings.ended,
    ]
    .map(|time| time.expect("every part has a time"));
    assert!(times.is_sorted(), "{timings:?}");
    times
}
