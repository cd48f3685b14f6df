//! Caller's code that panics when the engine calls it: sinks over HTTP/2, hooks, event sinks.
//! Sinks over HTTP/1.1 are in `lifecycle.rs`.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use dodici::{
    AroundHook, ConnectHooks, Connected, Engine, Error, Event, EventSink, ExchangeInfo,
    HeaderBlock, HookFuture, Origin, OriginConfig, Request, ResolveHook, ResponseHead, Scheme,
    Sink, SocketHook,
};
use dodici_testkit::client::{get, post_chunked};
use dodici_testkit::with;
use dodici_testkit::{
    Client, H2Peer, Recorder, Recording, ScriptedPeer, Signal, TestOrigin, within,
};

/// Panics in the callback of this name.
struct Panics {
    at: &'static str,
    dropped: Signal,
}

impl Panics {
    fn call(&self, callback: &str) {
        assert!(callback != self.at, "as the test wants it, in {callback}");
    }
}

impl Sink for Panics {
    fn informational(&mut self, _: &ResponseHead) {
        self.call("informational");
    }
    fn head(&mut self, _: &ResponseHead, _: &ExchangeInfo) {
        self.call("head");
    }
    fn data(&mut self, _: Bytes) {
        self.call("data");
    }
    fn end(&mut self, _: &HeaderBlock) {
        self.call("end");
    }
    fn error(&mut self, _: Error) {
        self.call("error");
    }
    fn upgrade(&mut self, _: &ResponseHead, _: &ExchangeInfo) {
        self.call("upgrade");
    }
    fn pull(&mut self, _: u32) {
        self.call("pull");
    }
}

impl Drop for Panics {
    fn drop(&mut self) {
        self.dropped.raise();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s43_r14_a_sink_that_panics_over_http2_fails_no_other_stream() {
    for (at, request) in [
        ("head", get("/")),
        ("data", get("/")),
        ("end", get("/")),
        ("pull", post_chunked("/")),
    ] {
        let dropped = Signal::new();
        let panicked = dropped.clone();
        // Answers the first request after the second has panicked.
        let peer = ScriptedPeer::tcp().await.run(move |conn| {
            let panicked = panicked.clone();
            async move {
                let mut peer = H2Peer::accept(conn, &[]).await;
                let first = peer.next_head().await.unwrap();
                // One that panics in `pull` may never arrive.
                if at != "pull" {
                    let second = peer.next_head().await.unwrap();
                    peer.respond(second, "second").await;
                }
                panicked.raised().await;
                peer.respond(first, "first").await;
                peer.closed().await;
            }
        });
        let mut config = OriginConfig::default();
        config.http2.prior_knowledge = true;
        let client = Client::new(peer.port(), config);
        let beside = client.get("/beside");
        let sink = Panics {
            at,
            dropped: dropped.clone(),
        };
        client.pool.dispatch(request, Box::new(sink));
        within("dropped", dropped.raised()).await;
        within("beside", beside.ended()).await;
        assert_eq!(client.events.connects(), 1, "{at}");
        client.pool.destroy();
        within("closed", client.events.closed()).await;
    }
}

/// Panics at its first call, in the given place.
#[derive(Clone)]
struct Once {
    at: &'static str,
    calls: Arc<AtomicUsize>,
}

impl Once {
    fn call(&self, place: &str) {
        if place == self.at {
            let first = self.calls.fetch_add(1, Ordering::SeqCst) == 0;
            assert!(!first, "as the test wants it, in {place}");
        }
    }
}

impl ResolveHook for Once {
    fn resolve(&self, _: &str, port: u16) -> Option<HookFuture<Result<Vec<SocketAddr>, Error>>> {
        self.call("resolve");
        let this = self.clone();
        Some(Box::pin(async move {
            this.call("resolving");
            Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))])
        }))
    }
}

impl SocketHook for Once {
    fn prepare(&self, _: socket2::SockRef<'_>) -> io::Result<()> {
        self.call("prepare");
        Ok(())
    }
}

impl AroundHook for Once {
    fn around(
        &self,
        connect: HookFuture<Result<Connected, Error>>,
    ) -> HookFuture<Result<Connected, Error>> {
        self.call("around");
        let this = self.clone();
        Box::pin(async move {
            let connected = connect.await;
            this.call("connected");
            connected
        })
    }
}

impl EventSink for Once {
    fn event(&self, event: Event) {
        self.call(match event {
            Event::Connected { .. } => "event: connected",
            Event::Disconnected { .. } => "event: disconnected",
            Event::Closed => "event: closed",
            _ => "event",
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s43_r14_a_hook_that_panics_fails_the_requests_waiting_for_it_and_not_the_pool() {
    for at in ["resolve", "resolving", "prepare", "around", "connected"] {
        let origin = TestOrigin::start().await;
        let once = Once {
            at,
            calls: Arc::default(),
        };
        let hooks = with(ConnectHooks::default(), |hooks| {
            hooks.resolve = Some(Arc::new(once.clone()));
            hooks.socket = Some(Arc::new(once.clone()));
            hooks.around = Some(Arc::new(once.clone()));
        });
        let events = Recorder::new();
        let pool = Engine::on_runtime(tokio::runtime::Handle::current())
            .open_pool_with(
                Origin::new(Scheme::Http, "some.test", origin.port()),
                OriginConfig::default(),
                hooks,
                Arc::new(events.clone()),
            )
            .unwrap();
        let send = |request: Request| {
            let (recording, sink) = Recording::new();
            let handle = pool.dispatch(request, Box::new(sink));
            (recording, handle)
        };
        let (first, _first) = send(get("/bytes/1"));
        let seen = within("an outcome", first.settled()).await;
        assert!(seen.error_kind().is_some(), "{at}: {seen:?}");
        let (second, _second) = send(get("/bytes/1"));
        within("the next request", second.ended()).await;
        assert!(once.calls.load(Ordering::SeqCst) > 1, "{at}");
        pool.close();
        within("closed", events.closed()).await;
        origin.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s43_r14_an_event_sink_that_panics_keeps_no_request_from_settling() {
    for at in ["event: connected", "event: disconnected"] {
        let origin = TestOrigin::start().await;
        let once = Once {
            at,
            calls: Arc::default(),
        };
        // Each request has its own connection.
        let mut config = OriginConfig::default();
        config.pool.keep_alive = false;
        let pool = Engine::on_runtime(tokio::runtime::Handle::current())
            .open_pool(
                Origin::new(Scheme::Http, "127.0.0.1", origin.port()),
                config,
                Arc::new(once.clone()),
            )
            .unwrap();
        let mut failed = 0;
        for _ in 0..3 {
            let (recording, sink) = Recording::new();
            let handle = pool.dispatch(get("/bytes/1"), Box::new(sink));
            let seen = within("an outcome", recording.settled()).await;
            failed += usize::from(seen.error_kind().is_some());
            drop(handle);
        }
        assert!(failed <= 1, "{at}: {failed} of 3 failed");
        assert!(once.calls.load(Ordering::SeqCst) > 1, "{at}");
        pool.destroy();
    }
}
