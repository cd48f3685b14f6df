//! When the parts of a timed request happen, compared with one another and with what the test has
//! seen happen in between.

use std::time::Instant;

use dodici::{ErrorKind, OriginConfig};
use dodici_testkit::client::{get, post, post_chunked, post_sized, upgrade};
use dodici_testkit::config::connections;
use dodici_testkit::recording::Seen;
use dodici_testkit::timings::{in_order, timed};
use dodici_testkit::{Client, Conn, OK, ScriptedPeer, Signal, TestOrigin, within};

/// A peer that answers each request when the test raises the signal; it raises the other one when
/// the request, head and body, is there.
async fn slow_peer(read: &Signal, answer: &Signal) -> ScriptedPeer {
    let (read, answer) = (read.clone(), answer.clone());
    ScriptedPeer::tcp().await.run(move |mut conn: Conn| {
        let (read, answer) = (read.clone(), answer.clone());
        async move {
            let head = conn.read_head().await;
            conn.read_body(&head).await;
            read.raise();
            answer.raised().await;
            conn.send(OK).await;
            conn.closed().await;
        }
    })
}

#[tokio::test]
async fn a_request_that_nobody_times_reports_none() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), OriginConfig::default());
    assert_eq!(
        within("end", client.get("/bytes/1").ended()).await.timings,
        []
    );
}

#[tokio::test]
async fn they_are_reported_before_the_head_and_before_the_end() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), connections(1));
    let mut last = Instant::now();
    for number in 0..3 {
        let call = client.send(timed(get("/bytes/1")));
        let seen = within("end", call.ended()).await;
        let [at_head, at_end] = seen.timings[..] else {
            panic!("{:?}", seen.timings);
        };
        let stamps = in_order(&at_end);
        assert!(last <= stamps[0]);
        last = stamps[5];
        assert_eq!(at_head.ended, None);
        assert_eq!(at_head.first_byte, at_end.first_byte);
        assert_eq!(at_end.is_new, number == 0);
        assert_eq!(at_end.conn, seen.connection.map(|(conn, _)| conn));
    }
}

#[tokio::test]
async fn a_slow_response_is_between_the_body_and_the_first_byte() {
    for request in [
        get("/"),
        post("/", "x", "body"),
        post_sized("/", 4),
        post_chunked("/"),
    ] {
        let (read, answer) = (Signal::new(), Signal::new());
        let peer = slow_peer(&read, &answer).await;
        let client = Client::new(peer.port(), OriginConfig::default());
        let pulled = request.body.is_pulled();
        let call = client.send(timed(request));
        if pulled {
            call.chunk("body");
            call.finish();
        }
        within("read", read.raised()).await;
        let before = Instant::now();
        answer.raise();
        let seen = within("end", call.ended()).await;
        let [.., body_sent, first_byte, _] = in_order(&seen.last_timings());
        assert!(body_sent <= before && before <= first_byte);
    }
}

#[tokio::test]
async fn a_slow_body_is_between_its_head_and_its_end() {
    for request in [post_sized("/", 8), post_chunked("/")] {
        let read = Signal::new();
        let tell = read.clone();
        let peer = ScriptedPeer::tcp().await.run(move |mut conn| {
            let read = tell.clone();
            async move {
                let head = conn.read_head().await;
                read.raise();
                conn.read_body(&head).await;
                conn.send(OK).await;
                conn.closed().await;
            }
        });
        let client = Client::new(peer.port(), OriginConfig::default());
        let call = client.send(timed(request));
        call.chunk("half");
        within("head", read.raised()).await;
        let between = Instant::now();
        call.chunk("half");
        call.finish();
        let seen = within("end", call.ended()).await;
        let [_, _, head_sent, body_sent, ..] = in_order(&seen.last_timings());
        assert!(head_sent <= between && between <= body_sent);
    }
}

#[tokio::test]
async fn an_informational_response_has_the_first_byte() {
    let go_on = Signal::new();
    let told = go_on.clone();
    let peer = ScriptedPeer::tcp().await.run(move |mut conn| {
        let go_on = told.clone();
        async move {
            conn.read_head().await;
            conn.send("HTTP/1.1 103 Early Hints\r\n\r\n").await;
            go_on.raised().await;
            conn.send(OK).await;
            conn.closed().await;
        }
    });
    let client = Client::new(peer.port(), OriginConfig::default());
    let call = client.send(timed(get("/")));
    let informed = |seen: &Seen| (!seen.informational.is_empty()).then_some(());
    within("hints", call.wait(informed)).await;
    let between = Instant::now();
    go_on.raise();
    let seen = within("end", call.ended()).await;
    let [.., first_byte, ended] = in_order(&seen.last_timings());
    assert!(first_byte <= between && between <= ended);
}

#[tokio::test]
async fn waiting_for_a_connection_is_before_it_is_assigned() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), connections(1));
    let first = client.send(timed(get("/hold")));
    let second = client.send(timed(get("/bytes/1")));
    within("running", origin.wait_executed(1)).await;
    let between = Instant::now();
    origin.open_gate();
    let first = in_order(&within("first", first.ended()).await.last_timings());
    let second = within("second", second.ended()).await.last_timings();
    let [dispatched, assigned, ..] = in_order(&second);
    assert!(dispatched <= between && between <= assigned);
    // After the first byte of the response that kept the connection.
    assert!(first[4] <= assigned && !second.is_new);
}

#[tokio::test]
async fn pipelined_requests_are_sent_before_the_first_is_answered() {
    let origin = TestOrigin::start().await;
    let mut config = connections(1);
    config.pool.pipelining = 3;
    let client = Client::new(origin.port(), config);
    let pipelined = |target| {
        let mut request = timed(get(target));
        request.blocking = false;
        client.send(request)
    };
    let calls = [
        pipelined("/hold"),
        pipelined("/bytes/1"),
        pipelined("/bytes/2"),
    ];
    within("running", origin.wait_executed(1)).await;
    origin.open_gate();
    let mut stamps = Vec::new();
    for call in &calls {
        let timings = within("end", call.ended()).await.last_timings();
        assert_eq!(timings.is_new, stamps.is_empty());
        stamps.push(in_order(&timings));
    }
    let first = stamps[0];
    for [_, _, _, sent, answered, _] in &stamps[1..] {
        assert!(*sent <= first[4] && first[4] <= *answered);
    }
}

#[tokio::test]
async fn an_abort_shows_how_far_the_request_came() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), connections(1));
    let running = client.send(timed(get("/hold")));
    within("running", origin.wait_executed(1)).await;
    let queued = client.send(timed(get("/bytes/1")));
    for call in [&queued, &running] {
        call.handle.cancel();
        assert_eq!(
            within("aborted", call.error()).await.kind(),
            ErrorKind::Aborted
        );
    }
    let queued = queued.seen().last_timings();
    assert_eq!((queued.assigned, queued.conn), (None, None));
    assert!(queued.dispatched <= queued.ended.unwrap());
    let running = running.seen().last_timings();
    assert!(running.body_sent.is_some() && running.first_byte.is_none());
    assert!(running.body_sent <= running.ended);
}

#[tokio::test]
async fn a_request_that_is_sent_again_has_the_times_of_the_last_exchange() {
    let (peer, _targets) = ScriptedPeer::tcp()
        .await
        .first_then_ok(|mut conn| async move {
            conn.read_head().await;
            conn.send(OK).await;
            conn.read_head().await;
            conn.fin().await;
        });
    let client = Client::new(peer.port(), connections(1));
    let first = within("first", client.send(timed(get("/1"))).ended()).await;
    let mut again = timed(get("/2"));
    again.idempotent = true;
    let again = within("again", client.send(again).ended())
        .await
        .last_timings();
    in_order(&again);
    assert!(again.is_new && again.conn != first.last_timings().conn);
}

#[tokio::test]
async fn a_connection_that_cannot_be_opened_is_none() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let client = Client::new(port, OriginConfig::default());
    let call = client.send(timed(get("/")));
    assert_eq!(
        within("refused", call.error()).await.kind(),
        ErrorKind::Connect
    );
    let timings = call.seen().last_timings();
    assert_eq!((timings.assigned, timings.conn), (None, None));
    assert!(timings.ended.is_some());
}

#[tokio::test]
async fn an_upgrade_ends_it() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        conn.read_head().await;
        conn.send(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n",
        )
        .await;
        conn.closed().await;
    });
    let client = Client::new(peer.port(), OriginConfig::default());
    let call = client.send(timed(upgrade("/")));
    within("upgrade", call.wait(|seen| seen.upgraded.then_some(()))).await;
    in_order(&call.seen().last_timings());
    call.finish();
    assert_eq!(within("end", call.ended()).await.timings.len(), 1);
}
