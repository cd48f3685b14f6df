//! One stream of an HTTP/2 connection: the outgoing request body and the incoming response. Polled
//! by the exchange; dropping it resets the stream unless both sides have ended.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use dodici_pool::{Error, HeaderBlock, ResponseHead};
use h2::client::ResponseFuture;
use h2::{Reason, RecvStream, SendStream};

use super::head::{fill, header_block, trailer_map};
use super::pace::Pace;
use crate::conn::multiplexed::{MultiplexedStream, Received, StreamFailure};

const REFUSED_STREAM: u32 = 7;

/// See the module.
pub(crate) struct H2Stream {
    incoming: Incoming,
    outgoing: SendStream<Bytes>,
    /// The request body has not ended.
    sending: bool,
    id: u32,
    /// Bytes read from h2 whose window was not returned to the peer.
    unreleased: usize,
    window: usize,
    pub(super) pace: Pace,
}

enum Incoming {
    Head(ResponseFuture),
    Body(RecvStream),
}

impl From<h2::Error> for StreamFailure {
    fn from(error: h2::Error) -> Self {
        let code = error.reason().filter(|_| error.is_reset()).map(u32::from);
        Self {
            code,
            refused: error.is_remote() && code == Some(REFUSED_STREAM),
            message: match code {
                None => error.to_string().into(),
                Some(_) => "".into(),
            },
        }
    }
}

impl H2Stream {
    pub(super) fn new(
        response: ResponseFuture,
        body: SendStream<Bytes>,
        has_body: bool,
        window: u32,
    ) -> Self {
        Self {
            id: response.stream_id().as_u32(),
            incoming: Incoming::Head(response),
            outgoing: body,
            sending: has_body,
            unreleased: 0,
            window: window as usize,
            pace: Pace::new(Instant::now()),
        }
    }

    /// The next event from the peer.
    pub(super) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        head: &mut ResponseHead,
    ) -> Poll<Result<Received, StreamFailure>> {
        match &mut self.incoming {
            Incoming::Head(response) => {
                // h2 discards informational heads when it is polled for the final one.
                if let Poll::Ready(Some(Ok(interim))) = response.poll_informational(cx) {
                    fill(head, &interim);
                    return Poll::Ready(Ok(Received::Informational));
                }
                let response = ready!(Pin::new(response).poll(cx))?;
                fill(head, &response);
                self.incoming = Incoming::Body(response.into_body());
                Poll::Ready(Ok(Received::Head))
            }
            Incoming::Body(body) => match ready!(body.poll_data(cx)) {
                Some(chunk) => {
                    let chunk = chunk?;
                    self.unreleased += chunk.len();
                    Poll::Ready(Ok(Received::Data(chunk)))
                }
                None => {
                    let trailers = ready!(body.poll_trailers(cx))?;
                    let block = trailers.as_ref().map(header_block);
                    Poll::Ready(Ok(Received::End(block)))
                }
            },
        }
    }
}

impl MultiplexedStream for H2Stream {
    fn id(&self) -> u32 {
        self.id
    }

    /// Returns window to the peer, as far as the reader has room: `room` is what it can still
    /// accept, `most` its total capacity.
    ///
    /// What the peer may send and what it has sent must stay within the reader's room:
    /// `window - unreleased <= room`, and so `unreleased >= window - room` is kept back. A window
    /// larger than the reader's whole room counts as that. Worked through for a window and a
    /// reader of 256 KiB each: after 100 KiB that were delivered and not credited, `room` is
    /// 156 KiB, 100 KiB are kept back, and nothing is released; once 60 KiB of them were credited,
    /// 60 KiB are.
    ///
    /// What was taken from h2 and not delivered, `held`, is kept back as well.
    ///
    /// Returns how much was returned.
    fn release(&mut self, held: usize, room: usize, most: usize) -> usize {
        let window = self.window.min(most);
        let keep = window.saturating_sub(room).saturating_add(held);
        let release = self.unreleased.saturating_sub(keep);
        // h2 sends an update for half a window at a time; below that, calling it is wasted work.
        if release * 4 < window || release == 0 {
            return 0;
        }
        if let Incoming::Body(body) = &mut self.incoming
            && body.flow_control().release_capacity(release).is_ok()
        {
            self.unreleased -= release;
            return release;
        }
        0
    }

    /// How much room a reader must have for [`Self::release`] to have an effect: a quarter of a
    /// window more than `room`. `None` if it already has it all.
    fn release_from(&self, room: usize, most: usize) -> Option<usize> {
        let window = self.window.min(most);
        (room < window).then(|| window.min(room + window / 4))
    }

    // --- towards the peer ---

    /// Whether the request body has not ended.
    fn is_sending(&self) -> bool {
        self.sending
    }

    /// Ready when the peer has reset the stream, or the connection has ended, while the request
    /// body was being sent. Pending once it has ended: see [`Self::is_sending`].
    fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<StreamFailure> {
        if !self.sending {
            return Poll::Pending;
        }
        self.outgoing.poll_reset(cx).map(|reason| match reason {
            Ok(reason) => StreamFailure {
                code: Some(reason.into()),
                refused: reason == Reason::REFUSED_STREAM,
                message: "".into(),
            },
            Err(error) => error.into(),
        })
    }

    /// Ready when there is window for some of the available bytes, with how many; window reserved
    /// here is withheld from other streams. 0 if the stream accepts no more.
    fn poll_room(&mut self, cx: &mut Context<'_>, wanted: usize) -> Poll<usize> {
        if !self.sending {
            return Poll::Ready(0);
        }
        self.outgoing.reserve_capacity(wanted);
        loop {
            let room = self.outgoing.capacity();
            if room > 0 {
                return Poll::Ready(room);
            }
            match ready!(self.outgoing.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                // The receiving side reports why, or `poll_reset` once that has ended.
                Some(Err(_)) | None => return Poll::Ready(0),
            }
        }
    }

    /// No bytes are available: window that [`Self::poll_room`] reserved and that was not used
    /// returns to the other streams.
    fn leave_room(&mut self) {
        if self.sending {
            self.outgoing.reserve_capacity(0);
        }
    }

    /// Sends a piece of the body, the last one with `end`: as much as [`Self::poll_room`]
    /// returned, or all of a body in memory, of which h2 buffers what the window does not allow.
    fn send(&mut self, chunk: Bytes, end: bool) {
        if !self.sending {
            return;
        }
        // An error here is reported on the receiving side, or by `poll_reset`.
        let _sent = self.outgoing.send_data(chunk, end);
        self.sending = !end;
    }

    /// Ends the body with these trailers.
    ///
    /// # Errors
    /// `InvalidRequest` for invalid trailers.
    fn send_trailers(&mut self, trailers: &HeaderBlock) -> Result<(), Error> {
        if trailers.is_empty() {
            self.send(Bytes::new(), true);
            return Ok(());
        }
        let trailers = trailer_map(trailers)?;
        if std::mem::take(&mut self.sending) {
            // As above.
            let _ = self.outgoing.send_trailers(trailers);
        }
        Ok(())
    }

    /// Resets the stream with this error code (RFC 9113, section 7). Dropping it does so with
    /// CANCEL unless both sides have ended.
    fn reset(&mut self, code: u32) {
        self.outgoing.send_reset(code.into());
    }
}
