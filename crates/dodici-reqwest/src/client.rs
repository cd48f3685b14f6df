//! The async client: the layers a request passes through.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use dodici::LastLook;
use http::header::HeaderMap;
use tokio::time::Sleep;
use tower::Service;
use tower_http::follow_redirect::{FollowRedirect, RequestUri};

use crate::Url;
use crate::attempts::Attempts;
use crate::body::Body;
use crate::error::{self, TimedOut};
use crate::into_url::uri;
use crate::limits::{Late, MaxBody, Silence};
use crate::redirect::Follow;
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

pub(crate) type Service_ = crate::decompress::Decompress<FollowRedirect<Attempts, Follow>>;

/// State shared by a client's clones.
pub(crate) struct Inner {
    pub(crate) service: Service_,
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
            mut headers,
            body,
            version,
            timeout,
            extensions,
        } = request;
        let uri = match self.inner.target(&url) {
            Ok(uri) => uri,
            Err(error) => return Pending::failed(error),
        };
        crate::util::add_missing_headers(&mut headers, &self.inner.headers);
        let mut request = http::Request::new(body.unwrap_or_default());
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.version_mut() = version;
        *request.headers_mut() = headers;
        *request.extensions_mut() = extensions;
        let most = request
            .extensions()
            .get::<MaxBody>()
            .map(|MaxBody(most)| *most);
        let silence = self.inner.read_timeout.map(|limit| {
            let silence = Silence::new(limit);
            request.extensions_mut().insert(silence.ended_by_writing());
            silence
        });
        // The blocking client has its own.
        let look = request.extensions().get::<LastLook>();
        let look = look.cloned().unwrap_or_default();
        let total = timeout.or(self.inner.timeout);
        if total.is_some() || silence.is_some() {
            request.extensions_mut().insert(look.clone());
        }
        Pending {
            state: State::Running(Box::pin(Running {
                sending: self.inner.service.clone().call(request),
                total: total.map(|limit| Box::pin(tokio::time::sleep(limit))),
                silence,
                late: Late::new(look),
                most: most.or(self.inner.max_body),
                client: Arc::clone(&self.inner),
                url,
            })),
        }
    }
}

impl Inner {
    /// The URI of a URL to which requests may be sent.
    pub(crate) fn target(&self, url: &Url) -> crate::Result<http::Uri> {
        match url.scheme() {
            "https" => uri(url),
            "http" if !self.https_only => uri(url),
            _ => Err(error::bad_scheme(url.clone())),
        }
    }
}

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
    Running(Pin<Box<Running>>),
    Failed(Option<crate::Error>),
}

type Sending = <Service_ as Service<http::Request<Body>>>::Future;

pin_project_lite::pin_project! {
    struct Running {
        #[pin]
        sending: Sending,
        total: Option<Pin<Box<Sleep>>>,
        silence: Option<Silence>,
        late: Late,
        most: Option<u64>,
        client: Arc<Inner>,
        url: Url,
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

impl Future for Running {
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
        let response = match polled {
            Poll::Ready(Ok(response)) => response,
            Poll::Ready(Err(error)) => {
                return Poll::Ready(Err(error.if_no_url(|| this.url.clone())));
            }
            Poll::Pending if is_late => {
                return Poll::Ready(Err(error::request(TimedOut).with_url(this.url.clone())));
            }
            Poll::Pending => return Poll::Pending,
        };
        if let Some(RequestUri(uri)) = response.extensions().get()
            && !reads_as(uri, this.url.as_str())
        {
            match Url::parse(&uri.to_string()) {
                Ok(url) => *this.url = url,
                Err(cause) => return Poll::Ready(Err(error::decode(cause))),
            }
        }
        let (total, silence) = (this.total.take(), this.client.read_timeout);
        let (look, most) = (this.late.look(), *this.most);
        let limit = |body| crate::limits::limited(body, total, silence, look, most);
        let response = response.map(limit);
        Poll::Ready(Ok(Response::new(response, this.url.clone())))
    }
}

/// Whether a URI formats to this text, without formatting it.
fn reads_as(uri: &http::Uri, text: &str) -> bool {
    struct Rest<'a>(&'a str);
    impl fmt::Write for Rest<'_> {
        fn write_str(&mut self, part: &str) -> fmt::Result {
            self.0 = self.0.strip_prefix(part).ok_or(fmt::Error)?;
            Ok(())
        }
    }
    let mut rest = Rest(text);
    fmt::write(&mut rest, format_args!("{uri}")).is_ok() && rest.0.is_empty()
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Pending");
        match &self.state {
            State::Running(running) => out.field("url", &running.url),
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
    fn a_uri_is_compared_without_being_written() {
        let uri: http::Uri = "http://host:81/path?query".parse().expect("a URI");
        assert!(reads_as(&uri, "http://host:81/path?query"));
        for other in ["http://host:81/path", "http://host:81/path?query#part", ""] {
            assert!(!reads_as(&uri, other), "{other}");
        }
    }

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
