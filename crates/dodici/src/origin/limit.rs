//! A limit on the connections of several pools together: the state machine of `dodici-pool` behind a
//! lock, and the permits that connections hold.
//!
//! Used by pools that were created with one. Locks are taken in one order, that of the limit before
//! that of a pool; nothing else happens under either. Actions of other pools are carried out on their
//! own runtimes.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use dodici_pool::{MemberId, Members, OriginPool, SharedLimit};
use parking_lot::Mutex;

use super::{PoolInner, now};

/// A limit on the connections of all pools that are created under it; see
/// [`Engine::under`](crate::Engine::under). Cheap to clone.
///
/// A connection counts from the moment an attempt begins until its socket is closed, including byte
/// streams after an upgrade; an HTTP/2 connection counts as one. A pool that needs a connection when
/// there is no room waits: the connection of another pool that has been idle longest is closed, with
/// [`CloseReason::MadeRoom`](dodici_pool::CloseReason::MadeRoom). If none is idle, pools take turns:
/// the one with most connections gives one up after a few more requests.
///
/// # Examples
///
/// ```
/// use std::num::NonZeroU32;
/// use std::sync::Arc;
/// use dodici::{ConnectionLimit, Engine, NoEvents, Origin, OriginConfig, Scheme};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let servers = [dodici_testkit::TestOrigin::start().await, dodici_testkit::TestOrigin::start().await];
/// # let ports = servers.each_ref().map(|server| server.port());
/// let limit = ConnectionLimit::new(NonZeroU32::MIN);
/// let engine = Engine::on_runtime(tokio::runtime::Handle::current()).under(limit);
/// let mut pools = Vec::new();
/// for port in ports {
///     let origin = Origin::new(Scheme::Http, "127.0.0.1", port);
///     pools.push(engine.open_pool(origin, OriginConfig::default(), Arc::new(NoEvents))?);
/// }
/// for pool in &pools {
///     let request = http::Request::get("/bytes/5").body(String::new())?;
///     let (body, _trailers) = pool.send(request).await?.into_body().collect().await?;
///     assert_eq!(body.len(), 5);
/// }
/// // The second connection took the place of the first.
/// assert_eq!(pools[0].stats().connected, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ConnectionLimit(Arc<Inner>);

struct Inner {
    most: NonZeroU32,
    /// Copy of [`SharedLimit::is_waited_for`], so that pools need not take the lock.
    waited_for: AtomicBool,
    state: Mutex<State>,
}

struct State {
    machine: SharedLimit,
    pools: HashMap<MemberId, Weak<PoolInner>>,
}

impl fmt::Debug for ConnectionLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionLimit")
            .field("most", &self.0.most)
            .field("open", &self.open())
            .finish()
    }
}

impl ConnectionLimit {
    /// A limit without pools.
    pub fn new(most: NonZeroU32) -> Self {
        Self(Arc::new(Inner {
            most,
            waited_for: AtomicBool::new(false),
            state: Mutex::new(State {
                machine: SharedLimit::new(most),
                pools: HashMap::new(),
            }),
        }))
    }

    /// The limit.
    pub fn most(&self) -> NonZeroU32 {
        self.0.most
    }

    /// Connections that count now.
    pub fn open(&self) -> u32 {
        self.0.state.lock().machine.open()
    }

    /// Whether there is another clone of it, a pool or a connection.
    pub fn is_used(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    pub(super) fn join(&self) -> Member {
        Member {
            limit: Arc::clone(&self.0),
            id: self.0.state.lock().machine.handle_joined(),
        }
    }
}

/// A pool's place in a limit, which it leaves when this is dropped.
pub(super) struct Member {
    limit: Arc<Inner>,
    id: MemberId,
}

impl Member {
    /// Makes the pool known.
    pub(super) fn introduce(&self, pool: &Arc<PoolInner>) {
        let pool = Arc::downgrade(pool);
        self.limit.state.lock().pools.insert(self.id, pool);
    }

    /// Whether what happened to this pool concerns the limit; see
    /// [`OriginPool::concerns_limit`].
    pub(super) fn concerns(&self, machine: &mut OriginPool) -> bool {
        machine.concerns_limit(self.limit.waited_for.load(Ordering::Acquire))
    }

    /// Balances the limit after such a change.
    pub(super) fn changed(&self) {
        self.limit.balance(Some(self.id), |_| {});
    }

    /// For a connection that was granted.
    pub(super) fn permit(&self) -> Permit {
        Permit {
            limit: Arc::clone(&self.limit),
            member: self.id,
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut state = self.limit.state.lock();
        state.machine.handle_left(self.id);
        state.pools.remove(&self.id);
    }
}

/// What a connection holds as long as it counts.
pub(crate) struct Permit {
    limit: Arc<Inner>,
    member: MemberId,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let member = self.member;
        let returned = |machine: &mut SharedLimit| machine.handle_returned(member);
        self.limit.balance(None, returned);
    }
}

impl Inner {
    fn balance(&self, changed: Option<MemberId>, before: impl FnOnce(&mut SharedLimit)) {
        let used = {
            let mut state = self.state.lock();
            let State { machine, pools } = &mut *state;
            before(machine);
            let mut reached = Reached {
                pools,
                used: HashMap::new(),
            };
            machine.balance(changed, &mut reached, now());
            let waited_for = machine.is_waited_for();
            self.waited_for.store(waited_for, Ordering::Release);
            reached.used
        };
        // Out of the lock, which dropping the last reference to a pool takes.
        for pool in used.into_values() {
            if pool.state.lock().machine.has_actions() {
                let runtime = pool.runtime.clone();
                drop(runtime.spawn(async move { pool.run_actions() }));
            }
        }
    }
}

/// The pools of a limit, while it is locked.
struct Reached<'a> {
    pools: &'a HashMap<MemberId, Weak<PoolInner>>,
    /// Those that were reached.
    used: HashMap<MemberId, Arc<PoolInner>>,
}

impl Reached<'_> {
    fn get(&mut self, member: MemberId) -> Option<&PoolInner> {
        let pool = self.pools.get(&member)?.upgrade()?;
        Some(self.used.entry(member).or_insert(pool))
    }
}

impl Members for Reached<'_> {
    fn with<R>(&mut self, member: MemberId, work: impl FnOnce(&mut OriginPool) -> R) -> Option<R> {
        let pool = self.get(member)?;
        Some(work(&mut pool.state.lock().machine))
    }

    /// A runtime that nobody drives closes nothing.
    fn are_near(&mut self, member: MemberId, other: MemberId) -> bool {
        let mut runtime = |member| self.get(member).map(|pool| pool.runtime.id());
        runtime(member) == runtime(other)
    }
}
