//! Large body chunks on their way to JavaScript.
//!
//! If the runtime allows it, the chunks of one response in a batch are copied once, on the I/O
//! thread, into a slab, which becomes the memory of one Buffer that JavaScript slices into chunks.
//! No one sees bytes of another response in `chunk.buffer`. Otherwise (Electron's V8 has a memory
//! cage; Node can be built with one), each chunk is copied once on the JavaScript thread instead.

use bytes::Bytes;
use dodici_wire::Target;
use neon::prelude::*;
use parking_lot::Mutex;

use crate::panics::expecting;

/// Capacity of a response's first slab in a batch. 64 KiB: most large bodies fit. And the little
/// more that the engine asks for at the end of a body, so that the last read is a short one, after
/// which the socket is not asked again.
const ROOM: usize = 64 * 1024 + 64;

/// Capacity of the following ones. 256 KiB: a download fills a batch with a few of them.
const LARGE_ROOM: usize = 256 * 1024;

/// Memory kept for reuse, per size: 16 MiB, so that steady traffic touches no new memory pages.
const MOST_SPARE: usize = 16 * 1024 * 1024;

static SPARE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());
static LARGE_SPARE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

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
        let room = if follows { LARGE_ROOM } else { ROOM };
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

/// A slab's memory; kept for reuse once JavaScript has released every chunk in it.
pub(crate) struct Memory(Vec<u8>);

impl Memory {
    /// Empty, with at least this capacity.
    fn with_room(length: usize) -> Self {
        let room = match length {
            0..=ROOM => ROOM,
            _ => LARGE_ROOM.max(length),
        };
        let spare = spare_of(room).and_then(|spare| spare.lock().pop());
        Self(spare.unwrap_or_else(|| Vec::with_capacity(room)))
    }

    /// Mostly full of these bytes.
    fn holding(bytes: &[u8]) -> Self {
        if !(ROOM / 2..=ROOM).contains(&bytes.len()) {
            return Self(bytes.to_vec());
        }
        let mut memory = Self::with_room(ROOM);
        memory.0.extend_from_slice(bytes);
        memory
    }
}

/// Where memory of this size is kept.
fn spare_of(room: usize) -> Option<&'static Mutex<Vec<Vec<u8>>>> {
    match room {
        ROOM => Some(&SPARE),
        LARGE_ROOM => Some(&LARGE_SPARE),
        _ => None,
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
        let Some(spare) = spare_of(room) else {
            return;
        };
        let mut memory = std::mem::take(&mut self.0);
        memory.clear();
        let mut spare = spare.lock();
        if spare.len() < MOST_SPARE / room {
            spare.push(memory);
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
