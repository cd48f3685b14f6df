//! Requests and responses in the `http` crate's types over a [`Pool`].
//!
//! - [`Pool::send`]: one request, one response.
//! - [`IncomingBody`]: the response body with flow control, exact trailers at its end.
//! - [`Upgraded`]: the byte stream after an upgrade or CONNECT.
//!
//! What `http::Response` cannot represent (raw letter case and order, informational responses, the
//! connection) is in [`ResponseDetail`], which comes with the body.

mod exchange;
mod fields;
mod incoming;
mod request_head;
mod upgraded;
mod upload;

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use dodici_pool::{
    ConnId, ConnectInfo, Error, ErrorKind, HeaderBlock, Phase, Request, RequestTimings,
    ResponseHead,
};
use http_body::Body;
use parking_lot::Mutex;

use crate::origin::{Pool, RequestHandle};
use crate::sink::ExchangeInfo;
pub use incoming::IncomingBody;
use incoming::Sent;
pub use upgraded::Upgraded;

/// What the engine knows about a response beyond `http::Response`: [`IncomingBody::detail`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ResponseDetail {
    /// The head as received: letter case, order and duplicates.
    pub head: ResponseHead,
    /// Informational responses (1xx except 101) that preceded it, oldest first.
    pub informational: Vec<ResponseHead>,
    /// The connection that carried it.
    pub info: ExchangeInfo,
    /// Details of that connection, if the request came with a [`ConnectionBook`] that has them.
    pub connection: Option<Arc<ConnectInfo>>,
    /// When the request's parts happened until now, if it came with [`OnTimings`].
    pub timings: Option<RequestTimings>,
}

/// A request body for [`Pool::send_known`].
#[derive(Debug)]
pub enum SendBody<B> {
    /// In memory; empty for none.
    Full(Bytes),
    /// Streamed, framed by its size hint.
    Stream(B),
}

/// Stores details of connections, for instance from a pool's events.
pub trait ConnectionBook: Send + Sync {
    /// Details of this connection. Called on the connection's task when a response head has arrived
    /// on it.
    fn connection(&self, conn: ConnId) -> Option<Arc<ConnectInfo>>;
}

/// Per-request settings that `http::Request` cannot represent. Put it in the request's extensions.
///
/// # Examples
///
/// ```
/// use dodici::{Decode, DecodeManner, RequestOptions};
/// # use dodici::{Engine, NoEvents, Origin, OriginConfig, Scheme};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # const GZIP: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 25\r\n\r\n\
/// #     \x1f\x8b\x08\0\0\0\0\0\x02\x03\xcbH\xcd\xc9\xc9\x07\0\x86\xa6\x106\x05\0\0\0";
/// # let server = dodici_testkit::ScriptedPeer::tcp().await;
/// # let server = server.run(|mut conn| async move { conn.answer_all(GZIP, |_| {}).await });
/// # let engine = Engine::on_runtime(tokio::runtime::Handle::current());
/// # let origin = Origin::new(Scheme::Http, "127.0.0.1", server.port());
/// # let pool = engine.open_pool(origin, OriginConfig::default(), std::sync::Arc::new(NoEvents))?;
/// let mut options = RequestOptions::default();
/// options.decode = Some(Decode::new(DecodeManner::Fetch));
/// let request = http::Request::get("/")
///     .header("accept-encoding", "gzip")
///     .extension(options)
///     .body(String::new())?;
/// let response = pool.send(request).await?;
/// assert!(response.body().detail().info.decoded);
/// let (body, _trailers) = response.into_body().collect().await?;
/// assert_eq!(&body[..], b"hello");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct RequestOptions {
    /// Writes the absolute URI into the request line, as a forward proxy requires (RFC 9112,
    /// section 3.2.2).
    pub absolute_form: bool,
    /// Writes header and trailer names in title case: `Content-Type`.
    pub title_case: bool,
    /// Honours `Transfer-Encoding` in the headers, as intermediaries need: any body becomes chunked
    /// over HTTP/1.1, with the named codings; otherwise the field is dropped. If false, it is
    /// rejected.
    pub transfer_encoding: bool,

    /// See [`Request::headers_timeout`].
    pub headers_timeout: Option<std::time::Duration>,
    /// See [`Request::body_timeout`].
    pub body_timeout: Option<std::time::Duration>,
    /// See [`Request::total_timeout`].
    pub total_timeout: Option<std::time::Duration>,
    /// See [`Request::min_body_rate`].
    pub min_body_rate: Option<u32>,
    /// See [`Request::reset`].
    pub reset: bool,
    /// See [`Request::idempotent`]; `None` decides by the method (RFC 9110, section 9.2.2).
    pub idempotent: Option<bool>,
    /// See [`Request::decode`]. Requires the feature `codings`.
    pub decode: Option<dodici_pool::Decode>,
    /// See [`Request::blocking`]; `None` is true. Matters with
    /// [`PoolConfig::pipelining`](dodici_pool::PoolConfig::pipelining) above 1 only.
    pub blocking: Option<bool>,
}

/// Header fields to be written exactly as they are: order, letter case and duplicates. Put it in
/// the request's extensions; it replaces the request's headers. `Host` is written first if it is
/// missing here; framing fields are checked and written as for any request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawHeaders(pub HeaderBlock);

/// Trailer fields to be written exactly as they are instead of those that the body ends with:
/// order, letter case and duplicates. Put it in the request's extensions. A body that ends without
/// trailers, or whose length is known, gets none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawTrailers(pub HeaderBlock);

/// Called with each informational response (1xx except 101) when it arrives, on the connection's
/// task. Put it in the request's extensions. It must not block.
#[derive(Clone)]
pub struct OnInformational(pub Arc<dyn Fn(&ResponseHead) + Send + Sync>);

impl std::fmt::Debug for OnInformational {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OnInformational")
    }
}

/// Called whenever bytes of the request were written, on the connection's task, to distinguish a
/// slow upload from a silent server. Put it in the request's extensions. It must not block.
#[derive(Clone)]
pub struct OnWritten(pub Arc<dyn Fn() + Send + Sync>);

impl std::fmt::Debug for OnWritten {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OnWritten")
    }
}

/// Called when the request has ended, whether with a response or an error, on the connection's task,
/// with the details of the connection if a [`ConnectionBook`] has them. Put it in the request's
/// extensions. It must not block.
///
/// Without it, no time is taken.
///
/// # Examples
///
/// ```
/// use std::sync::{Arc, mpsc};
/// use dodici::OnTimings;
/// # use dodici::{Engine, NoEvents, Origin, OriginConfig, Scheme};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let server = dodici_testkit::TestOrigin::start().await;
/// # let engine = Engine::on_runtime(tokio::runtime::Handle::current());
/// # let origin = Origin::new(Scheme::Http, "127.0.0.1", server.port());
/// # let pool = engine.open_pool(origin, OriginConfig::default(), Arc::new(NoEvents))?;
/// let (tell, told) = mpsc::channel();
/// let on_timings = OnTimings(Arc::new(move |timings, _connection| drop(tell.send(*timings))));
/// let request = http::Request::get("/").extension(on_timings).body(String::new())?;
/// pool.send(request).await?.into_body().collect().await?;
///
/// let timings = told.recv()?;
/// let (sent, answered) = (timings.head_sent.unwrap(), timings.first_byte.unwrap());
/// println!("{:?} until the first byte", answered - sent);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct OnTimings(pub Arc<TimingsCallback>);

type TimingsCallback = dyn Fn(&RequestTimings, Option<&ConnectInfo>) + Send + Sync;

impl std::fmt::Debug for OnTimings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OnTimings")
    }
}

/// For callers with their own timeout around [`Pool::send`]: before the timeout is reported,
/// it reads what this machine has received of the response, even if the runtime has not noticed
/// yet, as after the process was stopped. Put it in the request's extensions, and keep a clone.
#[derive(Clone, Default)]
pub struct LastLook(Arc<Mutex<Option<RequestHandle>>>);

impl LastLook {
    /// Ready when everything received of the response has been delivered: poll the response once
    /// more then, and if it is still pending, the timeout has expired. Call this when the timeout
    /// has elapsed and polling the response was pending, with the same waker.
    pub fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        match &*self.0.lock() {
            Some(handle) => handle.poll_looked(cx.waker()),
            None => Poll::Ready(()),
        }
    }
}

impl std::fmt::Debug for LastLook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LastLook")
    }
}

impl Pool {
    /// Sends one request and resolves with its response head; the body is read from the response.
    ///
    /// The request line carries the path and query of the URI and `HTTP/1.1`, or `HTTP/1.0` if that
    /// is the request's version; the version `HTTP/2` makes it fail on a connection that speaks
    /// HTTP/1. `Host` is taken from the headers, else from the URI's authority, else from the
    /// pool's origin. A body of known length is sent with `Content-Length`, any other chunked, with
    /// its trailers. `Expect: 100-continue` in the headers makes the body wait for the server,
    /// `Connection: close` closes the connection after the response.
    ///
    /// Dropping the future, or the response body before its end, cancels the request.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] for an invalid request, before any byte is written; every
    /// other kind as it happens.
    ///
    /// [`Engine`](crate::Engine) has an example.
    pub async fn send<B>(
        &self,
        request: http::Request<B>,
    ) -> Result<http::Response<IncomingBody>, Error>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        self.send_known(&parts, SendBody::Stream(body), None).await
    }

    /// Like [`Pool::send`], for callers who know more: a body in memory is written with the head,
    /// without a task that moves it, and `book` supplies the connection's details for the response.
    ///
    /// # Errors
    /// As [`Pool::send`].
    pub async fn send_known<B>(
        &self,
        parts: &http::request::Parts,
        body: SendBody<B>,
        book: Option<Arc<dyn ConnectionBook>>,
    ) -> Result<http::Response<IncomingBody>, Error>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let options = parts
            .extensions
            .get::<RequestOptions>()
            .copied()
            .unwrap_or_default();
        let codings = request_head::transfer_codings(parts, options)?;
        let (kind, body) = upload::kind(body, codings.is_some());
        let head = request_head::serialize(parts, &kind, codings, self.origin(), options)?;
        let meaning = fields::Meaning::of(parts);
        let mut request = Request::new(head);
        request.kind = request_head::kind(parts, meaning);
        request.needs_http2 = parts.version == http::Version::HTTP_2;
        request.http1_upgrade = meaning.upgrade && !meaning.websocket;
        request.idempotent = options
            .idempotent
            .unwrap_or_else(|| parts.method.is_idempotent());
        request.blocking = options.blocking.unwrap_or(true);
        request.expect_continue = meaning.expect_continue;
        request.reset = options.reset || meaning.close;
        request.headers_timeout = options.headers_timeout;
        request.body_timeout = options.body_timeout;
        request.total_timeout = options.total_timeout;
        request.min_body_rate = options.min_body_rate;
        request.decode = options.decode;
        request.body = kind;
        let on_timings = parts.extensions.get::<OnTimings>().cloned();
        request.timed = on_timings.is_some();
        let shared = exchange::Shared::new();
        let handle = self.dispatch(
            request,
            Box::new(exchange::ClientSink {
                shared: Arc::clone(&shared),
                on_informational: parts.extensions.get::<OnInformational>().cloned(),
                on_written: parts.extensions.get::<OnWritten>().cloned(),
                on_timings,
                timings: None,
                book,
            }),
        );
        match body {
            None => {}
            Some(SendBody::Full(bytes)) => {
                handle.body_chunk(bytes);
                handle.body_end(HeaderBlock::new());
            }
            Some(SendBody::Stream(body)) => {
                let trailers = upload::Trailers {
                    raw: parts.extensions.get::<RawTrailers>().cloned(),
                    title_case: options.title_case,
                };
                let pump = upload::pump(body, trailers, Arc::clone(&shared), handle.clone());
                self.spawn(pump);
            }
        }
        if let Some(look) = parts.extensions.get::<LastLook>() {
            *look.0.lock() = Some(handle.clone());
        }
        let sent = Sent::new(shared, handle);
        let incoming = sent.head(parts.method == http::Method::HEAD).await?;
        request_head::response(incoming)
    }
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidRequest, Phase::Queued, message)
}
