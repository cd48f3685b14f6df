//! The framing guard: our strict HTTP/1 response decoder.
//!
//! A state machine without I/O between a connection's socket and the consumer of responses. It
//! preserves each head byte for byte and rejects every response that two parsers could frame
//! differently (RFC 9112, and stricter where llhttp or hyper is). It must not know sockets, hyper,
//! pools or time.
//!
//! Two owners:
//! - the adapter in front of hyper passes on [`Guard::write_synthetic_head`] instead of the head,
//!   and body bytes unchanged;
//! - the pipe uses the guard as its only decoder.
//!
//! # Order of calls
//! [`Guard::begin`] when a response is expected; then [`Guard::feed`] with the received bytes, and
//! repeatedly with the rest of them (even if it is empty), until it returns
//! [`GuardEvent::NeedMore`], [`GuardEvent::Idle`] or [`GuardEvent::Upgrade`]; [`Guard::eof`] when
//! the peer has closed its side and all bytes were fed. How the stream is split into inputs only
//! affects how [`GuardEvent::Data`] is split.
//!
//! ```
//! use dodici::framing::{Guard, GuardEvent, Limits};
//! use dodici_pool::{RequestKind, UnexpectedContinue};
//!
//! let mut guard = Guard::new(Limits::default(), UnexpectedContinue::Ignore);
//! guard.begin(RequestKind::Plain, false);
//! let mut input: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
//! let mut body = Vec::new();
//! loop {
//!     let step = guard.feed(input)?;
//!     match step.event {
//!         GuardEvent::Head => assert_eq!(guard.head().headers.get("content-length"), Some(&b"2"[..])),
//!         GuardEvent::Data(range) => body.extend_from_slice(&input[range]),
//!         GuardEvent::End => break,
//!         other => unreachable!("{other:?}"),
//!     }
//!     input = &input[step.consumed..];
//! }
//! assert_eq!(body, b"hi");
//! assert!(guard.keep_alive().reusable);
//! # Ok::<(), dodici_pool::Error>(())
//! ```

mod chunked;
mod event;
mod field;
mod head;
mod lenient;
mod limits;
mod line;
mod reject;
mod rules;
mod synthetic;
mod trailers;

use std::ops::Range;

use dodici_pool::{
    Error, ErrorKind, HeaderBlock, Leniency, ParseErrorCode, Phase, Replay, RequestKind,
    ResponseHead, UnexpectedContinue,
};

use self::chunked::{ChunkedReader, Found};
pub use self::event::{Framing, GuardEvent, KeepAlive, Step};
use self::head::HeadReader;
pub use self::limits::Limits;
pub(crate) use self::limits::{Informational, decoded_size};
use self::reject::{Reject, parse_error};
use self::rules::Delimiter;
pub(crate) use self::trailers::check_trailers;

/// The guard of one connection. See the [module](self) for the order of calls.
#[derive(Debug)]
pub struct Guard {
    limits: Limits,
    unexpected_continue: UnexpectedContinue,
    state: State,
    head: HeadReader,
    chunked: ChunkedReader,
    kind: RequestKind,
    expect_continue: bool,
    connect_any_status: bool,
    informational: Informational,
    /// An informational response announced a body, which it cannot have, or was forgiven: what
    /// follows it may be that body.
    suspicious: bool,
    framing: Framing,
    other_codings: bool,
    keep_alive: KeepAlive,
    body_received: u64,
}

/// ```text
///              begin                  1xx                 last byte           feed
///       Idle ────────▶ Head ◀──────────┐   ┌▶ Length ────────────┐
///        ▲              ├──────────────┘   ├▶ Chunked ───────────┼─▶ Complete ──▶ Idle
///        │              ├─ final response ─┼─────────────────────┘   (End)
///        │              │                  └▶ UntilClose ── eof (End) ──▶ Idle
///        │              └─ 101, 2xx to CONNECT ─▶ Upgraded
///        └── any refusal, from any state ─▶ Failed, which stays
/// ```
#[derive(Clone, Debug)]
enum State {
    Idle,
    Head,
    /// This many body bytes remain; never 0.
    Length(u64),
    Chunked,
    UntilClose,
    /// The message is complete and its [`GuardEvent::End`] not yet reported.
    Complete,
    Upgraded,
    Failed(Error),
}

impl Guard {
    /// An idle guard for a new connection. Does not allocate.
    pub fn new(limits: Limits, unexpected_continue: UnexpectedContinue) -> Self {
        Self {
            limits,
            unexpected_continue,
            state: State::Idle,
            head: HeadReader::new(),
            chunked: ChunkedReader::default(),
            kind: RequestKind::Plain,
            expect_continue: false,
            connect_any_status: false,
            informational: Informational::default(),
            suspicious: false,
            framing: Framing::None,
            other_codings: false,
            keep_alive: KeepAlive::default(),
            body_received: 0,
        }
    }

    /// Forgives these faults from the next head on.
    #[must_use]
    pub fn with_leniency(mut self, leniency: Leniency) -> Self {
        self.head.forgive(leniency);
        if leniency.doubtful_framing {
            self.chunked.forgive();
        }
        self
    }

    /// Whether any final answer to CONNECT is an upgrade, and not only a 2xx.
    #[must_use]
    pub fn with_connect_any_status(mut self, any: bool) -> Self {
        self.connect_any_status = any;
        self
    }

    /// Forgives no missing head: for an owner that discards unconsumed input.
    #[must_use]
    pub fn with_head_required(mut self) -> Self {
        self.head.insist();
        self
    }

    /// A request of this kind was written and its response comes next. `expect_continue` says
    /// that it carries `expect: 100-continue`.
    ///
    /// Call it only while idle ([`Guard::is_idle`]) and, after the first message, only if the
    /// connection is reusable. Otherwise it fails the guard: responses could no longer be told
    /// apart.
    pub fn begin(&mut self, kind: RequestKind, expect_continue: bool) {
        if !matches!(self.state, State::Idle) {
            if !matches!(self.state, State::Failed(_)) {
                let message = "framing guard: a response was begun inside another one";
                self.state = State::Failed(Error::new(ErrorKind::Internal, self.phase(), message));
            }
            return;
        }
        self.state = State::Head;
        self.head.start();
        self.chunked.clear_trailers();
        self.kind = kind;
        self.expect_continue = expect_continue;
        self.informational = Informational::default();
        self.suspicious = false;
        self.framing = Framing::None;
        self.other_codings = false;
        self.keep_alive = KeepAlive::default();
        self.body_received = 0;
    }

    /// Consumes a prefix of `input` and reports at most one event. If a missing head is forgiven,
    /// it may consume nothing and need more: the next call then starts with the same bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Parse`], [`ErrorKind::HeadersOverflow`], or [`ErrorKind::Socket`] for a
    /// response that does not match the request (`bad response`, `bad upgrade`). The connection is
    /// lost: the guard repeats the error from then on.
    pub fn feed(&mut self, input: &[u8]) -> Result<Step, Error> {
        let result = match &mut self.state {
            State::Head => self.feed_head(input),
            State::Length(left) => {
                let len = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
                *left -= len as u64;
                if *left == 0 {
                    self.state = State::Complete;
                }
                return Ok(self.data(0..len));
            }
            State::Chunked => self.feed_chunked(input),
            State::UntilClose => return Ok(self.data(0..input.len())),
            State::Complete => {
                self.state = State::Idle;
                return Ok(Step::nothing(GuardEvent::End));
            }
            State::Idle => return Ok(Step::nothing(GuardEvent::Idle)),
            State::Upgraded => return Ok(Step::nothing(GuardEvent::Upgrade)),
            State::Failed(error) => return Err(error.clone()),
        };
        result.map_err(|reject| self.fail(reject.into_error(self.phase())))
    }

    /// The peer closed its write side after the bytes fed so far. Call it only on a clean close: a
    /// reset, or TLS without `close_notify`, may have cut the response, and whether it counts as an
    /// end is the owner's decision.
    ///
    /// Answers [`GuardEvent::End`] if that completes the message (or it was complete and its end
    /// not yet reported), [`GuardEvent::Idle`] at rest, [`GuardEvent::Upgrade`] after an upgrade.
    ///
    /// # Errors
    /// Everywhere else, as undici: [`ErrorKind::Socket`] `other side closed`; but if the head said
    /// that the connection ends here, [`ErrorKind::ResponseContentLengthMismatch`] for a body with
    /// a length and [`ParseErrorCode::InvalidEofState`] for a chunked one. Before the first byte
    /// of a response the error allows a replay on a reused connection.
    pub fn eof(&mut self) -> Result<GuardEvent, Error> {
        let error = match &self.state {
            State::Idle => return Ok(GuardEvent::Idle),
            State::Upgraded => return Ok(GuardEvent::Upgrade),
            State::UntilClose | State::Complete => {
                self.state = State::Idle;
                return Ok(GuardEvent::End);
            }
            State::Failed(error) => return Err(error.clone()),
            State::Length(_) if !self.keep_alive.reusable => Error::new(
                ErrorKind::ResponseContentLengthMismatch,
                Phase::Body,
                "Response body length does not match content-length header",
            ),
            State::Chunked if !self.keep_alive.reusable => parse_error(
                ParseErrorCode::InvalidEofState,
                Phase::Body,
                "Invalid EOF state",
            ),
            State::Head | State::Length(_) | State::Chunked => {
                let untouched = matches!(self.state, State::Head)
                    && self.informational.is_none()
                    && self.head.section_len() == 0;
                Error::new(ErrorKind::Socket, self.phase(), "other side closed").with_replay(
                    if untouched {
                        Replay::IfIdempotentAndReused
                    } else {
                        Replay::Never
                    },
                )
            }
        };
        Err(self.fail(error))
    }

    /// The last complete head, informational ones included: valid after
    /// [`GuardEvent::Informational`], [`GuardEvent::Continue`], [`GuardEvent::Head`] and
    /// [`GuardEvent::Upgrade`] until the next head starts. Names, values, order and letter case
    /// are the peer's; white space around values is not kept.
    pub fn head(&self) -> &ResponseHead {
        self.head.head()
    }

    /// The trailer section, as the peer sent it: valid after [`GuardEvent::End`] until the next
    /// [`Guard::begin`].
    pub fn trailers(&self) -> &HeaderBlock {
        self.chunked.trailers()
    }

    /// As [`Guard::trailers`], for an owner that is about to go.
    pub fn take_trailers(&mut self) -> HeaderBlock {
        self.chunked.take_trailers()
    }

    /// How the current message's body is delimited; valid after [`GuardEvent::Head`].
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// Whether a transfer coding other than chunked was applied to the body, which is passed on
    /// coded; valid after [`GuardEvent::Head`].
    pub fn has_other_transfer_codings(&self) -> bool {
        self.other_codings
    }

    /// What the current message says about reuse; valid after [`GuardEvent::Head`] until the next
    /// [`Guard::begin`]. It is about the connection after the message's end, and is final there: a
    /// body whose framing had to be forgiven ends the connection.
    pub fn keep_alive(&self) -> KeepAlive {
        self.keep_alive
    }

    /// Appends a minimal HTTP/1.1 head with the status, framing and persistence of the current
    /// message and no other field. Valid after [`GuardEvent::Head`] and [`GuardEvent::Upgrade`].
    pub fn write_synthetic_head(&self, out: &mut Vec<u8>) {
        let status = self.head().status;
        if matches!(self.state, State::Upgraded) {
            synthetic::write_upgrade(out, status);
        } else {
            synthetic::write_response(out, status, self.framing, self.keep_alive.reusable);
        }
    }

    /// Whether no response is due.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle)
    }

    /// Body bytes of the current message so far, chunked coding removed.
    pub fn body_received(&self) -> u64 {
        self.body_received
    }

    fn feed_head(&mut self, input: &[u8]) -> Result<Step, Reject> {
        match self.head.is_missing(input) {
            Some(false) => {}
            None => return Ok(Step::nothing(GuardEvent::NeedMore)),
            Some(true) => {
                self.head.stand_in();
                return self.classify().map(Step::nothing);
            }
        }
        let (consumed, complete) = self.head.read(input, &self.limits)?;
        let event = if complete {
            self.classify()?
        } else {
            GuardEvent::NeedMore
        };
        Ok(Step { consumed, event })
    }

    /// Decides what a complete head is, given the request (RFC 9112, section 6.3).
    fn classify(&mut self) -> Result<GuardEvent, Reject> {
        match (self.head().status, self.kind) {
            (101, RequestKind::Upgrade) if self.head.fields().switches_protocol() => {
                self.state = State::Upgraded;
                Ok(GuardEvent::Upgrade)
            }
            (101, _) => Err(Reject::BadUpgrade),
            (100..200, _) => self.classify_informational(),
            (status, RequestKind::Connect)
                if self.connect_any_status || (200..300).contains(&status) =>
            {
                self.state = State::Upgraded;
                Ok(GuardEvent::Upgrade)
            }
            _ => {
                self.classify_final();
                Ok(GuardEvent::Head)
            }
        }
    }

    fn classify_informational(&mut self) -> Result<GuardEvent, Reject> {
        self.informational
            .add(self.head.section_len(), &self.limits)?;
        let fields = self.head.fields();
        self.suspicious |= fields.announce_body() || fields.forgave();
        if self.head().status != 100 {
            return Ok(GuardEvent::Informational);
        }
        if std::mem::take(&mut self.expect_continue) {
            return Ok(GuardEvent::Continue);
        }
        match self.unexpected_continue {
            UnexpectedContinue::Ignore | UnexpectedContinue::Await(_) => {
                Ok(GuardEvent::Informational)
            }
            UnexpectedContinue::Error => Err(Reject::BadResponse),
        }
    }

    fn classify_final(&mut self) {
        let head = self.head.head();
        let fields = self.head.fields();
        let status = head.status;
        let mut reusable = fields.persistent(head.version) && !self.suspicious;
        self.framing = if self.kind == RequestKind::Head || matches!(status, 204 | 304) {
            // The fields of a 304 and of a response to HEAD describe another response's body. On a
            // 204 they are wrong, and the body they announce may follow.
            if self.kind != RequestKind::Head && status == 204 && fields.announce_body() {
                reusable = false;
            }
            Framing::None
        } else {
            match fields.delimiter() {
                Delimiter::Length(length) => Framing::Length(length),
                Delimiter::Chunked { other_codings } => {
                    self.other_codings = other_codings;
                    Framing::Chunked
                }
                Delimiter::Close => Framing::UntilClose,
            }
        };
        reusable &= self.framing != Framing::UntilClose;
        self.keep_alive = KeepAlive {
            reusable,
            hint: fields.hint(),
        };
        self.state = match self.framing {
            Framing::None | Framing::Length(0) => State::Complete,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => {
                self.chunked.start();
                State::Chunked
            }
            Framing::UntilClose => State::UntilClose,
        };
    }

    fn feed_chunked(&mut self, input: &[u8]) -> Result<Step, Reject> {
        let (consumed, found) = self.chunked.read(input, &self.limits)?;
        if self.chunked.forgave() {
            self.keep_alive.reusable = false;
        }
        let event = match found {
            Found::Nothing => GuardEvent::NeedMore,
            Found::LastChunk => GuardEvent::LastChunk,
            Found::Data(range) => {
                self.body_received += range.len() as u64;
                GuardEvent::Data(range)
            }
            Found::End => {
                self.state = State::Idle;
                GuardEvent::End
            }
        };
        Ok(Step { consumed, event })
    }

    /// A step whose bytes are all body.
    fn data(&mut self, range: Range<usize>) -> Step {
        self.body_received += range.len() as u64;
        Step {
            consumed: range.end,
            event: if range.is_empty() {
                GuardEvent::NeedMore
            } else {
                GuardEvent::Data(range)
            },
        }
    }

    fn phase(&self) -> Phase {
        match self.state {
            State::Idle | State::Head => Phase::Headers,
            State::Length(_) | State::Chunked | State::UntilClose | State::Complete => Phase::Body,
            State::Upgraded => Phase::Upgraded,
            State::Failed(ref error) => error.phase(),
        }
    }

    fn fail(&mut self, error: Error) -> Error {
        self.state = State::Failed(error.clone());
        error
    }
}

#[cfg(test)]
mod tests;
