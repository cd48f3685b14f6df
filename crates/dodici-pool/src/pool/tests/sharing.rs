//! Requests that share an HTTP/1.1 connection in flight.

use super::*;

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
fn a_blocking_request_keeps_others_off_until_its_head_arrives() {
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
fn an_exclusive_request_waits_for_an_idle_connection_and_ends_it() {
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
        max_connection_age: Some(Duration::from_secs(1)),
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
fn a_raised_depth_lets_more_requests_join_on_an_open_connection() {
    let mut rig = Rig::limited(1);
    let (conn, first) = rig.busy(GET);
    let second = rig.enqueue(GET);
    let third = rig.enqueue(GET);
    assert_eq!(rig.actions(), []);
    rig.pool.handle_pipelining(2, rig.now);
    assert_eq!(rig.actions(), [assign(conn, second)]);
    assert_eq!(rig.release(conn, first, REUSABLE), [assign(conn, third)]);
}

#[test]
fn a_raised_depth_waits_for_the_head_of_a_blocking_request() {
    let mut rig = Rig::limited(1);
    let (conn, first) = rig.busy(BLOCKING);
    let second = rig.enqueue(GET);
    rig.pool.handle_pipelining(2, rig.now);
    assert_eq!(rig.actions(), []);
    rig.pool.handle_head_received(conn, first);
    assert_eq!(rig.actions(), [assign(conn, second)]);
}

#[test]
fn a_lowered_depth_leaves_requests_where_they_are_and_lets_no_further_one_join() {
    let mut rig = Rig::limited(1);
    let conn = rig.idle(3);
    let first = rig.enqueue(GET);
    let second = rig.enqueue(GET);
    assert_eq!(rig.actions(), [assign(conn, first), assign(conn, second)]);
    rig.pool.handle_pipelining(1, rig.now);
    let third = rig.enqueue(GET);
    assert_eq!(rig.release(conn, first, REUSABLE), []);
    assert_eq!(rig.release(conn, second, REUSABLE), [assign(conn, third)]);
}

#[test]
fn keep_alive_turned_off_ends_a_connection_with_the_requests_on_it() {
    let mut rig = Rig::limited(1);
    let (conn, request) = rig.busy(GET);
    rig.pool.handle_keep_alive(false, rig.now);
    assert_eq!(rig.actions(), []);
    assert_eq!(
        rig.release(conn, request, REUSABLE),
        [close(conn, CloseReason::NotReusable)]
    );
}

#[test]
fn keep_alive_turned_off_lets_an_idle_connection_serve_once_more() {
    let mut rig = Rig::limited(1);
    let conn = rig.idle(1);
    rig.pool.handle_keep_alive(false, rig.now);
    assert_eq!(rig.actions(), []);
    let request = rig.enqueue(GET);
    assert_eq!(rig.actions(), [assign(conn, request)]);
    assert_eq!(
        rig.release(conn, request, REUSABLE),
        [close(conn, CloseReason::NotReusable)]
    );
}

#[test]
fn a_connection_with_streams_keeps_their_number_whatever_the_depth() {
    let mut rig = Rig::limited(1);
    let conn = rig.multiplexed(2);
    rig.pool.handle_pipelining(1, rig.now);
    let (first, second) = (rig.enqueue(POST), rig.enqueue(POST));
    assert_eq!(rig.actions(), [assign(conn, first), assign(conn, second)]);
}
