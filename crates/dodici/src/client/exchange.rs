//! The sink behind [`Pool::send`](crate::Pool::send): queues what the connection delivers until the
//! caller's futures take it.

use std::collections::VecDeque;
use std::sync::Arc;
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
}

#[derive(Default)]
struct Inner {
    informational: Vec<ResponseHead>,
    start: Option<ResponseDetail>,
    chunks: VecDeque<Bytes>,
    end: Option<Result<HeaderBlock, Error>>,
    pull: u32,
    /// It became a byte stream.
    upgraded: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// The next event of a response body.
pub(super) enum Item {
    Chunk(Bytes),
    End(HeaderBlock),
    Failed(Error),
}

impl Shared {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::default(),
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

    pub(super) fn poll_start(&self, waker: &Waker) -> Poll<Result<ResponseDetail, Error>> {
        let mut inner = self.inner.lock();
        if let Some(start) = inner.start.take() {
            return Poll::Ready(Ok(start));
        }
        if let Some(Err(error)) = &inner.end {
            return Poll::Ready(Err(error.clone()));
        }
        inner.reader = Some(waker.clone());
        Poll::Pending
    }

    pub(super) fn poll_item(&self, waker: &Waker) -> Poll<Item> {
        let mut inner = self.inner.lock();
        if let Some(chunk) = inner.chunks.pop_front() {
            return Poll::Ready(Item::Chunk(chunk));
        }
        match &mut inner.end {
            Some(Ok(trailers)) => Poll::Ready(Item::End(std::mem::take(trailers))),
            Some(Err(error)) => Poll::Ready(Item::Failed(error.clone())),
            None => {
                inner.reader = Some(waker.clone());
                Poll::Pending
            }
        }
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
        let connection = self.connection(info.conn);
        self.shared.update(|inner| {
            inner.start = Some(ResponseDetail {
                head: Arc::new(head.clone()),
                informational: if inner.informational.is_empty() {
                    // Shared by all, so that the usual case costs nothing.
                    Arc::default()
                } else {
                    std::mem::take(&mut inner.informational).into()
                },
                info: *info,
                connection,
                timings: self.timings,
            });
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
            let behind = !inner.chunks.is_empty();
            inner
                .chunks
                .push_back(if behind && chunk.len() < OWN_MEMORY {
                    Bytes::copy_from_slice(&chunk)
                } else {
                    chunk
                });
        });
    }

    fn end(&mut self, trailers: &HeaderBlock) {
        self.shared
            .update(|inner| inner.end = Some(Ok(trailers.clone())));
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
