//! Response bodies as callers get them: decoded, with their timeouts and size limit.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use dodici::{LastLook, SizeLimit};
use http_body::{Body as HttpBody, SizeHint};
use http_body_util::combinators::BoxBody;
use tokio::time::{Instant, Sleep};

use crate::body::Polled;
use crate::decompress::DecodedBody;
use crate::error::{self, BoxError, TimedOut};
use crate::limits::Late;
use crate::transport::TransportBody;

/// A response body on its way to the caller.
pub(crate) enum ResponseBody {
    Received(DecodedBody),
    Limited(Box<Limited>),
    /// No server sent it.
    Made(BoxBody<Bytes, BoxError>),
}

impl ResponseBody {
    /// A body that was received, with the limits that it has.
    pub(crate) fn received(
        body: DecodedBody,
        total: Option<Pin<Box<Sleep>>>,
        silence: Option<Duration>,
        look: Option<LastLook>,
        most: Option<u64>,
    ) -> Self {
        if total.is_none() && silence.is_none() && most.is_none() {
            return Self::Received(body);
        }
        Self::Limited(Box::new(Limited::new(body, total, silence, look, most)))
    }

    /// What the engine delivers, if it delivers this body.
    pub(crate) fn transport(&self) -> Option<&TransportBody> {
        match self {
            Self::Received(body) => Some(body.transport()),
            Self::Limited(limited) => Some(limited.body.transport()),
            Self::Made(_) => None,
        }
    }

    pub(crate) fn transport_mut(&mut self) -> Option<&mut TransportBody> {
        match self {
            Self::Received(body) => Some(body.transport_mut()),
            Self::Limited(limited) => Some(limited.body.transport_mut()),
            Self::Made(_) => None,
        }
    }
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        match self.get_mut() {
            Self::Received(body) => Pin::new(body).poll_frame(cx),
            Self::Limited(body) => Pin::new(&mut **body).poll_frame(cx),
            Self::Made(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Received(body) => body.size_hint(),
            Self::Limited(body) => body.size_hint(),
            Self::Made(body) => body.size_hint(),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Received(body) => body.is_end_stream(),
            Self::Limited(body) => body.is_end_stream(),
            Self::Made(body) => body.is_end_stream(),
        }
    }
}

/// A response body with limits.
pub(crate) struct Limited {
    body: DecodedBody,
    total: Option<Pin<Box<Sleep>>>,
    silence: Option<(Duration, Pin<Box<Sleep>>)>,
    late: Late,
    /// The read timeout only runs while a reader waits.
    waiting: bool,
    size: SizeLimit,
}

impl Limited {
    fn new(
        body: DecodedBody,
        total: Option<Pin<Box<Sleep>>>,
        silence: Option<Duration>,
        look: Option<LastLook>,
        most: Option<u64>,
    ) -> Self {
        Self {
            body,
            total,
            silence: silence.map(|limit| (limit, Box::pin(tokio::time::sleep(limit)))),
            late: Late::new(look),
            waiting: false,
            size: SizeLimit::new(most),
        }
    }
}

impl HttpBody for Limited {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let this = self.get_mut();
        let mut is_late = this
            .total
            .as_mut()
            .is_some_and(|total| total.as_mut().poll(cx).is_ready());
        let for_good = is_late;
        if let Some((limit, sleep)) = &mut this.silence {
            // An instant beyond the clock's range is never reached; the sleep started as one.
            if !std::mem::replace(&mut this.waiting, true)
                && let Some(at) = Instant::now().checked_add(*limit)
            {
                sleep.as_mut().reset(at);
            }
            is_late |= sleep.as_mut().poll(cx).is_ready();
        }
        if this.body.size_hint().lower() > this.size.allowed() {
            // An announced length can fail immediately.
            return too_large(this.size);
        }
        let mut polled = Pin::new(&mut this.body).poll_frame(cx);
        if polled.is_pending() && is_late {
            ready!(this.late.poll_looked(cx));
            polled = Pin::new(&mut this.body).poll_frame(cx);
        }
        let frame = match polled {
            Poll::Ready(frame) => frame,
            Poll::Pending if is_late => return expired(),
            Poll::Pending => return Poll::Pending,
        };
        this.waiting = false;
        let data = frame
            .as_ref()
            .and_then(|frame| frame.as_ref().ok()?.data_ref());
        let bytes = data.map_or(0, Bytes::len);
        if !for_good {
            this.late.starts_again();
        } else if !this.late.may_still_bring(bytes) {
            return expired();
        }
        if !this.size.receive(bytes as u64) {
            return too_large(this.size);
        }
        Poll::Ready(frame)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}

fn expired() -> Polled {
    Poll::Ready(Some(Err(error::body(TimedOut).into())))
}

fn too_large(size: SizeLimit) -> Polled {
    let max = size.max.unwrap_or_default();
    let text = format!("the body is larger than {max} bytes, the limit set by max_body_size");
    Poll::Ready(Some(Err(error::body(text).into())))
}
