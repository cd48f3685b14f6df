//! The callback traits of the engine: one for a request, one for a pool's connections.
//!
//! Implemented by the Node addon, by [`client`](crate::client) and by test recorders.

use std::io;
use std::task::{Poll, ready};

use bytes::Bytes;
use dodici_pool::{ConnId, Error, Event, HeaderBlock, RequestTimings, ResponseHead};

/// Details of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExchangeInfo {
    /// The connection that carries the exchange.
    pub conn: ConnId,
    /// Whether that connection had served a request before.
    pub reused: bool,
    /// HTTP/2 stream id; 0 over HTTP/1.1.
    pub stream: u32,
    /// Whether the body is decoded; see
    /// [`Request::decode`](dodici_pool::Request::decode).
    pub decoded: bool,
    /// HTTP/1: whether the response says that its connection ends with it (RFC 9112, section 9.6).
    pub last: bool,
}

impl ExchangeInfo {
    /// Of an exchange whose response is not there yet.
    pub(crate) fn new(conn: ConnId, reused: bool) -> Self {
        Self {
            conn,
            reused,
            stream: 0,
            decoded: false,
            last: false,
        }
    }
}

/// Receives the events of one request, one call at a time.
///
/// Called on the connection's task or, while the request is queued, on the thread that settles it.
/// Exactly one of [`Sink::end`], [`Sink::end_decoded`] and [`Sink::error`] ends the sequence; a sink that panics ends only
/// its own request and connection.
pub trait Sink: Send {
    /// A connection takes the request, and is about to send it. Another one does if the request is
    /// replayed.
    fn assigned(&mut self, conn: ConnId) {
        let _ = conn;
    }

    /// An informational response (1xx except 101), before the head. Any number of times.
    fn informational(&mut self, head: &ResponseHead);

    /// The final response head.
    fn head(&mut self, head: &ResponseHead, info: &ExchangeInfo);

    /// Body bytes, never empty with one exception: after [`Sink::upgrade`], an empty chunk says
    /// that the peer has closed its side, while the caller may still write. They count against the
    /// request's window, by [`piece_cost`](dodici_pool::piece_cost), until returned with
    /// [`RequestHandle::credit`](crate::RequestHandle::credit).
    fn data(&mut self, chunk: Bytes);

    /// Whether to use [`Sink::read_in_place`] for large bodies of known length.
    fn reads_in_place(&self) -> bool {
        false
    }

    /// Receives body bytes without a copy: `read` appends at most `most` bytes to the vector that
    /// the sink passes to it, never beyond its capacity, and returns how many. The sink keeps them
    /// like those of [`Sink::data`], and returns what `read` returned. `read` neither blocks nor
    /// calls back.
    ///
    /// # Errors
    /// Those of `read`.
    fn read_in_place(
        &mut self,
        most: usize,
        read: &mut dyn FnMut(&mut Vec<u8>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let mut memory = Vec::with_capacity(most);
        let filled = ready!(read(&mut memory))?;
        if filled > 0 {
            self.data(memory.into());
        }
        Poll::Ready(Ok(filled))
    }

    /// The response is complete; after [`Sink::upgrade`], both sides are closed.
    fn end(&mut self, trailers: &HeaderBlock);

    /// [`Sink::end`] of a response that was decoded: its body had this many bytes before.
    fn end_decoded(&mut self, trailers: &HeaderBlock, received: u64) {
        let _ = received;
        self.end(trailers);
    }

    /// The request failed.
    fn error(&mut self, error: Error);

    /// The connection is a byte stream from now on (101, or 2xx to CONNECT): it continues with
    /// [`Sink::data`] and [`Sink::pull`], and the handle's body methods write to it.
    fn upgrade(&mut self, head: &ResponseHead, info: &ExchangeInfo);

    /// The engine accepts this many more bytes of the request body.
    fn pull(&mut self, bytes: u32);

    /// Bytes of the request were written.
    fn written(&mut self) {}

    /// Only for a request that is [`timed`](dodici_pool::Request::timed): before the final head,
    /// and before the end, the error or the upgrade, then with the time of that.
    fn timings(&mut self, _timings: &RequestTimings) {}
}

/// Methods of a [`Sink`] with a field `sink`, to which they pass what they get: those that it does not
/// change or watch.
#[cfg(any(feature = "http3", feature = "tracing"))]
macro_rules! pass_on {
    ($($method:ident)*) => { $(crate::sink::pass_on!(@$method);)* };
    (@assigned) => {
        fn assigned(&mut self, conn: dodici_pool::ConnId) {
            self.sink.assigned(conn);
        }
    };
    (@informational) => {
        fn informational(&mut self, head: &dodici_pool::ResponseHead) {
            self.sink.informational(head);
        }
    };
    (@data) => {
        fn data(&mut self, chunk: bytes::Bytes) {
            self.sink.data(chunk);
        }
        fn reads_in_place(&self) -> bool {
            self.sink.reads_in_place()
        }
        fn read_in_place(
            &mut self,
            most: usize,
            read: &mut dyn FnMut(&mut Vec<u8>) -> std::task::Poll<std::io::Result<usize>>,
        ) -> std::task::Poll<std::io::Result<usize>> {
            self.sink.read_in_place(most, read)
        }
    };
    (@end) => {
        fn end(&mut self, trailers: &dodici_pool::HeaderBlock) {
            self.sink.end(trailers);
        }
        fn end_decoded(&mut self, trailers: &dodici_pool::HeaderBlock, received: u64) {
            self.sink.end_decoded(trailers, received);
        }
    };
    (@error) => {
        fn error(&mut self, error: dodici_pool::Error) {
            self.sink.error(error);
        }
    };
    (@upgrade) => {
        fn upgrade(
            &mut self,
            head: &dodici_pool::ResponseHead,
            info: &crate::sink::ExchangeInfo,
        ) {
            self.sink.upgrade(head, info);
        }
    };
    (@pull) => {
        fn pull(&mut self, bytes: u32) {
            self.sink.pull(bytes);
        }
    };
    (@written) => {
        fn written(&mut self) {
            self.sink.written();
        }
    };
    (@timings) => {
        fn timings(&mut self, timings: &dodici_pool::RequestTimings) {
            self.sink.timings(timings);
        }
    };
}

#[cfg(any(feature = "http3", feature = "tracing"))]
pub(crate) use pass_on;

/// Receives the events of one pool.
///
/// # Examples
///
/// ```
/// use dodici::{CloseReason, Event};
/// # use dodici::{Engine, Origin, OriginConfig, Scheme};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let server = dodici_testkit::TestOrigin::start().await;
/// # let engine = Engine::on_runtime(tokio::runtime::Handle::current());
/// # let origin = Origin::new(Scheme::Http, "127.0.0.1", server.port());
/// # let config = OriginConfig::default();
/// let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
/// let events = move |event: Event| drop(tell.send(event));
/// let pool = engine.open_pool(origin, config, std::sync::Arc::new(events))?;
/// pool.connect();
/// let Some(Event::Connected { conn, info }) = told.recv().await else { panic!() };
/// println!("{conn} to {:?} in {:?}", info.remote, info.timings.total);
///
/// pool.destroy();
/// while let Some(event) = told.recv().await {
///     match event {
///         Event::Disconnected { info, .. } => assert_eq!(info.reason, CloseReason::PoolDestroyed),
///         Event::Closed => break,
///         _ => {}
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub trait EventSink: Send + Sync {
    /// Called without holding any of the engine's locks, in the order of the events.
    fn event(&self, event: Event);
}

/// Ignores all events.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoEvents;

impl EventSink for NoEvents {
    fn event(&self, _event: Event) {}
}

impl<F: Fn(Event) + Send + Sync> EventSink for F {
    fn event(&self, event: Event) {
        self(event);
    }
}
