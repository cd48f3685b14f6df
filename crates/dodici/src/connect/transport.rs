//! A connected byte stream: TCP, Unix or a named pipe, plain or TLS.
//!
//! Created by the connector, owned by a connection, probed on checkout. Must not know HTTP.

use std::any::Any;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use dodici_pool::SocketInfo;
use tokio::io::{AsyncRead, ReadBuf};
use tokio_rustls::client::TlsStream;

use super::read_ahead::ReadAhead;
use super::session;
use super::socket::{Probe, Socket};
use super::write_through::write_through;

/// A connected byte stream.
///
/// Dropping it closes the socket at once; `poll_shutdown` ends the sending side first, under TLS
/// with a `close_notify`.
#[derive(Debug)]
pub(crate) struct Transport {
    stream: Stream,
    local: Option<SocketAddr>,
    peer: Option<SocketAddr>,
    /// What counts the connection, dropped with the socket.
    permit: Option<Box<dyn Any + Send + Sync>>,
}

#[derive(Debug)]
enum Stream {
    Plain(Socket),
    /// Boxed: a TLS connection's state is over a kilobyte.
    Tls(Box<TlsStream<ReadAhead>>),
}

impl Transport {
    /// Without TLS to the origin. TLS to a proxy is part of the stream, so that reads and the probe
    /// pass through only one layer.
    pub(super) fn plain(socket: Socket) -> Self {
        let socket = match socket {
            Socket::Tunnel(stream) => return Self::tls(stream),
            socket => socket,
        };
        let (local, peer) = (socket.local_addr(), socket.peer_addr());
        Self {
            stream: Stream::Plain(socket),
            local,
            peer,
            permit: None,
        }
    }

    pub(super) fn tls(stream: Box<TlsStream<ReadAhead>>) -> Self {
        let socket = stream.get_ref().0.socket();
        let (local, peer) = (socket.local_addr(), socket.peer_addr());
        Self {
            stream: Stream::Tls(stream),
            local,
            peer,
            permit: None,
        }
    }

    /// Checks what has reached this machine since the last read, without waiting for the event
    /// loop.
    ///
    /// Costs one system call. Without TLS, nothing is consumed from the socket. Under TLS, what the
    /// kernel holds is decrypted: tickets and key updates are internal to TLS and leave the stream
    /// clean, application data stays readable. `cx` is woken when a response that TLS owes the peer
    /// can be written.
    pub(crate) fn probe(&mut self, cx: &mut Context<'_>) -> Probe {
        match &mut self.stream {
            Stream::Plain(socket) => socket.probe(),
            Stream::Tls(stream) => session::probe(stream, cx),
        }
    }

    /// Makes the kernel reset the connection when the socket is closed, as far as it can.
    pub(crate) fn reset(&self) {
        match &self.stream {
            Stream::Plain(socket) => socket.reset(),
            Stream::Tls(stream) => stream.get_ref().0.socket().reset(),
        }
    }

    /// Keeps what counts the connection as long as the socket.
    pub(crate) fn count(&mut self, permit: impl Any + Send + Sync) {
        self.permit = Some(Box::new(permit));
    }

    /// The state of the socket after so many bytes were read and written.
    pub(crate) fn socket_info(&self, (bytes_read, bytes_written): (u64, u64)) -> SocketInfo {
        let mut info = SocketInfo::default();
        info.local = self.local;
        info.remote = self.peer;
        info.bytes_read = bytes_read;
        info.bytes_written = bytes_written;
        info
    }

    /// Local address; `None` for a Unix socket.
    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        self.local
    }

    /// Remote address; `None` for a Unix socket.
    pub(crate) fn peer_addr(&self) -> Option<SocketAddr> {
        self.peer
    }
}

impl AsyncRead for Transport {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(socket) => Pin::new(socket).poll_read(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

write_through!(Transport.stream { Stream::Plain(below) => below, Stream::Tls(below) => below });
