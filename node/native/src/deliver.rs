//! Delivery of completions to JavaScript: doorbell, `onBatch`.
//!
//! [`hand_over_all`] runs on an I/O thread: when `gather` says so, when a batch is large, and
//! before the thread parks. [`deliver`] runs on the environment's JavaScript thread, once per
//! doorbell.
//!
//! At most one doorbell is pending per environment. The outbox and the flag for it are under one
//! lock, and [`deliver`] clears the flag when it takes the batches: a batch is either among those
//! taken or rings again.

use std::sync::Arc;

use dodici_wire::schema::Counter;
use neon::prelude::*;
use neon::types::buffer::TypedArray;

use crate::batch::Batch;
use crate::env::Environment;
use crate::local::{self, LocalEnv};
use crate::panics::expecting;

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
        let delivered = match called {
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
        if !delivered {
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
