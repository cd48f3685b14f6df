//! A connection after an upgrade: a byte stream in both directions, through the sink and handle of
//! the request.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use dodici_pool::{Error, Phase};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::eof::socket_error;
use crate::command::{Command, Slice};
use crate::connect::Transport;

/// Bytes read at a time; one TLS record.
const READ: usize = 16 * 1024;

/// See the module.
pub(crate) struct ByteStream {
    transport: Transport,
    surplus: Bytes,
    buffer: BytesMut,
    writing: Bytes,
    needs_flush: bool,
    write_closed: bool,
    /// Bytes read and written, including those of the exchange before.
    traffic: (u64, u64),
}

impl ByteStream {
    pub(super) fn new(transport: Transport, surplus: Vec<u8>, traffic: (u64, u64)) -> Self {
        Self {
            transport,
            surplus: surplus.into(),
            buffer: BytesMut::new(),
            writing: Bytes::new(),
            needs_flush: false,
            write_closed: false,
            traffic,
        }
    }

    /// Bytes read and written.
    pub(crate) fn traffic(&self) -> (u64, u64) {
        self.traffic
    }

    /// Bytes from the peer; an empty chunk means its end.
    pub(crate) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Error>> {
        if self.surplus.has_remaining() {
            return Poll::Ready(Ok(std::mem::take(&mut self.surplus)));
        }
        self.buffer.resize(READ, 0);
        let mut buf = ReadBuf::new(&mut self.buffer);
        let read = Pin::new(&mut self.transport).poll_read(cx, &mut buf);
        let n = buf.filled().len();
        match read {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(())) => {
                self.buffer.truncate(n);
                self.traffic.0 += n as u64;
                Poll::Ready(Ok(self.buffer.split().freeze()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(failed("read", &error))),
        }
    }

    /// Makes its end a reset.
    pub(crate) fn reset(&self) {
        self.transport.reset();
    }

    /// Writes what the caller has handed over. Ready when the write side is closed or has failed.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        command: &Command,
    ) -> Poll<Result<(), Error>> {
        if self.write_closed {
            return Poll::Pending;
        }
        ready!(self.poll_slices(cx, command)).map_err(|error| match error {
            WriteFailed::Io(error) => failed("write", &error),
            WriteFailed::Caller(error) => error,
        })?;
        self.write_closed = true;
        command.written();
        Poll::Ready(Ok(()))
    }

    fn poll_slices(
        &mut self,
        cx: &mut Context<'_>,
        command: &Command,
    ) -> Poll<Result<(), WriteFailed>> {
        loop {
            while self.writing.has_remaining() {
                let n = ready!(Pin::new(&mut self.transport).poll_write(cx, &self.writing))?;
                self.writing.advance(n);
                self.traffic.1 += n as u64;
                self.needs_flush = true;
            }
            match command.next_slice() {
                Slice::Chunk(chunk) => self.writing = chunk,
                Slice::Failed(error) => return Poll::Ready(Err(WriteFailed::Caller(error))),
                Slice::Wait => {
                    if self.needs_flush {
                        ready!(Pin::new(&mut self.transport).poll_flush(cx))?;
                        self.needs_flush = false;
                        command.written();
                    }
                    return Poll::Pending;
                }
                Slice::End => {
                    return match ready!(Pin::new(&mut self.transport).poll_shutdown(cx)) {
                        // The peer has closed both directions: nothing is left to shut down.
                        Err(error) if error.kind() == io::ErrorKind::NotConnected => {
                            Poll::Ready(Ok(()))
                        }
                        shut => Poll::Ready(shut.map_err(WriteFailed::from)),
                    };
                }
            }
        }
    }
}

enum WriteFailed {
    Io(io::Error),
    Caller(Error),
}

impl From<io::Error> for WriteFailed {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn failed(syscall: &'static str, error: &io::Error) -> Error {
    socket_error(syscall, Phase::Upgraded, error)
}
