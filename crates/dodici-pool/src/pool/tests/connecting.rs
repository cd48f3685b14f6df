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

#[test]
fn connections_are_opened_ahead_of_time_and_used() {
    let mut rig = Rig::new(PoolConfig::default());
    rig.pool.handle_preconnect(2, rig.now).unwrap();
    let [Action::Connect(one), Action::Connect(two)] = rig.actions()[..] else {
        panic!("two connects");
    };
    assert!(!rig.pool.has_unneeded());
    rig.pool.handle_connected(one, rig.now, 1);
    assert!(rig.pool.is_preconnecting());
    rig.pool.handle_connected(two, rig.now, 1);
    assert_eq!((rig.pool.is_preconnecting(), rig.pool.ready()), (false, 2));
    let (first, second) = (rig.enqueue(GET), rig.enqueue(GET));
    assert_eq!(rig.actions(), [assign(two, first), assign(one, second)]);
    // Those in use are not ready.
    rig.pool.handle_preconnect(1, rig.now).unwrap();
    rig.wanted();
}

#[test]
fn requests_and_connections_ahead_of_time_add_up() {
    let mut rig = Rig::new(PoolConfig::default());
    let request = rig.enqueue(GET);
    let first = rig.wanted();
    rig.pool.handle_preconnect(1, rig.now).unwrap();
    let second = rig.wanted();
    rig.pool.handle_connected(second, rig.now, 1);
    assert_eq!(rig.actions(), [assign(second, request)]);
    rig.pool.handle_connected(first, rig.now, 1);
    assert_eq!((rig.pool.is_preconnecting(), rig.pool.ready()), (false, 1));
}

#[test]
fn no_more_connections_are_opened_ahead_of_time_than_allowed() {
    let mut rig = Rig::limited(1);
    rig.pool.handle_preconnect(5, rig.now).unwrap();
    let conn = rig.wanted();
    rig.pool.handle_connected(conn, rig.now, 1);
    assert_eq!((rig.pool.is_preconnecting(), rig.pool.ready()), (false, 1));
    let mut rig = Rig::new(PoolConfig {
        max_idle_connections: Some(0),
        ..PoolConfig::default()
    });
    rig.pool.handle_preconnect(5, rig.now).unwrap();
    assert_eq!(
        (rig.actions(), rig.pool.is_preconnecting()),
        (vec![], false)
    );
}

#[test]
fn a_connection_ahead_of_time_that_fails_or_ends_is_not_replaced() {
    let mut rig = Rig::new(PoolConfig::default());
    rig.pool.handle_preconnect(3, rig.now).unwrap();
    let [
        Action::Connect(one),
        Action::Connect(two),
        Action::Connect(three),
    ] = rig.actions()[..]
    else {
        panic!("three connects");
    };
    rig.pool.handle_connect_failed(one, rig.now);
    rig.pool.handle_connected(two, rig.now, 1);
    assert_eq!(rig.closed(two), []);
    assert!(rig.pool.is_preconnecting());
    rig.pool.handle_connect_failed(three, rig.now);
    assert_eq!(rig.actions(), []);
    assert_eq!((rig.pool.is_preconnecting(), rig.pool.ready()), (false, 0));
}

#[test]
fn one_attempt_ahead_of_time_is_enough_where_it_may_carry_streams() {
    let mut rig = Rig::new(PoolConfig {
        expected_concurrency: 100,
        ..PoolConfig::default()
    });
    rig.pool.handle_preconnect(3, rig.now).unwrap();
    let conn = rig.wanted();
    rig.pool.handle_connected_multiplexed(conn, rig.now, 100);
    assert_eq!((rig.actions(), rig.pool.ready()), (vec![], 1));
    assert!(!rig.pool.is_preconnecting());
    // Without streams, the others follow.
    let mut rig = Rig::new(PoolConfig {
        expected_concurrency: 100,
        ..PoolConfig::default()
    });
    rig.pool.handle_preconnect(3, rig.now).unwrap();
    let conn = rig.wanted();
    rig.pool.handle_connected(conn, rig.now, 1);
    assert_eq!(rig.actions().len(), 2);
}

#[test]
fn a_closed_pool_opens_no_connection_ahead_of_time() {
    let mut rig = Rig::new(PoolConfig::default());
    rig.pool.handle_preconnect(2, rig.now).unwrap();
    rig.actions();
    rig.pool.handle_close(rig.now);
    assert!(!rig.pool.is_preconnecting());
    assert_eq!(rig.actions().len(), 2, "the attempts are given up");
    let refused = rig.pool.handle_preconnect(1, rig.now);
    assert_eq!(refused, Err(Refused::Closed));
}
