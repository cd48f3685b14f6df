//! One exchange over one stream of an HTTP/2 connection.
//!
//! The counterpart of [`super::Exchange`] for a connection that carries many at once: the
//! connection's task (`origin::multiplex`) polls each exchange when its stream, its caller or its
//! deadline has something new. A failed exchange costs its stream, never the connection.

mod ends;
mod incoming;

use std::collections::VecDeque;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use dodici_pool::{
    BodyKind, Error, ErrorKind, ExchangeConfig, HeaderBlock, Phase, RequestId, RequestKind,
    ResponseHead,
};
use tokio::time::Instant;

use super::{Job, ask_first, override_timeout};
use crate::body::Pieces;
use crate::clock::after;
use crate::command::{Attention, PULL_WINDOW, Slice, length_mismatch};
use crate::conn::framing::Informational;
use crate::conn::h2::{H2Conn, H2Stream, NotOpened, Received, StreamFailure};
use crate::sink::ExchangeInfo;

/// How an exchange ended. The sink is not told yet.
pub(crate) enum StreamFinish {
    /// The response is complete, with these trailers.
    Done(HeaderBlock),
    /// It failed; nothing else on the connection did.
    Failed(Error),
    /// The peer has not processed the request: it can be sent again, or fail with this.
    Replay(Error),
    /// The byte stream that an upgrade left has ended. The sink knows.
    StreamEnded,
}

/// What [`StreamExchange::poll`] found.
pub(crate) enum StreamStep {
    Wait,
    /// The stream is about to become a byte stream: call [`StreamExchange::upgrade`].
    Upgrade,
    /// The caller asks for a look at the socket: drive the connection past the reactor, poll the
    /// exchange again, and say that it is done.
    Look,
    Finished(StreamFinish),
}

/// What is left of the request body.
enum Upload {
    Nothing,
    Pulled {
        /// Where its length was declared.
        remaining: Option<u64>,
    },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Waits for the final head.
    Head,
    Body,
    /// A byte stream in both directions.
    Stream,
    /// A byte stream whose peer has ended its half, and whose caller may still write.
    OwnHalf,
}

/// See the module.
pub(crate) struct StreamExchange {
    pub(crate) job: Box<Job>,
    pub(crate) request: RequestId,
    /// Its stream is known once there is one.
    pub(crate) info: ExchangeInfo,
    /// `None` until the connection has room for it.
    stream: Option<H2Stream>,
    part: Part,
    upload: Upload,
    /// The slice that is being sent, as far as the peer has had no room for it.
    unsent: Bytes,
    /// Length of the response's body as its head declares it.
    declared: Option<u64>,
    received: u64,
    /// The response has no body, whatever its fields say.
    bodiless: bool,
    informational: Informational,
    /// Received, and not told as long as more may be there.
    pieces: Pieces,
    /// Received before those, and more than the reader has room for: see [`Self::look_ahead`].
    waiting: VecDeque<Bytes>,
    /// What came behind them.
    ahead: Option<Result<Received, StreamFailure>>,
    /// The reader took nothing for a while; its silence must not count as the peer's.
    stopped: bool,
    headers_timeout: Option<Duration>,
    body_timeout: Option<Duration>,
    deadline: Option<Instant>,
    continue_deadline: Option<Instant>,
    /// The response is complete, with these trailers; the request body is not yet.
    ending: Option<HeaderBlock>,
}

impl StreamExchange {
    /// An exchange that waits for a stream; its headers timeout runs already.
    pub(crate) fn new(
        mut job: Box<Job>,
        request: RequestId,
        info: ExchangeInfo,
        config: &ExchangeConfig,
    ) -> Self {
        if job.request.kind == RequestKind::Upgrade && job.request.http1_upgrade {
            job.request.kind = RequestKind::Plain;
        }
        let headers_timeout = override_timeout(job.request.headers_timeout, config.headers_timeout);
        let body_timeout = override_timeout(job.request.body_timeout, config.body_timeout);
        Self {
            job,
            request,
            info,
            stream: None,
            part: Part::Head,
            upload: Upload::Nothing,
            unsent: Bytes::new(),
            declared: None,
            received: 0,
            bodiless: false,
            informational: Informational::default(),
            pieces: Pieces::default(),
            waiting: VecDeque::new(),
            ahead: None,
            stopped: false,
            headers_timeout,
            body_timeout,
            deadline: after(headers_timeout),
            continue_deadline: None,
            ending: None,
        }
    }

    /// Whether it has a stream.
    pub(crate) fn is_open(&self) -> bool {
        self.stream.is_some()
    }

    /// Whether it is a byte stream now.
    pub(crate) fn is_upgraded(&self) -> bool {
        matches!(self.part, Part::Stream | Part::OwnHalf)
    }

    /// When it wants to be polled at the latest.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match (self.deadline, self.continue_deadline) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    /// The timeout that [`StreamFinish::Failed`] reported, if it was one.
    pub(crate) fn current_timeout(&self) -> Option<Duration> {
        match self.part {
            Part::Head => self.headers_timeout,
            Part::Body | Part::Stream | Part::OwnHalf => self.body_timeout,
        }
    }

    /// Opens its stream and sends what is there of the request.
    ///
    /// # Errors
    /// See [`NotOpened`].
    pub(crate) fn open(
        &mut self,
        conn: &mut H2Conn,
        config: &ExchangeConfig,
    ) -> Result<(), NotOpened> {
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
        if let Some(full) = full {
            stream.send(full, !becomes_stream);
        }
        if !becomes_stream {
            self.upload = upload;
        }
        if is_pulled && request.expect_continue {
            let full = match &request.body {
                BodyKind::Full(bytes) => Some(bytes.clone()),
                _ => None,
            };
            self.job.command.hold(full);
            self.continue_deadline = after(Some(config.continue_timeout));
        } else if request.body.is_pulled()
            && let Some(sink) = self.job.settle.sink()
        {
            ask_first(sink, &self.job.command);
        }
        self.info.stream = stream.id();
        self.stream = Some(stream);
        self.deadline = after(self.headers_timeout);
        Ok(())
    }

    /// Brings the exchange forward. `expired`: its deadline may have passed. `lost`: why the
    /// connection has ended, after which nothing new will come.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        conn: &mut H2Conn,
        config: &ExchangeConfig,
        expired: bool,
        lost: Option<&Error>,
    ) -> StreamStep {
        let attention = self.job.command.attention();
        if attention == Attention::Look {
            return StreamStep::Look;
        }
        if attention == Attention::Cancelled {
            if self.is_upgraded() {
                // What was handed over before leaves: a last frame that says why must not be lost.
                let _flushed = self.poll_upload(cx);
            }
            return self.failed(Error::new(
                ErrorKind::Aborted,
                self.phase(),
                "Request aborted",
            ));
        }
        if let Some(error) = self.job.command.failure() {
            return self.failed(error);
        }
        if self.ending.is_some() {
            return self.poll_rest_of_body(cx, expired, lost.is_some());
        }
        if self.stream.is_none() {
            return match lost {
                Some(error) => self.replay(error.clone()),
                None => self.check_deadlines(cx, expired),
            };
        }
        if self.part == Part::OwnHalf {
            return self.poll_own_half(cx, conn, lost);
        }
        if let Err(error) = self.poll_upload(cx) {
            return self.failed(error);
        }
        self.poll_response(cx, conn, config, expired, lost)
    }

    /// Turns the exchange into a byte stream. `head` is the one that [`StreamStep::Upgrade`] came
    /// with. Poll it afterwards.
    pub(crate) fn upgrade(&mut self, head: &ResponseHead) {
        self.part = Part::Stream;
        self.deadline = None;
        self.body_timeout = None;
        self.upload = Upload::Pulled { remaining: None };
        if let Some(sink) = self.job.settle.sink() {
            sink.upgrade(head, &self.info);
        }
        self.job.command.begin_stream();
        if let Some(sink) = self.job.settle.sink() {
            sink.pull(PULL_WINDOW);
        }
    }

    fn phase(&self) -> Phase {
        match self.part {
            Part::Head => Phase::Headers,
            Part::Body => Phase::Body,
            Part::Stream | Part::OwnHalf => Phase::Upgraded,
        }
    }

    fn is_upgrade(&self, head: &ResponseHead) -> bool {
        matches!(
            self.job.request.kind,
            RequestKind::Connect | RequestKind::Upgrade
        ) && (200..300).contains(&head.status)
    }

    // --- what goes out ---

    /// `100 Continue` came, or a final head, or the wait was long enough.
    fn let_body_go(&mut self) {
        self.continue_deadline = None;
        if self.job.command.release_hold()
            && self.job.request.body.is_pulled()
            && let Some(sink) = self.job.settle.sink()
        {
            ask_first(sink, &self.job.command);
        }
    }

    /// Sends what there is of a pulled body, as far as the peer has room. Room, which all streams of
    /// the connection share, is asked for when there are bytes to send, and given back when there
    /// are none: the end of a body and its trailers need none.
    fn poll_upload(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
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
        if sent && self.part == Part::Head {
            self.deadline = after(self.headers_timeout);
            if let Some(sink) = self.job.settle.sink() {
                sink.written();
            }
        }
        if sent && self.is_upgraded() && self.unsent.is_empty() {
            // The peer has room for it: the next drive writes it, also that before a reset.
            self.job.command.written();
        }
        let pull = self.job.command.take_pull();
        if pull > 0
            && let Some(sink) = self.job.settle.sink()
        {
            sink.pull(pull);
        }
        Ok(())
    }

    // --- deadlines ---

    fn restart_body_deadline(&mut self) {
        self.deadline = after(self.body_timeout);
    }

    fn check_deadlines(&mut self, cx: &Context<'_>, expired: bool) -> StreamStep {
        if !expired {
            return StreamStep::Wait;
        }
        let now = Instant::now();
        let passed = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if passed(self.continue_deadline) {
            self.let_body_go();
            cx.waker().wake_by_ref();
        }
        if !passed(self.deadline) {
            return StreamStep::Wait;
        }
        if self.part == Part::Head {
            // A caller that is slow to deliver its body is not a silent server.
            if self.is_open() && self.job.request.body.is_pulled() && self.job.command.is_starved()
            {
                self.deadline = after(self.headers_timeout);
                return StreamStep::Wait;
            }
            let millis = self.headers_timeout.unwrap_or_default().as_millis();
            let message = if self.is_open() {
                format!("HTTP/2: \"headers timeout after {millis}\"")
            } else {
                format!("HTTP/2: server did not accept a new stream within {millis}")
            };
            return self.failed(Error::new(
                ErrorKind::HeadersTimeout,
                Phase::Headers,
                message,
            ));
        }
        let millis = self.body_timeout.unwrap_or_default().as_millis();
        self.failed(Error::new(
            ErrorKind::BodyTimeout,
            Phase::Body,
            format!("HTTP/2: \"stream timeout after {millis}\""),
        ))
    }
}

/// NO_ERROR (RFC 9113, section 7).
const NO_ERROR: u32 = 0;

/// PROTOCOL_ERROR (RFC 9113, section 7).
const PROTOCOL_ERROR: u32 = 1;
