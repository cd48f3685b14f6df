//! Reading from a transport directly into hyper's buffer: the only unsafe code of the engine's
//! connection layer.
//!
//! hyper hands its reader uninitialised memory and asks how much of it was filled. Copying
//! through our own buffer would be safe and cost one memcpy of every body.
#![allow(unsafe_code)]

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::rt::ReadBufCursor;
use tokio::io::{AsyncRead, ReadBuf};

/// Reads once, at most `limit` bytes, into the unfilled part of `cursor`, lets `inspect` read and
/// modify the received bytes, and marks as filled as many of them as it returns.
///
/// `inspect` gets exactly the bytes read and returns the length of the prefix for hyper.
pub(super) fn poll_read_into<T, R>(
    transport: &mut T,
    cx: &mut Context<'_>,
    cursor: &mut ReadBufCursor<'_>,
    limit: usize,
    inspect: impl FnOnce(&mut [u8]) -> (usize, R),
) -> Poll<std::io::Result<R>>
where
    T: AsyncRead + Unpin,
{
    // SAFETY: the memory is only handed to `ReadBuf::uninit`, which never de-initialises it.
    let memory = unsafe { cursor.as_mut() };
    let room = memory.len().min(limit);
    let mut buf = ReadBuf::uninit(&mut memory[..room]);
    ready!(Pin::new(transport).poll_read(cx, &mut buf))?;
    let filled = buf.filled_mut();
    let len = filled.len();
    let (visible, result) = inspect(filled);
    let visible = visible.min(len);
    // SAFETY: the first `len` bytes of the unfilled part were initialised by the read above, and
    // `visible` is at most `len`.
    unsafe { cursor.advance(visible) };
    Poll::Ready(Ok(result))
}
