//! Failed connection attempts, and requests that return from a lost connection.

use super::*;

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
fn a_failed_attempt_without_waiters_fails_no_request() {
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
fn no_close_is_requested_for_a_connection_that_has_ended() {
    let mut rig = Rig::limited(1);
    let (conn, request) = rig.busy(GET);
    rig.pool.handle_unsent(conn, request, rig.now);
    assert!(matches!(rig.closed(conn)[..], [Action::Connect(_)]));
}

#[test]
fn a_cancelled_unsent_request_does_not_return_to_the_queue() {
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
fn an_obsolete_assignment_is_not_reported() {
    let mut rig = Rig::limited(1);
    let conn = rig.idle(1);
    let request = rig.enqueue(GET);
    assert_eq!(rig.pool.handle_closed(conn, rig.now), [request]);
    assert_eq!(rig.actions(), [Action::Drain]);
}
