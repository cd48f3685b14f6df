//! Large body chunks on their way into JavaScript's memory.
//!
//! Where the runtime allows it, chunks are copied once, on the I/O thread, into slabs, and a slab
//! becomes the memory of one Buffer that JavaScript cuts into chunks: one object of V8, one
//! finalizer, for many chunks. Where it does not (Electron's V8 has a memory cage; Node can be
//! built with one), each chunk is copied once on the JavaScript thread instead.

use bytes::Bytes;
use neon::prelude::*;
use parking_lot::Mutex;

use crate::panics::expecting;

/// Room of a slab for several chunks. 256 KiB: what a program that keeps a single chunk of 16 KiB
/// keeps in memory is at most sixteen times as much.
const ROOM: usize = 256 * 1024;

/// Slabs kept for reuse: 16 MiB, so that steady traffic touches no fresh pages.
const MOST_SPARE: usize = 64;

static SPARE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// Memory of large chunks under way.
pub(crate) enum Slab {
    /// Becomes the Buffer's memory.
    Owned(Memory),
    /// One chunk that is copied into a Buffer of its own.
    Shared(Bytes),
}

impl Slab {
    /// A slab for this chunk alone, no larger than it: what a lone response needs.
    pub(crate) fn alone(chunk: &[u8]) -> Self {
        Self::Owned(Memory(chunk.to_vec()))
    }

    /// An empty slab with room for several chunks.
    pub(crate) fn roomy() -> Self {
        let spare = SPARE.lock().pop();
        Self::Owned(Memory(spare.unwrap_or_else(|| Vec::with_capacity(ROOM))))
    }

    /// How many bytes more it can take.
    pub(crate) fn room(&self) -> usize {
        match self {
            Self::Owned(Memory(bytes)) => bytes.capacity() - bytes.len(),
            Self::Shared(_) => 0,
        }
    }

    /// The memory, to append a chunk within its room; `None` for memory that is not its own.
    pub(crate) fn memory(&mut self) -> Option<&mut Vec<u8>> {
        match self {
            Self::Owned(Memory(bytes)) => Some(bytes),
            Self::Shared(_) => None,
        }
    }

    /// Whether it holds no chunk.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Owned(Memory(bytes)) if bytes.is_empty())
    }

    /// Called when nothing more comes. V8 counts the bytes it sees, so a slab that is mostly empty
    /// becomes one that is full, and its memory stays here.
    pub(crate) fn settle(&mut self) {
        if let Self::Owned(Memory(bytes)) = self
            && bytes.len() < bytes.capacity() / 2
        {
            *self = Self::alone(bytes);
        }
    }

    pub(crate) fn into_buffer<'cx>(self, cx: &mut Cx<'cx>) -> JsResult<'cx, JsBuffer> {
        match self {
            Self::Owned(memory) => Ok(JsBuffer::external(cx, memory)),
            Self::Shared(bytes) => JsBuffer::from_slice(cx, &bytes),
        }
    }
}

/// A slab's memory; goes back to the spare ones when JavaScript has let go of every chunk in it.
pub(crate) struct Memory(Vec<u8>);

impl AsMut<[u8]> for Memory {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if self.0.capacity() != ROOM {
            return;
        }
        let mut memory = std::mem::take(&mut self.0);
        memory.clear();
        let mut spare = SPARE.lock();
        if spare.len() < MOST_SPARE {
            spare.push(memory);
        }
    }
}

/// Whether this environment may have Buffers on memory that is not V8's own.
///
/// Electron is recognised by name, because it ends the process for an attempt. Elsewhere an attempt
/// is harmless: Neon panics if Node says no.
pub(crate) fn external_allowed(cx: &mut FunctionContext<'_>) -> bool {
    let is_electron = cx.try_catch(|cx| {
        let process: Handle<'_, JsObject> = cx.global("process")?;
        let versions: Handle<'_, JsObject> = process.prop(cx, "versions").get()?;
        let electron: Handle<'_, JsValue> = versions.prop(cx, "electron").get()?;
        Ok(!electron.is_a::<JsUndefined, _>(cx))
    });
    // No `process.versions` at all: something that is not Node, so the careful way.
    if is_electron.unwrap_or(true) {
        return false;
    }
    expecting(|| JsBuffer::external(cx, vec![0_u8; 1])).is_ok()
}
