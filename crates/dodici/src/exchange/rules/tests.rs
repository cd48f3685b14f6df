#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::time::Duration;

use dodici_pool::{CloseReason, ErrorKind, ExchangeConfig, Phase, Request, UnexpectedContinue};
use dodici_testkit::with;
use proptest::prelude::*;
use tokio::time::Instant;

use super::{Length, Rules, Stage, Wire};
use crate::clock::Moment;

const SECOND: Duration = Duration::from_secs(1);

fn config() -> ExchangeConfig {
    with(ExchangeConfig::default(), |config| {
        config.headers_timeout = Some(10 * SECOND);
        config.body_timeout = Some(20 * SECOND);
    })
}

fn started(wire: Wire, config: &ExchangeConfig, at: Instant) -> Rules {
    let mut rules = Rules::new(wire, &Request::new("GET / HTTP/1.1\r\n\r\n"), config);
    rules.begin(&at.into());
    rules
}

/// The error when its deadline passes.
fn expired(rules: &mut Rules) -> (CloseReason, ErrorKind, Phase, String) {
    let (reason, error) = rules.expire(false, &Moment::default()).unwrap();
    let text = error.message().to_owned();
    (reason, error.kind(), error.phase(), text)
}

#[test]
fn the_headers_timeout_restarts_with_each_write_and_the_body_timeout_with_each_piece() {
    let start = Instant::now();
    let at = |seconds| Moment::from(start + seconds * SECOND);
    let mut rules = started(Wire::Http1, &config(), start);
    assert_eq!(rules.deadline(), Some(start + 10 * SECOND));
    assert!(rules.wrote(&at(3)));
    assert_eq!(rules.deadline(), Some(start + 13 * SECOND));
    rules.informational(103, &at(4));
    assert_eq!(rules.deadline(), Some(start + 13 * SECOND));
    rules.head(Length::Any, &at(5));
    assert_eq!(rules.deadline(), Some(start + 25 * SECOND));
    assert!(!rules.wrote(&at(6)), "the head was received");
    rules.data(1, &at(7)).unwrap();
    assert_eq!(rules.deadline(), Some(start + 27 * SECOND));
}

#[test]
fn a_request_overrides_the_timeouts_of_its_origin_and_zero_is_never() {
    let now = Moment::default();
    let mut request = Request::new("GET / HTTP/1.1\r\n\r\n");
    request.headers_timeout = Some(2 * SECOND);
    request.body_timeout = Some(Duration::ZERO);
    let mut rules = Rules::new(Wire::Http1, &request, &config());
    rules.begin(&now);
    assert_eq!(rules.deadline(), now.after(Some(2 * SECOND)));
    rules.head(Length::Any, &now);
    assert_eq!(rules.deadline(), None);
}

#[test]
fn each_wire_has_its_own_timeout_message() {
    let now = Instant::now();
    let timeout = |kind, phase, text: &str| (CloseReason::Timeout, kind, phase, text.to_owned());
    let (headers, body) = (ErrorKind::HeadersTimeout, ErrorKind::BodyTimeout);
    let mut one = started(Wire::Http1, &config(), now);
    let text = "Headers Timeout Error";
    assert_eq!(expired(&mut one), timeout(headers, Phase::Headers, text));
    one.head(Length::Any, &now.into());
    let text = "Body Timeout Error";
    assert_eq!(expired(&mut one), timeout(body, Phase::Body, text));

    let request = Request::new("GET / HTTP/1.1\r\n\r\n");
    let mut two = Rules::new(Wire::Http2, &request, &config());
    two.wait(&now.into());
    let text = "HTTP/2: server did not accept a new stream within 10000";
    assert_eq!(expired(&mut two), timeout(headers, Phase::Headers, text));
    two.begin(&now.into());
    let text = "HTTP/2: \"headers timeout after 10000\"";
    assert_eq!(expired(&mut two), timeout(headers, Phase::Headers, text));
    two.head(Length::Any, &now.into());
    let text = "HTTP/2: \"stream timeout after 20000\"";
    assert_eq!(expired(&mut two), timeout(body, Phase::Body, text));
}

#[test]
fn a_slow_caller_causes_no_headers_timeout() {
    let start = Instant::now();
    let later = Moment::from(start + 11 * SECOND);
    let mut rules = started(Wire::Http2, &config(), start);
    assert!(rules.expire(true, &later).is_none());
    assert_eq!(rules.deadline(), Some(start + 21 * SECOND));
    let request = Request::new("GET / HTTP/1.1\r\n\r\n");
    let mut waiting = Rules::new(Wire::Http2, &request, &config());
    waiting.wait(&start.into());
    assert!(waiting.expire(true, &later).is_some());
    rules.head(Length::Any, &later);
    assert!(rules.expire(true, &later).is_some());
}

#[test]
fn an_unrequested_100_shortens_the_wait_once_and_over_http_1_only() {
    let start = Instant::now();
    let at = |seconds| Moment::from(start + seconds * SECOND);
    let mut config = config();
    config.unexpected_continue = UnexpectedContinue::Await(2 * SECOND);
    let mut rules = started(Wire::Http1, &config, start);
    assert!(rules.informational(100, &at(1)));
    assert_eq!(rules.deadline(), Some(start + 3 * SECOND));
    assert!(!rules.informational(100, &at(2)));
    assert_eq!(rules.deadline(), Some(start + 3 * SECOND));
    let (reason, kind, _, text) = expired(&mut rules);
    let expected = (CloseReason::ProtocolError, ErrorKind::Socket);
    assert_eq!(
        (reason, kind, &*text),
        (expected.0, expected.1, "bad response")
    );

    let mut rules = started(Wire::Http2, &config, start);
    assert!(!rules.informational(100, &at(1)));
    assert_eq!(rules.deadline(), Some(start + 10 * SECOND));

    // The shorter of the two applies, and its error says so.
    config.headers_timeout = Some(SECOND);
    let mut rules = started(Wire::Http1, &config, start);
    assert!(rules.informational(100, &at(0)));
    assert_eq!(expired(&mut rules).1, ErrorKind::HeadersTimeout);
}

#[test]
fn a_stopped_reader_causes_no_body_timeout() {
    let start = Instant::now();
    let at = |seconds| Moment::from(start + seconds * SECOND);
    let mut rules = started(Wire::Http2, &config(), start);
    rules.head(Length::Any, &at(0));
    assert!(!rules.delivers(false, &at(1)));
    assert_eq!(rules.deadline(), None);
    // Reading ahead of the reader does not start the timeout.
    rules.data(1, &at(2)).unwrap();
    assert_eq!(rules.deadline(), None);
    assert!(rules.delivers(true, &at(50)));
    assert_eq!(rules.deadline(), Some(start + 70 * SECOND));
    assert!(rules.delivers(true, &at(60)));
    assert_eq!(rules.deadline(), Some(start + 70 * SECOND));
}

#[test]
fn a_body_has_the_length_that_its_head_declares() {
    let now = Moment::default();
    let with = |length| {
        let mut rules = started(Wire::Http2, &config(), now.now());
        rules.head(length, &now);
        rules
    };
    let mut rules = with(Length::Exactly(2));
    rules.data(1, &now).unwrap();
    let mismatch = ErrorKind::ResponseContentLengthMismatch;
    assert_eq!(rules.check_length().unwrap_err().kind(), mismatch);
    rules.data(1, &now).unwrap();
    rules.check_length().unwrap();
    assert_eq!(rules.data(1, &now).unwrap_err().kind(), mismatch);
    let mut rules = with(Length::Nothing);
    rules.data(0, &now).unwrap();
    rules.check_length().unwrap();
    let refused = rules.data(1, &now).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::StreamReset(1));
}

#[test]
fn a_byte_stream_has_no_timeout_and_no_size_limit() {
    let now = Moment::default();
    let mut config = config();
    config.max_response_size = Some(1);
    let mut rules = started(Wire::Http2, &config, now.now());
    rules.upgrade();
    rules.data(2, &now).unwrap();
    assert_eq!(rules.next_deadline(), None);
    rules.delivers(false, &now);
    rules.delivers(true, &now);
    rules.end_half();
    assert_eq!(rules.next_deadline(), None);
    assert_eq!(
        (rules.stage(), rules.phase()),
        (Stage::OwnHalf, Phase::Upgraded)
    );
}

#[test]
fn the_rest_of_a_body_is_awaited_as_the_wire_requires() {
    let now = Moment::default();
    let mut config = config();
    config.body_grace = None;
    let mut rules = started(Wire::Http1, &config, now.now());
    rules.head(Length::Any, &now);
    assert!(!rules.wait_for_rest(&config, &now));
    assert_eq!(rules.stage(), Stage::Body);
    let mut rules = started(Wire::Http2, &config, now.now());
    rules.head(Length::Any, &now);
    assert!(rules.wait_for_rest(&config, &now));
    assert_eq!(rules.stage(), Stage::Ending);
    assert_eq!(rules.deadline(), now.after(Some(SECOND)));
}

#[test]
fn a_held_body_is_released_once() {
    let now = Moment::default();
    let mut rules = started(Wire::Http1, &config(), now.now());
    rules.hold_body(SECOND, &now);
    assert_eq!(rules.next_deadline(), now.after(Some(SECOND)));
    assert!(rules.release_body(&now));
    assert!(!rules.release_body(&now));
    assert_eq!(rules.next_deadline(), now.after(Some(10 * SECOND)));
}

#[test]
fn the_headers_timeout_starts_when_a_held_body_is_released() {
    let now = Moment::default();
    for wire in [Wire::Http1, Wire::Http2] {
        let mut rules = started(wire, &config(), now.now());
        rules.hold_body(60 * SECOND, &now);
        // The request head is sent, and a 103 arrives.
        rules.wrote(&now);
        rules.informational(103, &now);
        assert_eq!(rules.deadline(), None);
        let later = Moment::from(now.now() + 59 * SECOND);
        rules.release_body(&later);
        assert_eq!(rules.deadline(), later.after(Some(10 * SECOND)));
        // The head ends the shortened timeout.
        rules.hold_body(SECOND, &later);
        rules.head(Length::Any, &later);
        let of_body = rules.deadline();
        rules.release_body(&now);
        assert_eq!(rules.deadline(), of_body);
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Wrote,
    Informational(u16),
    Head,
    Data(usize),
    Delivers(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Wrote),
        prop_oneof![Just(100), Just(103)].prop_map(Step::Informational),
        Just(Step::Head),
        (0_usize..200).prop_map(Step::Data),
        any::<bool>().prop_map(Step::Delivers),
    ]
}

proptest! {
    #[test]
    fn whatever_a_wire_reports_no_byte_beyond_the_limit_passes_and_every_silence_is_timed(
        http1 in any::<bool>(),
        limit in prop::option::of(0_u64..400),
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let wire = if http1 { Wire::Http1 } else { Wire::Http2 };
        let mut config = config();
        config.max_response_size = limit;
        config.unexpected_continue = UnexpectedContinue::Await(SECOND);
        let start = Instant::now();
        let mut rules = started(wire, &config, start);
        let (mut received, mut stopped, mut last) = (0_u64, false, rules.stage());
        for (seconds, step) in (0_u32..).zip(steps) {
            let at = start + seconds * SECOND;
            let now = Moment::from(at);
            let has_head = rules.has_head();
            match step {
                Step::Wrote => prop_assert_eq!(rules.wrote(&now), !has_head),
                Step::Informational(status) => drop(rules.informational(status, &now)),
                Step::Head if !has_head => rules.head(Length::Any, &now),
                Step::Data(bytes) if has_head => {
                    let left = limit.map_or(u64::MAX, |limit| limit - received);
                    // A read whose size is checked first returns no more than is allowed.
                    let readable = rules.readable(bytes.max(1)).ok();
                    let most = left.min(bytes.max(1) as u64);
                    prop_assert_eq!(readable.unwrap_or(0) as u64, most);
                    let allowed = bytes as u64 <= left;
                    prop_assert_eq!(rules.data(bytes, &now).is_ok(), allowed);
                    if !allowed {
                        return Ok(());
                    }
                    received += bytes as u64;
                }
                Step::Delivers(takes) if has_head => {
                    prop_assert_eq!(rules.delivers(takes, &now), takes);
                    stopped = !takes;
                }
                Step::Head | Step::Data(_) | Step::Delivers(_) => continue,
            }
            // The stage never goes back, and a deadline runs exactly while the peer is expected to send.
            prop_assert!(rules.stage() >= last);
            last = rules.stage();
            prop_assert_eq!(rules.received(), received);
            prop_assert_eq!(rules.deadline().is_none(), stopped);
            let most = if rules.has_head() { 20 } else { 10 };
            prop_assert!(rules.deadline().is_none_or(|deadline| deadline <= at + most * SECOND));
        }
    }
}

fn paced(bytes_per_second: u32, start: Instant) -> Rules {
    let mut config = config();
    config.body_timeout = None;
    config.min_body_rate = std::num::NonZeroU32::new(bytes_per_second);
    let mut rules = started(Wire::Http1, &config, start);
    rules.head(Length::Any, &start.into());
    rules
}

#[test]
fn the_rate_of_a_body_is_measured_over_periods_of_five_seconds() {
    let start = Instant::now();
    let at = |seconds| Moment::from(start + seconds * SECOND);
    let mut rules = paced(10, start);
    for period in 0..3 {
        let end = 5 * period + 5;
        assert_eq!(rules.deadline(), Some(start + end * SECOND));
        rules.data(50, &at(end - 1)).unwrap();
        assert!(rules.expire(false, &at(end)).is_none());
    }
    rules.data(49, &at(19)).unwrap();
    let (reason, error) = rules.expire(false, &at(20)).unwrap();
    assert_eq!(
        (reason, error.kind(), error.phase()),
        (CloseReason::Timeout, ErrorKind::BodyTooSlow, Phase::Body)
    );
}

#[test]
fn time_in_which_the_reader_is_stopped_does_not_count_and_does_not_begin_a_period() {
    let start = Instant::now();
    let at = |seconds| Moment::from(start + seconds * SECOND);
    let mut rules = paced(10, start);
    // Whatever stops and resumes the reader, five seconds of reading are five seconds.
    for second in 0..5 {
        assert!(rules.delivers(true, &at(10 * second)));
        rules.data(1, &at(10 * second + 1)).unwrap();
        assert!(!rules.delivers(false, &at(10 * second + 1)));
        assert_eq!(rules.deadline(), None);
    }
    assert!(rules.delivers(true, &at(50)));
    assert_eq!(rules.deadline(), Some(start + 50 * SECOND));
    let (_, error) = rules.expire(false, &at(50)).unwrap();
    assert_eq!(error.kind(), ErrorKind::BodyTooSlow);
}

#[test]
fn the_body_timeout_and_the_rate_are_judged_each_by_itself() {
    let start = Instant::now();
    let at = |seconds| Moment::from(start + seconds * SECOND);
    let mut rules = paced(10, start);
    rules.body_timeout = Some(3 * SECOND);
    rules.data(1_000, &at(1)).unwrap();
    assert_eq!(rules.deadline(), Some(start + 4 * SECOND));
    let (_, error) = rules.expire(false, &at(4)).unwrap();
    assert_eq!(error.kind(), ErrorKind::BodyTimeout);
    rules.data(1, &at(4)).unwrap();
    assert_eq!(rules.deadline(), Some(start + 5 * SECOND));
    assert!(rules.expire(false, &at(5)).is_none());
    assert_eq!(rules.deadline(), Some(start + 7 * SECOND));
    rules.upgrade();
    assert_eq!(rules.deadline(), None);
}
