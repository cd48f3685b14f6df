//! Large bodies of known length, read directly into the sink's memory.

use std::io;
use std::task::{Context, Poll};

use bytes::{Buf, BufMut};
use dodici_pool::{CloseReason, Error, ErrorKind, Phase};

use super::PipeConn;
use crate::conn::eof::Ended;
use crate::conn::framing::Framing;
use crate::tuning::DIRECT_FROM;

impl PipeConn {
    /// Number of bytes left of a body that can be read with [`PipeConn::poll_direct`].
    pub(crate) fn direct_left(&self) -> Option<u64> {
        match self.guard.framing() {
            Framing::Length(length) if length >= DIRECT_FROM => {
                Some(length - self.guard.body_received())
            }
            _ => None,
        }
    }

    /// Appends the next part of the body to `memory`: at most `most` bytes, and no more than its
    /// capacity allows. Not to be called when nothing is left.
    ///
    /// If `most` exceeds what is left of the body, a read of exactly the rest does not fill its
    /// memory, and so is known to have emptied the socket without another read.
    ///
    /// # Errors
    /// What ended the connection; [`PipeConn::poll_next`] returns the engine's error for it.
    pub(crate) fn poll_direct(
        &mut self,
        cx: &mut Context<'_>,
        memory: &mut Vec<u8>,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        let left = usize::try_from(self.direct_left().unwrap_or(0)).unwrap_or(usize::MAX);
        let start = memory.len();
        let room = most.min(memory.capacity() - start);
        let wanted = left.min(room);
        if wanted == 0 {
            return Poll::Ready(Ok(0));
        }
        let early = self.input.len().min(wanted);
        memory.extend_from_slice(&self.input[..early]);
        self.input.advance(early);
        // Under TLS, one read returns one record: four fit into what the sink accepts at a time.
        while memory.len() - start < wanted {
            let taken = memory.len() - start;
            let mut limited = memory.limit(room - taken);
            match self.poll_transport(cx, &mut limited) {
                Poll::Ready(Ok(n)) if n > 0 => continue,
                Poll::Pending if taken == 0 => return Poll::Pending,
                Poll::Ready(Ok(_)) if taken == 0 => {
                    return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                }
                Poll::Ready(Err(error)) if taken == 0 => return Poll::Ready(Err(error)),
                // Reported by the next read, after these bytes.
                Poll::Ready(Err(error)) => self.read_error = Some(error),
                // The next read will fail again.
                Poll::Pending | Poll::Ready(Ok(_)) => {}
            }
            break;
        }
        let body_end = memory.len().min(start.saturating_add(left));
        if body_end < memory.len() {
            // The start of the next response, or unsolicited bytes: the input is empty here.
            self.input.extend_from_slice(&memory[body_end..]);
            memory.truncate(body_end);
        }
        // The guard counts them; it cannot reject body bytes of known length.
        let _counted = self.guard.feed(&memory[start..]);
        Poll::Ready(Ok(memory.len() - start))
    }

    /// The error that [`PipeConn::poll_direct`] met.
    pub(crate) fn direct_failure(&mut self, error: &io::Error) -> Ended {
        match self.eof(Some(error)) {
            Err(ended) => ended,
            // A body of known length is not complete here.
            Ok(_) => self.ended(
                CloseReason::PeerClosed,
                Error::new(ErrorKind::Socket, Phase::Body, "other side closed"),
            ),
        }
    }
}
