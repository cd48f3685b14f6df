//! One I/O thread's state per environment: requests, pools and the open batch.
//!
//! Thread-local, so that a completion is encoded without a lock. Used by `submit`, `sink` and
//! `deliver`. No function here calls the engine while the table is borrowed, because the engine
//! may call a sink before it returns, and the sink needs the table.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use dodici::{Pool, RequestHandle};
use dodici_pool::{ConnId, Error, HeaderBlock};
use dodici_wire::Target;
use dodici_wire::completion::put_end;

use crate::batch::Batch;
use crate::env::Environment;
use crate::gather::Live;
use crate::lookup::Lookups;

thread_local! {
    /// In order of opening. A process has few environments, so a linear search beats a hash.
    static ENVIRONMENTS: RefCell<Vec<LocalEnv>> = const { RefCell::new(Vec::new()) };
}

/// One environment on this thread.
pub(crate) struct LocalEnv {
    pub(crate) shared: Arc<Environment>,
    pub(crate) batch: Batch,
    requests: Vec<Slot>,
    pub(crate) pools: HashMap<u32, PoolEntry>,
}

/// An entry of the request table; its index is the session's slot.
#[derive(Default)]
struct Slot {
    generation: u32,
    pool: u32,
    life: Life,
}

/// The state of a slot.
///
/// ```text
/// Free ── reserve ─▶ Starting ── attach ─▶ Running ── upgrade ─▶ Upgraded
///   ▲                    │                  │   └── cancel ─▶ Cancelled │
///   └── settle, take ────┴──────────────────┴───────────────────┴───────┘
/// ```
#[derive(Default)]
enum Life {
    /// No request, or one whose completions are no longer wanted.
    #[default]
    Free,
    /// Being passed to the engine.
    Starting(Live),
    /// The engine has it.
    Running(RequestHandle, Live),
    /// JavaScript has cancelled it; the engine has not released it yet.
    Cancelled(Live),
    /// Its connection has become a byte stream, which outlives the pool.
    Upgraded(RequestHandle),
}

/// One pool of the environment.
pub(crate) struct PoolEntry {
    pub(crate) state: PoolState,
    /// Open connections, with their serial numbers.
    connections: HashMap<ConnId, u32>,
    last_serial: u32,
    /// Names that JavaScript is resolving.
    pub(crate) lookups: Lookups,
}

/// Whether there is a pool behind a pool id.
#[derive(Clone)]
pub(crate) enum PoolState {
    /// Yes.
    Open(Pool),
    /// It could not be created.
    Failed(Error),
}

/// The largest plausible slot: 16 million concurrent requests would need far more memory than their
/// table.
const SLOT_LIMIT: u32 = 1 << 24;

/// Adds an environment.
pub(crate) fn open(shared: Arc<Environment>) {
    if shared.is_gone() {
        return;
    }
    ENVIRONMENTS.with_borrow_mut(|all| {
        all.push(LocalEnv {
            batch: shared.take_spare(),
            shared,
            requests: Vec::new(),
            pools: HashMap::new(),
        });
    });
}

/// Removes an environment, destroys its pools and closes the byte streams that outlive them. Their
/// sinks find no environment any more.
pub(crate) fn close(id: u32) {
    let closed = ENVIRONMENTS.with_borrow_mut(|all| {
        let index = all.iter().position(|env| env.shared.id() == id)?;
        Some(all.remove(index))
    });
    let Some(closed) = closed else {
        return;
    };
    for entry in closed.pools.into_values() {
        if let PoolState::Open(pool) = entry.state {
            pool.destroy();
        }
    }
    for slot in closed.requests {
        if let Life::Upgraded(stream) = slot.life {
            stream.cancel();
        }
    }
}

/// Runs `work` on an environment; `None` if it has ended.
pub(crate) fn with_env<R>(id: u32, work: impl FnOnce(&mut LocalEnv) -> R) -> Option<R> {
    ENVIRONMENTS.with_borrow_mut(|all| {
        let env = all.iter_mut().find(|env| env.shared.id() == id)?;
        Some(work(env))
    })
}

/// Runs `work` on every environment.
pub(crate) fn for_each_env(work: impl FnMut(&mut LocalEnv)) {
    ENVIRONMENTS.with_borrow_mut(|all| all.iter_mut().for_each(work));
}

impl LocalEnv {
    fn slot(&mut self, target: Target) -> Option<&mut Slot> {
        self.requests
            .get_mut(target.slot as usize)
            .filter(|slot| slot.generation == target.generation)
    }

    /// Whether completions of this request are still wanted.
    pub(crate) fn is_wanted(&self, target: Target) -> bool {
        self.requests.get(target.slot as usize).is_some_and(|slot| {
            slot.generation == target.generation
                && !matches!(slot.life, Life::Free | Life::Cancelled(_))
        })
    }

    /// Whether JavaScript has cancelled this request and waits for its last record.
    pub(crate) fn is_cancelled(&self, target: Target) -> bool {
        self.requests.get(target.slot as usize).is_some_and(|slot| {
            slot.generation == target.generation && matches!(slot.life, Life::Cancelled(_))
        })
    }

    /// The serial number of a connection of this request's pool.
    pub(crate) fn serial_of(&self, request: Target, conn: ConnId) -> Option<u32> {
        let slot = self.requests.get(request.slot as usize)?;
        self.pools.get(&slot.pool)?.serial_of(conn)
    }

    /// Reserves a slot for a request. Returns what an earlier generation left in it: JavaScript
    /// reuses a slot only when the request in it has ended from its point of view.
    pub(crate) fn reserve(
        &mut self,
        target: Target,
        pool: u32,
    ) -> Result<Option<RequestHandle>, SlotTooLarge> {
        if target.slot >= SLOT_LIMIT {
            return Err(SlotTooLarge);
        }
        let index = target.slot as usize;
        if self.requests.len() <= index {
            self.requests.resize_with(index + 1, Slot::default);
        }
        let slot = &mut self.requests[index];
        let left = std::mem::replace(
            slot,
            Slot {
                generation: target.generation,
                pool,
                life: Life::Starting(Live::new()),
            },
        );
        Ok(left.life.into_handle())
    }

    /// Stores the engine's handle, unless the request was settled while it was being dispatched.
    pub(crate) fn attach(&mut self, target: Target, handle: RequestHandle) {
        if let Some(slot) = self.slot(target) {
            slot.life = match std::mem::take(&mut slot.life) {
                Life::Starting(live) => Life::Running(handle, live),
                settled => settled,
            };
        }
    }

    /// The handle of a request that has not ended.
    pub(crate) fn handle(&mut self, target: Target) -> Option<RequestHandle> {
        match &self.slot(target)?.life {
            Life::Running(handle, _) | Life::Upgraded(handle) => Some(handle.clone()),
            Life::Free | Life::Starting(_) | Life::Cancelled(_) => None,
        }
    }

    /// JavaScript wants only the last record of this request. It is written when the engine has
    /// released the request, or immediately if it already has, or if the request is a byte stream.
    pub(crate) fn cancel(&mut self, target: Target) -> Option<RequestHandle> {
        let slot = self.slot(target)?;
        match std::mem::take(&mut slot.life) {
            Life::Running(handle, live) => {
                slot.life = Life::Cancelled(live);
                Some(handle)
            }
            cancelled @ Life::Cancelled(_) => {
                slot.life = cancelled;
                None
            }
            life @ (Life::Free | Life::Starting(_) | Life::Upgraded(_)) => {
                self.batch.put(|out| put_let_go(out, target));
                life.into_handle()
            }
        }
    }

    /// The request's connection is a byte stream from now on, and no longer belongs to its pool.
    pub(crate) fn upgrade(&mut self, target: Target) {
        if let Some(slot) = self.slot(target)
            && let Some(handle) = std::mem::take(&mut slot.life).into_handle()
        {
            slot.life = Life::Upgraded(handle);
        }
    }

    /// Ends a request for JavaScript: nothing more is delivered. Returns the engine's handle.
    pub(crate) fn take(&mut self, target: Target) -> Option<RequestHandle> {
        std::mem::take(&mut self.slot(target)?.life).into_handle()
    }

    /// The engine has settled the request.
    pub(crate) fn settle(&mut self, target: Target) {
        if let Some(slot) = self.slot(target) {
            slot.life = Life::Free;
        }
    }

    /// Silences every request of a pool, but not byte streams that were its requests.
    pub(crate) fn forget_requests_of(&mut self, pool: u32) {
        for (index, slot) in (0..).zip(&mut self.requests) {
            if slot.pool != pool || matches!(slot.life, Life::Upgraded(_)) {
                continue;
            }
            if let Life::Cancelled(_) = std::mem::take(&mut slot.life) {
                let target = Target {
                    slot: index,
                    generation: slot.generation,
                };
                self.batch.put(|out| put_let_go(out, target));
            }
        }
    }
}

impl Life {
    fn into_handle(self) -> Option<RequestHandle> {
        match self {
            Self::Running(handle, _) | Self::Upgraded(handle) => Some(handle),
            Self::Free | Self::Starting(_) | Self::Cancelled(_) => None,
        }
    }
}

/// The last record of a cancelled request.
pub(crate) fn put_let_go(out: &mut Vec<u8>, target: Target) {
    put_end(out, target, &HeaderBlock::default());
}

/// A slot beyond [`SLOT_LIMIT`].
#[derive(Debug)]
pub(crate) struct SlotTooLarge;

impl PoolEntry {
    pub(crate) fn new(state: PoolState) -> Self {
        Self {
            state,
            connections: HashMap::new(),
            last_serial: 0,
            lookups: Lookups::default(),
        }
    }

    /// A new serial number for a connection that was opened.
    pub(crate) fn connected(&mut self, conn: ConnId) -> u32 {
        let serial = self.next_serial();
        self.connections.insert(conn, serial);
        serial
    }

    /// The serial number of a connection that ended.
    pub(crate) fn disconnected(&mut self, conn: ConnId) -> Option<u32> {
        self.connections.remove(&conn)
    }

    /// The serial number of an open connection.
    pub(crate) fn serial_of(&self, conn: ConnId) -> Option<u32> {
        self.connections.get(&conn).copied()
    }

    /// The connection that has this serial number and has not ended.
    pub(crate) fn connection(&self, serial: u32) -> Option<ConnId> {
        self.connections
            .iter()
            .find_map(|(conn, have)| (*have == serial).then_some(*conn))
    }

    /// A new serial number for a connection that could not be opened.
    pub(crate) fn next_serial(&mut self) -> u32 {
        // 0 stands for the pool itself.
        self.last_serial = self.last_serial.checked_add(1).unwrap_or(1);
        self.last_serial
    }
}
