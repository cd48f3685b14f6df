//! Callbacks that take part in connecting: name resolution, TLS, the socket, or all of it.
//!
//! Set by front ends (dodici-reqwest has connector layers, resolvers and TLS settings), used by the
//! connector and by a connection's task. A pool without hooks pays nothing.

use std::any::Any;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use dodici_pool::{ConnectInfo, Error, Offer};
use socket2::SockRef;

use super::Transport;
use super::tls::IdentityHook;
use super::tls::roots::DefaultRoots;

/// The caller's code that takes part in opening a pool's connections. See
/// [`Engine::open_pool_with`](crate::Engine::open_pool_with).
///
/// Hooks are not part of a pool's configuration: two pools with equal configuration but different
/// hooks must not share anything, and never do.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct ConnectHooks {
    /// Resolves names instead of the system.
    pub resolve: Option<Arc<dyn ResolveHook>>,
    /// Used for `https` origins instead of what
    /// [`TlsConfig`](dodici_pool::TlsConfig) describes; its server name still counts.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// The roots that [`RootSource::Default`](dodici_pool::RootSource::Default) trusts.
    pub roots: DefaultRoots,
    /// Judges servers' identities where
    /// [`TlsConfig::check_identity`](dodici_pool::TlsConfig::check_identity) asks for it. Without it,
    /// names are checked.
    pub identity: Option<Arc<dyn IdentityHook>>,
    /// Sets options on a TCP socket before it connects. Its error fails the attempt.
    pub socket: Option<Arc<dyn SocketHook>>,
    /// Asked about each address before a socket connects to it: of the origin, or of the proxy.
    /// With a rule, Unix sockets are refused. Default: every address may be connected to.
    pub allow: Option<Arc<dyn AddressRule>>,
    /// Asked about the address that a proxy is to connect to, as far as it is known here: a literal
    /// one, or one that was resolved for SOCKS. Default: every address.
    pub allow_proxied: Option<Arc<dyn AddressRule>>,
    /// Wraps connecting, all legs together.
    pub around: Option<Arc<dyn AroundHook>>,
}

impl fmt::Debug for ConnectHooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectHooks")
            .field("resolve", &self.resolve.is_some())
            .field("tls", &self.tls.is_some())
            .field("roots", &self.roots)
            .field("identity", &self.identity.is_some())
            .field("socket", &self.socket.is_some())
            .field("allow", &self.allow.is_some())
            .field("allow_proxied", &self.allow_proxied.is_some())
            .field("around", &self.around.is_some())
            .finish()
    }
}

impl ConnectHooks {
    /// Whether these open the same connections as `other`.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        same(self.resolve.as_ref(), other.resolve.as_ref())
            && same(self.tls.as_ref(), other.tls.as_ref())
            && self.roots == other.roots
            && same(self.identity.as_ref(), other.identity.as_ref())
            && same(self.socket.as_ref(), other.socket.as_ref())
            && same(self.allow.as_ref(), other.allow.as_ref())
            && same(self.allow_proxied.as_ref(), other.allow_proxied.as_ref())
            && same(self.around.as_ref(), other.around.as_ref())
    }
}

fn same<T: ?Sized>(one: Option<&Arc<T>>, other: Option<&Arc<T>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        _ => false,
    }
}

/// A future returned by a hook.
pub type HookFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// See [`ConnectHooks::resolve`].
pub trait ResolveHook: Send + Sync {
    /// Addresses of `host`, at least one, each with the port to connect to; `port` is the
    /// origin's or the proxy's. `None` leaves the name to the system. Not called for a literal
    /// address.
    fn resolve(&self, host: &str, port: u16) -> Option<HookFuture<Result<Vec<SocketAddr>, Error>>>;

    /// Where the origin `https://host:port` is served over HTTP/3 according to its HTTPS records
    /// (RFC 9460), best first. Asked for each connection of a pool that
    /// [discovers](dodici_pool::Http3Mode::Discovered) HTTP/3 and knows of none; the connection waits
    /// for the answer, at most 250 ms. `None`, the default: such records are not asked for.
    fn alternatives(&self, host: &str, port: u16) -> Option<HookFuture<Vec<Offer>>> {
        let _ = (host, port);
        None
    }

    /// Whether the hook applies the connect timeout itself, because its answers may arrive late: it
    /// asks a thread that is busy with other work. An answer after the timeout then restarts it
    /// for the legs that follow. Default: false.
    fn keeps_time(&self) -> bool {
        false
    }
}

/// Decides which addresses may be connected to: see [`ConnectHooks::allow`]. A function is such a rule:
///
/// ```
/// use std::net::IpAddr;
/// use std::sync::Arc;
/// use dodici::{ConnectHooks, is_public};
///
/// let mut hooks = ConnectHooks::default();
/// hooks.allow = Some(Arc::new(|address: IpAddr, host: &str| {
///     is_public(address) || host == "metrics.internal"
/// }));
/// ```
pub trait AddressRule: Send + Sync {
    /// Whether a connection may be opened to `address`, which belongs to `host`: a name, or the
    /// address itself. An IPv4 address is never in its IPv6 form.
    ///
    /// # Errors
    /// Why it may not, where `false`, which becomes
    /// [`AddressNotAllowed`](dodici_pool::ErrorKind::AddressNotAllowed), does not say enough.
    fn allows(&self, address: IpAddr, host: &str) -> HookFuture<Result<bool, Error>>;
}

impl<F: Fn(IpAddr, &str) -> bool + Send + Sync> AddressRule for F {
    fn allows(&self, address: IpAddr, host: &str) -> HookFuture<Result<bool, Error>> {
        Box::pin(std::future::ready(Ok(self(address, host))))
    }
}

/// See [`ConnectHooks::socket`].
pub trait SocketHook: Send + Sync {
    /// Called once per attempt, before the socket connects.
    ///
    /// # Errors
    /// Those of the system.
    fn prepare(&self, socket: SockRef<'_>) -> io::Result<()>;
}

/// See [`ConnectHooks::around`].
pub trait AroundHook: Send + Sync {
    /// Returns what is run instead of `connect`; it may run `connect` later, drop it, or fail.
    fn around(
        &self,
        connect: HookFuture<Result<Connected, Error>>,
    ) -> HookFuture<Result<Connected, Error>>;
}

/// What connects to the peer.
pub(crate) enum Link {
    /// A byte stream, for HTTP/1.1 or HTTP/2.
    Stream(Transport),
    /// For HTTP/3.
    #[cfg(feature = "http3")]
    Quic(Box<super::Quic>),
}

impl Link {
    /// Keeps what counts the connection as long as the socket.
    pub(crate) fn count(&mut self, permit: impl Any + Send + Sync) {
        match self {
            Self::Stream(transport) => transport.count(permit),
            #[cfg(feature = "http3")]
            Self::Quic(quic) => quic.count(permit),
        }
    }
}

/// A newly opened connection, on its way from the connector to the pool.
pub struct Connected {
    pub(crate) link: Link,
    pub(crate) info: ConnectInfo,
}

impl Connected {
    /// Its details.
    pub fn info(&self) -> &ConnectInfo {
        &self.info
    }
}

impl fmt::Debug for Connected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connected")
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}
