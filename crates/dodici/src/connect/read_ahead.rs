//! Buffered reads of a socket under TLS.
//!
//! Used by the TLS leg. rustls reads 4 KiB at a time, and four times that for the first record of a
//! response: nine system calls for a body of 64 KiB, where one large read gets everything
//! available. The rest is served from memory.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::io::poll_read_buf;

use super::socket::Socket;
use super::write_through::write_through;
use crate::spare::{self, Spares};

/// Size of a read. 64 KiB: the kernel rarely holds more when a reader is woken, and it still fits
/// into a CPU's second-level cache.
const BITE: usize = 64 * 1024;

thread_local! {
    static SPARE: Spares = const { Spares::of(BITE) };
}

/// A socket with its read-ahead buffer.
#[derive(Debug)]
pub(super) struct ReadAhead {
    socket: Socket,
    /// Not allocated while it is empty.
    ahead: BytesMut,
    /// The first byte ever read.
    first: Option<u8>,
}

impl ReadAhead {
    pub(super) fn new(socket: Socket) -> Self {
        Self {
            socket,
            ahead: BytesMut::new(),
            first: None,
        }
    }

    pub(super) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// The first byte ever read: under TLS, the type of the first record.
    pub(super) fn first(&self) -> Option<u8> {
        self.first
    }

    /// The buffered bytes, or else what the kernel holds; see [`Socket::read_now`].
    pub(super) fn read_now(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ahead.is_empty() {
            return self.socket.read_now(buffer);
        }
        let count = buffer.len().min(self.ahead.len());
        self.ahead.copy_to_slice(&mut buffer[..count]);
        self.release_if_empty();
        Ok(count)
    }

    /// Its memory use.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.ahead.capacity()
    }

    fn release_if_empty(&mut self) {
        if self.ahead.is_empty() {
            spare::give_back(&SPARE, std::mem::take(&mut self.ahead));
        }
    }

    /// Fills the empty buffer. It is not empty afterwards, except at the end of the stream.
    fn poll_bite(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.ahead = spare::take(&SPARE);
        let read = poll_read_buf(Pin::new(&mut self.socket), cx, &mut self.ahead);
        self.first = self.first.or_else(|| self.ahead.first().copied());
        self.release_if_empty();
        read.map_ok(|_| ())
    }
}

impl AsyncRead for ReadAhead {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.ahead.is_empty() {
            ready!(this.poll_bite(cx))?;
        }
        let count = buf.remaining().min(this.ahead.len());
        if count > 0 {
            buf.put_slice(&this.ahead[..count]);
            this.ahead.advance(count);
            this.release_if_empty();
        }
        Poll::Ready(Ok(()))
    }
}

write_through!(ReadAhead.socket { below => below });
