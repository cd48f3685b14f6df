//! What a connection and its streams share: QUIC, what the peer has said, and whom to wake.
//!
//! All of it belongs to one task, so its lock is never waited for.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::task::{Context, Waker};
use std::time::Duration;

use dodici_pool::{CloseReason, Error, ErrorKind, Http3Config, Phase};
use quinn_proto::{ConnectionError, Dir, Event, ReadError, StreamEvent, StreamId, VarInt};
use tokio::time::Instant;

use super::control::{Fate, Peer, PeerStream, preface};
use super::outgoing::Outgoing;
use super::{Violation, code, code_name};
use crate::clock::Timer;
use crate::conn::eof::{Ended, socket_error};
use crate::connect::{Progress, Quic};

/// How long a small piece of a body is held while more of its frame is to come. 1 ms: the shortest
/// that the runtime's timers have. The end of a frame is never held.
const HOLD: Duration = Duration::from_millis(1);

/// See the module.
pub(super) struct Shared {
    pub(super) quic: Box<Quic>,
    pub(super) peer: Peer,
    /// Streams of exchanges, with what wakes each.
    pub(super) wakers: HashMap<StreamId, Option<Waker>>,
    /// What dropped streams have left to send.
    pub(super) leftovers: HashMap<StreamId, Outgoing>,
    /// Streams of the peer.
    incoming: HashMap<StreamId, PeerStream>,
    pub(super) driver: Option<Waker>,
    /// What waits for a stream.
    pub(super) opener: Option<Waker>,
    /// Streams that the peer allows and no request has used.
    pub(super) spare: VecDeque<StreamId>,
    /// Most requests at a time that we want, and that the peer has allowed so far.
    most: usize,
    pub(super) limit: usize,
    /// The number of the last stream that a request has used.
    pub(super) last: u64,
    pub(super) resets: u32,
    /// The server does not want early data (425): requests wait for the handshake.
    pub(super) too_early: bool,
    /// What was sent early was lost, with the connection.
    pub(super) early_lost: bool,
    pub(super) ended: Option<Ended>,
    /// Streams that hold a piece, and until when.
    held: Vec<StreamId>,
    until: Option<Instant>,
    /// How often they have been told to deliver it.
    released: u64,
    timer: Timer,
}

impl Shared {
    /// Opens our control stream.
    pub(super) fn new(quic: Box<Quic>, config: &Http3Config) -> Self {
        let mut shared = Shared {
            quic,
            peer: Peer::default(),
            wakers: HashMap::new(),
            leftovers: HashMap::new(),
            incoming: HashMap::new(),
            driver: None,
            opener: None,
            spare: VecDeque::new(),
            most: config.max_concurrent_streams.max(1) as usize,
            limit: 0,
            last: 0,
            resets: 0,
            too_early: false,
            early_lost: false,
            ended: None,
            held: Vec::new(),
            until: None,
            released: 0,
            timer: Timer::new(),
        };
        shared.refill();
        let conn = &mut shared.quic.conn;
        // A peer that allows no control stream cannot be spoken to.
        match conn.streams().open(Dir::Uni) {
            Some(control) => {
                let mut out = Outgoing::default();
                out.push(preface(config.max_header_list_size).into());
                if !out.flush(conn, control) {
                    shared.leftovers.insert(control, out);
                }
            }
            None => shared.fail(Violation::new(
                code::GENERAL_PROTOCOL_ERROR,
                "no room for a control stream",
            )),
        }
        shared
    }

    /// Something was written, or window was returned.
    pub(super) fn wake_driver(&self) {
        if let Some(driver) = &self.driver {
            driver.wake_by_ref();
        }
    }

    /// The peer has violated the protocol.
    pub(super) fn fail(&mut self, violation: Violation) {
        if self.ended.is_some() {
            return;
        }
        let Violation { code, what } = violation;
        self.quic.close(VarInt::from_u32(code), what);
        let message = format!("HTTP/3: {what} ({})", code_name(code));
        self.end(CloseReason::ProtocolError, message);
        self.wake_driver();
    }

    fn end(&mut self, reason: CloseReason, message: impl Into<Cow<'static, str>>) {
        self.end_with(
            reason,
            Error::new(ErrorKind::Socket, Phase::Headers, message),
        );
    }

    fn end_with(&mut self, reason: CloseReason, error: Error) {
        let socket = self.quic.socket_info();
        self.ended
            .get_or_insert_with(|| (reason, error.with_socket(socket)));
        self.release();
    }

    fn wake(&self, id: StreamId) {
        if let Some(Some(waker)) = self.wakers.get(&id) {
            waker.wake_by_ref();
        }
    }

    fn wake_opener(&mut self) {
        if let Some(opener) = self.opener.take() {
            opener.wake();
        }
    }

    /// A stream holds a small piece, until [`Shared::released`] changes, when it is woken. False if it
    /// must not.
    pub(super) fn hold(&mut self, id: StreamId) -> bool {
        if self.ended.is_some() {
            return false;
        }
        self.held.push(id);
        if self.until.is_none() {
            self.until = Some(Instant::now() + HOLD);
            self.wake_driver();
        }
        true
    }

    pub(super) fn released(&self) -> u64 {
        self.released
    }

    fn release(&mut self) {
        self.until = None;
        self.released += 1;
        for id in std::mem::take(&mut self.held) {
            self.wake(id);
        }
    }

    /// Takes streams that the peer allows.
    fn refill(&mut self) {
        while self.wakers.len() + self.spare.len() < self.most
            && let Some(id) = self.quic.conn.streams().open(Dir::Bi)
        {
            self.spare.push_back(id);
        }
        self.limit = self.limit.max(self.wakers.len() + self.spare.len());
    }

    /// Forgets a stream of an exchange.
    pub(super) fn forget(&mut self, id: StreamId) {
        self.wakers.remove(&id);
        self.refill();
        if !self.spare.is_empty() {
            self.wake_opener();
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Stream(StreamEvent::Readable { id }) if id.dir() == Dir::Bi => self.wake(id),
            Event::Stream(StreamEvent::Readable { id }) => self.read_peer(id),
            Event::Stream(StreamEvent::Opened { dir: Dir::Uni }) => {
                while let Some(id) = self.quic.conn.streams().accept(Dir::Uni) {
                    self.incoming.insert(id, PeerStream::default());
                    self.read_peer(id);
                }
            }
            Event::Stream(StreamEvent::Writable { id } | StreamEvent::Stopped { id, .. }) => {
                self.wake(id);
                self.send_leftovers(id);
            }
            Event::Stream(StreamEvent::Available { dir: Dir::Bi }) => {
                self.refill();
                self.wake_opener();
            }
            Event::Connected => self.complete(),
            Event::ConnectionLost { reason } => self.lose(&reason),
            _ => {}
        }
    }

    fn send_leftovers(&mut self, id: StreamId) {
        if let Some(mut left) = self.leftovers.remove(&id)
            && !left.flush(&mut self.quic.conn, id)
        {
            self.leftovers.insert(id, left);
        }
    }

    /// Bytes, or the end, have arrived on a stream of the peer.
    fn read_peer(&mut self, id: StreamId) {
        let Some(stream) = self.incoming.get_mut(&id) else {
            return;
        };
        let before = self.peer.goaway;
        let mut recv = self.quic.conn.recv_stream(id);
        let Ok(mut chunks) = recv.read(true) else {
            return;
        };
        let mut result = Ok(Fate::Read);
        while result == Ok(Fate::Read) {
            match chunks.next(usize::MAX) {
                Ok(Some(chunk)) => result = self.peer.receive(stream, chunk.bytes),
                Err(ReadError::Blocked) => break,
                Ok(None) | Err(ReadError::Reset(_)) => {
                    result = Peer::end(stream).map(|()| Fate::Stop);
                }
            }
        }
        drop(chunks);
        match result {
            Ok(Fate::Read) => {}
            Ok(Fate::Stop) => {
                self.incoming.remove(&id);
                let code = VarInt::from_u32(code::STREAM_CREATION_ERROR);
                // It may have ended.
                let _ = self.quic.conn.recv_stream(id).stop(code);
            }
            Err(violation) => return self.fail(violation),
        }
        if self.peer.goaway != before {
            // Requests beyond it go elsewhere.
            let wakers = self.wakers.values().flatten();
            wakers.for_each(Waker::wake_by_ref);
        }
    }

    /// The handshake is complete.
    fn complete(&mut self) {
        if self.quic.finish_early() {
            self.refill();
            return self.wake_opener();
        }
        // QUIC has forgotten the streams: the requests go to another connection.
        self.early_lost = true;
        self.quic.close(VarInt::from_u32(code::NO_ERROR), "");
        self.end(CloseReason::NotReusable, "HTTP/3: early data was refused");
    }

    fn lose(&mut self, reason: &ConnectionError) {
        self.early_lost |= self.quic.is_early();
        let (close, message) = match reason {
            ConnectionError::ApplicationClosed(close) => {
                let code = u32::try_from(close.error_code.into_inner()).unwrap_or(u32::MAX);
                let message = match code {
                    code::NO_ERROR => "other side closed".into(),
                    _ => format!(
                        "HTTP/3: the connection was closed with error code {}",
                        code_name(code)
                    ),
                };
                (CloseReason::PeerClosed, message)
            }
            ConnectionError::Reset => {
                let error = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
                return self.fail_socket(CloseReason::PeerClosed, &error);
            }
            ConnectionError::TimedOut => {
                let message = "HTTP/3: the connection has timed out";
                (CloseReason::Timeout, message.into())
            }
            ConnectionError::ConnectionClosed(_) => {
                (CloseReason::PeerClosed, format!("HTTP/3: {reason}"))
            }
            _ => (CloseReason::ProtocolError, format!("HTTP/3: {reason}")),
        };
        let error = Error::new(ErrorKind::Socket, Phase::Headers, message);
        self.end_with(close, error.with_source(reason.clone()));
    }

    fn fail_socket(&mut self, reason: CloseReason, error: &std::io::Error) {
        let error = socket_error("read", Phase::Headers, error);
        self.end_with(reason, error);
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) {
        loop {
            match self.quic.poll(cx) {
                Progress::Event(event) => self.on_event(event),
                Progress::Failed(error) => {
                    self.early_lost |= self.quic.conn.is_handshaking();
                    return self.fail_socket(CloseReason::IoError, &error);
                }
                Progress::Nothing => break,
            }
        }
        if self.timer.poll_reached(cx, self.until) {
            self.release();
        }
    }
}
