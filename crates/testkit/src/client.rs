//! A pool whose events and results are recorded, used by the engine's tests.
//!
//! [`Client`] opens the pool, [`Call`] is one request with its recording and its handle. Requests
//! are heads as text, so that a test shows the bytes that it sends.

use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;
use dodici::{
    BodyKind, CloseReason, DisconnectInfo, Engine, Error, Event, HeaderBlock, Origin, OriginConfig,
    Pool, Request, RequestHandle, RequestKind, Scheme,
};
use tokio::runtime::Handle;

use crate::peer_log::PeerLog;
use crate::recording::{Recorder, Recording};
use crate::scripted::ScriptedPeer;
use crate::watched::within;
use crate::with;

/// A pool and its events. Clones share both.
#[derive(Clone)]
pub struct Client {
    /// The pool.
    pub pool: Pool,
    /// Its events.
    pub events: Recorder,
    /// Whether its sinks lend memory for large bodies.
    in_place: bool,
}

impl Client {
    /// A pool on the current runtime for a plain origin at 127.0.0.1.
    pub fn new(port: u16, config: OriginConfig) -> Self {
        Self::to(Origin::new(Scheme::Http, "127.0.0.1", port), config)
    }

    /// A pool on the current runtime for a TLS origin at `localhost`.
    pub fn tls(port: u16, config: OriginConfig) -> Self {
        Self::to(Origin::new(Scheme::Https, "localhost", port), config)
    }

    /// A pool on the current runtime for any origin.
    ///
    /// # Panics
    /// If the engine refuses the configuration.
    pub fn to(origin: Origin, config: OriginConfig) -> Self {
        Self::of(&Engine::on_runtime(Handle::current()), origin, config)
    }

    /// A pool of this engine.
    ///
    /// # Panics
    /// If the engine refuses the configuration.
    pub fn of(engine: &Engine, origin: Origin, config: OriginConfig) -> Self {
        let events = Recorder::new();
        let pool = engine
            .open_pool(origin, config, Arc::new(events.clone()))
            .expect("the configuration is valid");
        Self {
            pool,
            events,
            in_place: false,
        }
    }

    /// Makes sinks lend memory for large bodies.
    #[must_use]
    pub fn in_place(self, in_place: bool) -> Self {
        Self { in_place, ..self }
    }

    /// Dispatches a request whose reader returns credit immediately.
    pub fn send(&self, request: Request) -> Call {
        let (recording, sink) = Recording::new();
        let sink = sink.in_place(self.in_place);
        let handle = self.pool.dispatch(request, Box::new(sink));
        let credit = handle.clone();
        recording.attach_credit(move |bytes| credit.credit(bytes));
        Call { recording, handle }
    }

    /// Dispatches a request whose credit is returned by the test only.
    pub fn send_paused(&self, request: Request) -> Call {
        let (recording, sink) = Recording::manual();
        let sink = sink.in_place(self.in_place);
        let handle = self.pool.dispatch(request, Box::new(sink));
        Call { recording, handle }
    }

    /// Dispatches a GET.
    pub fn get(&self, target: &str) -> Call {
        self.send(get(target))
    }

    /// Dispatches a POST of these bytes with this id, never to be sent twice.
    pub fn post(&self, target: &str, id: &str, body: &str) -> Call {
        self.send(post(target, id, body))
    }

    /// Resolves once this many connections have ended.
    pub async fn disconnected(&self, count: usize) {
        let disconnect = |event: &Event| matches!(event, Event::Disconnected { .. });
        self.events.wait_nth(count, disconnect).await;
    }

    /// Details of the connections that ended, in order.
    pub fn accounts(&self) -> Vec<DisconnectInfo> {
        let events = self.events.events().into_iter();
        let accounts = events.filter_map(|event| match event {
            Event::Disconnected { info, .. } => Some(info),
            _ => None,
        });
        accounts.collect()
    }

    /// Why the connections that ended did, in order.
    pub fn reasons(&self) -> Vec<CloseReason> {
        self.accounts().iter().map(|info| info.reason).collect()
    }

    /// Closes the pool and waits for its end.
    pub async fn shut_down(self) {
        self.pool.close();
        within("the end of the pool", self.events.closed()).await;
    }

    /// Shuts the client down, then the peer that it spoke to.
    pub async fn finish(self, peer: ScriptedPeer) -> PeerLog {
        self.shut_down().await;
        within("the end of the peer", peer.finish()).await
    }
}

/// One request: its recording (also by deref) and its handle.
pub struct Call {
    /// What its sink saw.
    pub recording: Recording,
    /// The caller's handle.
    pub handle: RequestHandle,
}

impl Call {
    /// Hands over a slice of the request body.
    pub fn chunk(&self, bytes: &'static str) {
        self.handle.body_chunk(Bytes::from_static(bytes.as_bytes()));
    }

    /// Ends the request body without trailers.
    pub fn finish(&self) {
        self.handle.body_end(HeaderBlock::new());
    }
}

impl Deref for Call {
    type Target = Recording;

    fn deref(&self) -> &Recording {
        &self.recording
    }
}

/// A GET without body.
pub fn get(target: &str) -> Request {
    with(
        Request::new(format!("GET {target} HTTP/1.1\r\nhost: test\r\n\r\n")),
        |request| {
            request.idempotent = true;
            request.blocking = false;
        },
    )
}

/// A HEAD request.
pub fn head(target: &str) -> Request {
    with(
        Request::new(format!("HEAD {target} HTTP/1.1\r\nhost: test\r\n\r\n"))
            .with_kind(RequestKind::Head),
        |request| request.idempotent = true,
    )
}

/// A POST with its body in memory and an `x-request-id`.
pub fn post(target: &str, id: &str, body: &str) -> Request {
    Request::new(format!(
        "POST {target} HTTP/1.1\r\nhost: test\r\nx-request-id: {id}\r\n\
             content-length: {}\r\n\r\n",
        body.len()
    ))
    .with_body(BodyKind::Full(Bytes::copy_from_slice(body.as_bytes())))
}

/// A POST whose body of `length` bytes is pulled.
pub fn post_sized(target: &str, length: u64) -> Request {
    Request::new(format!(
        "POST {target} HTTP/1.1\r\nhost: test\r\ncontent-length: {length}\r\n\r\n"
    ))
    .with_body(BodyKind::Sized(length))
}

/// A POST whose body is pulled and chunked.
pub fn post_chunked(target: &str) -> Request {
    Request::new(format!(
        "POST {target} HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n"
    ))
    .with_body(BodyKind::Chunked)
}

/// A request for a protocol switch to `echo`.
pub fn upgrade(target: &str) -> Request {
    Request::new(format!(
        "GET {target} HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n"
    ))
    .with_kind(RequestKind::Upgrade)
}

/// A CONNECT request.
pub fn connect(authority: &str) -> Request {
    Request::new(format!(
        "CONNECT {authority} HTTP/1.1\r\nhost: {authority}\r\n\r\n"
    ))
    .with_kind(RequestKind::Connect)
}

/// The code of an error as Node names it; empty where there is none.
pub fn code(error: &Error) -> &str {
    error.system().map_or("", |system| &system.code)
}
