//! What is on its way to JavaScript: the batch that an I/O thread fills, and the outbox of an
//! environment.
//!
//! Filled by `local` and `sink`, delivered by `deliver`. It must not know who reads it.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::task::{Poll, ready};

use bytes::Bytes;
use dodici_wire::Target;
use dodici_wire::completion::InSlab;
use dodici_wire::schema::BATCH_LIMIT;
use dodici_wire::tuning::{KEPT_CAPACITY, RECORDS_LIMIT, SLABS_LIMIT};

use crate::buffers::Slab;

/// Records for JavaScript, and the slabs with their large chunks.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) bytes: Vec<u8>,
    pub(crate) slabs: Vec<Slab>,
    slab_bytes: usize,
    pub(crate) large_chunks: usize,
    pub(crate) records: usize,
}

impl Batch {
    /// Appends one record. If `write` panics, the batch is unchanged, and the panic continues.
    pub(crate) fn put(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        let written = catch_unwind(AssertUnwindSafe(|| write(&mut self.bytes)));
        if let Err(panic) = written {
            self.bytes.truncate(start);
            resume_unwind(panic);
        }
        self.records += 1;
    }

    /// Adds a large chunk of `owner`'s response and returns where it is. See [`Slab`].
    pub(crate) fn put_chunk(&mut self, owner: Target, chunk: Bytes, external: bool) -> InSlab {
        let length = chunk.len();
        self.slab_bytes += length;
        self.large_chunks += 1;
        if !external {
            self.slabs.push(Slab::shared(owner, chunk));
            return self.in_slab(self.slabs.len() - 1, 0, length);
        }
        let last = self.last_slab(owner);
        if let Some(index) = last
            && let Some(memory) = self.slabs[index].memory(length)
        {
            let offset = memory.len();
            memory.extend_from_slice(&chunk);
            return self.in_slab(index, offset, length);
        }
        self.slabs.push(Slab::of(owner, chunk));
        self.in_slab(self.slabs.len() - 1, 0, length)
    }

    /// Lets `read` append a chunk of at most `most` bytes of `owner`'s response to a slab, and
    /// returns where it is; `None` for nothing. Only if external Buffers are allowed.
    pub(crate) fn read_chunk(
        &mut self,
        owner: Target,
        most: usize,
        read: &mut dyn FnMut(&mut Vec<u8>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<Option<InSlab>>> {
        let last = self.last_slab(owner);
        let has_room = last.is_some_and(|index| self.slabs[index].memory(most).is_some());
        let index = match last {
            Some(index) if has_room => index,
            _ => {
                self.slabs.push(Slab::roomy(owner, most, last.is_some()));
                self.slabs.len() - 1
            }
        };
        let Some(memory) = self.slabs[index].memory(most) else {
            return Poll::Ready(Ok(None));
        };
        let offset = memory.len();
        let result = read(memory);
        self.slabs.pop_if(|slab| slab.is_empty());
        let length = ready!(result)?;
        if length == 0 {
            return Poll::Ready(Ok(None));
        }
        self.slab_bytes += length;
        self.large_chunks += 1;
        Poll::Ready(Ok(Some(self.in_slab(index, offset, length))))
    }

    /// The last slab of `owner`'s response. There are a few dozen at most: see `SLABS_LIMIT`.
    fn last_slab(&self, owner: Target) -> Option<usize> {
        self.slabs.iter().rposition(|slab| slab.belongs_to(owner))
    }

    fn in_slab(&self, index: usize, offset: usize, length: usize) -> InSlab {
        InSlab {
            slab: index as u32,
            offset: offset as u32,
            length: length as u32,
        }
    }

    /// Called when nothing more is added.
    pub(crate) fn settle(&mut self) {
        for slab in &mut self.slabs {
            slab.settle();
        }
    }

    /// Whether it should not grow any further.
    pub(crate) fn is_large(&self) -> bool {
        self.records >= RECORDS_LIMIT
            || self.bytes.len() >= BATCH_LIMIT
            || self.slab_bytes >= SLABS_LIMIT
    }

    /// Moves the contents of `other` to the end of this batch, unless the result would be too large
    /// or the copy expensive. Returns whether it did.
    pub(crate) fn absorb(&mut self, other: &mut Self) -> bool {
        let fits = self.slabs.is_empty()
            && other.slabs.is_empty()
            && self.records + other.records <= RECORDS_LIMIT
            && self.bytes.len() + other.bytes.len() <= BATCH_LIMIT;
        if fits {
            self.bytes.extend_from_slice(&other.bytes);
            self.records += other.records;
            other.clear();
        }
        fits
    }

    /// Clears it and keeps the memory. Returns whether it is worth keeping.
    pub(crate) fn clear(&mut self) -> bool {
        self.bytes.clear();
        self.slabs.clear();
        self.slab_bytes = 0;
        self.large_chunks = 0;
        self.records = 0;
        self.bytes.capacity() <= KEPT_CAPACITY
    }
}

/// Batches waiting for the JavaScript thread.
#[derive(Default)]
pub(crate) struct Outbox {
    pub(crate) batches: VecDeque<Batch>,
    /// A doorbell is pending that has not taken the batches yet.
    pub(crate) ringing: bool,
}

impl Outbox {
    /// Drops the batches of an environment that has ended.
    pub(crate) fn clear(&mut self) {
        self.batches.clear();
    }
}
