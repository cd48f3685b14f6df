//! From a request to the pool that serves it: its route, the pool, and the engine's response as the
//! caller sees it.
//!
//! A client has one pool per origin and route (direct, tunnel, SOCKS), on each runtime. Forwarding
//! proxies are origins themselves.

mod body;
mod pools;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use dodici::{
    ConnectInfo, IncomingBody, OnTimings, OnWritten, Origin, RawHeaders, RawTrailers,
    RequestOptions, RequestTimings, SendBody,
};
use http::header::{CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING};
use http::request::Parts;
use http::{StatusCode, Uri};
use http_body::Body as HttpBody;
use hyper::ext::ReasonPhrase;

use crate::body::{Body, Inner as BodyInner};
use crate::error;
use crate::failure::Failure;
use crate::limits::MinBodyRate;
use crate::proxy::{Forwarder, Matcher, Route};
use crate::tls::TlsInfo;
use crate::via::{Trailers, Via};

use body::{SLICE, Upload};
pub(crate) use body::{Switched, TransportBody};
pub(crate) use pools::{EventCallback, Pools, Settings};
use pools::{InUse, Key, Way};

/// See the module.
pub(crate) struct Transport {
    pub(crate) pools: Arc<Pools>,
    pub(crate) proxies: Vec<Matcher>,
    pub(crate) user_agent: Option<HeaderValue>,
    pub(crate) title_case: bool,
    pub(crate) tls_info: bool,
    #[cfg(feature = "http3")]
    pub(crate) http1_only: bool,
    pub(crate) timings: Arc<[TimingsCallback]>,
}

/// See `ClientBuilderExt::on_timings`.
pub(crate) type TimingsCallback =
    Arc<dyn Fn(&Origin, &RequestTimings, Option<&ConnectInfo>) + Send + Sync>;

impl Transport {
    /// Sends one request once.
    pub(crate) async fn send(
        &self,
        parts: &Parts,
        body: Body,
    ) -> crate::Result<http::Response<TransportBody>> {
        let started = Instant::now();
        let mut parts = Cow::Borrowed(parts);
        let (used, forwarder) = match parts.version {
            #[cfg(feature = "http3")]
            http::Version::HTTP_3 if !self.http1_only => {
                let used = self.http3_pool_for(&parts.uri)?;
                // The pool makes it so: heads of the engine have no version above 2.
                parts.to_mut().version = http::Version::HTTP_11;
                (used, None)
            }
            _ => self.pool_for(&parts.uri).await?,
        };
        let absolute_form = forwarder.is_some();
        if let Some(proxy) = forwarder {
            proxy.dress(&mut parts.to_mut().headers);
        }
        let transfer_encoding = parts.extensions.get::<RawHeaders>().is_some()
            || parts.headers.contains_key(TRANSFER_ENCODING);
        let min_body_rate = parts.extensions.get::<MinBodyRate>();
        if absolute_form || transfer_encoding || self.title_case || min_body_rate.is_some() {
            let mut options = RequestOptions::default();
            options.absolute_form = absolute_form;
            options.title_case = self.title_case;
            options.transfer_encoding = transfer_encoding;
            options.min_body_rate = min_body_rate.map(|MinBodyRate(rate)| *rate);
            parts.to_mut().extensions.insert(options);
        }
        if !self.timings.is_empty() {
            let extensions = &mut parts.to_mut().extensions;
            let own = extensions.remove::<OnTimings>();
            extensions.insert(self.on_timings(used.pool().origin().clone(), own));
        }
        let (body, trailers) = body.into_inner();
        if let Some(trailers) = trailers {
            parts.to_mut().extensions.insert(RawTrailers(*trailers));
        }
        let body = match body {
            // HTTP/2 gets a complete body at once, and reports no progress.
            BodyInner::Bytes(bytes)
                if bytes.len() > SLICE
                    && parts.extensions.get::<OnWritten>().is_some()
                    && used.pool().may_be_http2() =>
            {
                SendBody::Stream(Upload::Sliced(bytes))
            }
            BodyInner::Bytes(bytes) => SendBody::Full(bytes),
            BodyInner::Stream(body) => {
                // It is replaced by `transfer-encoding`, if present.
                let gives_way = parts.version != http::Version::HTTP_10
                    && parts.headers.contains_key(TRANSFER_ENCODING);
                let declared = parts.headers.get(CONTENT_LENGTH).filter(|_| !gives_way);
                let length = body
                    .size_hint()
                    .exact()
                    .or_else(|| declared?.to_str().ok()?.parse().ok());
                SendBody::Stream(Upload::Stream { body, length })
            }
        };
        let connect = parts.method == http::Method::CONNECT;
        match used
            .pool()
            .send_known(&parts, body, Some(used.book()))
            .await
        {
            Ok(response) => Ok(self.receive(response, connect, started)),
            Err(error) => Err(engine_error(error)),
        }
    }

    /// Opens connections for requests to this URI; see `ClientExt::preconnect`.
    pub(crate) async fn preconnect(&self, uri: &Uri, count: u32) -> crate::Result<u32> {
        let (used, _) = self.pool_for(uri).await?;
        let ready = used.pool().preconnect(count.max(1)).await;
        ready.map_err(engine_error)
    }

    /// The pool that serves requests to this URI, and the proxy that forwards them, if one does.
    async fn pool_for(&self, uri: &Uri) -> crate::Result<(InUse, Option<Forwarder>)> {
        match self.route(uri)? {
            None => Ok((self.pools.get(Key::new(uri, Way::Direct))?, None)),
            Some(Route::Forward(proxy)) => {
                self.pools.check_forwarded(uri).await?;
                let used = self.pools.get(Key::new(&proxy.uri, Way::Forwarding))?;
                Ok((used, Some(proxy)))
            }
            Some(Route::Through(proxy)) => {
                let used = self.pools.get(Key::new(uri, Way::Through(proxy)))?;
                Ok((used, None))
            }
        }
    }

    /// The pool for requests of the version `HTTP/3`.
    #[cfg(feature = "http3")]
    fn http3_pool_for(&self, uri: &Uri) -> crate::Result<InUse> {
        if uri.scheme() != Some(&http::uri::Scheme::HTTPS) {
            return Err(error::builder("HTTP/3 needs an https URL"));
        }
        if self.route(uri)?.is_some() {
            return Err(error::builder("HTTP/3 does not go through a proxy"));
        }
        self.pools.get(Key::new(uri, Way::Http3))
    }

    /// Calls those of the client, then the request's `own`.
    fn on_timings(&self, origin: Origin, own: Option<OnTimings>) -> OnTimings {
        let callbacks = Arc::clone(&self.timings);
        OnTimings(Arc::new(move |timings, connection| {
            for callback in &*callbacks {
                callback(&origin, timings, connection);
            }
            if let Some(OnTimings(callback)) = &own {
                callback(timings, connection);
            }
        }))
    }

    fn route(&self, uri: &Uri) -> crate::Result<Option<Route>> {
        let routes = self.proxies.iter();
        let mut routes = routes.map(|proxy| proxy.route(uri, self.user_agent.as_ref()));
        routes.find_map(Result::transpose).transpose()
    }

    /// Converts the engine's response.
    fn receive(
        &self,
        response: http::Response<IncomingBody>,
        connect: bool,
        started: Instant,
    ) -> http::Response<TransportBody> {
        let (mut parts, body) = response.into_parts();
        let detail = body.detail();
        if let Some(reason) = unusual_reason(parts.status, &detail.head.reason) {
            parts.extensions.insert(reason);
        }
        if self.tls_info
            && let Some(connection) = &detail.connection
            && let Some(tls) = &connection.tls
        {
            parts.extensions.insert(TlsInfo {
                peer_certificate: tls.peer_certificate.clone(),
            });
        }
        let head = started.elapsed();
        let switched = parts.status == StatusCode::SWITCHING_PROTOCOLS
            || (connect && parts.status.is_success());
        let body = if switched {
            parts.extensions.insert(Via {
                detail: detail.clone(),
                head,
                trailers: Trailers::default(),
            });
            parts.extensions.insert(Switched::new(body));
            TransportBody::Switched
        } else {
            TransportBody::Of {
                body,
                head,
                trailers: None,
            }
        };
        http::Response::from_parts(parts, body)
    }
}

/// A reason phrase that is not the status's own.
fn unusual_reason(status: StatusCode, reason: &[u8]) -> Option<ReasonPhrase> {
    let usual = status.canonical_reason().unwrap_or_default();
    if reason.is_empty() || reason == usual.as_bytes() {
        return None;
    }
    ReasonPhrase::try_from(reason).ok()
}

fn engine_error(error: dodici::Error) -> crate::Error {
    let failure = Failure::new(error);
    if failure.is_builder() {
        error::builder(failure)
    } else {
        error::request(failure)
    }
}
