//! Blocking responses: an asynchronous one, and the wait for its body.

use std::fmt;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::HeaderMap;

use super::client::Worker;
use super::wait::{self, Waited};
use crate::{StatusCode, Url, Version, error};

/// The response to a blocking request: its head is there, its body still comes.
pub struct Response {
    inner: crate::Response,
    /// What was taken from the body and not read yet.
    unread: Bytes,
    timeout: Option<Duration>,
    /// Kept until the body was read.
    worker: Option<Arc<Worker>>,
}

impl Response {
    pub(super) fn new(
        inner: crate::Response,
        timeout: Option<Duration>,
        worker: Option<Arc<Worker>>,
    ) -> Self {
        Self {
            inner,
            unread: Bytes::new(),
            timeout,
            worker,
        }
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.inner.status()
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        self.inner.headers()
    }

    /// The headers, to be changed.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        self.inner.headers_mut()
    }

    /// The cookies in `set-cookie` headers; those that cannot be parsed are left out.
    ///
    /// Needs the feature `cookies`.
    #[cfg(feature = "cookies")]
    pub fn cookies<'a>(&'a self) -> impl Iterator<Item = crate::cookie::Cookie<'a>> + 'a {
        self.inner.cookies()
    }

    /// The HTTP version of the response.
    pub fn version(&self) -> Version {
        self.inner.version()
    }

    /// The URL that answered, which is another than asked for after redirects.
    pub fn url(&self) -> &Url {
        self.inner.url()
    }

    /// Address of the server, or of the proxy; `None` for a unix socket.
    pub fn remote_addr(&self) -> Option<SocketAddr> {
        self.inner.remote_addr()
    }

    /// What layers and this crate have put beside the response.
    pub fn extensions(&self) -> &http::Extensions {
        self.inner.extensions()
    }

    /// The same, to be changed.
    pub fn extensions_mut(&mut self) -> &mut http::Extensions {
        self.inner.extensions_mut()
    }

    /// Length of the body as it will be read, in bytes; `None` if it is not known.
    pub fn content_length(&self) -> Option<u64> {
        self.inner.content_length()
    }

    /// The whole body as JSON.
    ///
    /// Needs the feature `json`.
    ///
    /// # Errors
    /// Whatever cut the body short, and a decode error if it is not what `T` expects.
    #[cfg(feature = "json")]
    pub fn json<T: serde::de::DeserializeOwned>(self) -> crate::Result<T> {
        waited(self.inner.json(), self.timeout)
    }

    /// The whole body.
    ///
    /// # Errors
    /// Whatever cut the body short.
    pub fn bytes(self) -> crate::Result<Bytes> {
        waited(self.inner.bytes(), self.timeout)
    }

    /// The whole body as text. With the feature `charset` it is decoded as its `content-type`
    /// says, else as UTF-8.
    ///
    /// ```no_run
    /// # fn run() -> Result<(), dodici_reqwest::Error> {
    /// let text = dodici_reqwest::blocking::get("https://example.com/")?.text()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Whatever cut the body short.
    pub fn text(self) -> crate::Result<String> {
        waited(self.inner.text(), self.timeout)
    }

    /// As [`Response::text`] with another encoding for bodies that do not name theirs.
    ///
    /// Needs the feature `charset`.
    ///
    /// # Errors
    /// Whatever cut the body short.
    #[cfg(feature = "charset")]
    pub fn text_with_charset(self, default_encoding: &str) -> crate::Result<String> {
        waited(self.inner.text_with_charset(default_encoding), self.timeout)
    }

    /// Writes the body into `w`; how many bytes it was.
    ///
    /// ```no_run
    /// # fn run() -> Result<(), dodici_reqwest::Error> {
    /// let mut body = Vec::new();
    /// dodici_reqwest::blocking::get("https://example.com/")?.copy_to(&mut body)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Whatever cut the body short, and what `w` fails with.
    pub fn copy_to<W>(&mut self, w: &mut W) -> crate::Result<u64>
    where
        W: io::Write + ?Sized,
    {
        io::copy(self, w).map_err(error::decode_io)
    }

    /// The response itself, unless its status is an error (4xx or 5xx).
    ///
    /// # Errors
    /// A status error for 4xx and 5xx.
    pub fn error_for_status(mut self) -> crate::Result<Self> {
        self.inner = self.inner.error_for_status()?;
        Ok(self)
    }

    /// As [`Response::error_for_status`] without taking the response.
    ///
    /// # Errors
    /// A status error for 4xx and 5xx.
    pub fn error_for_status_ref(&self) -> crate::Result<&Self> {
        self.inner.error_for_status_ref().map(|_| self)
    }
}

fn waited<T>(
    future: impl Future<Output = crate::Result<T>>,
    timeout: Option<Duration>,
) -> crate::Result<T> {
    wait::timeout(future, timeout).map_err(|waited| match waited {
        Waited::TimedOut(cause) => error::decode(cause),
        Waited::Failed(error) => error,
    })
}

impl Read for Response {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.unread.is_empty() && !buf.is_empty() {
            let chunk = waited(self.inner.chunk(), self.timeout);
            match chunk.map_err(crate::Error::into_io)? {
                Some(chunk) => self.unread = chunk,
                None => {
                    // Nothing more comes through the thread.
                    self.worker = None;
                    return Ok(0);
                }
            }
        }
        let count = self.unread.len().min(buf.len());
        self.unread.copy_to_slice(&mut buf[..count]);
        Ok(count)
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// For tests: a response that no server sent.
impl<T: Into<crate::Body>> From<http::Response<T>> for Response {
    fn from(response: http::Response<T>) -> Self {
        Self::new(response.into(), None, None)
    }
}
