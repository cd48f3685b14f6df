//! The rules of an exchange on any wire: its stage, its deadlines, the limits of its response, and
//! how the reader's credit affects the deadlines.
//!
//! [`Rules`] is a state machine without I/O, embedded in the exchange of each wire
//! (`origin::pipeline`, [`super::hyper`], [`super::multiplexed`]). The wire reports what happened and asks
//! what follows from it. Must not know sockets, sinks or framing. Whether a lost request may be
//! sent again is decided in [`super::job`].

use std::time::Duration;

use dodici_pool::{
    CloseReason, Error, ErrorKind, ExchangeConfig, HeaderBlock, Phase, Protocol, Request,
    SizeLimit, UnexpectedContinue,
};
use tokio::time::Instant;

use super::pace::Pace;
use crate::clock::Moment;
use crate::conn::framing::Informational;
use crate::decoding::too_large;

#[cfg(test)]
mod tests;

/// How long an HTTP/2 request body may continue after its response is complete. One second: as long
/// as a body waits for `100 Continue`.
const REST_OF_BODY: Duration = Duration::from_secs(1);

/// Stage of an exchange, in terms of its response. No wire goes through all of them.
///
/// ```text
///   Waits ──▶ Head ──1xx──▶ Informed ──final head──▶ Body ──complete──▶ Ending
///               └──────────────┴──final head──▶ Body
///               └──────────────┴──upgrade──▶ Stream ──the peer has ended its half──▶ OwnHalf
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// No response is due: the request is not on the wire yet, or earlier responses come first.
    #[default]
    Waits,
    /// The final head is due, and nothing of the response was delivered.
    Head,
    /// The final head is due, after an informational response.
    Informed,
    Body,
    /// The response is complete; the request body is not.
    Ending,
    /// A byte stream in both directions.
    Stream,
    /// A byte stream half-closed by the peer; the caller may still write.
    OwnHalf,
}

/// Selects the wording of timeouts and what an early response does, in which undici's HTTP/1.1 and
/// HTTP/2 clients differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Wire {
    #[default]
    Http1,
    /// HTTP/2.
    Http2,
    /// HTTP/3, with the rules of HTTP/2.
    Http3,
}

impl Wire {
    pub(crate) fn of(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Http2 => Self::Http2,
            Protocol::Http3 => Self::Http3,
            _ => Self::Http1,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Http1 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
            Self::Http3 => "HTTP/3",
        }
    }

    /// The error code of a stream on which the peer violated the protocol.
    fn malformed(self) -> u32 {
        match self {
            // PROTOCOL_ERROR (RFC 9113, section 7).
            Self::Http1 | Self::Http2 => 1,
            // H3_MESSAGE_ERROR (RFC 9114, section 8.1).
            Self::Http3 => 0x10e,
        }
    }
}

/// Body length declared by the head, where the wire's framing does not enforce it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Length {
    #[default]
    Any,
    /// The response has no body, whatever its fields say.
    Nothing,
    Exactly(u64),
}

/// Effect of an unrequested `100 Continue`; see [`UnexpectedContinue::Await`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Unasked {
    /// None.
    #[default]
    Ignored,
    /// It limits the wait for the final head to this.
    Limits(Duration),
    /// One was received: the wait is limited.
    Limited(Duration),
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    stage: Stage,
    wire: Wire,
    /// The reader is paused or out of credit, so the body timeout does not run.
    stopped: bool,
    headers_timeout: Option<Duration>,
    unasked: Unasked,
    body_timeout: Option<Duration>,
    deadline: Option<Instant>,
    /// Until when the request body waits for `100 Continue`.
    continue_deadline: Option<Instant>,
    informational: Informational,
    length: Length,
    size: SizeLimit,
    pace: Option<Pace>,
}

impl Rules {
    /// Rules for one exchange. No deadline runs before [`Rules::wait`] or [`Rules::begin`].
    pub(crate) fn new(wire: Wire, request: &Request, config: &ExchangeConfig) -> Self {
        let unasked = match config.unexpected_continue {
            UnexpectedContinue::Await(time) if wire == Wire::Http1 => Unasked::Limits(time),
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
            size: SizeLimit::new(config.max_response_size),
            pace: Pace::new(request.min_body_rate, config.min_body_rate),
            ..Self::default()
        }
    }

    // --- stage ---

    pub(crate) fn stage(&self) -> Stage {
        self.stage
    }

    /// Whether the final head was received.
    pub(crate) fn has_head(&self) -> bool {
        self.stage >= Stage::Body
    }

    /// Whether the exchange is a byte stream now.
    pub(crate) fn is_stream(&self) -> bool {
        self.stage >= Stage::Stream
    }

    /// Whether part of the response was delivered, so that the request cannot be repeated.
    pub(crate) fn has_delivered(&self) -> bool {
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
        self.size.received()
    }

    // --- events ---

    /// The request waits to be put on the wire; its headers timeout runs already.
    pub(crate) fn wait(&mut self, now: &Moment) {
        self.restart_head(now);
    }

    /// The response is due.
    pub(crate) fn begin(&mut self, now: &Moment) {
        self.stage = Stage::Head;
        self.restart_head(now);
    }

    /// The request body waits for `100 Continue`, at most this long.
    pub(crate) fn hold_body(&mut self, timeout: Duration, now: &Moment) {
        self.continue_deadline = now.after(Some(timeout));
        self.deadline = None;
    }

    /// The request body is released by a `100 Continue`, a final head or the deadline. Whether it
    /// was waiting.
    pub(crate) fn release_body(&mut self, now: &Moment) -> bool {
        let held = self.continue_deadline.take().is_some();
        if held && !self.has_head() {
            self.restart_head(now);
        }
        held
    }

    /// Bytes of the request were written. While the head is due, its timeout restarts; whether it
    /// did.
    pub(crate) fn wrote(&mut self, now: &Moment) -> bool {
        let due = matches!(self.stage, Stage::Head | Stage::Informed);
        if due {
            self.restart_head(now);
        }
        due
    }

    /// An informational response was received. Whether the headers timeout was shortened, and
    /// restarted.
    pub(crate) fn informational(&mut self, status: u16, now: &Moment) -> bool {
        self.stage = self.stage.max(Stage::Informed);
        match self.unasked {
            Unasked::Limits(time) if status == 100 => {
                self.unasked = Unasked::Limited(time);
                if !self.has_head() {
                    self.restart_head(now);
                }
                true
            }
            _ => false,
        }
    }

    /// Counts an informational response that no framing guard has read.
    ///
    /// # Errors
    /// Too many of them, or too large in total.
    pub(crate) fn count_informational(&mut self, fields: &HeaderBlock) -> Result<(), Error> {
        self.informational.add_decoded(fields)
    }

    /// The final head was received.
    pub(crate) fn head(&mut self, length: Length, now: &Moment) {
        self.stage = Stage::Body;
        self.length = length;
        self.restart_body(now);
        if let Some(pace) = &mut self.pace {
            pace.run(now);
        }
    }

    /// Body bytes were received, whether or not the reader takes them yet.
    ///
    /// # Errors
    /// More than declared, or more than the response may have.
    pub(crate) fn data(&mut self, bytes: usize, now: &Moment) -> Result<(), Error> {
        let bytes = bytes as u64;
        let fits = self.size.receive(bytes);
        if let Some(pace) = &mut self.pace {
            pace.received += bytes;
        }
        if self.stage == Stage::Body && bytes > 0 {
            match self.length {
                Length::Nothing => return Err(unexpected_body(self.wire)),
                Length::Exactly(length) if self.received() > length => {
                    return Err(length_mismatch());
                }
                Length::Exactly(_) | Length::Any => {}
            }
            if !fits {
                return Err(too_large());
            }
        }
        if !self.stopped {
            self.restart_body(now);
        }
        Ok(())
    }

    /// The limit of the body.
    pub(super) fn max_response_size(&self) -> Option<u64> {
        self.size.max
    }

    /// The body is decoded: decoding counts its bytes instead.
    pub(super) fn lift_max_response_size(&mut self) {
        self.size.max = None;
    }

    /// How much of `room` the next read of an unfinished body may fill.
    ///
    /// # Errors
    /// The response exceeds its limit.
    pub(crate) fn readable(&self, room: usize) -> Result<usize, Error> {
        match usize::try_from(self.size.allowed()).map_or(room, |allowed| allowed.min(room)) {
            0 => Err(too_large()),
            most => Ok(most),
        }
    }

    /// Whether body bytes may be delivered to a reader that `takes` them or not. While it does not,
    /// no body timeout runs; it restarts when delivery resumes.
    pub(crate) fn delivers(&mut self, takes: bool, now: &Moment) -> bool {
        if !takes {
            let runs = !std::mem::replace(&mut self.stopped, true);
            self.deadline = None;
            if let Some(pace) = self.pace.as_mut().filter(|_| runs) {
                pace.stop(now);
            }
        } else if std::mem::take(&mut self.stopped) {
            self.restart_body(now);
            if let Some(pace) = &mut self.pace {
                pace.run(now);
            }
        }
        takes
    }

    /// Checks a body that is complete according to the wire's framing.
    ///
    /// # Errors
    /// It is shorter than declared.
    pub(crate) fn check_length(&self) -> Result<(), Error> {
        match self.length {
            Length::Exactly(length) if length != self.received() => Err(length_mismatch()),
            _ => Ok(()),
        }
    }

    /// The response is complete before the request body. Whether the rest of the body is awaited.
    pub(crate) fn wait_for_rest(&mut self, config: &ExchangeConfig, now: &Moment) -> bool {
        let grace = match self.wire {
            Wire::Http1 => config.body_grace,
            Wire::Http2 | Wire::Http3 => Some(REST_OF_BODY),
        };
        if grace.is_some() {
            self.stage = Stage::Ending;
            self.pace = None;
            self.deadline = now.after(grace);
        }
        grace.is_some()
    }

    /// The connection or stream becomes a byte stream, which has no timeouts.
    pub(crate) fn upgrade(&mut self) {
        self.stage = Stage::Stream;
        self.deadline = None;
        self.body_timeout = None;
        self.pace = None;
    }

    /// The peer half-closed a byte stream.
    pub(crate) fn end_half(&mut self) {
        self.stage = Stage::OwnHalf;
    }

    // --- deadlines ---

    /// When the response, or its next part, is overdue.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let Some(measured) = self.pace.as_ref().and_then(Pace::deadline) else {
            return self.deadline;
        };
        Some(
            self.deadline
                .map_or(measured, |deadline| deadline.min(measured)),
        )
    }

    /// When the request body is sent without `100 Continue`.
    pub(crate) fn continue_deadline(&self) -> Option<Instant> {
        self.continue_deadline
    }

    /// The earlier of both deadlines.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        [self.deadline(), self.continue_deadline]
            .into_iter()
            .flatten()
            .min()
    }

    /// How long the peer may be silent at this stage.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        if self.has_head() {
            return self.body_timeout;
        }
        match self.unasked {
            Unasked::Limited(time) => {
                Some(self.headers_timeout.map_or(time, |most| most.min(time)))
            }
            Unasked::Ignored | Unasked::Limits(_) => self.headers_timeout,
        }
    }

    /// [`Rules::deadline`] has passed. What the exchange fails with; `None` if the timeout restarts
    /// because the caller is `starving` the wire: the peer cannot respond to a body it has not
    /// received. Also if the body has kept the minimum rate, which is then measured anew.
    pub(crate) fn expire(&mut self, starving: bool, now: &Moment) -> Option<(CloseReason, Error)> {
        if starving && matches!(self.stage, Stage::Head | Stage::Informed) {
            self.restart_head(now);
            return None;
        }
        if let Some(pace) = self.pace.as_mut().filter(|pace| pace.has_passed(now)) {
            return pace.judge(now);
        }
        let timeout = self.timeout();
        let millis = timeout.unwrap_or_default().as_millis();
        let (kind, text) = if self.has_head() {
            let text = match self.wire {
                Wire::Http1 => "Body Timeout Error".into(),
                wire => format!("{}: \"stream timeout after {millis}\"", wire.name()).into(),
            };
            (ErrorKind::BodyTimeout, text)
        } else {
            if matches!(self.unasked, Unasked::Limited(time) if Some(time) == timeout) {
                let error = Error::new(ErrorKind::Socket, Phase::Headers, "bad response");
                return Some((CloseReason::ProtocolError, error));
            }
            let text: std::borrow::Cow<'static, str> = match (self.wire, self.stage) {
                (Wire::Http1, _) => "Headers Timeout Error".into(),
                (wire, Stage::Waits) => {
                    let name = wire.name();
                    format!("{name}: server did not accept a new stream within {millis}").into()
                }
                (wire, _) => format!("{}: \"headers timeout after {millis}\"", wire.name()).into(),
            };
            (ErrorKind::HeadersTimeout, text)
        };
        let phase = self.phase();
        Some((CloseReason::Timeout, Error::new(kind, phase, text)))
    }

    /// The headers timeout; it does not run while the body waits for `100 Continue`.
    fn restart_head(&mut self, now: &Moment) {
        let runs = self.continue_deadline.is_none();
        self.deadline = now.after(self.timeout().filter(|_| runs));
    }

    fn restart_body(&mut self, now: &Moment) {
        self.deadline = now.after(self.body_timeout);
    }
}

fn unexpected_body(wire: Wire) -> Error {
    let message = format!(
        "{}: unexpected body in a response that cannot have one",
        wire.name()
    );
    Error::new(
        ErrorKind::StreamReset(wire.malformed()),
        Phase::Body,
        message,
    )
}

fn length_mismatch() -> Error {
    Error::new(
        ErrorKind::ResponseContentLengthMismatch,
        Phase::Body,
        "Response body length does not match content-length header",
    )
}
