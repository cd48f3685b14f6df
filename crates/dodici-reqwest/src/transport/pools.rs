//! The pools of a client: found by their key, opened when first needed, forgotten when their last
//! connection is gone. A pool belongs to the tokio runtime of the request that first needed it.
//!
//! Used by the transport; must not know requests or routes.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use dodici::{
    AddressRule, ConnId, ConnectHooks, ConnectInfo, ConnectionBook, ConnectionLimit, Engine, Event,
    EventSink, HookFuture, Origin, OriginConfig, Pool, ResolveHook, Scheme,
};
use http::Uri;
use parking_lot::{Mutex, RwLock};
use tokio::runtime::{Handle, Id};

use crate::dns::Names;
use crate::error;
use crate::failure::Failure;
use crate::origin_options::OriginOptions;
use crate::util::scheme;

/// Called with each event of a client's connections.
pub(crate) type EventCallback = Arc<dyn Fn(&Origin, &Event) + Send + Sync>;

/// What all pools of a client have in common.
pub(crate) struct Settings {
    pub(crate) config: OriginConfig,
    pub(crate) hooks: ConnectHooks,
    pub(crate) names: Arc<Names>,
    pub(crate) origins: Vec<(Origin, OriginOptions)>,
    pub(crate) events: Vec<EventCallback>,
    /// On the connections of all pools together.
    pub(crate) limit: Option<ConnectionLimit>,
}

impl Settings {
    /// Those of one origin.
    fn of(&self, origin: &Origin) -> impl DoubleEndedIterator<Item = &OriginOptions> {
        let all = self.origins.iter();
        all.filter(move |(of, _)| of == origin)
            .map(|(_, options)| options)
    }

    /// Which addresses an origin, or a proxy, may have.
    fn rule_for(&self, origin: &Origin) -> Option<Arc<dyn AddressRule>> {
        let own = self.of(origin).rev().find_map(|own| own.allow.as_ref());
        own.or(self.hooks.allow.as_ref()).cloned()
    }
}

/// See the module. Dropping it closes the pools gracefully.
pub(crate) struct Pools {
    settings: Settings,
    open: RwLock<HashMap<Key<'static>, Entry>>,
    engine: OnceLock<Engine>,
}

/// What tells pools apart: requests with equal keys may share connections.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Key<'a> {
    runtime: Id,
    scheme: Scheme,
    /// In its canonical form; borrowed to look a pool up.
    host: Cow<'a, str>,
    port: u16,
    way: Way,
}

/// How connections reach the origin of a pool.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Way {
    Direct,
    /// Directly, with HTTP/3 only: requests of that version.
    #[cfg(feature = "http3")]
    Http3,
    /// Directly, and the origin is a proxy that forwards requests. Its credentials belong to each
    /// request.
    Forwarding,
    /// Through a tunnel or SOCKS.
    Through(Box<dodici::Proxy>),
}

impl<'a> Key<'a> {
    /// The key for requests to this URI, or to the proxy there, on the current runtime.
    pub(super) fn new(uri: &'a Uri, way: Way) -> Self {
        let scheme = scheme(uri.scheme_str());
        Self {
            runtime: Handle::current().id(),
            scheme,
            host: Origin::canonical_host(uri.host().unwrap_or_default()),
            port: uri.port_u16().unwrap_or(scheme.default_port()),
            way,
        }
    }

    fn into_owned(self) -> Key<'static> {
        Key {
            host: Cow::Owned(self.host.into_owned()),
            ..self
        }
    }
}

/// One pool.
#[derive(Clone)]
struct Entry {
    pool: Pool,
    book: Arc<Book>,
}

/// What is known of a pool's connections and users.
struct Book {
    owner: Weak<Pools>,
    origin: Origin,
    key: Key<'static>,
    connections: Mutex<HashMap<ConnId, Arc<ConnectInfo>>>,
    users: AtomicUsize,
    /// The last connection is gone: the last user of the pool checks whether to forget it.
    bereft: AtomicBool,
}

/// A pool that is being used, and not forgotten meanwhile.
pub(super) struct InUse(Entry);

impl InUse {
    /// To be called under the lock of the pools.
    fn new(entry: &Entry) -> Self {
        entry.book.users.fetch_add(1, Ordering::SeqCst);
        Self(entry.clone())
    }

    pub(super) fn pool(&self) -> &Pool {
        &self.0.pool
    }

    pub(super) fn book(&self) -> Arc<dyn ConnectionBook> {
        Arc::clone(&self.0.book) as _
    }
}

impl Drop for InUse {
    /// A pool whose last connection ended meanwhile could not be forgotten then. Both sides write
    /// first and read second, so one of them sees the other's change.
    fn drop(&mut self) {
        let book = &self.0.book;
        if book.users.fetch_sub(1, Ordering::SeqCst) == 1 && book.bereft.load(Ordering::SeqCst) {
            book.forget_pool();
        }
    }
}

impl Pools {
    pub(crate) fn new(settings: Settings) -> Arc<Self> {
        Arc::new(Self {
            settings,
            open: RwLock::default(),
            engine: OnceLock::new(),
        })
    }

    /// All pools with their origins.
    pub(crate) fn all(&self) -> Vec<(Origin, Pool)> {
        let open = self.open.read();
        open.values()
            .map(|entry| (entry.book.origin.clone(), entry.pool.clone()))
            .collect()
    }

    /// Whether a proxy may be asked for this URI.
    pub(super) async fn check_forwarded(&self, uri: &Uri) -> crate::Result<()> {
        if self.settings.hooks.allow.is_none() && self.settings.origins.is_empty() {
            return Ok(());
        }
        let target = crate::util::origin(uri.scheme_str(), uri.host(), uri.port_u16());
        let checked = dodici::check_literal(&self.settings.rule_for(&target), &target.host).await;
        checked.map_err(|refused| error::request(Failure::new(refused)))
    }

    /// The pool for a key.
    pub(super) fn get(self: &Arc<Self>, key: Key<'_>) -> crate::Result<InUse> {
        if let Some(entry) = self.open.read().get(&key) {
            return Ok(InUse::new(entry));
        }
        let key = key.into_owned();
        let mut open = self.open.write();
        if let Some(entry) = open.get(&key) {
            return Ok(InUse::new(entry));
        }
        let entry = self.open(key.clone())?;
        let used = InUse::new(&entry);
        open.insert(key, entry);
        Ok(used)
    }

    fn open(self: &Arc<Self>, key: Key<'static>) -> crate::Result<Entry> {
        let origin = Origin::new(key.scheme, &key.host, key.port);
        let mut config = self.settings.config.clone();
        let mut hooks = self.settings.hooks.clone();
        let own_rule = self.settings.rule_for(&origin);
        match &key.way {
            Way::Direct => hooks.allow = own_rule,
            #[cfg(feature = "http3")]
            Way::Http3 => hooks.allow = own_rule,
            Way::Through(proxy) => {
                config.connect.proxy = Some(proxy.clone());
                let scheme = proxy.tls.as_ref().map_or(Scheme::Http, |_| Scheme::Https);
                let itself = Origin::new(scheme, &proxy.host, proxy.port);
                hooks.allow = self.settings.rule_for(&itself);
                hooks.allow_proxied = own_rule;
            }
            // The origin is the proxy, used over HTTP/1.1.
            Way::Forwarding => {
                hooks.allow = own_rule;
                config.http3.mode = dodici::Http3Mode::Off;
                if let Some(tls) = &mut hooks.tls {
                    Arc::make_mut(tls).alpn_protocols = vec![b"http/1.1".to_vec()];
                }
            }
        }
        for rule in self.settings.of(&origin) {
            rule.apply(&mut config);
        }
        #[cfg(feature = "http3")]
        if key.way == Way::Http3 {
            config.http3.mode = dodici::Http3Mode::PriorKnowledge;
        }
        if self.settings.names.is_used() {
            hooks.resolve = Some(Arc::new(OriginNames {
                names: Arc::clone(&self.settings.names),
                default_port: origin.scheme.default_port(),
            }));
        }
        let book = Arc::new(Book {
            owner: Arc::downgrade(self),
            origin: origin.clone(),
            key,
            connections: Mutex::default(),
            users: AtomicUsize::new(0),
            bereft: AtomicBool::new(false),
        });
        let handle = Handle::current();
        let engine = self.engine.get_or_init(|| {
            let engine = Engine::on_runtime(handle.clone());
            match self.settings.limit.clone() {
                Some(limit) => engine.under(limit),
                None => engine,
            }
        });
        let pool = engine
            .also_on(handle)
            .open_pool_with(origin, config, hooks, Arc::clone(&book) as _)
            .map_err(|cause| error::builder(Failure::new(cause)))?;
        Ok(Entry { pool, book })
    }
}

impl Drop for Pools {
    fn drop(&mut self) {
        for entry in self.open.get_mut().values() {
            entry.pool.close();
        }
    }
}

impl Book {
    /// Forgets the pool if it is empty, unless it is about to be used.
    fn forget_pool(&self) {
        let Some(owner) = self.owner.upgrade() else {
            return;
        };
        let forgotten = {
            let mut open = owner.open.write();
            let unused = open.get(&self.key).is_some_and(|entry| {
                std::ptr::eq(&*entry.book, self)
                    && self.users.load(Ordering::SeqCst) == 0
                    && entry.pool.stats().size() == 0
                    && self.connections.lock().is_empty()
            });
            unused.then(|| open.remove(&self.key)).flatten()
        };
        // A connection still being opened without a request ends with it.
        if let Some(entry) = forgotten {
            entry.pool.close();
        }
    }
}

impl EventSink for Book {
    fn event(&self, event: Event) {
        let is_last = {
            let mut connections = self.connections.lock();
            match &event {
                Event::Connected { conn, info } => {
                    connections.insert(*conn, Arc::new(info.clone()));
                    self.bereft.store(false, Ordering::SeqCst);
                    false
                }
                Event::Disconnected { conn, .. } => {
                    connections.remove(conn);
                    connections.is_empty()
                }
                Event::ConnectFailed { .. } | Event::ConnectGivenUp { .. } => {
                    connections.is_empty()
                }
                _ => false,
            }
        };
        let Some(owner) = self.owner.upgrade() else {
            return;
        };
        for callback in &owner.settings.events {
            callback(&self.origin, &event);
        }
        if is_last {
            self.bereft.store(true, Ordering::SeqCst);
            self.forget_pool();
        }
    }
}

impl ConnectionBook for Book {
    fn connection(&self, conn: ConnId) -> Option<Arc<ConnectInfo>> {
        self.connections.lock().get(&conn).map(Arc::clone)
    }
}

/// The client's resolver with the overrides of an origin.
struct OriginNames {
    names: Arc<Names>,
    default_port: u16,
}

impl ResolveHook for OriginNames {
    fn resolve(
        &self,
        host: &str,
        port: u16,
    ) -> Option<HookFuture<Result<Vec<SocketAddr>, dodici::Error>>> {
        self.names.resolve(host, port, self.default_port)
    }

    #[cfg(feature = "http3")]
    fn alternatives(&self, host: &str, port: u16) -> Option<HookFuture<Vec<dodici::Offer>>> {
        self.names.alternatives(host, port)
    }
}
