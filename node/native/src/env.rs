//! One environment, the main thread or a worker, as shared by all threads.
//!
//! Created by `exports::open`. I/O threads put finished batches into it, its JavaScript thread
//! takes them out. What only one I/O thread needs is in `local`.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

use dodici::{AltSvcCache, ConnectionLimit, DefaultRoots, Roots};
use dodici_pool::{Error, ErrorKind, Phase};
use dodici_wire::completion::Epoch;
use dodici_wire::schema::Counter;
use neon::event::Channel;
use neon::prelude::*;
use neon::thread::LocalKey;
use parking_lot::Mutex;

use crate::batch::{Batch, Outbox};
use crate::buffers;
use crate::pages::Pages;

/// See the module.
pub(crate) struct Environment {
    id: u32,
    pub(crate) epoch: Epoch,
    /// Tells the I/O threads that the environment with this number has ended.
    notify_end: fn(u32),
    /// Where batches are copied to. Read on the JavaScript thread only.
    pub(crate) inbound: Root<JsBuffer>,
    /// Called for each batch. Read on the JavaScript thread only.
    pub(crate) on_batch: Root<JsFunction>,
    /// The doorbell. Never keeps the event loop alive: JavaScript does so while requests exist.
    pub(crate) channel: Channel,
    pub(crate) outbox: Mutex<Outbox>,
    /// Delivered batches, for reuse.
    spare: Mutex<Vec<Batch>>,
    gone: AtomicBool,
    /// The roots of pools without their own certificates.
    roots: Mutex<DefaultRoots>,
    /// Limits that pools share, by the numbers that JavaScript gives them.
    limits: Mutex<HashMap<u32, ConnectionLimit>>,
    /// What its pools have heard of HTTP/3: those of another environment may trust other servers.
    pub(crate) alternatives: AltSvcCache,
    /// Whether large chunks may become Buffers without a copy on the JavaScript thread.
    pub(crate) external_buffers: bool,
    /// Memory of large flushes.
    pub(crate) pages: Pages,
    pub(crate) counters: Counters,
}

/// Batches kept for reuse: one being filled and one in transit for each of four I/O threads.
const SPARE_BATCHES: usize = 8;

impl Environment {
    pub(crate) fn new(
        cx: &mut FunctionContext<'_>,
        inbound: Handle<'_, JsBuffer>,
        on_batch: Handle<'_, JsFunction>,
        notify_end: fn(u32),
    ) -> Arc<Self> {
        static NEXT_ID: AtomicU32 = AtomicU32::new(0);
        let mut channel = cx.channel();
        channel.unref(cx);
        Arc::new(Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            epoch: Epoch(Instant::now()),
            notify_end,
            inbound: inbound.root(cx),
            on_batch: on_batch.root(cx),
            channel,
            outbox: Mutex::default(),
            spare: Mutex::default(),
            gone: AtomicBool::new(false),
            roots: Mutex::new(no_roots()),
            limits: Mutex::default(),
            alternatives: AltSvcCache::default(),
            external_buffers: buffers::external_allowed(cx),
            pages: Pages::default(),
            counters: Counters::default(),
        })
    }

    /// Number of this environment in the process. Never reused.
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
        (self.notify_end)(self.id);
    }

    /// See `exports::set_roots`.
    pub(crate) fn set_roots(&self, pem: &[u8]) {
        let parsed = Roots::parse(&[pem.to_vec()]);
        *self.roots.lock() = parsed.map_or_else(DefaultRoots::Unusable, DefaultRoots::Supplied);
    }

    /// The roots of pools without their own certificates: never the bundle, whatever happens.
    pub(crate) fn roots(&self) -> DefaultRoots {
        self.roots.lock().clone()
    }

    /// The limit with this number. One that nothing counts in any more is forgotten.
    pub(crate) fn limit(&self, id: u32, most: NonZeroU32) -> ConnectionLimit {
        let mut limits = self.limits.lock();
        limits.retain(|have, limit| *have == id || limit.is_used());
        let limit = limits.entry(id);
        limit.or_insert_with(|| ConnectionLimit::new(most)).clone()
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

/// Before [`Environment::set_roots`].
fn no_roots() -> DefaultRoots {
    let message = "no default trust anchors were supplied";
    DefaultRoots::Unusable(Error::new(ErrorKind::Internal, Phase::Queued, message))
}

/// The environments that this JavaScript environment has opened. Node drops it when the
/// environment ends.
///
/// JavaScript refers to an environment by its number and not by a boxed object: Neon checks the
/// type tag of a boxed argument, which Node refuses in a worker that is being terminated but still
/// running its last lines, and Neon then panics.
static HELD: LocalKey<Mutex<Vec<Held>>> = LocalKey::new();

/// JavaScript's reference to an environment.
struct Held(Arc<Environment>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Keeps an environment until [`release`] or the end of the JavaScript environment.
pub(crate) fn hold(cx: &mut FunctionContext<'_>, env: Arc<Environment>) {
    HELD.get_or_init_default(cx).lock().push(Held(env));
}

/// The environment whose number is the argument at `index`; throws if it is closed.
pub(crate) fn argument(cx: &mut FunctionContext<'_>, index: usize) -> NeonResult<Arc<Environment>> {
    let id = cx.argument::<JsNumber>(index)?.value(cx);
    let found = HELD.get(cx).and_then(|held| {
        let held = held.lock();
        let found = held.iter().find(|held| f64::from(held.0.id) == id);
        found.map(|held| Arc::clone(&held.0))
    });
    match found {
        Some(env) if !env.is_gone() => Ok(env),
        _ => cx.throw_error("this dodici environment is closed"),
    }
}

/// Closes the environment with this number, if it is open.
pub(crate) fn release(cx: &mut FunctionContext<'_>, id: f64) {
    if let Some(held) = HELD.get(cx) {
        let mut held = held.lock();
        held.retain(|held| f64::from(held.0.id) != id);
    }
}

/// Counters, indexed by [`Counter`].
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
