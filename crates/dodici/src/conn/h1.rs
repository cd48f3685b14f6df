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
use super::rest::{AtRest, Held};
use super::stream::ByteStream;
use crate::body::OutgoingBody;
use crate::command::Command;
use crate::connect::Probe;

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
    /// The peer takes no more of the request.
    pub(crate) refused: bool,
}

/// See the module.
pub(crate) struct H1Conn {
    link: Arc<Mutex<Link>>,
    sender: http1::SendRequest<OutgoingBody>,
    driver: http1::Connection<LinkIo, OutgoingBody>,
    driver_done: bool,
}

impl H1Conn {
    /// Takes over a connection at rest. Sends nothing.
    pub(crate) async fn new(rest: AtRest, config: &ExchangeConfig) -> Result<Self, Error> {
        let AtRest { transport, traffic } = rest;
        let guard = guard(config).with_head_required();
        let mut link = Link::new(transport, guard, config.abrupt_close_ends_body);
        (link.bytes_read, link.bytes_written) = traffic;
        let link = Arc::new(Mutex::new(link));
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
    /// `fresh`: this is the connection's first request, and a server that answers before it was asked
    /// answers it, see `ExchangeConfig::early_answer`.
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
        self.link.lock().begin_drive();
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
        let refused = link.write_broken;
        let seen = &mut link.seen;
        Progress {
            informational: std::mem::take(&mut seen.informational),
            continued: std::mem::take(&mut seen.continued),
            wrote: std::mem::take(&mut seen.wrote),
            upgraded: seen.upgraded,
            failed: seen.failure.is_some(),
            ended: seen.ended,
            refused,
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

    /// Trailers of a response that has ended.
    pub(crate) fn take_trailers(&mut self) -> HeaderBlock {
        self.link.lock().guard.take_trailers()
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
        // Not at rest: the request is still being sent, which ends the connection.
        if !at_rest || !keep_alive.reusable {
            return Err(CloseReason::NotReusable);
        }
        Ok(keep_alive.hint)
    }

    /// After a response has ended: whether the end of the request is all that keeps the connection
    /// from serving again.
    pub(crate) fn waits_for_body(&self) -> bool {
        let held = self.held();
        let link = self.link.lock();
        !self.driver_done
            && !link.write_broken
            && link.guard.keep_alive().reusable
            && held.unwritten
            && !held.unread
    }

    /// Whether what was handed over of the request has left.
    pub(crate) fn has_left(&self) -> bool {
        !self.link.lock().held().unwritten
    }

    /// What hyper and the link hold of the exchange.
    fn held(&self) -> Held {
        let mut held = self.link.lock().held();
        // hyper wants the next request once it has encoded all of this one.
        held.unwritten |= !self.sender.is_ready();
        held.unread |= self.driver_done;
        held
    }

    /// Whether the last exchange has left nothing behind.
    fn is_at_rest(&mut self, cx: &mut Context<'_>) -> bool {
        self.held().is_nothing() || (self.poll_drive(cx).is_pending() && self.held().is_nothing())
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

    /// Ends the use of hyper and keeps the connection; `None` if it is not at rest.
    pub(crate) fn into_rest(self) -> Option<AtRest> {
        let held = self.held();
        let link = self.into_link()?;
        held.release(link.transport, (link.bytes_read, link.bytes_written))
    }

    /// Ends the use of hyper and keeps the transport and what came behind the upgrade's head;
    /// `None` if something of the request was still to be written before the stream's first byte.
    pub(crate) fn into_stream(self) -> Option<ByteStream> {
        let link = self.has_left().then(|| self.into_link())??;
        Some(ByteStream::new(link.transport, link.surplus))
    }

    fn into_link(self) -> Option<Link> {
        let Self {
            link,
            sender,
            driver,
            ..
        } = self;
        drop(sender);
        drop(driver);
        Some(Arc::into_inner(link)?.into_inner())
    }
}

/// The guard of a connection with these limits.
pub(super) fn guard(config: &ExchangeConfig) -> Guard {
    let mut limits = Limits {
        max_header_size: config.max_header_size,
        ..Limits::default()
    };
    if let Some(fields) = config.max_fields {
        limits = limits.with_max_fields(fields);
    }
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
