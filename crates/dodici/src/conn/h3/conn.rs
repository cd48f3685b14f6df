//! An HTTP/3 connection: opens streams, and is driven by the connection's task.

use std::borrow::Cow;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use dodici_pool::{
    BodyKind, CloseReason, Error, ErrorKind, Http3Config, OriginConfig, Phase, Protocol, Replay,
    Request, RequestKind, ResponseHead, SocketInfo,
};
use parking_lot::Mutex;
use quinn_proto::VarInt;

use super::shared::Shared;
use super::stream::H3Stream;
use super::{code, code_name, head};
use crate::conn::eof::Ended;
use crate::conn::h2::Target;
use crate::conn::multiplexed::{
    Driven, Multiplexed, NotOpened, Received, StreamFailure, StreamLimits,
};
use crate::connect::Quic;

/// Streams that we reset before the peer had ended them, after which a connection accepts no more
/// requests: as for HTTP/2, whose servers consider a client an attacker then.
const MAX_RESETS: u32 = 800;

/// Stream at which a connection stops accepting requests, so that numbers fit into 32 bits.
const LAST_STREAM: u64 = (1 << 32) - (1 << 20);

/// See the module.
pub(crate) struct H3Conn {
    shared: Arc<Mutex<Shared>>,
    target: Target,
    /// For response heads; reused.
    head: ResponseHead,
    most_fields: usize,
    /// What had been received when the peer was asked for a sign of life.
    asked: Option<u64>,
    /// What waits for its answer.
    pong: Option<Waker>,
}

impl H3Conn {
    /// Takes over a QUIC connection whose handshake is complete.
    pub(crate) fn new(quic: Box<Quic>, config: &Http3Config, target: Target) -> Self {
        let shared = Shared::new(quic, config);
        Self {
            shared: Arc::new(Mutex::new(shared)),
            target,
            head: ResponseHead::default(),
            most_fields: config.max_header_list_size as usize,
            asked: None,
            pong: None,
        }
    }
}

impl Multiplexed for H3Conn {
    type Stream = H3Stream;
    const PROTOCOL: Protocol = Protocol::Http3;
    const NAME: &'static str = "HTTP/3";
    const MALFORMED: u32 = code::MESSAGE_ERROR;
    const UNWANTED: u32 = code::REQUEST_CANCELLED;
    const GRACEFUL: u32 = code::NO_ERROR;
    const READS_AHEAD: bool = false;

    fn limits(config: &OriginConfig) -> StreamLimits {
        let config = &config.http3;
        StreamLimits {
            streams: config.max_concurrent_streams.max(1),
            replays: config.max_replays,
            ping_interval: config.ping_interval,
            ping_while_idle: config.ping_while_idle,
            ping_timeout: config.ping_timeout,
        }
    }

    fn code_name(code: u32) -> Cow<'static, str> {
        code_name(code)
    }

    fn is_first(stream: u32) -> bool {
        stream == 0
    }

    fn poll_drive(&mut self, cx: &mut Context<'_>) -> Driven {
        let mut shared = self.shared.lock();
        match &mut shared.driver {
            Some(driver) => driver.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        shared.poll(cx);
        if self
            .asked
            .is_some_and(|before| shared.quic.traffic().0 > before)
            && let Some(pong) = self.pong.take()
        {
            pong.wake();
        }
        match &shared.ended {
            Some(ended) => Driven::Ended(ended.clone()),
            None => Driven::Up,
        }
    }

    fn limit(&self) -> usize {
        self.shared.lock().limit
    }

    fn is_settled(&self) -> bool {
        self.shared.lock().peer.settled
    }

    fn is_leaving(&self) -> Option<CloseReason> {
        let shared = self.shared.lock();
        if shared.peer.goaway.is_some() {
            Some(CloseReason::PeerClosed)
        } else if shared.resets >= MAX_RESETS || shared.last >= LAST_STREAM {
            Some(CloseReason::NotReusable)
        } else {
            None
        }
    }

    fn is_unprocessed(&self, stream: u32) -> bool {
        let shared = self.shared.lock();
        // Early requests are safe, so that it does not matter.
        shared.early_lost
            || shared
                .peer
                .goaway
                .is_some_and(|first| u64::from(stream) >= first)
    }

    fn goaway_failure(&self) -> Option<Error> {
        None
    }

    fn goaway_error(&self) -> Option<Error> {
        let shared = self.shared.lock();
        shared.peer.goaway?;
        let message = "HTTP/3: the server sent GOAWAY";
        let error = Error::new(ErrorKind::Unserved, Phase::Headers, message);
        Some(error.with_socket(shared.quic.socket_info()))
    }

    fn check(&mut self, cx: &mut Context<'_>) -> Result<(), Ended> {
        let mut shared = self.shared.lock();
        let driver = shared.driver.clone();
        if crate::clock::past_the_reactor(|| shared.quic.receive(cx)) {
            let mut cx = Context::from_waker(driver.as_ref().unwrap_or(Waker::noop()));
            shared.poll(&mut cx);
        }
        match &shared.ended {
            None => Ok(()),
            Some((reason, error)) => {
                let error = error.clone().with_phase(Phase::Queued);
                Err((*reason, error.with_replay(Replay::Unsent)))
            }
        }
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>, request: &Request) -> Poll<bool> {
        let mut shared = self.shared.lock();
        if shared.ended.is_some() || shared.peer.goaway.is_some() {
            return Poll::Ready(false);
        }
        let too_early = shared.quic.is_early() && (shared.too_early || !is_safe(request));
        if shared.spare.is_empty() || too_early {
            shared.opener = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(true)
    }

    fn open(&mut self, request: &Request, has_body: bool) -> Result<H3Stream, NotOpened> {
        let mut shared = self.shared.lock();
        let made = self.target.request(request).map_err(NotOpened::Refused)?;
        let refused = |message: &'static str| {
            NotOpened::Refused(Error::new(ErrorKind::Unserved, Phase::Send, message))
        };
        if request.kind == RequestKind::Upgrade && !shared.peer.connects {
            return Err(refused(
                "HTTP/3: Extended CONNECT protocol not supported by server",
            ));
        }
        let mut section = Vec::with_capacity(request.head.len() + 32);
        head::put_request(&mut section, &made);
        let size = request.head.len() + 32 * made.headers().len();
        if shared
            .peer
            .most_fields
            .is_some_and(|most| size as u64 > most)
        {
            return Err(refused(
                "HTTP/3: the server does not accept such a large head",
            ));
        }
        let Some(id) = shared.spare.pop_front() else {
            return Err(NotOpened::Closed);
        };
        shared.last = u64::from(id);
        shared.wakers.insert(id, None);
        shared.peer.earn();
        drop(shared);
        Ok(H3Stream::new(
            Arc::clone(&self.shared),
            id,
            section,
            has_body,
            self.most_fields,
        ))
    }

    fn head(&self) -> &ResponseHead {
        &self.head
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut H3Stream,
    ) -> Poll<Result<Received, StreamFailure>> {
        stream.poll_next(cx, &mut self.head)
    }

    fn overlooked(&mut self, _stream: u32, _received: &Received) -> Option<&'static str> {
        None
    }

    fn forget(&mut self, _stream: u32) {}

    fn released(&mut self, _stream: &mut H3Stream, _bytes: usize) {}

    fn send_ping(&mut self) -> bool {
        let mut shared = self.shared.lock();
        if self.asked.is_some() || shared.ended.is_some() {
            return false;
        }
        self.asked = Some(shared.quic.traffic().0);
        shared.quic.conn.ping();
        shared.wake_driver();
        true
    }

    fn poll_pong(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let received = self.shared.lock().quic.traffic().0;
        match self.asked {
            Some(before) if received > before => {
                self.asked = None;
                Poll::Ready(())
            }
            _ => {
                self.pong = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn finish(&mut self) {
        let mut shared = self.shared.lock();
        if !shared.quic.conn.is_closed() {
            shared.quic.close(VarInt::from_u32(code::NO_ERROR), "");
        }
    }

    fn socket_info(&self) -> SocketInfo {
        self.shared.lock().quic.socket_info()
    }

    fn traffic(&self) -> (u64, u64) {
        self.shared.lock().quic.traffic()
    }

    fn lingers(&self) -> bool {
        false
    }

    async fn linger(&mut self) {}
}

/// Whether a request may be sent twice: an attacker can repeat early data (RFC 8470).
fn is_safe(request: &Request) -> bool {
    let has_method = |method: &[u8]| request.head.starts_with(method);
    matches!(request.kind, RequestKind::Plain | RequestKind::Head)
        && matches!(request.body, BodyKind::None)
        && (has_method(b"GET ") || has_method(b"HEAD ") || has_method(b"OPTIONS "))
}
