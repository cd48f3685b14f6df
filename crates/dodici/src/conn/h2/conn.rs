//! An HTTP/2 connection: opens streams, and is driven by the connection's task.
//!
//! `origin::multiplex` calls it; all methods are polled from that one task and none blocks.

use std::borrow::Cow;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use dodici_pool::{
    CloseReason, Error, ErrorKind, Http2Config, OriginConfig, Phase, Protocol, Replay, Request,
    RequestKind, ResponseHead, SocketInfo,
};
use h2::client::{Connection, SendRequest};
use parking_lot::Mutex;

use super::budget::FrameBudget;
use super::head::Target;
use super::stream::H2Stream;
use super::tap::{Seen, Tap, TapIo};
use super::{CANCEL, NO_ERROR, PROTOCOL_ERROR};
use crate::conn::eof::{Ended, socket_error};
use crate::conn::framing::decoded_size;
use crate::conn::multiplexed::{
    Driven, Multiplexed, MultiplexedStream, NotOpened, Received, StreamFailure, StreamLimits,
};
use crate::connect::{Probe, Transport};

/// The first stream that a client opens (RFC 9113, section 5.1.1).
const FIRST_STREAM: u32 = 1;

/// Largest window (RFC 9113, section 6.9.1).
const MAX_WINDOW: u32 = (1 << 31) - 1;

/// RST_STREAM frames after which a connection accepts no more requests. nghttp2, and with it Node's
/// server, accepts 1,000 at once (and 33 per second) before it considers a client an attacker.
const MAX_RESETS: u32 = 800;

/// How long a peer that flooded us may take to read our GOAWAY.
const LINGER: Duration = Duration::from_millis(200);

/// h2's limit on small unconsumed DATA frames: each is charged what it lacks to 256
/// bytes, until it is consumed. 8 MiB: 32,768 of one byte each, 7 MB of memory. Streams that are
/// read never come near it, because exchanges consume what is available after each
/// [`TURN`](super::tap::TURN) and merge it; a peer that keeps sending on reset streams does.
const UNTAKEN_DATA: usize = 8 << 20;

/// Bytes that one stream buffers before they are written: two slices of a body.
const SEND_BUFFER: usize = 128 * 1024;

/// Stream id at which a connection stops accepting requests. Ids end at 2³¹ − 1 (RFC 9113, section
/// 5.1.1), which a busy connection reaches in hours; the remaining ones are for requests already
/// assigned to it.
const LAST_STREAM: u32 = (1 << 31) - (1 << 18);

/// See the module.
pub(crate) struct H2Conn {
    tap: Arc<Mutex<Tap>>,
    /// `None` once no more streams are wanted: h2 closes the connection when the last one is gone.
    sender: Option<SendRequest<Bytes>>,
    driver: Connection<TapIo, Bytes>,
    ping: Option<h2::PingPong>,
    target: Target,
    /// For response heads; reused.
    head: ResponseHead,
    seen: Seen,
    /// The stream opened last, while h2's sender may hold it; 0 for none. A held stream is not
    /// reset when the exchange drops it.
    held: u32,
    stream_window: u32,
    /// Its upper limit.
    most_window: u32,
    /// Number of streams whose windows the connection's window covers; `None` if that was
    /// configured.
    windows: Option<u32>,
    ended: bool,
}

impl H2Conn {
    /// Takes over a connected transport and sends the preface.
    ///
    /// # Errors
    /// `Socket` if the transport fails; nothing of a request was sent.
    pub(crate) async fn new(
        transport: Transport,
        config: &Http2Config,
        target: Target,
    ) -> Result<Self, Error> {
        let tap = Arc::new(Mutex::new(Tap::new(transport)));
        let stream_window = config.stream_window.clamp(1, MAX_WINDOW);
        let streams = config.max_concurrent_streams.max(1);
        let connection_window = config
            .connection_window
            .unwrap_or_else(|| stream_window.saturating_mul(streams))
            .clamp(65_535, MAX_WINDOW);
        let windows = config.connection_window.is_none().then_some(streams);
        // A stream cannot use more than the connection has.
        let most = if windows.is_some() {
            MAX_WINDOW
        } else {
            connection_window
        };
        let mut builder = h2::client::Builder::new();
        builder
            .enable_push(false)
            .initial_window_size(stream_window)
            .initial_connection_window_size(connection_window)
            .max_frame_size(config.max_frame_size.clamp(16_384, (1 << 24) - 1))
            .max_header_list_size(config.max_header_list_size)
            .initial_max_send_streams(config.streams_before_settings.max(1) as usize)
            .data_frame_budget(UNTAKEN_DATA)
            .max_send_buffer_size(SEND_BUFFER);
        if let Some(size) = config.header_table_size {
            builder.header_table_size(size);
        }
        let (sender, mut driver) =
            builder
                .handshake(TapIo(Arc::clone(&tap)))
                .await
                .map_err(|error| {
                    let info = tap.lock().socket_info();
                    let failure = tap.lock().failure.take();
                    let made = match failure {
                        Some((syscall, error)) => socket_error(syscall, Phase::Connect, &error),
                        None => Error::new(ErrorKind::Socket, Phase::Connect, error.to_string()),
                    };
                    made.with_socket(info).with_replay(Replay::Unsent)
                })?;
        Ok(Self {
            ping: driver.ping_pong(),
            tap,
            sender: Some(sender),
            driver,
            target,
            head: ResponseHead::default(),
            seen: Seen::default(),
            held: 0,
            stream_window,
            most_window: config.max_stream_window.min(most),
            windows,
            ended: false,
        })
    }

    /// Charges received fields by their decoded size: on the wire they may have been a hundredth of
    /// it.
    fn decoded(&mut self, received: &Received) {
        let fields = match received {
            Received::Informational | Received::Head => &self.head.headers,
            Received::End(Some(trailers)) => trailers,
            Received::End(None) | Received::Data(_) => return,
        };
        let bytes = decoded_size(fields);
        if bytes >= FrameBudget::PRICED_FIELDS {
            self.tap.lock().decoded(bytes);
        }
    }

    /// Whether h2 accepts another stream; wakes `cx` when it does.
    fn poll_sender(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        match &mut self.sender {
            None => Poll::Ready(false),
            Some(sender) => sender.poll_ready(cx).map(|ready| ready.is_ok()),
        }
    }

    /// Why h2 ended the connection.
    fn explain(&self, error: Option<h2::Error>) -> Ended {
        let mut tap = self.tap.lock();
        let info = tap.socket_info();
        let socket = |message: String| Error::new(ErrorKind::Socket, Phase::Headers, message);
        let (reason, made) = if tap.seen.flooded {
            let message = FrameBudget::OVERDRAWN;
            (CloseReason::ProtocolError, socket(message.to_owned()))
        } else if let Some((syscall, error)) = tap.failure.take().filter(|_| tap.seen.settings) {
            let made = socket_error(syscall, Phase::Headers, &error);
            (CloseReason::IoError, made)
        } else if let Some((_, code)) = tap.seen.goaway {
            (CloseReason::PeerClosed, goaway_error(code))
        } else {
            match error {
                Some(error) if !error.is_io() => {
                    let made = socket(format!("HTTP/2: {error}")).with_source(error);
                    (CloseReason::ProtocolError, made)
                }
                _ => (
                    CloseReason::PeerClosed,
                    socket("other side closed".to_owned()),
                ),
            }
        };
        (reason, made.with_socket(info))
    }
}

impl Multiplexed for H2Conn {
    type Stream = H2Stream;
    const PROTOCOL: Protocol = Protocol::Http2;
    const NAME: &'static str = "HTTP/2";
    const MALFORMED: u32 = PROTOCOL_ERROR;
    const UNWANTED: u32 = CANCEL;
    const GRACEFUL: u32 = NO_ERROR;
    const READS_AHEAD: bool = true;

    fn limits(config: &OriginConfig) -> StreamLimits {
        let config = &config.http2;
        StreamLimits {
            streams: config.max_concurrent_streams.max(1),
            replays: config.max_replays,
            ping_interval: config.ping_interval,
            ping_while_idle: config.ping_while_idle,
            ping_timeout: config.ping_timeout,
        }
    }

    fn code_name(code: u32) -> Cow<'static, str> {
        super::code_name(code)
    }

    fn is_first(stream: u32) -> bool {
        stream == FIRST_STREAM
    }

    /// Reads and writes. Afterwards [`H2Conn::seen`] and the limits are up to date.
    fn poll_drive(&mut self, cx: &mut Context<'_>) -> Driven {
        if self.ended {
            return Driven::Up;
        }
        self.tap.lock().begin_turn();
        let polled = Future::poll(std::pin::Pin::new(&mut self.driver), cx);
        self.seen = self.tap.lock().seen;
        if self.held != 0 && self.held <= self.seen.highest_sent {
            self.held = 0;
            // Its head has been sent, so h2 has no reason to wait and releases it.
            let _ready = self.poll_sender(cx);
        }
        match polled {
            Poll::Pending => Driven::Up,
            Poll::Ready(result) => {
                self.ended = true;
                Driven::Ended(self.explain(result.err()))
            }
        }
    }

    /// Maximum number of concurrent streams that the peer currently allows.
    fn limit(&self) -> usize {
        self.driver.max_concurrent_send_streams()
    }

    /// Whether the peer's SETTINGS have arrived, so that [`H2Conn::limit`] is the peer's.
    fn is_settled(&self) -> bool {
        self.seen.settings
    }

    /// Why the connection should accept no more requests, if so.
    fn is_leaving(&self) -> Option<CloseReason> {
        if self.seen.goaway.is_some() {
            Some(CloseReason::PeerClosed)
        } else if self.seen.foreign_kept {
            Some(CloseReason::ProtocolError)
        } else if self.seen.resets >= MAX_RESETS || self.seen.highest_sent >= LAST_STREAM {
            Some(CloseReason::NotReusable)
        } else {
            None
        }
    }

    /// Whether the peer provably has not processed this stream, and never will.
    fn is_unprocessed(&self, stream: u32) -> bool {
        self.seen.goaway.is_some_and(|(last, _)| stream > last)
            || (self.ended && stream > self.seen.highest_sent)
    }

    /// The peer sent GOAWAY with an error: as in Node, that ends the connection immediately,
    /// because responses to accepted requests may never arrive.
    fn goaway_failure(&self) -> Option<Error> {
        self.seen
            .goaway
            .filter(|(_, code)| *code != NO_ERROR)
            .and_then(|_| self.goaway_error())
    }

    /// The error for a request that the peer's GOAWAY left unprocessed.
    fn goaway_error(&self) -> Option<Error> {
        let (_, code) = self.seen.goaway?;
        Some(goaway_error(code).with_socket(self.socket_info()))
    }

    /// Checks, without waiting for the event loop, that the peer has not closed an idle connection.
    /// Whatever else it sent is read by the next drive.
    fn check(&mut self, cx: &mut Context<'_>) -> Result<(), Ended> {
        let closed = match self.tap.lock().probe(cx) {
            Probe::Clean | Probe::Data => return Ok(()),
            Probe::Closed(error) => error,
        };
        let error = match closed {
            Some(error) => socket_error("read", Phase::Queued, &error),
            None => Error::new(ErrorKind::Socket, Phase::Queued, "other side closed"),
        };
        let error = error
            .with_replay(Replay::Unsent)
            .with_socket(self.socket_info());
        Err((CloseReason::PeerClosed, error))
    }

    /// Whether h2 accepts another stream now; wakes `cx` when it does.
    fn poll_ready(&mut self, cx: &mut Context<'_>, _request: &Request) -> Poll<bool> {
        self.poll_sender(cx)
    }

    /// Opens a stream for this request. Only after [`H2Conn::poll_ready`].
    ///
    /// # Errors
    /// See [`NotOpened`].
    fn open(&mut self, request: &Request, has_body: bool) -> Result<H2Stream, NotOpened> {
        let Some(sender) = &mut self.sender else {
            return Err(NotOpened::Closed);
        };
        let head = self.target.request(request).map_err(NotOpened::Refused)?;
        let is_extended = request.kind == RequestKind::Upgrade;
        if is_extended && !sender.is_extended_connect_protocol_enabled() {
            return Err(NotOpened::Refused(Error::new(
                ErrorKind::Unserved,
                Phase::Send,
                "HTTP/2: Extended CONNECT protocol not supported by server",
            )));
        }
        match sender.send_request(head, !has_body) {
            Ok((response, body)) => {
                let stream = H2Stream::new(response, body, has_body, self.stream_window);
                self.held = stream.id();
                Ok(stream)
            }
            Err(error) if error.is_go_away() || error.is_io() || error.is_reset() => {
                Err(NotOpened::Closed)
            }
            Err(error) => Err(NotOpened::Refused(
                Error::new(ErrorKind::InvalidRequest, Phase::Send, error.to_string())
                    .with_source(error),
            )),
        }
    }

    fn head(&self) -> &ResponseHead {
        &self.head
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut H2Stream,
    ) -> Poll<Result<Received, StreamFailure>> {
        let received = ready!(stream.poll_next(cx, &mut self.head));
        if let Ok(received) = &received {
            self.decoded(received);
        }
        Poll::Ready(received)
    }

    /// The error for invalid fields on this stream that h2 does not detect; reported once.
    fn overlooked(&mut self, stream: u32, received: &Received) -> Option<&'static str> {
        // Called for every response, and hardly any has such fields.
        if self.seen.foreign && self.tap.lock().take_foreign(stream) {
            return Some("HTTP/2: a pseudo-header of a request in a response");
        }
        if let Received::End(trailers) = received
            && self.seen.last_fields
            && let Some(sent) = self.tap.lock().take_last_fields(stream)
            && let Some(trailers) = trailers
            && trailers.len() != sent as usize
        {
            // h2 does not report pseudo-headers or fields over the limit.
            return Some(
                "HTTP/2: trailers with a pseudo-header, or larger than max_header_list_size",
            );
        }
        None
    }

    /// This stream is no longer needed.
    fn forget(&mut self, stream: u32) {
        if self.seen.foreign || self.seen.last_fields {
            let mut tap = self.tap.lock();
            tap.take_foreign(stream);
            tap.take_last_fields(stream);
        }
    }

    /// Records window returned to the peer on this stream. If the window is too small for the round
    /// trip, it is doubled for all streams, and the connection's with it, so that what one reader
    /// leaves unread stays within its own share.
    fn released(&mut self, stream: &mut H2Stream, bytes: usize) {
        let window = self.stream_window;
        let Some(round_trip) = self.seen.round_trip else {
            return;
        };
        if window >= self.most_window
            || !stream.pace.took(bytes, window, round_trip, Instant::now())
        {
            return;
        }
        let wider = window.saturating_mul(2).min(self.most_window);
        // Rejected while the last change is still on its way to the peer.
        if self.driver.set_initial_window_size(wider).is_ok() {
            self.stream_window = wider;
            if let Some(streams) = self.windows {
                let all = wider.saturating_mul(streams).min(MAX_WINDOW);
                self.driver.set_target_window_size(all);
            }
        }
    }

    /// Sends a PING. False if one is still unacknowledged.
    fn send_ping(&mut self) -> bool {
        self.ping
            .as_mut()
            .is_some_and(|ping| ping.send_ping(h2::Ping::opaque()).is_ok())
    }

    /// Ready when the PING was acknowledged.
    fn poll_pong(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.ping {
            None => Poll::Pending,
            Some(ping) => match ping.poll_pong(cx) {
                Poll::Ready(Ok(_)) => Poll::Ready(()),
                // The driver reports why.
                Poll::Ready(Err(_)) | Poll::Pending => Poll::Pending,
            },
        }
    }

    /// Accepts no more streams; once the last one is gone, sends GOAWAY and closes.
    fn finish(&mut self) {
        self.sender = None;
        self.ping = None;
    }

    /// State of the socket, for errors.
    fn socket_info(&self) -> SocketInfo {
        self.tap.lock().socket_info()
    }

    /// Bytes received and sent so far.
    fn traffic(&self) -> (u64, u64) {
        self.tap.lock().traffic()
    }

    /// Whether it has to [linger](Self::linger) before it is closed: after a flood.
    fn lingers(&self) -> bool {
        self.seen.flooded
    }

    /// Sends GOAWAY, then reads some of what is in flight: closing a socket with unread bytes resets
    /// it, and the reset may overtake our GOAWAY. Ends by itself, soon.
    async fn linger(&mut self) {
        let farewell = async {
            poll_fn(|cx| self.tap.lock().poll_complain(cx)).await;
            poll_fn(|cx| self.tap.lock().poll_discard(cx)).await;
        };
        // Dropping it closes the socket.
        let _in_time = tokio::time::timeout(LINGER, farewell).await;
    }
}

/// The peer sent GOAWAY while a request was in flight.
fn goaway_error(code: u32) -> Error {
    Error::new(
        if code == NO_ERROR {
            ErrorKind::Unserved
        } else {
            ErrorKind::Socket
        },
        Phase::Headers,
        format!("HTTP/2: \"GOAWAY\" frame received with code {code}"),
    )
    .with_source(h2::Error::from(h2::Reason::from(code)))
}
