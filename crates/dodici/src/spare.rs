//! Read buffers shared by connections.
//!
//! A connection needs a buffer from the first byte of a response to the last, and there are many
//! more idle connections than busy ones: each would keep one for nothing. Readers keep a
//! thread-local [`Spares`] of the size they need.

use std::cell::RefCell;
use std::thread::LocalKey;

use bytes::BytesMut;

/// Buffers kept per thread. 64: in one turn of the event loop, rarely more than a hundred
/// connections read at the same time.
const MOST: usize = 64;

/// Empty buffers of one thread.
pub(crate) struct Spares {
    room: usize,
    kept: RefCell<Vec<BytesMut>>,
}

impl Spares {
    /// For buffers of this capacity.
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
    // The table is gone while the thread ends; readers then allocate as needed.
    taken.unwrap_or_default()
}

/// Takes back an unused buffer.
pub(crate) fn give_back(spares: &'static LocalKey<Spares>, buffer: BytesMut) {
    // If `try_with` fails, it is freed.
    let _kept = spares.try_with(|spares| {
        let mut kept = spares.kept.borrow_mut();
        if kept.len() < MOST {
            kept.push(buffer);
        }
    });
}
