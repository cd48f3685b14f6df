//! Request and response bodies between this crate and the engine.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use dodici::{HeaderBlock, IncomingBody};
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::body::Declared;
use crate::error::BoxError;
use crate::failure::Failure;

/// A request body that is not in memory.
pub(super) enum Upload<B> {
    Sized(Declared<B>),
    Unsized(B),
    /// Bytes sent in slices as the peer accepts them, so that progress can be observed.
    Sliced(Bytes),
}

/// Maximum size of a slice: the initial HTTP/2 window of a stream.
pub(super) const SLICE: usize = 64 * 1024;

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for Upload<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.get_mut() {
            Self::Sliced(rest) if rest.is_empty() => Poll::Ready(None),
            Self::Sliced(rest) => {
                let slice = rest.split_to(rest.len().min(SLICE));
                Poll::Ready(Some(Ok(Frame::data(slice))))
            }
            Self::Sized(body) => Pin::new(body).poll_frame(cx),
            Self::Unsized(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Sized(body) => body.size_hint(),
            Self::Unsized(body) => body.size_hint(),
            Self::Sliced(rest) => SizeHint::with_exact(rest.len() as u64),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Sized(_) => false,
            Self::Sliced(rest) => rest.is_empty(),
            Self::Unsized(body) => body.is_end_stream(),
        }
    }
}

/// A response body as delivered by the engine; empty after a protocol switch.
#[derive(Default)]
pub(crate) struct TransportBody {
    pub(super) body: Option<IncomingBody>,
    pub(super) trailers: Trailers,
}

/// Where a body stores its trailers, exactly as received, for the response.
pub(crate) type Trailers = Arc<OnceLock<HeaderBlock>>;

impl HttpBody for TransportBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let Some(body) = &mut this.body else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(&mut *body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && frame.is_trailers()
            && let Some(trailers) = body.trailers()
        {
            // Set only once, because a body ends once.
            let _ = this.trailers.set(trailers.clone());
        }
        Poll::Ready(frame.map(|frame| frame.map_err(|cause| Failure::new(cause).into())))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Some(body) => body.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }
}
