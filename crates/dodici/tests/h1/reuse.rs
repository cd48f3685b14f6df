//! Which connection a request gets: reuse, limits and order.

use std::num::NonZeroU32;

use dodici::{CloseReason, OriginConfig};
use dodici_testkit::client::get;
use dodici_testkit::config::connections;
use dodici_testkit::with;
use dodici_testkit::{Client, OK, ScriptedPeer, Signal, TestOrigin, shapes, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consecutive_requests_share_one_connection() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), OriginConfig::default());
    for n in 0..300 {
        let call = client.get(&format!("/bytes/{n}"));
        let seen = within("response", call.ended()).await;
        assert_eq!(seen.body.len(), n);
        assert_eq!(seen.connection.unwrap().1, n > 0, "reused");
    }
    assert_eq!(origin.peer().accepted(), 1);
    client.clone().shut_down().await;
    let infos = client.accounts();
    assert_eq!(infos[0].requests, 300);
    assert_eq!(infos[0].reason, CloseReason::PoolClosed);
    origin.finish().await;
}

#[tokio::test]
async fn every_shape_that_allows_it_leaves_its_connection_reusable() {
    for shape in shapes::all() {
        let name = shape.name;
        let until_close = shape.expected.until_close;
        let bytes = shape.bytes.clone();
        let peer = ScriptedPeer::tcp().await.run(move |mut conn| {
            let bytes = bytes.clone();
            async move {
                while let Some(head) = conn.next_head().await {
                    if head.target == "/marker" {
                        conn.send(OK).await;
                    } else {
                        conn.send(&bytes).await;
                        if until_close {
                            return;
                        }
                    }
                }
            }
        });
        let client = Client::new(peer.port(), OriginConfig::default());
        let request = dodici::Request::new(shape.request_head("test")).with_kind(shape.kind());
        within(name, client.send(request).ended()).await;
        let marker = within(name, client.get("/marker").ended()).await;
        assert_eq!(marker.body, b"ok", "{name}");
        assert_eq!(marker.connection.unwrap().1, !until_close, "{name}");
        client.finish(peer).await;
    }
}

#[tokio::test]
async fn connection_close_ends_the_connection_after_the_response() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), OriginConfig::default());
    let first = within("first", client.get("/close").ended()).await;
    assert_eq!(first.body, b"closing");
    within("disconnect", client.disconnected(1)).await;
    let second = within("second", client.get("/bytes/1").ended()).await;
    assert!(!second.connection.unwrap().1);
    assert_eq!(client.reasons(), [CloseReason::NotReusable]);
    client.shut_down().await;
    origin.finish().await;
}

#[tokio::test]
async fn a_request_with_reset_ends_its_connection() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), OriginConfig::default());
    let request = with(get("/bytes/4"), |request| request.reset = true);
    within("response", client.send(request).ended()).await;
    within("disconnect", client.disconnected(1)).await;
    assert_eq!(client.reasons(), [CloseReason::NotReusable]);
    origin.finish().await;
}

#[tokio::test]
async fn pipelining_zero_disables_keep_alive() {
    let origin = TestOrigin::start().await;
    let mut config = OriginConfig::default();
    config.pool.keep_alive = false;
    let client = Client::new(origin.port(), config);
    for n in 1..=3 {
        within("response", client.get("/bytes/1").ended()).await;
        within("disconnect", client.disconnected(n)).await;
    }
    assert_eq!(origin.peer().accepted(), 3);
    origin.finish().await;
}

#[tokio::test]
async fn a_connection_serves_no_more_than_max_requests() {
    let origin = TestOrigin::start().await;
    let mut config = OriginConfig::default();
    config.pool.max_requests_per_connection = NonZeroU32::new(2);
    let client = Client::new(origin.port(), config);
    for n in 1..=5 {
        within(
            "response",
            client.post("/echo", &n.to_string(), "x").ended(),
        )
        .await;
        if n % 2 == 0 {
            within("disconnect", client.disconnected(n / 2)).await;
        }
    }
    let connections: Vec<usize> = origin.executed().iter().map(|e| e.connection).collect();
    assert_eq!(connections, [0, 0, 1, 1, 2]);
    assert_eq!(client.reasons(), [CloseReason::MaxRequests; 2]);
    client.shut_down().await;
    origin.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_connections_than_the_limit_are_opened() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), connections(3));
    let calls: Vec<_> = (0..20).map(|_| client.get("/hold")).collect();
    within("three", origin.wait_executed(3)).await;
    let stats = client.pool.stats();
    assert_eq!((stats.running, stats.pending), (3, 17));
    origin.open_gate();
    for call in &calls {
        within("held", call.ended()).await;
    }
    assert_eq!(origin.peer().accepted(), 3);
    client.shut_down().await;
    origin.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_served_first_come_first_served() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), connections(1));
    let ids: Vec<String> = (0..50).map(|n| n.to_string()).collect();
    let calls: Vec<_> = ids.iter().map(|id| client.post("/echo", id, id)).collect();
    for call in &calls {
        within("response", call.ended()).await;
    }
    let served: Vec<String> = origin.executed().into_iter().map(|e| e.id).collect();
    assert_eq!(served, ids);
    assert_eq!(origin.peer().accepted(), 1);
    client.shut_down().await;
    origin.finish().await;
}

#[tokio::test]
async fn a_request_dispatched_at_the_end_of_another_reuses_its_connection() {
    struct Chain {
        client: Client,
        left: u32,
        done: Signal,
    }
    impl dodici::Sink for Chain {
        fn informational(&mut self, _: &dodici::ResponseHead) {}
        fn head(&mut self, _: &dodici::ResponseHead, _: &dodici::ExchangeInfo) {}
        fn data(&mut self, _: bytes::Bytes) {}
        fn end(&mut self, _: &dodici::HeaderBlock) {
            if self.left == 0 {
                return self.done.raise();
            }
            let next = Chain {
                client: self.client.clone(),
                left: self.left - 1,
                done: self.done.clone(),
            };
            self.client.pool.dispatch(get("/bytes/1"), Box::new(next));
        }
        fn error(&mut self, error: dodici::Error) {
            panic!("{error}");
        }
        fn upgrade(&mut self, _: &dodici::ResponseHead, _: &dodici::ExchangeInfo) {}
        fn pull(&mut self, _: u32) {}
    }
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), OriginConfig::default());
    let done = Signal::new();
    let first = Chain {
        client: client.clone(),
        left: 10,
        done: done.clone(),
    };
    client.pool.dispatch(get("/bytes/1"), Box::new(first));
    within("chain", done.raised()).await;
    assert_eq!(origin.peer().accepted(), 1);
    client.shut_down().await;
    origin.finish().await;
}
