//! One exchange over one stream of a connection that carries many at once: HTTP/2 or HTTP/3.
//!
//! The counterpart of [`super::hyper`]: the connection's task (`origin::multiplex`) polls each exchange when its stream, its caller or its
//! deadline has something new. A failed exchange costs its stream, never the connection.

mod ends;
mod incoming;

use std::collections::VecDeque;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use dodici_pool::{
    BodyKind, Error, ExchangeConfig, HeaderBlock, RequestId, RequestKind, ResponseHead,
};
use tokio::time::Instant;

use super::Job;
use super::rules::{Rules, Stage, Wire};
use crate::body::Pieces;
use crate::clock::Moment;
use crate::command::{Attention, Slice, length_mismatch};
use crate::conn::{
    Multiplexed, MultiplexedStream, NotOpened, StreamFailure, StreamReceived as Received,
};
use crate::sink::ExchangeInfo;
use crate::tuning::PULL_WINDOW;

/// How an exchange ended. Not reported to the sink yet.
pub(crate) enum StreamFinish {
    /// The response is complete, with these trailers.
    Done(HeaderBlock),
    /// It failed; nothing else on the connection is affected.
    Failed(Error),
    /// The peer did not process the request: it can be sent again, or fails with this.
    Replay(Error),
    /// An upgraded stream has ended. The sink knows.
    StreamEnded,
}

/// Result of [`StreamExchange::poll`].
pub(crate) enum StreamStep {
    Wait,
    /// The stream is about to become a byte stream: call [`StreamExchange::upgrade`].
    Upgrade,
    /// The caller requests a check of the socket: drive the connection without waiting for the
    /// reactor, poll the exchange again, and report that it is done.
    Look,
    Finished(StreamFinish),
}

/// The rest of the request body.
enum Upload {
    Nothing,
    Pulled {
        /// If its length was declared.
        remaining: Option<u64>,
    },
}

/// See the module.
pub(crate) struct StreamExchange<C: Multiplexed> {
    pub(crate) job: Box<Job>,
    pub(crate) request: RequestId,
    /// Contains the stream id once there is one.
    pub(crate) info: ExchangeInfo,
    /// `None` until the connection can open one.
    stream: Option<C::Stream>,
    rules: Rules,
    upload: Upload,
    /// The rest of the current slice, for which the peer has had no room yet.
    unsent: Bytes,
    /// Received, not delivered while more may be available.
    pieces: Pieces,
    /// Received earlier, beyond the reader's room: see [`Self::look_ahead`].
    waiting: VecDeque<Bytes>,
    /// What was received after them.
    ahead: Option<Result<Received, StreamFailure>>,
    /// Of a response that is complete before the request body.
    trailers: HeaderBlock,
}

impl<C: Multiplexed> StreamExchange<C> {
    /// An exchange waiting for a stream; its headers timeout is already running.
    pub(crate) fn new(
        mut job: Box<Job>,
        request: RequestId,
        info: ExchangeInfo,
        config: &ExchangeConfig,
    ) -> Self {
        if job.request.kind == RequestKind::Upgrade && job.request.http1_upgrade {
            job.request.kind = RequestKind::Plain;
        }
        let mut rules = Rules::new(Wire::of(C::PROTOCOL), &job.request, config);
        rules.wait(&Moment::default());
        Self {
            job,
            request,
            info,
            stream: None,
            rules,
            upload: Upload::Nothing,
            unsent: Bytes::new(),
            pieces: Pieces::default(),
            waiting: VecDeque::new(),
            ahead: None,
            trailers: HeaderBlock::new(),
        }
    }

    /// Whether it has a stream.
    pub(crate) fn is_open(&self) -> bool {
        self.stream.is_some()
    }

    /// Whether it is a byte stream now.
    pub(crate) fn is_upgraded(&self) -> bool {
        self.rules.is_stream()
    }

    /// The latest time to poll it.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.rules.next_deadline()
    }

    /// The timeout that [`StreamFinish::Failed`] reported, if it was one.
    pub(crate) fn current_timeout(&self) -> Option<Duration> {
        self.rules.timeout()
    }

    /// Opens its stream and sends what is available of the request.
    ///
    /// # Errors
    /// See [`NotOpened`].
    pub(crate) fn open(&mut self, conn: &mut C, config: &ExchangeConfig) -> Result<(), NotOpened> {
        let request = &self.job.request;
        let becomes_stream = matches!(request.kind, RequestKind::Connect | RequestKind::Upgrade);
        let pulled = |remaining| Upload::Pulled { remaining };
        let mut full = None;
        let upload = match &request.body {
            BodyKind::None | BodyKind::Sized(0) => Upload::Nothing,
            BodyKind::Full(bytes) if bytes.is_empty() => Upload::Nothing,
            BodyKind::Full(bytes) if request.expect_continue => pulled(Some(bytes.len() as u64)),
            BodyKind::Full(bytes) => {
                full = Some(bytes.clone());
                Upload::Nothing
            }
            BodyKind::Sized(length) => pulled(Some(*length)),
            BodyKind::Chunked => pulled(None),
        };
        let is_pulled = matches!(upload, Upload::Pulled { .. });
        let has_body = is_pulled || full.is_some() || becomes_stream;
        let mut stream = conn.open(request, has_body)?;
        self.job.report_assigned(self.info.conn);
        let request = &self.job.request;
        if let Some(full) = full {
            stream.send(full, !becomes_stream);
        }
        if !becomes_stream {
            self.upload = upload;
        }
        let now = Moment::default();
        self.rules.begin(&now);
        if is_pulled && request.expect_continue {
            let full = match &request.body {
                BodyKind::Full(bytes) => Some(bytes.clone()),
                _ => None,
            };
            self.job.command.hold(full);
            self.rules.hold_body(config.continue_timeout, &now);
        } else {
            self.job.ask_first();
        }
        self.info.stream = stream.id();
        let settle = &mut self.job.settle;
        settle.assigned(self.info.conn, C::is_first(self.info.stream));
        settle.head_sent();
        if !is_pulled {
            settle.body_sent();
        }
        self.stream = Some(stream);
        Ok(())
    }

    /// Advances the exchange. `expired`: its deadline may have passed. `lost`: why the connection
    /// has ended, after which nothing more will arrive.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        conn: &mut C,
        config: &ExchangeConfig,
        expired: bool,
        lost: Option<&Error>,
    ) -> StreamStep {
        let now = Moment::default();
        let attention = self.job.command.attention();
        if attention == Attention::Look {
            return StreamStep::Look;
        }
        if attention == Attention::Cancelled {
            if self.is_upgraded() {
                // What was handed over before is sent: a last frame with the reason must not be
                // lost.
                let _flushed = self.poll_upload(cx, &now);
            }
            let (_, error) = self.job.command.cancellation(self.rules.phase());
            return self.failed(error);
        }
        if let Some(error) = self.job.command.failure() {
            return self.failed(error);
        }
        if self.rules.stage() == Stage::Ending {
            return self.poll_rest_of_body(cx, &now, expired, lost.is_some());
        }
        if self.stream.is_none() {
            return match lost {
                Some(error) => self.replay(error.clone()),
                None => self.check_deadlines(cx, expired),
            };
        }
        if self.rules.stage() == Stage::OwnHalf {
            return self.poll_own_half(cx, &now, conn, lost);
        }
        if let Err(error) = self.poll_upload(cx, &now) {
            return self.failed(error);
        }
        self.poll_response(cx, &now, conn, config, expired, lost)
    }

    /// Turns the exchange into a byte stream. `head` is that of [`StreamStep::Upgrade`]. Poll it
    /// afterwards.
    pub(crate) fn upgrade(&mut self, head: &ResponseHead) {
        self.rules.upgrade();
        self.job.watch = None;
        self.upload = Upload::Pulled { remaining: None };
        self.job.settle.upgrade(head, &self.info);
        self.job.command.begin_stream();
        if let Some(sink) = self.job.settle.sink() {
            sink.pull(PULL_WINDOW);
        }
    }

    fn is_upgrade(&self, head: &ResponseHead, config: &ExchangeConfig) -> bool {
        let accepted = (200..300).contains(&head.status);
        match self.job.request.kind {
            RequestKind::Connect => accepted || config.connect_any_status,
            RequestKind::Upgrade => accepted,
            _ => false,
        }
    }

    // --- sending ---

    /// `100 Continue` or a final head was received, or the wait has expired.
    fn let_body_go(&mut self) {
        self.rules.release_body(&Moment::default());
        self.job.release_body();
    }

    /// Sends what is available of a pulled body, as far as the peer has room. Room, which all
    /// streams of the connection share, is reserved when there are bytes to send and released when
    /// there are none: the end of a body and its trailers need none.
    fn poll_upload(&mut self, cx: &mut Context<'_>, now: &Moment) -> Result<(), Error> {
        let Upload::Pulled { remaining } = &mut self.upload else {
            return Ok(());
        };
        let Some(stream) = &mut self.stream else {
            return Ok(());
        };
        let mut sent = false;
        while stream.is_sending() {
            let len = match self.unsent.len() {
                0 => self.job.command.next_len(),
                unsent => unsent,
            };
            if len > 0 {
                let room = match stream.poll_room(cx, len) {
                    Poll::Pending | Poll::Ready(0) => break,
                    Poll::Ready(room) => room,
                };
                if !self.unsent.is_empty() {
                    let piece = self.unsent.split_to(room.min(len));
                    let last = *remaining == Some(0) && self.unsent.is_empty();
                    stream.send(piece, last);
                    sent = true;
                    continue;
                }
            }
            match self.job.command.next_slice() {
                Slice::Wait => {
                    stream.leave_room();
                    break;
                }
                Slice::Failed(error) => return Err(error),
                Slice::Chunk(chunk) => {
                    if let Some(left) = remaining {
                        *left = left
                            .checked_sub(chunk.len() as u64)
                            .ok_or_else(length_mismatch)?;
                    }
                    self.unsent = chunk;
                }
                Slice::End => {
                    if remaining.is_some_and(|left| left > 0) {
                        return Err(length_mismatch());
                    }
                    let trailers = self.job.command.take_trailers().unwrap_or_default();
                    stream.send_trailers(&trailers)?;
                    sent = true;
                }
            }
        }
        if sent && self.rules.wrote(now) {
            self.job.report_written();
        }
        if sent && !stream.is_sending() {
            self.job.settle.body_sent();
        }
        if sent && self.is_upgraded() && self.unsent.is_empty() {
            // The peer has room for it: the next drive writes it, even before a reset.
            self.job.command.written();
        }
        self.job.ask();
        Ok(())
    }

    // --- deadlines ---

    fn check_deadlines(&mut self, cx: &Context<'_>, expired: bool) -> StreamStep {
        if !expired {
            return StreamStep::Wait;
        }
        let now = Moment::default();
        let passed = |at: Option<Instant>| at.is_some_and(|at| at <= now.now());
        if passed(self.rules.continue_deadline()) {
            self.let_body_go();
            cx.waker().wake_by_ref();
        }
        if !passed(self.rules.deadline()) {
            return StreamStep::Wait;
        }
        match self.rules.expire(self.job.is_starved(), &now) {
            Some((_, error)) => self.failed(error),
            None => StreamStep::Wait,
        }
    }
}
