//! The byte stream that an upgrade leaves, as tokio's I/O traits.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use dodici_pool::{Error, HeaderBlock};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::incoming::IncomingBody;

/// See [`IncomingBody::into_upgraded`]. Dropping it closes the connection.
#[derive(Debug)]
pub struct Upgraded {
    body: IncomingBody,
    unread: Bytes,
    allowed: usize,
    closed: bool,
}

impl Upgraded {
    pub(super) fn new(body: IncomingBody) -> Self {
        Self {
            body,
            unread: Bytes::new(),
            allowed: 0,
            closed: false,
        }
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

    // The connection's task flushes whenever it has written everything it was given.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.closed {
            self.closed = true;
            self.body.handle().body_end(HeaderBlock::new());
        }
        Poll::Ready(Ok(()))
    }
}
