//! Response bodies with flow control.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use dodici_pool::{Error, ErrorKind, HeaderBlock, Phase, ResponseHead, piece_cost};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Body, Frame, SizeHint};

use super::ResponseDetail;
use super::exchange::{Item, Shared};
use crate::origin::RequestHandle;

/// A request that was sent. Dropping it before the end of the response cancels the request.
pub(super) struct Sent {
    shared: Arc<Shared>,
    handle: RequestHandle,
    ended: bool,
}

impl Sent {
    pub(super) fn new(shared: Arc<Shared>, handle: RequestHandle) -> Self {
        Self {
            shared,
            handle,
            ended: false,
        }
    }

    /// The response, once its head has arrived. `bodiless`: the request's method forbids a body in
    /// the response.
    pub(super) async fn head(mut self, bodiless: bool) -> Result<IncomingBody, Error> {
        let start = std::future::poll_fn(|cx| {
            let start = self.shared.poll_start(cx.waker());
            start.map_ok(|detail| remaining_after(detail, bodiless))
        })
        .await;
        self.ended = start.is_err();
        Ok(IncomingBody {
            remaining: start?,
            sent: self,
        })
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        if !self.ended {
            self.handle.cancel();
        }
    }
}

/// A response body. At most one window
/// ([`ExchangeConfig::window`](dodici_pool::ExchangeConfig::window)) is buffered for a slow reader.
///
/// Dropping it before its end cancels the request and closes the connection.
pub struct IncomingBody {
    sent: Sent,
    /// Remaining bytes, if the head declares them.
    remaining: Option<u64>,
}

impl IncomingBody {
    /// What the engine knows about the response beyond `http::Response`.
    #[expect(
        clippy::missing_panics_doc,
        reason = "there is no body before its head"
    )]
    pub fn detail(&self) -> &ResponseDetail {
        #[expect(clippy::expect_used, reason = "see `Sent::head`, which makes the body")]
        self.sent.shared.detail().expect("the head has arrived")
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Item> {
        let item = std::task::ready!(self.sent.shared.poll_item(cx.waker()));
        match &item {
            // The reader has taken it: as many bytes may follow.
            Item::Chunk(chunk) => {
                if let Some(remaining) = &mut self.remaining {
                    *remaining = remaining.saturating_sub(chunk.len() as u64);
                }
                // An empty one is the peer's end of an upgraded stream.
                if !chunk.is_empty() {
                    self.sent.handle.credit(piece_cost(chunk.len()));
                }
            }
            Item::End | Item::Failed(_) => self.sent.ended = true,
        }
        Poll::Ready(item)
    }

    /// The next chunk; `None` at the end.
    ///
    /// # Errors
    /// If the response is incomplete.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        if self.sent.ended {
            return Ok(None);
        }
        match std::future::poll_fn(|cx| self.poll_item(cx)).await {
            Item::Chunk(chunk) => Ok(Some(chunk)),
            Item::End => Ok(None),
            Item::Failed(error) => Err(error),
        }
    }

    /// The whole body and its trailers.
    ///
    /// # Errors
    /// If the response is incomplete.
    pub async fn collect(mut self) -> Result<(Bytes, HeaderBlock), Error> {
        let Some(first) = self.chunk().await? else {
            return Ok((Bytes::new(), self.trailers().cloned().unwrap_or_default()));
        };
        let mut all: Option<BytesMut> = None;
        while let Some(chunk) = self.chunk().await? {
            all.get_or_insert_with(|| BytesMut::from(&first[..]))
                .extend_from_slice(&chunk);
        }
        let body = all.map_or(first, BytesMut::freeze);
        Ok((body, self.trailers().cloned().unwrap_or_default()))
    }

    /// The trailers exactly as received: order, letter case and duplicates. `None` before
    /// the end of the body.
    pub fn trailers(&self) -> Option<&HeaderBlock> {
        self.sent
            .ended
            .then(|| self.sent.shared.trailers())
            .flatten()
    }

    pub(super) fn handle(&self) -> &RequestHandle {
        &self.sent.handle
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.sent.shared
    }

    pub(super) fn poll_bytes(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, Error>> {
        if self.sent.ended {
            return Poll::Ready(Ok(None));
        }
        self.poll_item(cx).map(|item| match item {
            Item::Chunk(chunk) => Ok(Some(chunk)),
            Item::End => Ok(None),
            Item::Failed(error) => Err(error),
        })
    }
}

impl Body for IncomingBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.sent.ended {
            return Poll::Ready(None);
        }
        self.poll_item(cx).map(|item| match item {
            Item::Chunk(chunk) => Some(Ok(Frame::data(chunk))),
            Item::Failed(error) => Some(Err(error)),
            Item::End => match self.trailers() {
                None => None,
                Some(trailers) if trailers.is_empty() => None,
                Some(trailers) => Some(header_map(trailers).map(Frame::trailers)),
            },
        })
    }

    fn is_end_stream(&self) -> bool {
        self.sent.ended
    }

    fn size_hint(&self) -> SizeHint {
        match self.remaining {
            Some(bytes) => SizeHint::with_exact(bytes),
            None => SizeHint::default(),
        }
    }
}

/// The length of a body, if it is known; `bodiless` as in [`Sent::head`].
fn remaining_after(detail: &ResponseDetail, bodiless: bool) -> Option<u64> {
    if bodiless || matches!(detail.head.status, 204 | 304) {
        Some(0)
    } else if detail.info.decoded {
        // The length in the head is that of the encoded body.
        None
    } else {
        declared_length(&detail.head)
    }
}

/// `Content-Length` of a response; the framing guard has checked that it can be trusted.
fn declared_length(head: &ResponseHead) -> Option<u64> {
    let text = std::str::from_utf8(head.headers.get("content-length")?).ok()?;
    text.trim().parse().ok()
}

fn header_map(block: &HeaderBlock) -> Result<HeaderMap, Error> {
    let refused = || Error::new(ErrorKind::Socket, Phase::Body, "illegal trailer field");
    let mut map = HeaderMap::with_capacity(block.len());
    for (name, value) in block.iter() {
        let name = HeaderName::from_bytes(name).map_err(|_| refused())?;
        map.append(name, HeaderValue::from_bytes(value).map_err(|_| refused())?);
    }
    Ok(map)
}

impl std::fmt::Debug for IncomingBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IncomingBody")
            .field("ended", &self.sent.ended)
            .finish_non_exhaustive()
    }
}
