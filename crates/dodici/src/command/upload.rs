//! The request body, or the outgoing half of an upgraded stream, between caller and connection.
//!
//! Owned by [`Command`](super::Command), under its lock. The only waker here is that for the end of
//! sending.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Poll, Waker};

use bytes::Bytes;
use dodici_pool::{BodyKind, Error, ErrorKind, HeaderBlock, Phase};
use http::header::{CONTENT_LENGTH, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING};

use super::space::{Room, Space};
use crate::tuning::{LARGE_PULL_STEP, PULL_STEP, PULL_WINDOW};

/// See the module.
pub(super) struct Upload {
    chunks: VecDeque<Bytes>,
    tail: Tail,
    /// The body failed. Kept, so that no later attempt sends a part as the whole.
    error: Option<Error>,
    /// Bytes missing from a body of declared length.
    lacking: Option<u64>,
    begun: Begun,
    /// The body waits for `100 Continue`.
    held: bool,
    source: Source,
    flush: Flush,
    /// Bytes requested again; from [`PULL_WINDOW`] on there may be more [`Room`].
    first: u32,
    /// Consumed bytes that have not been requested again.
    owed: u32,
    /// The source of more room; `None` for a request that needs none.
    space: Option<Arc<Space>>,
    /// Room beyond [`PULL_WINDOW`], until the end has been handed to the connection.
    room: Option<Room>,
}

/// What follows the slices.
///
/// ```text
///   Open ──end──▶ End ──handed to the connection──▶ Taken
///     └──leave──▶ Left ──end──▶ End
/// ```
#[derive(Default)]
enum Tail {
    /// More slices, or the end.
    #[default]
    Open,
    /// Nothing: the caller will never deliver the missing bytes.
    Left,
    /// The end, with these trailers.
    End(HeaderBlock),
    /// The end, which the connection has taken.
    Taken(HeaderBlock),
}

/// The progress of a pulled body.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Begun {
    No,
    /// It was requested from the caller.
    Asked,
    /// A slice was handed to a connection: the body cannot be sent again.
    Touched,
}

/// Whether everything handed over has been sent, for the writer of an upgraded stream.
enum Flush {
    Done,
    /// Not yet; the waker that waits for it.
    Due(Option<Waker>),
}

/// What the caller's slices are part of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Source {
    /// The request has no pulled body: nothing, or an upgraded stream.
    #[default]
    NoBody,
    /// The request body, which the caller has not ended.
    Body,
    /// The request body was ended.
    BodyEnded,
    /// An upgraded stream that began before the caller ended the request body: its next end is
    /// still the body's.
    StreamInBody,
    /// An upgraded stream.
    Stream,
}

/// The next piece of a request body.
pub(crate) enum Slice {
    Wait,
    Chunk(Bytes),
    End,
    Failed(Error),
}

impl Upload {
    pub(super) fn new(body: &BodyKind, space: Option<Arc<Space>>) -> Self {
        Self {
            chunks: VecDeque::new(),
            tail: Tail::Open,
            error: None,
            lacking: match body {
                BodyKind::Sized(length) => Some(*length),
                BodyKind::None | BodyKind::Full(_) | BodyKind::Chunked => None,
            },
            begun: Begun::No,
            held: false,
            source: if body.is_pulled() {
                Source::Body
            } else {
                Source::NoBody
            },
            flush: Flush::Done,
            first: 0,
            owed: 0,
            space,
            room: None,
        }
    }

    // --- the caller's side ---

    pub(super) fn chunk(&mut self, chunk: Bytes) {
        if let Some(lacking) = &mut self.lacking {
            match lacking.checked_sub(chunk.len() as u64) {
                Some(rest) => *lacking = rest,
                None => return self.fail(length_mismatch()),
            }
        }
        self.owe_flush();
        self.chunks.push_back(chunk);
    }

    pub(super) fn end(&mut self, trailers: HeaderBlock) {
        if self.lacking.is_some_and(|lacking| lacking > 0) {
            self.fail(length_mismatch());
        }
        if let Some(what) = fault_in(&trailers) {
            self.fail(Error::new(ErrorKind::InvalidRequest, Phase::Send, what));
        }
        match self.source {
            Source::StreamInBody => {
                self.source = Source::Stream;
                return;
            }
            Source::Body => self.source = Source::BodyEnded,
            Source::NoBody | Source::BodyEnded | Source::Stream => {}
        }
        self.owe_flush();
        self.tail = Tail::End(trailers);
    }

    pub(super) fn leave(&mut self) {
        if matches!(self.tail, Tail::Open) {
            self.tail = Tail::Left;
        }
    }

    pub(super) fn fail(&mut self, error: Error) {
        self.error.get_or_insert(error);
    }

    fn owe_flush(&mut self) {
        if matches!(self.flush, Flush::Done) {
            self.flush = Flush::Due(None);
        }
    }

    pub(super) fn poll_written(&mut self, waker: &Waker) -> Poll<()> {
        match &mut self.flush {
            Flush::Done => Poll::Ready(()),
            Flush::Due(flusher) => {
                *flusher = Some(waker.clone());
                Poll::Pending
            }
        }
    }

    // --- the connection's side ---

    pub(super) fn hold(&mut self, full: Option<Bytes>) {
        self.held = true;
        if let Some(full) = full {
            // A request written a second time has its body again.
            self.chunks.clear();
            self.chunks.push_back(full);
            self.tail = Tail::End(HeaderBlock::new());
        }
    }

    pub(super) fn release_hold(&mut self) -> bool {
        std::mem::take(&mut self.held)
    }

    pub(super) fn next_len(&self) -> usize {
        match self.chunks.front() {
            Some(chunk) if !self.held => chunk.len(),
            _ => 0,
        }
    }

    pub(super) fn failure(&self) -> Option<Error> {
        self.error.clone()
    }

    pub(super) fn first_pull(&mut self) -> u32 {
        if self.begun == Begun::No {
            self.begun = Begun::Asked;
            return PULL_WINDOW;
        }
        0
    }

    pub(super) fn begin_stream(&mut self) {
        self.lacking = None;
        self.source = match self.source {
            Source::Body => Source::StreamInBody,
            Source::BodyEnded => {
                self.tail = Tail::Open;
                Source::Stream
            }
            other => other,
        };
    }

    pub(super) fn next_slice(&mut self) -> Slice {
        if let Some(error) = &self.error {
            return Slice::Failed(error.clone());
        }
        if self.held {
            return Slice::Wait;
        }
        if let Some(chunk) = self.chunks.pop_front() {
            self.begun = Begun::Touched;
            self.owed = self.owed.saturating_add(chunk.len() as u32);
            return Slice::Chunk(chunk);
        }
        match &mut self.tail {
            Tail::Open | Tail::Left => return Slice::Wait,
            Tail::End(trailers) => self.tail = Tail::Taken(std::mem::take(trailers)),
            Tail::Taken(_) => {}
        }
        self.room = None;
        Slice::End
    }

    /// All slices taken so far have been sent. Returns the waker that waits for this.
    pub(super) fn written(&mut self) -> Option<Waker> {
        if !self.chunks.is_empty() || matches!(self.tail, Tail::End(_)) {
            return None;
        }
        match std::mem::replace(&mut self.flush, Flush::Done) {
            Flush::Due(flusher) => flusher,
            Flush::Done => None,
        }
    }

    pub(super) fn take_pull(&mut self) -> u32 {
        let step = match self.room {
            Some(_) => LARGE_PULL_STEP,
            None => PULL_STEP,
        };
        let ask = matches!(self.tail, Tail::Open)
            && (self.owed >= step || (self.owed > 0 && self.chunks.is_empty()));
        if !ask {
            return 0;
        }
        let owed = std::mem::take(&mut self.owed);
        self.first = self.first.saturating_add(owed);
        if self.first >= PULL_WINDOW && self.room.is_none() {
            self.room = self.space.as_ref().and_then(Space::take);
            return owed + self.room.as_ref().map_or(0, |room| room.bytes);
        }
        owed
    }

    pub(super) fn is_untouched(&self) -> bool {
        self.begun != Begun::Touched
    }

    pub(super) fn is_starved(&self) -> bool {
        self.held || (self.chunks.is_empty() && matches!(self.tail, Tail::Open))
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(self.tail, Tail::Taken(_))
    }

    pub(super) fn has_trailers(&self) -> bool {
        match &self.tail {
            Tail::End(trailers) | Tail::Taken(trailers) => !trailers.is_empty(),
            Tail::Open | Tail::Left => false,
        }
    }

    pub(super) fn take_trailers(&mut self) -> Option<HeaderBlock> {
        match &mut self.tail {
            Tail::Taken(trailers) if !trailers.is_empty() => {
                self.begun = Begun::Touched;
                Some(std::mem::take(trailers))
            }
            _ => None,
        }
    }
}

/// The error of a request body whose length is not the declared one.
pub(crate) fn length_mismatch() -> Error {
    Error::new(
        ErrorKind::RequestContentLengthMismatch,
        Phase::Send,
        "Request body length does not match content-length header",
    )
}

/// Why trailers cannot be sent: an invalid name or value, or a field that is not allowed in
/// trailers (RFC 9110, section 6.5.1).
fn fault_in(trailers: &HeaderBlock) -> Option<&'static str> {
    trailers.iter().find_map(|(name, value)| {
        let Ok(name) = HeaderName::from_bytes(name) else {
            return Some("invalid trailer name");
        };
        if HeaderValue::from_bytes(value).is_err() {
            return Some("invalid trailer value");
        }
        let decisive = name == CONTENT_LENGTH || name == TRANSFER_ENCODING || name == HOST;
        decisive.then_some("field not allowed in trailers")
    })
}
