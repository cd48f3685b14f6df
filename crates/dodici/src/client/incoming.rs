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

/// A response body. At most one window
/// ([`ExchangeConfig::window`](dodici_pool::ExchangeConfig::window)) is buffered for a slow reader.
///
/// Dropping it before its end cancels the request and closes the connection.
pub struct IncomingBody {
    shared: Arc<Shared>,
    handle: RequestHandle,
    trailers: Option<HeaderBlock>,
    ended: bool,
    /// Remaining bytes, if the head declares them.
    remaining: Option<u64>,
}

impl IncomingBody {
    pub(super) fn new(shared: Arc<Shared>, handle: RequestHandle) -> Self {
        Self {
            shared,
            handle,
            trailers: None,
            ended: false,
            remaining: None,
        }
    }

    /// `bodiless`: the request's method forbids a body in the response.
    pub(super) async fn head(&mut self, bodiless: bool) -> Result<ResponseDetail, Error> {
        let start = std::future::poll_fn(|cx| self.shared.poll_start(cx.waker())).await;
        self.ended = start.is_err();
        let start = start?;
        self.remaining = if bodiless || matches!(start.head.status, 204 | 304) {
            Some(0)
        } else if start.info.decoded {
            // The length in the head is that of the encoded body.
            None
        } else {
            declared_length(&start.head)
        };
        Ok(start)
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Item> {
        let item = std::task::ready!(self.shared.poll_item(cx.waker()));
        match &item {
            // The reader has taken it: as many bytes may follow.
            Item::Chunk(chunk) => {
                if let Some(remaining) = &mut self.remaining {
                    *remaining = remaining.saturating_sub(chunk.len() as u64);
                }
                // An empty one is the peer's end of an upgraded stream.
                if !chunk.is_empty() {
                    self.handle.credit(piece_cost(chunk.len()));
                }
            }
            Item::End(_) | Item::Failed(_) => self.ended = true,
        }
        Poll::Ready(item)
    }

    /// The next chunk; `None` at the end.
    ///
    /// # Errors
    /// If the response is incomplete.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        if self.ended {
            return Ok(None);
        }
        match std::future::poll_fn(|cx| self.poll_item(cx)).await {
            Item::Chunk(chunk) => Ok(Some(chunk)),
            Item::End(trailers) => {
                self.trailers = Some(trailers);
                Ok(None)
            }
            Item::Failed(error) => Err(error),
        }
    }

    /// The whole body and its trailers.
    ///
    /// # Errors
    /// If the response is incomplete.
    pub async fn collect(mut self) -> Result<(Bytes, HeaderBlock), Error> {
        let Some(first) = self.chunk().await? else {
            return Ok((Bytes::new(), self.trailers.take().unwrap_or_default()));
        };
        let mut all: Option<BytesMut> = None;
        while let Some(chunk) = self.chunk().await? {
            all.get_or_insert_with(|| BytesMut::from(&first[..]))
                .extend_from_slice(&chunk);
        }
        let body = all.map_or(first, BytesMut::freeze);
        Ok((body, self.trailers.take().unwrap_or_default()))
    }

    /// The trailers exactly as received: order, letter case and duplicates. `None` before
    /// the end of the body.
    pub fn trailers(&self) -> Option<&HeaderBlock> {
        self.trailers.as_ref()
    }

    pub(super) fn handle(&self) -> &RequestHandle {
        &self.handle
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(super) fn poll_bytes(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, Error>> {
        if self.ended {
            return Poll::Ready(Ok(None));
        }
        self.poll_item(cx).map(|item| match item {
            Item::Chunk(chunk) => Ok(Some(chunk)),
            Item::End(_) => Ok(None),
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
        if self.ended {
            return Poll::Ready(None);
        }
        self.poll_item(cx).map(|item| match item {
            Item::Chunk(chunk) => Some(Ok(Frame::data(chunk))),
            Item::Failed(error) => Some(Err(error)),
            Item::End(trailers) if trailers.is_empty() => None,
            Item::End(trailers) => Some(header_map(&trailers).map(|map| {
                self.trailers = Some(trailers);
                Frame::trailers(map)
            })),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        match self.remaining {
            Some(bytes) => SizeHint::with_exact(bytes),
            None => SizeHint::default(),
        }
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
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

impl Drop for IncomingBody {
    fn drop(&mut self) {
        if !self.ended {
            self.handle.cancel();
        }
    }
}
