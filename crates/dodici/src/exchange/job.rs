//! A dispatched request, and whether it may be sent again after it was lost.
//!
//! Created by `origin` at dispatch and moved from connection to connection until it is settled.
//! Must not know wires.

use std::sync::Arc;
use std::task::Context;

use bytes::Bytes;
use dodici_pool::{ConnId, DecodeManner, Error, Replay, Request, RequestKind, ResponseHead};
use tokio::task::AbortHandle;

use super::rules::Rules;
use crate::clock::Moment;
use crate::command::Command;
use crate::settle::Settle;
use crate::sink::ExchangeInfo;
use crate::trace::Trace;

/// How often a request is replayed after a connection closed without a response. More than once: a
/// server that closes one idle connection often closes its neighbours at the same time.
const MAX_REPLAYS: u8 = 5;

/// How many new connections may close before the request is written to them. A peer that keeps
/// accepting and closing is broken, not merely stale.
const FRESH_FAILURES: u8 = 3;

/// The request, its sink, and the caller's side of it.
pub(crate) struct Job {
    pub(crate) request: Request,
    pub(crate) settle: Settle,
    pub(crate) command: Arc<Command>,
    /// New connections that closed before this request was written to them.
    fresh_failures: u8,
    /// How often it was written without effect: to a connection that closed without a response, or
    /// to a peer that reported it as unprocessed.
    replays: u8,
    /// Ends the request when its total timeout expires.
    pub(crate) watch: Option<Watch>,
    trace: Trace,
}

/// A task that is aborted when this is dropped.
pub(crate) struct Watch(pub(crate) AbortHandle);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// How a connection lost a request that was assigned to it.
pub(crate) enum Loss<'a> {
    /// No byte was sent; `reused`: the connection had served a request before.
    Unsent { reused: bool },
    /// The peer reported it as unprocessed, which is tolerated `most` times.
    Unprocessed { most: u8 },
    /// Pipelined behind the request that failed; `delivered`: part of its response was delivered.
    Behind { delivered: bool },
    /// It was written, and the connection failed after this many bytes of response.
    Sent {
        error: &'a Error,
        reused: bool,
        received: u64,
    },
}

impl Loss<'_> {
    fn state(&self) -> &'static str {
        match self {
            Self::Unsent { .. } => "unsent",
            Self::Unprocessed { .. } => "unprocessed",
            Self::Behind { .. } => "behind another",
            Self::Sent { .. } => "sent",
        }
    }

    fn error(&self) -> Option<&Error> {
        match self {
            Self::Sent { error, .. } => Some(error),
            _ => None,
        }
    }
}

impl Job {
    pub(crate) fn new(
        request: Request,
        settle: Settle,
        command: Arc<Command>,
        trace: Trace,
    ) -> Self {
        Self {
            request,
            settle,
            command,
            fresh_failures: 0,
            replays: 0,
            watch: None,
            trace,
        }
    }

    /// Whether the request returns to the queue after this loss, which is then counted.
    ///
    /// A peer may close an idle connection at any time, and a request can cross that close on the
    /// wire (RFC 9112, section 9.3.1). The client cannot know whether it was executed, so only
    /// idempotent requests are sent twice.
    pub(crate) fn goes_again(&mut self, loss: &Loss<'_>) -> bool {
        let again = match *loss {
            Loss::Unsent { reused: true } => true,
            Loss::Unsent { reused: false } => {
                self.fresh_failures += 1;
                self.fresh_failures <= FRESH_FAILURES
            }
            Loss::Unprocessed { most } => {
                self.replays += 1;
                self.replays <= most
            }
            Loss::Behind { delivered } => self.request.idempotent && !delivered,
            Loss::Sent {
                error,
                reused,
                received,
            } => {
                let again = reused
                    && received == 0
                    && self.replays < MAX_REPLAYS
                    && error.replay() == Replay::IfIdempotentAndReused
                    && self.request.idempotent
                    && matches!(self.request.kind, RequestKind::Plain | RequestKind::Head)
                    && !self.request.body.is_pulled();
                self.replays += u8::from(again);
                again
            }
        };
        self.trace.lost(loss.state(), loss.error(), again);
        again
    }

    /// Whether its body can be sent from the start.
    pub(crate) fn is_whole(&self) -> bool {
        !self.request.body.is_pulled() || self.command.is_untouched()
    }

    /// Whether the connection waits for body bytes from the caller.
    pub(crate) fn is_starved(&self) -> bool {
        self.request.body.is_pulled() && self.command.is_starved()
    }

    /// Requests the first bytes of a pulled body.
    pub(super) fn ask_first(&mut self) {
        if self.request.body.is_pulled()
            && let Some(sink) = self.settle.sink()
        {
            let bytes = self.command.first_pull();
            if bytes > 0 {
                sink.pull(bytes);
            }
        }
    }

    /// Requests more body or stream bytes, if it is time.
    pub(super) fn ask(&mut self) {
        let pull = self.command.take_pull();
        if pull > 0
            && let Some(sink) = self.settle.sink()
        {
            sink.pull(pull);
        }
    }

    /// Releases a body that was waiting for `100 Continue`.
    pub(super) fn release_body(&mut self) {
        if self.command.release_hold() {
            self.ask_first();
        }
    }

    /// Reports the connection that is about to send it.
    pub(crate) fn report_assigned(&mut self, conn: ConnId) {
        if let Some(sink) = self.settle.sink() {
            sink.assigned(conn);
        }
    }

    /// Reports that bytes of the request were written.
    pub(crate) fn report_written(&mut self) {
        if let Some(sink) = self.settle.sink() {
            sink.written();
        }
    }

    /// Delivers the final head. If the body is decoded, limits count decoded bytes from then on,
    /// except for `fetch`, where undici's limit is below the decoder.
    ///
    /// # Errors
    /// The request fails, and nothing of its response was delivered.
    pub(crate) fn deliver_head(
        &mut self,
        rules: &mut Rules,
        head: &ResponseHead,
        info: &ExchangeInfo,
    ) -> Result<(), Error> {
        let decode = self.request.decode.map(|decode| decode.manner);
        let counts_decoded = decode == Some(DecodeManner::Interceptor);
        let most = rules.max_response_size().filter(|_| counts_decoded);
        self.settle.head(&self.request, head, info, most)?;
        if counts_decoded && self.settle.is_decoding() {
            rules.lift_max_response_size();
        }
        Ok(())
    }

    /// Whether more of the body may be delivered, or read from the wire to be decoded. Delivers
    /// what has been decoded.
    ///
    /// # Errors
    /// The request fails.
    pub(crate) fn poll_takes(
        &mut self,
        cx: &mut Context<'_>,
        rules: &mut Rules,
        now: &Moment,
    ) -> Result<bool, Error> {
        let takes = self.settle.poll_takes(cx, &self.command)?;
        Ok(rules.delivers(takes, now))
    }

    /// Delivers a piece of the body to the sink, if there is one.
    pub(crate) fn deliver(&mut self, piece: Option<Bytes>) {
        let Some(piece) = piece else {
            return;
        };
        self.settle.piece(&self.command, piece);
    }
}
