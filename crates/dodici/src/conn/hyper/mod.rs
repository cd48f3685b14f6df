//! An HTTP/1.1 connection lent to hyper for one exchange.
//!
//! - [`HyperConn`]: hyper's two handles, for the exchange. `origin::pipeline` lends the connection,
//!   `exchange::hyper` runs the exchange.
//! - `translator`: the conversation with hyper, a state machine without I/O.
//! - `link`: the byte stream between socket and hyper.
//! - `read_buf`: reads into hyper's buffer.
//! - `outgoing`: request bodies for hyper.
//!
//! Nothing outside this directory uses hyper. All methods are polled from the connection's task;
//! none blocks.

mod link;
mod outgoing;
mod read_buf;
mod translator;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use dodici_pool::{
    CloseReason, Error, ErrorKind, ExchangeConfig, HeaderBlock, Phase, Request, ResponseHead,
};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};
use parking_lot::Mutex;

use self::link::{Link, LinkIo};
use self::outgoing::OutgoingBody;
use self::translator::Translator;
pub(crate) use self::translator::{Inbound, Seen};
use super::eof::Ended;
use super::guard;
use super::rest::{AtRest, Held};
use super::stream::ByteStream;
use crate::command::Command;
use crate::tuning::WRITTEN_AT_ONCE;

/// hyper's response to the stub request.
pub(crate) type Started =
    Result<http::Response<Incoming>, TrySendError<http::Request<OutgoingBody>>>;

/// See the module.
pub(crate) struct HyperConn {
    link: Arc<Mutex<Link>>,
    sender: http1::SendRequest<OutgoingBody>,
    driver: http1::Connection<LinkIo, OutgoingBody>,
    driver_done: bool,
}

impl HyperConn {
    /// Takes over a connection at rest. Sends nothing.
    ///
    /// `fresh`: this is the connection's first request, which an early response may answer; see
    /// [`ExchangeConfig::early_response`].
    pub(crate) async fn new(
        rest: AtRest,
        config: &ExchangeConfig,
        fresh: bool,
    ) -> Result<Self, Error> {
        let translator = Translator::new(guard(config).with_head_required(), fresh);
        let link = Link::new(rest, translator, config.abrupt_close_ends_body);
        let link = Arc::new(Mutex::new(link));
        let (sender, driver) = http1::Builder::new()
            .max_buf_size(WRITTEN_AT_ONCE)
            .handshake(LinkIo(Arc::clone(&link)))
            .await
            .map_err(|error| {
                let text = "hyper refused the connection";
                Error::new(ErrorKind::Internal, Phase::Connect, text).with_source(error)
            })?;
        Ok(Self {
            link,
            sender,
            driver,
            driver_done: false,
        })
    }

    /// Drives hyper until it is ready for a request.
    pub(crate) fn prepare(&mut self, cx: &mut Context<'_>) -> Result<(), Ended> {
        if self.is_at_rest(cx) {
            Ok(())
        } else if self.driver_done {
            Err(self.take_failure(Phase::Queued))
        } else {
            let text = "the connection is still busy";
            let error = Error::new(ErrorKind::Socket, Phase::Queued, text);
            Err((CloseReason::NotReusable, error))
        }
    }

    /// Starts the exchange. The future, which [`Answer`] polls, resolves when hyper has read the
    /// synthetic head.
    pub(crate) fn start(
        &mut self,
        request: &Request,
        command: &Arc<Command>,
    ) -> impl Future<Output = Started> + use<> {
        let stub = self.link.lock().begin(request, command);
        self.sender.try_send_request(stub)
    }

    /// Lets hyper read and write. Ready when hyper has finished or failed.
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
                    // The link knows the cause in every case but one: a request body that failed.
                    let translator = &mut self.link.lock().translator;
                    if translator.inbound() != Inbound::End {
                        let failure = body_error(&error).unwrap_or_else(|| {
                            Error::new(ErrorKind::Socket, translator.phase(), "other side closed")
                                .with_source(error)
                        });
                        translator.fail(CloseReason::IoError, failure);
                    }
                }
                Poll::Ready(())
            }
        }
    }

    // --- the response ---

    /// What was hidden from hyper since the last call.
    pub(crate) fn seen(&mut self) -> Seen {
        std::mem::take(&mut self.link.lock().translator.seen)
    }

    /// The progress of the response.
    pub(crate) fn inbound(&self) -> Inbound {
        self.link.lock().translator.inbound()
    }

    /// Whether the connection has failed; [`HyperConn::take_failure`] returns why.
    pub(crate) fn has_failed(&self) -> bool {
        self.driver_done || self.link.lock().translator.failure().is_some()
    }

    /// Whether the peer accepts no more of the request.
    pub(crate) fn is_broken(&self) -> bool {
        self.link.lock().translator.is_broken()
    }

    /// Whether there is a final head; passes it to `with` if so.
    pub(crate) fn with_head(&self, with: impl FnOnce(&ResponseHead)) -> bool {
        let link = self.link.lock();
        let has_head = link.translator.has_head();
        if has_head {
            with(link.translator.guard.head());
        }
        has_head
    }

    /// Trailers of a response that has ended.
    pub(crate) fn take_trailers(&mut self) -> HeaderBlock {
        self.link.lock().translator.guard.take_trailers()
    }

    /// Why the connection has failed.
    pub(crate) fn take_failure(&mut self, phase: Phase) -> Ended {
        let mut link = self.link.lock();
        let info = link.socket_info();
        link.translator.take_failure().unwrap_or_else(|| {
            let error = Error::new(ErrorKind::Socket, phase, "other side closed");
            (CloseReason::PeerClosed, error.with_socket(info))
        })
    }

    /// Adds the state of the socket to an error of the exchange.
    pub(crate) fn describe(&self, error: Error) -> Error {
        error.with_socket(self.link.lock().socket_info())
    }

    /// Whether any byte of the request may have left this machine.
    pub(crate) fn sent_any(&self) -> bool {
        self.link.lock().sent_any
    }

    /// Bytes received and sent so far, without those of a byte stream that has begun.
    pub(crate) fn traffic(&self) -> (u64, u64) {
        let link = self.link.lock();
        let (read, written) = link.traffic;
        (
            read.saturating_sub(link.translator.surplus.len() as u64),
            written,
        )
    }

    // --- the end ---

    /// After a response has ended: whether the connection can be reused, and the server's
    /// keep-alive hint.
    pub(crate) fn reusable(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Result<Option<Duration>, CloseReason> {
        let at_rest = self.is_at_rest(cx);
        let translator = &self.link.lock().translator;
        if let Some((reason, _)) = translator.failure() {
            return Err(*reason);
        }
        let keep_alive = translator.guard.keep_alive();
        // Not at rest: the request is still being sent, which ends the connection.
        if !at_rest || !keep_alive.reusable {
            return Err(CloseReason::NotReusable);
        }
        Ok(keep_alive.hint)
    }

    /// Whether the response that is due leaves the connection open. Valid from its head on.
    pub(crate) fn persists(&self) -> bool {
        self.link.lock().translator.guard.keep_alive().reusable
    }

    /// After a response has ended: whether only the end of the request is missing before the
    /// connection can be reused.
    pub(crate) fn waits_for_body(&self) -> bool {
        let held = self.held();
        let translator = &self.link.lock().translator;
        !self.driver_done
            && !translator.is_broken()
            && translator.guard.keep_alive().reusable
            && held.unwritten
            && !held.unread
    }

    /// Whether everything written of the request was sent.
    pub(crate) fn has_left(&self) -> bool {
        !self.link.lock().held().unwritten
    }

    /// Whether everything that hyper had to write when it was driven was sent.
    pub(crate) fn has_flushed(&self) -> bool {
        self.link.lock().flushed
    }

    /// What hyper and the link still hold of the exchange.
    fn held(&self) -> Held {
        let mut held = self.link.lock().held();
        // hyper wants the next request once it has encoded all of this one.
        held.unwritten |= !self.sender.is_ready();
        held.unread |= self.driver_done;
        held
    }

    /// Whether nothing is left of the last exchange.
    fn is_at_rest(&mut self, cx: &mut Context<'_>) -> bool {
        self.held().is_nothing() || (self.poll_drive(cx).is_pending() && self.held().is_nothing())
    }

    /// Ends the use of hyper and keeps the connection; `None` if it is not at rest.
    pub(crate) fn into_rest(self) -> Option<AtRest> {
        let held = self.held();
        self.into_link()?.into_rest(held)
    }

    /// Ends the use of hyper and keeps the transport and what followed the upgrade's head; `None`
    /// if part of the request is still to be written before the stream's first byte.
    pub(crate) fn into_stream(self) -> Option<ByteStream> {
        let link = self.has_left().then(|| self.into_link())??;
        Some(link.into_stream())
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

/// hyper's progress with the response.
///
/// ```text
///   Head ──▶ Body ──end, or hyper drops it──▶ Gone
///     └──hyper drops the request──▶ Gone
/// ```
pub(crate) enum Answer<'a, F> {
    Head(Pin<&'a mut F>),
    Body {
        body: Incoming,
        /// hyper was driven since its body was first polled, and since a piece was last taken.
        driven: bool,
    },
    /// Complete or failed; the link or the driver knows the cause.
    Gone,
}

/// Result of [`Answer::poll_piece`].
pub(crate) enum Piece {
    Data(Bytes),
    End,
    Wait,
    /// hyper must be driven first.
    Drive,
}

impl<F: Future<Output = Started>> Answer<'_, F> {
    /// Whether the body has begun.
    pub(crate) fn poll_body(&mut self, cx: &mut Context<'_>) -> bool {
        if let Self::Head(response) = self
            && let Poll::Ready(response) = response.as_mut().poll(cx)
        {
            *self = match response {
                Ok(response) => Self::Body {
                    body: response.into_body(),
                    driven: false,
                },
                Err(_) => Self::Gone,
            };
        }
        matches!(self, Self::Body { .. })
    }

    /// The next piece of the body.
    pub(crate) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Piece {
        let Self::Body { body, driven } = self else {
            return Piece::Wait;
        };
        loop {
            return match Pin::new(&mut *body).poll_frame(cx) {
                // hyper reads on only after its receiver was polled, and has room again only after
                // a chunk was taken: drive it once more after either.
                Poll::Pending if std::mem::replace(driven, true) => Piece::Wait,
                Poll::Pending => Piece::Drive,
                Poll::Ready(None) => {
                    *self = Self::Gone;
                    Piece::End
                }
                Poll::Ready(Some(Err(_))) => {
                    *self = Self::Gone;
                    Piece::Wait
                }
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(chunk) if !chunk.is_empty() => {
                        *driven = false;
                        Piece::Data(chunk)
                    }
                    _ => continue,
                },
            };
        }
    }
}

/// The error of the request body, if that is what ended hyper's connection.
fn body_error(error: &hyper::Error) -> Option<Error> {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if let Some(ours) = inner.downcast_ref::<Error>() {
            return Some(ours.clone());
        }
        source = inner.source();
    }
    None
}
