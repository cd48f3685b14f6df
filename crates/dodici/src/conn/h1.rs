//! An HTTP/1.1 connection lent to hyper for one exchange: hyper's client connection over a [`Link`].
//!
//! `origin::solo` lends it, [`crate::exchange`] runs the exchange. All its methods are polled from
//! the connection's task, and none of them blocks.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use dodici_pool::{
    BodyKind, CloseReason, Error, ErrorKind, ExchangeConfig, HeaderBlock, Phase, Request,
    RequestKind, ResponseHead,
};
use http::header::{CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};
use parking_lot::Mutex;

use super::framing::{Guard, Limits};
use super::link::{Link, LinkIo, socket_error};
use super::stream::ByteStream;
use crate::body::OutgoingBody;
use crate::command::Command;
use crate::connect::{Probe, Transport};

/// What hyper collects of a streamed body for one write. 512 KiB: a peer that waits for bytes is
/// woken by each write, which costs more than writing 64 KiB does. Over TCP, 1 GiB takes 0.75 s of
/// processor time by 64 KiB, 0.34 s by 256, 0.25 s by 512. Reads are smaller: [`Link`] limits them.
const WRITTEN_AT_ONCE: usize = 512 * 1024;

/// How a connection ended, as far as the connection itself knows.
pub(crate) type Ended = (CloseReason, Error);

/// What an exchange must look at after driving the connection.
#[derive(Default)]
pub(crate) struct Progress {
    pub(crate) informational: VecDeque<ResponseHead>,
    pub(crate) continued: bool,
    pub(crate) wrote: bool,
    pub(crate) upgraded: bool,
    pub(crate) failed: bool,
    pub(crate) ended: bool,
}

/// See the module.
pub(crate) struct H1Conn {
    link: Arc<Mutex<Link>>,
    sender: http1::SendRequest<OutgoingBody>,
    driver: http1::Connection<LinkIo, OutgoingBody>,
    driver_done: bool,
}

impl H1Conn {
    /// Takes over a connected transport. Sends nothing.
    pub(crate) async fn new(transport: Transport, config: &ExchangeConfig) -> Result<Self, Error> {
        let link = Arc::new(Mutex::new(Link::new(
            transport,
            guard(config).with_head_required(),
        )));
        let (sender, driver) = http1::Builder::new()
            .max_buf_size(WRITTEN_AT_ONCE)
            .handshake(LinkIo(Arc::clone(&link)))
            .await
            .map_err(|error| {
                Error::new(
                    ErrorKind::Internal,
                    Phase::Connect,
                    "hyper refused the connection",
                )
                .with_source(error)
            })?;
        Ok(Self {
            link,
            sender,
            driver,
            driver_done: false,
        })
    }

    /// Checks, without waiting for the event loop, that nothing reached this machine since the
    /// connection went to rest, and that hyper is ready for a request.
    ///
    /// `fresh`: this is the connection's first request. A server that answers before it was asked
    /// answers this request then, as in undici: there is no other that could have been meant.
    ///
    /// Pending only while the event loop has still to tell of bytes that are there.
    pub(crate) fn poll_check(
        &mut self,
        cx: &mut Context<'_>,
        fresh: bool,
    ) -> Poll<Result<(), Ended>> {
        let mut probe = {
            let mut link = self.link.lock();
            link.hushed = fresh;
            link.transport.probe(cx)
        };
        if !fresh && matches!(probe, Probe::Data) {
            // Line ends mean nothing: reading takes them, and refuses everything else.
            if self.poll_drive(cx).is_ready() {
                return Poll::Ready(Err(self.take_failure(Phase::Queued)));
            }
            // What this read did not see is what the event loop has not told of yet; it wakes
            // this task when it does.
            probe = self.link.lock().transport.probe(cx);
            if matches!(probe, Probe::Data) {
                return Poll::Pending;
            }
        }
        Poll::Ready(self.judge(cx, probe))
    }

    /// Whether a connection may be used of which `probe` was seen; data is that of a server that
    /// answers before it was asked.
    fn judge(&mut self, cx: &mut Context<'_>, probe: Probe) -> Result<(), Ended> {
        let closed = |reason, message: &'static str| {
            (
                reason,
                Error::new(ErrorKind::Socket, Phase::Queued, message),
            )
        };
        match probe {
            Probe::Clean | Probe::Data => {}
            Probe::Closed(None) => {
                return Err(closed(CloseReason::PeerClosed, "other side closed"));
            }
            Probe::Closed(Some(error)) => {
                let error = socket_error("read", Phase::Queued, &error);
                return Err((CloseReason::PeerClosed, error));
            }
        }
        if self.is_at_rest(cx) {
            Ok(())
        } else if self.driver_done {
            Err(self.take_failure(Phase::Queued))
        } else {
            Err(closed(
                CloseReason::NotReusable,
                "the connection is still busy",
            ))
        }
    }

    /// Starts an exchange. The future resolves when hyper has read the (synthetic) head.
    pub(crate) fn start(
        &mut self,
        request: &Request,
        command: &Arc<Command>,
    ) -> impl Future<
        Output = Result<http::Response<Incoming>, TrySendError<http::Request<OutgoingBody>>>,
    > + use<> {
        let (body, upload) = outgoing(request, command);
        // hyper writes this head, the link throws it away: it only tells hyper how to frame the
        // body and whether the response can have one.
        let mut stub = http::Request::new(OutgoingBody::Empty);
        *stub.method_mut() = match (request.kind, &body) {
            (RequestKind::Head, _) => http::Method::HEAD,
            (_, OutgoingBody::Empty) => http::Method::GET,
            _ => http::Method::POST,
        };
        match &body {
            OutgoingBody::Pulled {
                remaining: None, ..
            } => {
                stub.headers_mut()
                    .insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
            }
            OutgoingBody::Full(Some(bytes)) => {
                stub.headers_mut()
                    .insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
            }
            OutgoingBody::Pulled {
                remaining: Some(length),
                ..
            } => {
                stub.headers_mut()
                    .insert(CONTENT_LENGTH, HeaderValue::from(*length));
            }
            OutgoingBody::Empty | OutgoingBody::Full(None) => {}
        }
        *stub.body_mut() = body;
        self.link.lock().begin(
            request.kind,
            request.expect_continue,
            request.head.clone(),
            upload,
            Arc::clone(command),
        );
        self.sender.try_send_request(stub)
    }

    /// Lets hyper read and write. Ready when hyper is done with the connection, well or not.
    pub(crate) fn poll_drive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.driver_done {
            return Poll::Ready(());
        }
        match self.driver.poll_without_shutdown(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(result) => {
                self.driver_done = true;
                if let Err(error) = result {
                    // The link knows better in every case but one: a request body that failed.
                    let mut link = self.link.lock();
                    if link.seen.failure.is_none() && !link.seen.ended {
                        let failure = body_error(&error).unwrap_or_else(|| {
                            Error::new(ErrorKind::Socket, link.phase(), "other side closed")
                                .with_source(error)
                        });
                        link.seen.failure = Some((CloseReason::IoError, failure));
                    }
                }
                Poll::Ready(())
            }
        }
    }

    /// What the link saw since the last call.
    pub(crate) fn progress(&mut self) -> Progress {
        let mut link = self.link.lock();
        let seen = &mut link.seen;
        Progress {
            informational: std::mem::take(&mut seen.informational),
            continued: std::mem::take(&mut seen.continued),
            wrote: std::mem::take(&mut seen.wrote),
            upgraded: seen.upgraded,
            failed: seen.failure.is_some(),
            ended: seen.ended,
        }
    }

    /// Whether the final head is there; calls `with` with it if so.
    pub(crate) fn with_head(&self, with: impl FnOnce(&ResponseHead)) -> bool {
        let link = self.link.lock();
        if link.seen.head || link.seen.upgraded {
            with(link.guard.head());
            true
        } else {
            false
        }
    }

    /// Calls `with` with the trailers of a response that has ended.
    pub(crate) fn with_trailers(&self, with: impl FnOnce(&HeaderBlock)) {
        with(self.link.lock().guard.trailers());
    }

    /// After a response has ended: whether the connection can serve again, and the server's
    /// keep-alive hint.
    pub(crate) fn reusable(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Result<Option<Duration>, CloseReason> {
        let at_rest = self.is_at_rest(cx);
        let link = self.link.lock();
        if let Some((reason, _)) = &link.seen.failure {
            return Err(*reason);
        }
        let keep_alive = link.guard.keep_alive();
        // Not at rest: the request body is still being sent. As in undici, that ends the
        // connection.
        if !at_rest || link.write_broken || !keep_alive.reusable || !link.guard.is_idle() {
            return Err(CloseReason::NotReusable);
        }
        Ok(keep_alive.hint)
    }

    /// After a response has ended: whether the end of the request's body is all that keeps the
    /// connection from serving again.
    pub(crate) fn waits_for_body(&self) -> bool {
        let link = self.link.lock();
        !self.driver_done
            && link.seen.failure.is_none()
            && !link.write_broken
            && link.guard.keep_alive().reusable
            && link.guard.is_idle()
            && !self.sender.is_ready()
    }

    /// Whether hyper has finished the last exchange and waits for a request.
    fn is_at_rest(&mut self, cx: &mut Context<'_>) -> bool {
        if self.driver_done {
            return false;
        }
        self.sender.is_ready() || (self.poll_drive(cx).is_pending() && self.sender.is_ready())
    }

    /// Why the connection cannot go on.
    pub(crate) fn take_failure(&mut self, phase: Phase) -> Ended {
        let mut link = self.link.lock();
        let info = link.socket_info();
        link.seen.failure.take().unwrap_or_else(|| {
            (
                CloseReason::PeerClosed,
                Error::new(ErrorKind::Socket, phase, "other side closed").with_socket(info),
            )
        })
    }

    /// Adds the state of the socket to an error of the exchange.
    pub(crate) fn describe(&self, error: Error) -> Error {
        error.with_socket(self.link.lock().socket_info())
    }

    /// Whether any byte of the current request may have left this machine.
    pub(crate) fn sent_any(&self) -> bool {
        self.link.lock().sent_any
    }

    /// Bytes received and sent so far.
    pub(crate) fn traffic(&self) -> (u64, u64) {
        let link = self.link.lock();
        (link.bytes_read, link.bytes_written)
    }

    /// What the transport has carried before it came here: (received, sent).
    pub(crate) fn set_traffic(&mut self, (read, written): (u64, u64)) {
        let mut link = self.link.lock();
        link.bytes_read = read;
        link.bytes_written = written;
    }

    /// Ends the use of hyper, at rest, and keeps the transport.
    pub(crate) fn into_transport(self) -> Option<Transport> {
        let Self {
            link,
            sender,
            driver,
            ..
        } = self;
        drop(sender);
        drop(driver);
        Some(Arc::into_inner(link)?.into_inner().transport)
    }

    /// Ends the use of hyper and keeps the transport and what came behind the upgrade's head.
    pub(crate) fn into_stream(self) -> Option<ByteStream> {
        let Self {
            link,
            sender,
            driver,
            ..
        } = self;
        drop(sender);
        drop(driver);
        let link = Arc::into_inner(link)?.into_inner();
        Some(ByteStream::new(link.transport, link.surplus))
    }
}

/// The guard of a connection with these limits.
pub(super) fn guard(config: &ExchangeConfig) -> Guard {
    let limits = Limits {
        max_header_size: config.max_header_size,
        ..Limits::default()
    };
    Guard::new(limits, config.unexpected_continue).with_leniency(config.leniency)
}

fn outgoing(request: &Request, command: &Arc<Command>) -> (OutgoingBody, Option<Arc<Command>>) {
    let pulled = |remaining| OutgoingBody::Pulled {
        command: Arc::clone(command),
        remaining,
    };
    match &request.body {
        BodyKind::None | BodyKind::Sized(0) => (OutgoingBody::Empty, None),
        BodyKind::Full(bytes) if bytes.is_empty() => (OutgoingBody::Empty, None),
        BodyKind::Full(bytes) if request.expect_continue => {
            command.hold(Some(bytes.clone()));
            (pulled(Some(bytes.len() as u64)), None)
        }
        BodyKind::Full(bytes) => (OutgoingBody::Full(Some(bytes.clone())), None),
        BodyKind::Sized(length) => {
            if request.expect_continue {
                command.hold(None);
            }
            (pulled(Some(*length)), None)
        }
        BodyKind::Chunked => {
            if request.expect_continue {
                command.hold(None);
            }
            (pulled(None), Some(Arc::clone(command)))
        }
    }
}

/// The error that a request body gave hyper, if that is what ended the connection.
pub(crate) fn body_error(error: &hyper::Error) -> Option<Error> {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if let Some(ours) = inner.downcast_ref::<Error>() {
            return Some(ours.clone());
        }
        source = inner.source();
    }
    None
}

/// Polls the future that [`H1Conn::start`] gave, flattening hyper's error.
pub(crate) fn poll_response<F>(future: Pin<&mut F>, cx: &mut Context<'_>) -> Poll<Option<Incoming>>
where
    F: Future<Output = Result<http::Response<Incoming>, TrySendError<http::Request<OutgoingBody>>>>,
{
    match future.poll(cx) {
        Poll::Pending => Poll::Pending,
        Poll::Ready(Ok(response)) => Poll::Ready(Some(response.into_body())),
        // The link or the driver says why.
        Poll::Ready(Err(_)) => Poll::Ready(None),
    }
}
