//! Blocking responses, around the async one.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use dodici::LastLook;

use super::client::Worker;
use super::wait::{self, Waited};
use crate::error;

/// The response to a blocking request: its head has arrived, its body may still be arriving.
pub struct Response {
    pub(crate) inner: crate::Response,
    /// Received body bytes not read yet.
    unread: Bytes,
    timeout: Option<Duration>,
    look: LastLook,
    /// Kept until the body is read.
    worker: Option<Arc<Worker>>,
}

impl Response {
    pub(super) fn new(
        inner: crate::Response,
        timeout: Option<Duration>,
        look: LastLook,
        worker: Option<Arc<Worker>>,
    ) -> Self {
        Self {
            inner,
            unread: Bytes::new(),
            timeout,
            look,
            worker,
        }
    }

    /// The whole body as JSON.
    ///
    /// Needs the feature `json`.
    ///
    /// # Errors
    /// If the body is incomplete, and a decode error if it does not deserialize to `T`.
    #[cfg(feature = "json")]
    pub fn json<T: serde::de::DeserializeOwned>(self) -> crate::Result<T> {
        waited(self.inner.json(), self.timeout, &self.look)
    }

    /// The whole body.
    ///
    /// # Errors
    /// If the body is incomplete.
    pub fn bytes(self) -> crate::Result<Bytes> {
        waited(self.inner.bytes(), self.timeout, &self.look)
    }

    /// The whole body as text. With the feature `charset`, it is decoded according to its
    /// `content-type`, otherwise as UTF-8.
    ///
    /// ```no_run
    /// # fn run() -> Result<(), dodici_reqwest::Error> {
    /// let text = dodici_reqwest::blocking::get("https://example.com/")?.text()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the body is incomplete.
    pub fn text(self) -> crate::Result<String> {
        waited(self.inner.text(), self.timeout, &self.look)
    }

    /// Like [`Response::text`], with a default encoding for bodies that do not declare one.
    ///
    /// Needs the feature `charset`.
    ///
    /// # Errors
    /// If the body is incomplete.
    #[cfg(feature = "charset")]
    pub fn text_with_charset(self, default_encoding: &str) -> crate::Result<String> {
        let text = self.inner.text_with_charset(default_encoding);
        waited(text, self.timeout, &self.look)
    }

    /// Copies the body to `w` and returns the number of bytes.
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
    /// If the body is incomplete, or writing to `w` fails.
    pub fn copy_to<W>(&mut self, w: &mut W) -> crate::Result<u64>
    where
        W: io::Write + ?Sized,
    {
        io::copy(self, w).map_err(error::decode_io)
    }

    /// The response, unless its status is an error (4xx or 5xx).
    ///
    /// # Errors
    /// A status error for 4xx and 5xx.
    pub fn error_for_status(mut self) -> crate::Result<Self> {
        self.inner = self.inner.error_for_status()?;
        Ok(self)
    }

    /// Like [`Response::error_for_status`], without consuming the response.
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
    look: &LastLook,
) -> crate::Result<T> {
    wait::timeout(future, timeout, |cx| look.poll(cx)).map_err(|waited| match waited {
        Waited::TimedOut(cause) => error::decode(cause),
        Waited::Failed(error) => error,
    })
}

impl Read for Response {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.unread.is_empty() && !buf.is_empty() {
            let chunk = waited(self.inner.chunk(), self.timeout, &self.look);
            match chunk.map_err(crate::Error::into_io)? {
                Some(chunk) => self.unread = chunk,
                None => {
                    // The thread sends nothing more.
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
        Self::new(response.into(), None, LastLook::default(), None)
    }
}
