//! The inner layers of a client: cookies around retries around the transport.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use sync_wrapper::SyncFuture;

use crate::body::Body;
use crate::retry::Policy;
use crate::trace::{self, Hop};
use crate::transport::{Transport, TransportBody};

/// A tower service that the redirect layer calls once per hop.
#[derive(Clone)]
pub(crate) struct Attempts(Arc<Inner>);

struct Inner {
    transport: Transport,
    retry: Policy,
    #[cfg(feature = "cookies")]
    cookies: Option<Arc<dyn crate::cookie::CookieStore>>,
}

impl Attempts {
    pub(crate) fn new(
        transport: Transport,
        retry: Policy,
        #[cfg(feature = "cookies")] cookies: Option<Arc<dyn crate::cookie::CookieStore>>,
    ) -> Self {
        Self(Arc::new(Inner {
            transport,
            retry,
            #[cfg(feature = "cookies")]
            cookies,
        }))
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.0.transport
    }
}

type Answer = crate::Result<http::Response<TransportBody>>;

impl tower::Service<http::Request<Body>> for Attempts {
    type Response = http::Response<TransportBody>;
    type Error = crate::Error;
    type Future = SyncFuture<Sending>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<crate::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let inner = Arc::clone(&self.0);
        let hop = Hop::new(&request);
        SyncFuture::new(Box::pin(
            hop.around(async move { inner.run(request).await }),
        ))
    }
}

type Sending = Pin<Box<dyn Future<Output = Answer> + Send>>;

impl Inner {
    #[cfg(not(feature = "cookies"))]
    async fn run(&self, request: http::Request<Body>) -> Answer {
        self.attempt(request).await
    }

    #[cfg(feature = "cookies")]
    async fn run(&self, mut request: http::Request<Body>) -> Answer {
        use http::header::{COOKIE, SET_COOKIE};

        let Some(store) = &self.cookies else {
            return self.attempt(request).await;
        };
        let url = crate::Url::parse(&request.uri().to_string()).map_err(crate::error::builder)?;
        if !request.headers().contains_key(COOKIE)
            && let Some(value) = store.cookies(&url)
        {
            request.headers_mut().insert(COOKIE, value);
        }
        let response = self.attempt(request).await?;
        let mut set = response.headers().get_all(SET_COOKIE).iter().peekable();
        if set.peek().is_some() {
            store.set_cookies(&mut set, &url);
        }
        Ok(response)
    }

    async fn attempt(&self, mut request: http::Request<Body>) -> Answer {
        let mut sent = 0;
        loop {
            let Some(copy) = self.retry.copy(&request, sent) else {
                return self.transport.send(request).await;
            };
            let answer = self.transport.send(request).await;
            let verdict = answer.as_ref().map(http::Response::status);
            if !self.retry.wants(&copy, verdict) {
                return answer;
            }
            sent += 1;
            trace::retried(sent, verdict.ok());
            request = copy;
        }
    }
}
