//! How an exchange over a stream ends or fails, and whether its request can be sent again.

use std::task::{Context, Poll};

use bytes::Bytes;
use dodici_pool::{Error, ErrorKind, ExchangeConfig, HeaderBlock, Phase, Replay};

use super::{Stage, StreamExchange, StreamFinish, StreamStep, Upload};
use crate::clock::Moment;
use crate::conn::framing::check_trailers;
use crate::conn::{Multiplexed, MultiplexedStream, StreamFailure};

impl<C: Multiplexed> StreamExchange<C> {
    // --- the peer has finished ---

    pub(super) fn end(
        &mut self,
        cx: &mut Context<'_>,
        now: &Moment,
        conn: &C,
        config: &ExchangeConfig,
        lost: Option<&Error>,
        trailers: HeaderBlock,
    ) -> StreamStep {
        match self.rules.stage() {
            Stage::Waits | Stage::Head | Stage::Informed => self.failed(Error::new(
                ErrorKind::Unserved,
                Phase::Headers,
                format!("{}: stream half-closed (remote)", C::NAME),
            )),
            Stage::Body | Stage::Ending => {
                if let Err(error) = self.rules.check_length() {
                    return self.failed(error);
                }
                if let Err(error) = check_trailers(&trailers) {
                    return self.refused(error);
                }
                self.trailers = trailers;
                self.rules.wait_for_rest(config, now);
                self.poll_rest_of_body(cx, now, false, false)
            }
            Stage::Stream | Stage::OwnHalf => {
                self.rules.end_half();
                let is_open = self
                    .stream
                    .as_ref()
                    .is_some_and(MultiplexedStream::is_sending);
                // The caller gets an empty chunk, not the end, after which nothing
                // could request what it still has to write.
                if is_open && let Some(sink) = self.job.settle.sink() {
                    sink.data(Bytes::new());
                }
                self.poll_own_half(cx, now, conn, lost)
            }
        }
    }

    /// The peer has ended its half of a byte stream: what the caller still writes is sent until
    /// the caller ends its own, or the peer refuses more.
    pub(super) fn poll_own_half(
        &mut self,
        cx: &mut Context<'_>,
        now: &Moment,
        conn: &C,
        lost: Option<&Error>,
    ) -> StreamStep {
        // Checked first: a stream that was reset accepts nothing, which looks like its end.
        if let Some(stream) = &mut self.stream
            && let Poll::Ready(failure) = stream.poll_reset(cx)
        {
            return match lost {
                Some(error) => self.lost(conn, error),
                None if failure.code == Some(C::GRACEFUL) => self.end_stream(),
                None => self.stream_failed(conn, &failure, None),
            };
        }
        if let Err(error) = self.poll_upload(cx, now) {
            return self.failed(error);
        }
        if !self
            .stream
            .as_ref()
            .is_some_and(MultiplexedStream::is_sending)
        {
            return self.end_stream();
        }
        match lost {
            Some(error) => self.lost(conn, error),
            None => StreamStep::Wait,
        }
    }

    pub(super) fn end_stream(&mut self) -> StreamStep {
        self.job.settle.end(&HeaderBlock::new());
        StreamStep::Finished(StreamFinish::StreamEnded)
    }

    /// The response was complete before the request body had been sent. As in undici, the rest is
    /// sent, unless the peer refuses it or it takes too long.
    pub(super) fn poll_rest_of_body(
        &mut self,
        cx: &mut Context<'_>,
        now: &Moment,
        expired: bool,
        lost: bool,
    ) -> StreamStep {
        if let Err(error) = self.poll_upload(cx, now) {
            return self.failed(error);
        }
        let is_sending = match &mut self.stream {
            Some(stream) => {
                matches!(self.upload, Upload::Pulled { .. })
                    && stream.is_sending()
                    && stream.poll_reset(cx).is_pending()
            }
            None => false,
        };
        let passed = expired && self.rules.deadline().is_none_or(|at| at <= now.now());
        if is_sending && !passed && !lost {
            return StreamStep::Wait;
        }
        StreamStep::Finished(StreamFinish::Done(std::mem::take(&mut self.trailers)))
    }

    // --- failure ---

    /// The response is invalid or not wanted: resets the stream.
    pub(super) fn refused(&mut self, error: Error) -> StreamStep {
        let code = match error.kind() {
            ErrorKind::ResponseExceededMaxSize | ErrorKind::ContentCoding => C::UNWANTED,
            _ => C::MALFORMED,
        };
        if let Some(stream) = &mut self.stream {
            stream.reset(code);
        }
        self.failed(error)
    }

    #[expect(clippy::unused_self, reason = "reads like the other ends")]
    pub(super) fn failed(&self, error: Error) -> StreamStep {
        StreamStep::Finished(StreamFinish::Failed(error))
    }

    pub(super) fn replay(&self, error: Error) -> StreamStep {
        StreamStep::Finished(if !self.rules.has_head() && self.job.is_whole() {
            StreamFinish::Replay(error.with_replay(Replay::Unsent))
        } else {
            StreamFinish::Failed(error)
        })
    }

    /// The connection has ended during the exchange.
    pub(super) fn lost(&self, conn: &C, error: &Error) -> StreamStep {
        let error = error.clone().with_phase(self.rules.phase());
        let unprocessed = self
            .stream
            .as_ref()
            .is_none_or(|stream| conn.is_unprocessed(stream.id()));
        if unprocessed {
            self.replay(error)
        } else {
            self.failed(error)
        }
    }

    pub(super) fn stream_failed(
        &self,
        conn: &C,
        failure: &StreamFailure,
        lost: Option<&Error>,
    ) -> StreamStep {
        if failure.code.is_some()
            && let Err(short) = self.rules.check_length()
        {
            return self.failed(short);
        }
        if let Some(code) = failure.code {
            let message = match &*failure.message {
                "" => format!("Stream closed with error code {}", C::code_name(code)).into(),
                _ => failure.message.clone(),
            };
            let error = Error::new(ErrorKind::StreamReset(code), self.rules.phase(), message)
                .with_socket(conn.socket_info());
            return if failure.refused {
                self.replay(error)
            } else {
                self.failed(error)
            };
        }
        let why = lost.cloned().or_else(|| conn.goaway_error());
        let why = why.unwrap_or_else(|| {
            Error::new(
                ErrorKind::Socket,
                self.rules.phase(),
                format!("{}: {}", C::NAME, failure.message),
            )
            .with_socket(conn.socket_info())
        });
        self.lost(conn, &why)
    }
}
