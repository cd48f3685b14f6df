//! One request stream: the outgoing request and the incoming response. Polled by the exchange.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use dodici_pool::{Error, HeaderBlock, ResponseHead};
use parking_lot::Mutex;
use quinn_proto::{ReadError, StreamId, VarInt};

use super::frames::{Frames, Piece, kind};
use super::outgoing::Outgoing;
use super::qpack::Undecoded;
use super::shared::Shared;
use super::{Violation, code, head, varint};
use crate::conn::multiplexed::{MultiplexedStream, Received, StreamFailure};

/// Bytes taken from QUIC at a time. 64 KiB: a paused reader may hold as much beyond its window.
const READ: usize = 64 * 1024;

/// Pieces of a body are merged up to this length. 16 KiB: as long as the frames of HTTP/2.
const MERGED: usize = 16 * 1024;

/// Bytes of a body that one DATA frame takes. 64 KiB: a slice of a streamed body.
const DATA: usize = 64 * 1024;

/// What of the response is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Head,
    Body,
    /// Only the end: the trailers have arrived.
    End,
}

/// How the peer's side of a stream has ended.
#[derive(Clone, Copy, Debug)]
enum Ended {
    Complete,
    Reset(VarInt),
    /// Its GOAWAY says that it does not process the request.
    Unprocessed,
}

/// See the module.
pub(crate) struct H3Stream {
    shared: Arc<Mutex<Shared>>,
    id: StreamId,
    outgoing: Outgoing,
    /// The request body has not ended.
    sending: bool,
    /// Received, not parsed.
    chunks: VecDeque<Bytes>,
    frames: Frames,
    /// Parsed, not returned.
    next: Option<Piece>,
    /// Of a body, not returned while more of its frame may be about to arrive.
    joined: BytesMut,
    /// [`Shared::hold`]'s number, if that was called for what is in `joined`.
    held: Option<u64>,
    due: Due,
    trailers: Option<HeaderBlock>,
    ended: Option<Ended>,
    /// Nothing more is read.
    finished: bool,
    most_fields: usize,
    /// Opened before the handshake was complete.
    early: bool,
}

impl H3Stream {
    pub(super) fn new(
        shared: Arc<Mutex<Shared>>,
        id: StreamId,
        section: Vec<u8>,
        has_body: bool,
        most_fields: usize,
    ) -> Self {
        let mut outgoing = Outgoing::default();
        outgoing.push(frame_header(kind::HEADERS, section.len()));
        outgoing.push(section.into());
        outgoing.ends = !has_body;
        let mut stream = Self {
            shared,
            id,
            outgoing,
            sending: has_body,
            chunks: VecDeque::new(),
            frames: Frames::new(most_fields as u64),
            next: None,
            joined: BytesMut::new(),
            held: None,
            due: Due::Head,
            trailers: None,
            ended: None,
            finished: false,
            most_fields,
            early: false,
        };
        stream.early = stream.shared.lock().quic.is_early();
        stream.flush();
        stream
    }

    /// Whether QUIC has taken everything.
    fn flush(&mut self) -> bool {
        if self.outgoing.chunks.is_empty() && !self.outgoing.ends {
            return true;
        }
        let mut shared = self.shared.lock();
        shared.wake_driver();
        let flushed = self.outgoing.flush(&mut shared.quic.conn, self.id);
        self.sending &= self.outgoing.stopped.is_none();
        flushed
    }

    fn wake_later(&self, cx: &Context<'_>) {
        if let Some(waker) = self.shared.lock().wakers.get_mut(&self.id) {
            match waker {
                Some(waker) => waker.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
        }
    }

    /// The next event from the peer.
    pub(super) fn poll_next(
        &mut self,
        cx: &Context<'_>,
        head: &mut ResponseHead,
    ) -> Poll<Result<Received, StreamFailure>> {
        self.flush();
        if self.finished {
            return Poll::Pending;
        }
        loop {
            match self.next_piece() {
                Err(violation) => return self.violate(violation),
                Ok(Some(Piece::Data(data))) if self.due == Due::Body => {
                    if let Some(data) = self.join(data) {
                        return Poll::Ready(Ok(Received::Data(data)));
                    }
                    continue;
                }
                Ok(Some(piece)) => {
                    if piece != Piece::Idle
                        && let Some(data) = self.take_joined()
                    {
                        self.next = Some(piece);
                        return Poll::Ready(Ok(Received::Data(data)));
                    }
                    if let Some(received) = self.take(piece, head) {
                        return Poll::Ready(received);
                    }
                    continue;
                }
                Ok(None) => {}
            }
            if self.ended.is_none() && self.read() {
                continue;
            }
            if !self.is_held()
                && let Some(data) = self.take_joined()
            {
                return Poll::Ready(Ok(Received::Data(data)));
            }
            if let Some(ended) = self.ended {
                return self.end(ended);
            }
            self.wake_later(cx);
            return Poll::Pending;
        }
    }

    /// What QUIC has received. False if nothing.
    fn read(&mut self) -> bool {
        let mut shared = self.shared.lock();
        if self.sending
            && let Ok(Some(code)) = shared.quic.conn.send_stream(self.id).stopped()
        {
            self.outgoing.stop(&mut shared.quic.conn, self.id, code);
            self.sending = false;
            shared.wake_driver();
        }
        let first = shared.peer.goaway;
        let mut recv = shared.quic.conn.recv_stream(self.id);
        let Ok(mut chunks) = recv.read(true) else {
            return false;
        };
        let mut bytes = 0;
        while bytes < READ {
            match chunks.next(READ) {
                Ok(Some(chunk)) => {
                    bytes += chunk.bytes.len();
                    self.chunks.push_back(chunk.bytes);
                }
                Ok(None) => {
                    self.ended = Some(Ended::Complete);
                    break;
                }
                Err(ReadError::Reset(code)) => {
                    self.ended = Some(Ended::Reset(code));
                    break;
                }
                Err(ReadError::Blocked) => break,
            }
        }
        if chunks.finalize().should_transmit() {
            shared.wake_driver();
        }
        if bytes == 0
            && self.ended.is_none()
            && self.due == Due::Head
            && first.is_some_and(|first| u64::from(self.id) >= first)
        {
            self.ended = Some(Ended::Unprocessed);
        }
        bytes > 0 || self.ended.is_some()
    }

    fn next_piece(&mut self) -> Result<Option<Piece>, Violation> {
        if let Some(piece) = self.next.take() {
            return Ok(Some(piece));
        }
        while let Some(chunk) = self.chunks.front_mut() {
            if let Some(piece) = self.frames.next(chunk)? {
                return Ok(Some(piece));
            }
            self.chunks.pop_front();
        }
        Ok(None)
    }

    /// What a piece means; `None` if nothing.
    fn take(
        &mut self,
        piece: Piece,
        head: &mut ResponseHead,
    ) -> Option<Result<Received, StreamFailure>> {
        match (piece, self.due) {
            (Piece::Idle, _) => {
                let wasted = self.shared.lock().peer.waste();
                match wasted {
                    Ok(()) => None,
                    Err(violation) => Some(self.violation(violation)),
                }
            }
            (Piece::TooLong, _) => Some(self.malformed(TOO_LARGE)),
            (Piece::Fields(section), Due::Head) => {
                if let Err(why) = head::response(&section, self.most_fields, head) {
                    return Some(self.undecoded(why));
                }
                if head.status == TOO_EARLY && self.early {
                    return Some(self.wait_for_handshake());
                }
                if head.status < 200 {
                    return Some(Ok(Received::Informational));
                }
                self.due = Due::Body;
                Some(Ok(Received::Head))
            }
            (Piece::Fields(section), Due::Body) => {
                match head::trailers(&section, self.most_fields) {
                    Ok(trailers) => {
                        self.trailers = Some(trailers);
                        self.due = Due::End;
                        None
                    }
                    Err(why) => Some(self.undecoded(why)),
                }
            }
            (Piece::Data(_), Due::Head | Due::Body) => Some(self.violation(Violation::new(
                code::FRAME_UNEXPECTED,
                "DATA before a response",
            ))),
            (Piece::Data(_) | Piece::Fields(_), Due::End) => Some(self.violation(Violation::new(
                code::FRAME_UNEXPECTED,
                "a frame after the trailers",
            ))),
        }
    }

    /// Packets are small, and a server's connection carries those of many streams in turn: the
    /// pieces of a body are merged. Returns one that is large enough.
    fn join(&mut self, mut data: Bytes) -> Option<Bytes> {
        if self.joined.is_empty() {
            if data.len() >= MERGED / 2 {
                return Some(data);
            }
            self.joined.reserve(MERGED);
        }
        let room = MERGED - self.joined.len();
        self.joined
            .extend_from_slice(&data.split_to(room.min(data.len())));
        if self.joined.len() < MERGED {
            return None;
        }
        if !data.is_empty() {
            self.next = Some(Piece::Data(data));
        }
        self.take_joined()
    }

    fn take_joined(&mut self) -> Option<Bytes> {
        self.held = None;
        (!self.joined.is_empty()).then(|| self.joined.split().freeze())
    }

    /// Whether what is joined waits for more of its frame, as in HTTP/2, where a frame is delivered
    /// once it is complete, but not for long.
    fn is_held(&mut self) -> bool {
        if self.joined.is_empty() || self.ended.is_some() || !self.frames.is_inside_data() {
            return false;
        }
        let mut shared = self.shared.lock();
        let now = shared.released();
        let held = match self.held {
            Some(number) => number == now,
            None => shared.hold(self.id),
        };
        if held {
            self.held = Some(now);
        }
        held
    }

    fn end(&mut self, ended: Ended) -> Poll<Result<Received, StreamFailure>> {
        self.finished = true;
        let code = match ended {
            Ended::Complete => None,
            Ended::Reset(code) => Some(u32::try_from(code.into_inner()).unwrap_or(u32::MAX)),
            Ended::Unprocessed => {
                return Poll::Ready(Err(StreamFailure {
                    code: None,
                    refused: true,
                    message: "GOAWAY".into(),
                }));
            }
        };
        if code.is_some() {
            return Poll::Ready(Err(StreamFailure {
                code,
                refused: code == Some(code::REQUEST_REJECTED),
                message: "".into(),
            }));
        }
        if !self.frames.is_complete() {
            return self.violate(Violation::new(code::FRAME_ERROR, "a frame that is cut off"));
        }
        Poll::Ready(Ok(Received::End(self.trailers.take())))
    }

    /// The server wants the request again, but not in early data (RFC 8470, section 5.2).
    fn wait_for_handshake(&mut self) -> Result<Received, StreamFailure> {
        self.shared.lock().too_early = true;
        Err(StreamFailure {
            code: Some(code::REQUEST_REJECTED),
            refused: true,
            message: "HTTP/3: 425 Too Early".into(),
        })
    }

    fn undecoded(&mut self, why: Undecoded) -> Result<Received, StreamFailure> {
        match why {
            Undecoded::Invalid(violation) => self.violation(violation),
            Undecoded::TooLarge => self.malformed(TOO_LARGE),
            Undecoded::Refused(what) => self.malformed(what),
        }
    }

    /// The stream fails, and no other.
    fn malformed(&mut self, what: &'static str) -> Result<Received, StreamFailure> {
        self.reset(code::MESSAGE_ERROR);
        Err(StreamFailure {
            code: Some(code::MESSAGE_ERROR),
            refused: false,
            message: what.into(),
        })
    }

    /// The connection fails.
    fn violation(&mut self, violation: Violation) -> Result<Received, StreamFailure> {
        self.finished = true;
        self.shared.lock().fail(violation);
        Err(StreamFailure {
            code: None,
            refused: false,
            message: violation.what.into(),
        })
    }

    fn violate(&mut self, violation: Violation) -> Poll<Result<Received, StreamFailure>> {
        Poll::Ready(self.violation(violation))
    }
}

/// Status of a response to early data that the server does not want.
const TOO_EARLY: u16 = 425;

const TOO_LARGE: &str = "HTTP/3: fields larger than max_header_list_size";

fn frame_header(kind: u64, length: usize) -> Bytes {
    let mut out = Vec::with_capacity(9);
    varint::put(&mut out, kind);
    varint::put(&mut out, length as u64);
    out.into()
}

impl MultiplexedStream for H3Stream {
    fn id(&self) -> u32 {
        u64::from(self.id) as u32
    }

    fn release(&mut self, _held: usize, _room: usize, _most: usize) -> usize {
        0
    }

    fn release_from(&self, _room: usize, _most: usize) -> Option<usize> {
        None
    }

    fn is_sending(&self) -> bool {
        self.sending
    }

    fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<StreamFailure> {
        if let Some(code) = self.outgoing.stopped {
            return Poll::Ready(StreamFailure {
                code: Some(u32::try_from(code.into_inner()).unwrap_or(u32::MAX)),
                refused: false,
                message: "".into(),
            });
        }
        self.wake_later(cx);
        Poll::Pending
    }

    fn poll_room(&mut self, cx: &mut Context<'_>, wanted: usize) -> Poll<usize> {
        let flushed = self.flush();
        if !self.sending {
            return Poll::Ready(0);
        }
        if flushed {
            return Poll::Ready(wanted.min(DATA));
        }
        self.wake_later(cx);
        Poll::Pending
    }

    fn leave_room(&mut self) {}

    fn send(&mut self, chunk: Bytes, end: bool) {
        if !self.sending {
            return;
        }
        if !chunk.is_empty() {
            self.outgoing.push(frame_header(kind::DATA, chunk.len()));
            self.outgoing.push(chunk);
        }
        self.outgoing.ends = end;
        self.sending = !end;
        self.flush();
    }

    fn send_trailers(&mut self, trailers: &HeaderBlock) -> Result<(), Error> {
        if !trailers.is_empty() {
            let mut section = Vec::new();
            head::put_trailers(&mut section, trailers)?;
            if self.sending {
                self.outgoing
                    .push(frame_header(kind::HEADERS, section.len()));
                self.outgoing.push(section.into());
            }
        }
        self.send(Bytes::new(), true);
        Ok(())
    }

    fn reset(&mut self, code: u32) {
        let code = VarInt::from_u32(code);
        let mut shared = self.shared.lock();
        let conn = &mut shared.quic.conn;
        // Either side may have ended.
        let _ = conn.send_stream(self.id).reset(code);
        let _ = conn.recv_stream(self.id).stop(code);
        shared.resets += 1;
        shared.wake_driver();
        self.outgoing = Outgoing::default();
        self.sending = false;
        self.finished = true;
    }
}

impl Drop for H3Stream {
    fn drop(&mut self) {
        let ended = match self.ended {
            Some(ended) => !matches!(ended, Ended::Unprocessed),
            None => self.finished,
        };
        if self.sending || !ended {
            // What was not sent is not wanted any more, and what was not received neither.
            let mut shared = self.shared.lock();
            let code = VarInt::from_u32(code::REQUEST_CANCELLED);
            let conn = &mut shared.quic.conn;
            if self.sending || !self.outgoing.chunks.is_empty() {
                let _ = conn.send_stream(self.id).reset(code);
            }
            if !ended {
                let _ = conn.recv_stream(self.id).stop(code);
            }
            shared.resets += 1;
            shared.wake_driver();
            shared.forget(self.id);
            return;
        }
        let mut shared = self.shared.lock();
        if !self.outgoing.chunks.is_empty() || self.outgoing.ends {
            let outgoing = std::mem::take(&mut self.outgoing);
            shared.leftovers.insert(self.id, outgoing);
        }
        shared.forget(self.id);
    }
}
