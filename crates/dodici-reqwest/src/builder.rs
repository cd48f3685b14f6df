//! The builder of clients: the collected settings, and the client built from them. The options are
//! in `options`, once for both the async and the blocking builder.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dodici::{ConnectHooks, Http2Config, Leniency, OriginConfig, PoolConfig, SocketHook};
use http::header::{ACCEPT, HeaderMap, HeaderValue, USER_AGENT};
use socket2::{SockRef, TcpKeepalive};
use tower_http::follow_redirect::FollowRedirect;

use crate::attempts::Attempts;
use crate::client::{Client, Inner};
use crate::client_api::client_api;
use crate::connect::BoxedConnectorLayer;
use crate::decompress::Codings;
use crate::dns::Names;
use crate::ext::{EventCallback, OriginRule};
use crate::limit::{Limited, TotalLimit};
use crate::proxy::{Matcher, Proxy};
use crate::redirect::{Follow, Policy};
use crate::transport::{Settings, Transport};
use crate::{retry, tls};

/// Settings for a [`Client`].
///
/// ```
/// use std::time::Duration;
///
/// let client = dodici_reqwest::Client::builder()
///     .timeout(Duration::from_secs(10))
///     .user_agent("my-app/1.0")
///     .build()?;
/// # Ok::<_, dodici_reqwest::Error>(())
/// ```
#[must_use = "a builder does nothing until `build`"]
pub struct ClientBuilder {
    pub(crate) config: Config,
}

/// The collected settings.
#[doc(hidden)]
pub struct Config {
    /// The first invalid value of an option.
    pub(crate) error: Option<crate::Error>,
    pub(crate) headers: HeaderMap,
    pub(crate) codings: Codings,
    pub(crate) redirect: Policy,
    pub(crate) referer: bool,
    pub(crate) retry: retry::Builder,
    pub(crate) proxies: Vec<Proxy>,
    pub(crate) system_proxies: bool,
    pub(crate) timeout: Option<Duration>,
    pub(crate) read_timeout: Option<Duration>,
    pub(crate) connect_timeout: Option<Duration>,
    pub(crate) max_body: Option<u64>,
    pub(crate) verbose: bool,
    pub(crate) https_only: bool,
    pub(crate) names: Names,
    /// Use hickory's resolver if no other was given.
    #[cfg(feature = "hickory-dns")]
    pub(crate) hickory: bool,
    pub(crate) layers: Vec<BoxedConnectorLayer>,
    pub(crate) origins: Vec<OriginRule>,
    pub(crate) events: Vec<EventCallback>,
    #[cfg(feature = "cookies")]
    pub(crate) cookies: Option<Arc<dyn crate::cookie::CookieStore>>,
    /// Of each origin.
    pub(crate) pool: PoolConfig,
    /// For all origins together.
    pub(crate) max_connections: Option<NonZeroU32>,
    pub(crate) http1: Http1Options,
    pub(crate) http2: Http2Options,
    pub(crate) socket: SocketOptions,
    pub(crate) tls: tls::Settings,
    pub(crate) tls_info: bool,
}

/// HTTP/1 settings.
#[derive(Debug, Default)]
pub(crate) struct Http1Options {
    pub(crate) only: bool,
    pub(crate) max_fields: Option<usize>,
    pub(crate) strict_framing: bool,
    pub(crate) title_case: bool,
    pub(crate) obsolete_multiline: bool,
    pub(crate) ignore_invalid: bool,
    pub(crate) spaces_after_name: bool,
    pub(crate) http09: bool,
}

/// HTTP/2 settings.
#[derive(Debug, Default)]
pub(crate) struct Http2Options {
    pub(crate) prior_knowledge: bool,
    pub(crate) stream_window: Option<u32>,
    pub(crate) connection_window: Option<u32>,
    pub(crate) adaptive_window: bool,
    pub(crate) max_frame_size: Option<u32>,
    pub(crate) max_header_list_size: Option<u32>,
    pub(crate) keep_alive_interval: Option<Duration>,
    pub(crate) keep_alive_timeout: Option<Duration>,
    pub(crate) keep_alive_while_idle: bool,
}

/// Socket settings.
#[derive(Clone, Debug)]
pub(crate) struct SocketOptions {
    pub(crate) nodelay: bool,
    pub(crate) local_address: Option<IpAddr>,
    pub(crate) interface: Option<String>,
    pub(crate) keep_alive: Option<Duration>,
    pub(crate) keep_alive_interval: Option<Duration>,
    pub(crate) keep_alive_retries: Option<u32>,
    pub(crate) user_timeout: Option<Duration>,
    pub(crate) unix_path: Option<PathBuf>,
}

/// Maximum size of a response head, as in hyper's clients.
const MAX_HEAD: usize = 400 * 1024;

/// Window of an HTTP/2 stream, in bytes. 2 MiB: that of hyper's client, as programs that migrate
/// from reqwest expect; enough for 160 Mbit/s at 100 ms.
const STREAM_WINDOW: u32 = 2 * 1024 * 1024;

/// Largest HTTP/2 frame that the server may send, in bytes. 64 KiB, compared with 16 KiB in hyper's
/// client: a body of that size then arrives in one piece instead of four.
const MAX_FRAME: u32 = 64 * 1024;

/// Upper bound of adaptive windows. 16 MiB: as in hyper.
const ADAPTIVE_WINDOW: u32 = 16 * 1024 * 1024;

/// Delay before the next address of a host is tried while one does not answer (RFC 8305 recommends
/// 250 ms); at most this share of the connect timeout, so that at least three addresses are tried.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
const ATTEMPT_SHARE: u32 = 4;

impl Default for Config {
    fn default() -> Self {
        let mut headers = HeaderMap::with_capacity(2);
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        Self {
            error: None,
            headers,
            codings: Codings::default(),
            redirect: Policy::default(),
            referer: true,
            retry: retry::Builder::by_default(),
            proxies: Vec::new(),
            system_proxies: true,
            timeout: None,
            read_timeout: None,
            connect_timeout: None,
            max_body: None,
            verbose: false,
            https_only: false,
            names: Names {
                fixed: HashMap::new(),
                resolver: None,
            },
            #[cfg(feature = "hickory-dns")]
            hickory: true,
            layers: Vec::new(),
            origins: Vec::new(),
            events: Vec::new(),
            #[cfg(feature = "cookies")]
            cookies: None,
            pool: PoolConfig {
                keep_alive_timeout: Some(Duration::from_secs(90)),
                ..PoolConfig::default()
            },
            max_connections: None,
            http1: Http1Options::default(),
            http2: Http2Options::default(),
            socket: SocketOptions {
                nodelay: true,
                local_address: None,
                interface: None,
                keep_alive: Some(Duration::from_secs(15)),
                keep_alive_interval: Some(Duration::from_secs(15)),
                keep_alive_retries: Some(3),
                user_timeout: Some(Duration::from_secs(30)),
                unix_path: None,
            },
            tls: tls::Settings::default(),
            tls_info: false,
        }
    }
}

impl ClientBuilder {
    /// A builder with the defaults.
    pub fn new() -> Self {
        Self {
            config: Config::default(),
        }
    }

    /// Builds the client.
    ///
    /// # Errors
    /// A builder error if an option has an invalid value, or if TLS cannot be set up.
    pub fn build(self) -> crate::Result<Client> {
        let mut config = self.config;
        if let Some(error) = config.error.take() {
            return Err(error);
        }
        let shown = format!("{config:?}");
        let origin_config = config.origin_config();
        let names = config.names_in_use();
        let tls = std::mem::take(&mut config.tls).build(config.protocols())?;
        let layers = crate::connect::layered(&config.layers, config.connect_timeout);
        let limit = config
            .max_connections
            .map(|most| TotalLimit::new(most.get(), layers.clone()));
        let hooks = ConnectHooks {
            resolve: None,
            tls: Some(Arc::new(tls)),
            socket: Some(Arc::new(config.socket.clone())),
            around: match &limit {
                Some(limit) => Some(Arc::new(Limited(Arc::clone(limit)))),
                None => layers,
            },
            ..ConnectHooks::default()
        };
        let proxies = if config.socket.unix_path.is_some() {
            Vec::new()
        } else {
            let system = config.system_proxies.then(Matcher::system);
            let own = config.proxies.into_iter().map(Proxy::into_matcher);
            own.chain(system.map(Ok)).collect::<crate::Result<_>>()?
        };
        let mut events = config.events;
        if config.verbose {
            events.push(Arc::new(|origin, event| eprintln!("{origin}: {event:?}")));
        }
        let transport = Transport::new(Settings {
            config: origin_config,
            hooks,
            limit,
            names: Arc::new(names),
            proxies,
            user_agent: config.headers.get(USER_AGENT).cloned(),
            title_case: config.http1.title_case,
            tls_info: config.tls_info,
            origins: config.origins,
            events,
        });
        let attempts = Attempts::new(
            transport,
            config.retry.build(),
            #[cfg(feature = "cookies")]
            config.cookies,
        );
        let follow = Follow::new(config.redirect, config.referer, config.https_only);
        let service = config
            .codings
            .layer(FollowRedirect::with_policy(attempts.clone(), follow));
        Ok(Client {
            inner: Arc::new(Inner {
                service,
                attempts,
                headers: config.headers,
                timeout: config.timeout,
                read_timeout: config.read_timeout,
                max_body: config.max_body,
                https_only: config.https_only,
                shown,
            }),
        })
    }
}

impl Config {
    /// The protocols offered in TLS, in order of preference.
    fn protocols(&self) -> &'static [&'static [u8]] {
        if cfg!(not(feature = "http2")) || self.http1.only {
            &[b"http/1.1"]
        } else if self.http2.prior_knowledge {
            &[b"h2"]
        } else {
            &[b"h2", b"http/1.1"]
        }
    }

    fn http2_config(&self) -> Http2Config {
        let mut config = Http2Config {
            prior_knowledge: self.http2.prior_knowledge,
            stream_window: STREAM_WINDOW,
            // Without one, the engine's is the sum of all streams: unread responses never stall the
            // others (hyper's 5 MiB are used up by three).
            connection_window: None,
            max_frame_size: MAX_FRAME,
            ping_interval: self.http2.keep_alive_interval,
            ping_while_idle: self.http2.keep_alive_while_idle,
            ..Http2Config::default()
        };
        // An explicit size is used as it is.
        config.max_stream_window = config.stream_window;
        if self.http2.adaptive_window {
            // As in reqwest, it replaces both sizes.
            config.max_stream_window = ADAPTIVE_WINDOW;
        } else {
            if let Some(window) = self.http2.stream_window {
                config.stream_window = window;
                config.max_stream_window = window;
            }
            if let Some(window) = self.http2.connection_window {
                config.connection_window = Some(window);
            }
        }
        if let Some(bytes) = self.http2.max_frame_size {
            config.max_frame_size = bytes;
        }
        if let Some(bytes) = self.http2.max_header_list_size {
            config.max_header_list_size = bytes;
        }
        if let Some(timeout) = self.http2.keep_alive_timeout {
            config.ping_timeout = timeout;
        }
        if !self.retry.repeats_refused() {
            config.max_replays = 0;
        }
        config
    }

    /// How names are resolved; with the feature's resolver if none was given.
    pub(crate) fn names_in_use(&self) -> Names {
        #[cfg_attr(
            not(feature = "hickory-dns"),
            expect(unused_mut, reason = "nothing to add")
        )]
        let mut names = self.names.clone();
        #[cfg(feature = "hickory-dns")]
        if self.hickory && names.resolver.is_none() {
            names.resolver = Some(Arc::new(crate::hickory::Hickory::default()));
        }
        names
    }

    /// The base configuration of all pools.
    fn origin_config(&self) -> OriginConfig {
        let mut config = OriginConfig {
            pool: self.pool.clone(),
            http2: self.http2_config(),
            ..OriginConfig::default()
        };
        // A server's hint shortens the time, and never lengthens it.
        config.pool.keep_alive_max_timeout = config.pool.keep_alive_timeout;
        let exchange = &mut config.exchange;
        // Timeouts of requests are enforced by this crate.
        exchange.headers_timeout = None;
        exchange.body_timeout = None;
        exchange.max_header_size = MAX_HEAD;
        exchange.max_fields = self.http1.max_fields;
        exchange.leniency = Leniency {
            folded_values: self.http1.obsolete_multiline,
            invalid_fields: self.http1.ignore_invalid,
            space_before_colon: self.http1.spaces_after_name,
            missing_head: self.http1.http09,
            doubtful_framing: !self.http1.strict_framing,
        };
        let connect = &mut config.connect;
        connect.timeout = self.connect_timeout;
        connect.attempt_delay = self.connect_timeout.map_or(ATTEMPT_DELAY, |timeout| {
            ATTEMPT_DELAY.min(timeout / ATTEMPT_SHARE)
        });
        connect.local_address = self.socket.local_address;
        connect.no_delay = self.socket.nodelay;
        connect.socket_path.clone_from(&self.socket.unix_path);
        // Set by the socket hook, which also has interval and retries.
        connect.keep_alive_probe = None;
        config
    }
}

impl SocketHook for SocketOptions {
    fn prepare(&self, socket: SockRef<'_>) -> std::io::Result<()> {
        if let Some(idle) = self.keep_alive {
            let mut probes = TcpKeepalive::new().with_time(idle);
            if let Some(interval) = self.keep_alive_interval {
                probes = probes.with_interval(interval);
            }
            if let Some(retries) = self.keep_alive_retries {
                probes = probes.with_retries(retries);
            }
            // Connections work on platforms without such probes, too.
            let _ = socket.set_tcp_keepalive(&probes);
        }
        #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
        {
            if let Some(limit) = self.user_timeout {
                let _ = socket.set_tcp_user_timeout(Some(limit));
            }
            if let Some(interface) = &self.interface {
                socket.bind_device(Some(interface.as_bytes()))?;
            }
        }
        Ok(())
    }
}

client_api!(new: "If TLS cannot be set up: the operating system has no certificates.");

impl Default for ClientBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ClientBuilder").field(&self.config).finish()
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("codings", &self.codings)
            .field("proxies", &self.proxies)
            .field("redirect", &self.redirect)
            .field("referer", &self.referer)
            .field("default_headers", &self.headers)
            .field("timeout", &self.timeout)
            .field("read_timeout", &self.read_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("http1", &self.http1)
            .field("http2", &self.http2)
            .field("socket", &self.socket)
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

/// Fixed addresses of a host.
pub(crate) fn fix_addresses(config: &mut Config, domain: &str, addresses: &[SocketAddr]) {
    config
        .names
        .fixed
        .insert(domain.to_ascii_lowercase(), addresses.to_vec());
}
