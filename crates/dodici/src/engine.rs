//! The engine: creates pools on a runtime.

use std::sync::Arc;

use dodici_pool::{Alternatives, Error, Origin, OriginConfig};
use parking_lot::Mutex;
use tokio::runtime::Handle;

use crate::command::Space;
use crate::connect::{ConnectHooks, Connector};
use crate::origin::{ConnectionLimit, Pool};
use crate::sink::EventSink;

/// Creates pools whose tasks run on one tokio runtime, multi-thread or current-thread. Cheap to
/// clone.
///
/// # Examples
///
/// ```
/// use std::num::NonZeroU32;
/// use std::sync::Arc;
/// use dodici::{Engine, NoEvents, Origin, OriginConfig, Scheme};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let server = dodici_testkit::TestOrigin::start().await;
/// # let port = server.port();
/// let engine = Engine::on_runtime(tokio::runtime::Handle::current());
/// let mut config = OriginConfig::default();
/// config.pool.max_connections = NonZeroU32::new(4);
/// let origin = Origin::new(Scheme::Http, "127.0.0.1", port);
/// let pool = engine.open_pool(origin, config, Arc::new(NoEvents))?;
///
/// let request = http::Request::get("/bytes/5").body(String::new())?;
/// let response = pool.send(request).await?;
/// assert_eq!(response.status(), 200);
/// let (body, _trailers) = response.into_body().collect().await?;
/// assert_eq!(body.len(), 5);
///
/// // The connection waits for the next request.
/// let stats = pool.stats();
/// assert_eq!((stats.connected, stats.free), (1, 1));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Engine {
    runtime: Handle,
    /// Shared by the request bodies of all its pools.
    space: Arc<Space>,
    /// Shared by the connections of all its pools.
    limit: Option<ConnectionLimit>,
    /// Known to all its pools.
    alternatives: AltSvcCache,
}

/// What is known of where origins are served over HTTP/3 (RFC 7838): at most 1,000 of them, until
/// what they said expires.
///
/// Cheap to clone; clones share it. Each engine begins with one of its own.
#[derive(Clone, Debug, Default)]
pub struct AltSvcCache(Arc<Mutex<Alternatives>>);

impl Engine {
    /// An engine whose tasks run on the runtime behind this handle. The runtime needs its I/O and
    /// time drivers. When it has ended, requests fail with
    /// [`ErrorKind::Destroyed`](dodici_pool::ErrorKind::Destroyed).
    pub fn on_runtime(runtime: Handle) -> Self {
        Self {
            runtime,
            space: Space::new(),
            limit: None,
            alternatives: AltSvcCache::default(),
        }
    }

    /// The same engine on another runtime: they share one limit on bytes in flight, that on
    /// connections, and what is known of origins' HTTP/3.
    #[must_use]
    pub fn also_on(&self, runtime: Handle) -> Self {
        Self {
            runtime,
            space: Arc::clone(&self.space),
            limit: self.limit.clone(),
            alternatives: self.alternatives.clone(),
        }
    }

    /// The same engine, whose pools share a limit on their connections.
    #[must_use]
    pub fn under(mut self, limit: ConnectionLimit) -> Self {
        self.limit = Some(limit);
        self
    }

    /// The same engine, whose pools share what this cache knows, and not what others do.
    #[must_use]
    pub fn with_alternatives(mut self, known: AltSvcCache) -> Self {
        self.alternatives = known;
        self
    }

    /// Creates a pool, without opening a connection.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`](dodici_pool::ErrorKind::InvalidRequest), naming the option,
    /// if a certificate, key or TLS version cannot be used.
    pub fn open_pool(
        &self,
        origin: Origin,
        config: OriginConfig,
        events: Arc<dyn EventSink>,
    ) -> Result<Pool, Error> {
        self.open_pool_with(origin, config, ConnectHooks::default(), events)
    }

    /// Like [`Engine::open_pool`], with the caller's hooks for connecting.
    ///
    /// # Errors
    /// As [`Engine::open_pool`].
    pub fn open_pool_with(
        &self,
        origin: Origin,
        config: OriginConfig,
        hooks: ConnectHooks,
        events: Arc<dyn EventSink>,
    ) -> Result<Pool, Error> {
        let connector = Connector::with_hooks(origin.clone(), config.connect.clone(), hooks)?
            .with_http3(&config.http3)?;
        Ok(Pool::new(
            origin,
            config,
            connector,
            events,
            self.runtime.clone(),
            Arc::clone(&self.space),
            self.limit.as_ref(),
            &self.alternatives.0,
        ))
    }
}

/// Validates a configuration like [`Engine::open_pool`], without creating a pool.
///
/// # Errors
/// As [`Engine::open_pool`].
pub fn check_config(origin: &Origin, config: &OriginConfig) -> Result<(), Error> {
    let connector = Connector::new(origin.clone(), config.connect.clone())?;
    connector.with_http3(&config.http3).map(drop)
}
