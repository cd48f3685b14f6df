//! Listening sockets and byte streams of the test peers: TCP or unix, plain or TLS, with the ways
//! a connection can end as explicit calls.
//!
//! Used by the scripted peer, the origin and the proxy. Knows nothing of HTTP.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_rustls::server::TlsStream;

use crate::certs::ServerTls;

/// Where a peer listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// TCP, always on loopback.
    Tcp(SocketAddr),
    /// Path of a unix socket.
    Unix(PathBuf),
}

impl Address {
    /// The TCP address.
    ///
    /// # Panics
    /// On a unix socket.
    pub fn tcp(&self) -> SocketAddr {
        match self {
            Self::Tcp(address) => *address,
            Self::Unix(path) => panic!("{} is a unix socket", path.display()),
        }
    }

    /// The unix socket's path.
    ///
    /// # Panics
    /// On a TCP address.
    pub fn path(&self) -> &std::path::Path {
        match self {
            Self::Unix(path) => path,
            Self::Tcp(address) => panic!("{address} is a TCP address"),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

/// How the other side ended the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerClose {
    /// FIN; on TLS after a `close_notify`.
    Fin,
    /// FIN on TLS without a `close_notify` (RFC 8446, section 6.1).
    FinWithoutNotify,
    /// RST, or a write into a closed connection.
    Reset,
}

impl PeerClose {
    /// Classifies an I/O error as a close.
    ///
    /// # Panics
    /// On any other error, such as a bad TLS record: the test is wrong.
    pub fn from_error(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::FinWithoutNotify,
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::NotConnected => Self::Reset,
            _ => panic!("the peer has not closed: {error}"),
        }
    }
}

/// A listening socket on loopback.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

impl Listener {
    /// Binds a free port of 127.0.0.1.
    pub(crate) async fn tcp() -> Self {
        Self::tcp_at("127.0.0.1:0").await
    }

    /// Binds this address.
    pub(crate) async fn tcp_at(address: &str) -> Self {
        Self::Tcp(
            TcpListener::bind(address)
                .await
                .expect("loopback can be bound"),
        )
    }

    /// Binds a fresh path; the file is removed when the listener is dropped.
    pub(crate) fn unix() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // sun_path holds 108 bytes, so the name stays short.
        let path = std::env::temp_dir().join(format!(
            "dodici-{}-{}.sock",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        ));
        let listener = UnixListener::bind(&path).expect("a unix socket can be bound");
        Self::Unix(listener, path)
    }

    pub(crate) fn address(&self) -> Address {
        match self {
            Self::Tcp(listener) => Address::Tcp(listener.local_addr().expect("it is bound")),
            Self::Unix(_, path) => Address::Unix(path.clone()),
        }
    }

    pub(crate) async fn accept(&self) -> io::Result<Socket> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // Each write should be its own segment.
                stream.set_nodelay(true)?;
                Ok(Socket::Tcp(stream))
            }
            Self::Unix(listener, _) => Ok(Socket::Unix(listener.accept().await?.0)),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            // It may be gone already.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// The OS socket.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    /// Closes with RST. A unix socket has none: it is closed, which the other side sees as
    /// ECONNRESET if bytes it sent were not read, else as FIN.
    ///
    /// Bytes that have not reached the receiver yet are lost with it, as in practice.
    pub(crate) fn reset(self) {
        if let Self::Tcp(stream) = &self {
            stream.set_zero_linger().expect("SO_LINGER can be set");
        }
    }
}

/// A connection of a test peer: the socket, or TLS over it.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(Socket),
    Tls(Box<TlsStream<Socket>>),
}

impl Stream {
    /// Runs the TLS handshake, if there is one.
    pub(crate) async fn accept(socket: Socket, tls: Option<&ServerTls>) -> io::Result<Self> {
        match tls {
            None => Ok(Self::Plain(socket)),
            Some(tls) => {
                let acceptor = tokio_rustls::TlsAcceptor::from(tls.config());
                Ok(Self::Tls(Box::new(acceptor.accept(socket).await?)))
            }
        }
    }

    /// Closes our direction with FIN, on TLS without the `close_notify` that should precede it.
    pub(crate) async fn fin_without_notify(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.shutdown().await,
            Self::Tls(stream) => {
                stream.flush().await?;
                stream.get_mut().0.shutdown().await
            }
        }
    }

    /// Closes with RST; see [`Socket::reset`].
    pub(crate) fn reset(self) {
        match self {
            Self::Plain(socket) => socket.reset(),
            Self::Tls(stream) => stream.into_inner().0.reset(),
        }
    }
}

/// Reads from and writes to what each of these variants holds.
macro_rules! of_what_it_holds {
    ($stream:ident: $($variant:ident),+) => {
        impl AsyncRead for $stream {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    $(Self::$variant(held) => Pin::new(held).poll_read(cx, buf),)+
                }
            }
        }

        impl AsyncWrite for $stream {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &[u8],
            ) -> Poll<io::Result<usize>> {
                match self.get_mut() {
                    $(Self::$variant(held) => Pin::new(held).poll_write(cx, buf),)+
                }
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    $(Self::$variant(held) => Pin::new(held).poll_flush(cx),)+
                }
            }

            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    $(Self::$variant(held) => Pin::new(held).poll_shutdown(cx),)+
                }
            }
        }
    };
}

of_what_it_holds!(Socket: Tcp, Unix);
of_what_it_holds!(Stream: Plain, Tls);
