//! Large body chunks as Buffers of their own.
//!
//! Where the runtime allows it, a chunk is copied once, on the I/O thread, and JavaScript's Buffer
//! is that memory. Where it does not (Electron's V8 has a memory cage; Node can be built with
//! one), the chunk is copied once on the JavaScript thread instead.

use bytes::Bytes;
use neon::prelude::*;

use crate::panics::expecting;

/// A large chunk under way.
pub(crate) enum Chunk {
    /// Becomes the Buffer's memory.
    Owned(Vec<u8>),
    /// Is copied into the Buffer.
    Shared(Bytes),
}

impl Chunk {
    /// `external`: what [`external_allowed`] said of the environment.
    pub(crate) fn new(chunk: Bytes, external: bool) -> Self {
        if external {
            // Copies unless nobody else holds the memory.
            Self::Owned(chunk.into())
        } else {
            Self::Shared(chunk)
        }
    }

    pub(crate) fn into_buffer<'cx>(self, cx: &mut Cx<'cx>) -> JsResult<'cx, JsBuffer> {
        match self {
            Self::Owned(bytes) => Ok(JsBuffer::external(cx, bytes)),
            Self::Shared(bytes) => JsBuffer::from_slice(cx, &bytes),
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
