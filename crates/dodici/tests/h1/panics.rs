//! Sinks that panic: each fails only its own request.

use std::num::NonZeroU32;

use bytes::Bytes;
use dodici::{Error, ErrorKind, ExchangeInfo, HeaderBlock, Request, ResponseHead, Sink};
use dodici_testkit::client::{get, post_chunked, upgrade};
use dodici_testkit::config::{config, connections};
use dodici_testkit::{Client, OK, ScriptedPeer, Signal, TestOrigin, Watched, within};

use crate::support::assert_usable;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Callback {
    Informational,
    Head,
    Data,
    End,
    Error,
    Upgrade,
    Pull,
}

struct Panics {
    at: Callback,
    ends: Watched<Vec<Callback>>,
    dropped: Signal,
}

impl Panics {
    /// A sink, how it ended, and whether it was dropped.
    fn at(at: Callback) -> (Box<Self>, Watched<Vec<Callback>>, Signal) {
        let (ends, dropped) = (Watched::default(), Signal::new());
        let sink = Self {
            at,
            ends: ends.clone(),
            dropped: dropped.clone(),
        };
        (Box::new(sink), ends, dropped)
    }

    fn finish(&self, callback: Callback) {
        self.ends.update(|ends| ends.push(callback));
        self.call(callback);
    }

    fn call(&self, callback: Callback) {
        assert!(callback != self.at, "as the test wants it, in {callback:?}");
    }
}

impl Sink for Panics {
    fn informational(&mut self, _: &ResponseHead) {
        self.call(Callback::Informational);
    }
    fn head(&mut self, _: &ResponseHead, _: &ExchangeInfo) {
        self.call(Callback::Head);
    }
    fn data(&mut self, _: Bytes) {
        self.call(Callback::Data);
    }
    fn end(&mut self, _: &HeaderBlock) {
        self.finish(Callback::End);
    }
    fn error(&mut self, _: Error) {
        self.finish(Callback::Error);
    }
    fn upgrade(&mut self, _: &ResponseHead, _: &ExchangeInfo) {
        self.call(Callback::Upgrade);
    }
    fn pull(&mut self, _: u32) {
        self.call(Callback::Pull);
    }
}

impl Drop for Panics {
    fn drop(&mut self) {
        self.dropped.raise();
    }
}

async fn panic_in(at: Callback, request: Request) {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), connections(1));
    let (sink, _, dropped) = Panics::at(at);
    client.pool.dispatch(request, sink);
    // Queued behind it, and must be served.
    let queued = client.post("/echo", "queued", "x");
    within("dropped", dropped.raised()).await;
    within("queued", queued.ended()).await;
    assert_eq!(origin.executions("queued"), 1);
    assert_usable(&client).await;
    client.shut_down().await;
    origin.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s43_a_sink_that_panics_fails_only_its_own_request() {
    panic_in(Callback::Informational, get("/early")).await;
    panic_in(Callback::Head, get("/bytes/10")).await;
    panic_in(Callback::Data, get("/bytes/10")).await;
    panic_in(Callback::End, get("/bytes/10")).await;
    panic_in(Callback::Pull, post_chunked("/echo")).await;
    panic_in(Callback::Upgrade, upgrade("/upgrade")).await;
}

#[tokio::test]
async fn s43_a_sink_that_panics_fails_only_its_own_request_on_a_current_thread_runtime() {
    panic_in(Callback::Head, get("/bytes/10")).await;
    panic_in(Callback::End, get("/bytes/10")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s43_a_sink_that_panics_in_error_affects_no_other_request() {
    let (peer, _) = ScriptedPeer::tcp()
        .await
        .first_then_ok(|mut conn| async move {
            conn.read_head().await;
            conn.reset();
        });
    let client = Client::new(peer.port(), connections(1));
    let (sink, _, dropped) = Panics::at(Callback::Error);
    client.pool.dispatch(get("/"), sink);
    let queued = client.post("/", "queued", "x");
    within("dropped", dropped.raised()).await;
    within("queued", queued.ended()).await;
    within("disconnect", client.disconnected(1)).await;
    client.finish(peer).await;
}

#[tokio::test]
async fn s43_queued_sinks_that_panic_in_error_do_not_keep_others_from_being_destroyed() {
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), connections(1));
    let running = client.get("/hold");
    within("running", origin.wait_executed(1)).await;
    let (sink, _, dropped) = Panics::at(Callback::Error);
    let first = client.get("/bytes/1");
    client.pool.dispatch(get("/bytes/1"), sink);
    let last = client.get("/bytes/1");
    client.pool.destroy();
    within("dropped", dropped.raised()).await;
    for call in [&running, &first, &last] {
        assert_eq!(
            within("failed", call.error()).await.kind(),
            ErrorKind::Destroyed
        );
    }
    within("closed", client.events.closed()).await;
    origin.finish().await;
}

#[tokio::test]
async fn a_sink_that_panics_ends_its_own_request_and_no_other() {
    for at in [
        Callback::Informational,
        Callback::Head,
        Callback::Data,
        Callback::End,
    ] {
        let (peer, _) = ScriptedPeer::tcp()
            .await
            .first_then_ok(|mut conn| async move {
                for _ in 0..3 {
                    conn.read_head().await;
                }
                conn.send(format!("{OK}HTTP/1.1 103 Early Hints\r\n\r\n{OK}{OK}"))
                    .await;
                conn.closed().await;
            });
        let client = Client::new(
            peer.port(),
            config(|config| {
                config.pool.max_connections = NonZeroU32::new(1);
                config.pool.pipelining = 3;
            }),
        );
        let first = client.get("/0");
        let (sink, ends, _) = Panics::at(at);
        client.pool.dispatch(get("/1"), sink);
        let last = client.get("/2");
        for call in [&first, &last] {
            assert_eq!(within("response", call.ended()).await.body, b"ok", "{at:?}");
        }
        let expected = if at == Callback::End {
            at
        } else {
            Callback::Error
        };
        assert_eq!(ends.read(Vec::clone), [expected], "{at:?}");
        client.finish(peer).await;
    }
}
