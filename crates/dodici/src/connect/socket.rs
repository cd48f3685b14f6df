//! What is below a transport: the OS socket, TCP or Unix, a named pipe, or TLS to a proxy over one.
//!
//! Used by the transport, directly or under TLS. Adds two calls that tokio does not have: peeking
//! at and reading what the kernel holds right now, bypassing tokio's readiness state, which only
//! learns about new bytes when the event loop polls. Reads and writes make such a call themselves
//! while a deadline is checked, see [`crate::clock`].

use std::io::{self, IoSlice, Read};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::local_stream::{self, LocalStream};
use super::read_ahead::ReadAhead;
use super::session;
use crate::clock::or_look;

/// What keeps a write to a connection that is gone from raising SIGPIPE, where that is asked for
/// with each call; elsewhere it is an option of the socket, or there is no such signal.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
const NO_SIGNAL: i32 = libc::MSG_NOSIGNAL;
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
const NO_SIGNAL: i32 = 0;

/// A connected stream socket, non-blocking.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    Local(LocalStream),
    /// TLS to a proxy, in which TLS to the origin runs. Boxed, as it holds a socket itself.
    Tunnel(Box<TlsStream<ReadAhead>>),
}

/// The result of [`Transport::probe`](super::Transport::probe).
#[derive(Debug)]
pub(crate) enum Probe {
    /// No application data: the connection may be used.
    Clean,
    /// Unsolicited bytes.
    Data,
    /// The peer has closed the stream; with an error unless it was a clean close.
    Closed(Option<io::Error>),
}

impl Socket {
    /// `None` for a named pipe.
    fn raw(&self) -> Option<SockRef<'_>> {
        match self {
            Self::Tcp(stream) => Some(SockRef::from(stream)),
            Self::Local(stream) => local_stream::socket(stream),
            Self::Tunnel(stream) => stream.get_ref().0.socket().raw(),
        }
    }

    /// A Unix socket has no reset, and a pipe neither.
    pub(super) fn reset(&self) {
        if let Some(raw) = self.raw() {
            drop(raw.set_linger(Some(Duration::ZERO)));
        }
    }

    fn is_tunnel(&self) -> bool {
        matches!(self, Self::Tunnel(_))
    }

    /// What the kernel holds. Consumes nothing. Not for a tunnel, whose bytes in the kernel mean
    /// nothing yet.
    pub(super) fn probe(&mut self) -> Probe {
        match self.peek() {
            Ok(0) => Probe::Closed(None),
            Ok(_) => Probe::Data,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Probe::Clean,
            Err(error) => Probe::Closed(Some(error)),
        }
    }

    fn peek(&mut self) -> io::Result<usize> {
        #[cfg(windows)]
        if let Self::Local(pipe) = self {
            return pipe.peek();
        }
        self.past_tokio(|raw| raw.peek(&mut [MaybeUninit::uninit()]))
    }

    /// Makes a system call that must not block. There is none for a pipe.
    fn past_tokio<T>(&self, call: impl Fn(&SockRef<'_>) -> io::Result<T>) -> io::Result<T> {
        match self.raw() {
            Some(raw) => retry(|| call(&raw)),
            None => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Reads what the kernel holds, like `read(2)`.
    ///
    /// tokio may still believe that the socket is readable: its next read then gets `WouldBlock`
    /// and waits as usual, so no wake-up is lost.
    pub(super) fn read_now(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Self::Tunnel(stream) = self {
            return session::read_now(stream, buffer);
        }
        #[cfg(windows)]
        if let Self::Local(pipe) = self {
            return pipe.read_now(buffer);
        }
        let Some(raw) = self.raw() else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        let mut socket: &socket2::Socket = &raw;
        retry(|| socket.read(buffer))
    }

    /// The result of a write, or of another one past tokio while a deadline is checked. In a tunnel
    /// the socket below looks.
    #[inline]
    fn or_send(
        &self,
        polled: Poll<io::Result<usize>>,
        send: impl Fn(&SockRef<'_>) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        if polled.is_ready() || self.is_tunnel() {
            return polled;
        }
        or_look(polled, |count| *count, || self.past_tokio(send))
    }

    pub(super) fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.local_addr().ok(),
            Self::Local(_) => None,
            Self::Tunnel(stream) => stream.get_ref().0.socket().local_addr(),
        }
    }

    pub(super) fn peer_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.peer_addr().ok(),
            Self::Local(_) => None,
            Self::Tunnel(stream) => stream.get_ref().0.socket().peer_addr(),
        }
    }
}

fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Calls the same method on the socket, whichever it is.
macro_rules! on_socket {
    ($self:expr, $stream:ident => $call:expr) => {
        match $self {
            Socket::Tcp($stream) => $call,
            Socket::Local($stream) => $call,
            Socket::Tunnel($stream) => $call,
        }
    };
}

impl AsyncRead for Socket {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = on_socket!(this, stream => Pin::new(stream).poll_read(cx, buf));
        if polled.is_ready() || this.is_tunnel() {
            // In a tunnel the socket below looks.
            return polled;
        }
        let read = or_look(
            Poll::Pending,
            |count| *count,
            || this.read_now(buf.initialize_unfilled()),
        );
        read.map_ok(|count| buf.advance(count))
    }
}

impl AsyncWrite for Socket {
    #[inline]
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = on_socket!(this, stream => Pin::new(stream).poll_write(cx, buf));
        this.or_send(polled, |raw| raw.send_with_flags(buf, NO_SIGNAL))
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = on_socket!(this, stream => Pin::new(stream).poll_write_vectored(cx, bufs));
        this.or_send(polled, |raw| raw.send_vectored_with_flags(bufs, NO_SIGNAL))
    }

    #[inline]
    fn is_write_vectored(&self) -> bool {
        on_socket!(self, stream => stream.is_write_vectored())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_socket!(self.get_mut(), stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_socket!(self.get_mut(), stream => Pin::new(stream).poll_shutdown(cx))
    }
}
