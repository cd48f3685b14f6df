//! The receiving side of a stream: heads, the body as far as the reader has credit, and the return
//! of window to the peer.

use std::task::{Context, Poll};

use bytes::Bytes;
use dodici_pool::{Error, ErrorKind, ExchangeConfig, Phase, RequestKind, ResponseHead};

use super::{Stage, StreamExchange, StreamStep, Upload};
use crate::clock::Moment;
use crate::conn::{Multiplexed, MultiplexedStream, StreamFailure, StreamReceived as Received};
use crate::exchange::rules::Length;

impl<C: Multiplexed> StreamExchange<C> {
    /// Delivers what has arrived, as far as the reader has credit.
    pub(super) fn poll_response(
        &mut self,
        cx: &mut Context<'_>,
        now: &Moment,
        conn: &mut C,
        config: &ExchangeConfig,
        expired: bool,
        lost: Option<&Error>,
    ) -> StreamStep {
        loop {
            if self.rules.has_head() {
                let takes = match self.job.poll_takes(cx, &mut self.rules, now) {
                    Ok(takes) => takes,
                    Err(error) => return self.refused(error),
                };
                if !takes {
                    if C::READS_AHEAD
                        && let Err(error) = self.look_ahead(cx, now, conn)
                    {
                        return self.refused(error);
                    }
                    break;
                }
                if let Some(piece) = self.waiting.pop_front() {
                    self.job.deliver(Some(piece));
                    continue;
                }
                if self.pieces.len() >= self.job.command.room() {
                    // One more would exceed the reader's room.
                    self.job.deliver(self.pieces.take());
                    continue;
                }
            }
            let Some(received) = self.poll_received(cx, conn) else {
                self.job.deliver(self.pieces.take());
                if self.job.settle.held() > 0 {
                    continue;
                }
                if let Some(error) = lost {
                    return self.lost(conn, error);
                }
                break;
            };
            if !matches!(received, Ok(Received::Data(_))) {
                self.job.deliver(self.pieces.take());
                if self.job.settle.held() > 0 {
                    // What arrived before it is decoded first.
                    self.ahead = Some(received);
                    continue;
                }
            }
            let received = match received {
                Ok(received) => received,
                // A graceful reset of a byte stream is its end; a response would be truncated.
                Err(failure)
                    if self.rules.stage() == Stage::Stream && failure.code == Some(C::GRACEFUL) =>
                {
                    return self.end_stream();
                }
                Err(failure) => return self.stream_failed(conn, &failure, lost),
            };
            if !matches!(received, Received::Data(_))
                && let Some(what) = conn.overlooked(self.info.stream, &received)
            {
                let kind = ErrorKind::StreamReset(C::MALFORMED);
                return self.refused(Error::new(kind, self.rules.phase(), what));
            }
            match received {
                Received::Informational => {
                    let taken = self.on_informational(conn, config, now);
                    // It may have been the `100 Continue` that the body waits for.
                    if let Err(error) = taken {
                        return self.refused(error);
                    }
                    if let Err(error) = self.poll_upload(cx, now) {
                        return self.failed(error);
                    }
                }
                Received::Head => {
                    if self.is_upgrade(conn.head(), config) {
                        return StreamStep::Upgrade;
                    }
                    if let Err(error) = self.on_head(conn.head(), config, now) {
                        return self.refused(error);
                    }
                }
                Received::Data(chunk) => {
                    if let Err(error) = self.rules.data(chunk.len(), now) {
                        return self.refused(error);
                    }
                    self.job.deliver(self.pieces.push(chunk));
                }
                Received::End(trailers) => {
                    let trailers = trailers.unwrap_or_default();
                    return self.end(cx, now, conn, config, lost, trailers);
                }
            }
        }
        self.release(conn, config);
        self.check_deadlines(cx, expired)
    }

    /// The next event; `None` if there is none yet.
    fn poll_received(
        &mut self,
        cx: &mut Context<'_>,
        conn: &mut C,
    ) -> Option<Result<Received, StreamFailure>> {
        if let Some(ahead) = self.ahead.take() {
            return Some(ahead);
        }
        match conn.poll_next(cx, self.stream.as_mut()?) {
            Poll::Pending => None,
            Poll::Ready(received) => Some(received),
        }
    }

    /// Reads on although the reader has stopped, up to its window, which is the most that
    /// the peer may send. Left inside h2, each small frame would cost as much as a large one, and
    /// h2 closes connections on which small frames pile up; here they are merged.
    fn look_ahead(
        &mut self,
        cx: &mut Context<'_>,
        now: &Moment,
        conn: &mut C,
    ) -> Result<(), Error> {
        while self.ahead.is_none() {
            match self.poll_received(cx, conn) {
                None => break,
                Some(Ok(Received::Data(chunk))) => {
                    self.rules.data(chunk.len(), now)?;
                    let piece = self.pieces.push(chunk);
                    self.waiting.extend(piece);
                }
                behind => self.ahead = behind,
            }
        }
        Ok(())
    }

    fn on_informational(
        &mut self,
        conn: &C,
        config: &ExchangeConfig,
        now: &Moment,
    ) -> Result<(), Error> {
        let head = conn.head();
        self.job.settle.first_byte();
        self.rules.count_informational(&head.headers)?;
        self.rules.informational(head.status, now);
        // RFC 9113, section 8.6, and RFC 9114, section 4.5: there is no 101.
        if head.status == 101 {
            return Err(Error::new(
                ErrorKind::StreamReset(C::MALFORMED),
                Phase::Headers,
                format!("{}: unexpected status 101", C::NAME),
            ));
        }
        if head.status == 100 {
            self.let_body_go();
        }
        if (head.status != 100 || config.http2_reports_continue)
            && let Some(sink) = self.job.settle.sink()
        {
            sink.informational(head);
        }
        Ok(())
    }

    fn on_head(
        &mut self,
        head: &ResponseHead,
        config: &ExchangeConfig,
        now: &Moment,
    ) -> Result<(), Error> {
        if self.rules.release_body(now) {
            // A final response instead of `100 Continue`: the body is not wanted.
            self.upload = Upload::Nothing;
        }
        let bodiless =
            self.job.request.kind == RequestKind::Head || matches!(head.status, 204 | 304);
        // The connection has rejected anything but one number, which may be repeated or empty.
        let mut lengths = head.headers.get_all("content-length");
        let declared = lengths.next();
        if declared.is_some_and(<[u8]>::is_empty)
            || lengths.next().is_some() && !config.leniency.doubtful_framing
        {
            return Err(Error::new(
                ErrorKind::StreamReset(C::MALFORMED),
                Phase::Headers,
                format!("{}: a content-length that is empty or repeated", C::NAME),
            ));
        }
        let length = if bodiless {
            Length::Nothing
        } else {
            declared
                .and_then(|value| std::str::from_utf8(value).ok())
                .and_then(|value| value.parse().ok())
                .map_or(Length::Any, Length::Exactly)
        };
        self.job.deliver_head(&mut self.rules, head, &self.info)?;
        self.rules.head(length, now);
        Ok(())
    }

    /// Returns window to the peer as the reader's room grows.
    fn release(&mut self, conn: &mut C, config: &ExchangeConfig) {
        if self.rules.received() == 0 {
            return;
        }
        let Some(stream) = &mut self.stream else {
            return;
        };
        let (room, most) = (self.job.command.room(), config.window as usize);
        let held = self.waiting.iter().map(Bytes::len).sum::<usize>()
            + self.pieces.len()
            + self.job.settle.held();
        let released = stream.release(held, room, most);
        if released > 0 {
            conn.released(stream, released);
        }
        let wake_at = self
            .stream
            .as_ref()
            .and_then(|stream| stream.release_from(room, most));
        self.job.command.wake_at(wake_at);
    }
}
