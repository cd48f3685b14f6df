//! What a caller tells the task that serves its request: cancel, credit, pause, body slices.
//!
//! A [`Command`] is shared by the caller's handle and the connection task. Its lock is held for a
//! few instructions only, never across I/O or a call into a sink.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use dodici_pool::{
    BodyKind, DecodeManner, Error, ErrorKind, HeaderBlock, Phase, Request, ResponseHead, piece_cost,
};
use http::header::{CONTENT_LENGTH, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING};
use parking_lot::Mutex;

use crate::decoding::{Decoding, without_coding};
use crate::sink::{ExchangeInfo, Sink};

#[cfg(test)]
mod tests;

/// Bytes of request body that a caller may have in flight towards the engine.
/// 128 KiB: two slices, so that one can be written while the next is fetched.
pub(crate) const PULL_WINDOW: u32 = 128 * 1024;

/// Bytes that the bodies of the process may have in flight beyond their [`PULL_WINDOW`]s.
static SPACE: Space = Space::new(16 * 1024 * 1024);

/// The least that is worth having more: 1 MiB with the window itself.
const LEAST_ROOM: u32 = 7 * PULL_WINDOW;

/// Room that bodies share.
///
/// One that has sent its first [`PULL_WINDOW`] gets a quarter of what is left, so the first one 4 MiB
/// and the sixth 1: its caller then fetches the next slices while these are written. To wake the
/// caller's thread costs it 36 µs, and each slice of 64 KiB itself 5: 1 GiB over TLS takes 176 ms of the
/// JavaScript thread with 1 MiB, 143 with 2, 125 with 4 (in turns, median of 9). With six under way, none of the others needs
/// it to keep both threads at work.
struct Space {
    free: AtomicU32,
}

/// A part of the space, until it is dropped.
struct Room {
    space: &'static Space,
    bytes: u32,
}

impl Space {
    const fn new(bytes: u32) -> Self {
        Self {
            free: AtomicU32::new(bytes),
        }
    }

    fn take(&'static self) -> Option<Room> {
        let share = |free: u32| free / 4 / PULL_WINDOW * PULL_WINDOW;
        // A count, not a lock: it orders nothing.
        self.free
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free| {
                (share(free) >= LEAST_ROOM).then(|| free - share(free))
            })
            .ok()
            .map(|free| Room {
                space: self,
                bytes: share(free),
            })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.space.free.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

/// Credit is asked for again in steps of at least this many bytes, unless nothing is buffered.
const PULL_STEP: u32 = 32 * 1024;

/// The same once there is more [`Room`], so that slices come, and are written, many at a time.
const LARGE_PULL_STEP: u32 = 512 * 1024;

/// Shared state of one request. See the module.
pub(crate) struct Command {
    inner: Mutex<Inner>,
}

struct Inner {
    cancelled: bool,
    /// What may still be delivered of the response, by [`piece_cost`]; negative by at most one
    /// piece.
    credit: i64,
    /// The caller takes nothing, whatever the credit.
    paused: bool,
    /// Credit from which on the connection wants to know: it then gives room back to the peer.
    wake_at: i64,
    upload: Upload,
    /// Of the task that serves the request.
    waker: Option<Waker>,
    look: Look,
}

/// A look at the socket that the caller asked for, and who waits for it.
#[derive(Default)]
enum Look {
    #[default]
    None,
    Asked(Waker),
    /// The task knows.
    UnderWay(Waker),
    Done,
}

impl Look {
    fn finish(&mut self) -> Option<Waker> {
        match std::mem::take(self) {
            Self::Asked(waiting) | Self::UnderWay(waiting) => {
                *self = Self::Done;
                Some(waiting)
            }
            other => {
                *self = other;
                None
            }
        }
    }
}

/// What the task that serves a request finds when it looks after its caller.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attention {
    None,
    /// The caller gave up.
    Cancelled,
    /// The caller's time is up, and it asks for what the kernel holds. Told once: read it, past the
    /// reactor, hand it out, and call [`Command::looked`].
    Look,
}

impl Inner {
    fn may_deliver(&self) -> bool {
        self.credit > 0 && !self.paused
    }
}

#[derive(Default)]
struct Upload {
    chunks: VecDeque<Bytes>,
    end: Option<HeaderBlock>,
    /// The body failed. Stays, so that no later attempt takes a part for the whole.
    error: Option<Error>,
    /// Bytes that a body of declared length still lacks.
    lacking: Option<u64>,
    /// The caller was asked for the body.
    asked: bool,
    /// Bytes asked for again; from [`PULL_WINDOW`] on there may be more [`Room`].
    first: u32,
    /// More than the [`PULL_WINDOW`], until the end has been handed to the connection.
    room: Option<Room>,
    /// Consumed bytes that were not asked for again yet.
    owed: u32,
    /// The body waits for `100 Continue`.
    held: bool,
    /// The caller will never deliver what is lacking.
    left: bool,
    /// A slice has been handed to a connection: the body cannot be sent again.
    touched: bool,
    /// The end has been handed to the connection.
    finished: bool,
    /// Whether what the caller hands over is the request body's.
    source: Source,
    /// Something was handed over that has not left: asked for by whoever writes to the stream of an
    /// upgrade.
    unwritten: bool,
    /// Waits until all has left.
    flusher: Option<Waker>,
}

/// What the caller's slices belong to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Source {
    /// The request has no pulled body: nothing, or the stream of an upgrade.
    #[default]
    NoBody,
    /// The request body, which the caller has not ended.
    Body,
    /// The request body was ended.
    BodyEnded,
    /// The stream of an upgrade that came before the caller had ended the request body: its next
    /// end is still the body's.
    StreamInBody,
    /// The stream of an upgrade.
    Stream,
}

/// The next piece of a request body.
pub(crate) enum Slice {
    Wait,
    Chunk(Bytes),
    End,
    Failed(Error),
}

impl Command {
    pub(crate) fn new(window: u32, body: &BodyKind) -> Arc<Self> {
        let lacking = match body {
            BodyKind::Sized(length) => Some(*length),
            BodyKind::None | BodyKind::Full(_) | BodyKind::Chunked => None,
        };
        Arc::new(Self {
            inner: Mutex::new(Inner {
                cancelled: false,
                credit: i64::from(window),
                paused: false,
                wake_at: i64::MAX,
                upload: Upload {
                    lacking,
                    source: if body.is_pulled() {
                        Source::Body
                    } else {
                        Source::NoBody
                    },
                    ..Upload::default()
                },
                waker: None,
                look: Look::None,
            }),
        })
    }

    // --- the caller's side ---

    fn tell(&self, change: impl FnOnce(&mut Inner)) {
        let waker = {
            let mut inner = self.inner.lock();
            change(&mut inner);
            inner.waker.clone()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(crate) fn cancel(&self) {
        self.tell(|inner| inner.cancelled = true);
    }

    /// Ready when what the kernel held of the answer has been handed out, or when nobody serves the
    /// request, so that there is no answer.
    pub(crate) fn poll_looked(&self, waker: &Waker) -> Poll<()> {
        let mut inner = self.inner.lock();
        match &mut inner.look {
            Look::Asked(waiting) | Look::UnderWay(waiting) => waiting.clone_from(waker),
            Look::Done => {
                inner.look = Look::None;
                return Poll::Ready(());
            }
            Look::None => {
                let Some(task) = inner.waker.clone() else {
                    return Poll::Ready(());
                };
                inner.look = Look::Asked(waker.clone());
                drop(inner);
                task.wake();
            }
        }
        Poll::Pending
    }

    pub(crate) fn credit(&self, bytes: u32) {
        self.adjust_delivery(|inner| inner.credit += i64::from(bytes));
    }

    pub(crate) fn pause(&self, paused: bool) {
        self.adjust_delivery(|inner| inner.paused = paused);
    }

    /// Only a change that lets a stopped delivery go on, or that the connection waits for, needs a
    /// wake-up.
    fn adjust_delivery(&self, change: impl FnOnce(&mut Inner)) {
        let waker = {
            let mut inner = self.inner.lock();
            let stopped = !inner.may_deliver();
            let before = inner.credit;
            change(&mut inner);
            let goes_on = stopped && inner.may_deliver();
            if goes_on || (before < inner.wake_at && inner.credit >= inner.wake_at) {
                inner.waker.clone()
            } else {
                None
            }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(crate) fn chunk(&self, chunk: Bytes) {
        if chunk.is_empty() {
            return;
        }
        self.tell(|inner| {
            let upload = &mut inner.upload;
            if let Some(lacking) = &mut upload.lacking {
                match lacking.checked_sub(chunk.len() as u64) {
                    Some(rest) => *lacking = rest,
                    None => {
                        upload.error.get_or_insert_with(length_mismatch);
                        return;
                    }
                }
            }
            upload.unwritten = true;
            upload.chunks.push_back(chunk);
        });
    }

    pub(crate) fn end(&self, trailers: HeaderBlock) {
        self.tell(|inner| {
            let upload = &mut inner.upload;
            if upload.lacking.is_some_and(|lacking| lacking > 0) {
                upload.error.get_or_insert_with(length_mismatch);
            }
            if let Some(what) = fault_in(&trailers) {
                let refused = || Error::new(ErrorKind::InvalidRequest, Phase::Send, what);
                upload.error.get_or_insert_with(refused);
            }
            match upload.source {
                Source::StreamInBody => {
                    upload.source = Source::Stream;
                    return;
                }
                Source::Body => upload.source = Source::BodyEnded,
                Source::NoBody | Source::BodyEnded | Source::Stream => {}
            }
            upload.unwritten = true;
            upload.end = Some(trailers);
        });
    }

    /// Ready when all that was handed over has left; wakes then, but not if the stream fails.
    pub(crate) fn poll_written(&self, waker: &Waker) -> Poll<()> {
        let upload = &mut self.inner.lock().upload;
        if upload.unwritten {
            upload.flusher = Some(waker.clone());
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }

    /// The body stays shorter than declared.
    pub(crate) fn leave(&self) {
        self.tell(|inner| inner.upload.left = true);
    }

    pub(crate) fn fail(&self, error: Error) {
        self.tell(|inner| {
            inner.upload.error.get_or_insert(error);
        });
    }

    // --- the connection's side ---

    /// Binds the request to the task that serves it.
    pub(crate) fn attach(&self, waker: &Waker) {
        self.inner.lock().waker = Some(waker.clone());
    }

    /// No task serves the request any more; another one may.
    pub(crate) fn detach(&self) {
        let waiting = {
            let mut inner = self.inner.lock();
            inner.waker = None;
            inner.look.finish()
        };
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }

    /// What the caller wants of the task beside the request itself.
    pub(crate) fn attention(&self) -> Attention {
        let mut inner = self.inner.lock();
        if inner.cancelled {
            return Attention::Cancelled;
        }
        if !matches!(inner.look, Look::Asked(_)) {
            return Attention::None;
        }
        if let Look::Asked(waiting) = std::mem::take(&mut inner.look) {
            inner.look = Look::UnderWay(waiting);
        }
        Attention::Look
    }

    /// The look that [`Attention::Look`] asked for is over.
    pub(crate) fn looked(&self) {
        let waiting = self.inner.lock().look.finish();
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }

    /// Prepares a body that is at hand but has to wait for `100 Continue`.
    pub(crate) fn hold(&self, full: Option<Bytes>) {
        let mut inner = self.inner.lock();
        inner.upload.held = true;
        if let Some(full) = full {
            // A request that is written for the second time brings its body again.
            inner.upload.chunks.clear();
            inner.upload.chunks.push_back(full);
            inner.upload.end = Some(HeaderBlock::new());
        }
    }

    /// Lets a held body go; whether it was held.
    pub(crate) fn release_hold(&self) -> bool {
        std::mem::take(&mut self.inner.lock().upload.held)
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.inner.lock().cancelled
    }

    /// Whether body bytes that the caller handed over have not left.
    pub(crate) fn has_chunks(&self) -> bool {
        let upload = &self.inner.lock().upload;
        !upload.held && !upload.chunks.is_empty()
    }

    /// Bytes of the slice that [`Command::next_slice`] would hand out; 0 if it would hand out none.
    pub(crate) fn next_len(&self) -> usize {
        let upload = &self.inner.lock().upload;
        match upload.chunks.front() {
            Some(chunk) if !upload.held => chunk.len(),
            _ => 0,
        }
    }

    /// Why the request body cannot be sent, if so. hyper reports it only once it asks for more of
    /// the body, which it may never do, and then without saying why.
    pub(crate) fn failure(&self) -> Option<Error> {
        self.inner.lock().upload.error.clone()
    }

    /// Bytes to ask the caller for when the body is due: nothing if a connection that was lost
    /// before the request was written has asked already.
    pub(crate) fn first_pull(&self) -> u32 {
        let asked = std::mem::replace(&mut self.inner.lock().upload.asked, true);
        if asked { 0 } else { PULL_WINDOW }
    }

    /// The connection became a byte stream: what the caller hands over from now on is no part of
    /// the request body, whose length and end do not count any more.
    pub(crate) fn begin_stream(&self) {
        let upload = &mut self.inner.lock().upload;
        upload.lacking = None;
        upload.source = match upload.source {
            Source::Body => Source::StreamInBody,
            Source::BodyEnded => {
                upload.end = None;
                Source::Stream
            }
            other => other,
        };
    }

    /// Whether response bytes may be delivered now.
    pub(crate) fn has_credit(&self) -> bool {
        self.inner.lock().may_deliver()
    }

    /// Bytes of the response's body that the reader still has room for.
    pub(crate) fn room(&self) -> usize {
        usize::try_from(self.inner.lock().credit).unwrap_or(0)
    }

    /// Asks for a wake-up when the reader has this much room; `None` for no more.
    pub(crate) fn wake_at(&self, room: Option<usize>) {
        self.inner.lock().wake_at = room.map_or(i64::MAX, |room| room as i64);
    }

    /// A piece of so many bytes was delivered.
    pub(crate) fn spend(&self, bytes: usize) {
        self.inner.lock().credit -= i64::from(piece_cost(bytes));
    }

    pub(crate) fn next_slice(&self) -> Slice {
        let mut inner = self.inner.lock();
        let upload = &mut inner.upload;
        if let Some(error) = &upload.error {
            return Slice::Failed(error.clone());
        }
        if upload.held {
            return Slice::Wait;
        }
        if let Some(chunk) = upload.chunks.pop_front() {
            upload.touched = true;
            upload.owed = upload.owed.saturating_add(chunk.len() as u32);
            return Slice::Chunk(chunk);
        }
        if upload.end.is_some() {
            upload.finished = true;
            upload.room = None;
            return Slice::End;
        }
        Slice::Wait
    }

    /// All slices that were taken have left.
    pub(crate) fn written(&self) {
        let flusher = {
            let upload = &mut self.inner.lock().upload;
            if !upload.chunks.is_empty() || (upload.end.is_some() && !upload.finished) {
                return;
            }
            upload.unwritten = false;
            upload.flusher.take()
        };
        if let Some(flusher) = flusher {
            flusher.wake();
        }
    }

    /// Bytes to ask the caller for now; 0 for none.
    pub(crate) fn take_pull(&self) -> u32 {
        let mut inner = self.inner.lock();
        let upload = &mut inner.upload;
        let step = match upload.room {
            Some(_) => LARGE_PULL_STEP,
            None => PULL_STEP,
        };
        let ask = upload.end.is_none()
            && !upload.left
            && (upload.owed >= step || (upload.owed > 0 && upload.chunks.is_empty()));
        if !ask {
            return 0;
        }
        let owed = std::mem::take(&mut upload.owed);
        upload.first = upload.first.saturating_add(owed);
        if upload.first < PULL_WINDOW || upload.room.is_some() {
            return owed;
        }
        upload.room = SPACE.take();
        owed + upload.room.as_ref().map_or(0, |room| room.bytes)
    }

    /// Whether a pulled body can still be sent from its start.
    pub(crate) fn is_untouched(&self) -> bool {
        !self.inner.lock().upload.touched
    }

    /// Whether the connection waits for the caller to deliver body bytes.
    pub(crate) fn is_starved(&self) -> bool {
        let inner = self.inner.lock();
        let upload = &inner.upload;
        upload.held || (upload.chunks.is_empty() && upload.end.is_none() && !upload.left)
    }

    /// Whether there are trailers that have not been taken to be written.
    pub(crate) fn has_trailers(&self) -> bool {
        let upload = &self.inner.lock().upload;
        upload.end.as_ref().is_some_and(|end| !end.is_empty())
    }

    /// Trailers to be written behind the last chunk, once the end has been handed over.
    pub(crate) fn take_trailers(&self) -> Option<HeaderBlock> {
        let mut inner = self.inner.lock();
        let upload = &mut inner.upload;
        if !upload.finished {
            return None;
        }
        let trailers = upload.end.as_mut().filter(|end| !end.is_empty())?;
        upload.touched = true;
        Some(std::mem::take(trailers))
    }
}

/// A request body whose length is not the declared one.
pub(crate) fn length_mismatch() -> Error {
    Error::new(
        ErrorKind::RequestContentLengthMismatch,
        Phase::Send,
        "Request body length does not match content-length header",
    )
}

/// What keeps trailers from being written: a name or value that would not be one, or a field that
/// would change what came before (RFC 9110, section 6.5.1).
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

/// Owns a sink and settles it exactly once: a sink that was never told an end is told an error
/// when it is dropped, so that no caller waits for ever. A body that is decoded on its way to the sink
/// passes here.
pub(crate) struct Settle {
    sink: Option<Box<dyn Sink>>,
    /// From the head of a response on that is decoded.
    decoding: Option<Box<Decoding>>,
}

impl Settle {
    pub(crate) fn new(sink: Box<dyn Sink>) -> Self {
        Self {
            sink: Some(sink),
            decoding: None,
        }
    }

    /// The sink, for everything but head, body and the two calls that end it.
    pub(crate) fn sink(&mut self) -> Option<&mut (dyn Sink + 'static)> {
        self.sink.as_deref_mut()
    }

    /// The final head of the response to `request`. `max_response_size`: the pool's limit.
    ///
    /// # Errors
    /// What the request fails with before its sink has seen the head.
    pub(crate) fn head(
        &mut self,
        request: &Request,
        head: &ResponseHead,
        info: &ExchangeInfo,
        max_response_size: Option<u64>,
    ) -> Result<(), Error> {
        let Some(sink) = &mut self.sink else {
            return Ok(());
        };
        let Some(decoding) = Decoding::of(request, head, max_response_size)? else {
            sink.head(head, info);
            return Ok(());
        };
        self.decoding = Some(Box::new(decoding));
        let info = ExchangeInfo {
            decoded: true,
            ..*info
        };
        match request.decode.map(|decode| decode.manner) {
            Some(DecodeManner::Interceptor) => sink.head(&without_coding(head), &info),
            _ => sink.head(head, &info),
        }
        Ok(())
    }

    /// Whether the body is decoded on its way to the sink: limits count what comes out then.
    pub(crate) fn is_decoding(&self) -> bool {
        self.decoding.is_some()
    }

    /// Bytes of the body that came from the wire and have not been decoded.
    pub(crate) fn held(&self) -> usize {
        self.decoding.as_ref().map_or(0, |decoding| decoding.held())
    }

    /// A piece of the body came from the wire; only after [`Settle::poll_takes`] said so.
    pub(crate) fn piece(&mut self, command: &Command, piece: Bytes) {
        if let Some(decoding) = &mut self.decoding {
            decoding.take(piece);
            return;
        }
        command.spend(piece.len());
        if let Some(sink) = &mut self.sink {
            sink.data(piece);
        }
    }

    /// Whether more of the body may be taken from the wire; tells the sink what has been decoded.
    /// Where not, the reader's next credit wakes the task, or its next turn to decode.
    ///
    /// # Errors
    /// What the request fails with.
    pub(crate) fn poll_takes(
        &mut self,
        cx: &mut Context<'_>,
        command: &Command,
    ) -> Result<bool, Error> {
        match (&mut self.decoding, &mut self.sink) {
            (Some(decoding), Some(sink)) => decoding.work(cx, command, sink.as_mut()),
            _ => Ok(command.has_credit()),
        }
    }

    /// The response is complete, and with it what was coded, or the request fails.
    pub(crate) fn end(&mut self, trailers: &HeaderBlock) {
        let Some(mut sink) = self.sink.take() else {
            return;
        };
        match self.decoding.take().map(|decoding| decoding.finish()) {
            Some(Err(error)) => sink.error(error),
            None | Some(Ok(())) => sink.end(trailers),
        }
    }

    pub(crate) fn error(&mut self, error: Error) {
        self.decoding = None;
        if let Some(mut sink) = self.sink.take() {
            sink.error(error);
        }
    }
}

impl Drop for Settle {
    fn drop(&mut self) {
        if let Some(mut sink) = self.sink.take() {
            // Reached when a task panicked or a runtime was shut down. The sink itself may be
            // what panicked, so a second panic must not turn the unwinding into an abort.
            let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                sink.error(Error::new(
                    ErrorKind::Internal,
                    Phase::Send,
                    "the task serving the request ended without a response",
                ));
                drop(sink);
            }));
            drop(told);
        }
    }
}
