//! The sink behind [`Pool::send`](crate::Pool::send): queues what the connection delivers until the
//! caller's futures take it.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::task::{Poll, Waker};

use bytes::Bytes;
use dodici_pool::{ConnId, ConnectInfo, Error, HeaderBlock, RequestTimings, ResponseHead};
use parking_lot::Mutex;

use super::{ConnectionBook, OnInformational, OnTimings, OnWritten, ResponseDetail};
use crate::sink::{ExchangeInfo, Sink};

/// Chunks shorter than this that wait for a slow reader are copied, so that none of them keeps the
/// whole read it is part of alive. A quarter of a read of 16 KiB.
const OWN_MEMORY: usize = 4 * 1024;

/// State between the connection's task and the caller's futures.
pub(super) struct Shared {
    inner: Mutex<Inner>,
    /// Set by the head: it stays here, because responses are moved often.
    detail: OnceLock<ResponseDetail>,
    /// Set by the end.
    trailers: OnceLock<HeaderBlock>,
}

#[derive(Default)]
struct Inner {
    informational: Vec<ResponseHead>,
    chunk: Option<Bytes>,
    /// After it, when the reader is slow.
    more: VecDeque<Bytes>,
    end: Option<Result<(), Error>>,
    pull: u32,
    /// It became a byte stream.
    upgraded: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// The next event of a response body.
pub(super) enum Item {
    Chunk(Bytes),
    End,
    Failed(Error),
}

impl Shared {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::default(),
            detail: OnceLock::new(),
            trailers: OnceLock::new(),
        })
    }

    fn update(&self, change: impl FnOnce(&mut Inner)) {
        let (reader, writer) = {
            let mut inner = self.inner.lock();
            change(&mut inner);
            let writer = if inner.pull > 0 || inner.end.is_some() {
                inner.writer.take()
            } else {
                None
            };
            (inner.reader.take(), writer)
        };
        for waker in [reader, writer].into_iter().flatten() {
            waker.wake();
        }
    }

    /// Ready with the head, which stays.
    pub(super) fn poll_start(&self, waker: &Waker) -> Poll<Result<&ResponseDetail, Error>> {
        let mut inner = self.inner.lock();
        if let Some(detail) = self.detail.get() {
            return Poll::Ready(Ok(detail));
        }
        if let Some(Err(error)) = &inner.end {
            return Poll::Ready(Err(error.clone()));
        }
        inner.reader = Some(waker.clone());
        Poll::Pending
    }

    pub(super) fn poll_item(&self, waker: &Waker) -> Poll<Item> {
        let mut inner = self.inner.lock();
        if let Some(chunk) = inner.chunk.take() {
            inner.chunk = inner.more.pop_front();
            return Poll::Ready(Item::Chunk(chunk));
        }
        match &inner.end {
            Some(Ok(())) => Poll::Ready(Item::End),
            Some(Err(error)) => Poll::Ready(Item::Failed(error.clone())),
            None => {
                inner.reader = Some(waker.clone());
                Poll::Pending
            }
        }
    }

    /// What is known of the response; `None` before its head.
    pub(super) fn detail(&self) -> Option<&ResponseDetail> {
        self.detail.get()
    }

    /// The trailers; `None` before the end.
    pub(super) fn trailers(&self) -> Option<&HeaderBlock> {
        self.trailers.get()
    }

    /// Whether the response is the head of a byte stream.
    pub(super) fn is_upgraded(&self) -> bool {
        self.inner.lock().upgraded
    }

    /// Bytes of request body wanted; `None` when the response is over.
    pub(super) fn poll_pull(&self, waker: &Waker) -> Poll<Option<u32>> {
        let mut inner = self.inner.lock();
        if inner.end.is_some() {
            return Poll::Ready(None);
        }
        if inner.pull > 0 {
            return Poll::Ready(Some(std::mem::take(&mut inner.pull)));
        }
        inner.writer = Some(waker.clone());
        Poll::Pending
    }
}

/// See the module.
pub(super) struct ClientSink {
    pub(super) shared: Arc<Shared>,
    pub(super) on_informational: Option<OnInformational>,
    pub(super) on_written: Option<OnWritten>,
    pub(super) on_timings: Option<OnTimings>,
    /// The last ones.
    pub(super) timings: Option<RequestTimings>,
    pub(super) book: Option<Arc<dyn ConnectionBook>>,
}

impl ClientSink {
    fn connection(&self, conn: ConnId) -> Option<Arc<ConnectInfo>> {
        self.book.as_ref()?.connection(conn)
    }
}

impl Sink for ClientSink {
    fn informational(&mut self, head: &ResponseHead) {
        if let Some(OnInformational(callback)) = &self.on_informational {
            callback(head);
        }
        self.shared
            .update(|inner| inner.informational.push(head.clone()));
    }

    fn head(&mut self, head: &ResponseHead, info: &ExchangeInfo) {
        let mut detail = ResponseDetail {
            head: head.clone(),
            informational: Vec::new(),
            info: *info,
            connection: self.connection(info.conn),
            timings: self.timings,
        };
        self.shared.update(|inner| {
            detail.informational = std::mem::take(&mut inner.informational);
            // There is one final head.
            let _ = self.shared.detail.set(detail);
        });
    }

    fn written(&mut self) {
        if let Some(OnWritten(callback)) = &self.on_written {
            callback();
        }
    }

    fn timings(&mut self, timings: &RequestTimings) {
        self.timings = Some(*timings);
        if timings.ended.is_some()
            && let Some(OnTimings(callback)) = &self.on_timings
        {
            let connection = timings.conn.and_then(|conn| self.connection(conn));
            callback(timings, connection.as_deref());
        }
    }

    // Large bodies are read directly into the chunk that the caller gets.
    fn reads_in_place(&self) -> bool {
        true
    }

    fn data(&mut self, chunk: Bytes) {
        self.shared.update(|inner| {
            if inner.chunk.is_none() {
                inner.chunk = Some(chunk);
            } else if chunk.len() < OWN_MEMORY {
                inner.more.push_back(Bytes::copy_from_slice(&chunk));
            } else {
                inner.more.push_back(chunk);
            }
        });
    }

    fn end(&mut self, trailers: &HeaderBlock) {
        // There is one end.
        let _ = self.shared.trailers.set(trailers.clone());
        self.shared.update(|inner| inner.end = Some(Ok(())));
    }

    fn error(&mut self, error: Error) {
        self.shared.update(|inner| inner.end = Some(Err(error)));
    }

    fn upgrade(&mut self, head: &ResponseHead, info: &ExchangeInfo) {
        self.shared.update(|inner| inner.upgraded = true);
        self.head(head, info);
    }

    fn pull(&mut self, bytes: u32) {
        self.shared
            .update(|inner| inner.pull = inner.pull.saturating_add(bytes));
    }
}
