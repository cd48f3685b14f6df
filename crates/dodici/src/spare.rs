//! Read buffers that connections share while they need none.
//!
//! A connection needs a buffer from the first byte of a response to the last, and there are many
//! more connections at rest than in use: each would keep one for nothing. Who reads keeps a
//! thread-local [`Spares`] of the size that it wants.

use std::cell::RefCell;
use std::thread::LocalKey;

use bytes::BytesMut;

/// Buffers kept by a thread. 64: in one turn of the event loop, rarely more than a hundred
/// connections read at the same time.
const MOST: usize = 64;

/// Empty buffers of one thread.
pub(crate) struct Spares {
    room: usize,
    kept: RefCell<Vec<BytesMut>>,
}

impl Spares {
    /// For buffers with room for so many bytes.
    pub(crate) const fn of(room: usize) -> Self {
        Self {
            room,
            kept: RefCell::new(Vec::new()),
        }
    }
}

/// An empty buffer with room for a read.
pub(crate) fn take(spares: &'static LocalKey<Spares>) -> BytesMut {
    let taken = spares.try_with(|spares| {
        let mut buffer = spares.kept.borrow_mut().pop().unwrap_or_default();
        buffer.clear();
        buffer.reserve(spares.room);
        buffer
    });
    // The table is gone while the thread ends; readers then make room as they need it.
    taken.unwrap_or_default()
}

/// Takes back a buffer that nobody reads from any more.
pub(crate) fn give_back(spares: &'static LocalKey<Spares>, buffer: BytesMut) {
    // What `try_with` does not take is freed.
    let _kept = spares.try_with(|spares| {
        let mut kept = spares.kept.borrow_mut();
        if kept.len() < MOST {
            kept.push(buffer);
        }
    });
}
