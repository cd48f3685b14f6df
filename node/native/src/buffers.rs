//! Large body chunks on their way into JavaScript's memory.
//!
//! Where the runtime allows it, the chunks of one response that travel together are copied once, on
//! the I/O thread, into a slab, which becomes the memory of one Buffer that JavaScript cuts into
//! chunks. Nobody sees bytes of another response in `chunk.buffer`. Where it does not (Electron's V8
//! has a memory cage; Node can be built with one), each chunk is copied once on the JavaScript thread
//! instead.

use bytes::Bytes;
use dodici_wire::Target;
use neon::prelude::*;
use parking_lot::Mutex;

use crate::panics::expecting;

/// Room of a response's first slab in a batch. 64 KiB: most bodies that are large fit.
const ROOM: usize = 64 * 1024;

/// Room of those behind it. 256 KiB: a download fills a batch with a few of them.
const LARGE_ROOM: usize = 256 * 1024;

/// Memory kept for reuse, of each size: 16 MiB, so that steady traffic touches no fresh pages.
const MOST_SPARE: usize = 16 * 1024 * 1024;

static SPARE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());
static LARGE_SPARE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// Large chunks of one response under way.
pub(crate) struct Slab {
    owner: Target,
    content: Content,
}

enum Content {
    /// The only chunk so far. Copied when another one follows, or when nothing more comes.
    Chunk(Bytes),
    /// Becomes the Buffer's memory.
    Owned(Memory),
    /// One chunk that is copied into a Buffer of its own, on the JavaScript thread.
    Shared(Bytes),
}

impl Slab {
    /// A slab for this chunk, and for what follows if there is room.
    pub(crate) fn of(owner: Target, chunk: Bytes) -> Self {
        let content = Content::Chunk(chunk);
        Self { owner, content }
    }

    /// One chunk that must not be in memory of ours.
    pub(crate) fn shared(owner: Target, chunk: Bytes) -> Self {
        let content = Content::Shared(chunk);
        Self { owner, content }
    }

    /// An empty slab with room for `length` bytes; `follows` another one of its response.
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

    /// Whether it holds no chunk.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(&self.content, Content::Owned(Memory(bytes)) if bytes.is_empty())
    }

    /// Called when nothing more comes. V8 counts the bytes it sees, so a slab that is mostly empty
    /// becomes one that is full, and its memory stays here.
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

/// A slab's memory; goes back to the spare ones when JavaScript has let go of every chunk in it.
pub(crate) struct Memory(Vec<u8>);

impl Memory {
    /// Empty, with room for so many bytes at least.
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
