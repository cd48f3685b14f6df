//! The inner layers of a client: cookies around retries around the transport.

#[cfg(feature = "cookies")]
use std::borrow::Cow;
use std::sync::Arc;

use http::request::Parts;

use crate::body::Body;
use crate::retry::Policy;
use crate::trace::{self, Hop};
use crate::transport::{Transport, TransportBody};

/// See the module.
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

impl Attempts {
    /// Sends one request; the redirects call it once per hop.
    pub(crate) async fn send(&self, parts: &Parts, body: Body) -> Answer {
        Hop::new(parts).around(self.0.run(parts, body)).await
    }
}

impl Inner {
    #[cfg(not(feature = "cookies"))]
    async fn run(&self, parts: &Parts, body: Body) -> Answer {
        self.attempt(parts, body).await
    }

    #[cfg(feature = "cookies")]
    async fn run(&self, parts: &Parts, body: Body) -> Answer {
        use http::header::{COOKIE, SET_COOKIE};

        let Some(store) = &self.cookies else {
            return self.attempt(parts, body).await;
        };
        let url = crate::Url::parse(&parts.uri.to_string()).map_err(crate::error::builder)?;
        let mut parts = Cow::Borrowed(parts);
        if !parts.headers.contains_key(COOKIE)
            && let Some(value) = store.cookies(&url)
        {
            parts.to_mut().headers.insert(COOKIE, value);
        }
        let response = self.attempt(&parts, body).await?;
        let mut set = response.headers().get_all(SET_COOKIE).iter().peekable();
        if set.peek().is_some() {
            store.set_cookies(&mut set, &url);
        }
        Ok(response)
    }

    async fn attempt(&self, parts: &Parts, mut body: Body) -> Answer {
        let mut sent = 0;
        loop {
            let Some(copy) = self.retry.copy(parts, &body, sent) else {
                return self.transport.send(parts, body).await;
            };
            let answer = self.transport.send(parts, body).await;
            let verdict = answer.as_ref().map(http::Response::status);
            if !self.retry.wants(&copy, verdict) {
                return answer;
            }
            sent += 1;
            trace::retried(sent, verdict.ok());
            body = copy.into_body();
        }
    }
}
