//! A request on its way, and whether it may go again once it was lost.
//!
//! Made by `origin` when a request is dispatched, moved from connection to connection until it is
//! settled. Knows nothing of wires.

use std::sync::Arc;
use std::task::Context;

use bytes::Bytes;
use dodici_pool::{Error, Replay, Request, RequestKind, ResponseHead};

use super::rules::Rules;
use crate::clock::Moment;
use crate::command::{Command, Settle};
use crate::sink::ExchangeInfo;

/// As often as this a request is written to a connection that dies without a word. More than one:
/// a server that closes one idle connection often closes its neighbours in the same moment.
const MAX_REPLAYS: u8 = 5;

/// Fresh connections that may die before a request was written to them: a peer that accepts and closes,
/// again and again, is not a stale connection.
const FRESH_FAILURES: u8 = 3;

/// What to send, whom to tell, how to be told.
pub(crate) struct Job {
    pub(crate) request: Request,
    pub(crate) settle: Settle,
    pub(crate) command: Arc<Command>,
    /// Fresh connections that died before this request was written to them.
    fresh_failures: u8,
    /// How often it was written in vain: to a connection that died before an answer, or to a peer
    /// that said that it did not process it.
    replays: u8,
}

/// How a connection lost a request that it had been given.
pub(crate) enum Loss<'a> {
    /// No byte of it had left; `reused`: the connection had served before.
    Unsent { reused: bool },
    /// The peer says that it did not process it, which it may say `most` times.
    Unprocessed { most: u8 },
    /// It was written, and others were answered before it; `told`: something of its own answer had come.
    Behind { told: bool },
    /// It was written, and the connection ended with `error` and so many bytes in answer to it.
    Sent {
        error: &'a Error,
        reused: bool,
        received: u64,
    },
}

impl Job {
    pub(crate) fn new(request: Request, settle: Settle, command: Arc<Command>) -> Self {
        Self {
            request,
            settle,
            command,
            fresh_failures: 0,
            replays: 0,
        }
    }

    /// Whether the request goes back to the queue, to be written to another connection, after such a
    /// loss, which counts then.
    ///
    /// A peer closes an idle connection whenever it likes, and a request can cross that close on
    /// the wire (RFC 9112, section 9.3.1): whoever sent it cannot know whether it was executed, and
    /// only an idempotent one bears being executed twice.
    pub(crate) fn goes_again(&mut self, loss: &Loss<'_>) -> bool {
        match *loss {
            Loss::Unsent { reused: true } => true,
            Loss::Unsent { reused: false } => {
                self.fresh_failures += 1;
                self.fresh_failures <= FRESH_FAILURES
            }
            Loss::Unprocessed { most } => {
                self.replays += 1;
                self.replays <= most
            }
            Loss::Behind { told } => self.request.idempotent && !told,
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
        }
    }

    /// Whether all of its body can be sent (again).
    pub(crate) fn is_whole(&self) -> bool {
        !self.request.body.is_pulled() || self.command.is_untouched()
    }

    /// Whether the connection waits for the caller to deliver body bytes.
    pub(crate) fn is_starved(&self) -> bool {
        self.request.body.is_pulled() && self.command.is_starved()
    }

    /// Asks for the first bytes of a pulled body.
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

    /// Asks for more of what the caller sends, if it is time.
    pub(super) fn ask(&mut self) {
        let pull = self.command.take_pull();
        if pull > 0
            && let Some(sink) = self.settle.sink()
        {
            sink.pull(pull);
        }
    }

    /// Lets go a body that waited for `100 Continue`.
    pub(super) fn release_body(&mut self) {
        if self.command.release_hold() {
            self.ask_first();
        }
    }

    /// Bytes of the request went out.
    pub(crate) fn tell_written(&mut self) {
        if let Some(sink) = self.settle.sink() {
            sink.written();
        }
    }

    /// Tells the sink of the final head. Of a body that is decoded on its way to the sink, what comes
    /// out counts from then on.
    ///
    /// # Errors
    /// What the request fails with, of whose answer nothing was told.
    pub(crate) fn tell_head(
        &mut self,
        rules: &mut Rules,
        head: &ResponseHead,
        info: &ExchangeInfo,
    ) -> Result<(), Error> {
        let most = rules.max_response_size();
        self.settle.head(&self.request, head, info, most)?;
        if self.settle.is_decoding() {
            rules.lift_max_response_size();
        }
        Ok(())
    }

    /// Whether more of the body may be told, or taken from the wire to be decoded. Tells what was
    /// decoded of what was taken before.
    ///
    /// # Errors
    /// What the request fails with.
    pub(crate) fn poll_takes(
        &mut self,
        cx: &mut Context<'_>,
        rules: &mut Rules,
        now: &Moment,
    ) -> Result<bool, Error> {
        let takes = self.settle.poll_takes(cx, &self.command)?;
        Ok(rules.tells(takes, now))
    }

    /// Tells the sink of a piece of the body, if there is one.
    pub(crate) fn tell(&mut self, piece: Option<Bytes>) {
        let Some(piece) = piece else {
            return;
        };
        self.settle.piece(&self.command, piece);
    }
}
