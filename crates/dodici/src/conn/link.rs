//! The byte stream between socket and hyper, with the framing guard in it.
//!
//! Towards the wire, the head that hyper serialises (a stub) is replaced by the caller's own head,
//! byte for byte, and request trailers are put behind the last chunk. Towards hyper, every
//! response head passes the guard and is replaced by the shortest head with the same framing, so
//! hyper decodes bodies and never sees what it could read differently from us.
//!
//! Used by [`super::h1`] only, on one task: the lock around a [`Link`] is there because hyper owns
//! the reading and writing end and the exchange asks for what the guard saw; it is never contended.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use dodici_pool::{
    CloseReason, Error, ErrorKind, HeaderBlock, Phase, Replay, RequestKind, ResponseHead,
    SocketInfo,
};
use hyper::rt::ReadBufCursor;
use memchr::memmem;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::eof::{Place, judge};
use super::framing::Guard;
use super::pass::pass;
use super::read_buf::poll_read_into;
use super::rest::Held;
use crate::command::Command;
use crate::connect::Transport;

/// What the guard saw since the exchange last looked.
#[derive(Default)]
pub(super) struct Seen {
    /// Informational heads, oldest first.
    pub(super) informational: VecDeque<ResponseHead>,
    /// `100 Continue` came for a request that asked for it.
    pub(super) continued: bool,
    /// The final head is in [`Link::guard`].
    pub(super) head: bool,
    /// The connection is a byte stream now; the head is in [`Link::guard`].
    pub(super) upgraded: bool,
    /// The last chunk has passed; trailers may follow, which hyper does not see.
    pub(super) last_chunk: bool,
    /// The message is complete.
    pub(super) ended: bool,
    /// Bytes were written since the exchange last looked.
    pub(super) wrote: bool,
    /// Why the connection cannot go on.
    pub(super) failure: Option<(CloseReason, Error)>,
}

/// Largest read: hyper's buffers grow beyond the size they are asked for, by doubling, and this is
/// what a paused reader may hold beyond its window. 64 KiB: a body of that size comes in one read or
/// two.
const MAX_READ: usize = 64 * 1024;

/// See the module.
pub(super) struct Link {
    pub(super) transport: Transport,
    pub(super) guard: Guard,
    /// See [`Place`].
    abrupt_is_end: bool,
    pub(super) seen: Seen,
    /// Bytes hyper shall read before anything from the socket: a synthetic head and what came
    /// behind the real one. Consumed from the front.
    to_hyper: Vec<u8>,
    to_hyper_at: usize,
    /// The caller's head, until it takes the place of hyper's.
    head: Option<Bytes>,
    /// Bytes that must go to the wire before anything from hyper.
    pending: Bytes,
    /// hyper has flushed its buffer since it was last driven, and what was in it has left.
    flushed: bool,
    /// The request whose trailers may have to be written.
    upload: Option<Arc<Command>>,
    /// The request whose credit bounds what is read of the response's body.
    reader: Option<Arc<Command>>,
    /// Some byte of the current request may have left this machine.
    pub(super) sent_any: bool,
    /// The peer no longer takes bytes; a response may still come.
    pub(super) write_broken: bool,
    /// hyper reads nothing until it writes: on a new connection it would take what the server says
    /// before the first request is written for something that nobody asked for.
    pub(super) hushed: bool,
    /// Bytes that came behind the head of an upgrade.
    pub(super) surplus: Vec<u8>,
    pub(super) bytes_read: u64,
    pub(super) bytes_written: u64,
}

impl Link {
    pub(super) fn new(transport: Transport, guard: Guard, abrupt_is_end: bool) -> Self {
        Self {
            transport,
            guard,
            abrupt_is_end,
            seen: Seen::default(),
            to_hyper: Vec::new(),
            to_hyper_at: 0,
            head: None,
            pending: Bytes::new(),
            flushed: true,
            upload: None,
            reader: None,
            sent_any: false,
            write_broken: false,
            hushed: false,
            surplus: Vec::new(),
            bytes_read: 0,
            bytes_written: 0,
        }
    }

    /// Prepares for one exchange: `head` takes the place of the next head hyper writes.
    pub(super) fn begin(
        &mut self,
        kind: RequestKind,
        expect_continue: bool,
        head: Bytes,
        upload: Option<Arc<Command>>,
        reader: Arc<Command>,
    ) {
        self.guard.begin(kind, expect_continue);
        self.seen = Seen::default();
        self.head = Some(head);
        self.upload = upload;
        self.reader = Some(reader);
        self.sent_any = false;
    }

    pub(super) fn socket_info(&self) -> SocketInfo {
        SocketInfo {
            local: self.transport.local_addr(),
            remote: self.transport.peer_addr(),
            bytes_written: self.bytes_written,
            bytes_read: self.bytes_read,
        }
    }

    pub(super) fn fail(&mut self, reason: CloseReason, error: Error) -> io::Error {
        let text = error.message().to_owned();
        if self.seen.failure.is_none() {
            let error = error.with_socket(self.socket_info());
            self.seen.failure = Some((reason, error));
        }
        io::Error::other(text)
    }

    /// Whether the request may be sent again once the connection has failed.
    fn replay(&self) -> Replay {
        if self.sent_any {
            Replay::IfIdempotentAndReused
        } else {
            Replay::Unsent
        }
    }

    /// hyper is about to be driven: it may buffer bytes of which the link knows nothing.
    pub(super) fn begin_drive(&mut self) {
        self.flushed = false;
    }

    /// What the link, and hyper behind it, hold of the exchange.
    pub(super) fn held(&self) -> Held {
        let owes_trailers = |command: &Arc<Command>| command.has_trailers();
        Held {
            unwritten: !self.flushed
                || self.write_broken
                || self.head.is_some()
                || self.pending.has_remaining()
                || self.upload.as_ref().is_some_and(owes_trailers),
            unread: !self.guard.is_idle()
                || self.to_hyper_at < self.to_hyper.len()
                || self.seen.failure.is_some(),
        }
    }

    /// Where the response stands, for errors.
    pub(super) fn phase(&self) -> Phase {
        if self.seen.head {
            Phase::Body
        } else {
            Phase::Headers
        }
    }

    // --- towards hyper ---

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        mut cursor: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if self.hushed {
            return Poll::Pending;
        }
        loop {
            if self.to_hyper_at < self.to_hyper.len() {
                let ready = &self.to_hyper[self.to_hyper_at..];
                let n = ready.len().min(cursor.remaining());
                cursor.put_slice(&ready[..n]);
                self.to_hyper_at += n;
                if self.to_hyper_at == self.to_hyper.len() {
                    self.to_hyper.clear();
                    self.to_hyper_at = 0;
                }
                return Poll::Ready(Ok(()));
            }
            if self.seen.upgraded || self.seen.failure.is_some() {
                // hyper has nothing to say any more: the exchange takes over.
                return Poll::Pending;
            }
            if self.guard.is_idle() {
                return self.poll_rest(cx);
            }
            let visible = ready!(self.poll_message(cx, &mut cursor))?;
            // A message that ended with bytes too few to hold what stands for them has it in
            // `to_hyper`: returning nothing before that is read would mean the end of the stream.
            if visible > 0 || (self.seen.ended && self.to_hyper.is_empty()) {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Reads while no request is in flight: whatever comes ends the connection, except line ends.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut memory = [0_u8; 32];
        let mut buf = ReadBuf::new(&mut memory);
        loop {
            buf.clear();
            let read = ready!(Pin::new(&mut self.transport).poll_read(cx, &mut buf));
            if read.is_ok() && !buf.filled().is_empty() && are_line_ends(buf.filled()) {
                self.bytes_read += buf.filled().len() as u64;
                continue;
            }
            return Poll::Ready(Err(self.end_rest(read, buf.filled())));
        }
    }

    /// Why a connection at rest has ended: it read this.
    fn end_rest(&mut self, read: io::Result<()>, bytes: &[u8]) -> io::Error {
        match read {
            Ok(()) if bytes.is_empty() => {
                let error = Error::new(ErrorKind::Socket, Phase::Queued, "other side closed")
                    .with_replay(Replay::Unsent);
                self.fail(CloseReason::PeerClosed, error)
            }
            Ok(()) => {
                self.bytes_read += bytes.len() as u64;
                let error = Error::new(ErrorKind::Socket, Phase::Queued, "bad response")
                    .with_replay(Replay::Unsent);
                self.fail(CloseReason::UnsolicitedData, error)
            }
            Err(error) => {
                let failure =
                    socket_error("read", Phase::Queued, &error).with_replay(Replay::Unsent);
                self.fail(CloseReason::PeerClosed, failure)
            }
        }
    }

    /// The largest read that the request's reader has room for; 0 while it has none.
    ///
    /// A body is read up to the credit that is left, [`MAX_READ`] at most. hyper holds one such
    /// read that was not delivered yet when it asks for the next one, so a reader that stops has
    /// at most its window and [`MAX_READ`] in memory.
    fn read_limit(&self) -> usize {
        match &self.reader {
            Some(reader) if self.seen.head && !self.seen.ended => reader.room().min(MAX_READ),
            _ => MAX_READ,
        }
    }

    /// Reads a part of a message into hyper's buffer; returns how much of it hyper may see.
    fn poll_message(
        &mut self,
        cx: &mut Context<'_>,
        cursor: &mut ReadBufCursor<'_>,
    ) -> Poll<io::Result<usize>> {
        let limit = self.read_limit();
        if limit == 0 {
            // The reader's credit wakes the task, and the exchange drives hyper again.
            return Poll::Pending;
        }
        let Self {
            transport,
            guard,
            seen,
            to_hyper,
            surplus,
            ..
        } = self;
        let read = poll_read_into(transport, cx, cursor, limit, |input| {
            if input.is_empty() {
                return (0, (0, Ok(0)));
            }
            let passed = pass(guard, seen, to_hyper, surplus, input);
            let visible = *passed.as_ref().unwrap_or(&0);
            (visible, (input.len(), passed))
        });
        match ready!(read) {
            Ok((0, _)) => Poll::Ready(self.eof(None).map(|()| 0)),
            Ok((n, passed)) => {
                self.bytes_read += n as u64;
                match passed {
                    Ok(visible) => Poll::Ready(Ok(visible)),
                    Err(error) => Poll::Ready(Err(self.fail(CloseReason::ProtocolError, error))),
                }
            }
            Err(error) => Poll::Ready(self.eof(Some(&error)).map(|()| 0)),
        }
    }

    /// The peer closed its side, or the socket failed.
    fn eof(&mut self, error: Option<&io::Error>) -> io::Result<()> {
        let place = Place {
            phase: self.phase(),
            replay: self.replay(),
            abrupt_is_end: self.abrupt_is_end,
        };
        match judge(&mut self.guard, error, &place) {
            Ok(()) => {
                self.seen.ended = true;
                Ok(())
            }
            Err((reason, error)) => Err(self.fail(reason, error)),
        }
    }

    // --- towards the wire ---

    /// Writes what hyper gives, with the caller's head and trailers put in place. Returns how many
    /// of hyper's bytes are taken care of.
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let total: usize = bufs.iter().map(|buf| buf.len()).sum();
        if self.write_broken || total == 0 {
            return Poll::Ready(Ok(total));
        }
        if std::mem::take(&mut self.hushed) {
            // hyper has been told that there is nothing to read: it must look again.
            cx.waker().wake_by_ref();
        }
        ready!(self.poll_pending(cx))?;
        if let Some(trailers) = self
            .upload
            .as_ref()
            .and_then(|command| command.take_trailers())
        {
            self.upload = None;
            return self.poll_write_trailers(&trailers, bufs, total);
        }
        if let Some(head) = self.head.take() {
            return self.poll_write_head(cx, head, bufs, total);
        }
        match ready!(Pin::new(&mut self.transport).poll_write_vectored(cx, bufs)) {
            Ok(n) => {
                self.count_written(n);
                Poll::Ready(Ok(n))
            }
            Err(error) => Poll::Ready(self.broken(&error).map(|()| total)),
        }
    }

    fn poll_write_head(
        &mut self,
        cx: &mut Context<'_>,
        head: Bytes,
        bufs: &[IoSlice<'_>],
        total: usize,
    ) -> Poll<io::Result<usize>> {
        let stub = bufs
            .iter()
            .find(|buf| !buf.is_empty())
            .map_or(&[][..], |buf| &buf[..]);
        let Some(stub_len) = stub_len(stub) else {
            return Poll::Ready(Err(self.surprised("hyper split its request head")));
        };
        let mut slices = [IoSlice::new(&[]); 8];
        slices[0] = IoSlice::new(&head);
        slices[1] = IoSlice::new(&stub[stub_len..]);
        let mut used = 2;
        for buf in bufs
            .iter()
            .filter(|buf| !buf.is_empty())
            .skip(1)
            .take(slices.len() - 2)
        {
            slices[used] = IoSlice::new(buf);
            used += 1;
        }
        // An empty first body slice must not make the write look vectored.
        if slices[1].is_empty() && used == 2 {
            used = 1;
        }
        match Pin::new(&mut self.transport).poll_write_vectored(cx, &slices[..used]) {
            Poll::Pending => {
                self.head = Some(head);
                Poll::Pending
            }
            Poll::Ready(Ok(n)) => {
                self.count_written(n);
                if n < head.len() {
                    self.pending = head.slice(n..);
                    return Poll::Ready(Ok(stub_len));
                }
                Poll::Ready(Ok(stub_len + (n - head.len())))
            }
            Poll::Ready(Err(error)) => Poll::Ready(self.broken(&error).map(|()| total)),
        }
    }

    /// hyper's buffers end with the last chunk, `0 CR LF CR LF`; the trailer fields go before its
    /// final CR LF. If the whole request is written at once they begin with its stub of a head.
    fn poll_write_trailers(
        &mut self,
        trailers: &HeaderBlock,
        bufs: &[IoSlice<'_>],
        total: usize,
    ) -> Poll<io::Result<usize>> {
        let mut tail = Vec::with_capacity(total + trailers.byte_len() + 4 * trailers.len());
        for buf in bufs {
            tail.extend_from_slice(buf);
        }
        if !tail.ends_with(b"0\r\n\r\n") {
            return Poll::Ready(Err(self.surprised("hyper split its last chunk")));
        }
        if let Some(head) = self.head.take() {
            let Some(stub_len) = stub_len(&tail) else {
                return Poll::Ready(Err(self.surprised("hyper split its request head")));
            };
            tail.splice(..stub_len, head);
        }
        tail.truncate(tail.len() - 2);
        for (name, value) in trailers.iter() {
            tail.extend_from_slice(name);
            tail.extend_from_slice(b": ");
            tail.extend_from_slice(value);
            tail.extend_from_slice(b"\r\n");
        }
        tail.extend_from_slice(b"\r\n");
        self.pending = Bytes::from(tail);
        Poll::Ready(Ok(total))
    }

    fn poll_pending(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.pending.has_remaining() {
            match ready!(Pin::new(&mut self.transport).poll_write(cx, &self.pending)) {
                Ok(n) => {
                    self.count_written(n);
                    self.pending.advance(n);
                }
                Err(error) => {
                    self.pending = Bytes::new();
                    return Poll::Ready(self.broken(&error));
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.flushed = false;
        if self.write_broken {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_pending(cx))?;
        match ready!(Pin::new(&mut self.transport).poll_flush(cx)) {
            Ok(()) => {
                // hyper flushes once its own buffer is empty.
                self.flushed = !self.write_broken;
                Poll::Ready(Ok(()))
            }
            Err(error) => Poll::Ready(self.broken(&error)),
        }
    }

    fn count_written(&mut self, n: usize) {
        self.sent_any = true;
        self.bytes_written += n as u64;
        self.seen.wrote = true;
    }

    /// hyper wrote in another way than the link relies on.
    fn surprised(&mut self, what: &'static str) -> io::Error {
        let error = Error::new(ErrorKind::Internal, Phase::Send, what);
        self.fail(CloseReason::Panicked, error)
    }

    /// The peer takes no more bytes. If some were sent, a response may already be on its way (a
    /// server that refuses an upload answers and closes): the rest of the request is dropped and
    /// reading decides. If none were, the request is unsent.
    fn broken(&mut self, error: &io::Error) -> io::Result<()> {
        self.write_broken = true;
        if self.sent_any {
            return Ok(());
        }
        let failure = socket_error("write", Phase::Send, error).with_replay(self.replay());
        Err(self.fail(CloseReason::IoError, failure))
    }
}

/// Whether these bytes, between two messages, mean nothing: some servers end a response with one
/// line end too many, and llhttp, so Node and undici, skips it.
pub(super) fn are_line_ends(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n'))
}

/// Length of hyper's own request head in front of what it writes.
fn stub_len(written: &[u8]) -> Option<usize> {
    memmem::find(written, b"\r\n\r\n").map(|at| at + 4)
}

/// A failed read or write in Node's terms.
pub(super) fn socket_error(syscall: &'static str, phase: Phase, error: &io::Error) -> Error {
    let (message, system) = crate::connect::describe_io_error(error, syscall);
    Error::new(ErrorKind::Socket, phase, message)
        .with_system(system)
        .with_source(io::Error::new(error.kind(), error.to_string()))
}

/// hyper's end of a link.
pub(super) struct LinkIo(pub(super) Arc<Mutex<Link>>);

impl hyper::rt::Read for LinkIo {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.lock().poll_read(cx, buf)
    }
}

impl hyper::rt::Write for LinkIo {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.lock().poll_write(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.lock().poll_write(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.lock().transport).poll_shutdown(cx)
    }
}
