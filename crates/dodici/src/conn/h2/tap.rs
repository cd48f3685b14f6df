//! The tap: the byte stream between the socket and the h2 crate, parsing frame headers.
//!
//! h2 does not expose which streams were written or what a GOAWAY said, and accepts any number of
//! frames. The tap sees both directions: it knows the highest stream that may have reached the
//! peer, the last stream that the peer will process, and whether the peer stays within the frame
//! budget. Two things it keeps from h2, which would end the connection: DATA frames without a byte
//! (after a hundred), and fields that make a response malformed ([`super::cleanse`]). Used by
//! [`super::conn`] on one task; the lock exists because h2 owns the end that reads
//! and writes, and is never contended.

mod end;
#[cfg(test)]
mod tests;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use dodici_pool::SocketInfo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub(super) use self::end::TapIo;
use super::budget::FrameBudget;
use super::cleanse::cleanse;
use super::frames::{ACK, END_STREAM, Frame, FrameCursor, HEADER, Piece, Unit, kind};
use super::names::{Found, NameReader};
use crate::connect::{Probe, Transport};

/// Length of the client's connection preface (RFC 9113, section 3.4).
const PREFACE: u32 = 24;

/// ENHANCE_YOUR_CALM (RFC 9113, section 7).
const ENHANCE_YOUR_CALM: u32 = 0xb;

/// Pieces of 8 KiB still read from a peer that flooded us: what fits into the buffers of two
/// kernels, 8 MiB.
const DISCARDED: u32 = 1024;

/// Frames that h2 reads before their contents are consumed, so that a peer that sends faster than
/// we consume does not fill memory in between. 1,024: 16 MiB of large frames; for small ones, less
/// than a megabyte of h2's memory.
pub(super) const TURN: u32 = 1024;

/// Number of streams with forbidden fields not yet queried at which a peer counts
/// as flooding us. 1,000: as many as may be reset.
const MOST_FOREIGN: usize = 1000;

/// What was learned from the frames so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    /// Highest stream of which a byte may have been sent; 0 for none.
    pub(super) highest_sent: u32,
    /// Last stream that the peer will process, and the error code, from its latest GOAWAY.
    pub(super) goaway: Option<(u32, u32)>,
    /// The peer's SETTINGS have arrived.
    pub(super) settings: bool,
    /// Shortest time the peer took to acknowledge SETTINGS: a round trip, including any proxy.
    pub(super) round_trip: Option<Duration>,
    /// RST_STREAM frames written.
    pub(super) resets: u32,
    /// The peer has exceeded its frame budget.
    pub(super) flooded: bool,
    /// Some stream has fields that [`Tap::take_foreign`] reports.
    pub(super) foreign: bool,
    /// Some stream has fields that [`Tap::take_last_fields`] reports.
    pub(super) last_fields: bool,
    /// The peer has stored such a field where it can reuse it unnoticed.
    pub(super) foreign_kept: bool,
    /// The peer closed its side.
    pub(super) eof: bool,
}

/// See the module.
pub(super) struct Tap {
    transport: Transport,
    incoming: FrameCursor,
    outgoing: FrameCursor,
    budget: FrameBudget,
    pub(super) seen: Seen,
    /// A failed read or write: which, and its error.
    pub(super) failure: Option<(&'static str, io::Error)>,
    /// When the SETTINGS were sent that the peer has not acknowledged.
    settings_sent: Option<Instant>,
    bytes_read: u64,
    bytes_written: u64,
    /// Bytes of the complaint that were written.
    complained: usize,
    discarded: u32,
    /// Remaining bytes of a frame whose start h2 has.
    passing: usize,
    /// Read, but not judged yet: the start of a frame header, or of a block of fields.
    held: Vec<u8>,
    /// For h2, which had no room for it.
    given: Vec<u8>,
    /// Frames that may still be read in this [`TURN`].
    left: u32,
    names: NameReader,
    /// The stream of the fields being read.
    fields_of: u32,
    /// Streams on which the peer sent a request pseudo-header.
    foreign: Vec<u32>,
    /// Streams that ended with a block of fields, and the number of fields.
    last_fields: Vec<(u32, u32)>,
}

impl Tap {
    pub(super) fn new(transport: Transport) -> Self {
        Self {
            transport,
            incoming: FrameCursor::new(0),
            outgoing: FrameCursor::new(PREFACE),
            budget: FrameBudget::new(Instant::now()),
            seen: Seen::default(),
            failure: None,
            settings_sent: None,
            bytes_read: 0,
            bytes_written: 0,
            complained: 0,
            discarded: 0,
            passing: 0,
            held: Vec::new(),
            given: Vec::new(),
            left: TURN,
            names: NameReader::default(),
            fields_of: 0,
            foreign: Vec::new(),
            last_fields: Vec::new(),
        }
    }

    pub(super) fn socket_info(&self) -> SocketInfo {
        self.transport.socket_info(self.traffic())
    }

    /// Bytes received and sent so far.
    pub(super) fn traffic(&self) -> (u64, u64) {
        (self.bytes_read, self.bytes_written)
    }

    /// Checks what has reached this machine but was not read yet; see [`Transport::probe`].
    pub(super) fn probe(&mut self, cx: &mut Context<'_>) -> Probe {
        self.transport.probe(cx)
    }

    /// Sends a GOAWAY to a peer that exceeded its budget, and closes our side. Waits where the socket
    /// does: tokio's budget of the task may be spent just now.
    pub(super) fn poll_complain(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Inside one of our frames, the peer would read this as its payload.
        if self.outgoing.is_between_frames() {
            let mut frame = [0_u8; 17];
            frame[2] = 8;
            frame[3] = kind::GOAWAY;
            frame[13..].copy_from_slice(&ENHANCE_YOUR_CALM.to_be_bytes());
            while self.complained < frame.len() {
                let rest = &frame[self.complained..];
                match ready!(Pin::new(&mut self.transport).poll_write(cx, rest)) {
                    Ok(n) if n > 0 => self.complained += n,
                    _ => return Poll::Ready(()),
                }
            }
        }
        Pin::new(&mut self.transport).poll_shutdown(cx).map(drop)
    }

    /// Reads and discards, one piece at a time so that others get their turn. Ready when the peer
    /// has closed, or has sent [`DISCARDED`] more pieces.
    pub(super) fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut memory = [0; 8192];
        let mut buf = ReadBuf::new(&mut memory);
        let read = ready!(Pin::new(&mut self.transport).poll_read(cx, &mut buf));
        self.discarded += 1;
        if read.is_err() || buf.filled().is_empty() || self.discarded >= DISCARDED {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// h2 is about to read.
    pub(super) fn begin_turn(&mut self) {
        self.left = TURN;
    }

    /// This many bytes of fields were decoded from frames that were charged by their size on the
    /// wire.
    pub(super) fn decoded(&mut self, bytes: usize) {
        if !self.budget.decoded(bytes, Instant::now) {
            self.seen.flooded = true;
        }
    }

    /// Whether this stream contains a request pseudo-header; reported once.
    pub(super) fn take_foreign(&mut self, stream: u32) -> bool {
        let place = self.foreign.iter().position(|foreign| *foreign == stream);
        if let Some(place) = place {
            self.foreign.swap_remove(place);
        }
        self.seen.foreign = !self.foreign.is_empty();
        place.is_some()
    }

    /// Number of fields in the block that ended this stream, if one did; reported once.
    pub(super) fn take_last_fields(&mut self, stream: u32) -> Option<u32> {
        let place = self.last_fields.iter().position(|(of, _)| *of == stream)?;
        let (_, fields) = self.last_fields.swap_remove(place);
        self.seen.last_fields = !self.last_fields.is_empty();
        Some(fields)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.seen.flooded {
                return Poll::Ready(Err(flood()));
            }
            if self.left == 0 {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let before = buf.filled().len();
            if self.given.is_empty() {
                if let Err(error) = ready!(Pin::new(&mut self.transport).poll_read(cx, buf)) {
                    return Poll::Ready(Err(self.failed("read", error)));
                }
                self.sift(buf, before);
                if self.seen.flooded {
                    return Poll::Ready(Err(flood()));
                }
            }
            if !self.given.is_empty() {
                let fits = self.given.len().min(buf.remaining());
                buf.put_slice(&self.given[..fits]);
                self.given.drain(..fits);
            }
            // To h2, nothing would be the end.
            if buf.filled().len() > before || self.seen.eof {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Takes note of what was read, and keeps from h2 what is not for it: what is behind `before`
    /// stays, or something else is in `given`.
    fn sift(&mut self, buf: &mut ReadBuf<'_>, before: usize) {
        let bytes = &buf.filled()[before..];
        self.bytes_read += bytes.len() as u64;
        if bytes.is_empty() {
            // h2 reports a frame that was cut off.
            self.seen.eof = true;
            self.given = std::mem::take(&mut self.held);
        } else if self.held.is_empty() {
            if let Some(kept) = self.judge(bytes) {
                buf.set_filled(before + kept);
            }
        } else {
            let mut all = std::mem::take(&mut self.held);
            all.extend_from_slice(bytes);
            if let Some(kept) = self.judge(&all) {
                all.truncate(kept);
                all.append(&mut self.given);
            }
            self.given = all;
            buf.set_filled(before);
        }
    }

    /// Goes through bytes that h2 has not seen. `None` if it gets them as they are; otherwise it
    /// gets so many of them, and then what is in `given`.
    fn judge(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        let mut heard = 0;
        // What is before is in `given`, or is kept by the caller.
        let mut copied = 0;
        let mut kept = None;
        loop {
            let passed = self.passing.min(bytes.len() - at);
            self.passing -= passed;
            at += passed;
            match bytes
                .get(at..)
                .filter(|rest| !rest.is_empty())
                .map(Unit::of)
            {
                None => break,
                Some(Unit::Frame(size)) => self.passing = size,
                Some(Unit::Partial) => {
                    self.held.extend_from_slice(&bytes[at..]);
                    break;
                }
                // One of a stream that was never opened is for h2 to reject.
                Some(Unit::Empty(stream)) if stream == 0 || stream > self.seen.highest_sent => {
                    self.passing = HEADER;
                }
                Some(Unit::Empty(_)) => {
                    self.leave(&bytes[copied..at], &mut kept);
                    at += HEADER;
                    copied = at;
                }
                Some(Unit::Fields(size)) => {
                    let end = at + size;
                    let kept_before = self.seen.foreign_kept;
                    self.listen_to(&bytes[heard..end]);
                    heard = end;
                    if self.names.suspect
                        && let Some(frames) = cleanse(&bytes[at..end])
                    {
                        self.leave(&bytes[copied..at], &mut kept);
                        self.given.extend_from_slice(&frames);
                        copied = end;
                        // Where it is reused, h2 notices.
                        self.seen.foreign_kept = kept_before;
                    }
                    at = end;
                }
            }
        }
        self.listen_to(&bytes[heard..at]);
        if at < bytes.len() || kept.is_some() {
            self.leave(&bytes[copied..at], &mut kept);
        }
        kept
    }

    /// These bytes are for h2: the first of them stay where they are.
    fn leave(&mut self, bytes: &[u8], kept: &mut Option<usize>) {
        if kept.is_none() {
            *kept = Some(bytes.len());
        } else {
            self.given.extend_from_slice(bytes);
        }
    }

    /// Takes note of the frames in these bytes.
    fn listen_to(&mut self, bytes: &[u8]) {
        let Self {
            incoming,
            budget,
            seen,
            settings_sent,
            left,
            names,
            fields_of,
            foreign,
            last_fields,
            ..
        } = self;
        incoming.feed_pieces(bytes, |piece| {
            let frame = match piece {
                Piece::Frame(frame) => frame,
                Piece::Fields(bytes) => {
                    let before = names.repeated;
                    names.feed(bytes, |found| {
                        seen.foreign = true;
                        seen.foreign_kept |= found == Found::Kept;
                        if foreign.last() != Some(fields_of) {
                            foreign.push(*fields_of);
                        }
                        seen.flooded |= foreign.len() > MOST_FOREIGN;
                    });
                    let repeated = names.repeated - before;
                    seen.flooded |= !budget.repeated(repeated, Instant::now);
                    if let Some((of, fields)) = last_fields.last_mut()
                        && of == fields_of
                    {
                        *fields = names.fields;
                    }
                    return;
                }
            };
            if matches!(frame.kind, kind::HEADERS | kind::CONTINUATION) {
                *fields_of = frame.stream;
                names.begin(&frame);
            }
            if frame.kind == kind::HEADERS && frame.flags & END_STREAM != 0 {
                // Only one per stream, whatever the peer sends: there are no more than requests.
                last_fields.retain(|(of, _)| *of != frame.stream);
                if frame.stream <= seen.highest_sent {
                    last_fields.push((frame.stream, 0));
                    seen.last_fields = true;
                }
            }
            *left = left.saturating_sub(1);
            listen(&frame, seen);
            if frame.kind == kind::SETTINGS
                && frame.flags & ACK != 0
                && let Some(sent) = settings_sent.take()
            {
                let took = sent.elapsed();
                seen.round_trip = Some(seen.round_trip.map_or(took, |least| least.min(took)));
            }
            if !budget.received(&frame, Instant::now) {
                seen.flooded = true;
            }
        });
    }

    /// Records bytes that the socket accepted.
    fn wrote(&mut self, bytes: &[u8]) {
        self.bytes_written += bytes.len() as u64;
        let Self {
            outgoing,
            budget,
            seen,
            settings_sent,
            ..
        } = self;
        outgoing.feed(bytes, |frame| {
            budget.wrote(&frame);
            match frame.kind {
                kind::HEADERS => seen.highest_sent = seen.highest_sent.max(frame.stream),
                kind::RST_STREAM => seen.resets += 1,
                kind::SETTINGS if frame.flags & ACK == 0 => *settings_sent = Some(Instant::now()),
                _ => {}
            }
        });
    }

    fn failed(&mut self, syscall: &'static str, error: io::Error) -> io::Error {
        let copy = match error.raw_os_error() {
            Some(code) => io::Error::from_raw_os_error(code),
            None => io::Error::new(error.kind(), error.to_string()),
        };
        // TLS without close_notify counts as a close.
        if error.kind() == io::ErrorKind::UnexpectedEof {
            self.seen.eof = true;
        } else {
            self.failure.get_or_insert((syscall, copy));
        }
        error
    }
}

fn listen(frame: &Frame, seen: &mut Seen) {
    if frame.kind == kind::SETTINGS {
        seen.settings = true;
    }
    if let Some((last, code)) = frame.goaway {
        // A later GOAWAY must not raise it (RFC 9113, section 6.8).
        let last = seen.goaway.map_or(last, |(before, _)| before.min(last));
        seen.goaway = Some((last, code));
    }
}

fn flood() -> io::Error {
    io::Error::other("the peer sent too many frames")
}
