//! This crate's error type, and its constructors.
//!
//! Everything public returns it. What the engine reports becomes a [`Failure`] in its source
//! chain (module `failure`).

use std::error::Error as StdError;
use std::fmt;
use std::io;

use hyper::ext::ReasonPhrase;

use crate::failure::Failure;
use crate::{StatusCode, Url};

/// A `Result` whose error is [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;

/// What can go wrong with a request.
///
/// The `is_*` methods say what went wrong, [`std::error::Error::source`] why. If the connection
/// failed during an exchange, the source chain contains a [`hyper::Error`], for code that looks for
/// one.
///
/// Its URL may contain secrets: remove it with [`Error::without_url`] before logging the error.
///
/// ```
/// let error = dodici_reqwest::Client::new().get("not a url").build().unwrap_err();
/// assert!(error.is_builder());
/// assert_eq!(error.url(), None);
/// ```
pub struct Error {
    inner: Box<Inner>,
}

struct Inner {
    kind: Kind,
    source: Option<BoxError>,
    url: Option<Url>,
}

/// Which part of the operation failed.
#[derive(Debug)]
pub(crate) enum Kind {
    Builder,
    Request,
    Redirect,
    Status(StatusCode, Option<ReasonPhrase>),
    Body,
    Decode,
    Upgrade,
}

impl Error {
    pub(crate) fn new<E: Into<BoxError>>(kind: Kind, source: Option<E>) -> Self {
        Self {
            inner: Box::new(Inner {
                kind,
                source: source.map(Into::into),
                url: None,
            }),
        }
    }

    /// The URL the error is about, if any. After redirects, the last one requested.
    ///
    /// ```
    /// # async fn run() {
    /// let response = dodici_reqwest::get("http://127.0.0.1:1/").await;
    /// if let Err(error) = response {
    ///     assert_eq!(error.url().map(|url| url.path()), Some("/"));
    /// }
    /// # }
    /// ```
    pub fn url(&self) -> Option<&Url> {
        self.inner.url.as_ref()
    }

    /// A mutable reference to the URL, for instance to remove a secret from its query.
    pub fn url_mut(&mut self) -> Option<&mut Url> {
        self.inner.url.as_mut()
    }

    /// The same error with this URL.
    #[must_use]
    pub fn with_url(mut self, url: Url) -> Self {
        self.inner.url = Some(url);
        self
    }

    pub(crate) fn if_no_url(mut self, url: impl FnOnce() -> Url) -> Self {
        self.inner.url.get_or_insert_with(url);
        self
    }

    /// The same error without its URL.
    #[must_use]
    pub fn without_url(mut self) -> Self {
        self.inner.url = None;
        self
    }

    /// Whether the builder got invalid input: no request was sent.
    pub fn is_builder(&self) -> bool {
        matches!(self.inner.kind, Kind::Builder)
    }

    /// Whether following a redirect failed: there were too many, or the policy rejected it.
    pub fn is_redirect(&self) -> bool {
        matches!(self.inner.kind, Kind::Redirect)
    }

    /// Whether it comes from [`Response::error_for_status`](crate::Response::error_for_status).
    pub fn is_status(&self) -> bool {
        matches!(self.inner.kind, Kind::Status(..))
    }

    /// Whether a timeout expired: of the request, of reading, of connecting.
    pub fn is_timeout(&self) -> bool {
        self.chain().any(|cause| {
            cause.is::<TimedOut>()
                || cause.downcast_ref().is_some_and(Failure::is_timeout)
                || cause
                    .downcast_ref::<hyper::Error>()
                    .is_some_and(hyper::Error::is_timeout)
                || cause
                    .downcast_ref::<io::Error>()
                    .is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
        })
    }

    /// Whether sending the request, or waiting for its response head, failed.
    pub fn is_request(&self) -> bool {
        matches!(self.inner.kind, Kind::Request)
    }

    /// Whether connecting failed: resolving, connecting, TLS or the proxy. The request was not
    /// sent.
    pub fn is_connect(&self) -> bool {
        self.failures().any(Failure::is_connect)
    }

    /// Whether the host name did not resolve.
    pub fn is_dns(&self) -> bool {
        self.failures().any(Failure::is_dns)
    }

    /// Whether a request or response body failed.
    pub fn is_body(&self) -> bool {
        matches!(self.inner.kind, Kind::Body)
    }

    /// Whether decoding a response body failed.
    pub fn is_decode(&self) -> bool {
        matches!(self.inner.kind, Kind::Decode)
    }

    /// The status, if this is a [status error](Error::is_status).
    pub fn status(&self) -> Option<StatusCode> {
        match self.inner.kind {
            Kind::Status(status, _) => Some(status),
            _ => None,
        }
    }

    /// Whether [`Response::upgrade`](crate::Response::upgrade) failed.
    pub fn is_upgrade(&self) -> bool {
        matches!(self.inner.kind, Kind::Upgrade)
    }

    /// The engine's error, if it comes from there.
    fn failures(&self) -> impl Iterator<Item = &Failure> {
        self.chain().filter_map(|cause| cause.downcast_ref())
    }

    /// All causes, the nearest first.
    pub(crate) fn chain(&self) -> impl Iterator<Item = &(dyn StdError + 'static)> {
        std::iter::successors(self.source(), |&cause| cause.source())
    }

    #[cfg(any(feature = "blocking", test))]
    pub(crate) fn into_io(self) -> io::Error {
        io::Error::other(self)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("reqwest::Error");
        out.field("kind", &self.inner.kind);
        if let Some(url) = &self.inner.url {
            out.field("url", &url.as_str());
        }
        if let Some(source) = &self.inner.source {
            out.field("source", source);
        }
        out.finish()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.inner.kind {
            Kind::Builder => f.write_str("builder error")?,
            Kind::Request => f.write_str("error sending request")?,
            Kind::Body => f.write_str("request or response body error")?,
            Kind::Decode => f.write_str("error decoding response body")?,
            Kind::Redirect => f.write_str("error following redirect")?,
            Kind::Upgrade => f.write_str("error upgrading connection")?,
            Kind::Status(status, reason) => {
                let side = if status.is_client_error() {
                    "client"
                } else {
                    "server"
                };
                write!(f, "HTTP status {side} error (")?;
                match reason {
                    Some(reason) => write!(f, "{} {})", status.as_str(), escaped(reason))?,
                    None => write!(f, "{status})")?,
                }
            }
        }
        match &self.inner.url {
            Some(url) => write!(f, " for url ({url})"),
            None => Ok(()),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.inner.source.as_ref().map(|source| &**source as _)
    }
}

/// A server's reason phrase, safe for a terminal: everything except printable ASCII is escaped,
/// quotes are not.
fn escaped(reason: &ReasonPhrase) -> String {
    let text = reason.as_bytes().escape_ascii().to_string();
    text.replace("\\'", "'")
}

pub(crate) fn builder<E: Into<BoxError>>(source: E) -> Error {
    Error::new(Kind::Builder, Some(source))
}

pub(crate) fn request<E: Into<BoxError>>(source: E) -> Error {
    Error::new(Kind::Request, Some(source))
}

pub(crate) fn body<E: Into<BoxError>>(source: E) -> Error {
    Error::new(Kind::Body, Some(source))
}

pub(crate) fn decode<E: Into<BoxError>>(source: E) -> Error {
    Error::new(Kind::Decode, Some(source))
}

pub(crate) fn redirect<E: Into<BoxError>>(source: E, url: Url) -> Error {
    Error::new(Kind::Redirect, Some(source)).with_url(url)
}

pub(crate) fn upgrade<E: Into<BoxError>>(source: E) -> Error {
    Error::new(Kind::Upgrade, Some(source))
}

pub(crate) fn status(url: Url, status: StatusCode, reason: Option<ReasonPhrase>) -> Error {
    Error::new(Kind::Status(status, reason), None::<BoxError>).with_url(url)
}

pub(crate) fn bad_scheme(url: Url) -> Error {
    builder(BadScheme).with_url(url)
}

pub(crate) fn invalid_uri(url: Url) -> Error {
    builder("Parsed Url is not a valid Uri").with_url(url)
}

/// Recovers our error after it passed through [`io::Read`].
#[cfg(any(feature = "blocking", test))]
pub(crate) fn decode_io(error: io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(ours) => ours,
        Err(other) => decode(other),
    }
}

/// A timeout of this crate's own expired.
#[derive(Debug)]
pub(crate) struct TimedOut;

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("operation timed out")
    }
}

impl StdError for TimedOut {}

/// Neither `http` nor `https`.
#[derive(Debug)]
pub(crate) struct BadScheme;

impl fmt::Display for BadScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("URL scheme is not allowed")
    }
}

impl StdError for BadScheme {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn an_error_is_one_word_large() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }

    #[test]
    fn an_error_survives_the_way_through_io_error() {
        assert!(decode_io(request("first").into_io()).is_request());
        assert!(decode_io(io::Error::other("foreign")).is_decode());
    }

    #[test]
    fn timeouts_are_found_in_the_chain() {
        assert!(request(TimedOut).is_timeout());
        assert!(request(io::Error::from(io::ErrorKind::TimedOut)).is_timeout());
        assert!(body(request(TimedOut)).is_timeout());
        assert!(!request("other").is_timeout());
    }

    #[test]
    fn the_url_can_be_removed() {
        let url = Url::parse("http://user:secret@host/").expect("valid");
        let error = request("cause").with_url(url);
        assert!(error.to_string().contains("secret"));
        assert!(!error.without_url().to_string().contains("secret"));
    }

    #[test]
    fn a_reason_phrase_is_shown_and_escaped() {
        let url = Url::parse("http://host/").expect("valid");
        let reason = ReasonPhrase::from_static(b"I'm not a teapot\x80");
        let error = status(url, StatusCode::IM_A_TEAPOT, Some(reason));
        assert_eq!(
            error.to_string(),
            "HTTP status client error (418 I'm not a teapot\\x80) for url (http://host/)"
        );
    }
}
