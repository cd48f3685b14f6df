//! Feeds an `http_body::Body` to a request, no faster than the connection asks for.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use dodici_pool::{BodyKind, Error, ErrorKind, HeaderBlock, Phase};
use http::HeaderMap;
use http_body::Body;

use super::exchange::Shared;
use super::request_head::write_title_case;
use super::{RawTrailers, SendBody};
use crate::origin::RequestHandle;

/// How a body is framed; the body itself if it is not sent with the head. `chunked`: regardless of
/// its length.
pub(super) fn kind<B: Body>(body: SendBody<B>, chunked: bool) -> (BodyKind, Option<SendBody<B>>) {
    let length = match &body {
        SendBody::Full(bytes) if bytes.is_empty() => return (BodyKind::None, None),
        SendBody::Full(_) if chunked => None,
        SendBody::Full(bytes) => return (BodyKind::Full(bytes.clone()), None),
        SendBody::Stream(body) if body.is_end_stream() => return (BodyKind::None, None),
        SendBody::Stream(_) if chunked => None,
        SendBody::Stream(body) => body.size_hint().exact(),
    };
    let kind = length.map_or(BodyKind::Chunked, BodyKind::Sized);
    (kind, Some(body))
}

/// How the trailers of a body are written.
pub(super) struct Trailers {
    /// These instead of the body's.
    pub(super) raw: Option<RawTrailers>,
    pub(super) title_case: bool,
}

impl Trailers {
    fn write(self, trailers: &HeaderMap) -> HeaderBlock {
        if let Some(RawTrailers(raw)) = self.raw {
            return raw;
        }
        let mut name = BytesMut::new();
        let mut block = HeaderBlock::new();
        for (known, value) in trailers {
            name.clear();
            if self.title_case {
                write_title_case(&mut name, known.as_str());
            } else {
                name.extend_from_slice(known.as_str().as_bytes());
            }
            block.push(&name, value.as_bytes());
        }
        block
    }
}

/// Feeds the body to the request until it ends, fails, or the response is over.
pub(super) async fn pump<B>(body: B, trailers: Trailers, shared: Arc<Shared>, handle: RequestHandle)
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let handle = Unfinished(Some(handle));
    let mut body = pin!(body);
    let mut allowed: i64 = 0;
    loop {
        while allowed <= 0 {
            match std::future::poll_fn(|cx| shared.poll_pull(cx.waker())).await {
                Some(more) => allowed += i64::from(more),
                None => return handle.done(|_| {}),
            }
        }
        // Polled until pending, so that it wakes this task at the response's end.
        match std::future::poll_fn(|cx| {
            loop {
                match shared.poll_pull(cx.waker()) {
                    Poll::Ready(None) => return Poll::Ready(None),
                    Poll::Ready(Some(more)) => allowed += i64::from(more),
                    Poll::Pending => return body.as_mut().poll_frame(cx).map(Some),
                }
            }
        })
        .await
        {
            // The response is over.
            None => return handle.done(|_| {}),
            Some(None) => return handle.done(|handle| handle.body_end(HeaderBlock::new())),
            Some(Some(Err(error))) => {
                let error: Box<dyn std::error::Error + Send + Sync> = error.into();
                let message = format!("the request body failed: {error}");
                let failed = Error::new(ErrorKind::RequestBody, Phase::Send, message);
                let failed = failed.with_source(error);
                return handle.done(|handle| handle.body_error(failed));
            }
            Some(Some(Ok(frame))) => match frame.into_data() {
                Ok(chunk) => {
                    allowed -= chunk.len() as i64;
                    handle.chunk(chunk);
                }
                Err(frame) => {
                    let last = frame.into_trailers().unwrap_or_default();
                    let last = trailers.write(&last);
                    return handle.done(|handle| handle.body_end(last));
                }
            },
        }
    }
}

/// A request that waits for the rest of its body. Fails the request if that never arrives, because
/// its source panicked or its runtime ended.
struct Unfinished(Option<RequestHandle>);

impl Unfinished {
    fn chunk(&self, chunk: Bytes) {
        if let Some(handle) = &self.0 {
            handle.body_chunk(chunk);
        }
    }

    fn done(mut self, tell: impl FnOnce(RequestHandle)) {
        if let Some(handle) = self.0.take() {
            tell(handle);
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(handle) = self.0.take() {
            let text = "the request body ended in a panic, or with its runtime";
            handle.body_error(Error::new(ErrorKind::RequestBody, Phase::Send, text));
        }
    }
}
