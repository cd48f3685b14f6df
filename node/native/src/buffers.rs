//! Large body chunks on their way to JavaScript.
//!
//! If the runtime allows it, the chunks of one response in a batch are copied once, on the I/O
//! thread, into a slab, which becomes the memory of one Buffer that JavaScript slices into chunks.
//! No one sees bytes of another response in `chunk.buffer`. Otherwise (Electron's V8 has a memory
//! cage; Node can be built with one), each chunk is copied once on the JavaScript thread instead.

use bytes::Bytes;
use dodici::READ_SLACK;
use dodici_wire::Target;
use neon::prelude::*;
use parking_lot::Mutex;

use crate::panics::expecting;

/// Capacity of the slabs that follow a response's first in a batch. 256 KiB: a download fills a
/// batch with a few of them.
const LARGE_ROOM: usize = 256 * 1024;

/// Memory kept for reuse, so that steady traffic touches no new memory pages.
static SPARES: [Spares; 4] = [
    // Submissions.
    Spares::of(4 * 1024, 64),
    // The first slab of a response. Most large bodies fit.
    Spares::of(32 * 1024 + READ_SLACK, 256),
    Spares::of(64 * 1024 + READ_SLACK, 256),
    Spares::of(LARGE_ROOM, 64),
];

/// Spare memory of one size.
struct Spares {
    room: usize,
    most: usize,
    kept: Mutex<Vec<Vec<u8>>>,
}

impl Spares {
    const fn of(room: usize, most: usize) -> Self {
        let kept = Mutex::new(Vec::new());
        Self { room, most, kept }
    }
}

/// Large chunks of one response in a batch.
pub(crate) struct Slab {
    owner: Target,
    content: Content,
}

enum Content {
    /// The only chunk so far. Copied when another follows, or when there are no more.
    Chunk(Bytes),
    /// Becomes the Buffer's memory.
    Owned(Memory),
    /// One chunk that is copied into its own Buffer on the JavaScript thread.
    Shared(Bytes),
}

impl Slab {
    /// A slab for this chunk and those that follow, if there is room.
    pub(crate) fn of(owner: Target, chunk: Bytes) -> Self {
        let content = Content::Chunk(chunk);
        Self { owner, content }
    }

    /// One chunk that must not be in our memory.
    pub(crate) fn shared(owner: Target, chunk: Bytes) -> Self {
        let content = Content::Shared(chunk);
        Self { owner, content }
    }

    /// An empty slab with room for `length` bytes; `follows`: not the first of its response.
    pub(crate) fn roomy(owner: Target, length: usize, follows: bool) -> Self {
        let room = if follows { LARGE_ROOM } else { 0 };
        let content = Content::Owned(Memory::with_room(room.max(length)));
        Self { owner, content }
    }

    pub(crate) fn belongs_to(&self, owner: Target) -> bool {
        self.owner == owner
    }

    /// The memory, to append `length` bytes; `None` if there is no room for them.
    pub(crate) fn memory(&mut self, length: usize) -> Option<&mut Vec<u8>> {
        if let Content::Chunk(chunk) = &self.content {
            let room = chunk.len() + length;
            if room > LARGE_ROOM {
                return None;
            }
            let mut memory = Memory::with_room(room);
            memory.0.extend_from_slice(chunk);
            self.content = Content::Owned(memory);
        }
        match &mut self.content {
            Content::Owned(Memory(bytes)) if bytes.capacity() - bytes.len() >= length => {
                Some(bytes)
            }
            Content::Chunk(_) | Content::Owned(_) | Content::Shared(_) => None,
        }
    }

    /// Whether it contains no chunk.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(&self.content, Content::Owned(Memory(bytes)) if bytes.is_empty())
    }

    /// Called when there are no more chunks. V8 counts the bytes it sees, so a mostly empty slab is
    /// copied to a full one, and its memory stays here.
    pub(crate) fn settle(&mut self) {
        let full = match &self.content {
            Content::Chunk(chunk) => Memory::holding(chunk),
            Content::Owned(Memory(bytes)) if bytes.len() < bytes.capacity() / 2 => {
                Memory::holding(bytes)
            }
            Content::Owned(_) | Content::Shared(_) => return,
        };
        self.content = Content::Owned(full);
    }

    pub(crate) fn into_buffer<'cx>(self, cx: &mut Cx<'cx>) -> JsResult<'cx, JsBuffer> {
        match self.content {
            Content::Owned(memory) => Ok(JsBuffer::external(cx, memory)),
            Content::Chunk(bytes) | Content::Shared(bytes) => JsBuffer::from_slice(cx, &bytes),
        }
    }
}

/// Memory of a slab or a submission; kept for reuse once every chunk or slice of it was released.
pub(crate) struct Memory(Vec<u8>);

impl Memory {
    /// Empty, with at least this capacity.
    fn with_room(length: usize) -> Self {
        let Some(spares) = SPARES.iter().find(|spares| spares.room >= length) else {
            return Self(Vec::with_capacity(length));
        };
        let spare = spares.kept.lock().pop();
        Self(spare.unwrap_or_else(|| Vec::with_capacity(spares.room)))
    }

    /// Mostly full of these bytes.
    pub(crate) fn holding(bytes: &[u8]) -> Self {
        let fits = |spares: &Spares| (spares.room / 2..=spares.room).contains(&bytes.len());
        if !SPARES.iter().any(fits) {
            return Self(bytes.to_vec());
        }
        let mut memory = Self::with_room(bytes.len());
        memory.0.extend_from_slice(bytes);
        memory
    }
}

impl AsRef<[u8]> for Memory {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl AsMut<[u8]> for Memory {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let room = self.0.capacity();
        let Some(spares) = SPARES.iter().find(|spares| spares.room == room) else {
            return;
        };
        let mut memory = std::mem::take(&mut self.0);
        memory.clear();
        let mut kept = spares.kept.lock();
        if kept.len() < spares.most {
            kept.push(memory);
        }
    }
}

/// Whether this environment allows Buffers on external memory.
///
/// Electron is detected by name, because it aborts the process on an attempt. Elsewhere an attempt
/// is harmless: Neon panics if Node refuses.
pub(crate) fn external_allowed(cx: &mut FunctionContext<'_>) -> bool {
    let is_electron = cx.try_catch(|cx| {
        let process: Handle<'_, JsObject> = cx.global("process")?;
        let versions: Handle<'_, JsObject> = process.prop(cx, "versions").get()?;
        let electron: Handle<'_, JsValue> = versions.prop(cx, "electron").get()?;
        Ok(!electron.is_a::<JsUndefined, _>(cx))
    });
    // No `process.versions` at all: not Node, so be careful.
    if is_electron.unwrap_or(true) {
        return false;
    }
    expecting(|| JsBuffer::external(cx, vec![0_u8; 1])).is_ok()
}
