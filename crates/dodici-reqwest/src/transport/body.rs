//! Request and response bodies between this crate and the engine.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use dodici::IncomingBody;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::combinators::BoxBody;
use parking_lot::Mutex;

use crate::body::Polled;
use crate::error::BoxError;
use crate::failure::Failure;
use crate::via::{Trailers, Via, ViaRef};

/// A request body that the engine pulls.
pub(super) enum Upload {
    Stream {
        body: BoxBody<Bytes, crate::Error>,
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
    type Error = crate::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled<crate::Error> {
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

/// A response body as delivered by the engine.
pub(crate) enum TransportBody {
    Of {
        body: IncomingBody,
        /// Time from the start of the request to the response's head.
        head: Duration,
        /// Where the trailers are stored as well, for a response that has left its body.
        trailers: Option<Trailers>,
    },
    /// After a protocol switch.
    Switched,
}

impl TransportBody {
    /// How the response was received.
    pub(crate) fn via(&self) -> Option<ViaRef<'_>> {
        match self {
            Self::Of { body, head, .. } => Some(ViaRef {
                detail: body.detail(),
                head: *head,
                trailers: body.trailers().filter(|trailers| !trailers.is_empty()),
            }),
            Self::Switched => None,
        }
    }

    /// The same, for a response that leaves its body.
    pub(crate) fn leave(&mut self) -> Option<Via> {
        match self {
            Self::Of {
                body,
                head,
                trailers,
            } => Some(Via {
                detail: body.detail().clone(),
                head: *head,
                trailers: Arc::clone(trailers.get_or_insert_default()),
            }),
            Self::Switched => None,
        }
    }
}

impl HttpBody for TransportBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let Self::Of { body, trailers, .. } = self.get_mut() else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(&mut *body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && frame.is_trailers()
            && let (Some(received), Some(trailers)) = (body.trailers(), trailers)
        {
            // Set only once, because a body ends once.
            let _ = trailers.set(received.clone());
        }
        Poll::Ready(frame.map(|frame| frame.map_err(|cause| Failure::new(cause).into())))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Of { body, .. } => body.size_hint(),
            Self::Switched => SizeHint::with_exact(0),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Of { body, .. } => body.is_end_stream(),
            Self::Switched => true,
        }
    }
}

/// The connection of a response that switched protocols, until it is taken.
#[derive(Clone)]
pub(crate) struct Switched(Arc<Mutex<Option<IncomingBody>>>);

impl Switched {
    pub(crate) fn new(body: IncomingBody) -> Self {
        Self(Arc::new(Mutex::new(Some(body))))
    }

    /// Whoever comes first gets it.
    pub(crate) fn take(&self) -> Option<IncomingBody> {
        self.0.lock().take()
    }
}
