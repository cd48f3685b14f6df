//! The conversation with hyper: everything it writes and reads in place of what is on the wire.
//!
//! hyper drives exchanges that are more than a head and a body in memory: it frames the request body,
//! holds it for `100 Continue`, decodes the response body, and stops at an upgrade. It sees neither the
//! caller's head nor the peer's, so it cannot reorder or misread them.
//!
//! | hyper writes | the peer receives |
//! |---|---|
//! | the head of a [`stub`] request | the caller's head, byte for byte |
//! | the framed body | the same |
//! | the last chunk | the last chunk with the caller's trailers |
//!
//! | the peer sends | hyper reads |
//! |---|---|
//! | an informational head | nothing |
//! | the final head | the shortest head with the same framing ([`Guard::write_synthetic_head`]) |
//! | the body | the same |
//! | the last chunk and trailers | the last chunk without trailers |
//! | a head that starts a byte stream, and all after it | nothing |
//! | anything after the response | nothing; the connection ends |
//!
//! No I/O: [`super::link`] moves the bytes, [`super::HyperConn`] drives hyper.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use dodici_pool::{
    BodyKind, CloseReason, Error, HeaderBlock, Phase, Request, RequestKind, ResponseHead,
};
use http::header::{CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING};
use memchr::memmem;

use super::outgoing::OutgoingBody;
use crate::command::Command;
use crate::conn::eof::Ended;
use crate::conn::framing::{Framing, Guard, GuardEvent};
use crate::conn::rest::{Held, are_line_ends, unsolicited};

#[cfg(test)]
mod tests;

/// What hyper writes next.
///
/// ```text
///   Idle ──begin──▶ Head ──▶ Body
///   any ──a write fails──▶ Broken
/// ```
enum Outbound {
    Idle,
    /// Its stub head, which is replaced by this one.
    Head(Bytes),
    /// Bytes that are sent unchanged.
    Body,
    /// Bytes that are discarded: the peer takes no more, but may still respond.
    Broken,
}

/// What hyper reads next.
///
/// ```text
///   Idle ──▶ Head ──final head──▶ Body ─┬──────────────▶ End
///            ▲ └──upgrade──▶ Stream     └▶ LastChunk ──▶ End
///   Muted ───┘ hyper has written
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Inbound {
    /// No exchange has begun.
    Idle,
    /// Nothing before it has written: on a new connection, hyper would reject what the server sends
    /// before the first request as unsolicited.
    Muted,
    /// The final head.
    Head,
    /// Body bytes.
    Body,
    /// The end of a chunked body, once its trailers were received.
    LastChunk,
    /// Nothing more: the response is complete.
    End,
    /// Nothing more: the connection is a byte stream.
    Stream,
}

/// What hyper does not get to see, since [`Translator::seen`] was taken last.
#[derive(Default)]
pub(crate) struct Seen {
    /// Informational heads, oldest first.
    pub(crate) informational: VecDeque<ResponseHead>,
    /// The requested `100 Continue` was received.
    pub(crate) continued: bool,
    /// Bytes were written.
    pub(crate) wrote: bool,
}

/// What to send in place of what hyper writes.
pub(super) enum Write {
    /// The same bytes.
    AsIs,
    /// This head in place of the stub, which has this length.
    Head(Bytes, usize),
    /// Everything is in [`Translator::pending`].
    Pending,
}

/// See the module.
pub(super) struct Translator {
    pub(super) guard: Guard,
    outbound: Outbound,
    /// Bytes to send before anything else from hyper.
    pub(super) pending: Bytes,
    /// The request whose trailers may have to be written.
    upload: Option<Arc<Command>>,
    inbound: Inbound,
    /// The last byte read belongs to a chunk extension.
    in_extension: bool,
    /// Bytes for hyper to read before anything from the socket.
    to_hyper: Bytes,
    /// Why the connection cannot continue.
    failure: Option<Ended>,
    pub(super) seen: Seen,
    /// Bytes after the head of an upgrade.
    pub(super) surplus: Vec<u8>,
}

impl Translator {
    pub(super) fn new(guard: Guard, muted: bool) -> Self {
        Self {
            guard,
            outbound: Outbound::Idle,
            pending: Bytes::new(),
            upload: None,
            inbound: if muted { Inbound::Muted } else { Inbound::Idle },
            in_extension: false,
            to_hyper: Bytes::new(),
            failure: None,
            seen: Seen::default(),
            surplus: Vec::new(),
        }
    }

    /// Begins the exchange. Returns the stub request for hyper, whose head will be replaced by
    /// `request`'s.
    pub(super) fn begin(
        &mut self,
        request: &Request,
        command: &Arc<Command>,
    ) -> http::Request<OutgoingBody> {
        let body = outgoing(request, command);
        self.guard.begin(request.kind, request.expect_continue);
        self.outbound = Outbound::Head(request.head.clone());
        let chunked = matches!(request.body, BodyKind::Chunked);
        self.upload = chunked.then(|| Arc::clone(command));
        if self.inbound == Inbound::Idle {
            self.inbound = Inbound::Head;
        }
        stub(request.kind, body)
    }

    // --- state ---

    pub(super) fn inbound(&self) -> Inbound {
        self.inbound
    }

    /// Whether the final head was received.
    pub(super) fn has_head(&self) -> bool {
        self.inbound >= Inbound::Body
    }

    /// Whether the response body is incomplete.
    pub(super) fn is_in_body(&self) -> bool {
        matches!(self.inbound, Inbound::Body | Inbound::LastChunk)
    }

    pub(super) fn phase(&self) -> Phase {
        if self.has_head() && self.inbound != Inbound::Stream {
            Phase::Body
        } else {
            Phase::Headers
        }
    }

    /// Whether hyper reads nothing more, and the exchange takes over.
    pub(super) fn is_over(&self) -> bool {
        self.inbound == Inbound::Stream || self.failure.is_some()
    }

    pub(super) fn failure(&self) -> Option<&Ended> {
        self.failure.as_ref()
    }

    pub(super) fn take_failure(&mut self) -> Option<Ended> {
        self.failure.take()
    }

    /// The connection cannot continue. The first failure counts.
    pub(super) fn fail(&mut self, reason: CloseReason, error: Error) {
        self.failure.get_or_insert((reason, error));
    }

    /// What is still held of the exchange.
    pub(super) fn held(&self) -> Held {
        let owes_trailers = |command: &Arc<Command>| command.has_trailers();
        Held {
            unwritten: matches!(self.outbound, Outbound::Head(_) | Outbound::Broken)
                || self.pending.has_remaining()
                || self.upload.as_ref().is_some_and(owes_trailers),
            unread: !self.guard.is_idle()
                || self.to_hyper.has_remaining()
                || self.failure.is_some(),
        }
    }

    // --- from hyper to the wire ---

    /// hyper writes. Whether it was muted until now, and has to read again.
    pub(super) fn unmute(&mut self) -> bool {
        let muted = self.inbound == Inbound::Muted;
        if muted {
            self.inbound = Inbound::Head;
        }
        muted
    }

    /// The peer takes no more bytes.
    pub(super) fn break_off(&mut self) {
        self.outbound = Outbound::Broken;
        self.pending = Bytes::new();
    }

    pub(super) fn is_broken(&self) -> bool {
        matches!(self.outbound, Outbound::Broken)
    }

    /// What to send for all bytes that hyper writes at once.
    ///
    /// # Errors
    /// hyper wrote something unexpected.
    pub(super) fn write(&mut self, bufs: &[IoSlice<'_>]) -> Result<Write, &'static str> {
        if let Some(trailers) = self
            .upload
            .as_ref()
            .and_then(|upload| upload.take_trailers())
        {
            self.upload = None;
            self.pending = self.with_trailers(&trailers, bufs)?;
            self.outbound = Outbound::Body;
            return Ok(Write::Pending);
        }
        let Outbound::Head(head) = &self.outbound else {
            return Ok(Write::AsIs);
        };
        let first = bufs.iter().find(|buf| !buf.is_empty());
        let stub = first.and_then(|buf| stub_len(buf));
        stub.map(|stub| Write::Head(head.clone(), stub))
            .ok_or("hyper split its request head")
    }

    /// `written` bytes were sent of `head` and of what follows the stub. Returns how many of hyper's bytes
    /// that covers.
    pub(super) fn head_written(&mut self, head: &Bytes, stub: usize, written: usize) -> usize {
        self.outbound = Outbound::Body;
        self.pending = head.slice(written.min(head.len())..);
        stub + written.saturating_sub(head.len())
    }

    /// hyper's bytes end with the last chunk, `0 CR LF CR LF`; trailers are inserted before the final
    /// CR LF. If hyper writes the whole request at once, they begin with its stub head.
    fn with_trailers(
        &self,
        trailers: &HeaderBlock,
        bufs: &[IoSlice<'_>],
    ) -> Result<Bytes, &'static str> {
        let mut tail = Vec::new();
        for buf in bufs {
            tail.extend_from_slice(buf);
        }
        if !tail.ends_with(b"0\r\n\r\n") {
            return Err("hyper split its last chunk");
        }
        if let Outbound::Head(head) = &self.outbound {
            let stub = stub_len(&tail).ok_or("hyper split its request head")?;
            tail.splice(..stub, head.iter().copied());
        }
        tail.truncate(tail.len() - 2);
        for (name, value) in trailers.iter() {
            tail.extend_from_slice(name);
            tail.extend_from_slice(b": ");
            tail.extend_from_slice(value);
            tail.extend_from_slice(b"\r\n");
        }
        tail.extend_from_slice(b"\r\n");
        Ok(tail.into())
    }

    // --- from the wire to hyper ---

    /// Up to `most` bytes that hyper reads before anything from the socket.
    pub(super) fn take_buffered(&mut self, most: usize) -> Option<Bytes> {
        let len = self.to_hyper.len().min(most);
        (len > 0).then(|| self.to_hyper.split_to(len))
    }

    /// Translates in place what was received into hyper's buffer: body bytes stay, a head is replaced by
    /// a synthetic one, trailers are removed. Returns the length of the prefix that hyper reads; what
    /// does not fit is left for [`Translator::take_buffered`].
    ///
    /// # Errors
    /// What the guard rejects.
    pub(super) fn read(&mut self, input: &mut [u8]) -> Result<usize, Error> {
        let mut at = 0;
        let mut synthetic = Vec::new();
        // The range of body bytes in this input.
        let mut body_start = 0;
        let mut body_end = (self.inbound == Inbound::LastChunk).then_some(0);
        let mut closing: &[u8] = b"";
        loop {
            let step = self.guard.feed(&input[at..])?;
            if self.inbound == Inbound::Body && self.guard.framing() == Framing::Chunked {
                let line = match &step.event {
                    GuardEvent::Data(data) => data.start,
                    _ => step.consumed,
                };
                blank_extensions(&mut input[at..at + line], &mut self.in_extension);
            }
            at += step.consumed;
            match step.event {
                GuardEvent::Data(_) => {}
                GuardEvent::NeedMore | GuardEvent::Idle => break,
                GuardEvent::Informational => {
                    let head = self.guard.head().clone();
                    self.seen.informational.push_back(head);
                    body_start = at;
                }
                GuardEvent::Continue => {
                    self.seen.continued = true;
                    body_start = at;
                }
                GuardEvent::Head => {
                    self.inbound = Inbound::Body;
                    self.guard.write_synthetic_head(&mut synthetic);
                    body_start = at;
                }
                GuardEvent::Upgrade => {
                    self.inbound = Inbound::Stream;
                    self.surplus.extend_from_slice(&input[at..]);
                    return Ok(0);
                }
                GuardEvent::LastChunk => {
                    self.inbound = Inbound::LastChunk;
                    body_end = Some(at);
                }
                GuardEvent::End => {
                    if self.inbound == Inbound::LastChunk {
                        // The empty line after the last chunk, in place of the trailers.
                        closing = b"\r\n";
                    }
                    self.inbound = Inbound::End;
                    if !are_line_ends(&input[at..]) {
                        // More than the one response that was requested.
                        let (reason, error) = unsolicited();
                        self.fail(reason, error);
                    }
                    break;
                }
            }
        }
        if !self.has_head() {
            return Ok(0);
        }
        let body = body_start..body_end.unwrap_or(at);
        let before = synthetic.len();
        let visible = before + body.len();
        // Usually, everything fits in place.
        if before <= body_start && visible + closing.len() <= at {
            if before != body_start {
                input.copy_within(body, before);
            }
            input[..before].copy_from_slice(&synthetic);
            input[visible..visible + closing.len()].copy_from_slice(closing);
            return Ok(visible + closing.len());
        }
        synthetic.extend_from_slice(&input[body]);
        synthetic.extend_from_slice(closing);
        self.to_hyper = synthetic.into();
        Ok(0)
    }

    /// The response ended with the transport.
    pub(super) fn read_end(&mut self) {
        self.inbound = Inbound::End;
    }

    /// Whether hyper has read everything, so that an empty read means the end.
    pub(super) fn has_ended(&self) -> bool {
        self.inbound == Inbound::End && self.to_hyper.is_empty()
    }
}

/// Puts spaces in place of chunk extensions, which the guard has checked: hyper counts their bytes,
/// and accepts 16 KiB in a body, however long that is.
fn blank_extensions(line: &mut [u8], inside: &mut bool) {
    for byte in line {
        match byte {
            b';' => *inside = true,
            b'\r' => *inside = false,
            _ => {}
        }
        if *inside {
            *byte = b' ';
        }
    }
}

/// A request whose head is discarded: it tells hyper how to frame the body and whether the response can
/// have one.
fn stub(kind: RequestKind, body: OutgoingBody) -> http::Request<OutgoingBody> {
    let method = match (kind, &body) {
        (RequestKind::Head, _) => http::Method::HEAD,
        (_, OutgoingBody::Empty) => http::Method::GET,
        _ => http::Method::POST,
    };
    let framing = match &body {
        OutgoingBody::Pulled {
            remaining: None, ..
        } => Some((TRANSFER_ENCODING, HeaderValue::from_static("chunked"))),
        OutgoingBody::Full(Some(bytes)) => Some((CONTENT_LENGTH, HeaderValue::from(bytes.len()))),
        OutgoingBody::Pulled {
            remaining: Some(length),
            ..
        } => Some((CONTENT_LENGTH, HeaderValue::from(*length))),
        OutgoingBody::Empty | OutgoingBody::Full(None) => None,
    };
    let mut stub = http::Request::new(body);
    *stub.method_mut() = method;
    stub.headers_mut().extend(framing);
    stub
}

/// The request body for hyper, held where it waits for `100 Continue`.
fn outgoing(request: &Request, command: &Arc<Command>) -> OutgoingBody {
    let remaining = match &request.body {
        BodyKind::None | BodyKind::Sized(0) => return OutgoingBody::Empty,
        BodyKind::Full(bytes) if bytes.is_empty() => return OutgoingBody::Empty,
        BodyKind::Full(bytes) if !request.expect_continue => {
            return OutgoingBody::Full(Some(bytes.clone()));
        }
        BodyKind::Full(bytes) => Some(bytes.len() as u64),
        BodyKind::Sized(length) => Some(*length),
        BodyKind::Chunked => None,
    };
    if request.expect_continue {
        command.hold(match &request.body {
            BodyKind::Full(bytes) => Some(bytes.clone()),
            _ => None,
        });
    }
    OutgoingBody::Pulled {
        command: Arc::clone(command),
        remaining,
    }
}

/// Length of the stub head at the start of what hyper writes.
fn stub_len(written: &[u8]) -> Option<usize> {
    memmem::find(written, b"\r\n\r\n").map(|at| at + 4)
}
