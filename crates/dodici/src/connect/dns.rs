//! Name resolution on our own threads: never on the caller's thread, never in Node's pool of four.
//!
//! Called by the connector. At most [`Limits::threads`] threads are started, on demand, and end
//! after [`Limits::idle`] without work. Concurrent lookups of the same (host, family) share one
//! call. Results are not cached: the system's resolver has its own cache and its own rules. Must
//! not know ports or sockets.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::Duration;

use dodici_pool::{Error, ErrorKind, Family, Phase, Replay, SystemDetail};
use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use super::errors::os_code;
use super::getaddrinfo;

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

type Key = (Arc<str>, Family);
type Answer = Result<Arc<[SocketAddr]>, LookupError>;
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
    flights: HashMap<Key, watch::Sender<Option<Answer>>>,
    threads: usize,
    idle: usize,
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
        let mut flight = Shared::join(&self.shared, (host.into(), family))
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

    #[cfg(test)]
    pub(super) fn threads(&self) -> usize {
        self.shared.state.lock().threads
    }
}

impl Shared {
    /// Joins the lookup of `key`, or starts it.
    fn join(this: &Arc<Self>, key: Key) -> Result<watch::Receiver<Option<Answer>>, LookupError> {
        let mut state = this.state.lock();
        if let Some(flight) = state.flights.get(&key) {
            return Ok(flight.subscribe());
        }
        if state.queue.len() >= this.limits.pending {
            return Err(LookupError::AGAIN);
        }
        let (sender, receiver) = watch::channel(None);
        state.flights.insert(key.clone(), sender);
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
            let flight = self.state.lock().flights.remove(&key);
            if let Some(flight) = flight {
                flight.send_replace(Some(answer));
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
                    .is_some_and(|flight| !flight.is_closed())
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

/// Why a lookup failed, in libuv's terms (`uv_getaddrinfo`, `uv/errno.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LookupError {
    code: &'static str,
    errno: i32,
}

impl LookupError {
    /// The name does not exist. Node reports `EAI_NONAME` and `EAI_NODATA` as this.
    pub(super) const NOT_FOUND: Self = Self::named("ENOTFOUND", -3008);
    const AGAIN: Self = Self::named("EAI_AGAIN", -3001);
    const FAIL: Self = Self::named("EAI_FAIL", -3004);

    const fn named(code: &'static str, errno: i32) -> Self {
        Self { code, errno }
    }

    /// From a status of getaddrinfo other than `EAI_SYSTEM`.
    #[cfg(unix)]
    pub(super) fn from_eai(status: i32) -> Self {
        // Not in every libc: glibc and musl use -5, the BSDs and macOS 7.
        #[cfg(target_os = "linux")]
        const EAI_NODATA: i32 = -5;
        #[cfg(not(target_os = "linux"))]
        const EAI_NODATA: i32 = 7;
        match status {
            libc::EAI_NONAME => Self::NOT_FOUND,
            EAI_NODATA => Self::named("ENOTFOUND", -3007),
            libc::EAI_AGAIN => Self::AGAIN,
            libc::EAI_BADFLAGS => Self::named("EAI_BADFLAGS", -3002),
            libc::EAI_FAIL => Self::FAIL,
            libc::EAI_FAMILY => Self::named("EAI_FAMILY", -3005),
            libc::EAI_MEMORY => Self::named("EAI_MEMORY", -3006),
            libc::EAI_OVERFLOW => Self::named("EAI_OVERFLOW", -3009),
            libc::EAI_SERVICE => Self::named("EAI_SERVICE", -3010),
            libc::EAI_SOCKTYPE => Self::named("EAI_SOCKTYPE", -3011),
            _ => Self::FAIL,
        }
    }

    /// From the errno behind `EAI_SYSTEM`.
    #[cfg_attr(
        not(unix),
        expect(dead_code, reason = "only getaddrinfo reports an errno")
    )]
    pub(super) fn from_os(error: &io::Error) -> Self {
        let (code, errno) = os_code(error);
        Self { code, errno }
    }

    /// Node's error: `getaddrinfo ENOTFOUND example.invalid`.
    pub(super) fn into_error(self, host: &str) -> Error {
        Error::new(
            ErrorKind::Resolve,
            Phase::Resolve,
            format!("getaddrinfo {} {host}", self.code),
        )
        .with_replay(Replay::Unsent)
        .with_system(SystemDetail {
            code: self.code.into(),
            errno: self.errno,
            syscall: "getaddrinfo".into(),
            hostname: Some(host.to_owned()),
            ..SystemDetail::default()
        })
    }
}
