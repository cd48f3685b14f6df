//! The builder of clients: the collected settings, and the client built from them. The options are
//! in `options`, once for both the async and the blocking builder.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use dodici::{AddressRule, ConnectHooks, ConnectionLimit, Origin, OriginConfig, SocketHook};
use http::header::{ACCEPT, HeaderMap, HeaderValue, USER_AGENT};
use socket2::{SockRef, TcpKeepalive};

use crate::attempts::Attempts;
use crate::client::{Client, Inner};
use crate::client_api::client_api;
use crate::connect::BoxedConnectorLayer;
use crate::decompress::Codings;
use crate::dns::Names;
use crate::follow::Follow;
use crate::origin_options::OriginOptions;
use crate::proxy::{Matcher, Proxy};
use crate::redirect::Policy;
use crate::transport::{EventCallback, Pools, Settings, TimingsCallback, Transport};
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
    pub(crate) max_body: Option<u64>,
    pub(crate) verbose: bool,
    pub(crate) https_only: bool,
    pub(crate) names: Names,
    /// Use hickory's resolver if no other was given.
    #[cfg(feature = "hickory-dns")]
    pub(crate) hickory: bool,
    pub(crate) allow: Option<Arc<dyn AddressRule>>,
    pub(crate) layers: Vec<BoxedConnectorLayer>,
    pub(crate) origins: Vec<(Origin, OriginOptions)>,
    pub(crate) events: Vec<EventCallback>,
    pub(crate) timings: Vec<TimingsCallback>,
    #[cfg(feature = "cookies")]
    pub(crate) cookies: Option<Arc<dyn crate::cookie::CookieStore>>,
    /// Of each origin. Some fields depend on others, and are set by `engine_config`.
    pub(crate) engine: OriginConfig,
    /// For all origins together.
    pub(crate) max_connections: Option<NonZeroU32>,
    pub(crate) http1_only: bool,
    pub(crate) title_case: bool,
    pub(crate) windows: Windows,
    pub(crate) socket: SocketOptions,
    pub(crate) tls: tls::Settings,
    pub(crate) tls_info: bool,
}

/// HTTP/2 windows, as chosen by the caller.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Windows {
    pub(crate) stream: Option<u32>,
    pub(crate) connection: Option<u32>,
    /// As in reqwest, it replaces both sizes.
    pub(crate) adaptive: bool,
}

/// Options of TCP sockets that the engine does not have.
#[derive(Clone, Debug)]
pub(crate) struct SocketOptions {
    #[cfg_attr(
        not(any(target_os = "android", target_os = "fuchsia", target_os = "linux")),
        expect(dead_code, reason = "no such option of sockets")
    )]
    pub(crate) interface: Option<String>,
    pub(crate) keep_alive: Option<Duration>,
    pub(crate) keep_alive_interval: Option<Duration>,
    pub(crate) keep_alive_retries: Option<u32>,
    #[cfg_attr(
        not(any(target_os = "android", target_os = "fuchsia", target_os = "linux")),
        expect(dead_code, reason = "no such option of sockets")
    )]
    pub(crate) user_timeout: Option<Duration>,
}

/// Maximum size of a response head, as in hyper's clients.
const MAX_HEAD: usize = 400 * 1024;

/// Window of an HTTP/2 stream, in bytes. 2 MiB: that of hyper's client, as programs that migrate
/// from reqwest expect; enough for 160 Mbit/s at 100 ms.
const STREAM_WINDOW: u32 = 2 * 1024 * 1024;

/// Largest HTTP/2 frame that the server may send, in bytes. 64 KiB, compared with 16 KiB in hyper's
/// client: a body of that size then arrives in one piece instead of four.
pub(crate) const MAX_FRAME: u32 = 64 * 1024;

/// Upper bound of adaptive windows. 16 MiB: as in hyper.
const ADAPTIVE_WINDOW: u32 = 16 * 1024 * 1024;

/// The delay before the next address of a host is tried is at most this share of the connect
/// timeout, so that at least three addresses are tried.
const ATTEMPT_SHARE: u32 = 4;

impl Default for Config {
    fn default() -> Self {
        let mut headers = HeaderMap::with_capacity(2);
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        let mut engine = OriginConfig::default();
        engine.pool.keep_alive_timeout = Some(Duration::from_secs(90));
        // Timeouts of requests are enforced by this crate.
        engine.exchange.headers_timeout = None;
        engine.exchange.body_timeout = None;
        engine.exchange.max_header_size = MAX_HEAD;
        engine.exchange.leniency.doubtful_framing = true;
        engine.connect.timeout = None;
        // Set by the socket hook, which also has interval and retries.
        engine.connect.keep_alive_probe = None;
        engine.http2.max_frame_size = MAX_FRAME;
        engine.http2.ping_interval = None;
        engine.http2.ping_while_idle = false;
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
            max_body: None,
            verbose: false,
            https_only: false,
            names: Names::default(),
            #[cfg(feature = "hickory-dns")]
            hickory: true,
            allow: None,
            layers: Vec::new(),
            origins: Vec::new(),
            events: Vec::new(),
            timings: Vec::new(),
            #[cfg(feature = "cookies")]
            cookies: None,
            engine,
            max_connections: None,
            http1_only: false,
            title_case: false,
            windows: Windows::default(),
            socket: SocketOptions {
                interface: None,
                keep_alive: Some(Duration::from_secs(15)),
                keep_alive_interval: Some(Duration::from_secs(15)),
                keep_alive_retries: Some(3),
                user_timeout: Some(Duration::from_secs(30)),
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

    pub(crate) fn change(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
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
        let engine = config.engine_config();
        let names = Arc::new(config.names_in_use());
        let tls = std::mem::take(&mut config.tls).build(config.protocols())?;
        let mut hooks = ConnectHooks::default();
        hooks.tls = Some(Arc::new(tls));
        hooks.socket = Some(Arc::new(config.socket));
        hooks.allow = config.allow;
        hooks.around = crate::connect::layered(&config.layers, engine.connect.timeout);
        let proxies = if engine.connect.socket_path.is_some() {
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
        let settings = Settings {
            config: engine,
            hooks,
            names,
            origins: config.origins,
            events,
            limit: config.max_connections.map(ConnectionLimit::new),
        };
        let transport = Transport {
            pools: Pools::new(settings),
            proxies,
            user_agent: config.headers.get(USER_AGENT).cloned(),
            title_case: config.title_case,
            tls_info: config.tls_info,
            #[cfg(feature = "http3")]
            http1_only: config.http1_only,
            timings: config.timings.into(),
        };
        let attempts = Attempts::new(
            transport,
            config.retry.build(),
            #[cfg(feature = "cookies")]
            config.cookies,
        );
        let follow = Follow::new(config.redirect, config.referer, config.https_only);
        Ok(Client {
            inner: Arc::new(Inner {
                decompress: config.codings.build(),
                follow,
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
        if cfg!(not(feature = "http2")) || self.http1_only {
            &[b"http/1.1"]
        } else if self.engine.http2.prior_knowledge {
            &[b"h2"]
        } else {
            &[b"h2", b"http/1.1"]
        }
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
    fn engine_config(&self) -> OriginConfig {
        let mut config = self.engine.clone();
        // A server's hint shortens the time, and never lengthens it.
        config.pool.keep_alive_max_timeout = config.pool.keep_alive_timeout;
        if let Some(timeout) = config.connect.timeout {
            let delay = &mut config.connect.attempt_delay;
            *delay = (*delay).min(timeout / ATTEMPT_SHARE);
        }
        let http2 = &mut config.http2;
        if self.windows.adaptive {
            http2.stream_window = STREAM_WINDOW;
            http2.max_stream_window = ADAPTIVE_WINDOW;
        } else {
            // An explicit size is used as it is. Without one for the connection, the engine's is
            // the sum of all streams: unread responses never stall the others (hyper's 5 MiB are
            // used up by three).
            http2.stream_window = self.windows.stream.unwrap_or(STREAM_WINDOW);
            http2.max_stream_window = http2.stream_window;
            http2.connection_window = self.windows.connection;
        }
        if !self.retry.repeats_refused() {
            http2.max_replays = 0;
            config.http3.max_replays = 0;
        }
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
            .field("engine", &self.engine)
            .field("windows", &self.windows)
            .field("socket", &self.socket)
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}
