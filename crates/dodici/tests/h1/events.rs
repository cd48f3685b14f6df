//! The order of events around a request, and how a pool, a connection and a runtime end.

use dodici::{CloseReason, ErrorKind, Event, OriginConfig};
use dodici_testkit::config::connections;
use dodici_testkit::{Client, OK, PeerClose, ScriptedPeer, Signal, TestOrigin, client, within};

use crate::support::assert_error_before_disconnect;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_fails_before_its_disconnect_and_the_queue_continues_after_it() {
    let (peer, _) = ScriptedPeer::tcp()
        .await
        .first_then_ok(|mut conn| async move {
            conn.read_head().await;
            conn.reset();
        });
    let client = Client::new(peer.port(), connections(1));
    let first = client.get("/");
    let second = client.post("/", "2", "x");
    assert_eq!(
        within("first", first.error()).await.kind(),
        ErrorKind::Socket
    );
    within("second", second.ended()).await;
    assert_error_before_disconnect(&client, &first);
    // If the second request was late, the pool was idle for a moment: not checked here.
    let mut events = client.events.events();
    events.retain(|event| !matches!(event, Event::Drain));
    assert!(
        matches!(
            events[..],
            [
                Event::Connected { .. },
                Event::Disconnected { .. },
                Event::Connected { .. }
            ]
        ),
        "{events:?}"
    );
    client.finish(peer).await;
}

#[tokio::test]
async fn a_disconnect_has_the_connections_statistics() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), OriginConfig::default());
    for _ in 0..2 {
        within("response", client.get("/bytes/10").ended()).await;
    }
    client.clone().shut_down().await;
    let log = origin.finish().await;
    let Some(Event::Disconnected { info, .. }) = client.events.events().into_iter().nth(1) else {
        panic!("{:?}", client.events);
    };
    assert_eq!(info.requests, 2);
    assert_eq!(info.bytes_read, log.connections[0].sent);
    assert_eq!(info.bytes_written, log.connections[0].received.len() as u64);
}

#[tokio::test]
async fn a_refused_connection_fails_the_request_before_its_event() {
    // The port was free a moment ago, and nothing listens on it.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let client = Client::new(port, OriginConfig::default());
    let call = client.get("/");
    let error = within("refused", call.error()).await;
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert_eq!(client::code(&error), "ECONNREFUSED");
    let failed = |event: &Event| matches!(event, Event::ConnectFailed { .. });
    within("event", client.events.wait_for(failed)).await;
    assert!(call.seen().stamp() < client.events.stamp_of(failed).unwrap());
    client.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closing_pool_finishes_its_requests_and_accepts_no_more() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), connections(1));
    let calls = [
        client.get("/hold"),
        client.get("/bytes/1"),
        client.get("/bytes/2"),
    ];
    within("running", origin.wait_executed(1)).await;
    client.pool.close();
    let late = client.get("/bytes/3");
    assert_eq!(within("late", late.error()).await.kind(), ErrorKind::Closed);
    origin.open_gate();
    for call in &calls {
        within("finished", call.ended()).await;
    }
    within("closed", client.events.closed()).await;
    assert_eq!(client.reasons(), [CloseReason::PoolClosed]);
    client.pool.close();
    client.pool.destroy();
    origin.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_destroyed_pool_fails_running_and_queued_requests() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), connections(1));
    let calls = [
        client.get("/gated"),
        client.get("/bytes/1"),
        client.get("/bytes/2"),
    ];
    within(
        "body",
        calls[0].wait(|seen| (seen.body == b"before").then_some(())),
    )
    .await;
    client.pool.destroy();
    for call in &calls {
        assert_eq!(
            within("failed", call.error()).await.kind(),
            ErrorKind::Destroyed
        );
    }
    within("closed", client.events.closed()).await;
    assert_error_before_disconnect(&client, &calls[0]);
    assert_eq!(client.reasons(), [CloseReason::PoolDestroyed]);
    let late = client.get("/bytes/3");
    assert_eq!(
        within("late", late.error()).await.kind(),
        ErrorKind::Destroyed
    );
    origin.finish().await;
}

#[tokio::test]
async fn a_pool_destroyed_while_connecting_fails_its_requests() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), OriginConfig::default());
    let call = client.get("/bytes/1");
    client.pool.destroy();
    assert_eq!(
        within("failed", call.error()).await.kind(),
        ErrorKind::Destroyed
    );
    within("closed", client.events.closed()).await;
    origin.finish().await;
}

#[tokio::test]
async fn a_closed_pool_ends_its_connections_with_a_fin() {
    let peer = ScriptedPeer::tcp().await.replies(vec![OK]);
    let client = Client::new(peer.port(), OriginConfig::default());
    within("response", client.get("/").ended()).await;
    client.shut_down().await;
    assert_eq!(within("close", peer.peer_close(0)).await, PeerClose::Fin);
    peer.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_destroyed_connection_fails_its_requests_and_the_queue_uses_another() {
    let begun = Signal::new();
    let tell = begun.clone();
    let peer = ScriptedPeer::tcp().await.run(move |mut conn| {
        let begun = tell.clone();
        async move {
            let first = conn.index() == 0;
            conn.next_head().await;
            begun.raise();
            if !first {
                conn.send(OK).await;
            }
            conn.closed().await;
        }
    });
    let client = Client::new(peer.port(), connections(1));
    let calls = [client.get("/a"), client.get("/b")];
    within("request", begun.raised()).await;
    let conn = client
        .events
        .events()
        .into_iter()
        .find_map(|event| match event {
            Event::Connected { conn, .. } => Some(conn),
            _ => None,
        });
    client.pool.destroy_connection(conn.unwrap());
    let [running, waiting] = calls;
    let error = within("failure", running.error()).await;
    assert_eq!(error.kind(), ErrorKind::Socket);
    assert_eq!(within("second", waiting.ended()).await.body, b"ok");
    assert_eq!(peer.accepted(), 2);
    assert_eq!(client.reasons(), [CloseReason::Aborted]);
    client.finish(peer).await;
}

#[test]
fn a_runtime_that_is_shut_down_settles_the_requests_of_its_connections() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (origin, client, call) = runtime.block_on(async {
        let origin = TestOrigin::start().await;
        let client = Client::new(origin.port(), OriginConfig::default());
        let call = client.get("/hold");
        within("running", origin.wait_executed(1)).await;
        (origin, client, call)
    });
    drop(runtime);
    // The peer may have closed first.
    let kind = call.seen().error_kind();
    assert!(
        matches!(kind, Some(ErrorKind::Internal | ErrorKind::Socket)),
        "{kind:?}"
    );
    drop(origin);
    assert_eq!(client.events.connects(), client.events.disconnects());
}
