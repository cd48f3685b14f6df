//! The body of a request on its way to hyper: none, one buffer, or slices pulled from the caller.
//!
//! hyper derives the framing from [`Body::size_hint`] and the stub that `translator` gives it.
//! Trailers do not pass through here: `translator` puts them behind the last chunk, because hyper
//! would reorder them.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use dodici_pool::Error;
use http_body::{Body, Frame, SizeHint};

use crate::command::{Command, Slice, length_mismatch};

/// See the module.
pub(crate) enum OutgoingBody {
    Empty,
    Full(Option<Bytes>),
    Pulled {
        command: Arc<Command>,
        /// Bytes left, if the length was declared.
        remaining: Option<u64>,
    },
}

impl OutgoingBody {
    fn poll_pulled(
        command: &Command,
        remaining: &mut Option<u64>,
    ) -> Poll<Option<Result<Bytes, Error>>> {
        match command.next_slice() {
            Slice::Wait => Poll::Pending,
            Slice::Failed(error) => Poll::Ready(Some(Err(error))),
            Slice::Chunk(chunk) => {
                if let Some(remaining) = remaining {
                    let Some(rest) = remaining.checked_sub(chunk.len() as u64) else {
                        return Poll::Ready(Some(Err(length_mismatch())));
                    };
                    *remaining = rest;
                }
                Poll::Ready(Some(Ok(chunk)))
            }
            Slice::End => match remaining {
                Some(rest) if *rest > 0 => Poll::Ready(Some(Err(length_mismatch()))),
                _ => Poll::Ready(None),
            },
        }
    }
}

impl Body for OutgoingBody {
    type Data = Bytes;
    type Error = Error;

    // No waker is registered: the caller's handle wakes the connection task, which polls hyper,
    // which polls this body.
    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Pulled { command, remaining } => {
                Self::poll_pulled(command, remaining).map(|slice| slice.map(|s| s.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Empty | Self::Full(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty | Self::Full(None) => SizeHint::with_exact(0),
            Self::Full(Some(bytes)) => SizeHint::with_exact(bytes.len() as u64),
            Self::Pulled {
                remaining: Some(length),
                ..
            } => SizeHint::with_exact(*length),
            Self::Pulled {
                remaining: None, ..
            } => SizeHint::default(),
        }
    }
}
