//! Connections that became byte streams.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::transport::Switched;
use crate::util::opaque;
use crate::{Response, error};

/// A connection after `101 Switching Protocols`, or after a 2xx response to `CONNECT`.
///
/// Dropping it closes the connection.
pub struct Upgraded {
    inner: dodici::Upgraded,
}

impl Response {
    /// The connection as a byte stream, after the server switched protocols.
    ///
    /// ```no_run
    /// use tokio::io::AsyncWriteExt;
    ///
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let response = dodici_reqwest::Client::new()
    ///     .get("http://127.0.0.1:8080/echo")
    ///     .header("connection", "upgrade")
    ///     .header("upgrade", "echo")
    ///     .send()
    ///     .await?;
    /// let mut stream = response.upgrade().await?;
    /// stream.write_all(b"hello").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// An upgrade error if the server did not switch.
    pub async fn upgrade(mut self) -> crate::Result<Upgraded> {
        let switched = self.extensions_mut().remove::<Switched>();
        let body = switched.and_then(|switched| switched.take());
        match body {
            Some(body) => Ok(Upgraded {
                inner: body.into_upgraded(),
            }),
            None => Err(error::upgrade("no upgrade available")),
        }
    }
}

impl AsyncRead for Upgraded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for Upgraded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl From<dodici::Upgraded> for Upgraded {
    fn from(inner: dodici::Upgraded) -> Self {
        Self { inner }
    }
}

opaque!(Upgraded);
