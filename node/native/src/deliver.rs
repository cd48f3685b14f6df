//! Delivery of completions to JavaScript: batch, outbox, doorbell, `onBatch`.
//!
//! [`hand_over_all`] runs on an I/O thread: when `gather` says so, when a batch is large, and
//! before the thread parks. [`deliver`] runs on the environment's JavaScript thread, once per
//! doorbell.
//!
//! At most one doorbell is pending per environment. The outbox and the flag for it are under one
//! lock, and [`deliver`] clears the flag when it takes the batches: a batch is either among those
//! taken or rings again.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::task::{Poll, ready};

use bytes::Bytes;
use dodici_wire::Target;
use dodici_wire::completion::InSlab;
use dodici_wire::schema::{BATCH_LIMIT, Counter};
use dodici_wire::tuning::{KEPT_CAPACITY, READ_CHUNK, RECORDS_LIMIT, SLABS_LIMIT};
use neon::prelude::*;
use neon::types::buffer::TypedArray;

use crate::buffers::Slab;
use crate::env::Environment;
use crate::local::{self, LocalEnv};
use crate::panics::expecting;

/// Records for JavaScript, and the slabs with their large chunks.
#[derive(Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    slabs: Vec<Slab>,
    slab_bytes: usize,
    large_chunks: usize,
    records: usize,
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
        let most = most.min(READ_CHUNK);
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
    fn settle(&mut self) {
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
    fn absorb(&mut self, other: &mut Self) -> bool {
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
    batches: VecDeque<Batch>,
    /// A doorbell is pending that has not taken the batches yet.
    ringing: bool,
}

impl Outbox {
    /// Drops the batches of an environment that has ended.
    pub(crate) fn clear(&mut self) {
        self.batches.clear();
    }
}

/// Hands over what this thread has for all environments.
pub(crate) fn hand_over_all() {
    local::for_each_env(|env| {
        if env.batch.records > 0 {
            hand_over(env);
        }
    });
}

fn hand_over(env: &mut LocalEnv) {
    env.batch.settle();
    let shared = &env.shared;
    if shared.is_gone() {
        env.batch.clear();
        return;
    }
    let must_ring = {
        let mut outbox = shared.outbox.lock();
        let waiting = outbox.batches.back_mut();
        if !waiting.is_some_and(|waiting| waiting.absorb(&mut env.batch)) {
            let batch = std::mem::replace(&mut env.batch, shared.take_spare());
            outbox.batches.push_back(batch);
        }
        !std::mem::replace(&mut outbox.ringing, true)
    };
    if must_ring {
        ring(shared);
    }
}

/// Wakes the JavaScript thread. If that is impossible, the environment has ended.
fn ring(shared: &Arc<Environment>) {
    shared.counters.add(Counter::Doorbells, 1);
    let env = Arc::clone(shared);
    let rung = shared.channel.try_send(move |mut cx| {
        deliver(&mut cx, &env);
        Ok(())
    });
    if rung.is_err() {
        shared.close();
    }
}

/// Delivers the contents of the outbox to JavaScript. Neither a panic nor an exception leaves this
/// function: Neon would wrap the former and, in an environment that is being terminated, turn
/// either into an abort.
fn deliver(cx: &mut Cx<'_>, env: &Environment) {
    let batches = {
        let mut outbox = env.outbox.lock();
        outbox.ringing = false;
        std::mem::take(&mut outbox.batches)
    };
    for mut batch in batches {
        if env.is_gone() {
            return;
        }
        let called = expecting(|| cx.try_catch(|cx| call_on_batch(cx, env, &mut batch)));
        env.recycle(batch);
        let told = match called {
            Ok(Ok(())) => true,
            // In a worker that is being terminated, V8 reports the exception as null.
            Ok(Err(thrown)) if thrown.is_a::<JsNull, _>(cx) => false,
            Ok(Err(thrown)) => throw_uncaught(cx, |_| Ok(thrown)),
            // Neon panics if it can no longer call into JavaScript; then reporting it fails as
            // well.
            Err(panic) => throw_uncaught(cx, |cx| {
                let message = format!("dodici could not deliver a batch: {panic}");
                Ok(cx.error(message)?.upcast())
            }),
        };
        if !told {
            return env.close();
        }
    }
}

fn call_on_batch(cx: &mut Cx<'_>, env: &Environment, batch: &mut Batch) -> NeonResult<()> {
    let counters = &env.counters;
    counters.add(Counter::Batches, 1);
    counters.add(Counter::Completions, batch.records);
    counters.add(Counter::CompletionBytes, batch.bytes.len());

    let length = cx.number(batch.bytes.len() as f64).upcast();
    let slabs = if batch.slabs.is_empty() {
        cx.undefined().upcast()
    } else {
        counters.add(Counter::LargeChunks, batch.large_chunks);
        let list = cx.empty_array();
        for (index, slab) in batch.slabs.drain(..).enumerate() {
            let buffer = slab.into_buffer(cx)?;
            list.prop(cx, index as u32).set(buffer)?;
        }
        list.upcast()
    };
    let mut inbound = env.inbound.to_inner(cx);
    let room = inbound.as_mut_slice(cx).get_mut(..batch.bytes.len());
    let overflow = if let Some(room) = room {
        room.copy_from_slice(&batch.bytes);
        cx.undefined().upcast()
    } else {
        counters.add(Counter::OversizedBatches, 1);
        JsBuffer::from_slice(cx, &batch.bytes)?.upcast()
    };
    let this = cx.undefined();
    let on_batch = env.on_batch.to_inner(cx);
    on_batch.exec(cx, this, [length, slabs, overflow])
}

/// Throws in a microtask, so that the exception is uncaught. Returns whether that was possible.
fn throw_uncaught<'cx>(
    cx: &mut Cx<'cx>,
    make: impl FnOnce(&mut Cx<'cx>) -> JsResult<'cx, JsValue>,
) -> bool {
    let thrown = expecting(|| {
        cx.try_catch(|cx| {
            let error = make(cx)?;
            let throw =
                JsFunction::new(cx, |mut cx: FunctionContext<'_>| -> JsResult<'_, JsValue> {
                    let error = cx.argument::<JsValue>(0)?;
                    cx.throw(error)
                })?;
            let bind: Handle<'_, JsFunction> = throw.prop(cx, "bind").get()?;
            let this = cx.undefined().upcast();
            let task = bind.call(cx, throw, [this, error])?;
            let queue: Handle<'_, JsFunction> = cx.global("queueMicrotask")?;
            let this = cx.undefined();
            queue.exec(cx, this, [task])
        })
    });
    matches!(thrown, Ok(Ok(())))
}
