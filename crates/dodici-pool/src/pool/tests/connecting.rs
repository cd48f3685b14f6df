//! Which request gets a connection, and when one is opened.

use super::*;

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
fn no_connection_is_opened_while_an_unneeded_one_is_connecting() {
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
fn attempts_that_no_request_waits_for_are_given_up() {
    let mut rig = Rig::new(PoolConfig::default());
    let first = rig.enqueue(GET);
    let one = rig.wanted();
    let second = rig.enqueue(GET);
    let two = rig.wanted();
    assert!(!rig.pool.has_unneeded());
    assert_eq!(rig.pool.handle_cancel(first), Cancelled::Queued);
    assert!(rig.pool.has_unneeded());
    rig.pool.handle_unneeded();
    assert_eq!(rig.actions(), [close(two, CloseReason::Aborted)]);
    assert!(!rig.pool.has_unneeded());
    rig.pool.handle_connect_failed(two, rig.now);
    rig.pool.handle_connected(one, rig.now, 1);
    assert_eq!(rig.actions(), [assign(one, second)]);
}

#[test]
fn a_requested_connection_is_not_given_up() {
    let mut rig = Rig::new(PoolConfig::default());
    rig.pool.handle_connect_requested(rig.now);
    let conn = rig.wanted();
    let request = rig.enqueue(GET);
    assert_eq!(rig.pool.handle_cancel(request), Cancelled::Queued);
    rig.pool.handle_unneeded();
    assert_eq!(rig.actions(), []);
    rig.pool.handle_connected(conn, rig.now, 1);
    // Once it is open, the next attempt is an ordinary one.
    let first = rig.enqueue(GET);
    let second = rig.enqueue(GET);
    assert_eq!(rig.actions()[0], assign(conn, first));
    assert_eq!(rig.pool.handle_cancel(second), Cancelled::Queued);
    assert!(rig.pool.has_unneeded());
}

#[test]
fn a_requested_connection_is_opened_once_and_stays_idle() {
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
