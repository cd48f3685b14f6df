//! The Neon addon behind the npm package `dodici`: carries records between JavaScript and the
//! engine, in batches.
//!
//! - `exports`: the functions that JavaScript calls, with their contract.
//! - `env`: one environment (main thread or worker), shared by all threads.
//! - `runtime`: the I/O threads of the process.
//! - `gather`: how long a batch waits for more.
//! - `local`: one I/O thread's state per environment: requests, pools, the open batch.
//! - `submit`: submissions, on the I/O thread.
//! - `sink`: completions, on the I/O thread.
//! - `batch`: records on their way to JavaScript; `deliver`: their delivery.
//! - `buffers`: large body chunks as Buffers.
//! - `lookup`, `resolver`: names resolved by the user's `lookup` function.
//! - `pages`: memory for large flushes.
//! - `panics`: expected panics of Neon.
//!
//! Submissions: `exports::submit` copies the flush, or lends its page, and wakes the thread;
//! `submit` decodes it and calls the engine. Completions: the engine calls `sink`, which appends to
//! the environment's batch in `local`; when `gather` says so, or the batch is large, `deliver`
//! hands it over and rings the doorbell, at most one at a time; on the JavaScript thread, `deliver`
//! copies each batch into the inbound Buffer and calls `onBatch`.
//!
//! # Teardown
//! An environment ends when JavaScript calls `close`, when Node drops the data of the JavaScript
//! environment (natural end, `worker.terminate()`), or when a doorbell cannot be rung any more
//! (Node is shutting down). Whichever comes first marks it as gone and tells every I/O thread,
//! which forgets it, destroys its pools and drops what was not delivered. The I/O threads
//! themselves never end and hold no reference that keeps a process alive; at `process.exit` they
//! are simply stopped.

#[cfg(not(panic = "unwind"))]
compile_error!("dodici catches panics at task and boundary edges: build with panic = \"unwind\"");

mod batch;
mod buffers;
mod deliver;
mod env;
mod exports;
mod gather;
mod local;
mod lookup;
mod pages;
mod panics;
mod resolver;
mod runtime;
mod sink;
mod submit;

use neon::prelude::*;

#[neon::main]
fn main(mut cx: ModuleContext) -> NeonResult<()> {
    panics::install_hook();
    exports::export(&mut cx)
}
