//! How long a connection lives and stays idle, and what ends it.

use super::*;

#[test]
fn the_hint_minus_the_threshold_is_the_idle_timeout() {
    let mut rig = Rig::limited(1);
    let (conn, request) = rig.busy(GET);
    rig.release(conn, request, hint(5_000));
    let deadline = rig.now + Duration::from_secs(3);
    assert_eq!(rig.pool.next_deadline(), Some(deadline));
    rig.pool
        .handle_deadline(deadline - Duration::from_millis(1));
    assert_eq!(rig.actions(), []);
    rig.pool.handle_deadline(deadline);
    assert_eq!(rig.actions(), [close(conn, CloseReason::IdleTimeout)]);
    assert_eq!(rig.pool.next_deadline(), None);
}

#[test]
fn the_hint_is_capped_by_the_maximum() {
    let mut rig = Rig::limited(1);
    let (conn, request) = rig.busy(GET);
    rig.release(conn, request, hint(3_600_000));
    let deadline = rig.now + Duration::from_secs(600);
    assert_eq!(rig.pool.idle_deadline(conn), Some(deadline));
}

#[test]
fn a_hint_within_the_threshold_ends_the_connection_even_if_a_request_waits() {
    let mut rig = Rig::limited(1);
    let (conn, first) = rig.busy(GET);
    rig.enqueue(GET);
    assert_eq!(
        rig.release(conn, first, hint(2_000)),
        [close(conn, CloseReason::NotReusable)]
    );
}

#[test]
fn a_response_without_a_hint_restores_the_default_idle_timeout() {
    let mut rig = Rig::limited(1);
    let (conn, first) = rig.busy(GET);
    rig.release(conn, first, hint(100_000));
    let second = rig.enqueue(GET);
    rig.release(conn, second, REUSABLE);
    let deadline = rig.now + Duration::from_secs(4);
    assert_eq!(rig.pool.idle_deadline(conn), Some(deadline));
}

#[test]
fn an_expired_idle_connection_is_not_used_even_before_its_deadline_is_handled() {
    let mut rig = Rig::limited(2);
    let conn = rig.idle(1);
    rig.advance(4_000);
    rig.enqueue(GET);
    let actions = rig.actions();
    assert_eq!(actions[0], close(conn, CloseReason::IdleTimeout));
    assert!(matches!(actions[1..], [Action::Connect(_)]));
}

#[test]
fn without_keep_alive_a_connection_serves_once() {
    let mut rig = Rig::new(PoolConfig {
        keep_alive: false,
        ..limited(1)
    });
    let (conn, request) = rig.busy(GET);
    assert_eq!(
        rig.release(conn, request, REUSABLE),
        [close(conn, CloseReason::NotReusable)]
    );
}

#[test]
fn a_connection_ends_at_its_request_limit() {
    let mut rig = Rig::new(PoolConfig {
        max_requests_per_connection: NonZeroU32::new(2),
        ..limited(1)
    });
    let (conn, first) = rig.busy(GET);
    assert_eq!(rig.release(conn, first, REUSABLE), [Action::Drain]);
    let second = rig.enqueue(GET);
    assert_eq!(rig.actions(), [assign(conn, second)]);
    assert_eq!(
        rig.release(conn, second, REUSABLE),
        [close(conn, CloseReason::MaxRequests)]
    );
}

#[test]
fn an_expired_connection_ends_at_release() {
    let mut rig = Rig::new(PoolConfig {
        max_connection_age: Some(Duration::from_secs(1)),
        ..limited(1)
    });
    let (conn, request) = rig.busy(GET);
    rig.enqueue(GET);
    rig.advance(1_000);
    assert_eq!(
        rig.release(conn, request, REUSABLE),
        [close(conn, CloseReason::Expired)]
    );
}

#[test]
fn an_expired_connection_ends_when_idle_and_at_checkout() {
    for at_checkout in [true, false] {
        let mut rig = Rig::new(PoolConfig {
            max_connection_age: Some(Duration::from_secs(1)),
            ..limited(1)
        });
        let conn = rig.idle(1);
        rig.advance(1_000);
        assert_eq!(rig.pool.next_deadline(), Some(rig.now));
        if at_checkout {
            rig.enqueue(GET);
        } else {
            rig.pool.handle_deadline(rig.now);
        }
        assert_eq!(rig.actions(), [close(conn, CloseReason::Expired)]);
    }
}

#[test]
fn a_ttl_of_zero_is_no_limit() {
    let mut rig = Rig::new(PoolConfig {
        max_connection_age: Some(Duration::ZERO),
        ..limited(1)
    });
    let (conn, first) = rig.busy(GET);
    let second = rig.enqueue(GET);
    assert_eq!(rig.release(conn, first, REUSABLE), [assign(conn, second)]);
}

#[test]
fn times_beyond_the_clock_mean_never() {
    let mut rig = Rig::new(PoolConfig {
        max_connection_age: Some(Duration::MAX),
        keep_alive_timeout: Some(Duration::MAX),
        ..limited(1)
    });
    rig.idle(1);
    assert_eq!(rig.pool.next_deadline(), None);
}

#[test]
fn an_unlimited_idle_timeout_is_bounded_by_a_hint_only() {
    let mut rig = Rig::new(PoolConfig {
        keep_alive_timeout: None,
        keep_alive_max_timeout: None,
        ..limited(1)
    });
    let (conn, request) = rig.busy(GET);
    let hint = Some(Duration::from_secs(100_000));
    rig.release(conn, request, Outcome::Reusable { hint });
    let until =
        rig.now + Duration::from_secs(100_000) - rig.pool.config().keep_alive_timeout_threshold;
    assert_eq!(rig.pool.next_deadline(), Some(until));
    let request = rig.enqueue(GET);
    rig.actions();
    rig.release(conn, request, REUSABLE);
    assert_eq!(rig.pool.next_deadline(), None);
}

#[test]
fn a_fresh_connection_serves_the_queue_even_with_an_idle_timeout_of_zero() {
    let mut rig = Rig::new(PoolConfig {
        keep_alive_timeout: Some(Duration::ZERO),
        ..limited(1)
    });
    let (conn, first) = rig.busy(GET);
    let second = rig.enqueue(GET);
    assert_eq!(rig.release(conn, first, REUSABLE), [assign(conn, second)]);
}
