//! The end of the tap that h2 reads from and writes to. Must not know frames.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Tap;

/// h2's end of a tap.
pub(in crate::conn::h2) struct TapIo(pub(in crate::conn::h2) Arc<Mutex<Tap>>);

impl AsyncRead for TapIo {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.lock().poll_read(cx, buf)
    }
}

impl AsyncWrite for TapIo {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut tap = self.0.lock();
        match ready!(Pin::new(&mut tap.transport).poll_write(cx, buf)) {
            Ok(n) => {
                tap.wrote(&buf[..n]);
                Poll::Ready(Ok(n))
            }
            Err(error) => Poll::Ready(Err(tap.failed("write", error))),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut tap = self.0.lock();
        match ready!(Pin::new(&mut tap.transport).poll_write_vectored(cx, bufs)) {
            Ok(n) => {
                let mut left = n;
                for buf in bufs {
                    let taken = left.min(buf.len());
                    tap.wrote(&buf[..taken]);
                    left -= taken;
                }
                Poll::Ready(Ok(n))
            }
            Err(error) => Poll::Ready(Err(tap.failed("write", error))),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.0.lock().transport.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.lock().transport).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.lock().transport).poll_shutdown(cx)
    }
}
