//! An exchange over HTTP/1.1 after an upgrade: a byte stream in both directions.
//!
//! Called by `origin::pipeline` once the pool has released the connection.

use std::task::Poll;

use dodici_pool::{HeaderBlock, Phase};

use super::{Interrupt, Job};
use crate::conn::ByteStream;
use crate::tuning::PULL_WINDOW;

/// Transfers bytes until both sides are done, the caller cancels, or the transport fails. Reports
/// everything to the sink, including the end.
pub(crate) async fn run_stream(mut stream: ByteStream, job: &mut Job, interrupt: &impl Interrupt) {
    job.command.begin_stream();
    job.watch = None;
    if let Some(sink) = job.settle.sink() {
        sink.pull(PULL_WINDOW);
    }
    // Set when the peer has closed its side. The caller gets an empty chunk, not the end, after
    // which it could not be asked for what it still has to write.
    let mut peer_closed = false;
    let mut write_closed = false;
    std::future::poll_fn(|cx| {
        loop {
            // The pool has released it, and only asks.
            let _ = interrupt.interrupted(|| stream.traffic());
            if job.command.is_cancelled() {
                // What was submitted before is sent as far as the socket accepts it immediately:
                // a last frame with the reason must not be lost, but a peer that does not read must
                // not block the end.
                if !write_closed {
                    drop(stream.poll_write(cx, &job.command));
                }
                if job.command.resets() {
                    stream.reset();
                }
                let (_, error) = job.command.cancellation(Phase::Upgraded);
                job.settle.error(error);
                return Poll::Ready(());
            }
            if !write_closed && let Poll::Ready(written) = stream.poll_write(cx, &job.command) {
                if let Err(error) = written {
                    job.settle.error(error);
                    return Poll::Ready(());
                }
                write_closed = true;
            }
            if peer_closed && write_closed {
                job.settle.end(&HeaderBlock::new());
                return Poll::Ready(());
            }
            job.ask();
            if peer_closed || !job.command.has_credit() {
                return Poll::Pending;
            }
            match stream.poll_chunk(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(chunk)) if chunk.is_empty() => {
                    peer_closed = true;
                    if !write_closed && let Some(sink) = job.settle.sink() {
                        sink.data(chunk);
                    }
                }
                Poll::Ready(Ok(chunk)) => job.deliver(Some(chunk)),
                Poll::Ready(Err(error)) => {
                    job.settle.error(error);
                    return Poll::Ready(());
                }
            }
        }
    })
    .await;
}
