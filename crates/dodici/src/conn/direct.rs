//! Large bodies of known length, read straight into the sink's memory.
//!
//! hyper would read such a body into its own buffer, from where the sink copies it: one copy more
//! than needed, and the larger half of what a 64 KiB response costs. So hyper is told that the
//! response has no body (the synthetic head says 204), and the exchange reads the body itself, as
//! long as the sink offers memory ([`Sink::reads_in_place`](crate::Sink::reads_in_place)). Until
//! the body has ended, hyper's end of the link stays silent.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BufMut;
use dodici_pool::{CloseReason, Error, ErrorKind, Phase};
use tokio_util::io::poll_read_buf;

use super::framing::{Framing, Guard};
use super::link::{Link, Seen};

/// Bodies from this length on are read directly. 32 KiB: below it, all of the body usually came
/// with its head and lies in hyper's buffer already.
const DIRECT_FROM: u64 = 32 * 1024;

/// The head that hyper sees instead: an exchange without a body.
const NO_BODY: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";

/// Decides, at the final head, whether its body is read directly. `behind` came with the head.
pub(super) fn begin(
    guard: &Guard,
    seen: &mut Seen,
    to_hyper: &mut Vec<u8>,
    early: &mut Vec<u8>,
    behind: &[u8],
) -> bool {
    let Framing::Length(length) = guard.framing() else {
        return false;
    };
    if !seen.may_read_directly || length < DIRECT_FROM {
        return false;
    }
    seen.direct = Some(length);
    to_hyper.extend_from_slice(NO_BODY);
    early.extend_from_slice(behind);
    true
}

impl Link {
    /// Appends the next part of a direct body to `memory`: at most `most` bytes, and no more than
    /// its capacity allows. 0 bytes only with an error noted in [`Seen::failure`].
    pub(super) fn poll_direct(
        &mut self,
        cx: &mut Context<'_>,
        memory: &mut Vec<u8>,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        let Some(left) = self.seen.direct else {
            return Poll::Ready(Ok(0));
        };
        let start = memory.len();
        let room = most.min(memory.capacity() - start);
        let most = usize::try_from(left).map_or(room, |left| left.min(room));
        let early = self.surplus.len().min(most);
        memory.extend(self.surplus.drain(..early));
        let read = if early < most {
            self.poll_socket(cx, memory, most - early)
        } else {
            Poll::Pending
        };
        // What came with the head is delivered first; a failure comes after it.
        if early == 0 {
            ready!(read)?;
        }
        self.account(left, &memory[start..]);
        Poll::Ready(Ok(memory.len() - start))
    }

    fn poll_socket(
        &mut self,
        cx: &mut Context<'_>,
        memory: &mut Vec<u8>,
        most: usize,
    ) -> Poll<io::Result<()>> {
        let mut limited = memory.limit(most);
        match ready!(poll_read_buf(
            Pin::new(&mut self.transport),
            cx,
            &mut limited
        )) {
            Ok(0) => Poll::Ready(self.eof(None)),
            Ok(n) => {
                self.bytes_read += n as u64;
                Poll::Ready(Ok(()))
            }
            Err(error) => Poll::Ready(self.eof(Some(&error))),
        }
    }

    /// Runs delivered bytes through the guard, which counts them.
    fn account(&mut self, left: u64, bytes: &[u8]) {
        let left = left - bytes.len() as u64;
        self.seen.direct = Some(left);
        let fed = self.guard.feed(bytes);
        let fed = if left == 0 {
            fed.and_then(|_| self.guard.feed(&[]))
        } else {
            fed
        };
        if let Err(error) = fed {
            let _noted = self.fail(CloseReason::ProtocolError, error);
            return;
        }
        if left > 0 {
            return;
        }
        self.seen.direct = None;
        self.seen.ended = true;
        self.unwatched = true;
        if !self.surplus.is_empty() {
            let error = Error::new(ErrorKind::Socket, Phase::Queued, "bad response");
            let _noted = self.fail(CloseReason::UnsolicitedData, error);
        }
    }
}
