//! The functions that JavaScript calls.
//!
//! | function | |
//! |---|---|
//! | `layoutHash(): number` | compared with the generated constant before anything else is called |
//! | `version(): string` | of this addon |
//! | `open(inbound, onBatch, ioThreads): Env` | an environment's number; see [`open`] |
//! | `threads(env): number` | I/O threads of the process |
//! | `submit(env, thread, buffer, length, page?)` | a whole number of submissions; see [`submit`] |
//! | `page(env): number \| Buffer \| undefined` | memory for a large flush; see [`page`] |
//! | `checkOptions(buffer, length): Buffer \| undefined` | validates a pool's options; an error payload if invalid |
//! | `isPublic(address): boolean` | see [`dodici::is_public`]; false for anything that is no address |
//! | `clearDnsCache()` | see [`dodici::clear_dns_cache`] |
//! | `setRoots(env, pem)` | the default roots of this environment; see [`set_roots`] |
//! | `counters(env): Float64Array` | see `Counter` in the schema |
//! | `clock(env): number` | milliseconds since the environment's epoch |
//! | `close(env)` | destroys the environment's pools; nothing is delivered afterwards |
//!
//! Called on a JavaScript thread. Neon turns a panic in them into a JavaScript exception.

use std::time::Instant;

use bytes::Bytes;
use dodici::check_config;
use dodici_pool::Error;
use dodici_wire::errors::put_error;
use dodici_wire::options::PoolOptions;
use dodici_wire::{count_records, layout_hash};
use neon::prelude::*;
use neon::types::JsFloat64Array;
use neon::types::buffer::TypedArray;

use crate::buffers::Memory;
use crate::env::{self, Environment};
use crate::pages::Next;
use crate::runtime::{self, Command};

/// Registers everything with the module.
pub(crate) fn export(cx: &mut ModuleContext) -> NeonResult<()> {
    cx.export_function("layoutHash", |mut cx| Ok(cx.number(layout_hash())))?;
    cx.export_function("version", |mut cx| Ok(cx.string(env!("CARGO_PKG_VERSION"))))?;
    cx.export_function("open", open)?;
    cx.export_function("threads", threads)?;
    cx.export_function("submit", submit)?;
    cx.export_function("page", page)?;
    cx.export_function("checkOptions", check_options)?;
    cx.export_function("isPublic", is_public)?;
    cx.export_function("clearDnsCache", clear_dns_cache)?;
    cx.export_function("setRoots", set_roots)?;
    cx.export_function("counters", counters)?;
    cx.export_function("clock", clock)?;
    cx.export_function("close", close)?;
    Ok(())
}

/// `open(inbound: Buffer, onBatch, ioThreads: number): Env`
///
/// `onBatch(length, slabs, overflow)` is called with a whole number of completions in the first
/// `length` bytes of `inbound`, or of the Buffer `overflow` if they do not fit there; `slabs` is
/// the list of slabs with large chunks, or `undefined`. The bytes are valid only during the call.
/// An exception it throws becomes an uncaught exception.
///
/// The first call in the process sets the number of I/O threads.
///
/// The environment never keeps the event loop alive.
fn open(mut cx: FunctionContext) -> JsResult<JsNumber> {
    let inbound = cx.argument::<JsBuffer>(0)?;
    let on_batch = cx.argument::<JsFunction>(1)?;
    let wanted = cx.argument::<JsNumber>(2)?.value(&mut cx) as usize;
    let threads = match runtime::start(wanted) {
        Ok(threads) => threads,
        Err(error) => return cx.throw_error(format!("dodici cannot start its threads: {error}")),
    };
    let env = Environment::new(&mut cx, inbound, on_batch, runtime::notify_end);
    threads.send_all(|| Command::Open(env.clone()));
    let id = env.id();
    env::hold(&mut cx, env);
    Ok(cx.number(id))
}

fn threads(mut cx: FunctionContext) -> JsResult<JsNumber> {
    env::argument(&mut cx, 0)?;
    let count = runtime::threads().map_or(0, runtime::Threads::count);
    Ok(cx.number(count as f64))
}

/// `submit(env: Env, thread: number, buffer: Buffer, length: number, page?: number)`
///
/// At most one copy, one send, one wake-up. The frames are checked here, so that a bug in the
/// encoder is an exception at its source; payloads are decoded on the I/O thread. With `page`,
/// `buffer` is the page of that number, which is lent instead of copied: it must not be written to
/// until [`page`] returns it again.
fn submit(mut cx: FunctionContext) -> JsResult<JsUndefined> {
    let env = env::argument(&mut cx, 0)?;
    let thread = cx.argument::<JsNumber>(1)?.value(&mut cx) as usize;
    let flush = match cx.argument_opt(4) {
        Some(page) if !page.is_a::<JsUndefined, _>(&mut cx) => {
            let page = page
                .downcast_or_throw::<JsNumber, _>(&mut cx)?
                .value(&mut cx) as usize;
            let length = cx.argument::<JsNumber>(3)?.value(&mut cx) as usize;
            match env.pages.lend(page, length) {
                Some(flush) => flush,
                None => return cx.throw_range_error("no such page to lend"),
            }
        }
        _ => argument_bytes(&mut cx, 2)?,
    };
    let records = match count_records(&flush) {
        Ok(records) => records,
        Err(error) => return cx.throw_error(error.to_string()),
    };
    env.counters.submitted(records, flush.len());
    let sent = runtime::threads()
        .is_some_and(|threads| threads.send(thread, Command::Submit(env.id(), flush)));
    if !sent {
        return cx.throw_error(format!("dodici has no I/O thread {thread}"));
    }
    Ok(cx.undefined())
}

/// `page(env: Env): number | Buffer | undefined`
///
/// A page that is not lent: the number of an existing one, or the Buffer of a new one, whose number
/// is the count of pages before it. `undefined` if all are lent, or if this runtime does not allow
/// Buffers on external memory.
fn page(mut cx: FunctionContext) -> JsResult<JsValue> {
    let env = env::argument(&mut cx, 0)?;
    if !env.external_buffers {
        return Ok(cx.undefined().upcast());
    }
    Ok(match env.pages.next(&mut cx) {
        Next::Again(number) => cx.number(number as f64).upcast(),
        Next::New(page) => page.upcast(),
        Next::None => cx.undefined().upcast(),
    })
}

fn check_options(mut cx: FunctionContext) -> JsResult<JsValue> {
    let payload = argument_bytes(&mut cx, 0)?;
    let checked = PoolOptions::decode(&payload)
        .map_err(Error::from)
        .and_then(|options| check_config(&options.origin, &options.config));
    match checked {
        Ok(()) => Ok(cx.undefined().upcast()),
        Err(error) => {
            let mut payload = Vec::new();
            put_error(&mut payload, &error);
            Ok(JsBuffer::from_slice(&mut cx, &payload)?.upcast())
        }
    }
}

fn is_public(mut cx: FunctionContext) -> JsResult<JsBoolean> {
    let address = cx.argument::<JsString>(0)?.value(&mut cx);
    Ok(cx.boolean(address.parse().is_ok_and(dodici::is_public)))
}

fn clear_dns_cache(mut cx: FunctionContext) -> JsResult<JsUndefined> {
    dodici::clear_dns_cache();
    Ok(cx.undefined())
}

/// `setRoots(env: Env, pem: Buffer)`
///
/// Pools created or configured afterwards trust these certificates if they have none of their own.
/// If they are unusable, such pools fail until others are set.
fn set_roots(mut cx: FunctionContext) -> JsResult<JsUndefined> {
    let env = env::argument(&mut cx, 0)?;
    let pem = cx.argument::<JsBuffer>(1)?.as_slice(&cx).to_vec();
    env.set_roots(&pem);
    Ok(cx.undefined())
}

fn counters(mut cx: FunctionContext) -> JsResult<JsFloat64Array> {
    let env = env::argument(&mut cx, 0)?;
    JsFloat64Array::from_slice(&mut cx, &env.counters.read())
}

fn clock(mut cx: FunctionContext) -> JsResult<JsNumber> {
    let env = env::argument(&mut cx, 0)?;
    Ok(cx.number(env.epoch.millis(Instant::now())))
}

fn close(mut cx: FunctionContext) -> JsResult<JsUndefined> {
    let id = cx.argument::<JsNumber>(0)?.value(&mut cx);
    env::release(&mut cx, id);
    Ok(cx.undefined())
}

/// The first `length` bytes of the Buffer at argument `index`, copied; `length` is the argument
/// after it.
fn argument_bytes(cx: &mut FunctionContext, index: usize) -> NeonResult<Bytes> {
    let buffer = cx.argument::<JsBuffer>(index)?;
    let length = cx.argument::<JsNumber>(index + 1)?.value(cx) as usize;
    match buffer.as_slice(cx).get(..length) {
        Some(bytes) => Ok(Bytes::from_owner(Memory::holding(bytes))),
        None => cx.throw_range_error("the length is larger than the buffer"),
    }
}
