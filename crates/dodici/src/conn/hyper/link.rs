//! The byte stream between socket and hyper, translated by [`Translator`].
//!
//! Used only by [`super::HyperConn`], on one task. The lock around a [`Link`] exists because hyper owns
//! its reading and writing ends while the exchange asks what was received; it is never contended.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use dodici_pool::{CloseReason, Error, ErrorKind, Phase, Replay, Request, SocketInfo};
use hyper::rt::ReadBufCursor;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::outgoing::OutgoingBody;
use super::read_buf::poll_read_into;
use super::translator::{Inbound, Translator, Write};
use crate::command::Command;
use crate::conn::eof::{Place, judge, socket_error};
use crate::conn::rest::{AtRest, Held, are_line_ends, closed, unsolicited};
use crate::conn::stream::ByteStream;
use crate::connect::Transport;
use crate::tuning::HYPER_READ;

/// Slices in the write that contains the caller's head.
const SLICES: usize = 8;

/// See the module.
pub(super) struct Link {
    transport: Transport,
    pub(super) translator: Translator,
    /// See [`Place`].
    abrupt_is_end: bool,
    /// hyper has flushed its buffer since it was last driven, and all of it was sent.
    pub(super) flushed: bool,
    /// The request whose credit limits reads of the response body.
    reader: Option<Arc<Command>>,
    /// Part of the request may have been sent.
    pub(super) sent_any: bool,
    /// Bytes received and sent so far.
    pub(super) traffic: (u64, u64),
}

impl Link {
    pub(super) fn new(rest: AtRest, translator: Translator, abrupt_is_end: bool) -> Self {
        let AtRest { transport, traffic } = rest;
        Self {
            transport,
            translator,
            abrupt_is_end,
            flushed: true,
            reader: None,
            sent_any: false,
            traffic,
        }
    }

    /// Begins the exchange. Returns the stub request for hyper.
    pub(super) fn begin(
        &mut self,
        request: &Request,
        command: &Arc<Command>,
    ) -> http::Request<OutgoingBody> {
        self.reader = Some(Arc::clone(command));
        self.translator.begin(request, command)
    }

    pub(super) fn socket_info(&self) -> SocketInfo {
        self.transport.socket_info(self.traffic)
    }

    pub(super) fn fail(&mut self, reason: CloseReason, error: Error) -> io::Error {
        let text = error.message().to_owned();
        let error = error.with_socket(self.socket_info());
        self.translator.fail(reason, error);
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

    /// hyper is about to be driven, and may buffer bytes that the link has not seen.
    pub(super) fn begin_drive(&mut self) {
        self.flushed = false;
    }

    /// What the link and hyper's buffer hold of the exchange.
    pub(super) fn held(&self) -> Held {
        let mut held = self.translator.held();
        held.unwritten |= !self.flushed;
        held
    }

    /// Keeps the connection; `None` if it is not at rest.
    pub(super) fn into_rest(self, held: Held) -> Option<AtRest> {
        held.release(self.transport, self.traffic)
    }

    /// Keeps the transport and what was received after the upgrade's head.
    pub(super) fn into_stream(self) -> ByteStream {
        ByteStream::new(self.transport, self.translator.surplus, self.traffic)
    }

    // --- from the wire to hyper ---

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        mut cursor: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if self.translator.inbound() == Inbound::Muted {
            return Poll::Pending;
        }
        loop {
            if let Some(buffered) = self.translator.take_buffered(cursor.remaining()) {
                cursor.put_slice(&buffered);
                return Poll::Ready(Ok(()));
            }
            if self.translator.is_over() {
                return Poll::Pending;
            }
            if self.translator.guard.is_idle() {
                return self.poll_rest(cx);
            }
            let read = ready!(self.poll_message(cx, &mut cursor))?;
            if read > 0 || self.translator.has_ended() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Reads while no response is due: anything but line ends closes the connection.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut memory = [0_u8; 32];
        let mut buf = ReadBuf::new(&mut memory);
        loop {
            buf.clear();
            let read = ready!(Pin::new(&mut self.transport).poll_read(cx, &mut buf));
            let bytes = buf.filled();
            self.traffic.0 += bytes.len() as u64;
            let (reason, error) = match read {
                Ok(()) if bytes.is_empty() => closed(None),
                Ok(()) if are_line_ends(bytes) => continue,
                Ok(()) => unsolicited(),
                Err(error) => closed(Some(&error)),
            };
            let error = error.with_replay(Replay::Unsent);
            return Poll::Ready(Err(self.fail(reason, error)));
        }
    }

    /// The largest read that the reader has credit for; 0 while it has none.
    ///
    /// hyper holds one undelivered read when it asks for the next one, so a paused reader has at most its
    /// window plus [`HYPER_READ`] in memory.
    fn read_limit(&self) -> usize {
        match &self.reader {
            Some(reader) if self.translator.is_in_body() => reader.room().min(HYPER_READ),
            _ => HYPER_READ,
        }
    }

    /// Reads part of a response into hyper's buffer. Returns how much of it hyper may read.
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
        let translator = &mut self.translator;
        let read = poll_read_into(&mut self.transport, cx, cursor, limit, |input| {
            if input.is_empty() {
                return (0, (0, Ok(0)));
            }
            let read = translator.read(input);
            (*read.as_ref().unwrap_or(&0), (input.len(), read))
        });
        match ready!(read) {
            Ok((0, _)) => Poll::Ready(self.eof(None).map(|()| 0)),
            Ok((n, read)) => {
                self.traffic.0 += n as u64;
                Poll::Ready(read.map_err(|error| self.fail(CloseReason::ProtocolError, error)))
            }
            Err(error) => Poll::Ready(self.eof(Some(&error)).map(|()| 0)),
        }
    }

    /// The peer closed its side, or the socket failed.
    fn eof(&mut self, error: Option<&io::Error>) -> io::Result<()> {
        let place = Place {
            phase: self.translator.phase(),
            replay: self.replay(),
            abrupt_is_end: self.abrupt_is_end,
        };
        match judge(&mut self.translator.guard, error, &place) {
            Ok(()) => {
                self.translator.read_end();
                Ok(())
            }
            Err((reason, error)) => Err(self.fail(reason, error)),
        }
    }

    // --- from hyper to the wire ---

    /// Sends the translation of what hyper writes. Returns how many of hyper's bytes that covers.
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let total: usize = bufs.iter().map(|buf| buf.len()).sum();
        if self.translator.is_broken() || total == 0 {
            return Poll::Ready(Ok(total));
        }
        if self.translator.unmute() {
            // hyper was told that there is nothing to read, and has to try again.
            cx.waker().wake_by_ref();
        }
        ready!(self.poll_pending(cx))?;
        let written = match self.translator.write(bufs) {
            Ok(Write::AsIs) => self.poll_slices(cx, bufs),
            Ok(Write::Head(head, stub)) => self
                .poll_with_head(cx, &head, stub, bufs)
                .map_ok(|n| self.translator.head_written(&head, stub, n)),
            Ok(Write::Pending) => return Poll::Ready(Ok(total)),
            Err(what) => {
                let error = Error::new(ErrorKind::Internal, Phase::Send, what);
                return Poll::Ready(Err(self.fail(CloseReason::Panicked, error)));
            }
        };
        match ready!(written) {
            Ok(taken) => Poll::Ready(Ok(taken)),
            Err(error) => Poll::Ready(self.broken(&error).map(|()| total)),
        }
    }

    /// Writes the caller's head in place of the first `stub` bytes.
    fn poll_with_head(
        &mut self,
        cx: &mut Context<'_>,
        head: &Bytes,
        stub: usize,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        slices[0] = IoSlice::new(head);
        let mut used = 1;
        // The stub is in the first one.
        let mut cut = stub;
        for buf in bufs.iter().filter(|buf| !buf.is_empty()) {
            let rest = &buf[std::mem::take(&mut cut)..];
            // An empty slice would make the write look vectored.
            if !rest.is_empty() && used < SLICES {
                slices[used] = IoSlice::new(rest);
                used += 1;
            }
        }
        self.poll_slices(cx, &slices[..used])
    }

    fn poll_slices(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.transport).poll_write_vectored(cx, bufs))?;
        self.sent_any = true;
        self.traffic.1 += written as u64;
        self.translator.seen.wrote = true;
        Poll::Ready(Ok(written))
    }

    fn poll_pending(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.translator.pending.has_remaining() {
            let pending = self.translator.pending.clone();
            match ready!(self.poll_slices(cx, &[IoSlice::new(&pending)])) {
                Ok(n) => self.translator.pending.advance(n),
                Err(error) => return Poll::Ready(self.broken(&error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.flushed = false;
        if self.translator.is_broken() {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_pending(cx))?;
        match ready!(Pin::new(&mut self.transport).poll_flush(cx)) {
            Ok(()) => {
                // hyper flushes once its own buffer is empty.
                self.flushed = !self.translator.is_broken();
                Poll::Ready(Ok(()))
            }
            Err(error) => Poll::Ready(self.broken(&error)),
        }
    }

    /// A write failed. If part of the request was sent, a response may already be on its way (a server
    /// that rejects an upload responds and closes): the rest is discarded, and reading decides. Otherwise
    /// the request is unsent.
    fn broken(&mut self, error: &io::Error) -> io::Result<()> {
        self.translator.break_off();
        if self.sent_any {
            return Ok(());
        }
        let failure = socket_error("write", Phase::Send, error).with_replay(self.replay());
        Err(self.fail(CloseReason::IoError, failure))
    }
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
