//! Connecting to a named pipe of Windows, and what the pool asks of a socket that a pipe is not.
//!
//! Called by the connector instead of name resolution and TCP, and by the socket. Must not know TLS.
//! `unix_socket.rs` is its twin.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use dodici_pool::Error;
use socket2::SockRef;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::windows::named_pipe::{ClientOptions, NamedPipeClient};
use tokio::time::sleep;

use super::errors::path_error;
use super::write_through::write_through;

/// `ERROR_PIPE_BUSY`: all instances of the pipe have clients, and the server has not made another yet.
const PIPE_BUSY: i32 = 231;

/// Time between attempts to open a busy pipe. Windows reports no event for it.
const RETRY: Duration = Duration::from_millis(10);

/// A connected pipe. Its server may learn who this process is, but not act in its name (tokio's default).
#[derive(Debug)]
pub(super) struct LocalStream {
    pipe: NamedPipeClient,
    /// Read by [`LocalStream::peek`], and not by a reader yet.
    peeked: Option<u8>,
}

/// Connects to the pipe at `path`, for example `\\.\pipe\docker_engine`; waits while it is busy.
/// Cancelling the future closes the pipe.
pub(super) async fn connect(path: &Path) -> Result<LocalStream, Error> {
    loop {
        match ClientOptions::new().open(path) {
            Ok(pipe) => return Ok(LocalStream { pipe, peeked: None }),
            Err(error) if error.raw_os_error() == Some(PIPE_BUSY) => sleep(RETRY).await,
            Err(error) => return Err(path_error(error, path.to_string_lossy().into_owned())),
        }
    }
}

/// A pipe is no socket.
pub(super) fn socket(_: &LocalStream) -> Option<SockRef<'_>> {
    None
}

impl LocalStream {
    /// Whether a byte can be read; 0 at the end. Sees what the event loop has reported.
    pub(super) fn peek(&mut self) -> io::Result<usize> {
        if self.peeked.is_none() {
            let mut byte = [0];
            if self.pipe.try_read(&mut byte)? == 0 {
                return Ok(0);
            }
            self.peeked = Some(byte[0]);
        }
        Ok(1)
    }

    /// What the event loop has reported, without waiting.
    pub(super) fn read_now(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let (Some(byte), [first, ..]) = (self.peeked, &mut *buffer) {
            *first = byte;
            self.peeked = None;
            return Ok(1);
        }
        self.pipe.try_read(buffer)
    }
}

impl AsyncRead for LocalStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if buf.remaining() > 0
            && let Some(byte) = this.peeked.take()
        {
            buf.put_slice(&[byte]);
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut this.pipe).poll_read(cx, buf)
    }
}

write_through!(LocalStream.pipe { below => below });
