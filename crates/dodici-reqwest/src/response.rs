//! Responses.

use std::fmt;

use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::ext::ReasonPhrase;

use crate::body::Body;
use crate::error::BoxError;
use crate::received::ResponseBody;
use crate::transport::TransportBody;
use crate::via::{Via, ViaRef};
use crate::{StatusCode, Url, error};

/// The response to a request: its head has arrived, its body may still be arriving.
///
/// Dropping it before its body was read to the end closes the connection, or over HTTP/2 resets the
/// stream.
pub struct Response {
    pub(crate) inner: http::Response<ResponseBody>,
    pub(crate) url: Url,
}

impl Response {
    pub(crate) fn new(inner: http::Response<ResponseBody>, url: Url) -> Self {
        Self { inner, url }
    }

    /// The whole body as text. With the feature `charset`, it is decoded according to its
    /// `content-type`, otherwise as UTF-8; invalid bytes become U+FFFD.
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), dodici_reqwest::Error> {
    /// let text = dodici_reqwest::get("https://example.com/").await?.text().await?;
    /// println!("{text}");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the body is incomplete.
    pub async fn text(self) -> crate::Result<String> {
        #[cfg(feature = "charset")]
        {
            self.text_with_charset("utf-8").await
        }
        #[cfg(not(feature = "charset"))]
        {
            let body = self.bytes().await?;
            Ok(String::from_utf8_lossy(&body).into_owned())
        }
    }

    /// Like [`Response::text`], with a default encoding for bodies that do not declare one.
    ///
    /// Needs the feature `charset`.
    ///
    /// # Errors
    /// If the body is incomplete.
    #[cfg(feature = "charset")]
    pub async fn text_with_charset(self, default_encoding: &str) -> crate::Result<String> {
        let declared = self
            .headers()
            .get(http::header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok()?.parse::<mime::Mime>().ok());
        let label = declared
            .as_ref()
            .and_then(|mime| mime.get_param("charset"))
            .map_or(default_encoding, |charset| charset.as_str());
        let encoding =
            encoding_rs::Encoding::for_label(label.as_bytes()).unwrap_or(encoding_rs::UTF_8);
        let body = self.bytes().await?;
        Ok(encoding.decode(&body).0.into_owned())
    }

    /// The whole body as JSON.
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), dodici_reqwest::Error> {
    /// let value: serde_json::Value = dodici_reqwest::get("https://example.com/").await?.json().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Needs the feature `json`.
    ///
    /// # Errors
    /// If the body is incomplete, and a decode error if it does not deserialize to `T`.
    #[cfg(feature = "json")]
    pub async fn json<T: serde::de::DeserializeOwned>(self) -> crate::Result<T> {
        let (body, url) = self.collect().await?;
        serde_json::from_slice(&body).map_err(|cause| error::decode(cause).with_url(url))
    }

    /// The whole body.
    ///
    /// # Errors
    /// If the body is incomplete.
    pub async fn bytes(self) -> crate::Result<Bytes> {
        self.collect().await.map(|(body, _)| body)
    }

    async fn collect(self) -> crate::Result<(Bytes, Url)> {
        let Self { inner, url } = self;
        match whole(inner.into_body()).await {
            Ok(body) => Ok((body, url)),
            Err(cause) => Err(error::decode(cause).with_url(url)),
        }
    }

    /// The next chunk of the body; `None` at its end.
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), dodici_reqwest::Error> {
    /// let mut response = dodici_reqwest::get("https://example.com/").await?;
    /// while let Some(chunk) = response.chunk().await? {
    ///     println!("{} bytes", chunk.len());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the body is incomplete.
    pub async fn chunk(&mut self) -> crate::Result<Option<Bytes>> {
        while let Some(frame) = self.inner.body_mut().frame().await {
            if let Ok(chunk) = frame.map_err(error::decode)?.into_data() {
                return Ok(Some(chunk));
            }
        }
        Ok(None)
    }

    /// The body as a stream of chunks.
    ///
    /// ```no_run
    /// use futures_util::StreamExt;
    ///
    /// # async fn run() -> Result<(), dodici_reqwest::Error> {
    /// let mut parts = std::pin::pin!(dodici_reqwest::get("https://example.com/").await?.bytes_stream());
    /// while let Some(part) = parts.next().await {
    ///     println!("{} bytes", part?.len());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Needs the feature `stream`.
    #[cfg(feature = "stream")]
    pub fn bytes_stream(self) -> impl futures_core::Stream<Item = crate::Result<Bytes>> {
        http_body_util::BodyDataStream::new(self.inner.into_body().map_err(error::decode))
    }

    /// The response, unless its status is an error (4xx or 5xx).
    ///
    /// ```
    /// # use dodici_reqwest::Response;
    /// let response = Response::from(http::Response::builder().status(404).body("").unwrap());
    /// assert!(response.error_for_status().unwrap_err().is_status());
    /// ```
    ///
    /// # Errors
    /// A status error for 4xx and 5xx.
    pub fn error_for_status(self) -> crate::Result<Self> {
        match self.status_error() {
            Some((status, reason)) => Err(error::status(self.url, status, reason)),
            None => Ok(self),
        }
    }

    /// Like [`Response::error_for_status`], without consuming the response.
    ///
    /// # Errors
    /// A status error for 4xx and 5xx.
    pub fn error_for_status_ref(&self) -> crate::Result<&Self> {
        match self.status_error() {
            Some((status, reason)) => Err(error::status(self.url.clone(), status, reason)),
            None => Ok(self),
        }
    }

    fn status_error(&self) -> Option<(StatusCode, Option<ReasonPhrase>)> {
        let status = self.status();
        (status.is_client_error() || status.is_server_error())
            .then(|| (status, self.extensions().get::<ReasonPhrase>().cloned()))
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("url", &self.url.as_str())
            .field("status", &self.status())
            .field("headers", self.headers())
            .finish()
    }
}

impl Response {
    /// How it was received; `None` if no server sent it.
    pub(crate) fn via(&self) -> Option<ViaRef<'_>> {
        let own = self.inner.body().transport().and_then(TransportBody::via);
        own.or_else(|| {
            let via = self.extensions().get::<Via>()?;
            Some(ViaRef {
                detail: &via.detail,
                head: via.head,
                trailers: via.trailers.get(),
            })
        })
    }
}

/// Memory taken at once for a body of declared length. 1 MiB: a declaration costs the peer nothing.
const MOST_AT_ONCE: usize = 1024 * 1024;

/// The whole body.
async fn whole(mut body: ResponseBody) -> Result<Bytes, BoxError> {
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(chunk) = frame?.into_data() else {
            continue;
        };
        if first.is_empty() && all.is_empty() {
            first = chunk;
            continue;
        }
        if all.is_empty() {
            // Room for all of a body of known length.
            let rest = usize::try_from(body.size_hint().lower()).unwrap_or(0);
            all.reserve(first.len() + chunk.len() + rest.min(MOST_AT_ONCE));
            all.extend_from_slice(&std::mem::take(&mut first));
        }
        all.extend_from_slice(&chunk);
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

/// The response's body becomes a request's.
impl From<Response> for Body {
    fn from(response: Response) -> Self {
        Self::boxed(response.inner.into_body())
    }
}

/// For tests and layers: a response that no server sent. Its URL comes from
/// [`ResponseBuilderExt::url`](crate::ResponseBuilderExt::url).
impl<T: Into<Body>> From<http::Response<T>> for Response {
    fn from(response: http::Response<T>) -> Self {
        let (mut parts, body) = response.into_parts();
        let url = match parts.extensions.remove::<ResponseUrl>() {
            Some(ResponseUrl(url)) => url,
            None => unknown_url(),
        };
        let body = ResponseBody::Made(body.into().map_err(Into::into).boxed());
        Self::new(http::Response::from_parts(parts, body), url)
    }
}

impl From<Response> for http::Response<Body> {
    fn from(response: Response) -> Self {
        let mut inner = response.inner;
        let via = inner.body_mut().transport_mut();
        if let Some(via) = via.and_then(TransportBody::leave) {
            inner.extensions_mut().insert(via);
        }
        inner.map(Body::boxed)
    }
}

#[expect(
    clippy::expect_used,
    reason = "the constant is a URL; a test parses it"
)]
fn unknown_url() -> Url {
    Url::parse("http://no.url.provided.local").expect("a valid URL")
}

/// The URL of a manually built response.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ResponseUrl(pub(crate) Url);

/// Adds a URL to [`http::response::Builder`], for responses that become a [`Response`].
///
/// ```
/// use dodici_reqwest::{Response, ResponseBuilderExt, Url};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let built = http::Response::builder().url(Url::parse("http://host/")?).body("text")?;
/// assert_eq!(Response::from(built).url().as_str(), "http://host/");
/// # Ok(())
/// # }
/// ```
pub trait ResponseBuilderExt {
    /// The URL of the response.
    #[must_use]
    fn url(self, url: Url) -> Self;
}

impl ResponseBuilderExt for http::response::Builder {
    fn url(self, url: Url) -> Self {
        self.extension(ResponseUrl(url))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn a_response_without_a_url_gets_one_that_says_so() {
        let response = Response::from(http::Response::new("body"));
        assert_eq!(response.url().as_str(), "http://no.url.provided.local/");
        assert_eq!(response.content_length(), Some(4));
    }
}
