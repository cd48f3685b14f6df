//! The rules of an exchange, whatever wire it runs over: where it stands, what it may wait for, how
//! much may come, and what the reader's credit means for its deadlines.
//!
//! [`Rules`] is a state machine without I/O, inlined in the exchange of each wire
//! (`origin::pipeline`, [`super::hyper`], [`super::h2`]). The wire tells it what happened and asks what
//! follows; it knows nothing of sockets, sinks or framing. Whether a request that was lost may be
//! sent again is in [`super::replay`].

use std::time::Duration;

use dodici_pool::{
    CloseReason, Error, ErrorKind, ExchangeConfig, HeaderBlock, Phase, Request, UnexpectedContinue,
};
use tokio::time::Instant;

use crate::clock::Moment;
use crate::conn::framing::Informational;
use crate::conn::h2::PROTOCOL_ERROR;

#[cfg(test)]
mod tests;

/// How long the rest of a request body may take over HTTP/2 once the response is complete. One second:
/// as much as a body waits for `100 Continue`.
const REST_OF_BODY: Duration = Duration::from_secs(1);

/// Where an exchange stands, seen from its answer. A wire takes the steps that it has.
///
/// ```text
///   Waits ──▶ Head ──1xx──▶ Informed ──final head──▶ Body ──complete──▶ Ending
///               └──────────────┴──final head──▶ Body
///               └──────────────┴──upgrade──▶ Stream ──the peer has ended its half──▶ OwnHalf
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// No answer is due: the request has no place on the wire yet, or others are answered first.
    #[default]
    Waits,
    /// The final head is due, and nothing of the answer was told.
    Head,
    /// The same behind an informational response.
    Informed,
    Body,
    /// The response is complete; the end of the request's body is waited for.
    Ending,
    /// A byte stream in both directions.
    Stream,
    /// A byte stream whose peer has ended its half, and whose caller may still write.
    OwnHalf,
}

/// Whose words a timeout is told in, and how early answers end: undici's clients differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Wire {
    #[default]
    Http1,
    Http2,
}

/// How much body the head has promised, where the wire's framing does not say it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Length {
    #[default]
    Any,
    /// The response has no body, whatever its fields say.
    Nothing,
    Exactly(u64),
}

/// A `100 Continue` that nobody asked for; see [`UnexpectedContinue::Await`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Unasked {
    /// It changes nothing.
    #[default]
    Ignored,
    /// The answer has so much time once one has come.
    Shortens(Duration),
    Came(Duration),
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    stage: Stage,
    wire: Wire,
    /// The reader takes nothing: its silence must not count as the peer's.
    stopped: bool,
    headers_timeout: Option<Duration>,
    unasked: Unasked,
    body_timeout: Option<Duration>,
    deadline: Option<Instant>,
    /// Until when the request body waits for `100 Continue`.
    consent: Option<Instant>,
    informational: Informational,
    length: Length,
    received: u64,
    max_response_size: Option<u64>,
}

impl Rules {
    /// No deadline runs before [`Rules::wait`] or [`Rules::begin`].
    pub(crate) fn new(wire: Wire, request: &Request, config: &ExchangeConfig) -> Self {
        let unasked = match config.unexpected_continue {
            UnexpectedContinue::Await(time) if wire == Wire::Http1 => Unasked::Shortens(time),
            _ => Unasked::Ignored,
        };
        let timeout = |request: Option<Duration>, default: Option<Duration>| {
            request.or(default).filter(|timeout| !timeout.is_zero())
        };
        Self {
            wire,
            headers_timeout: timeout(request.headers_timeout, config.headers_timeout),
            unasked,
            body_timeout: timeout(request.body_timeout, config.body_timeout),
            max_response_size: config.max_response_size,
            ..Self::default()
        }
    }

    // --- where it stands ---

    pub(crate) fn stage(&self) -> Stage {
        self.stage
    }

    /// Whether the final head has come.
    pub(crate) fn has_head(&self) -> bool {
        self.stage >= Stage::Body
    }

    /// Whether it is a byte stream now.
    pub(crate) fn is_stream(&self) -> bool {
        self.stage >= Stage::Stream
    }

    /// Whether something of the answer was told: it cannot be asked for again.
    pub(crate) fn is_told(&self) -> bool {
        self.stage >= Stage::Informed
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.stage {
            Stage::Waits | Stage::Head | Stage::Informed => Phase::Headers,
            Stage::Body | Stage::Ending => Phase::Body,
            Stage::Stream | Stage::OwnHalf => Phase::Upgraded,
        }
    }

    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    // --- what happened ---

    /// The request waits for its place on the wire; its head's time runs already.
    pub(crate) fn wait(&mut self, now: &Moment) {
        self.restart_head(now);
    }

    /// The answer is due from now on.
    pub(crate) fn begin(&mut self, now: &Moment) {
        self.stage = Stage::Head;
        self.restart_head(now);
    }

    /// The request body waits for `100 Continue`, no longer than this.
    pub(crate) fn hold_body(&mut self, timeout: Duration, now: &Moment) {
        self.consent = now.after(Some(timeout));
    }

    /// The request body goes: `100 Continue` came, or a final head, or the wait was long enough. Whether
    /// it waited.
    pub(crate) fn release_body(&mut self) -> bool {
        self.consent.take().is_some()
    }

    /// Bytes of the request went out. Whether the head is still due: its time starts anew then.
    pub(crate) fn wrote(&mut self, now: &Moment) -> bool {
        let due = matches!(self.stage, Stage::Head | Stage::Informed);
        if due {
            self.restart_head(now);
        }
        due
    }

    /// An informational response came. Whether the head's time is another one now, and starts anew.
    pub(crate) fn informational(&mut self, status: u16, now: &Moment) -> bool {
        self.stage = self.stage.max(Stage::Informed);
        match self.unasked {
            Unasked::Shortens(time) if status == 100 => {
                self.unasked = Unasked::Came(time);
                if !self.has_head() {
                    self.restart_head(now);
                }
                true
            }
            _ => false,
        }
    }

    /// Counts an informational response whose head no guard has read.
    ///
    /// # Errors
    /// There were too many, or too large ones.
    pub(crate) fn count_informational(&mut self, fields: &HeaderBlock) -> Result<(), Error> {
        self.informational.add_decoded(fields)
    }

    /// The final head came.
    pub(crate) fn head(&mut self, length: Length, now: &Moment) {
        self.stage = Stage::Body;
        self.length = length;
        self.restart_body(now);
    }

    /// So many bytes of the body came, which count although nobody takes them yet.
    ///
    /// # Errors
    /// They are more than the response may have.
    pub(crate) fn data(&mut self, bytes: usize, now: &Moment) -> Result<(), Error> {
        let bytes = bytes as u64;
        let allowed = self.allowed();
        self.received += bytes;
        if self.stage == Stage::Body && bytes > 0 {
            match self.length {
                Length::Nothing => return Err(unexpected_body()),
                Length::Exactly(length) if self.received > length => {
                    return Err(length_mismatch());
                }
                Length::Exactly(_) | Length::Any => {}
            }
            if bytes > allowed {
                return Err(too_large());
            }
        }
        if !self.stopped {
            self.restart_body(now);
        }
        Ok(())
    }

    /// Most bytes of a body.
    pub(super) fn max_response_size(&self) -> Option<u64> {
        self.max_response_size
    }

    /// Bytes of the body count when they have been decoded, and not here.
    pub(super) fn lift_max_response_size(&mut self) {
        self.max_response_size = None;
    }

    /// Bytes of the body that may still come.
    fn allowed(&self) -> u64 {
        self.max_response_size
            .map_or(u64::MAX, |max| max.saturating_sub(self.received))
    }

    /// How many of `room` bytes a read may bring of a body that goes on.
    ///
    /// # Errors
    /// None may: the response is larger than allowed.
    pub(crate) fn readable(&self, room: usize) -> Result<usize, Error> {
        match usize::try_from(self.allowed()).map_or(room, |allowed| allowed.min(room)) {
            0 => Err(too_large()),
            most => Ok(most),
        }
    }

    /// Whether bytes may be told to the reader, who `takes` some or has stopped. A reader that takes
    /// nothing makes no silent peer: the body's time starts anew when it goes on.
    pub(crate) fn tells(&mut self, takes: bool, now: &Moment) -> bool {
        if !takes {
            self.stopped = true;
            self.deadline = None;
        } else if std::mem::take(&mut self.stopped) {
            self.restart_body(now);
        }
        takes
    }

    /// The body is complete, as far as the wire's framing says.
    ///
    /// # Errors
    /// It is shorter than its head has said.
    pub(crate) fn check_length(&self) -> Result<(), Error> {
        match self.length {
            Length::Exactly(length) if length != self.received => Err(length_mismatch()),
            _ => Ok(()),
        }
    }

    /// The response is complete before its request's body is. Whether the rest of that is waited for.
    pub(crate) fn wait_for_rest(&mut self, config: &ExchangeConfig, now: &Moment) -> bool {
        let grace = match self.wire {
            Wire::Http1 => config.body_grace,
            Wire::Http2 => Some(REST_OF_BODY),
        };
        if grace.is_some() {
            self.stage = Stage::Ending;
            self.deadline = now.after(grace);
        }
        grace.is_some()
    }

    /// The connection, or the stream, is a byte stream from now on, on which no time runs.
    pub(crate) fn upgrade(&mut self) {
        self.stage = Stage::Stream;
        self.deadline = None;
        self.body_timeout = None;
    }

    /// The peer has ended its half of a byte stream.
    pub(crate) fn end_half(&mut self) {
        self.stage = Stage::OwnHalf;
    }

    // --- time ---

    /// When the answer, or the next part of it, must be there.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// When the request body goes without `100 Continue`.
    pub(crate) fn consent_deadline(&self) -> Option<Instant> {
        self.consent
    }

    /// The earlier of the two.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        [self.deadline, self.consent].into_iter().flatten().min()
    }

    /// How long the peer may be silent where the exchange stands.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        if self.has_head() {
            return self.body_timeout;
        }
        match self.unasked {
            Unasked::Came(time) => Some(self.headers_timeout.map_or(time, |most| most.min(time))),
            Unasked::Ignored | Unasked::Shortens(_) => self.headers_timeout,
        }
    }

    /// [`Rules::deadline`] has passed. What the exchange fails with; `None` where the caller was `slow`
    /// to deliver its request body, which makes no silent peer: the time starts anew.
    pub(crate) fn expire(&mut self, slow: bool, now: &Moment) -> Option<(CloseReason, Error)> {
        if slow && matches!(self.stage, Stage::Head | Stage::Informed) {
            self.restart_head(now);
            return None;
        }
        let timeout = self.timeout();
        let millis = timeout.unwrap_or_default().as_millis();
        let (kind, text) = if self.has_head() {
            let text = match self.wire {
                Wire::Http1 => "Body Timeout Error".into(),
                Wire::Http2 => format!("HTTP/2: \"stream timeout after {millis}\"").into(),
            };
            (ErrorKind::BodyTimeout, text)
        } else {
            if matches!(self.unasked, Unasked::Came(time) if Some(time) == timeout) {
                let error = Error::new(ErrorKind::Socket, Phase::Headers, "bad response");
                return Some((CloseReason::ProtocolError, error));
            }
            let text: std::borrow::Cow<'static, str> = match (self.wire, self.stage) {
                (Wire::Http1, _) => "Headers Timeout Error".into(),
                (Wire::Http2, Stage::Waits) => {
                    format!("HTTP/2: server did not accept a new stream within {millis}").into()
                }
                (Wire::Http2, _) => format!("HTTP/2: \"headers timeout after {millis}\"").into(),
            };
            (ErrorKind::HeadersTimeout, text)
        };
        let phase = self.phase();
        Some((CloseReason::Timeout, Error::new(kind, phase, text)))
    }

    fn restart_head(&mut self, now: &Moment) {
        self.deadline = now.after(self.timeout());
    }

    fn restart_body(&mut self, now: &Moment) {
        self.deadline = now.after(self.body_timeout);
    }

    // --- the caller ---

    /// The caller gave up.
    pub(crate) fn aborted(&self) -> Error {
        Error::new(ErrorKind::Aborted, self.phase(), "Request aborted")
    }
}

fn unexpected_body() -> Error {
    Error::new(
        ErrorKind::StreamReset(PROTOCOL_ERROR),
        Phase::Body,
        "HTTP/2: unexpected body in a response that cannot have one",
    )
}

fn length_mismatch() -> Error {
    Error::new(
        ErrorKind::ResponseContentLengthMismatch,
        Phase::Body,
        "Response body length does not match content-length header",
    )
}

fn too_large() -> Error {
    Error::new(
        ErrorKind::ResponseExceededMaxSize,
        Phase::Body,
        "Response content exceeded max size",
    )
}
