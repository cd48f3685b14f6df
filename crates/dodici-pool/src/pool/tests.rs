//! One test for each rule of the pool.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic is how a test fails"
)]

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use super::*;

const GET: Traits = Traits {
    idempotent: true,
    blocking: false,
    exclusive: false,
};
const BLOCKING: Traits = Traits {
    blocking: true,
    ..GET
};
const POST: Traits = Traits {
    idempotent: false,
    ..GET
};
const CONNECT: Traits = Traits {
    exclusive: true,
    ..GET
};
const REUSABLE: Outcome = Outcome::Reusable { hint: None };

/// A pool whose clock stands still unless a test moves it.
struct Rig {
    pool: OriginPool,
    now: Instant,
}

impl Rig {
    fn new(config: PoolConfig) -> Self {
        Self {
            pool: OriginPool::new(config),
            now: Instant::now(),
        }
    }

    fn limited(connections: u32) -> Self {
        Self::new(limited(connections))
    }

    fn advance(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
    }

    fn enqueue(&mut self, traits: Traits) -> RequestId {
        self.pool.handle_enqueue(traits, self.now).unwrap()
    }

    fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.pool.poll_action()).collect()
    }

    /// The one connection that the pool wants.
    fn wanted(&mut self) -> ConnId {
        match self.actions()[..] {
            [Action::Connect(conn)] => conn,
            ref other => panic!("one connect was expected, not {other:?}"),
        }
    }

    /// A connection that was asked for without a request, up and at rest.
    fn idle(&mut self, concurrency: u32) -> ConnId {
        self.pool.handle_connect_requested(self.now);
        let conn = self.wanted();
        self.pool.handle_connected(conn, self.now, concurrency);
        assert_eq!(self.actions(), []);
        conn
    }

    /// Enqueues, connects and assigns.
    fn busy(&mut self, traits: Traits) -> (ConnId, RequestId) {
        let request = self.enqueue(traits);
        let conn = self.wanted();
        self.pool.handle_connected(conn, self.now, 1);
        assert_eq!(self.actions(), [assign(conn, request)]);
        (conn, request)
    }

    fn release(&mut self, conn: ConnId, request: RequestId, outcome: Outcome) -> Vec<Action> {
        self.pool.handle_released(conn, request, outcome, self.now);
        self.actions()
    }

    fn closed(&mut self, conn: ConnId) -> Vec<Action> {
        assert!(self.pool.handle_closed(conn, self.now).is_empty());
        self.actions()
    }
}

fn limited(connections: u32) -> PoolConfig {
    PoolConfig {
        connections: NonZeroU32::new(connections),
        ..PoolConfig::default()
    }
}

fn assign(conn: ConnId, request: RequestId) -> Action {
    Action::Assign { conn, request }
}

fn close(conn: ConnId, reason: CloseReason) -> Action {
    Action::Close { conn, reason }
}

fn hint(millis: u64) -> Outcome {
    Outcome::Reusable {
        hint: Some(Duration::from_millis(millis)),
    }
}

#[test]
fn each_waiting_request_gets_an_attempt_up_to_the_limit() {
    let mut rig = Rig::limited(2);
    for _ in 0..3 {
        rig.enqueue(GET);
    }
    let actions = rig.actions();
    assert!(matches!(
        actions[..],
        [Action::Connect(_), Action::Connect(_)]
    ));
    let stats = rig.pool.stats();
    assert_eq!((stats.pending, stats.queued, stats.size()), (3, 1, 3));
}

#[test]
fn a_freed_connection_takes_the_oldest_request() {
    let mut rig = Rig::limited(1);
    let (conn, first) = rig.busy(GET);
    let second = rig.enqueue(GET);
    rig.enqueue(GET);
    assert_eq!(rig.release(conn, first, REUSABLE), [assign(conn, second)]);
}

#[test]
fn the_connection_used_last_is_used_first() {
    let mut rig = Rig::limited(2);
    let (one, a) = rig.busy(GET);
    let (two, b) = rig.busy(GET);
    rig.release(two, b, REUSABLE);
    rig.release(one, a, REUSABLE);
    let next = rig.enqueue(GET);
    assert_eq!(rig.actions(), [assign(one, next)]);
}

#[test]
fn no_connection_is_opened_while_one_is_being_made_for_nobody() {
    let mut rig = Rig::new(PoolConfig::default());
    let first = rig.enqueue(GET);
    let conn = rig.wanted();
    assert_eq!(rig.pool.handle_cancel(first), Cancelled::Queued);
    let second = rig.enqueue(GET);
    assert_eq!(rig.actions(), []);
    rig.pool.handle_connected(conn, rig.now, 1);
    assert_eq!(rig.actions(), [assign(conn, second)]);
}

#[test]
fn a_requested_connection_is_made_once_and_rests() {
    let mut rig = Rig::limited(1);
    rig.pool.handle_connect_requested(rig.now);
    let conn = rig.wanted();
    rig.pool.handle_connect_requested(rig.now);
    assert_eq!(rig.actions(), []);
    rig.pool.handle_connected(conn, rig.now, 1);
    assert_eq!(rig.pool.stats().free, 1);
    assert_eq!(
        rig.pool.idle_deadline(conn),
        Some(rig.now + Duration::from_secs(4))
    );
}

#[test]
fn a_requested_connection_waits_for_a_closing_one_to_free_the_limit() {
    let mut rig = Rig::limited(1);
    let (conn, request) = rig.busy(GET);
    let reason = CloseReason::IoError;
    assert_eq!(
        rig.release(conn, request, Outcome::Finished(reason)),
        [close(conn, reason)]
    );
    rig.pool.handle_connect_requested(rig.now);
    assert_eq!(rig.actions(), []);
    assert!(matches!(
        rig.closed(conn)[..],
        [Action::Connect(_), Action::Drain]
    ));
}

#[test]
fn a_closing_connection_counts_until_it_is_gone() {
    let mut rig = Rig::limited(1);
    let (conn, first) = rig.busy(GET);
    rig.enqueue(GET);
    let reason = CloseReason::NotReusable;
    let outcome = Outcome::Finished(reason);
    assert_eq!(rig.release(conn, first, outcome), [close(conn, reason)]);
    assert_eq!(rig.pool.stats().connected, 0);
    assert!(matches!(rig.closed(conn)[..], [Action::Connect(_)]));
}

#[test]
fn the_hint_minus_the_threshold_is_the_rest_time() {
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
fn a_response_without_a_hint_brings_the_default_rest_time_back() {
    let mut rig = Rig::limited(1);
    let (conn, first) = rig.busy(GET);
    rig.release(conn, first, hint(100_000));
    let second = rig.enqueue(GET);
    rig.release(conn, second, REUSABLE);
    let deadline = rig.now + Duration::from_secs(4);
    assert_eq!(rig.pool.idle_deadline(conn), Some(deadline));
}

#[test]
fn a_connection_whose_rest_is_over_is_not_used_even_before_the_deadline_is_handled() {
    let mut rig = Rig::limited(2);
    let conn = rig.idle(1);
    rig.advance(4_000);
    rig.enqueue(GET);
    let actions = rig.actions();
    assert_eq!(actions[0], close(conn, CloseReason::IdleTimeout));
    assert!(matches!(actions[1..], [Action::Connect(_)]));
}

#[test]
fn without_pipelining_a_connection_serves_once() {
    let mut rig = Rig::new(PoolConfig {
        pipelining: 0,
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
        max_requests_per_client: NonZeroU32::new(2),
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
        client_ttl: Some(Duration::from_secs(1)),
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
fn an_expired_connection_ends_at_rest_and_at_checkout() {
    for at_checkout in [true, false] {
        let mut rig = Rig::new(PoolConfig {
            client_ttl: Some(Duration::from_secs(1)),
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
        client_ttl: Some(Duration::ZERO),
        ..limited(1)
    });
    let (conn, first) = rig.busy(GET);
    let second = rig.enqueue(GET);
    assert_eq!(rig.release(conn, first, REUSABLE), [assign(conn, second)]);
}

#[test]
fn times_beyond_the_clock_never_come() {
    let mut rig = Rig::new(PoolConfig {
        client_ttl: Some(Duration::MAX),
        keep_alive_timeout: Duration::MAX,
        ..limited(1)
    });
    rig.idle(1);
    assert_eq!(rig.pool.next_deadline(), None);
}

#[test]
fn a_fresh_connection_serves_the_queue_even_with_a_rest_time_of_zero() {
    let mut rig = Rig::new(PoolConfig {
        keep_alive_timeout: Duration::ZERO,
        ..limited(1)
    });
    let (conn, first) = rig.busy(GET);
    let second = rig.enqueue(GET);
    assert_eq!(rig.release(conn, first, REUSABLE), [assign(conn, second)]);
}

#[test]
fn idempotent_requests_share_up_to_the_concurrency() {
    let mut rig = Rig::limited(1);
    let conn = rig.idle(2);
    let a = rig.enqueue(GET);
    let b = rig.enqueue(GET);
    let c = rig.enqueue(GET);
    assert_eq!(rig.actions(), [assign(conn, a), assign(conn, b)]);
    assert_eq!(rig.release(conn, a, REUSABLE), [assign(conn, c)]);
}

#[test]
fn a_request_that_is_not_idempotent_waits_for_an_empty_connection_and_holds_later_ones() {
    let mut rig = Rig::limited(1);
    let conn = rig.idle(3);
    let get = rig.enqueue(GET);
    let post = rig.enqueue(POST);
    let later = rig.enqueue(GET);
    assert_eq!(rig.actions(), [assign(conn, get)]);
    assert_eq!(
        rig.release(conn, get, REUSABLE),
        [assign(conn, post), assign(conn, later), Action::Drain]
    );
}

#[test]
fn cancelling_the_request_in_front_lets_those_behind_share() {
    let mut rig = Rig::limited(1);
    let conn = rig.idle(2);
    rig.enqueue(GET);
    let post = rig.enqueue(POST);
    let later = rig.enqueue(GET);
    rig.actions();
    assert_eq!(rig.pool.handle_cancel(post), Cancelled::Queued);
    assert_eq!(rig.actions(), [assign(conn, later)]);
}

#[test]
fn a_blocking_request_keeps_others_off_until_its_head_came() {
    let mut rig = Rig::limited(1);
    let conn = rig.idle(3);
    let first = rig.enqueue(GET);
    let blocking = rig.enqueue(BLOCKING);
    let later = rig.enqueue(GET);
    assert_eq!(rig.actions(), [assign(conn, first), assign(conn, blocking)]);
    rig.pool.handle_head_received(conn, first);
    assert_eq!(rig.actions(), []);
    rig.pool.handle_head_received(conn, blocking);
    assert_eq!(rig.actions(), [assign(conn, later)]);
}

#[test]
fn an_exclusive_request_waits_for_rest_is_alone_and_ends_the_connection() {
    let mut rig = Rig::limited(1);
    let conn = rig.idle(3);
    let get = rig.enqueue(GET);
    let tunnel = rig.enqueue(CONNECT);
    rig.enqueue(GET);
    assert_eq!(rig.actions(), [assign(conn, get)]);
    assert_eq!(rig.release(conn, get, REUSABLE), [assign(conn, tunnel)]);
    rig.pool.handle_head_received(conn, tunnel);
    assert_eq!(rig.actions(), []);
    assert_eq!(
        rig.release(conn, tunnel, REUSABLE),
        [close(conn, CloseReason::NotReusable)]
    );
}

#[test]
fn a_shared_connection_past_its_age_drains_before_it_closes() {
    let mut rig = Rig::new(PoolConfig {
        client_ttl: Some(Duration::from_secs(1)),
        ..limited(1)
    });
    let conn = rig.idle(3);
    let a = rig.enqueue(GET);
    let b = rig.enqueue(GET);
    rig.actions();
    rig.advance(1_000);
    assert_eq!(rig.release(conn, a, REUSABLE), []);
    rig.enqueue(GET);
    assert_eq!(rig.actions(), []);
    assert_eq!(
        rig.release(conn, b, REUSABLE),
        [close(conn, CloseReason::Expired)]
    );
}

#[test]
fn a_failed_connect_fails_the_oldest_request_and_tries_again_for_the_next() {
    let mut rig = Rig::limited(1);
    let oldest = rig.enqueue(GET);
    rig.enqueue(GET);
    let conn = rig.wanted();
    rig.pool.handle_connect_failed(conn, rig.now);
    let actions = rig.actions();
    assert_eq!(actions[0], Action::FailConnect(oldest));
    assert!(matches!(actions[1..], [Action::Connect(_)]));
}

#[test]
fn an_attempt_that_nobody_waits_for_fails_nobody() {
    let mut rig = Rig::limited(2);
    let cancelled = rig.enqueue(GET);
    let conn = rig.wanted();
    let waiting = rig.enqueue(GET);
    let other = rig.wanted();
    rig.pool.handle_cancel(cancelled);
    rig.pool.handle_connect_failed(conn, rig.now);
    assert!(!rig.actions().contains(&Action::FailConnect(waiting)));
    rig.pool.handle_connected(other, rig.now, 1);
    assert_eq!(rig.actions(), [assign(other, waiting)]);
}

#[test]
fn a_failed_connect_of_a_client_fails_its_queue() {
    let mut rig = Rig::new(PoolConfig {
        connect_failure: ConnectFailure::FailQueue,
        ..limited(1)
    });
    let first = rig.enqueue(GET);
    let second = rig.enqueue(GET);
    let conn = rig.wanted();
    rig.pool.handle_connect_failed(conn, rig.now);
    assert_eq!(
        rig.actions(),
        [
            Action::FailConnect(first),
            Action::FailConnect(second),
            Action::Drain
        ]
    );
}

#[test]
fn a_queue_does_not_fail_with_a_connect_while_a_request_runs() {
    let mut rig = Rig::new(PoolConfig {
        connect_failure: ConnectFailure::FailQueue,
        ..limited(2)
    });
    rig.busy(GET);
    rig.enqueue(GET);
    let conn = rig.wanted();
    rig.pool.handle_connect_failed(conn, rig.now);
    assert!(matches!(rig.actions()[..], [Action::Connect(_)]));
    assert_eq!(rig.pool.stats().pending, 1);
}

#[test]
fn unsent_requests_return_to_the_front_in_their_order() {
    let mut rig = Rig::limited(1);
    let conn = rig.idle(2);
    let a = rig.enqueue(GET);
    let b = rig.enqueue(GET);
    let c = rig.enqueue(GET);
    rig.actions();
    rig.pool.handle_unsent(conn, b, rig.now);
    rig.pool.handle_unsent(conn, a, rig.now);
    assert_eq!(rig.actions(), [close(conn, CloseReason::PeerClosed)]);
    rig.closed(conn);
    let again = ConnId {
        slot: conn.slot,
        generation: conn.generation + 1,
    };
    rig.pool.handle_connected(again, rig.now, 3);
    assert_eq!(
        rig.actions(),
        [assign(again, a), assign(again, b), assign(again, c)]
    );
}

#[test]
fn no_close_is_asked_for_when_the_connection_is_already_gone() {
    let mut rig = Rig::limited(1);
    let (conn, request) = rig.busy(GET);
    rig.pool.handle_unsent(conn, request, rig.now);
    assert!(matches!(rig.closed(conn)[..], [Action::Connect(_)]));
}

#[test]
fn an_unsent_request_whose_caller_gave_up_does_not_return() {
    let mut rig = Rig::limited(1);
    let (conn, request) = rig.busy(GET);
    assert_eq!(rig.pool.handle_cancel(request), Cancelled::Running(conn));
    rig.pool.handle_unsent(conn, request, rig.now);
    assert_eq!(rig.pool.handle_cancel(request), Cancelled::Unknown);
    assert_eq!(rig.pool.stats().size(), 0);
}

#[test]
fn requests_left_on_a_lost_connection_are_returned_in_order() {
    let mut rig = Rig::limited(1);
    let conn = rig.idle(2);
    let a = rig.enqueue(GET);
    let b = rig.enqueue(GET);
    rig.actions();
    assert_eq!(rig.pool.handle_closed(conn, rig.now), [a, b]);
    assert_eq!(rig.pool.stats(), PoolStats::default());
}

#[test]
fn an_assignment_that_is_over_is_not_reported() {
    let mut rig = Rig::limited(1);
    let conn = rig.idle(1);
    let request = rig.enqueue(GET);
    assert_eq!(rig.pool.handle_closed(conn, rig.now), [request]);
    assert_eq!(rig.actions(), [Action::Drain]);
}

#[test]
fn a_request_that_takes_the_last_room_needs_drain_and_drain_comes_once() {
    let mut rig = Rig::limited(2);
    let (conn, first) = rig.busy(GET);
    assert!(!rig.pool.needs_drain());
    let (other, second) = rig.busy(GET);
    assert!(rig.pool.needs_drain() && rig.pool.is_busy());
    assert_eq!(rig.release(conn, first, REUSABLE), [Action::Drain]);
    assert!(!rig.pool.needs_drain() && !rig.pool.is_busy());
    assert_eq!(rig.release(other, second, REUSABLE), []);
}

#[test]
fn a_pool_without_a_limit_is_never_busy() {
    let mut rig = Rig::new(PoolConfig::default());
    for _ in 0..10 {
        rig.enqueue(GET);
        assert!(!rig.pool.is_busy() && !rig.pool.needs_drain());
    }
}

#[test]
fn drain_follows_the_assignments_that_come_before_it() {
    let mut rig = Rig::limited(1);
    let conn = rig.idle(4);
    let first = rig.enqueue(BLOCKING);
    let second = rig.enqueue(GET);
    assert_eq!(rig.actions(), [assign(conn, first)]);
    rig.pool.handle_head_received(conn, first);
    assert_eq!(rig.actions(), [assign(conn, second), Action::Drain]);
}

#[test]
fn a_closed_pool_serves_its_queue_first() {
    let mut rig = Rig::limited(1);
    let (conn, first) = rig.busy(GET);
    let second = rig.enqueue(GET);
    rig.pool.handle_close(rig.now);
    assert_eq!(rig.pool.handle_enqueue(GET, rig.now), Err(Refused::Closed));
    assert_eq!(rig.release(conn, first, REUSABLE), [assign(conn, second)]);
    assert_eq!(
        rig.release(conn, second, REUSABLE),
        [close(conn, CloseReason::PoolClosed)]
    );
    assert_eq!(rig.closed(conn), [Action::Closed]);
    rig.pool.handle_close(rig.now);
    rig.pool.handle_destroy(rig.now);
    assert_eq!(rig.actions(), []);
    assert_eq!(
        rig.pool.handle_enqueue(GET, rig.now),
        Err(Refused::Destroyed)
    );
}

#[test]
fn closing_ends_connections_at_rest_and_those_being_made_for_nobody() {
    let mut rig = Rig::limited(2);
    let (idle, first) = rig.busy(GET);
    let second = rig.enqueue(GET);
    let connecting = rig.wanted();
    assert_eq!(
        rig.release(idle, first, REUSABLE),
        [assign(idle, second), Action::Drain]
    );
    assert_eq!(rig.release(idle, second, REUSABLE), []);
    rig.pool.handle_close(rig.now);
    let reason = CloseReason::PoolClosed;
    assert_eq!(
        rig.actions(),
        [close(idle, reason), close(connecting, reason)]
    );
    rig.pool.handle_connected(connecting, rig.now, 1);
    assert_eq!(rig.closed(connecting), []);
    assert_eq!(rig.closed(idle), [Action::Closed]);
}

#[test]
fn an_unsent_request_of_a_closing_pool_is_still_served() {
    let mut rig = Rig::limited(1);
    let (conn, request) = rig.busy(GET);
    rig.pool.handle_close(rig.now);
    rig.pool.handle_unsent(conn, request, rig.now);
    rig.pool.handle_closed(conn, rig.now);
    let again = rig.wanted();
    rig.pool.handle_connected(again, rig.now, 1);
    assert_eq!(rig.actions(), [assign(again, request)]);
}

#[test]
fn destroying_fails_the_queue_and_then_closes_everything() {
    let mut rig = Rig::limited(2);
    let (busy, running) = rig.busy(GET);
    let first = rig.enqueue(GET);
    let connecting = rig.wanted();
    let second = rig.enqueue(GET);
    rig.pool.handle_destroy(rig.now);
    let reason = CloseReason::PoolDestroyed;
    assert_eq!(
        rig.actions(),
        [
            Action::FailDestroyed(first),
            Action::FailDestroyed(second),
            close(busy, reason),
            close(connecting, reason),
        ]
    );
    assert_eq!(
        rig.pool.handle_enqueue(GET, rig.now),
        Err(Refused::Destroyed)
    );
    rig.pool.handle_unsent(busy, running, rig.now);
    assert_eq!(rig.actions(), [Action::FailDestroyed(running)]);
    rig.pool.handle_connect_failed(connecting, rig.now);
    assert_eq!(rig.actions(), []);
    assert_eq!(rig.closed(busy), [Action::Closed]);
}

#[test]
fn time_does_not_run_backwards() {
    let mut rig = Rig::limited(1);
    let conn = rig.idle(1);
    rig.advance(4_000);
    let earlier = rig.now - Duration::from_secs(3);
    rig.pool.handle_connect_requested(rig.now);
    rig.pool.handle_deadline(earlier);
    assert_eq!(rig.actions(), [close(conn, CloseReason::IdleTimeout)]);
}

mod multiplexed;
