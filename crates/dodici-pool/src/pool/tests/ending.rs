//! `needs_drain`, and the end of the pool.

use super::*;

#[test]
fn a_request_that_takes_the_last_room_needs_drain_and_gets_it_once() {
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
fn drain_follows_earlier_assignments() {
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
fn closing_ends_idle_connections_and_unneeded_attempts() {
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
