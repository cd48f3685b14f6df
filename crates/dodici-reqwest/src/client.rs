//! The async client: what a request passes through.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use dodici::LastLook;
use http::Uri;
use http::header::HeaderMap;
use http::request::Parts;
use sync_wrapper::SyncFuture;
use tokio::time::Sleep;
use tower::Service;

use crate::Url;
use crate::attempts::Attempts;
use crate::body::Body;
use crate::decompress::{DecodedBody, Decompress};
use crate::error::{self, TimedOut};
use crate::follow::Follow;
use crate::into_url::uri;
use crate::limits::{Late, MaxBody, Silence};
use crate::received::ResponseBody;
use crate::request::Request;
use crate::response::Response;

/// An async client.
///
/// It keeps connections open for reuse, so create it once and reuse it: a clone is the same client.
/// Requests run on the tokio runtime that polls them first.
///
/// ```no_run
/// use dodici_reqwest::Client;
///
/// # async fn run() -> Result<(), dodici_reqwest::Error> {
/// let client = Client::new();
/// let body = client.get("https://example.com/").send().await?.text().await?;
/// println!("{body}");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    pub(crate) inner: Arc<Inner>,
}

/// State shared by a client's clones.
pub(crate) struct Inner {
    pub(crate) decompress: Decompress,
    pub(crate) follow: Follow,
    pub(crate) attempts: Attempts,
    pub(crate) headers: HeaderMap,
    pub(crate) timeout: Option<Duration>,
    pub(crate) read_timeout: Option<Duration>,
    pub(crate) max_body: Option<u64>,
    pub(crate) https_only: bool,
    /// What `Debug` prints.
    pub(crate) shown: String,
}

impl Client {
    /// Sends a request and resolves with the response head. Dropping the future cancels the
    /// request.
    ///
    /// ```no_run
    /// use dodici_reqwest::{Client, Method, Request, Url};
    ///
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let request = Request::new(Method::GET, Url::parse("https://example.com/")?);
    /// let response = Client::new().execute(request).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Any error that prevents a response.
    pub fn execute(
        &self,
        request: Request,
    ) -> impl Future<Output = Result<Response, crate::Error>> + use<> {
        self.start(request)
    }

    pub(crate) fn start(&self, request: Request) -> Pending {
        let Request {
            method,
            url,
            headers,
            body,
            version,
            timeout,
            extensions,
        } = request;
        let uri = match self.inner.target(&url) {
            Ok(uri) => uri,
            Err(error) => return Pending::failed(error),
        };
        let (mut parts, ()) = http::Request::new(()).into_parts();
        parts.method = method;
        parts.uri = uri;
        parts.version = version;
        parts.headers = headers;
        parts.extensions = extensions;
        crate::util::add_missing_headers(&mut parts.headers, &self.inner.headers);
        let most = parts.extensions.get::<MaxBody>().map(|MaxBody(most)| *most);
        let silence = self.inner.read_timeout.map(|limit| {
            let silence = Silence::new(limit);
            parts.extensions.insert(silence.ended_by_writing());
            silence
        });
        let total = timeout.or(self.inner.timeout);
        let look = (total.is_some() || silence.is_some()).then(|| {
            // The blocking client has its own.
            let own = parts.extensions.get::<LastLook>();
            let look = own.cloned().unwrap_or_default();
            parts.extensions.insert(look.clone());
            look
        });
        let running = Running {
            total: total.map(|limit| Box::pin(tokio::time::sleep(limit))),
            silence,
            late: Late::new(look),
            most: most.or(self.inner.max_body),
            read_timeout: self.inner.read_timeout,
            url: Some(url),
            sending: SyncFuture::new(Arc::clone(&self.inner).send(parts, body.unwrap_or_default())),
        };
        Pending {
            state: State::Running(Box::pin(running)),
        }
    }
}

impl Inner {
    /// The URI of a URL to which requests may be sent.
    pub(crate) fn target(&self, url: &Url) -> crate::Result<Uri> {
        match url.scheme() {
            "https" => uri(url),
            "http" if !self.https_only => uri(url),
            _ => Err(error::bad_scheme(url.clone())),
        }
    }

    /// The response, and the URI that it came from, if redirects led there.
    #[expect(clippy::manual_async_fn, reason = "that holds its arguments twice")]
    fn send(
        self: Arc<Self>,
        mut parts: Parts,
        body: Body,
    ) -> impl Future<Output = crate::Result<Arrived>> + Send {
        async move {
            self.decompress.ask(&mut parts.headers);
            let sending = self.follow.send(&self.attempts, &mut parts, body);
            let (response, moved) = sending.await?;
            Ok((self.decompress.decode(response)?, moved))
        }
    }
}

type Arrived = (http::Response<DecodedBody>, Option<Uri>);

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client")
            .field(&format_args!("{}", self.inner.shown))
            .finish()
    }
}

macro_rules! services {
    ($($client:ty),*) => {
        $(impl Service<Request> for $client {
            type Response = Response;
            type Error = crate::Error;
            type Future = Pending;

            fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<crate::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn call(&mut self, request: Request) -> Pending {
                self.start(request)
            }
        })*
    };
}

services!(Client, &Client);

/// A request in flight.
pub struct Pending {
    state: State,
}

enum State {
    Running(Pin<Box<Running<Sending>>>),
    Failed(Option<crate::Error>),
}

/// What sends the request, and receives the head of its response.
type Sending = dyn Future<Output = crate::Result<Arrived>> + Send + Sync;

pin_project_lite::pin_project! {
    struct Running<F: ?Sized> {
        total: Option<Pin<Box<Sleep>>>,
        silence: Option<Silence>,
        late: Late,
        most: Option<u64>,
        read_timeout: Option<Duration>,
        // Until it completes.
        url: Option<Url>,
        #[pin]
        sending: F,
    }
}

impl Pending {
    pub(crate) fn failed(error: crate::Error) -> Self {
        Self {
            state: State::Failed(Some(error)),
        }
    }
}

impl Future for Pending {
    type Output = crate::Result<Response>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<crate::Result<Response>> {
        match &mut self.state {
            State::Running(running) => running.as_mut().poll(cx),
            State::Failed(error) => match error.take() {
                Some(error) => Poll::Ready(Err(error)),
                // Polled after completion.
                None => Poll::Pending,
            },
        }
    }
}

impl Future for Running<Sending> {
    type Output = crate::Result<Response>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<crate::Result<Response>> {
        let this = self.project();
        let is_late = this
            .total
            .as_mut()
            .is_some_and(|limit| limit.as_mut().poll(cx).is_ready())
            || this
                .silence
                .as_mut()
                .is_some_and(|silence| silence.poll(cx).is_ready());
        let mut sending = this.sending;
        let mut polled = sending.as_mut().poll(cx);
        if polled.is_pending() && is_late {
            ready!(this.late.poll_looked(cx));
            polled = sending.poll(cx);
        }
        let (response, moved) = match polled {
            Poll::Ready(Ok(arrived)) => arrived,
            Poll::Ready(Err(error)) => {
                return Poll::Ready(Err(match this.url.take() {
                    Some(url) => error.if_no_url(|| url),
                    None => error,
                }));
            }
            Poll::Pending if is_late => {
                let late = error::request(TimedOut);
                return Poll::Ready(Err(match this.url.take() {
                    Some(url) => late.with_url(url),
                    None => late,
                }));
            }
            Poll::Pending => return Poll::Pending,
        };
        if let Some(uri) = moved {
            match Url::parse(&uri.to_string()) {
                Ok(url) => *this.url = Some(url),
                Err(cause) => return Poll::Ready(Err(error::decode(cause))),
            }
        }
        let Some(mut url) = this.url.take() else {
            // Polled after completion.
            return Poll::Pending;
        };
        url.set_fragment(None);
        let (total, silence) = (this.total.take(), *this.read_timeout);
        let (look, most) = (this.late.look(), *this.most);
        let limit = |body| ResponseBody::received(body, total, silence, look, most);
        Poll::Ready(Ok(Response::new(response.map(limit), url)))
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Pending");
        match &self.state {
            State::Running(running) => out.field("url", &running.url.as_ref().map(Url::as_str)),
            State::Failed(error) => out.field("error", error),
        };
        out.finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn a_pending_request_is_small() {
        assert!(size_of::<Pending>() < 128);
    }

    #[test]
    fn spawned_futures_are_send() {
        fn check<T: Send + Sync>() {}
        check::<Client>();
        check::<Pending>();
        check::<Request>();
        check::<Response>();
    }

    #[tokio::test]
    async fn unusable_schemes_and_hosts_are_rejected_with_their_url() {
        for text in ["hxxps://example.com/", "https://{{hostname}}/"] {
            let url = Url::parse(text).expect("a URL");
            let error = Client::new().get(url).send().await.expect_err("refused");
            assert!(error.is_builder());
            assert_eq!(error.url().map(Url::as_str), Some(text));
        }
    }
}
