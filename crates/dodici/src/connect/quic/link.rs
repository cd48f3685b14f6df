//! A QUIC connection: quinn-proto's state machine with its socket and its timer.
//!
//! Owned by the connection's task, which polls it: there is no other task, and no endpoint that
//! several connections share. Must not know HTTP.

use std::any::Any;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use dodici_pool::SocketInfo;
use quinn_proto::{
    Connection, ConnectionHandle, DatagramEvent, EcnCodepoint, Endpoint, Event, Transmit, VarInt,
};
use tokio::time::Instant;

use super::early::Early;
use super::socket::Udp;
use crate::clock::Timer;

/// Datagrams handed to the kernel at once. 16: as much as a pacer releases in a few milliseconds.
const SEGMENTS: usize = 16;

/// Calls to send before other work gets its turn.
const SENDS: usize = 32;

/// Calls to receive before other work gets its turn.
const RECEIVES: usize = 4;

/// How often in a row the system may report that nobody listens at the peer's address. A single
/// report may be forged or outdated; three answers to three probes are not.
const REFUSALS: u32 = 3;

/// How long a peer must have been silent before its path is examined, and how often it is. 1 s: a
/// few round trips, and far less than the timeouts that end a connection.
const SILENCE: Duration = Duration::from_secs(1);

/// Code of a connection that ends without an error (H3_NO_ERROR; RFC 9114, section 8.1).
const NO_ERROR: VarInt = VarInt::from_u32(0x100);

/// See the module.
pub(crate) struct Quic {
    pub(crate) conn: Connection,
    handle: ConnectionHandle,
    endpoint: Endpoint,
    socket: Udp,
    timer: Timer,
    /// What the kernel has not accepted yet, in `buffer`.
    unsent: Option<Transmit>,
    buffer: Vec<u8>,
    peer: SocketAddr,
    /// Bytes received and sent.
    traffic: (u64, u64),
    refusals: u32,
    /// Its handshake is not complete, and requests are sent nevertheless.
    early: Option<Early>,
    /// Opens another socket to the peer.
    reopen: Option<Box<dyn Fn() -> Option<Udp> + Send>>,
    /// When something was received last, or the path was examined.
    heard: Instant,
    /// Why the socket is of no use any more.
    failure: Option<io::Error>,
    /// What counts the connection, dropped with the socket.
    permit: Option<Box<dyn Any + Send + Sync>>,
}

/// Result of [`Quic::poll`].
pub(crate) enum Progress {
    /// Something happened: poll again.
    Event(Event),
    /// The socket failed.
    Failed(io::Error),
    /// Nothing for now; the task is woken.
    Nothing,
}

impl Quic {
    pub(in crate::connect) fn new(
        endpoint: Endpoint,
        handle: ConnectionHandle,
        conn: Connection,
        socket: Udp,
        peer: SocketAddr,
    ) -> Self {
        Self {
            conn,
            handle,
            endpoint,
            socket,
            timer: Timer::new(),
            unsent: None,
            buffer: Vec::new(),
            peer,
            traffic: (0, 0),
            refusals: 0,
            early: None,
            reopen: None,
            heard: Instant::now(),
            failure: None,
            permit: None,
        }
    }

    /// Requests are sent although the handshake is not complete.
    pub(in crate::connect) fn begin_early(&mut self, early: Early) {
        self.early = Some(early);
    }

    /// Whether the handshake is not complete.
    pub(crate) fn is_early(&self) -> bool {
        self.early.is_some()
    }

    /// The handshake is complete. False if the server has refused what was sent before.
    pub(crate) fn finish_early(&mut self) -> bool {
        let Some(early) = self.early.take() else {
            return true;
        };
        let accepted = self.conn.accepted_0rtt();
        if accepted {
            early.address.learn(self.peer);
        }
        accepted
    }

    /// How another socket is opened when the local address changes.
    pub(in crate::connect) fn reopen_with(
        &mut self,
        reopen: impl Fn() -> Option<Udp> + Send + 'static,
    ) {
        self.reopen = Some(Box::new(reopen));
    }

    /// Reads, and returns the next event; once there is none, writes.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Progress {
        let mut left = RECEIVES;
        loop {
            if let Some(event) = self.conn.poll() {
                return Progress::Event(event);
            }
            self.tell_endpoint();
            if !self.conn.is_handshaking() {
                self.socket.ignore_errors();
            } else if let Poll::Ready(error) = self.socket.poll_error(cx) {
                self.refused(error);
            }
            if left > 0 && self.receive(cx) {
                left -= 1;
                if left == 0 {
                    cx.waker().wake_by_ref();
                }
                continue;
            }
            if self.pass_time(cx) {
                continue;
            }
            break;
        }
        self.send(cx);
        // What was sent may have moved a timer.
        let due = self.due();
        if self.timer.poll_reached(cx, due) {
            cx.waker().wake_by_ref();
        }
        match self.failure.take() {
            Some(error) => Progress::Failed(error),
            None => Progress::Nothing,
        }
    }

    /// Whether it received something, without waiting for the event loop.
    pub(crate) fn receive(&mut self, cx: &mut Context<'_>) -> bool {
        let now = Instant::now().into_std();
        let (conn, endpoint, handle) = (&mut self.conn, &mut self.endpoint, self.handle);
        let mut response = Vec::new();
        let received = self.socket.poll_receive(cx, |meta, bytes| {
            let mut rest = BytesMut::from(bytes);
            while !rest.is_empty() {
                let datagram = rest.split_to(meta.stride.min(rest.len()));
                let ecn = meta
                    .ecn
                    .map(|ecn| ecn as u8)
                    .and_then(EcnCodepoint::from_bits);
                match endpoint.handle(now, meta.addr, None, ecn, datagram, &mut response) {
                    Some(DatagramEvent::ConnectionEvent(to, event)) if to == handle => {
                        conn.handle_event(event);
                    }
                    // Not ours: there is nothing to tell a peer whose packets belong to nobody.
                    _ => response.clear(),
                }
            }
        });
        match received {
            Poll::Pending => false,
            Poll::Ready(Ok(bytes)) => {
                self.traffic.0 += bytes as u64;
                self.refusals = 0;
                self.heard = Instant::now();
                true
            }
            Poll::Ready(Err(error)) => {
                self.refused(error);
                true
            }
        }
    }

    fn refused(&mut self, error: io::Error) {
        if error.kind() != io::ErrorKind::ConnectionRefused {
            return;
        }
        self.refusals += 1;
        if self.conn.is_handshaking() || self.refusals >= REFUSALS {
            self.failure.get_or_insert(error);
        }
    }

    /// Whether a timer has expired.
    fn pass_time(&mut self, cx: &mut Context<'_>) -> bool {
        let until = self.early.as_ref().and_then(|early| early.until);
        if until.is_some_and(|until| until <= Instant::now()) {
            self.early = None;
            self.failure.get_or_insert(io::ErrorKind::TimedOut.into());
        }
        let due = self.due();
        let passed = self.timer.poll_reached(cx, due);
        if passed {
            let now = Instant::now();
            self.conn.handle_timeout(now.into_std());
            if now.duration_since(self.heard) >= SILENCE {
                self.examine(now);
            }
        }
        passed
    }

    fn due(&mut self) -> Option<Instant> {
        let due = self.conn.poll_timeout().map(Instant::from_std);
        let until = self.early.as_ref().and_then(|early| early.until);
        [due, until].into_iter().flatten().min()
    }

    /// The peer is silent, or cannot be reached: if the system would use another address by now,
    /// the connection moves there (RFC 9000, section 9.2).
    fn examine(&mut self, now: Instant) {
        self.heard = now;
        if self.conn.is_handshaking() || self.conn.is_closed() {
            return;
        }
        let Some(socket) = self.reopen.as_ref().and_then(|reopen| reopen()) else {
            return;
        };
        let ip = |socket: &Udp| socket.local_addr().map(|address| address.ip());
        if ip(&socket) != ip(&self.socket) {
            self.move_to(socket, now);
        }
    }

    pub(in crate::connect) fn move_to(&mut self, socket: Udp, now: Instant) {
        self.socket = socket;
        self.unsent = None;
        self.conn.path_changed(now.into_std());
        self.conn.local_address_changed();
    }

    fn tell_endpoint(&mut self) {
        while let Some(event) = self.conn.poll_endpoint_events() {
            if let Some(event) = self.endpoint.handle_event(self.handle, event) {
                self.conn.handle_event(event);
            }
        }
    }

    /// Sends what is due. Also called when the runtime has ended, and so without its timers.
    fn send(&mut self, cx: &mut Context<'_>) {
        let segments = self.socket.segments().min(SEGMENTS);
        for _ in 0..SENDS {
            if self.unsent.is_none() {
                self.buffer.clear();
                let now = Instant::now().into_std();
                self.unsent = self.conn.poll_transmit(now, segments, &mut self.buffer);
            }
            let Some(transmit) = &self.unsent else {
                return;
            };
            let datagrams = quinn_udp::Transmit {
                destination: transmit.destination,
                ecn: transmit
                    .ecn
                    .and_then(|ecn| quinn_udp::EcnCodepoint::from_bits(ecn as u8)),
                contents: &self.buffer[..transmit.size],
                segment_size: transmit.segment_size,
                src_ip: None,
            };
            match self.socket.poll_send(cx, &datagrams) {
                Poll::Pending => return,
                Poll::Ready(Ok(())) => self.traffic.1 += transmit.size as u64,
                // A datagram that cannot be sent is a lost one, as on the way.
                Poll::Ready(Err(error)) => {
                    if self.conn.is_handshaking() && !is_transient(&error) {
                        self.failure.get_or_insert(error);
                    } else if is_unreachable(&error) {
                        let now = Instant::now();
                        if now.duration_since(self.heard) >= SILENCE {
                            self.examine(now);
                        }
                    } else {
                        self.refused(error);
                    }
                }
            }
            self.unsent = None;
        }
        cx.waker().wake_by_ref();
    }

    /// Ends the connection, and tells the peer why, as far as the kernel accepts it immediately.
    pub(crate) fn close(&mut self, code: VarInt, reason: &'static str) {
        self.conn.close(
            Instant::now().into_std(),
            code,
            Bytes::from_static(reason.as_bytes()),
        );
        self.send(&mut Context::from_waker(std::task::Waker::noop()));
    }

    /// Keeps what counts the connection as long as the socket.
    pub(crate) fn count(&mut self, permit: impl Any + Send + Sync) {
        self.permit = Some(Box::new(permit));
    }

    /// Local and remote address.
    pub(crate) fn addresses(&self) -> (Option<SocketAddr>, SocketAddr) {
        (self.socket.local_addr(), self.peer)
    }

    /// Bytes received and sent so far, as datagrams.
    pub(crate) fn traffic(&self) -> (u64, u64) {
        self.traffic
    }

    /// The state of the socket, for errors.
    pub(crate) fn socket_info(&self) -> SocketInfo {
        let mut info = SocketInfo::default();
        (info.local, info.remote) = (self.socket.local_addr(), Some(self.peer));
        (info.bytes_read, info.bytes_written) = self.traffic;
        info
    }
}

/// Whether the local address may be gone.
fn is_unreachable(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::AddrNotAvailable
            | io::ErrorKind::InvalidInput
    )
}

/// Whether the same datagram might be sent later, or a smaller one now.
fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::Interrupted | io::ErrorKind::OutOfMemory
    )
}

impl Drop for Quic {
    fn drop(&mut self) {
        if !self.conn.is_closed() {
            self.close(NO_ERROR, "");
        }
    }
}
