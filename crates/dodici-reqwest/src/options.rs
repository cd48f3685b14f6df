//! The options of both builders, each written once: the asynchronous builder changes its
//! configuration, the blocking one forwards to it. Those of TLS are in `options::tls`.

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
use crate::connect::{BoxedConnectorService, Conn, Unnameable};
use crate::dns::IntoResolve;
use crate::error::BoxError;
use crate::{Proxy, redirect, retry};

/// Writes each option into both builders. `[…]` holds generic parameters and bounds.
macro_rules! options {
    ($(
        $(#[$meta:meta])*
        fn $name:ident $([$($generic:ident),*])? ($($argument:ident: $type:ty),*)
        $(where [$($bounds:tt)*])?
        |$config:ident| $body:block
    )*) => {
        impl crate::ClientBuilder {$(
            $(#[$meta])*
            pub fn $name $(<$($generic),*>)? (mut self $(, $argument: $type)*) -> Self
            $(where $($bounds)*)?
            {
                {
                    let $config = &mut self.config;
                    $body
                }
                self
            }
        )*}

        #[cfg(feature = "blocking")]
        impl crate::blocking::ClientBuilder {$(
            $(#[$meta])*
            pub fn $name $(<$($generic),*>)? (self $(, $argument: $type)*) -> Self
            $(where $($bounds)*)?
            {
                self.change(|builder| builder.$name($($argument),*))
            }
        )*}
    };
}

use options;

options! {
    /// The `User-Agent` of every request that names none itself. Default: no such header.
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

    /// Headers of every request that does not have them itself. Default: `accept: */*`.
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

    /// Keeps the cookies of responses in a [`Jar`](crate::cookie::Jar) of its own and sends them
    /// back. Default off.
    ///
    /// Needs the feature `cookies`.
    #[cfg(feature = "cookies")]
    fn cookie_store(enable: bool) |config| {
        config.cookies = enable.then(|| {
            Arc::new(crate::cookie::Jar::default()) as Arc<dyn crate::cookie::CookieStore>
        });
    }

    /// Keeps cookies in this store.
    ///
    /// Needs the feature `cookies`.
    #[cfg(feature = "cookies")]
    fn cookie_provider[C](cookie_store: Arc<C>)
    where [C: crate::cookie::CookieStore + 'static]
    |config| {
        config.cookies = Some(cookie_store);
    }

    /// Asks for gzip and takes it away. Default on.
    ///
    /// `accept-encoding` is added unless the request has it; of a body that was compressed,
    /// `content-encoding` and `content-length` are taken away with the coding.
    ///
    /// Needs the feature `gzip`.
    #[cfg(feature = "gzip")]
    fn gzip(enable: bool) |config| {
        config.codings.gzip = enable;
    }

    /// Asks for Brotli and takes it away. Default on.
    ///
    /// Needs the feature `brotli`.
    #[cfg(feature = "brotli")]
    fn brotli(enable: bool) |config| {
        config.codings.brotli = enable;
    }

    /// Asks for Zstandard and takes it away. Default on.
    ///
    /// Needs the feature `zstd`.
    #[cfg(feature = "zstd")]
    fn zstd(enable: bool) |config| {
        config.codings.zstd = enable;
    }

    /// Asks for deflate and takes it away. Default on.
    ///
    /// Needs the feature `deflate`.
    #[cfg(feature = "deflate")]
    fn deflate(enable: bool) |config| {
        config.codings.deflate = enable;
    }

    /// Leaves gzip alone, also where another crate has turned its feature on.
    fn no_gzip() |config| {
        config.codings.gzip = false;
    }

    /// Leaves Brotli alone, also where another crate has turned its feature on.
    fn no_brotli() |config| {
        config.codings.brotli = false;
    }

    /// Leaves Zstandard alone, also where another crate has turned its feature on.
    fn no_zstd() |config| {
        config.codings.zstd = false;
    }

    /// Leaves deflate alone, also where another crate has turned its feature on.
    fn no_deflate() |config| {
        config.codings.deflate = false;
    }

    /// Which redirects are followed. Default: ten at most.
    fn redirect(policy: redirect::Policy) |config| {
        config.redirect = policy;
    }

    /// Whether a followed redirect says in `referer` where it comes from. Default true.
    fn referer(enable: bool) |config| {
        config.referer = enable;
    }

    /// Which requests are sent again. Default: those that the server refused unprocessed.
    fn retry(policy: retry::Builder) |config| {
        config.retry = policy;
    }

    /// Adds a proxy. The first proxy that is for a request takes it; the system's proxies are not
    /// asked any more.
    fn proxy(proxy: Proxy) |config| {
        config.proxies.push(proxy);
        config.system_proxies = false;
    }

    /// Forgets all proxies, those of the system as well.
    fn no_proxy() |config| {
        config.proxies.clear();
        config.system_proxies = false;
    }

    /// Longest time to connect: name, socket, proxy, TLS. Default: no limit.
    fn connect_timeout(timeout: Duration) |config| {
        config.connect_timeout = Some(timeout);
    }

    /// Writes what happens to connections to the standard error output. Default off.
    fn connection_verbose(verbose: bool) |config| {
        config.verbose = verbose;
    }

    /// How long a connection may rest before it is closed; `None` for ever. Default 90 s. A
    /// server's `keep-alive` hint shortens it.
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
        config.pool.idle_timeout = val.into();
    }

    /// Most connections to one host that may rest at a time. Default: no limit. Zero uses each
    /// connection once.
    fn pool_max_idle_per_host(max: usize) |config| {
        config.pool.max_idle = max;
    }

    /// Writes names of headers in title case: `Content-Type`. Default off. HTTP/1 only.
    fn http1_title_case_headers() |config| {
        config.http1.title_case = true;
    }

    /// Reads a header that goes on in the next line (RFC 9112, section 5.2) instead of refusing the
    /// response. Default false: such lines are how responses are smuggled past a proxy. Headers that
    /// say where the response ends are refused all the same.
    fn http1_allow_obsolete_multiline_headers_in_responses(value: bool) |config| {
        config.http1.obsolete_multiline = value;
    }

    /// Leaves header lines out that cannot be read instead of refusing the response. Default false.
    /// What may be meant for a header that says where the response ends is refused all the same.
    fn http1_ignore_invalid_headers_in_responses(value: bool) |config| {
        config.http1.ignore_invalid = value;
    }

    /// Reads a header with a space between name and colon (RFC 9112, section 5.1) instead of
    /// refusing the response. Default false.
    fn http1_allow_spaces_after_header_name_in_responses(value: bool) |config| {
        config.http1.spaces_after_name = value;
    }

    /// Most fields in the head of a response, and in its trailers. A response with more of them
    /// fails. Default: as many as fit into a head of 400 KiB, where hyper's clients take 100.
    ///
    /// HTTP/1 only.
    fn http1_max_headers(max: usize) |config| {
        config.http1.max_fields = Some(max);
    }

    /// Speaks HTTP/1 only.
    fn http1_only() |config| {
        config.http1.only = true;
        config.http2.prior_knowledge = false;
    }

    /// Takes a response without a head (HTTP/0.9) for a body with the status 200 instead of refusing
    /// it, unless the request's body is streamed. Default: refused.
    fn http09_responses() |config| {
        config.http1.http09 = true;
    }

    /// Speaks HTTP/2 only, without asking the server first.
    ///
    /// Needs the feature `http2`.
    #[cfg(feature = "http2")]
    fn http2_prior_knowledge() |config| {
        config.http2.prior_knowledge = true;
        config.http1.only = false;
    }

    /// Bytes of a response that may come on one HTTP/2 stream before they are read. Default:
    /// 2 MiB.
    ///
    /// Needs the feature `http2`.
    #[cfg(feature = "http2")]
    fn http2_initial_stream_window_size[S](sz: S) where [S: Into<Option<u32>>] |config| {
        config.http2.stream_window = sz.into();
    }

    /// Bytes of all responses that may come on one HTTP/2 connection before they are read. Default:
    /// 24 MiB.
    ///
    /// Needs the feature `http2`.
    #[cfg(feature = "http2")]
    fn http2_initial_connection_window_size[S](sz: S) where [S: Into<Option<u32>>] |config| {
        config.http2.connection_window = sz.into();
    }

    /// Windows that limit no fast line: 16 MiB for each HTTP/2 stream, which is as far as reqwest's
    /// grow by measuring. They take the place of the sizes that were set. A response that nobody
    /// reads may fill that much memory. Default off.
    ///
    /// Needs the feature `http2`.
    #[cfg(feature = "http2")]
    fn http2_adaptive_window(enabled: bool) |config| {
        config.http2.adaptive_window = enabled;
    }

    /// Largest HTTP/2 frame that the server may send, in bytes. Default 65 536.
    ///
    /// Needs the feature `http2`.
    #[cfg(feature = "http2")]
    fn http2_max_frame_size[S](sz: S) where [S: Into<Option<u32>>] |config| {
        config.http2.max_frame_size = sz.into();
    }

    /// Largest head of an HTTP/2 response, in bytes. Default 16 384.
    ///
    /// Needs the feature `http2`.
    #[cfg(feature = "http2")]
    fn http2_max_header_list_size(max_header_size_bytes: u32) |config| {
        config.http2.max_header_list_size = Some(max_header_size_bytes);
    }

    /// Time between two pings on an HTTP/2 connection; `None` sends none. Default `None`.
    ///
    /// Needs the feature `http2`.
    #[cfg(feature = "http2")]
    fn http2_keep_alive_interval[I](interval: I) where [I: Into<Option<Duration>>] |config| {
        config.http2.keep_alive_interval = interval.into();
    }

    /// How long a ping may go unanswered before its connection is closed. Default 20 s.
    ///
    /// Needs the feature `http2`.
    #[cfg(feature = "http2")]
    fn http2_keep_alive_timeout(timeout: Duration) |config| {
        config.http2.keep_alive_timeout = Some(timeout);
    }

    /// Whether a connection without streams is pinged as well, where an interval is set. Default
    /// false.
    ///
    /// Needs the feature `http2`.
    #[cfg(feature = "http2")]
    fn http2_keep_alive_while_idle(enabled: bool) |config| {
        config.http2.keep_alive_while_idle = enabled;
    }

    /// Sets `TCP_NODELAY`. Default true.
    fn tcp_nodelay(enabled: bool) |config| {
        config.socket.nodelay = enabled;
    }

    /// The local address of connections. Default: the system's choice.
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
        config.socket.local_address = addr.into();
    }

    /// The network interface of connections (`SO_BINDTODEVICE`). Default: the system's choice.
    ///
    /// Linux, Android and Fuchsia only.
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    fn interface(interface: &str) |config| {
        config.socket.interface = Some(interface.to_owned());
    }

    /// Idle time before TCP keep-alive probes; `None` sends none. Default 15 s.
    fn tcp_keepalive[D](val: D) where [D: Into<Option<Duration>>] |config| {
        config.socket.keep_alive = val.into();
    }

    /// Time between TCP keep-alive probes; `None` leaves it to the system. Default 15 s.
    fn tcp_keepalive_interval[D](val: D) where [D: Into<Option<Duration>>] |config| {
        config.socket.keep_alive_interval = val.into();
    }

    /// Unanswered probes after which a connection is dead; `None` leaves it to the system.
    /// Default 3.
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

    /// Connects to this unix socket, whatever a URL names; proxies and name resolution are not
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
        config.socket.unix_path = Some(crate::connect::unix_path(&path));
    }

    /// Refuses `http` URLs, also where a redirect leads to one. Default false.
    fn https_only(enabled: bool) |config| {
        config.https_only = enabled;
    }

    /// Resolves names with hickory's resolver, which asks the name servers that the system is
    /// configured with and keeps their answers as long as they say. Otherwise the system resolves
    /// them, on threads of the engine's own. Default true where the feature is on, as in reqwest;
    /// [`dns_resolver`](Self::dns_resolver) comes before it.
    ///
    /// Where the system's configuration cannot be read, names are not resolved: reqwest would ask
    /// public name servers then.
    ///
    /// Needs the feature `hickory-dns`.
    #[cfg(feature = "hickory-dns")]
    fn hickory_dns(enable: bool) |config| {
        config.hickory = enable;
    }

    /// Does not use hickory's resolver, also where its feature is on: the system resolves names.
    fn no_hickory_dns() |config| {
        #[cfg(feature = "hickory-dns")]
        {
            config.hickory = false;
        }
        #[cfg(not(feature = "hickory-dns"))]
        let _ = config;
    }

    /// The address of a domain, in place of what resolving it would yield. Its port counts where
    /// a URL names none, unless it is 0.
    fn resolve(domain: &str, addr: SocketAddr) |config| {
        crate::builder::fix_addresses(config, domain, &[addr]);
    }

    /// The addresses of a domain. They are tried in this order, IPv4 and IPv6 in turn.
    fn resolve_to_addrs(domain: &str, addrs: &[SocketAddr]) |config| {
        crate::builder::fix_addresses(config, domain, addrs);
    }

    /// Resolves names with code of the caller's. Default: the system.
    fn dns_resolver[R](resolver: R) where [R: IntoResolve] |config| {
        config.names.resolver = Some(resolver.into_resolve());
    }

    /// Adds a tower layer around the making of connections. The first layer is the innermost;
    /// [`connect_timeout`](Self::connect_timeout) lies around all of them.
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

/// Options whose blocking counterpart means something else or does not exist.
impl crate::ClientBuilder {
    /// Longest time for a request, from its start to the end of the response's body. Default: no
    /// limit.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.config.timeout = Some(timeout);
        self
    }

    /// Longest time without a byte of the response, from the last byte of the request that went
    /// out: an upload that makes progress may take as long as it takes. Default: no limit.
    pub fn read_timeout(mut self, timeout: Duration) -> Self {
        self.config.read_timeout = Some(timeout);
        self
    }
}
