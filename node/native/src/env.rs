//! One environment, a main thread's or a worker's, as all threads see it.
//!
//! Made by `exports::open`. I/O threads put finished batches into it, its JavaScript thread takes
//! them out. What an I/O thread alone needs to know of an environment is in `local`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use dodici_wire::schema::Counter;
use neon::event::Channel;
use neon::prelude::*;
use parking_lot::Mutex;

use crate::buffers;
use crate::deliver::{Batch, Outbox};
use crate::runtime::{self, Command};

/// See the module.
pub(crate) struct Environment {
    id: u32,
    /// Where batches are copied to. Read on the JavaScript thread only.
    pub(crate) inbound: Root<JsBuffer>,
    /// Called for each batch. Read on the JavaScript thread only.
    pub(crate) on_batch: Root<JsFunction>,
    /// The doorbell. Never keeps the event loop alive: JavaScript does so while requests exist.
    pub(crate) channel: Channel,
    pub(crate) outbox: Mutex<Outbox>,
    /// Delivered batches, to be filled again.
    spare: Mutex<Vec<Batch>>,
    gone: AtomicBool,
    /// Whether large chunks may become Buffers without a copy on the JavaScript thread.
    pub(crate) external_buffers: bool,
    pub(crate) counters: Counters,
}

/// Batches kept for reuse: one being filled and one under way for each of four I/O threads.
const SPARE_BATCHES: usize = 8;

impl Environment {
    pub(crate) fn new(
        cx: &mut FunctionContext<'_>,
        inbound: Handle<'_, JsBuffer>,
        on_batch: Handle<'_, JsFunction>,
    ) -> Arc<Self> {
        static NEXT_ID: AtomicU32 = AtomicU32::new(0);
        let mut channel = cx.channel();
        channel.unref(cx);
        Arc::new(Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            inbound: inbound.root(cx),
            on_batch: on_batch.root(cx),
            channel,
            outbox: Mutex::default(),
            spare: Mutex::default(),
            gone: AtomicBool::new(false),
            external_buffers: buffers::external_allowed(cx),
            counters: Counters::default(),
        })
    }

    /// Number of this environment in the process. Never used again.
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// Whether nothing can be delivered any more.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// Ends the environment: see "Teardown" in the crate's documentation. Idempotent, on any
    /// thread.
    pub(crate) fn close(&self) {
        if self.gone.swap(true, Ordering::AcqRel) {
            return;
        }
        self.outbox.lock().clear();
        if let Some(threads) = runtime::threads() {
            threads.tell_all(|| Command::Close(self.id));
        }
    }

    /// An empty batch.
    pub(crate) fn take_spare(&self) -> Batch {
        self.spare.lock().pop().unwrap_or_default()
    }

    /// Takes back a delivered batch.
    pub(crate) fn recycle(&self, mut batch: Batch) {
        if !batch.clear() {
            return;
        }
        let mut spare = self.spare.lock();
        if spare.len() < SPARE_BATCHES {
            spare.push(batch);
        }
    }
}

/// JavaScript's hold on its environment. Dropped when it is garbage or the environment ends.
pub(crate) struct EnvHandle(Arc<Environment>);

impl EnvHandle {
    pub(crate) fn new(env: Arc<Environment>) -> Self {
        Self(env)
    }

    pub(crate) fn environment(&self) -> &Environment {
        &self.0
    }
}

impl Finalize for EnvHandle {}

impl Drop for EnvHandle {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// How often what happened, by [`Counter`].
#[derive(Default)]
pub(crate) struct Counters([AtomicU64; Counter::TABLE.len()]);

impl Counters {
    pub(crate) fn add(&self, counter: Counter, amount: usize) {
        self.0[counter as usize].fetch_add(amount as u64, Ordering::Relaxed);
    }

    pub(crate) fn submitted(&self, records: u32, bytes: usize) {
        self.add(Counter::SubmitCalls, 1);
        self.add(Counter::Submissions, records as usize);
        self.add(Counter::SubmissionBytes, bytes);
    }

    pub(crate) fn read(&self) -> [f64; Counter::TABLE.len()] {
        std::array::from_fn(|index| self.0[index].load(Ordering::Relaxed) as f64)
    }
}
