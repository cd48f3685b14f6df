//! The byte stream after an upgrade, as tokio I/O traits.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use dodici_pool::{Error, HeaderBlock};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::incoming::IncomingBody;

/// See [`IncomingBody::into_upgraded`]. Dropping it closes the connection; written data that was
/// not flushed may be lost.
#[derive(Debug)]
pub struct Upgraded {
    body: IncomingBody,
    unread: Bytes,
    allowed: usize,
    closed: bool,
}

impl IncomingBody {
    /// The byte stream of an upgraded connection: after status 101, or 2xx to CONNECT. On any
    /// other response it reads the body, and writing to it fails.
    pub fn into_upgraded(self) -> Upgraded {
        Upgraded {
            body: self,
            unread: Bytes::new(),
            allowed: 0,
            closed: false,
        }
    }
}

impl Upgraded {
    /// Ready when everything written, including the end, has been sent.
    fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // On any other response nothing consumes what is written.
        if !self.body.shared().is_upgraded() {
            return Poll::Ready(Ok(()));
        }
        if self.body.handle().poll_written(cx.waker()).is_ready() {
            return Poll::Ready(Ok(()));
        }
        // Polled until pending, so that it wakes at the stream's end.
        while let Poll::Ready(wanted) = self.body.shared().poll_pull(cx.waker()) {
            match wanted {
                Some(more) => self.allowed += more as usize,
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
        Poll::Pending
    }
}

fn to_io(error: Error) -> io::Error {
    io::Error::other(error)
}

impl AsyncRead for Upgraded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.unread.is_empty() {
            match ready!(self.body.poll_bytes(cx)) {
                Ok(Some(chunk)) => self.unread = chunk,
                Ok(None) => return Poll::Ready(Ok(())),
                Err(error) => return Poll::Ready(Err(to_io(error))),
            }
        }
        let n = self.unread.len().min(buf.remaining());
        buf.put_slice(&self.unread[..n]);
        self.unread.advance(n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Upgraded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if self.allowed == 0 {
            match ready!(self.body.shared().poll_pull(cx.waker())) {
                Some(more) => self.allowed += more as usize,
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
        let n = data.len().min(self.allowed);
        self.allowed -= n;
        self.body
            .handle()
            .body_chunk(Bytes::copy_from_slice(&data[..n]));
        Poll::Ready(Ok(n))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_left(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.closed {
            self.closed = true;
            self.body.handle().body_end(HeaderBlock::new());
        }
        self.poll_left(cx)
    }
}
