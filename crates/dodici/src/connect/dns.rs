//! Name resolution on our own threads: never on the caller's thread, never in Node's pool of four.
//!
//! Called by the connector. At most [`Limits::threads`] threads are started, on demand, and end
//! after [`Limits::idle`] without work. Concurrent lookups of the same (host, family) share one
//! call. Results are kept only for callers who ask for that (`dns_cache`): the system's resolver has
//! its own cache and its own rules. Must not know ports or sockets.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::{Duration, Instant};

use dodici_pool::{DnsCacheConfig, Error, Family};
use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use super::dns_cache::{Answer, DnsCache, Key, Known};
use super::getaddrinfo::{self, LookupError};

/// The process's resolver.
pub(super) static SYSTEM: LazyLock<Resolver> =
    LazyLock::new(|| Resolver::new(Limits::default(), getaddrinfo::lookup));

/// Limits of a [`Resolver`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Maximum number of threads. 8: a slow name server occupies a thread for up to 30 s, and a
    /// process rarely queries more than a few slow zones at once (libuv shares 4 with file I/O).
    pub(super) threads: usize,
    /// Maximum number of lookups waiting for a thread. Beyond it a lookup fails with `EAI_AGAIN`,
    /// which callers treat as temporary. 4096 names take about 1 MiB.
    pub(super) pending: usize,
    /// Idle time after which a thread ends.
    pub(super) idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            threads: 8,
            pending: 4096,
            idle: Duration::from_secs(10),
        }
    }
}

/// A pool of resolver threads.
#[derive(Debug)]
pub(super) struct Resolver {
    shared: Arc<Shared>,
}

type Lookup = Box<dyn Fn(&str, Family) -> Result<Vec<SocketAddr>, LookupError> + Send + Sync>;

struct Shared {
    limits: Limits,
    lookup: Lookup,
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    /// Lookups waiting for a thread, oldest first. Each is also in `flights`.
    queue: VecDeque<Key>,
    /// Lookups that wait or run. Dropping a sender wakes its waiters with an error.
    flights: HashMap<Key, Flight>,
    cache: DnsCache,
    threads: usize,
    idle: usize,
}

/// A lookup that waits or runs.
struct Flight {
    sender: watch::Sender<Option<Answer>>,
    /// Without waiters, it is skipped, unless it is to renew an answer in the cache.
    renews: bool,
    /// The cache was cleared since it began.
    is_outdated: bool,
}

impl Resolver {
    pub(super) fn new(
        limits: Limits,
        lookup: impl Fn(&str, Family) -> Result<Vec<SocketAddr>, LookupError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                limits,
                lookup: Box::new(lookup),
                state: Mutex::default(),
                work: Condvar::new(),
            }),
        }
    }

    /// Addresses of `host`, at least one, in the system's order, with port 0. A literal address is
    /// returned unchanged, whatever `family` says, as in Node.
    ///
    /// Cancelling the future removes only this waiter: the lookup continues for the others, and is
    /// skipped if none are left when its turn comes.
    pub(super) async fn resolve(
        &self,
        host: &str,
        family: Family,
    ) -> Result<Arc<[SocketAddr]>, Error> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(Arc::new([SocketAddr::new(ip, 0)]));
        }
        let mut flight = Shared::join(&self.shared, (host.into(), family), false)
            .map_err(|failure| failure.into_error(host))?;
        let answer = match flight.wait_for(Option::is_some).await {
            Ok(answer) => answer.clone(),
            Err(_) => None,
        };
        match answer {
            Some(Ok(addresses)) => Ok(addresses),
            Some(Err(failure)) => Err(failure.into_error(host)),
            // The thread could not be started: see `Shared::join`.
            None => Err(LookupError::AGAIN.into_error(host)),
        }
    }

    /// Like [`Resolver::resolve`], with the answers that `config` allows to use again.
    pub(super) async fn resolve_cached(
        &self,
        host: &str,
        family: Family,
        config: Option<&DnsCacheConfig>,
    ) -> Result<Arc<[SocketAddr]>, Error> {
        if let Some(config) = config {
            let key = (host.into(), family);
            let known = self
                .shared
                .state
                .lock()
                .cache
                .look(&key, config, Instant::now());
            match known {
                Known::Fresh(answer) => return answer.map_err(|failure| failure.into_error(host)),
                Known::Stale(addresses) => {
                    // If no lookup can be started now, the next caller tries again.
                    let _ = Shared::join(&self.shared, key, true);
                    return Ok(addresses);
                }
                Known::Nothing => {}
            }
        }
        self.resolve(host, family).await
    }

    /// Forgets every answer, also those of lookups under way.
    pub(super) fn clear_cache(&self) {
        let mut state = self.shared.state.lock();
        state.cache.clear();
        for flight in state.flights.values_mut() {
            flight.is_outdated = true;
        }
    }

    #[cfg(test)]
    pub(super) fn threads(&self) -> usize {
        self.shared.state.lock().threads
    }
}

impl Shared {
    /// Joins the lookup of `key`, or starts it.
    fn join(
        this: &Arc<Self>,
        key: Key,
        renews: bool,
    ) -> Result<watch::Receiver<Option<Answer>>, LookupError> {
        let mut state = this.state.lock();
        if let Some(flight) = state.flights.get_mut(&key) {
            flight.renews |= renews;
            return Ok(flight.sender.subscribe());
        }
        if state.queue.len() >= this.limits.pending {
            return Err(LookupError::AGAIN);
        }
        let (sender, receiver) = watch::channel(None);
        let flight = Flight {
            sender,
            renews,
            is_outdated: false,
        };
        state.flights.insert(key.clone(), flight);
        state.queue.push_back(key);
        // `idle` counts a thread until it wakes, so that two lookups in a row do not both rely
        // on the same one.
        if state.idle < state.queue.len() && state.threads < this.limits.threads {
            state.threads += 1;
            let shared = Arc::clone(this);
            let started = thread::Builder::new()
                .name("dodici-dns".into())
                .spawn(move || shared.serve());
            if started.is_err() {
                state.threads -= 1;
                if state.threads == 0 {
                    // Nothing would ever serve the queue: every waiter gets an error now.
                    state.queue.clear();
                    state.flights.clear();
                }
            }
        } else {
            this.work.notify_one();
        }
        Ok(receiver)
    }

    /// The body of a resolver thread.
    fn serve(&self) {
        while let Some(key) = self.next() {
            let result = catch_unwind(AssertUnwindSafe(|| (self.lookup)(&key.0, key.1)));
            let answer = match result {
                Ok(Ok(addresses)) if addresses.is_empty() => Err(LookupError::NOT_FOUND),
                Ok(Ok(addresses)) => Ok(addresses.into()),
                Ok(Err(failure)) => Err(failure),
                Err(_panic) => Err(LookupError::FAIL),
            };
            // Race: a waiter that joins before this removal shares the result; one that comes
            // after it starts another lookup.
            let mut state = self.state.lock();
            let flight = state.flights.remove(&key);
            if let Some(flight) = flight {
                if !flight.is_outdated {
                    state.cache.store(key, &answer, Instant::now());
                }
                drop(state);
                flight.sender.send_replace(Some(answer));
            }
        }
    }

    /// The next lookup with a waiter; `None` ends the thread.
    fn next(&self) -> Option<Key> {
        let mut state = self.state.lock();
        loop {
            while let Some(key) = state.queue.pop_front() {
                if state
                    .flights
                    .get(&key)
                    .is_some_and(|flight| flight.renews || !flight.sender.is_closed())
                {
                    return Some(key);
                }
                state.flights.remove(&key);
            }
            state.idle += 1;
            let timed_out = self.work.wait_for(&mut state, self.limits.idle).timed_out();
            state.idle -= 1;
            if timed_out && state.queue.is_empty() {
                state.threads -= 1;
                return None;
            }
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
