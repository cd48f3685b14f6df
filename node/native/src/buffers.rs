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

    /// A slab that starts with this chunk and has room for more.
    pub(crate) fn roomy(chunk: &[u8]) -> Self {
        let mut memory = SPARE.lock().pop().unwrap_or_default();
        memory.reserve(ROOM.max(chunk.len()));
        memory.extend_from_slice(chunk);
        Self::Owned(Memory(memory))
    }

    /// Puts the chunk behind what the slab holds and returns its offset; `None` if there is no
    /// room.
    pub(crate) fn append(&mut self, chunk: &[u8]) -> Option<u32> {
        let Self::Owned(Memory(memory)) = self else {
            return None;
        };
        if memory.capacity() - memory.len() < chunk.len() {
            return None;
        }
        let offset = memory.len() as u32;
        memory.extend_from_slice(chunk);
        Some(offset)
    }

    pub(crate) fn into_buffer<'cx>(self, cx: &mut Cx<'cx>) -> JsResult<'cx, JsBuffer> {
        match self {
            Self::Owned(mut memory) => {
                // V8 counts the bytes it sees: a slab that is mostly empty gives the rest back.
                if memory.0.len() < memory.0.capacity() / 2 {
                    memory.0.shrink_to_fit();
                }
                Ok(JsBuffer::external(cx, memory))
            }
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
