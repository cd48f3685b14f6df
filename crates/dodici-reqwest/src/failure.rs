//! The engine's errors as causes in [`crate::Error`]'s chain.
//!
//! Programs that retry look for a [`hyper::Error`] there. The engine decodes responses itself, so
//! most connection failures never pass through hyper; for those, an equivalent error is obtained
//! from hyper by giving it a connection that fails in the same way.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use dodici::{ErrorKind, Phase};
use hyper::rt::{Read, ReadBufCursor, Write};

/// An error reported by the engine.
pub(crate) struct Failure {
    engine: dodici::Error,
    cause: Option<Cause>,
}

/// The cause that this crate adds below the engine's error.
enum Cause {
    Hyper(hyper::Error),
    #[cfg(feature = "http2")]
    H2(h2::Error),
    Tunnel(TunnelRefused),
}

impl Failure {
    pub(crate) fn new(engine: dodici::Error) -> Self {
        let cause = match engine.kind() {
            #[cfg(feature = "http2")]
            ErrorKind::Socket if has_http2_cause(&engine) => None,
            ErrorKind::Socket if engine.phase() != Phase::Proxy => {
                hyper_error(io_cause(&engine)).map(Cause::Hyper)
            }
            #[cfg(feature = "http2")]
            ErrorKind::StreamReset(code) => Some(Cause::H2(h2::Reason::from(code).into())),
            ErrorKind::ProxyRefused { status } => Some(Cause::Tunnel(TunnelRefused { status })),
            _ => None,
        };
        Self { engine, cause }
    }

    pub(crate) fn is_builder(&self) -> bool {
        self.meaning() == Meaning::Builder
    }

    pub(crate) fn is_connect(&self) -> bool {
        matches!(self.meaning(), Meaning::Dns | Meaning::Connect { .. })
    }

    pub(crate) fn is_dns(&self) -> bool {
        self.meaning() == Meaning::Dns
    }

    pub(crate) fn is_timeout(&self) -> bool {
        let system = self.engine.system();
        let late = system.is_some_and(|system| system.code == "ETIMEDOUT");
        late || matches!(
            self.meaning(),
            Meaning::Connect { late: true } | Meaning::Exchange { late: true }
        )
    }

    /// What the engine's error means to a program: the only table behind the methods of
    /// [`crate::Error`]. Other timeouts (a PING, the system's) have a cause that says so.
    fn meaning(&self) -> Meaning {
        match (self.engine.kind(), self.engine.phase()) {
            // Cannot be sent on any connection.
            (ErrorKind::InvalidRequest, Phase::Queued) => Meaning::Builder,
            (ErrorKind::Resolve, _) => Meaning::Dns,
            (ErrorKind::ConnectTimeout, _) => Meaning::Connect { late: true },
            (
                ErrorKind::Connect
                | ErrorKind::AddressNotAllowed
                | ErrorKind::Tls
                | ErrorKind::ProxyRefused { .. }
                | ErrorKind::ProxyTls
                | ErrorKind::ProxyConnection
                | ErrorKind::Socks,
                _,
            )
            | (
                _,
                Phase::Resolve
                | Phase::Connect
                | Phase::Proxy
                | Phase::TlsHello
                | Phase::TlsHandshake,
            ) => Meaning::Connect { late: false },
            (
                ErrorKind::HeadersTimeout
                | ErrorKind::BodyTimeout
                | ErrorKind::BodyTooSlow
                | ErrorKind::TotalTimeout,
                _,
            ) => Meaning::Exchange { late: true },
            _ => Meaning::Exchange { late: false },
        }
    }
}

/// See [`Failure::meaning`].
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// The caller's input is invalid: no request was sent.
    Builder,
    /// The name does not resolve.
    Dns,
    /// Connecting failed.
    Connect { late: bool },
    /// The exchange failed, in its head or its body; the reporter knows which.
    Exchange { late: bool },
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.engine.fmt(f)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.engine.fmt(f)
    }
}

impl StdError for Failure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.cause {
            Some(Cause::Hyper(hyper)) => Some(hyper),
            #[cfg(feature = "http2")]
            Some(Cause::H2(h2)) => Some(h2),
            Some(Cause::Tunnel(refused)) => Some(refused),
            None => self.engine.source(),
        }
    }
}

/// A proxy's response to `CONNECT`.
#[derive(Debug)]
struct TunnelRefused {
    status: u16,
}

impl fmt::Display for TunnelRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            407 => f.write_str("the proxy requires authentication"),
            status => write!(f, "the tunnel was unsuccessful: status {status}"),
        }
    }
}

impl StdError for TunnelRefused {}

/// HTTP/2 has said why.
#[cfg(feature = "http2")]
fn has_http2_cause(error: &dodici::Error) -> bool {
    let mut causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.any(|cause| cause.is::<h2::Error>())
}

/// The system error below the engine's, for programs that look for one.
fn io_cause(error: &dodici::Error) -> Option<io::ErrorKind> {
    let source = std::iter::successors(error.source(), |&cause| cause.source())
        .find_map(|cause| cause.downcast_ref::<io::Error>());
    if let Some(source) = source {
        return Some(source.kind());
    }
    match &*error.system()?.code {
        "ECONNRESET" => Some(io::ErrorKind::ConnectionReset),
        "ECONNABORTED" => Some(io::ErrorKind::ConnectionAborted),
        "EPIPE" => Some(io::ErrorKind::BrokenPipe),
        _ => None,
    }
}

/// hyper's error for a connection that ended (`None`) or failed in this way before the response.
fn hyper_error(cause: Option<io::ErrorKind>) -> Option<hyper::Error> {
    let mut cx = Context::from_waker(Waker::noop());
    let handshake = pin!(hyper::client::conn::http1::handshake(Dead {
        cause,
        asked: false,
    }));
    let Poll::Ready(Ok((mut sender, connection))) = handshake.poll(&mut cx) else {
        return None;
    };
    let mut connection = pin!(connection);
    let mut response = pin!(sender.send_request(http::Request::new(String::new())));
    // One poll writes the request, another reads the response.
    let mut ended = connection.as_mut().poll(&mut cx);
    if ended.is_pending() {
        ended = connection.as_mut().poll(&mut cx);
    }
    match response.as_mut().poll(&mut cx) {
        Poll::Ready(Err(error)) => Some(error),
        _ => match ended {
            Poll::Ready(Err(error)) => Some(error),
            _ => None,
        },
    }
}

/// A connection that accepts writes and then ends or fails.
struct Dead {
    cause: Option<io::ErrorKind>,
    /// The request was written.
    asked: bool,
}

impl Read for Dead {
    fn poll_read(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        _buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.asked {
            return Poll::Pending;
        }
        Poll::Ready(match self.cause {
            Some(kind) => Err(kind.into()),
            None => Ok(()),
        })
    }
}

impl Write for Dead {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.asked = true;
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn a_closed_connection_reads_as_an_incomplete_message() {
        let error = hyper_error(None).expect("hyper notices");
        assert!(error.is_incomplete_message(), "{error:?}");
    }

    #[test]
    fn a_reset_connection_reads_as_hypers_io_error() {
        let error = hyper_error(Some(io::ErrorKind::ConnectionReset)).expect("hyper notices");
        let source = error
            .source()
            .and_then(|cause| cause.downcast_ref::<io::Error>());
        assert_eq!(
            source.map(io::Error::kind),
            Some(io::ErrorKind::ConnectionReset)
        );
    }
}
