//! The options of both builders, each written once. Those of HTTP/2, HTTP/3 and TLS are in modules.

#[cfg(feature = "http2")]
mod http2;
#[cfg(feature = "http3")]
mod http3;
mod tls;

use std::net::{IpAddr, SocketAddr};
#[cfg(feature = "cookies")]
use std::sync::Arc;
use std::time::Duration;

use http::header::{HeaderMap, HeaderValue, USER_AGENT};
use tower::util::BoxCloneSyncServiceLayer;
use tower::{Layer, Service};

#[cfg(unix)]
use crate::connect::UnixSocketProvider;
#[cfg(windows)]
use crate::connect::WindowsNamedPipeProvider;
use crate::connect::{BoxedConnectorService, Conn, Unnameable};
use crate::dns::IntoResolve;
use crate::error::BoxError;
use crate::{Proxy, redirect, retry};

/// Adds each option to both builders. `[…]` holds generic parameters and bounds.
macro_rules! options {
    (@to $builder:ty; $(
        $(#[$meta:meta])*
        fn $name:ident $([$($generic:ident),*])? ($($argument:ident: $type:ty),*)
        $(where [$($bounds:tt)*])?
        |$config:ident| $body:block
    )*) => {
        impl $builder {$(
            $(#[$meta])*
            pub fn $name $(<$($generic),*>)? (self $(, $argument: $type)*) -> Self
            $(where $($bounds)*)?
            {
                self.change(|$config| $body)
            }
        )*}
    };
    ($($options:tt)*) => {
        options!(@to crate::ClientBuilder; $($options)*);
        #[cfg(feature = "blocking")]
        options!(@to crate::blocking::ClientBuilder; $($options)*);
    };
}

use options;

options! {
    /// `User-Agent` of requests that do not set one. Default: none.
    ///
    /// ```
    /// let client = dodici_reqwest::Client::builder()
    ///     .user_agent(concat!("my-app/", "1.0"))
    ///     .build()?;
    /// # Ok::<_, dodici_reqwest::Error>(())
    /// ```
    fn user_agent[V](value: V)
    where [V: TryInto<HeaderValue>, V::Error: Into<http::Error>]
    |config| {
        match value.try_into() {
            Ok(value) => {
                config.headers.insert(USER_AGENT, value);
            }
            Err(cause) => config.error = Some(crate::error::builder(cause.into())),
        }
    }

    /// Headers added to requests that do not set them. Default: `accept: */*`.
    ///
    /// ```
    /// use dodici_reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
    ///
    /// let mut secret = HeaderValue::from_static("Bearer secret");
    /// secret.set_sensitive(true);
    /// let mut headers = HeaderMap::new();
    /// headers.insert(AUTHORIZATION, secret);
    /// let client = dodici_reqwest::Client::builder().default_headers(headers).build()?;
    /// # Ok::<_, dodici_reqwest::Error>(())
    /// ```
    fn default_headers(headers: HeaderMap) |config| {
        for (name, value) in &headers {
            config.headers.insert(name, value.clone());
        }
    }

    /// Stores response cookies in the client's own [`Jar`](crate::cookie::Jar) and sends them
    /// back. Default off.
    ///
    /// Needs the feature `cookies`.
    #[cfg(feature = "cookies")]
    fn cookie_store(enable: bool) |config| {
        config.cookies = enable.then(|| {
            Arc::new(crate::cookie::Jar::default()) as Arc<dyn crate::cookie::CookieStore>
        });
    }

    /// Stores cookies in this store.
    ///
    /// Needs the feature `cookies`.
    #[cfg(feature = "cookies")]
    fn cookie_provider[C](cookie_store: Arc<C>)
    where [C: crate::cookie::CookieStore + 'static]
    |config| {
        config.cookies = Some(cookie_store);
    }

    /// Requests and decodes gzip. Default on.
    ///
    /// `accept-encoding` is added unless the request has it. When a body is decoded,
    /// `content-encoding` and `content-length` are removed.
    ///
    /// Needs the feature `gzip`.
    #[cfg(feature = "gzip")]
    fn gzip(enable: bool) |config| {
        config.codings.no_gzip = !enable;
    }

    /// Requests and decodes Brotli. Default on.
    ///
    /// Needs the feature `brotli`.
    #[cfg(feature = "brotli")]
    fn brotli(enable: bool) |config| {
        config.codings.no_brotli = !enable;
    }

    /// Requests and decodes Zstandard. Default on.
    ///
    /// Needs the feature `zstd`.
    #[cfg(feature = "zstd")]
    fn zstd(enable: bool) |config| {
        config.codings.no_zstd = !enable;
    }

    /// Requests and decodes deflate. Default on.
    ///
    /// Needs the feature `deflate`.
    #[cfg(feature = "deflate")]
    fn deflate(enable: bool) |config| {
        config.codings.no_deflate = !enable;
    }

    /// Disables gzip, even if another crate enables the feature.
    fn no_gzip() |config| {
        config.codings.no_gzip = true;
    }

    /// Disables Brotli, even if another crate enables the feature.
    fn no_brotli() |config| {
        config.codings.no_brotli = true;
    }

    /// Disables Zstandard, even if another crate enables the feature.
    fn no_zstd() |config| {
        config.codings.no_zstd = true;
    }

    /// Disables deflate, even if another crate enables the feature.
    fn no_deflate() |config| {
        config.codings.no_deflate = true;
    }

    /// Which redirects are followed. Default: ten at most.
    fn redirect(policy: redirect::Policy) |config| {
        config.redirect = policy;
    }

    /// Whether redirected requests have a `referer`. Default true.
    fn referer(enable: bool) |config| {
        config.referer = enable;
    }

    /// Which requests are retried. Default: those the server refused without processing them.
    fn retry(policy: retry::Builder) |config| {
        config.retry = policy;
    }

    /// Adds a proxy. The first proxy that matches a request serves it; the system's proxies are no
    /// longer used.
    fn proxy(proxy: Proxy) |config| {
        config.proxies.push(proxy);
        config.system_proxies = false;
    }

    /// Removes all proxies, including the system's.
    fn no_proxy() |config| {
        config.proxies.clear();
        config.system_proxies = false;
    }

    /// Timeout for connecting: DNS, TCP, proxy, TLS. Default: no limit.
    fn connect_timeout(timeout: Duration) |config| {
        config.engine.connect.timeout = Some(timeout);
    }

    /// Prints connection events to standard error. Default off.
    fn connection_verbose(verbose: bool) |config| {
        config.verbose = verbose;
    }

    /// How long a connection may stay idle before it is closed; `None` disables the timeout.
    /// Default 90 s. A server's `keep-alive` hint shortens it.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let client = dodici_reqwest::Client::builder()
    ///     .pool_idle_timeout(Duration::from_secs(15))
    ///     .build()?;
    /// # Ok::<_, dodici_reqwest::Error>(())
    /// ```
    fn pool_idle_timeout[D](val: D) where [D: Into<Option<Duration>>] |config| {
        config.engine.pool.keep_alive_timeout = val.into();
    }

    /// Maximum number of idle connections per host. Default: no limit. With zero, each connection
    /// is used once.
    fn pool_max_idle_per_host(max: usize) |config| {
        config.engine.pool.max_idle_connections = u32::try_from(max).ok();
        config.engine.pool.keep_alive = max > 0;
    }

    /// Sends header names in title case: `Content-Type`. Default off. HTTP/1 only.
    fn http1_title_case_headers() |config| {
        config.title_case = true;
    }

    /// Accepts header values folded over several lines (RFC 9112, section 5.2) instead of rejecting
    /// the response. Default false: such lines are used to smuggle responses past a proxy. They are
    /// still rejected in headers that determine framing.
    fn http1_allow_obsolete_multiline_headers_in_responses(value: bool) |config| {
        config.engine.exchange.leniency.folded_values = value;
    }

    /// Skips invalid header lines instead of rejecting the response. Default false. A line that may
    /// be meant as a header that determines framing is still rejected.
    fn http1_ignore_invalid_headers_in_responses(value: bool) |config| {
        config.engine.exchange.leniency.invalid_fields = value;
    }

    /// Accepts whitespace between header name and colon (RFC 9112, section 5.1) instead of
    /// rejecting the response. Default false.
    fn http1_allow_spaces_after_header_name_in_responses(value: bool) |config| {
        config.engine.exchange.leniency.space_before_colon = value;
    }

    /// Maximum number of fields in a response head, and in its trailers. A response with more
    /// fails. Default: as many as fit into a head of 400 KiB; hyper's limit is 100.
    ///
    /// HTTP/1 only.
    fn http1_max_headers(max: usize) |config| {
        config.engine.exchange.max_fields = Some(max);
    }

    /// Uses HTTP/1 only.
    fn http1_only() |config| {
        config.http1_only = true;
        config.engine.http2.prior_knowledge = false;
    }

    /// Accepts a response without a head (HTTP/0.9) as a body with status 200 instead of rejecting
    /// it, unless the request body is streamed. Default: rejected.
    fn http09_responses() |config| {
        config.engine.exchange.leniency.missing_head = true;
    }

    /// Sets `TCP_NODELAY`. Default true.
    fn tcp_nodelay(enabled: bool) |config| {
        config.engine.connect.no_delay = enabled;
    }

    /// The local address to bind. Default: the system's choice.
    ///
    /// ```
    /// use std::net::IpAddr;
    ///
    /// let client = dodici_reqwest::Client::builder()
    ///     .local_address(IpAddr::from([127, 0, 0, 1]))
    ///     .build()?;
    /// # Ok::<_, dodici_reqwest::Error>(())
    /// ```
    fn local_address[T](addr: T) where [T: Into<Option<IpAddr>>] |config| {
        config.engine.connect.local_address = addr.into();
    }

    /// The network interface to use (`SO_BINDTODEVICE`). Default: the system's choice.
    ///
    /// Linux, Android and Fuchsia only.
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    fn interface(interface: &str) |config| {
        config.socket.interface = Some(interface.to_owned());
    }

    /// Idle time before TCP keep-alive probes; `None` disables them. Default 15 s.
    fn tcp_keepalive[D](val: D) where [D: Into<Option<Duration>>] |config| {
        config.socket.keep_alive = val.into();
    }

    /// Time between TCP keep-alive probes; `None` leaves it to the system. Default 15 s.
    fn tcp_keepalive_interval[D](val: D) where [D: Into<Option<Duration>>] |config| {
        config.socket.keep_alive_interval = val.into();
    }

    /// Unanswered probes after which a connection is considered dead; `None` leaves it to the
    /// system. Default 3.
    fn tcp_keepalive_retries[C](retries: C) where [C: Into<Option<u32>>] |config| {
        config.socket.keep_alive_retries = retries.into();
    }

    /// How long sent bytes may stay unacknowledged (`TCP_USER_TIMEOUT`); `None` leaves it to the
    /// system. Default 30 s.
    ///
    /// Linux, Android and Fuchsia only.
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    fn tcp_user_timeout[D](val: D) where [D: Into<Option<Duration>>] |config| {
        config.socket.user_timeout = val.into();
    }

    /// Connects to this Unix socket, whatever the URL's host; proxies and name resolution are not
    /// used.
    ///
    /// ```
    /// let client = dodici_reqwest::Client::builder()
    ///     .unix_socket("/var/run/docker.sock")
    ///     .build()?;
    /// # Ok::<_, dodici_reqwest::Error>(())
    /// ```
    #[cfg(unix)]
    fn unix_socket[P](path: P) where [P: UnixSocketProvider] |config| {
        config.engine.connect.socket_path = Some(path.as_ref().to_owned());
    }

    /// Connects to this named pipe, whatever the URL's host; proxies and name resolution are not
    /// used.
    #[cfg(windows)]
    fn windows_named_pipe[P](pipe: P) where [P: WindowsNamedPipeProvider] |config| {
        config.engine.connect.socket_path = Some(pipe.as_ref().to_owned());
    }

    /// Rejects `http` URLs, including redirects to them. Default false.
    fn https_only(enabled: bool) |config| {
        config.https_only = enabled;
    }

    /// Resolves names with hickory, which queries the system's configured name servers and caches
    /// answers for their TTL. Otherwise the system resolves them, on the engine's own threads.
    /// Default true if the feature is enabled, as in reqwest; [`dns_resolver`](Self::dns_resolver)
    /// takes precedence.
    ///
    /// If the system's configuration cannot be read, names are not resolved: reqwest would query
    /// public name servers.
    ///
    /// Needs the feature `hickory-dns`.
    #[cfg(feature = "hickory-dns")]
    fn hickory_dns(enable: bool) |config| {
        config.hickory = enable;
    }

    /// Disables hickory, even if its feature is enabled: the system resolves names.
    fn no_hickory_dns() |config| {
        #[cfg(feature = "hickory-dns")]
        {
            config.hickory = false;
        }
        #[cfg(not(feature = "hickory-dns"))]
        let _ = config;
    }

    /// Overrides name resolution for a domain. The port is used for URLs without one, unless it is
    /// 0.
    fn resolve(domain: &str, addr: SocketAddr) |config| {
        config.names.fix(domain, &[addr]);
    }

    /// Overrides name resolution for a domain. The addresses are tried in this order, alternating
    /// between IPv4 and IPv6.
    fn resolve_to_addrs(domain: &str, addrs: &[SocketAddr]) |config| {
        config.names.fix(domain, addrs);
    }

    /// Resolves names with a custom resolver. Default: the system.
    fn dns_resolver[R](resolver: R) where [R: IntoResolve] |config| {
        config.names.resolver = Some(resolver.into_resolve());
    }

    /// Adds a tower layer around connecting. The first layer is the innermost;
    /// [`connect_timeout`](Self::connect_timeout) wraps all of them.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let client = dodici_reqwest::Client::builder()
    ///     .connector_layer(tower::timeout::TimeoutLayer::new(Duration::from_secs(5)))
    ///     .build()?;
    /// # Ok::<_, dodici_reqwest::Error>(())
    /// ```
    fn connector_layer[L](layer: L)
    where [
        L: Layer<BoxedConnectorService> + Clone + Send + Sync + 'static,
        L::Service:
            Service<Unnameable, Response = Conn, Error = BoxError> + Clone + Send + Sync + 'static,
        <L::Service as Service<Unnameable>>::Future: Send + 'static
    ]
    |config| {
        config.layers.push(BoxCloneSyncServiceLayer::new(layer));
    }
}

/// Options whose blocking counterpart differs or does not exist.
impl crate::ClientBuilder {
    /// Timeout for a request, from its start to the end of the response body. Default: no limit.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.change(|config| config.timeout = Some(timeout))
    }

    /// Timeout between bytes of the response, starting with the last byte of the request written:
    /// an upload may take any time as long as it makes progress. Default: no limit.
    pub fn read_timeout(self, timeout: Duration) -> Self {
        self.change(|config| config.read_timeout = Some(timeout))
    }
}
