//! A connection that carries many exchanges at once, each on a stream of its own: what `origin` and
//! `exchange` need of HTTP/2 and HTTP/3.
//!
//! Implemented by `h2` and `h3`. All methods are polled from the connection's task, and none
//! blocks.

use std::borrow::Cow;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use dodici_pool::{
    CloseReason, Error, HeaderBlock, OriginConfig, Protocol, Request, ResponseHead, SocketInfo,
};

use super::eof::Ended;

/// The state of a connection after it was driven.
pub(crate) enum Driven {
    /// It is open. Streams may have progress to report.
    Up,
    /// It has ended, for this reason.
    Ended(Ended),
}

/// Why a request got no stream.
pub(crate) enum NotOpened {
    /// It cannot be sent on any connection.
    Refused(Error),
    /// The connection accepts no more streams.
    Closed,
}

/// The next event of a stream.
pub(crate) enum Received {
    /// An informational head: [`Multiplexed::head`].
    Informational,
    /// The final head: [`Multiplexed::head`].
    Head,
    /// A chunk of the body, possibly empty.
    Data(Bytes),
    /// The end, with trailers if there were any.
    End(Option<HeaderBlock>),
}

/// Why a stream failed.
#[derive(Debug)]
pub(crate) struct StreamFailure {
    /// The protocol's error code, if it was reset.
    pub(crate) code: Option<u32>,
    /// The peer has said that it did not process the request.
    pub(crate) refused: bool,
    /// What is wrong; may be empty if there is a code.
    pub(crate) message: Cow<'static, str>,
}

/// What the configuration says about such a connection.
#[derive(Clone, Copy)]
pub(crate) struct StreamLimits {
    /// Concurrent requests, at least one.
    pub(crate) streams: u32,
    /// How often a request is sent again that was not processed.
    pub(crate) replays: u8,
    pub(crate) ping_interval: Option<Duration>,
    pub(crate) ping_while_idle: bool,
    pub(crate) ping_timeout: Duration,
}

/// See the module.
pub(crate) trait Multiplexed {
    type Stream: MultiplexedStream;
    const PROTOCOL: Protocol;
    /// `HTTP/2`, for messages.
    const NAME: &'static str;
    /// The error code of a stream on which the peer violated the protocol.
    const MALFORMED: u32;
    /// That of a stream that is no longer needed.
    const UNWANTED: u32;
    /// That of a stream that ends without an error.
    const GRACEFUL: u32;
    /// Whether what a stopped reader leaves must be read nevertheless, up to its window: the
    /// window is returned by [`MultiplexedStream::release`], not by reading.
    const READS_AHEAD: bool;

    fn limits(config: &OriginConfig) -> StreamLimits;

    /// The name of an error code, in messages.
    fn code_name(code: u32) -> Cow<'static, str>;

    /// Whether this was the first stream that the connection opened.
    fn is_first(stream: u32) -> bool;

    /// Reads and writes.
    fn poll_drive(&mut self, cx: &mut Context<'_>) -> Driven;

    /// Maximum number of concurrent streams that the peer currently allows.
    fn limit(&self) -> usize;

    /// Whether the peer's SETTINGS have arrived, so that [`Multiplexed::limit`] is the peer's.
    fn is_settled(&self) -> bool;

    /// Why the connection should accept no more requests, if so.
    fn is_leaving(&self) -> Option<CloseReason>;

    /// Whether the peer provably has not processed this stream, and never will.
    fn is_unprocessed(&self, stream: u32) -> bool;

    /// The peer announced that it will close the connection, because of an error: that ends it.
    fn goaway_failure(&self) -> Option<Error>;

    /// The error for a request that the peer's GOAWAY left unprocessed.
    fn goaway_error(&self) -> Option<Error>;

    /// Checks, without waiting for the event loop, that the peer has not closed an idle connection.
    ///
    /// # Errors
    /// How it ended.
    fn check(&mut self, cx: &mut Context<'_>) -> Result<(), Ended>;

    /// Whether a stream can be opened for this request now; wakes `cx` when it can. False if never.
    fn poll_ready(&mut self, cx: &mut Context<'_>, request: &Request) -> Poll<bool>;

    /// Opens a stream for this request. Only after [`Multiplexed::poll_ready`].
    ///
    /// # Errors
    /// See [`NotOpened`].
    fn open(&mut self, request: &Request, has_body: bool) -> Result<Self::Stream, NotOpened>;

    /// The head that was received last.
    fn head(&self) -> &ResponseHead;

    /// The next event of a stream.
    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut Self::Stream,
    ) -> Poll<Result<Received, StreamFailure>>;

    /// The error for invalid fields on this stream that the protocol library does not detect;
    /// reported once.
    fn overlooked(&mut self, stream: u32, received: &Received) -> Option<&'static str>;

    /// This stream is no longer needed.
    fn forget(&mut self, stream: u32);

    /// Records window returned to the peer on this stream.
    fn released(&mut self, stream: &mut Self::Stream, bytes: usize);

    /// Asks the peer for a sign of life. False if it has been asked and has not answered.
    fn send_ping(&mut self) -> bool;

    /// Ready when it has answered.
    fn poll_pong(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// Accepts no more streams; once the last one is gone, closes.
    fn finish(&mut self);

    /// State of the socket, for errors.
    fn socket_info(&self) -> SocketInfo;

    /// Bytes received and sent so far.
    fn traffic(&self) -> (u64, u64);

    /// Whether it has to [linger](Multiplexed::linger) before it is closed.
    fn lingers(&self) -> bool;

    /// Waits until the peer has heard of the end. Ends by itself, soon.
    fn linger(&mut self) -> impl Future<Output = ()> + Send;
}

/// One stream. Dropping it resets it unless both sides have ended.
pub(crate) trait MultiplexedStream {
    fn id(&self) -> u32;

    /// Returns window to the peer, as far as the reader has room: `room` is what it can still
    /// accept, `most` its total capacity, `held` what was taken and not delivered. Returns how much
    /// was returned.
    fn release(&mut self, held: usize, room: usize, most: usize) -> usize;

    /// How much room a reader must have for [`MultiplexedStream::release`] to have an effect.
    /// `None` if there is no such limit.
    fn release_from(&self, room: usize, most: usize) -> Option<usize>;

    /// Whether the request body has not ended.
    fn is_sending(&self) -> bool;

    /// Ready when the peer refuses the rest of the request body, or the connection has ended.
    fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<StreamFailure>;

    /// Ready when there is room for some of the available bytes, with how many. 0 if the stream
    /// accepts no more.
    fn poll_room(&mut self, cx: &mut Context<'_>, wanted: usize) -> Poll<usize>;

    /// No bytes are available: room that was not used returns to the other streams.
    fn leave_room(&mut self);

    /// Sends a piece of the body, the last one with `end`: as much as
    /// [`MultiplexedStream::poll_room`] returned, or all of a body in memory.
    fn send(&mut self, chunk: Bytes, end: bool);

    /// Ends the body with these trailers.
    ///
    /// # Errors
    /// `InvalidRequest` for invalid trailers.
    fn send_trailers(&mut self, trailers: &HeaderBlock) -> Result<(), Error>;

    /// Resets the stream with this error code.
    fn reset(&mut self, code: u32);
}
