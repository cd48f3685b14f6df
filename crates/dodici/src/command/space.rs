//! Bytes that an engine's request bodies may have in flight beyond their first windows.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::tuning::{LEAST_ROOM, PULL_WINDOW, SHARED_ROOM};

/// Room shared by bodies: a body that has sent its first [`PULL_WINDOW`] gets a quarter of what is
/// left; see [`SHARED_ROOM`].
#[derive(Debug)]
pub(crate) struct Space {
    free: AtomicU32,
}

/// A part of the space, returned on drop.
pub(super) struct Room {
    space: Arc<Space>,
    pub(super) bytes: u32,
}

impl Space {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            free: AtomicU32::new(SHARED_ROOM),
        })
    }

    pub(super) fn take(self: &Arc<Self>) -> Option<Room> {
        let share = |free: u32| free / 4 / PULL_WINDOW * PULL_WINDOW;
        // A counter, which orders nothing else.
        self.free
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free| {
                (share(free) >= LEAST_ROOM).then(|| free - share(free))
            })
            .ok()
            .map(|free| Room {
                space: Arc::clone(self),
                bytes: share(free),
            })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.space.free.fetch_add(self.bytes, Ordering::Relaxed);
    }
}
