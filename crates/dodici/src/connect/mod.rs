//! Connecting: name resolution, TCP or Unix socket or named pipe, proxy, TLS.
//!
//! - [`Connector`]: the legs in sequence, for one pool key.
//! - [`Transport`]: the resulting byte stream, and [`Transport::probe`] for the checkout.
//! - `dns`, `dns_cache`, `getaddrinfo`: resolver threads, and their answers. `tcp`: racing addresses.
//! - `local_stream`: a Unix socket, or a named pipe of Windows.
//! - `proxy`: TLS to a proxy, `CONNECT` or SOCKS.
//! - `tls`: trust, client certificates, verification, sessions, Node's error codes.
//! - `hooks`: the caller's callbacks. `allow`, `public`: which addresses may be connected to.
//! - `quic_leg`: QUIC instead of TCP and TLS, behind the feature `http3`; `quic`: the connection.
//! - `errors`: system errors in Node's terms. `deadline`: the connect timeout.
//! - `write_through`: writing of the streams that read in their own way.
//!
//! Called by the origin. Must not know pools, requests or HTTP.

mod allow;
mod deadline;
mod dns;
mod dns_cache;
mod errors;
mod getaddrinfo;
mod hooks;
#[cfg_attr(unix, path = "unix_socket.rs")]
#[cfg_attr(windows, path = "named_pipe.rs")]
mod local_stream;
mod proxy;
mod public;
#[cfg(feature = "http3")]
mod quic;
#[cfg(feature = "http3")]
mod quic_leg;
mod read_ahead;
mod session;
mod socket;
mod tcp;
mod tls;
mod transport;
mod write_through;

#[cfg(all(test, unix))]
pub(crate) mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dodici_pool::{
    AddressOrder, ConnectConfig, ConnectInfo, Error, Http3Config, Http3Mode, Origin, Phase,
    Protocol, Proxy, Scheme,
};
use tokio::time::Instant;

use self::deadline::Deadline;
use self::proxy::ProxyLeg;
use self::socket::Socket;
use self::tcp::Dialer;
use self::tls::TlsLeg;

pub use self::allow::{check_literal, public};
pub(crate) use self::errors::mismatch;
pub(crate) use self::hooks::Link;
pub use self::hooks::{
    AddressRule, AroundHook, ConnectHooks, Connected, HookFuture, ResolveHook, SocketHook,
};
pub use self::public::is_public;
#[cfg(feature = "http3")]
pub(crate) use self::quic::{Progress, Quic};
pub(crate) use self::socket::Probe;
pub use self::tls::IdentityHook;
pub(crate) use self::tls::node_codes::describe_io_error;
pub use self::tls::roots::{DefaultRoots, Roots};
pub use self::tls::strict::StrictVerifier;
pub(crate) use self::transport::Transport;

/// Opens connections for one pool key.
///
/// Certificates and keys are parsed once, and TLS sessions are cached here, so that nothing of one
/// pool key ever reaches another.
#[derive(Debug)]
pub(crate) struct Connector {
    origin: Origin,
    config: ConnectConfig,
    /// `None` for a direct connection.
    proxy: Option<ProxyLeg>,
    /// `None` for plain text.
    tls: Option<TlsLeg>,
    #[cfg(feature = "http3")]
    quic: Option<quic_leg::QuicLeg>,
    hooks: ConnectHooks,
}

/// Forgets all names that were kept for [`ConnectConfig::dns_cache`].
pub fn clear_dns_cache() {
    dns::SYSTEM.clear_cache();
}

/// The deadlines of an attempt.
#[derive(Clone, Copy)]
struct Deadlines {
    /// Of all legs.
    all: Deadline,
    /// Of those to the proxy, if there is one.
    reach: Deadline,
}

/// The answer of a resolver, and how long it took; `None` for a literal address.
struct Addresses {
    found: Vec<SocketAddr>,
    dns: Option<Duration>,
}

/// A connected socket, and how it was connected.
struct Opened {
    socket: Socket,
    dns: Option<Duration>,
    tcp: Option<Duration>,
}

impl Connector {
    /// Prepares connections to `origin`.
    ///
    /// # Errors
    /// [`InvalidRequest`](dodici_pool::ErrorKind::InvalidRequest) with a message that names the
    /// option (`connect.ca`, `connect.key`, …) if it cannot be honoured.
    pub(crate) fn new(origin: Origin, config: ConnectConfig) -> Result<Self, Error> {
        Self::with_hooks(origin, config, ConnectHooks::default())
    }

    /// Like [`Connector::new`], with the caller's hooks.
    ///
    /// # Errors
    /// As [`Connector::new`].
    pub(crate) fn with_hooks(
        origin: Origin,
        config: ConnectConfig,
        hooks: ConnectHooks,
    ) -> Result<Self, Error> {
        let tls = match origin.scheme {
            Scheme::Http => None,
            Scheme::Https => Some(match &hooks.tls {
                Some(client) => TlsLeg::preconfigured(&origin, &config.tls, Arc::clone(client))?,
                None => TlsLeg::new(
                    &origin,
                    &config.tls,
                    &hooks.roots,
                    hooks.identity.as_ref(),
                    false,
                )?,
            }),
        };
        let proxy = match &config.proxy {
            None => None,
            Some(proxy) => Some(ProxyLeg::new(proxy, &origin, &config, &hooks)?),
        };
        Ok(Self {
            origin,
            config,
            proxy,
            tls,
            #[cfg(feature = "http3")]
            quic: None,
            hooks,
        })
    }

    /// The same for a pool with these options of HTTP/3.
    ///
    /// # Errors
    /// `InvalidRequest` if it cannot be used.
    pub(crate) fn with_http3(self, config: &Http3Config) -> Result<Self, Error> {
        if config.mode == Http3Mode::Off {
            return Ok(self);
        }
        #[cfg(feature = "http3")]
        return quic_leg::add(self, config);
        #[cfg(not(feature = "http3"))]
        Err(errors::bad_option("http3", "this build has no HTTP/3"))
    }

    /// Whether a connector with these would open the same connections.
    pub(crate) fn is_made_of(&self, config: &ConnectConfig, hooks: &ConnectHooks) -> bool {
        self.config == *config && self.hooks.is_same(hooks)
    }

    /// Opens a connection; all legs together take at most the configured timeout.
    ///
    /// Dropping the future closes whatever is open. A DNS lookup that others wait for continues.
    ///
    /// # Errors
    /// `Resolve`, `Connect`, `Tls` or `ConnectTimeout`, each with Node's code and fields, and with
    /// the phase of the leg that failed. All of them say that nothing was sent.
    pub(crate) async fn connect(&self) -> Result<(Transport, ConnectInfo), Error> {
        let started = Instant::now();
        let mut deadlines = self.deadlines(started);
        if self.proxy.is_some() {
            let checked = check_literal(&self.hooks.allow_proxied, &self.origin.host);
            let checked = deadlines.all.run(checked).await;
            checked.map_err(|_| self.timed_out(deadlines.all, Phase::Connect, &[]))??;
        }
        let opened = self.open(&mut deadlines).await?;
        let Deadlines {
            all: deadline,
            reach,
        } = deadlines;
        let (socket, proxy) = match &self.proxy {
            None => (opened.socket, None),
            Some(leg) => {
                // Boxed, so that direct connections do not carry its size.
                let way = Box::pin(leg.open(opened.socket, reach, deadline));
                let (socket, info) = way.await?;
                (socket, Some(Box::new(info)))
            }
        };
        let (transport, tls, tls_time) = match &self.tls {
            None => (Transport::plain(socket), None, None),
            Some(leg) => {
                let begun = Instant::now();
                let handshake = deadline.run(leg.handshake(socket)).await;
                let (stream, info) =
                    handshake.map_err(|_| self.timed_out(deadline, Phase::TlsHandshake, &[]))??;
                (Transport::tls(stream), Some(info), Some(begun.elapsed()))
            }
        };
        let alpn = tls.as_ref().and_then(|tls| tls.alpn.as_deref());
        let mut info = ConnectInfo::new(if alpn == Some("h2") {
            Protocol::Http2
        } else {
            Protocol::Http1
        });
        info.local = transport.local_addr();
        info.remote = transport.peer_addr();
        info.path = self.path();
        info.tls = tls;
        info.proxy = proxy;
        info.timings.started = Some(started.into_std());
        info.timings.dns = opened.dns;
        info.timings.tcp = opened.tcp;
        info.timings.tls = tls_time;
        info.timings.total = started.elapsed();
        Ok((transport, info))
    }

    fn deadlines(&self, start: Instant) -> Deadlines {
        let all = Deadline::after(start, self.config.timeout);
        let proxy = self.proxy_config().and_then(|proxy| proxy.timeout);
        Deadlines {
            all,
            reach: all.or_sooner(start, proxy),
        }
    }

    async fn open(&self, deadlines: &mut Deadlines) -> Result<Opened, Error> {
        let begun = Instant::now();
        let deadline = deadlines.reach;
        if let Some(path) = &self.config.socket_path {
            allow::check_path(&self.hooks.allow, path)?;
            let stream = deadline
                .run(local_stream::connect(path))
                .await
                .map_err(|_| self.timed_out(deadline, Phase::Connect, &[]))??;
            return Ok(Opened {
                socket: Socket::Local(stream),
                dns: None,
                tcp: Some(begun.elapsed()),
            });
        }
        let (host, port) = self.first_hop();
        let addresses = self.lookup(host, port, deadlines).await?;
        let dns = addresses.dns;
        let (stream, tcp) = self.dial(&addresses.found, deadlines.reach).await?;
        Ok(Opened {
            socket: Socket::Tcp(stream),
            dns,
            tcp: Some(tcp),
        })
    }

    /// The addresses of a host, with this port.
    async fn lookup(
        &self,
        host: &str,
        port: u16,
        deadlines: &mut Deadlines,
    ) -> Result<Addresses, Error> {
        let begun = Instant::now();
        let deadline = deadlines.reach;
        // A literal address needs no lookup.
        let literal = host.parse::<std::net::IpAddr>().is_ok();
        let hook = self.hooks.resolve.as_ref().filter(|_| !literal);
        let lookup = async {
            if let Some(hook) = hook
                && let Some(answer) = hook.resolve(host, port)
            {
                return answer.await;
            }
            let cache = self.config.dns_cache.as_ref();
            let found = dns::SYSTEM.resolve_cached(host, self.config.family, cache);
            let mut found = found.await?.to_vec();
            // Stable: within a family the system's order stays.
            match self.config.order {
                AddressOrder::Verbatim => {}
                AddressOrder::V4First => found.sort_by_key(SocketAddr::is_ipv6),
                AddressOrder::V6First => found.sort_by_key(SocketAddr::is_ipv4),
            }
            for address in &mut found {
                address.set_port(port);
            }
            Ok(found)
        };
        let found = if hook.is_some_and(|hook| hook.keeps_time()) {
            let found = lookup.await?;
            if deadline.has_passed() {
                *deadlines = self.deadlines(Instant::now());
            }
            found
        } else {
            deadline
                .run_lookup(lookup)
                .await
                .map_err(|_| self.timed_out(deadline, Phase::Resolve, &[]))??
        };
        let dns = (!literal).then(|| begun.elapsed());
        Ok(Addresses { found, dns })
    }

    /// The TCP leg, also used by tests with their own addresses.
    async fn dial(
        &self,
        addresses: &[SocketAddr],
        deadline: Deadline,
    ) -> Result<(tokio::net::TcpStream, Duration), Error> {
        let begun = Instant::now();
        let (host, port) = self.first_hop();
        let mut dialer = Dialer::new(&self.config, addresses).hooked(&self.hooks);
        let dialled = deadline.run(dialer.run(host, port)).await;
        let stream =
            dialled.map_err(|_| self.timed_out(deadline, Phase::Connect, &dialer.tried()))??;
        Ok((stream, begun.elapsed()))
    }

    /// The TLS leg is the only one that is always the origin's.
    fn timed_out(&self, deadline: Deadline, phase: Phase, tried: &[String]) -> Error {
        let (host, port) = match phase {
            Phase::TlsHandshake => (&*self.origin.host, self.origin.port),
            _ => self.first_hop(),
        };
        deadline.error(phase, host, port, tried)
    }

    fn proxy_config(&self) -> Option<&Proxy> {
        self.config.proxy.as_deref()
    }

    /// What the socket connects to: the proxy, or else the origin.
    fn first_hop(&self) -> (&str, u16) {
        match self.proxy_config() {
            Some(proxy) => (&proxy.host, proxy.port),
            None => (&self.origin.host, self.origin.port),
        }
    }

    /// The caller's code around [`Connector::connect`].
    pub(crate) fn around(&self) -> Option<&dyn AroundHook> {
        self.hooks.around.as_deref()
    }

    /// Whether it can open connections for HTTP/3.
    #[cfg(feature = "http3")]
    pub(crate) fn offers_http3(&self) -> bool {
        self.quic.is_some()
    }

    /// See [`ResolveHook::alternatives`](super::ResolveHook::alternatives).
    #[cfg(feature = "http3")]
    pub(crate) fn ask_alternatives(
        &self,
        origin: &Origin,
    ) -> Option<HookFuture<Vec<dodici_pool::Offer>>> {
        let hook = self.hooks.resolve.as_ref()?;
        if origin.host.parse::<std::net::IpAddr>().is_ok() {
            return None;
        }
        hook.alternatives(&origin.host, origin.port)
    }

    /// Whether TLS offers HTTP/2.
    pub(crate) fn offers_http2(&self) -> bool {
        self.tls.as_ref().is_some_and(TlsLeg::offers_http2)
    }

    fn path(&self) -> Option<String> {
        let path = self.config.socket_path.as_ref()?;
        Some(path.to_string_lossy().into_owned())
    }
}
