//! Request and response bodies between this crate and the engine.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use dodici::IncomingBody;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::combinators::BoxBody;

use crate::body::Polled;
use crate::error::BoxError;
use crate::failure::Failure;
use crate::response::Trailers;

/// A request body that the engine pulls.
pub(super) enum Upload {
    Stream {
        body: BoxBody<Bytes, BoxError>,
        /// As declared by the caller, if the stream does not know it.
        length: Option<u64>,
    },
    /// Bytes sent in slices as the peer accepts them, so that progress can be observed.
    Sliced(Bytes),
}

/// Maximum size of a slice: the initial HTTP/2 window of a stream.
pub(super) const SLICE: usize = 64 * 1024;

impl HttpBody for Upload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        match self.get_mut() {
            Self::Sliced(rest) if rest.is_empty() => Poll::Ready(None),
            Self::Sliced(rest) => {
                let slice = rest.split_to(rest.len().min(SLICE));
                Poll::Ready(Some(Ok(Frame::data(slice))))
            }
            Self::Stream { body, .. } => Pin::new(body).poll_frame(cx),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Stream { body, length } => {
                length.map_or_else(|| body.size_hint(), SizeHint::with_exact)
            }
            Self::Sliced(rest) => SizeHint::with_exact(rest.len() as u64),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Stream { body, length } => length.is_none() && body.is_end_stream(),
            Self::Sliced(rest) => rest.is_empty(),
        }
    }
}

/// A response body as delivered by the engine; empty after a protocol switch.
#[derive(Default)]
pub(crate) struct TransportBody {
    pub(super) body: Option<IncomingBody>,
    pub(super) trailers: Trailers,
}

impl HttpBody for TransportBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
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
