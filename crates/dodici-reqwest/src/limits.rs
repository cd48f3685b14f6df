//! Time limits on a response's body.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};

use crate::body::ResponseBody;
use crate::error::{self, BoxError, TimedOut};

/// Puts the limits on a body; without limits it costs one box.
pub(crate) fn limited<B>(
    body: B,
    total: Option<Pin<Box<Sleep>>>,
    silence: Option<Duration>,
) -> ResponseBody
where
    B: Body<Data = Bytes> + Send + Sync + 'static,
    B::Error: Into<BoxError>,
{
    let body = body.map_err(Into::into);
    if total.is_none() && silence.is_none() {
        return body.boxed();
    }
    Limited {
        body,
        total,
        silence: silence.map(|limit| (limit, Box::pin(tokio::time::sleep(limit)))),
        waiting: false,
    }
    .boxed()
}

pin_project! {
    struct Limited<B> {
        #[pin]
        body: B,
        total: Option<Pin<Box<Sleep>>>,
        silence: Option<(Duration, Pin<Box<Sleep>>)>,
        // The clock of the silence runs only while somebody waits.
        waiting: bool,
    }
}

impl<B> Body for Limited<B>
where
    B: Body<Data = Bytes, Error = BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        let expired = Poll::Ready(Some(Err(error::body(TimedOut).into())));
        if let Some(total) = this.total
            && total.as_mut().poll(cx).is_ready()
        {
            return expired;
        }
        if let Some((limit, sleep)) = this.silence {
            // A time beyond the clock never comes, and the sleep began as such a one.
            if !std::mem::replace(this.waiting, true)
                && let Some(at) = Instant::now().checked_add(*limit)
            {
                sleep.as_mut().reset(at);
            }
            if sleep.as_mut().poll(cx).is_ready() {
                return expired;
            }
        }
        let frame = ready!(this.body.poll_frame(cx));
        *this.waiting = false;
        Poll::Ready(frame)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}
