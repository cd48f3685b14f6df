//! Moves an `http_body::Body` into a request, no faster than the connection asks for.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use dodici_pool::{BodyKind, Error, ErrorKind, HeaderBlock, Phase};
use http::HeaderMap;
use http_body::Body;

use super::RawTrailers;
use super::exchange::Shared;
use super::request_head::write_title_case;
use crate::origin::RequestHandle;

/// How a body is framed; the body itself if there is something to pump.
pub(super) fn kind<B: Body>(body: B) -> (BodyKind, Option<B>) {
    if body.is_end_stream() {
        return (BodyKind::None, None);
    }
    match body.size_hint().exact() {
        Some(length) => (BodyKind::Sized(length), Some(body)),
        None => (BodyKind::Chunked, Some(body)),
    }
}

/// How the trailers of a body are written.
pub(super) struct Trailers {
    /// These, in place of the body's.
    pub(super) raw: Option<RawTrailers>,
    pub(super) title_case: bool,
}

impl Trailers {
    fn write(self, trailers: &HeaderMap) -> HeaderBlock {
        if let Some(RawTrailers(raw)) = self.raw {
            return raw;
        }
        let mut name = Vec::new();
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
    let mut body = pin!(body);
    let mut allowed: i64 = 0;
    loop {
        while allowed <= 0 {
            match std::future::poll_fn(|cx| shared.poll_pull(cx.waker())).await {
                Some(more) => allowed += i64::from(more),
                None => return,
            }
        }
        // Asked until it has nothing to say, so that it wakes this task at the response's end.
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
            None => return,
            Some(None) => return handle.body_end(HeaderBlock::new()),
            Some(Some(Err(error))) => {
                let error: Box<dyn std::error::Error + Send + Sync> = error.into();
                let message = format!("the request body failed: {error}");
                let failed = Error::new(ErrorKind::RequestBody, Phase::Send, message);
                return handle.body_error(failed.with_source(std::io::Error::other(error)));
            }
            Some(Some(Ok(frame))) => match frame.into_data() {
                Ok(chunk) => {
                    allowed -= chunk.len() as i64;
                    handle.body_chunk(chunk);
                }
                Err(frame) => {
                    let last = frame.into_trailers().unwrap_or_default();
                    return handle.body_end(trailers.write(&last));
                }
            },
        }
    }
}
