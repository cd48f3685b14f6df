//! Read buffers of connections at rest: a thread's connections share them.
//!
//! A connection needs its buffer from the first byte of a response to the last, and there are many
//! more connections at rest than in use: each would keep [`READ`] bytes for nothing.

use std::cell::RefCell;

use bytes::BytesMut;

use super::pipe::READ;

thread_local! {
    static SPARE: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
}

/// Buffers kept by a thread. 64 MiB of responses can be on their way into 4,000 connections at a
/// time; in one turn of the event loop, rarely more than a hundred are.
const MOST: usize = 64;

/// An empty buffer with room for a read.
pub(super) fn take() -> BytesMut {
    // The table is gone while the thread ends.
    let spare = SPARE.try_with(|spare| spare.borrow_mut().pop());
    let mut buffer = spare.ok().flatten().unwrap_or_default();
    buffer.clear();
    buffer.reserve(READ);
    buffer
}

/// Takes back a buffer that nobody reads from any more.
pub(super) fn give_back(buffer: BytesMut) {
    // What `try_with` does not take is freed.
    let _kept = SPARE.try_with(|spare| {
        let mut spare = spare.borrow_mut();
        if spare.len() < MOST {
            spare.push(buffer);
        }
    });
}
