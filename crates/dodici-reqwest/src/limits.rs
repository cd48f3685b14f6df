//! Limits on a response's body: time and size.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use dodici::OnWritten;
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
        waiting: false,
        room: most.map(|most| (most, most)),
    }
    .boxed()
}

/// The wait for a response's head: a silent server has so long, from the start or the last byte of
/// the request that went out.
pub(crate) struct Silence {
    limit: Duration,
    sleep: Pin<Box<Sleep>>,
    written: Arc<Written>,
}

/// When bytes went out last.
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

    /// To be called when bytes went out.
    pub(crate) fn ended_by_writing(&self) -> OnWritten {
        let written = Arc::clone(&self.written);
        OnWritten(Arc::new(move || {
            let after = written.begun.elapsed().as_nanos();
            let after = u64::try_from(after).unwrap_or(u64::MAX);
            written.last.store(after, Ordering::Relaxed);
        }))
    }

    /// Ready when the server has been silent for too long.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.sleep.as_mut().poll(cx));
            let last = Duration::from_nanos(self.written.last.load(Ordering::Relaxed));
            // A time beyond the clock is not reached: the sleep would not have ended.
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
        // The clock of the silence runs only while somebody waits.
        waiting: bool,
        // The limit, and what is left of it.
        room: Option<(u64, u64)>,
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
        if let Some((most, left)) = this.room
            && this.body.size_hint().lower() > *left
        {
            // What is announced need not be waited for.
            return too_large(*most);
        }
        let frame = ready!(this.body.poll_frame(cx));
        *this.waiting = false;
        if let Some((most, left)) = this.room
            && let Some(Ok(data)) = frame
                .as_ref()
                .map(|frame| frame.as_ref().map(Frame::data_ref))
        {
            match left.checked_sub(data.map_or(0, |data| data.len() as u64)) {
                Some(rest) => *left = rest,
                None => return too_large(*most),
            }
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

type Polled = Poll<Option<Result<Frame<Bytes>, BoxError>>>;

fn too_large(most: u64) -> Polled {
    Poll::Ready(Some(Err(error::body(TooLarge { most }).into())))
}

/// The body is larger than the caller wants it.
#[derive(Debug)]
struct TooLarge {
    most: u64,
}

impl std::fmt::Display for TooLarge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let most = self.most;
        write!(
            f,
            "the body is larger than {most} bytes, the limit set by max_body_size"
        )
    }
}

impl std::error::Error for TooLarge {}
