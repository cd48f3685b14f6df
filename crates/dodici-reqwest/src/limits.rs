//! Timeouts and size limit of a response body.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use dodici::{LastLook, OnWritten, SizeLimit};
use http_body::{Body, SizeHint};
use http_body_util::BodyExt;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};

use crate::body::{Polled, ResponseBody};
use crate::error::{self, BoxError, TimedOut};

/// A request's own limit on the size of its response body, in its extensions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MaxBody(pub(crate) u64);

/// A request's own minimum rate of its response body, in its extensions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MinBodyRate(pub(crate) u32);

/// Applies the limits to a body; without limits it costs one box.
pub(crate) fn limited<B>(
    body: B,
    total: Option<Pin<Box<Sleep>>>,
    silence: Option<Duration>,
    look: LastLook,
    most: Option<u64>,
) -> ResponseBody
where
    B: Body<Data = Bytes> + Send + Sync + 'static,
    B::Error: Into<BoxError>,
{
    let body = body.map_err(Into::into);
    if total.is_none() && silence.is_none() && most.is_none() {
        return body.boxed();
    }
    Limited {
        body,
        total,
        silence: silence.map(|limit| (limit, Box::pin(tokio::time::sleep(limit)))),
        late: Late::new(look),
        waiting: false,
        size: SizeLimit::new(most),
    }
    .boxed()
}

/// Bytes of a body that may still be read after its timeout expired: those that had arrived in
/// time. 1 MiB: no window is larger, and a peer that keeps sending cannot postpone the end.
const IN_TIME: usize = 1024 * 1024;

/// Reads what this machine had received of a response when its timeout expired, whether or not the
/// runtime has noticed yet, as when the process was stopped in the meantime.
pub(crate) struct Late {
    look: LastLook,
    looked: bool,
    left: usize,
}

impl Late {
    pub(crate) fn new(look: LastLook) -> Self {
        Self {
            look,
            looked: false,
            left: IN_TIME,
        }
    }

    /// Poll this when the timeout has expired and polling the response was pending. Once it is
    /// ready, poll the response again: if it is still pending, it was too late.
    pub(crate) fn poll_looked(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.looked {
            ready!(self.look.poll(cx));
            self.looked = true;
        }
        Poll::Ready(())
    }

    pub(crate) fn look(&self) -> LastLook {
        self.look.clone()
    }

    fn may_still_bring(&mut self, bytes: usize) -> bool {
        match self.left.checked_sub(bytes) {
            Some(left) => self.left = left,
            None => return false,
        }
        true
    }
}

/// The read timeout while waiting for a response head, from the start or from the last byte of the
/// request that was written.
pub(crate) struct Silence {
    limit: Duration,
    sleep: Pin<Box<Sleep>>,
    written: Arc<Written>,
}

/// When bytes were last written.
struct Written {
    begun: Instant,
    /// In nanoseconds since then.
    last: AtomicU64,
}

impl Silence {
    pub(crate) fn new(limit: Duration) -> Self {
        Self {
            limit,
            sleep: Box::pin(tokio::time::sleep(limit)),
            written: Arc::new(Written {
                begun: Instant::now(),
                last: AtomicU64::new(0),
            }),
        }
    }

    /// Call this when bytes were written.
    pub(crate) fn ended_by_writing(&self) -> OnWritten {
        let written = Arc::clone(&self.written);
        OnWritten(Arc::new(move || {
            let after = written.begun.elapsed().as_nanos();
            let after = u64::try_from(after).unwrap_or(u64::MAX);
            written.last.store(after, Ordering::Relaxed);
        }))
    }

    /// Ready when the timeout has expired.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.sleep.as_mut().poll(cx));
            let last = Duration::from_nanos(self.written.last.load(Ordering::Relaxed));
            // An instant beyond the clock's range is never reached: the sleep would not have ended.
            let at = self.written.begun + last + self.limit;
            if at <= Instant::now() {
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(at);
        }
    }
}

pin_project! {
    struct Limited<B> {
        #[pin]
        body: B,
        total: Option<Pin<Box<Sleep>>>,
        silence: Option<(Duration, Pin<Box<Sleep>>)>,
        late: Late,
        // The read timeout only runs while a reader waits.
        waiting: bool,
        size: SizeLimit,
    }
}

impl<B> Body for Limited<B>
where
    B: Body<Data = Bytes, Error = BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let this = self.project();
        let mut is_late = this
            .total
            .as_mut()
            .is_some_and(|total| total.as_mut().poll(cx).is_ready());
        let for_good = is_late;
        if let Some((limit, sleep)) = this.silence {
            // An instant beyond the clock's range is never reached; the sleep started as one.
            if !std::mem::replace(this.waiting, true)
                && let Some(at) = Instant::now().checked_add(*limit)
            {
                sleep.as_mut().reset(at);
            }
            is_late |= sleep.as_mut().poll(cx).is_ready();
        }
        if this.body.size_hint().lower() > this.size.allowed() {
            // An announced length can fail immediately.
            return too_large(*this.size);
        }
        let mut body = this.body;
        let mut polled = body.as_mut().poll_frame(cx);
        if polled.is_pending() && is_late {
            ready!(this.late.poll_looked(cx));
            polled = body.poll_frame(cx);
        }
        let frame = match polled {
            Poll::Ready(frame) => frame,
            Poll::Pending if is_late => return expired(),
            Poll::Pending => return Poll::Pending,
        };
        *this.waiting = false;
        let data = frame
            .as_ref()
            .and_then(|frame| frame.as_ref().ok()?.data_ref());
        let bytes = data.map_or(0, Bytes::len);
        if !for_good {
            this.late.looked = false;
        } else if !this.late.may_still_bring(bytes) {
            return expired();
        }
        if !this.size.receive(bytes as u64) {
            return too_large(*this.size);
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
