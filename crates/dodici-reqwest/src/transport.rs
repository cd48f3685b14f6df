//! From a request to the pool that serves it: its route, the pool, and the engine's response as the
//! caller sees it.
//!
//! A client has one pool per origin and route (direct, tunnel, SOCKS), created when first needed
//! and dropped when its last connection is gone. Forwarding proxies are origins themselves. A pool
//! belongs to the tokio runtime of the request that first needed it.

mod body;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use dodici::{
    ConnId, ConnectHooks, ConnectInfo, ConnectionBook, Engine, Event, EventSink, HookFuture,
    IncomingBody, OnWritten, Origin, OriginConfig, Pool, RawHeaders, RawTrailers, RequestOptions,
    ResolveHook, ResponseDetail, Scheme, SendBody,
};
use http::header::{CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING};
use http::{StatusCode, Uri};
use http_body::Body as HttpBody;
use hyper::ext::ReasonPhrase;
use parking_lot::{Mutex, RwLock};
use tokio::runtime::{Handle, Id};

use crate::body::{Body, Declared, Inner as BodyInner};
use crate::dns::Names;
use crate::error;
use crate::ext::OriginRule;
use crate::failure::Failure;
use crate::limit::{self, TotalLimit};
use crate::proxy::{Matcher, Route};
use crate::tls::TlsInfo;
use crate::upgrade::Switched;

pub(crate) use body::TransportBody;
use body::{SLICE, Trailers, Upload};

/// Shared by all pools of a client.
pub(crate) struct Settings {
    pub(crate) config: OriginConfig,
    pub(crate) hooks: ConnectHooks,
    pub(crate) limit: Option<Arc<TotalLimit>>,
    pub(crate) names: Arc<Names>,
    pub(crate) proxies: Vec<Matcher>,
    pub(crate) user_agent: Option<HeaderValue>,
    pub(crate) title_case: bool,
    pub(crate) tls_info: bool,
    pub(crate) origins: Vec<OriginRule>,
    pub(crate) events: Vec<crate::ext::EventCallback>,
}

/// The pools of a client. Cheap to clone; dropping the last clone closes them gracefully.
#[derive(Clone)]
pub(crate) struct Transport(Arc<Inner>);

/// Shared by its clones.
pub(crate) struct Inner {
    settings: Settings,
    pools: RwLock<Vec<(Id, Pools)>>,
    engine: OnceLock<Engine>,
}

/// The pools on one runtime, by the part of a URL before the path.
#[derive(Default)]
struct Pools {
    http: HashMap<Box<str>, Arc<Entry>>,
    https: HashMap<Box<str>, Arc<Entry>>,
    /// Through tunnels and SOCKS: destination and route.
    routed: HashMap<Box<str>, Arc<Entry>>,
}

/// One pool.
pub(crate) struct Entry {
    pub(crate) pool: Pool,
    book: Arc<Book>,
    may_be_http2: bool,
}

/// What is known of a pool's connections.
struct Book {
    owner: Weak<Inner>,
    origin: Origin,
    runtime: Id,
    place: Place,
    connections: Mutex<HashMap<ConnId, Arc<ConnectInfo>>>,
    /// The last connection is gone: the last user of the pool checks whether to drop it.
    bereft: AtomicBool,
}

/// The key of an entry in [`Pools`].
#[derive(Clone, Copy, PartialEq, Eq)]
enum Table {
    Http,
    Https,
    Routed,
}

struct Place {
    table: Table,
    key: Box<str>,
    /// The origin is a forwarding proxy.
    is_proxy: bool,
}

impl Pools {
    fn table(&self, table: Table) -> &HashMap<Box<str>, Arc<Entry>> {
        match table {
            Table::Http => &self.http,
            Table::Https => &self.https,
            Table::Routed => &self.routed,
        }
    }

    fn table_mut(&mut self, table: Table) -> &mut HashMap<Box<str>, Arc<Entry>> {
        match table {
            Table::Http => &mut self.http,
            Table::Https => &mut self.https,
            Table::Routed => &mut self.routed,
        }
    }

    fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        [&self.http, &self.https, &self.routed]
            .into_iter()
            .flat_map(HashMap::values)
    }
}

impl Transport {
    pub(crate) fn new(settings: Settings) -> Self {
        let limit = settings.limit.clone();
        let inner = Arc::new(Inner {
            settings,
            pools: RwLock::default(),
            engine: OnceLock::new(),
        });
        if let Some(limit) = limit {
            let pools: Weak<dyn limit::Pools> = Arc::downgrade(&inner) as _;
            limit.watch(pools);
        }
        Self(inner)
    }

    /// All pools with their origins.
    pub(crate) fn entries(&self) -> Vec<(Origin, Arc<Entry>)> {
        let pools = self.0.pools.read();
        let entries = pools.iter().flat_map(|(_, pools)| pools.entries());
        entries
            .map(|entry| (entry.book.origin.clone(), Arc::clone(entry)))
            .collect()
    }

    /// Sends one request once.
    pub(crate) async fn send(
        &self,
        request: http::Request<Body>,
    ) -> crate::Result<http::Response<TransportBody>> {
        let started = Instant::now();
        let (mut parts, body) = request.into_parts();
        let route = self.route(&parts.uri)?;
        let entry = match &route {
            None => self.0.direct(&parts.uri, &parts.uri)?,
            Some(route) if route.is_forward() => {
                route.dress(&mut parts.headers);
                self.0.direct(&route.proxy, &parts.uri)?
            }
            Some(route) => self.0.routed(&parts.uri, route)?,
        };
        let absolute_form = route.is_some_and(|route| route.is_forward());
        let transfer_encoding = parts.extensions.get::<RawHeaders>().is_some()
            || parts.headers.contains_key(TRANSFER_ENCODING);
        if absolute_form || transfer_encoding || self.0.settings.title_case {
            parts.extensions.insert(RequestOptions {
                absolute_form,
                title_case: self.0.settings.title_case,
                transfer_encoding,
                ..RequestOptions::default()
            });
        }
        let (body, trailers) = body.into_inner();
        if let Some(trailers) = trailers {
            parts.extensions.insert(RawTrailers(*trailers));
        }
        let body = match body {
            // HTTP/2 gets a complete body at once, and reports no progress.
            BodyInner::Bytes(bytes)
                if bytes.len() > SLICE
                    && entry.may_be_http2
                    && parts.extensions.get::<OnWritten>().is_some() =>
            {
                SendBody::Stream(Upload::Sliced(bytes))
            }
            BodyInner::Bytes(bytes) => SendBody::Full(bytes),
            BodyInner::Stream(body) => {
                // It is replaced by `transfer-encoding`, if present.
                let gives_way = parts.version != http::Version::HTTP_10
                    && parts.headers.contains_key(TRANSFER_ENCODING);
                let declared = parts.headers.get(CONTENT_LENGTH).filter(|_| !gives_way);
                let length = body
                    .size_hint()
                    .exact()
                    .or_else(|| declared?.to_str().ok()?.parse().ok());
                SendBody::Stream(match length {
                    Some(length) => Upload::Sized(Declared { body, length }),
                    None => Upload::Unsized(body),
                })
            }
        };
        let connect = parts.method == http::Method::CONNECT;
        let book = Arc::clone(&entry.book) as Arc<dyn ConnectionBook>;
        let request = http::Request::from_parts(parts, body);
        let answer = entry.pool.send_known(request, Some(book)).await;
        self.let_go(entry);
        match answer {
            Ok(response) => Ok(self.receive(response, connect, started)),
            Err(error) => Err(engine_error(error)),
        }
    }

    /// Ends the use of a pool. A pool whose last connection ended meanwhile could not be dropped
    /// then. Both sides write first and read second, so one of them sees the other's change.
    fn let_go(&self, entry: Arc<Entry>) {
        let book = Arc::clone(&entry.book);
        drop(entry);
        if book.bereft.load(Ordering::SeqCst) {
            self.0.forget_if_unused(&book);
        }
    }

    fn route(&self, uri: &Uri) -> crate::Result<Option<Route>> {
        let proxies = self.0.settings.proxies.iter();
        let mut routes = proxies.map(|proxy| proxy.route(uri));
        routes.find_map(Result::transpose).transpose()
    }

    /// Converts the engine's response.
    fn receive(
        &self,
        response: http::Response<IncomingBody>,
        connect: bool,
        started: Instant,
    ) -> http::Response<TransportBody> {
        let (mut parts, body) = response.into_parts();
        let detail = parts.extensions.remove::<ResponseDetail>();
        let trailers = Trailers::default();
        if let Some(detail) = detail {
            if let Some(reason) = unusual_reason(parts.status, &detail.head.reason) {
                parts.extensions.insert(reason);
            }
            if self.0.settings.tls_info
                && let Some(connection) = &detail.connection
                && let Some(tls) = &connection.tls
            {
                parts.extensions.insert(TlsInfo {
                    peer_certificate: tls.peer_certificate.clone(),
                });
            }
            parts.extensions.insert(Via {
                detail,
                head: started.elapsed(),
                trailers: Arc::clone(&trailers),
            });
        }
        let switched = parts.status == StatusCode::SWITCHING_PROTOCOLS
            || (connect && parts.status.is_success());
        let body = if switched {
            parts.extensions.insert(Switched::new(body));
            TransportBody::default()
        } else {
            TransportBody {
                body: Some(body),
                trailers,
            }
        };
        http::Response::from_parts(parts, body)
    }
}

/// A reason phrase that is not the status's own.
fn unusual_reason(status: StatusCode, reason: &[u8]) -> Option<ReasonPhrase> {
    let usual = status.canonical_reason().unwrap_or_default();
    if reason.is_empty() || reason == usual.as_bytes() {
        return None;
    }
    ReasonPhrase::try_from(reason).ok()
}

fn engine_error(error: dodici::Error) -> crate::Error {
    let failure = Failure::new(error);
    if failure.is_builder() {
        error::builder(failure)
    } else {
        error::request(failure)
    }
}

impl Inner {
    /// The pool of the origin at `peer`, which is a proxy if it is not that of `uri`.
    fn direct(self: &Arc<Self>, peer: &Uri, uri: &Uri) -> crate::Result<Arc<Entry>> {
        let scheme = match peer.scheme_str() {
            Some("https") => Scheme::Https,
            _ => Scheme::Http,
        };
        let describe = || (origin(scheme, peer), self.settings.config.clone());
        if !std::ptr::eq(peer, uri) {
            // Proxy credentials belong to each request.
            let key = format!("to {}", origin(scheme, peer));
            return self.entry(Table::Routed, &key, true, describe);
        }
        let table = match scheme {
            Scheme::Http => Table::Http,
            Scheme::Https => Table::Https,
        };
        let Some(authority) = peer.authority() else {
            return Err(error::builder("a request needs a host"));
        };
        self.entry(table, authority.as_str(), false, describe)
    }

    /// The pool of a destination through a tunnel or SOCKS.
    fn routed(self: &Arc<Self>, uri: &Uri, route: &Route) -> crate::Result<Arc<Entry>> {
        let scheme = match uri.scheme_str() {
            Some("https") => Scheme::Https,
            _ => Scheme::Http,
        };
        let (proxy, way) = route.engine(self.settings.user_agent.as_ref());
        let origin = origin(scheme, uri);
        let key = format!("{origin} {way}");
        self.entry(Table::Routed, &key, false, || {
            let mut config = self.settings.config.clone();
            config.connect.proxy = Some(Box::new(proxy));
            (origin, config)
        })
    }

    fn entry(
        self: &Arc<Self>,
        table: Table,
        key: &str,
        is_proxy: bool,
        describe: impl FnOnce() -> (Origin, OriginConfig),
    ) -> crate::Result<Arc<Entry>> {
        let handle = Handle::current();
        let runtime = handle.id();
        let find = |pools: &[(Id, Pools)]| {
            let (_, pools) = pools.iter().find(|(id, _)| *id == runtime)?;
            pools.table(table).get(key).map(Arc::clone)
        };
        if let Some(entry) = find(&self.pools.read()) {
            return Ok(entry);
        }
        let mut pools = self.pools.write();
        if let Some(entry) = find(&pools) {
            return Ok(entry);
        }
        let (origin, config) = describe();
        let place = Place {
            table,
            key: key.into(),
            is_proxy,
        };
        let entry = self.open(handle, origin, config, place)?;
        let at = match pools.iter().position(|(id, _)| *id == runtime) {
            Some(at) => at,
            None => {
                pools.push((runtime, Pools::default()));
                pools.len() - 1
            }
        };
        let table = pools[at].1.table_mut(table);
        table.insert(key.into(), Arc::clone(&entry));
        Ok(entry)
    }

    fn open(
        self: &Arc<Self>,
        handle: Handle,
        origin: Origin,
        mut config: OriginConfig,
        place: Place,
    ) -> crate::Result<Arc<Entry>> {
        for rule in &self.settings.origins {
            rule.apply(&origin, &mut config);
        }
        let mut hooks = self.settings.hooks.clone();
        let speaks_h2 = match &hooks.tls {
            Some(tls) if origin.scheme == Scheme::Https => {
                tls.alpn_protocols.iter().any(|name| name == b"h2")
            }
            _ => false,
        };
        if place.is_proxy && speaks_h2 {
            // Proxies are used over HTTP/1.1.
            let mut tls = hooks.tls.as_deref().cloned();
            if let Some(tls) = &mut tls {
                tls.alpn_protocols = vec![b"http/1.1".to_vec()];
            }
            hooks.tls = tls.map(Arc::new);
        }
        let may_be_http2 = !place.is_proxy && speaks_h2 || config.http2.prior_knowledge;
        if may_be_http2 {
            config.pool.expected_concurrency = config.http2.max_concurrent_streams;
        }
        if hooks.resolve.is_none() {
            hooks.resolve = self.settings.names.is_used().then(|| {
                Arc::new(OriginNames {
                    names: Arc::clone(&self.settings.names),
                    default_port: origin.scheme.default_port(),
                }) as Arc<dyn ResolveHook>
            });
        }
        let book = Arc::new(Book {
            owner: Arc::downgrade(self),
            origin: origin.clone(),
            runtime: handle.id(),
            place,
            connections: Mutex::default(),
            bereft: AtomicBool::new(false),
        });
        let events = Arc::clone(&book) as Arc<dyn EventSink>;
        let engine = self
            .engine
            .get_or_init(|| Engine::on_runtime(handle.clone()));
        let pool = engine
            .also_on(handle)
            .open_pool_with(origin, config, hooks, events)
            .map_err(|cause| error::builder(Failure::new(cause)))?;
        Ok(Arc::new(Entry {
            pool,
            book,
            may_be_http2,
        }))
    }

    /// Drops an empty pool, unless it is about to be used.
    fn forget_if_unused(&self, book: &Book) {
        let forgotten = {
            let mut pools = self.pools.write();
            let Some((_, pools)) = pools.iter_mut().find(|(id, _)| *id == book.runtime) else {
                return;
            };
            let table = pools.table_mut(book.place.table);
            let unused = table.get(&book.place.key).is_some_and(|entry| {
                std::ptr::eq(Arc::as_ptr(&entry.book), book)
                    && Arc::strong_count(entry) == 1
                    && entry.pool.stats().size() == 0
                    && book.connections.lock().is_empty()
            });
            unused.then(|| table.remove(&book.place.key)).flatten()
        };
        // A connection still being opened without a request ends with it.
        if let Some(entry) = forgotten {
            entry.pool.close();
        }
    }
}

impl limit::Pools for Inner {
    fn close_one_idle(&self) {
        let pools = self.pools.read();
        let entries: Vec<_> = pools
            .iter()
            .flat_map(|(_, pools)| pools.entries())
            .map(Arc::clone)
            .collect();
        // The event of a closed connection takes the lock.
        drop(pools);
        let _ = entries.iter().any(|entry| entry.pool.close_idle());
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        for (_, pools) in self.pools.get_mut() {
            for entry in pools.entries() {
                entry.pool.close();
            }
        }
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
}

impl EventSink for Book {
    fn event(&self, event: Event) {
        match &event {
            Event::Connected { conn, info } => {
                self.connections
                    .lock()
                    .insert(*conn, Arc::new(info.clone()));
            }
            Event::Disconnected { conn, .. } => {
                self.connections.lock().remove(conn);
            }
            _ => {}
        }
        if matches!(event, Event::Connected { .. }) {
            self.bereft.store(false, Ordering::SeqCst);
        }
        let Some(owner) = self.owner.upgrade() else {
            return;
        };
        for callback in &owner.settings.events {
            callback(&self.origin, &event);
        }
        let ended = matches!(
            event,
            Event::Disconnected { .. } | Event::ConnectFailed { .. }
        );
        if ended && self.connections.lock().is_empty() {
            self.bereft.store(true, Ordering::SeqCst);
            owner.forget_if_unused(self);
        }
    }
}

impl ConnectionBook for Book {
    fn connection(&self, conn: ConnId) -> Option<Arc<ConnectInfo>> {
        self.connections.lock().get(&conn).map(Arc::clone)
    }
}

fn origin(scheme: Scheme, uri: &Uri) -> Origin {
    let port = uri.port_u16().unwrap_or(scheme.default_port());
    Origin::new(scheme, uri.host().unwrap_or_default(), port)
}

/// How a response was received. In its extensions; exposed by [`crate::ext::ResponseExt`].
#[derive(Clone)]
#[doc(hidden)]
pub struct Via {
    pub(crate) detail: ResponseDetail,
    /// Time from the start of the request to the response's head.
    pub(crate) head: Duration,
    pub(crate) trailers: Trailers,
}

impl Via {
    pub(crate) fn remote(&self) -> Option<SocketAddr> {
        self.detail.connection.as_ref()?.remote
    }
}
