//! Limits on a response's body: time and size.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use dodici::{LastLook, OnWritten};
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
        room: most.map(|most| (most, most)),
    }
    .boxed()
}

/// Bytes of a body that may still be read once the time for all of it is up: what was there in time.
/// 1 MiB: no window is larger, and a peer that goes on sending does not put the end off.
const IN_TIME: usize = 1024 * 1024;

/// What is read of an answer whose time is up: what this machine has received by then, whether or not
/// the runtime has heard of it, which it has not where the process was stopped meanwhile.
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

    /// To be polled when the time is up and the answer was asked for in vain. Ready when it is to be
    /// asked for again: if it is not there then, it was not in time.
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
        late: Late,
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
        let mut is_late = this
            .total
            .as_mut()
            .is_some_and(|total| total.as_mut().poll(cx).is_ready());
        let for_good = is_late;
        if let Some((limit, sleep)) = this.silence {
            // A time beyond the clock never comes, and the sleep began as such a one.
            if !std::mem::replace(this.waiting, true)
                && let Some(at) = Instant::now().checked_add(*limit)
            {
                sleep.as_mut().reset(at);
            }
            is_late |= sleep.as_mut().poll(cx).is_ready();
        }
        if let Some((most, left)) = this.room
            && this.body.size_hint().lower() > *left
        {
            // What is announced need not be waited for.
            return too_large(*most);
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
        if !for_good {
            this.late.looked = false;
        } else if let Some(Ok(data)) = &frame
            && !this
                .late
                .may_still_bring(data.data_ref().map_or(0, Bytes::len))
        {
            return expired();
        }
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

fn expired() -> Polled {
    Poll::Ready(Some(Err(error::body(TimedOut).into())))
}

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
