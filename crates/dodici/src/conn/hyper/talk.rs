//! The conversation with hyper: all that it is told in place of what was said.
//!
//! hyper drives an exchange that is more than a head and a body in memory: it frames the body, holds it
//! for `100 Continue`, takes the response's body apart, and steps aside for an upgrade. It sees
//! neither the caller's head nor the peer's, so it can neither reorder nor misread them.
//!
//! | hyper says | the peer hears |
//! |---|---|
//! | a stub of a head ([`stub`]) | the caller's head, byte for byte |
//! | the body in its framing | the same |
//! | the last chunk | the last chunk with the caller's trailers |
//!
//! | the peer says | hyper hears |
//! |---|---|
//! | an informational head | nothing |
//! | the final head | the shortest head with the same framing ([`Guard::write_synthetic_head`]) |
//! | the body | the same |
//! | the last chunk and trailers | the last chunk, and no trailers |
//! | a head that makes a byte stream | nothing from there on |
//! | anything behind the response | nothing, and the connection ends |
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
use crate::conn::framing::{Guard, GuardEvent};
use crate::conn::rest::{Held, are_line_ends, unsolicited};

#[cfg(test)]
mod tests;

/// What hyper says next.
///
/// ```text
///   Nothing ──begin──▶ Head ──▶ Body
///   any ──the peer takes no more──▶ Unheard
/// ```
enum Saying {
    Nothing,
    /// Its stub, in place of which this goes.
    Head(Bytes),
    /// What goes as it is.
    Body,
    /// What nobody hears: a response may still come.
    Unheard,
}

/// What hyper hears next.
///
/// ```text
///   Nothing ─┬────────────────────▶ Head ──final head──▶ Body ──▶ LastChunk ──▶ End
///            └▶ Hushed ──it spoke──▶ │                     └────────────────────▶ End
///                                    └──upgrade──▶ Stream
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Hearing {
    /// No exchange has begun.
    Nothing,
    /// Nothing until it has spoken: on a new connection it would take what the server says before the
    /// first request is written for something that nobody asked for.
    Hushed,
    /// The final head.
    Head,
    /// Body bytes.
    Body,
    /// The end of a chunked body, once its trailers are there.
    LastChunk,
    /// Nothing more: the response is complete.
    End,
    /// Nothing more: the connection is a byte stream.
    Stream,
}

/// What came that hyper does not hear of, since [`Talk::news`] was asked last.
#[derive(Default)]
pub(crate) struct News {
    /// Informational heads, oldest first.
    pub(crate) informational: VecDeque<ResponseHead>,
    /// `100 Continue` came for a request that asked for it.
    pub(crate) continued: bool,
    /// Bytes were written.
    pub(crate) wrote: bool,
}

/// What goes to the wire for what hyper says.
pub(super) enum Said {
    /// The same.
    Itself,
    /// This head in place of the first so many bytes.
    Head(Bytes, usize),
    /// All of it waits in [`Talk::pending`].
    Pending,
}

/// See the module.
pub(super) struct Talk {
    pub(super) guard: Guard,
    saying: Saying,
    /// Bytes that must go to the wire before anything from hyper.
    pub(super) pending: Bytes,
    /// The request whose trailers may have to be written.
    upload: Option<Arc<Command>>,
    hearing: Hearing,
    /// Bytes that hyper shall hear before anything from the socket: a synthetic head and what came
    /// behind the real one.
    to_hyper: Bytes,
    /// Why the connection cannot go on.
    failure: Option<Ended>,
    pub(super) news: News,
    /// Bytes that came behind the head of an upgrade.
    pub(super) surplus: Vec<u8>,
}

impl Talk {
    pub(super) fn new(guard: Guard, hushed: bool) -> Self {
        Self {
            guard,
            saying: Saying::Nothing,
            pending: Bytes::new(),
            upload: None,
            hearing: if hushed {
                Hearing::Hushed
            } else {
                Hearing::Nothing
            },
            to_hyper: Bytes::new(),
            failure: None,
            news: News::default(),
            surplus: Vec::new(),
        }
    }

    /// Begins the exchange: `request`'s head takes the place of hyper's. What hyper is asked to send.
    pub(super) fn begin(
        &mut self,
        request: &Request,
        command: &Arc<Command>,
    ) -> http::Request<OutgoingBody> {
        let body = outgoing(request, command);
        self.guard.begin(request.kind, request.expect_continue);
        self.saying = Saying::Head(request.head.clone());
        let chunked = matches!(request.body, BodyKind::Chunked);
        self.upload = chunked.then(|| Arc::clone(command));
        self.hearing = self.hearing.max(Hearing::Hushed);
        if self.hearing != Hearing::Hushed {
            self.hearing = Hearing::Head;
        }
        stub(request.kind, body)
    }

    // --- where it stands ---

    pub(super) fn hearing(&self) -> Hearing {
        self.hearing
    }

    /// Whether the final head has come, for a body or as the end of all heads.
    pub(super) fn has_head(&self) -> bool {
        self.hearing >= Hearing::Body
    }

    /// Whether the rest of the response's body is to be read.
    pub(super) fn is_in_body(&self) -> bool {
        matches!(self.hearing, Hearing::Body | Hearing::LastChunk)
    }

    pub(super) fn phase(&self) -> Phase {
        if self.has_head() && self.hearing != Hearing::Stream {
            Phase::Body
        } else {
            Phase::Headers
        }
    }

    /// Whether hyper hears nothing more from the socket: the exchange takes over.
    pub(super) fn is_over(&self) -> bool {
        self.hearing == Hearing::Stream || self.failure.is_some()
    }

    pub(super) fn failure(&self) -> Option<&Ended> {
        self.failure.as_ref()
    }

    pub(super) fn take_failure(&mut self) -> Option<Ended> {
        self.failure.take()
    }

    /// The connection cannot go on. The first reason counts.
    pub(super) fn fail(&mut self, reason: CloseReason, error: Error) {
        self.failure.get_or_insert((reason, error));
    }

    /// What the conversation holds of the exchange.
    pub(super) fn held(&self) -> Held {
        let owes_trailers = |command: &Arc<Command>| command.has_trailers();
        Held {
            unwritten: matches!(self.saying, Saying::Head(_) | Saying::Unheard)
                || self.pending.has_remaining()
                || self.upload.as_ref().is_some_and(owes_trailers),
            unread: !self.guard.is_idle()
                || self.to_hyper.has_remaining()
                || self.failure.is_some(),
        }
    }

    // --- towards the wire ---

    /// hyper speaks. Whether it was hushed until now, and so must be made to listen again.
    pub(super) fn speaks(&mut self) -> bool {
        let hushed = self.hearing == Hearing::Hushed;
        if hushed {
            self.hearing = Hearing::Head;
        }
        hushed
    }

    /// The peer takes no more bytes.
    pub(super) fn close_ears(&mut self) {
        self.saying = Saying::Unheard;
        self.pending = Bytes::new();
    }

    pub(super) fn is_unheard(&self) -> bool {
        matches!(self.saying, Saying::Unheard)
    }

    /// What goes to the wire for these bytes of hyper's, all that are there.
    ///
    /// # Errors
    /// hyper writes in another way than is relied on here.
    pub(super) fn say(&mut self, bufs: &[IoSlice<'_>]) -> Result<Said, &'static str> {
        if let Some(trailers) = self
            .upload
            .as_ref()
            .and_then(|upload| upload.take_trailers())
        {
            self.upload = None;
            self.pending = self.with_trailers(&trailers, bufs)?;
            self.saying = Saying::Body;
            return Ok(Said::Pending);
        }
        let Saying::Head(head) = &self.saying else {
            return Ok(Said::Itself);
        };
        let first = bufs.iter().find(|buf| !buf.is_empty());
        let stub = first.and_then(|buf| stub_len(buf));
        stub.map(|stub| Said::Head(head.clone(), stub))
            .ok_or("hyper split its request head")
    }

    /// So many bytes left of `head` and what followed the stub of so many bytes. How many of hyper's
    /// bytes are taken care of.
    pub(super) fn head_left(&mut self, head: &Bytes, stub: usize, written: usize) -> usize {
        self.saying = Saying::Body;
        self.pending = head.slice(written.min(head.len())..);
        stub + written.saturating_sub(head.len())
    }

    /// hyper's bytes end with the last chunk, `0 CR LF CR LF`; the trailer fields go before its final
    /// CR LF. If the whole request is written at once they begin with its stub of a head.
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
        if let Saying::Head(head) = &self.saying {
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

    // --- towards hyper ---

    /// Bytes that hyper hears now, `most` of them, before anything from the socket.
    pub(super) fn take_waiting(&mut self, most: usize) -> Option<Bytes> {
        let waiting = self.to_hyper.len().min(most);
        (waiting > 0).then(|| self.to_hyper.split_to(waiting))
    }

    /// What came from the peer, in memory of hyper's: body bytes stay, a head is cut out and replaced
    /// by a synthetic one, trailers are cut out. Returns the length of the prefix that hyper hears
    /// now; what does not fit there waits for [`Talk::take_waiting`].
    ///
    /// # Errors
    /// What the guard refuses.
    pub(super) fn hear(&mut self, input: &mut [u8]) -> Result<usize, Error> {
        let mut at = 0;
        let mut synthetic = Vec::new();
        // Where the body's bytes start and end in this input.
        let mut body_start = 0;
        let mut body_end = (self.hearing == Hearing::LastChunk).then_some(0);
        let mut closing: &[u8] = b"";
        loop {
            let step = self.guard.feed(&input[at..])?;
            at += step.consumed;
            match step.event {
                GuardEvent::Data(_) => {}
                GuardEvent::NeedMore | GuardEvent::Idle => break,
                GuardEvent::Informational => {
                    let head = self.guard.head().clone();
                    self.news.informational.push_back(head);
                    body_start = at;
                }
                GuardEvent::Continue => {
                    self.news.continued = true;
                    body_start = at;
                }
                GuardEvent::Head => {
                    self.hearing = Hearing::Body;
                    self.guard.write_synthetic_head(&mut synthetic);
                    body_start = at;
                }
                GuardEvent::Upgrade => {
                    self.hearing = Hearing::Stream;
                    self.surplus.extend_from_slice(&input[at..]);
                    return Ok(0);
                }
                GuardEvent::LastChunk => {
                    self.hearing = Hearing::LastChunk;
                    body_end = Some(at);
                }
                GuardEvent::End => {
                    if self.hearing == Hearing::LastChunk {
                        // The empty line behind the last chunk, in place of the trailers.
                        closing = b"\r\n";
                    }
                    self.hearing = Hearing::End;
                    if !are_line_ends(&input[at..]) {
                        // More than the one message that was asked for.
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
        // The usual case: all of it fits where it came from.
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

    /// The end of the transport was the end of the response.
    pub(super) fn hear_end(&mut self) {
        self.hearing = Hearing::End;
    }

    /// Whether hyper hears the end of the stream where it reads nothing: it must not before what
    /// [`Talk::hear`] has left for it.
    pub(super) fn has_ended(&self) -> bool {
        self.hearing == Hearing::End && self.to_hyper.is_empty()
    }
}

/// The head that hyper writes, and nobody reads: it only tells hyper how to frame the body and whether
/// the response can have one.
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

/// The request's body as hyper takes it, held back where it waits for `100 Continue`.
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

/// Length of hyper's own request head in front of what it writes.
fn stub_len(written: &[u8]) -> Option<usize> {
    memmem::find(written, b"\r\n\r\n").map(|at| at + 4)
}
