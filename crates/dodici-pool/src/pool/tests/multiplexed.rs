//! Connections that carry several independent requests.

use super::*;

impl Rig {
    /// An open, idle multiplexed connection.
    pub(super) fn multiplexed(&mut self, concurrency: u32) -> ConnId {
        self.pool.handle_connect_requested(self.now);
        let conn = self.wanted();
        self.pool
            .handle_connected_multiplexed(conn, self.now, concurrency);
        assert_eq!(self.actions(), []);
        conn
    }
}

#[test]
fn any_request_may_join_others_on_a_multiplexed_connection() {
    let mut rig = Rig::limited(1);
    let conn = rig.multiplexed(3);
    for traits in [BLOCKING, POST, CONNECT] {
        let request = rig.enqueue(traits);
        assert_eq!(rig.actions(), [assign(conn, request)]);
    }
    rig.enqueue(GET);
    assert_eq!(rig.actions(), []);
    assert_eq!(rig.pool.stats().running, 3);
    assert_eq!(rig.pool.stats().queued, 1);
}

#[test]
fn at_the_stream_limit_another_connection_is_opened() {
    let mut rig = Rig::new(PoolConfig::default());
    let conn = rig.multiplexed(1);
    let first = rig.enqueue(GET);
    assert_eq!(rig.actions(), [assign(conn, first)]);
    rig.enqueue(GET);
    let other = rig.wanted();
    assert_ne!(other, conn);
    // As many requests as it is expected to take wait for it.
    assert!(!rig.pool.is_busy());
}

#[test]
fn attempts_follow_the_expected_concurrency_of_a_connection() {
    let mut rig = Rig::new(PoolConfig {
        expected_concurrency: 10,
        ..PoolConfig::default()
    });
    for _ in 0..10 {
        rig.enqueue(GET);
    }
    let conn = rig.wanted();
    rig.enqueue(GET);
    rig.wanted();
    // It turns out to use HTTP/1.1: every other request needs its own connection.
    rig.pool.handle_connected(conn, rig.now, 1);
    let actions = rig.actions();
    let connects = actions
        .iter()
        .filter(|action| matches!(action, Action::Connect(_)));
    assert_eq!(connects.count(), 9);
}

#[test]
fn a_failed_attempt_fails_the_requests_it_was_made_for() {
    let mut rig = Rig::new(PoolConfig {
        max_connections: NonZeroU32::new(1),
        expected_concurrency: 2,
        ..PoolConfig::default()
    });
    let requests: Vec<_> = (0..3).map(|_| rig.enqueue(GET)).collect();
    let conn = rig.wanted();
    rig.pool.handle_connect_failed(conn, rig.now);
    let actions = rig.actions();
    assert_eq!(actions[0], Action::FailConnect(requests[0]));
    assert_eq!(actions[1], Action::FailConnect(requests[1]));
    assert!(matches!(actions[2..], [Action::Connect(_), ..]));
}

#[test]
fn a_raised_limit_releases_the_queue_and_a_lowered_one_stops_it() {
    let mut rig = Rig::limited(1);
    let conn = rig.multiplexed(1);
    let requests: Vec<_> = (0..4).map(|_| rig.enqueue(GET)).collect();
    assert_eq!(rig.actions(), [assign(conn, requests[0])]);
    rig.pool.handle_concurrency(conn, 3, rig.now);
    assert_eq!(
        rig.actions(),
        [assign(conn, requests[1]), assign(conn, requests[2])]
    );
    rig.pool.handle_concurrency(conn, 1, rig.now);
    assert_eq!(rig.release(conn, requests[0], REUSABLE), []);
    assert_eq!(rig.release(conn, requests[1], REUSABLE), []);
    assert_eq!(
        rig.release(conn, requests[2], REUSABLE),
        [assign(conn, requests[3])]
    );
}

#[test]
fn a_draining_connection_finishes_what_it_has_and_closes() {
    let mut rig = Rig::limited(1);
    let conn = rig.multiplexed(10);
    let request = rig.enqueue(GET);
    rig.actions();
    let reason = CloseReason::PeerClosed;
    rig.pool.handle_draining(conn, reason, rig.now);
    rig.enqueue(GET);
    assert_eq!(rig.actions(), []);
    assert_eq!(rig.release(conn, request, REUSABLE), [close(conn, reason)]);
    // The place is free only when it has ended.
    assert!(matches!(rig.closed(conn)[..], [Action::Connect(_), ..]));
}

#[test]
fn an_idle_draining_connection_closes_immediately() {
    let mut rig = Rig::limited(1);
    let conn = rig.multiplexed(10);
    rig.pool
        .handle_draining(conn, CloseReason::PeerClosed, rig.now);
    assert_eq!(rig.actions(), [close(conn, CloseReason::PeerClosed)]);
}

#[test]
fn a_returned_request_goes_back_to_its_place_in_the_queue() {
    let mut rig = Rig::limited(1);
    let conn = rig.multiplexed(2);
    let requests: Vec<_> = (0..3).map(|_| rig.enqueue(GET)).collect();
    rig.actions();
    rig.pool.handle_concurrency(conn, 1, rig.now);
    rig.pool.handle_returned(conn, requests[0], rig.now);
    assert_eq!(rig.actions(), []);
    // It was first, so it is first again.
    assert_eq!(
        rig.release(conn, requests[1], REUSABLE),
        [assign(conn, requests[0])]
    );
    assert_eq!(
        rig.release(conn, requests[0], REUSABLE),
        [assign(conn, requests[2])]
    );
}

#[test]
fn a_cancelled_request_does_not_return_to_the_queue() {
    let mut rig = Rig::limited(1);
    let conn = rig.multiplexed(2);
    let request = rig.enqueue(GET);
    rig.actions();
    assert_eq!(rig.pool.handle_cancel(request), Cancelled::Running(conn));
    rig.pool.handle_returned(conn, request, rig.now);
    assert_eq!(rig.actions(), []);
    assert_eq!(rig.pool.stats().size(), 0);
    assert_eq!(rig.pool.stats().free, 1);
}

#[test]
fn a_pinned_stream_keeps_its_place_and_its_connection() {
    let mut rig = Rig::limited(1);
    let conn = rig.multiplexed(1);
    let request = rig.enqueue(CONNECT);
    rig.actions();
    rig.pool.handle_pinned(conn, request, rig.now);
    assert_eq!(rig.pool.stats().running, 0);
    assert_eq!(rig.pool.next_deadline(), None);
    // Its place is taken.
    let next = rig.enqueue(GET);
    assert_eq!(rig.actions(), []);
    rig.pool.handle_unpinned(conn, rig.now);
    assert_eq!(rig.actions(), [assign(conn, next)]);
    assert_eq!(rig.release(conn, next, REUSABLE), [Action::Drain]);
    assert!(rig.pool.next_deadline().is_some());
}

#[test]
fn a_pinned_stream_on_a_connection_with_room_suspends_its_rest_only() {
    let mut rig = Rig::limited(1);
    let conn = rig.multiplexed(5);
    let request = rig.enqueue(CONNECT);
    rig.actions();
    rig.pool.handle_pinned(conn, request, rig.now);
    assert_eq!(rig.pool.next_deadline(), None);
    let next = rig.enqueue(GET);
    assert_eq!(rig.actions(), [assign(conn, next)]);
    assert_eq!(rig.release(conn, next, REUSABLE), []);
    rig.pool.handle_unpinned(conn, rig.now);
    assert!(rig.pool.next_deadline().is_some());
    let drained = CloseReason::PeerClosed;
    rig.pool.handle_draining(conn, drained, rig.now);
    assert_eq!(rig.actions(), [close(conn, drained)]);
}
