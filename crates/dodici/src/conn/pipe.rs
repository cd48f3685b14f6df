//! An HTTP/1.1 connection; its requests may share it in flight (pipelining, RFC 9112, section
//! 9.3.2).
//!
//! The framing guard is its only decoder, and requests are sent as they are: head bytes and a body
//! in memory. One write carries all available requests, one read all available responses. The
//! connection's task (`origin::pipeline`) knows which response is due and whom it is for; a request
//! that cannot be sent this way runs alone on a [`HyperConn`](super::HyperConn), over the same
//! transport.
//!
//! Large bodies of known length are read directly into the sink's memory if the sink offers some
//! ([`Sink::reads_in_place`](crate::Sink::reads_in_place)). The copy this saves is more than half
//! of the cost of a 64 KiB response.

mod direct;
mod output;

use std::io::{self, IoSlice};
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use dodici_pool::{
    CloseReason, Error, ExchangeConfig, HeaderBlock, Phase, Replay, RequestKind, ResponseHead,
};
use tokio::io::AsyncWrite;
use tokio_util::io::poll_read_buf;

use self::output::Output;
use super::eof::{Ended, Place, judge, socket_error};
use super::framing::{Framing, Guard, GuardEvent};
use super::guard;
use super::rest::{AtRest, Held, are_line_ends, closed, unsolicited};
use crate::connect::{Probe, Transport};
use crate::spare::{self, Spares};
use crate::tuning::{BACKLOG, COPIED_CHUNK, READ};

/// Bytes after the only or last chunk of a body: `\r\n0\r\n\r\n`.
const LAST_CHUNK: usize = 7;

/// Slices of one write.
const SLICES: usize = 16;

thread_local! {
    static SPARE: Spares = const { Spares::of(READ) };
}

/// Result of [`PipeConn::poll_next`].
pub(crate) enum Received {
    /// [`PipeConn::head`] is an informational response.
    Informational,
    /// [`PipeConn::head`] is the final head.
    Head,
    /// Body bytes.
    Data(Bytes),
    /// The response is complete; see [`PipeConn::trailers`] and [`PipeConn::reusable`].
    End,
}

/// See the module.
pub(crate) struct PipeConn {
    transport: Transport,
    guard: Guard,
    /// See [`Place`].
    abrupt_is_end: bool,
    input: BytesMut,
    output: Output,
    /// A previous response has ended, and nothing of the due one was received.
    between: bool,
    /// Part of the due response was received.
    touched: bool,
    bytes_read: u64,
    bytes_written: u64,
    /// Found after bytes that had to be delivered first.
    read_error: Option<io::Error>,
    write_error: Option<io::Error>,
    /// How many of the last bytes written may still be in the transport.
    unflushed: u64,
}

impl PipeConn {
    /// Takes over a connection at rest.
    pub(crate) fn new(rest: AtRest, config: &ExchangeConfig) -> Self {
        let AtRest { transport, traffic } = rest;
        let (bytes_read, bytes_written) = traffic;
        Self {
            transport,
            guard: guard(config),
            abrupt_is_end: config.abrupt_close_ends_body,
            input: BytesMut::new(),
            output: Output::default(),
            between: false,
            touched: false,
            bytes_read,
            bytes_written,
            read_error: None,
            write_error: None,
            unflushed: 0,
        }
    }

    /// Releases the connection for another use; `None` if it is not at rest.
    pub(crate) fn into_rest(self) -> Option<AtRest> {
        let held = Held {
            unwritten: self.left() < self.bytes_written + self.output.len
                || self.write_error.is_some(),
            unread: !self.guard.is_idle() || self.has_input() || self.read_error.is_some(),
        };
        let traffic = self.traffic();
        held.release(self.transport, traffic)
    }

    /// Bytes received and sent so far.
    pub(crate) fn traffic(&self) -> (u64, u64) {
        (self.bytes_read, self.bytes_written)
    }

    /// Adds the state of the socket to an error.
    pub(crate) fn describe(&self, error: Error) -> Error {
        error.with_socket(self.transport.socket_info(self.traffic()))
    }

    fn ended(&self, reason: CloseReason, error: Error) -> Ended {
        (reason, self.describe(error))
    }

    // --- at rest ---

    /// Watches the connection while no response is due. Ready when it can no longer be used.
    ///
    /// `fresh`: it has not carried a request, and bytes from the server answer the first one; see
    /// [`ExchangeConfig::early_response`].
    pub(crate) fn poll_rest(&mut self, cx: &mut Context<'_>, fresh: bool) -> Poll<Ended> {
        let behind = if fresh { None } else { self.refused_input() };
        loop {
            if fresh && self.input.len() >= READ {
                return Poll::Pending;
            }
            if !fresh && !are_line_ends(&self.input) {
                let (reason, error) = unsolicited();
                let error = behind.unwrap_or(error).with_replay(Replay::Unsent);
                return Poll::Ready(self.ended(reason, error));
            }
            if !fresh {
                self.input.clear();
            }
            let (reason, error) = match ready!(self.poll_fill(cx)) {
                Ok(0) => closed(None),
                Ok(_) => continue,
                Err(error) => closed(Some(&error)),
            };
            return Poll::Ready(self.ended(reason, error.with_replay(Replay::Unsent)));
        }
    }

    /// The parse error of bytes that followed the end of a response in the same read, if they are
    /// not a valid response. It is more informative than that they were unsolicited.
    fn refused_input(&mut self) -> Option<Error> {
        let ends = self.input.iter().take_while(|byte| is_line_end(**byte));
        let bytes = &self.input[ends.count()..];
        if bytes.is_empty() {
            return None;
        }
        self.guard.begin(RequestKind::Plain, false);
        self.guard.feed(bytes).err()
    }

    /// Checks, without waiting for the reactor, whether the connection may be used: nothing must
    /// have been received since it became idle, except on a `fresh` one.
    ///
    /// Pending only while the reactor has yet to report bytes that have arrived.
    pub(crate) fn poll_check(
        &mut self,
        cx: &mut Context<'_>,
        fresh: bool,
    ) -> Poll<Result<(), Ended>> {
        let mut probe = self.transport.probe(cx);
        if !fresh && (matches!(probe, Probe::Data) || !self.input.is_empty()) {
            if let Poll::Ready(ended) = self.poll_rest(cx, false) {
                return Poll::Ready(Err(ended));
            }
            // The reactor has not reported yet what this read did not return.
            probe = self.transport.probe(cx);
            if matches!(probe, Probe::Data) {
                return Poll::Pending;
            }
        }
        let (reason, error) = match probe {
            Probe::Clean | Probe::Data => return Poll::Ready(Ok(())),
            Probe::Closed(error) => closed(error.as_ref()),
        };
        Poll::Ready(Err(self.ended(reason, error)))
    }

    // --- towards the wire ---

    /// Takes a request for writing. Returns its place in the stream of sent bytes.
    pub(crate) fn push(&mut self, head: &Bytes, body: Option<&Bytes>) -> Range<u64> {
        let start = self.bytes_written + self.output.len;
        self.output.push(head);
        if let Some(body) = body {
            self.output.push(body);
        }
        start..self.bytes_written + self.output.len
    }

    /// Number of bytes written, on the scale of [`PipeConn::push`].
    pub(crate) fn written(&self) -> u64 {
        self.bytes_written
    }

    /// Number of them certainly sent: TLS may still buffer some.
    fn left(&self) -> u64 {
        self.bytes_written - self.unflushed
    }

    /// After a response has ended: the server's keep-alive hint if the connection can serve again.
    /// `end` is the end of the response's request; `last`: no other was written after it.
    pub(crate) fn reusable(&self, end: u64, last: bool) -> Result<Option<Duration>, CloseReason> {
        // If others follow, what TLS buffers is sent with them.
        let left = if last { self.left() } else { self.written() };
        let keep_alive = self.guard.keep_alive();
        // The request is still being sent, which ends the connection.
        if end > left || !keep_alive.reusable {
            return Err(CloseReason::NotReusable);
        }
        Ok(keep_alive.hint)
    }

    /// Whether the response that is due leaves the connection open. Valid from its head on.
    pub(crate) fn persists(&self) -> bool {
        self.guard.keep_alive().reusable
    }

    /// Whether no further request should be taken now.
    pub(crate) fn is_backlogged(&self) -> bool {
        self.output.len >= BACKLOG
    }

    /// Why the peer accepts no more bytes, if so. A response may still follow.
    pub(crate) fn write_failure(&self) -> Option<Ended> {
        let error = self.write_error.as_ref()?;
        let error = socket_error("write", Phase::Send, error).with_replay(Replay::Unsent);
        Some(self.ended(CloseReason::IoError, error))
    }

    /// Writes what the socket accepts. Whether it accepted any.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>) -> bool {
        self.output.seal();
        let before = self.bytes_written;
        while !self.output.slices.is_empty() && self.write_error.is_none() {
            let transport = Pin::new(&mut self.transport);
            let written = if self.output.slices.len() == 1 {
                transport.poll_write(cx, &self.output.slices[0])
            } else {
                let mut slices = [IoSlice::new(&[]); SLICES];
                let used = self.output.slices.len().min(SLICES);
                for (slice, bytes) in slices.iter_mut().zip(&self.output.slices) {
                    *slice = IoSlice::new(bytes);
                }
                transport.poll_write_vectored(cx, &slices[..used])
            };
            match written {
                Poll::Pending => return self.bytes_written > before,
                Poll::Ready(Ok(0)) => self.broken(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(written)) => {
                    self.bytes_written += written as u64;
                    self.output.advance(written);
                    self.unflushed += written as u64;
                }
                Poll::Ready(Err(error)) => self.broken(error),
            }
        }
        if self.unflushed > 0 && self.write_error.is_none() {
            match Pin::new(&mut self.transport).poll_flush(cx) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => self.unflushed = 0,
                Poll::Ready(Err(error)) => self.broken(error),
            }
        }
        self.bytes_written > before
    }

    fn broken(&mut self, error: io::Error) {
        self.write_error = Some(error);
        self.output.clear();
    }

    // --- from the wire ---

    /// The next response answers a request of this kind. Call it when the one before has ended.
    pub(crate) fn begin(&mut self, kind: RequestKind) {
        self.guard.begin(kind, false);
        self.touched = false;
    }

    /// Whether a byte of the response that was begun was read.
    pub(crate) fn is_touched(&self) -> bool {
        self.touched
    }

    /// Whether there are bytes of a response that was not begun.
    pub(crate) fn has_input(&self) -> bool {
        !are_line_ends(&self.input)
    }

    /// The next piece of the response that was begun; at most `room` bytes of its body. `room` is
    /// not 0.
    pub(crate) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        room: usize,
    ) -> Poll<Result<Received, Ended>> {
        loop {
            if self.between {
                // Some servers send an extra line end after a response, which llhttp skips.
                let ends = self.input.iter().take_while(|byte| is_line_end(**byte));
                let ends = ends.count();
                self.input.advance(ends);
                self.between = self.input.is_empty();
            }
            let limit = self.input.len().min(room);
            let step = match self.guard.feed(&self.input[..limit]) {
                Ok(step) => step,
                Err(error) => {
                    return Poll::Ready(Err(self.ended(CloseReason::ProtocolError, error)));
                }
            };
            self.touched |= step.consumed > 0;
            let received = match step.event {
                GuardEvent::Data(range) => {
                    self.input.advance(range.start);
                    let chunk = self.take(range.len());
                    self.input.advance(step.consumed - range.end);
                    let chunk = self.joined(chunk, room);
                    return Poll::Ready(Ok(Received::Data(chunk)));
                }
                GuardEvent::NeedMore => None,
                // Remaining input stays as it is: no response is due.
                GuardEvent::Idle | GuardEvent::Upgrade => return Poll::Pending,
                GuardEvent::LastChunk => {
                    self.input.advance(step.consumed);
                    continue;
                }
                GuardEvent::Informational | GuardEvent::Continue => Some(Received::Informational),
                GuardEvent::Head => Some(Received::Head),
                GuardEvent::End => {
                    self.between = true;
                    Some(Received::End)
                }
            };
            self.input.advance(step.consumed);
            if let Some(received) = received {
                return Poll::Ready(Ok(received));
            }
            if self.input.is_empty() || step.consumed == 0 {
                match ready!(self.poll_fill(cx)) {
                    Ok(0) => return Poll::Ready(self.eof(None)),
                    Ok(_) => {}
                    Err(error) => return Poll::Ready(self.eof(Some(&error))),
                }
            }
        }
    }

    /// Merges a small chunk with those after it from the same read: delivered one by one, each
    /// would cost as much as all together. At most `room` bytes.
    fn joined(&mut self, first: Bytes, room: usize) -> Bytes {
        if first.len() > COPIED_CHUNK
            || self.input.len() <= LAST_CHUNK
            || self.guard.framing() != Framing::Chunked
        {
            return first;
        }
        let mut joined = BytesMut::from(first);
        while joined.len() < room && !self.input.is_empty() {
            let limit = self.input.len().min(room - joined.len());
            // The guard repeats its error, and the end follows the last chunk.
            let Ok(step) = self.guard.feed(&self.input[..limit]) else {
                break;
            };
            let last = step.event == GuardEvent::LastChunk;
            if let GuardEvent::Data(range) = step.event {
                joined.extend_from_slice(&self.input[range]);
            }
            self.input.advance(step.consumed);
            if last {
                break;
            }
        }
        joined.freeze()
    }

    /// Splits the first bytes off the input.
    fn take(&mut self, len: usize) -> Bytes {
        if len <= COPIED_CHUNK {
            let chunk = Bytes::copy_from_slice(&self.input[..len]);
            self.input.advance(len);
            chunk
        } else {
            self.input.split_to(len).freeze()
        }
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.input.capacity() == 0 {
            self.input = spare::take(&SPARE);
        } else {
            self.input.reserve(READ);
        }
        let mut input = std::mem::take(&mut self.input);
        let read = self.poll_transport(cx, &mut input);
        if read.is_pending() && input.is_empty() {
            spare::give_back(&SPARE, input);
        } else {
            self.input = input;
        }
        read
    }

    fn poll_transport(
        &mut self,
        cx: &mut Context<'_>,
        memory: &mut impl BufMut,
    ) -> Poll<io::Result<usize>> {
        if let Some(error) = self.read_error.take() {
            return Poll::Ready(Err(error));
        }
        let read = ready!(poll_read_buf(Pin::new(&mut self.transport), cx, memory));
        if let Ok(read) = read {
            self.bytes_read += read as u64;
        }
        Poll::Ready(read)
    }

    /// The peer closed its side, or the socket failed.
    fn eof(&mut self, error: Option<&io::Error>) -> Result<Received, Ended> {
        let place = Place {
            phase: if self.guard.framing() == Framing::None {
                Phase::Headers
            } else {
                Phase::Body
            },
            replay: if self.touched {
                Replay::Never
            } else {
                Replay::IfIdempotentAndReused
            },
            abrupt_is_end: self.abrupt_is_end,
        };
        match judge(&mut self.guard, error, &place) {
            Ok(()) => Ok(Received::End),
            Err((reason, error)) => Err(self.ended(reason, error)),
        }
    }

    // --- what was read ---

    /// The last head.
    pub(crate) fn head(&self) -> &ResponseHead {
        self.guard.head()
    }

    /// Trailers of the completed response.
    pub(crate) fn trailers(&self) -> &HeaderBlock {
        self.guard.trailers()
    }
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}
