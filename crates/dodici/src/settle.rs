//! The connection's side of a request's sink: settled exactly once, with decoding in between if the
//! response is decoded, and with timings if the request is timed.

use std::task::Context;
use std::time::Instant;

use bytes::Bytes;
use dodici_pool::{
    ConnId, DecodeManner, Error, ErrorKind, HeaderBlock, Phase, Request, RequestTimings,
    ResponseHead,
};

use crate::command::Command;
use crate::decoding::{Decoding, without_coding};
use crate::sink::{ExchangeInfo, Sink};

/// Owns a sink and settles it exactly once: if it is dropped before an end or error was reported,
/// it reports an error, so that no caller waits for ever. Decoded bodies pass through here.
pub(crate) struct Settle {
    sink: Option<Box<dyn Sink>>,
    /// Set by the head of a response that is decoded.
    decoding: Option<Box<Decoding>>,
    /// Of a timed request, until it has ended.
    timings: Option<Box<RequestTimings>>,
}

impl Settle {
    /// `dispatched`: when, if the request is timed.
    pub(crate) fn new(sink: Box<dyn Sink>, dispatched: Option<Instant>) -> Self {
        Self {
            sink: Some(sink),
            decoding: None,
            timings: dispatched.map(|at| Box::new(RequestTimings::new(at))),
        }
    }

    /// The sink, for everything but head, body, end and error.
    pub(crate) fn sink(&mut self) -> Option<&mut (dyn Sink + 'static)> {
        self.sink.as_deref_mut()
    }

    /// The final head of the response to `request`. `max_response_size`: the pool's limit.
    ///
    /// # Errors
    /// The request fails before its sink gets the head.
    pub(crate) fn head(
        &mut self,
        request: &Request,
        head: &ResponseHead,
        info: &ExchangeInfo,
        max_response_size: Option<u64>,
    ) -> Result<(), Error> {
        self.first_byte();
        let Some(sink) = &mut self.sink else {
            return Ok(());
        };
        let decoding = Decoding::of(request, head, max_response_size)?;
        if let Some(timings) = &self.timings {
            sink.timings(timings);
        }
        let Some(decoding) = decoding else {
            sink.head(head, info);
            return Ok(());
        };
        self.decoding = Some(Box::new(decoding));
        let info = ExchangeInfo {
            decoded: true,
            ..*info
        };
        match request.decode.map(|decode| decode.manner) {
            Some(DecodeManner::Interceptor) => sink.head(&without_coding(head), &info),
            _ => sink.head(head, &info),
        }
        Ok(())
    }

    /// The connection becomes a byte stream, which ends the request as far as it is timed.
    pub(crate) fn upgrade(&mut self, head: &ResponseHead, info: &ExchangeInfo) {
        self.first_byte();
        self.ended();
        if let Some(sink) = &mut self.sink {
            sink.upgrade(head, info);
        }
    }

    /// Whether the body is decoded: limits then count decoded bytes.
    pub(crate) fn is_decoding(&self) -> bool {
        self.decoding.is_some()
    }

    /// Bytes of the body received and not yet decoded.
    pub(crate) fn held(&self) -> usize {
        self.decoding.as_ref().map_or(0, |decoding| decoding.held())
    }

    /// A piece of the body was received; only after [`Settle::poll_takes`] allowed it.
    pub(crate) fn piece(&mut self, command: &Command, piece: Bytes) {
        if let Some(decoding) = &mut self.decoding {
            decoding.take(piece);
            return;
        }
        command.spend(piece.len());
        if let Some(sink) = &mut self.sink {
            sink.data(piece);
        }
    }

    /// Whether more of the body may be read from the wire; delivers what has been decoded. If not,
    /// the reader's next credit, or the next turn to decode, wakes the task.
    ///
    /// # Errors
    /// The request fails.
    pub(crate) fn poll_takes(
        &mut self,
        cx: &mut Context<'_>,
        command: &Command,
    ) -> Result<bool, Error> {
        match (&mut self.decoding, &mut self.sink) {
            (Some(decoding), Some(sink)) => decoding.work(cx, command, sink.as_mut()),
            _ => Ok(command.has_credit()),
        }
    }

    /// The response is complete; if its coding is not, the request fails.
    pub(crate) fn end(&mut self, trailers: &HeaderBlock) {
        self.ended();
        let Some(mut sink) = self.sink.take() else {
            return;
        };
        match self.decoding.take().map(|decoding| decoding.finish()) {
            Some(Err(error)) => sink.error(error),
            Some(Ok(received)) => sink.end_decoded(trailers, received),
            None => sink.end(trailers),
        }
    }

    pub(crate) fn error(&mut self, error: Error) {
        self.decoding = None;
        self.ended();
        if let Some(mut sink) = self.sink.take() {
            sink.error(error);
        }
    }

    // --- timings ---

    /// Whether the other methods here have an effect.
    pub(crate) fn is_timed(&self) -> bool {
        self.timings.is_some()
    }

    /// An exchange begins, the connection's first one if it `is_new`.
    pub(crate) fn assigned(&mut self, conn: ConnId, is_new: bool) {
        if let Some(timings) = &mut self.timings {
            **timings = RequestTimings::new(timings.dispatched);
            timings.assigned = now();
            timings.conn = Some(conn);
            timings.is_new = is_new;
        }
    }

    /// The head was sent.
    pub(crate) fn head_sent(&mut self) {
        self.stamp(|timings| &mut timings.head_sent);
    }

    /// The body was sent, or there is none.
    pub(crate) fn body_sent(&mut self) {
        self.stamp(|timings| &mut timings.body_sent);
    }

    /// A byte of the response has arrived.
    pub(crate) fn first_byte(&mut self) {
        self.stamp(|timings| &mut timings.first_byte);
    }

    /// The request ends, whatever is reported next: reports its timings.
    pub(crate) fn ended(&mut self) {
        self.stamp(|timings| &mut timings.ended);
        if let Some(timings) = self.timings.take()
            && let Some(sink) = &mut self.sink
        {
            sink.timings(&timings);
        }
    }

    /// The first time counts.
    fn stamp(&mut self, part: impl FnOnce(&mut RequestTimings) -> &mut Option<Instant>) {
        if let Some(timings) = &mut self.timings {
            let part = part(timings);
            *part = part.or_else(now);
        }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "for a part of the timings")]
fn now() -> Option<Instant> {
    Some(tokio::time::Instant::now().into_std())
}

impl Drop for Settle {
    fn drop(&mut self) {
        if let Some(mut sink) = self.sink.take() {
            // Reached when a task panicked or a runtime was shut down. The sink itself may be
            // what panicked, so a second panic must not turn the unwinding into an abort.
            let reported = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                sink.error(Error::new(
                    ErrorKind::Internal,
                    Phase::Send,
                    "the task serving the request ended without a response",
                ));
                drop(sink);
            }));
            drop(reported);
        }
    }
}
