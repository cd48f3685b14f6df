//! Configuration in small structs, each for the layer that reads it. Units and defaults are
//! undici's where undici has the option.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use super::http3::Http3Config;
use super::proxy::Proxy;
use super::tls::TlsConfig;

/// The configuration of one origin.
///
/// ```
/// use std::num::NonZeroU32;
/// use dodici_pool::OriginConfig;
///
/// let mut config = OriginConfig::default();
/// config.pool.max_connections = NonZeroU32::new(8);
/// config.exchange.headers_timeout = None;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OriginConfig {
    /// Limits of the pool.
    pub pool: PoolConfig,
    /// Limits of each exchange.
    pub exchange: ExchangeConfig,
    /// How connections are opened.
    pub connect: ConnectConfig,
    /// Limits of HTTP/2 connections.
    pub http2: Http2Config,
    /// Whether HTTP/3 is used, and limits of its connections.
    pub http3: Http3Config,
}

/// Maximum time for the response after an unrequested `100 Continue`. undici fails such a request
/// immediately with `bad response`, and its own test (`test/http-100.js`) sends nothing else and waits for
/// that; servers that send one and then the response are supported. Two seconds: well below the timeout of
/// that test, and longer than most responses take.
const CONTINUE_WAIT: Duration = Duration::from_secs(2);

impl OriginConfig {
    /// undici's defaults, where they differ from those of the parts: a reset ends a body that is
    /// delimited by the close, bytes that a server sends first answer the first request, a response
    /// does not wait for the end of its request body, an unrequested `100 Continue` without a
    /// response is an error, HTTP/2 sends one request before SETTINGS, and repeats once what the
    /// peer did not process (RFC 9113, section 8.7).
    ///
    /// ```
    /// use dodici_pool::{ExchangeConfig, OriginConfig};
    ///
    /// let config = OriginConfig::undici();
    /// assert!(config.exchange.abrupt_close_ends_body);
    /// assert!(!ExchangeConfig::default().abrupt_close_ends_body);
    /// ```
    pub fn undici() -> Self {
        Self {
            exchange: ExchangeConfig {
                unexpected_continue: UnexpectedContinue::Await(CONTINUE_WAIT),
                body_grace: None,
                abrupt_close_ends_body: true,
                early_response: true,
                connect_any_status: true,
                http2_reports_continue: true,
                ..ExchangeConfig::default()
            },
            http2: Http2Config {
                max_replays: 1,
                streams_before_settings: 1,
                ..Http2Config::default()
            },
            http3: Http3Config {
                max_replays: 1,
                ..Http3Config::default()
            },
            ..Self::default()
        }
    }
}

/// Limits of one origin's pool. Read by the pool.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolConfig {
    /// Maximum number of connections, including those being opened. Default `None`: no limit.
    pub max_connections: Option<NonZeroU32>,
    /// Maximum number of requests in flight on one HTTP/1.1 connection. Default 1; 0 counts as 1.
    /// Can be changed later:
    /// [`OriginPool::handle_pipelining`](crate::OriginPool::handle_pipelining).
    pub pipelining: u32,
    /// Whether HTTP/1.1 connections are reused. Default true. Can be changed
    /// later: [`OriginPool::handle_keep_alive`](crate::OriginPool::handle_keep_alive).
    pub keep_alive: bool,
    /// The next request gets the connection as soon as a response is complete, before bytes after
    /// the response are examined: if they are not a response, they fail that request, as in undici.
    /// Default false: they close the connection, and the request goes to another one. Always true
    /// with `pipelining` above 1.
    pub eager: bool,
    /// Idle timeout of a reusable connection without a hint from the server. Default 4 s; `None`:
    /// no limit.
    pub keep_alive_timeout: Option<Duration>,
    /// Upper bound for a server's `Keep-Alive: timeout=` hint. Default 600 s; `None`: no bound.
    pub keep_alive_max_timeout: Option<Duration>,
    /// Subtracted from a server's hint, to allow for transit time. Default 2 s.
    pub keep_alive_timeout_threshold: Duration,
    /// Age after which a connection accepts no further requests. Default `None`: no limit. Zero
    /// means no limit, as in undici.
    pub max_connection_age: Option<Duration>,
    /// Requests after which a connection is closed. Default `None`: no limit.
    pub max_requests_per_connection: Option<NonZeroU32>,
    /// Maximum number of idle connections; further ones are closed. Default `None`: no limit.
    pub max_idle_connections: Option<u32>,
    /// Which queued requests fail with a connection attempt.
    pub connect_failure: ConnectFailure,
    /// How many requests a connection is thought to take before the first one is up: as many
    /// requests wait for each attempt. Default 1. Set it where HTTP/2 is offered, so that a first
    /// burst of requests does not open a connection for each of them.
    pub expected_concurrency: u32,
}

/// Which queued requests a failed connection attempt fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectFailure {
    /// Every queued request, if none is running: undici's `Client`.
    FailQueue,
    /// The oldest queued request: undici's `Pool`, where each client holds one.
    FailOldest,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            max_connections: None,
            pipelining: 1,
            keep_alive: true,
            eager: false,
            keep_alive_timeout: Some(Duration::from_secs(4)),
            keep_alive_max_timeout: Some(Duration::from_secs(600)),
            keep_alive_timeout_threshold: Duration::from_secs(2),
            max_connection_age: None,
            max_requests_per_connection: None,
            max_idle_connections: None,
            connect_failure: ConnectFailure::FailOldest,
            expected_concurrency: 1,
        }
    }
}

/// Limits of HTTP/2 connections. Read by the connection.
///
/// HTTP/2 is used if TLS negotiates it, that is, if [`TlsConfig::alpn`] offers `h2`, or with
/// [`Http2Config::prior_knowledge`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Http2Config {
    /// Use HTTP/2 with prior knowledge (RFC 9113, section 3.3). Default false.
    pub prior_knowledge: bool,
    /// Maximum number of concurrent requests per connection; the peer's limit may be lower.
    /// Default 100.
    pub max_concurrent_streams: u32,
    /// Maximum number of concurrent requests before the peer's SETTINGS; it refuses excess ones,
    /// and they are sent again. Default 100, as in hyper; undici sends one.
    pub streams_before_settings: u32,
    /// Bytes that the peer may send on one stream ahead of the reader, and so the most that is
    /// buffered for a paused reader. Default 256 KiB.
    pub stream_window: u32,
    /// Upper bound to which `stream_window` grows, for all streams of a connection, when a reader
    /// consumes a whole window within two round trips of more than a millisecond: then the window,
    /// not the network, limits a download. Default 2 MiB, which allows 20 MB/s at 100 ms; with
    /// `stream_window` or less, it does not grow.
    pub max_stream_window: u32,
    /// Bytes that the peer may send on all streams together ahead of their readers. Default `None`:
    /// `max_concurrent_streams` times the window of a stream, as it grows, so that stopped readers
    /// never stall the others. A smaller value saves memory but gives up that guarantee.
    pub connection_window: Option<u32>,
    /// Size of the HPACK table that the peer may use, in bytes. Default `None`: 4 KiB (RFC 7541).
    pub header_table_size: Option<u32>,
    /// Maximum size of a decoded header list, with 32 bytes added per field (RFC 9113, section
    /// 6.5.2). Default 64 KiB.
    pub max_header_list_size: u32,
    /// Maximum size of a frame that the peer may send. Default 16 KiB, at most 16 MiB - 1.
    pub max_frame_size: u32,
    /// Interval of PING frames that check whether the peer is alive. Default 60 s; `None`: none.
    pub ping_interval: Option<Duration>,
    /// Whether a connection without streams is checked, too. Default true.
    pub ping_while_idle: bool,
    /// Maximum time to wait for a PING acknowledgement, after which the connection is closed.
    /// Default 20 s.
    pub ping_timeout: Duration,
    /// How often a request is sent again if the peer reports that it did not process it
    /// (REFUSED_STREAM, or GOAWAY with a lower stream). Default 5.
    pub max_replays: u8,
}

impl Default for Http2Config {
    fn default() -> Self {
        Self {
            prior_knowledge: false,
            max_concurrent_streams: 100,
            streams_before_settings: 100,
            stream_window: 256 * 1024,
            max_stream_window: 2 * 1024 * 1024,
            connection_window: None,
            header_table_size: None,
            max_header_list_size: 64 * 1024,
            max_frame_size: 16 * 1024,
            ping_interval: Some(Duration::from_secs(60)),
            ping_while_idle: true,
            ping_timeout: Duration::from_secs(20),
            max_replays: 5,
        }
    }
}

/// Limits of one exchange. Read by the exchange and the framing guard.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExchangeConfig {
    /// Maximum time to wait for a response head after the request was sent. Default 300 s; `None`:
    /// no limit.
    pub headers_timeout: Option<Duration>,
    /// Maximum time between two body chunks. Default 300 s; `None`: no limit.
    pub body_timeout: Option<Duration>,
    /// Maximum time from the dispatch of a request to the end of its response body, including the time
    /// it waits for a connection. An upgrade ends it. Default `None`: no limit.
    pub total_timeout: Option<Duration>,
    /// Minimum rate of a response body, in bytes per second as received: a body of which less arrives
    /// in five seconds fails. Time in which the reader takes no more does not count. Default `None`: no
    /// minimum.
    pub min_body_rate: Option<NonZeroU32>,
    /// Maximum size of a response head, including the status line. Default 16 KiB.
    pub max_header_size: usize,
    /// Maximum number of fields of a response head over HTTP/1.1, and of trailers. Default `None`:
    /// as many as fit, and 1,000 trailers.
    pub max_fields: Option<usize>,
    /// Maximum size of a response body. Default `None`: no limit.
    pub max_response_size: Option<u64>,
    /// How an unrequested `100 Continue` is handled. Default [`UnexpectedContinue::Ignore`].
    pub unexpected_continue: UnexpectedContinue,
    /// How long a body waits for `100 Continue` before it is sent anyway. Default 1 s (RFC 9110,
    /// section 10.1.1 forbids waiting for ever).
    pub continue_timeout: Duration,
    /// How long a complete response waits for the end of its request body before it is reported and
    /// the connection is closed. A caller that ends a body just when the response arrives does so
    /// on another thread; without the wait, a race would decide whether the connection survives.
    /// Default 5 ms: many turns of an event loop, and less than a new connection costs. `None`
    /// closes the connection immediately, as in undici, whose callers stop their bodies when the
    /// response ends.
    pub body_grace: Option<Duration>,
    /// Body bytes delivered but not yet credited back, per request, including the fixed cost of
    /// each piece ([`piece_cost`](super::credit::piece_cost)). Default 256 KiB.
    pub window: u32,
    /// Faults of responses that are tolerated. Default: none.
    pub leniency: Leniency,
    /// A body that lasts until the connection closes also ends with a reset, or with TLS that ends
    /// without `close_notify`. Default false: both are errors, because a truncated body cannot be
    /// distinguished from a complete one. undici, like Node, accepts both. A body with framing is
    /// never complete before its end.
    pub abrupt_close_ends_body: bool,
    /// Bytes that a server sends on a new connection before the first request is written answer
    /// that request, as in undici. Default false: they are unsolicited and close the connection.
    pub early_response: bool,
    /// Every final answer to CONNECT turns the connection, or the stream, into a byte stream, as in
    /// undici. Default false: only a 2xx does (RFC 9110, section 9.3.6), and any other is a response.
    pub connect_any_status: bool,
    /// A `100 Continue` over HTTP/2 is reported like any other informational response, as in undici.
    /// Default false: it releases the request body and is not reported.
    pub http2_reports_continue: bool,
}

/// Faults of a response that are tolerated. Default: none, because faults that one parser tolerates
/// and another does not enable response smuggling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leniency {
    /// A folded field value (obs-fold, RFC 9112, section 5.2). The parts are joined with a space.
    /// Not in fields that affect framing or the connection.
    pub folded_values: bool,
    /// A line that is not a field. It is skipped, unless it may be meant as one of those.
    pub invalid_fields: bool,
    /// Whitespace between name and colon (RFC 9112, section 5.1). It is removed, in all fields.
    pub space_before_colon: bool,
    /// Invalid framing that can still be interpreted: header lines that end with LF only; the same
    /// `Content-Length` repeated (over HTTP/2 as well), or one beside `Transfer-Encoding`, which takes precedence (RFC
    /// 9112, section 6.3); whitespace after a chunk size, and extensions of any kind. The
    /// connection is closed after the response, so that nothing can be smuggled behind it.
    pub doubtful_framing: bool,
    /// A response that does not start with `HTTP/`, as in HTTP/0.9: all of it, up to the close, is
    /// the body, and the status is 200. Only in response to a request without a streamed body.
    pub missing_head: bool,
}

/// How to handle a `100 Continue` without an `Expect`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnexpectedContinue {
    /// Discard it (RFC 9110, section 15.2.1).
    Ignore,
    /// Discard it, but wait for the response no longer than this once the request has been sent,
    /// nor longer than the headers timeout. Then the request fails with `bad response`.
    Await(Duration),
    /// Fail the request, as undici does.
    Error,
}

impl Default for ExchangeConfig {
    fn default() -> Self {
        Self {
            headers_timeout: Some(Duration::from_secs(300)),
            body_timeout: Some(Duration::from_secs(300)),
            total_timeout: None,
            min_body_rate: None,
            max_header_size: 16 * 1024,
            max_fields: None,
            max_response_size: None,
            unexpected_continue: UnexpectedContinue::Ignore,
            continue_timeout: Duration::from_secs(1),
            body_grace: Some(Duration::from_millis(5)),
            window: 256 * 1024,
            leniency: Leniency::default(),
            abrupt_close_ends_body: false,
            early_response: false,
            connect_any_status: false,
            http2_reports_continue: false,
        }
    }
}

/// Which address families a connection may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Family {
    /// Both, IPv6 first, raced as RFC 8305 describes.
    #[default]
    Any,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

/// Order of the addresses that the system's resolver finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum AddressOrder {
    /// As it lists them.
    #[default]
    Verbatim,
    /// IPv4 first.
    V4First,
    /// IPv6 first.
    V6First,
}

/// How long names are kept. The names themselves are shared by the whole process, so that each
/// configuration decides only how old an answer may be that its connections use.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct DnsCacheConfig {
    /// Age up to which addresses are used. Default 10 s.
    pub ttl: Duration,
    /// For this time after `ttl`, addresses are used while one lookup renews them, and if that fails.
    /// Default 0.
    pub stale_ttl: Duration,
    /// Age up to which the failure of a lookup is used. Default 0.
    pub negative_ttl: Duration,
    /// Maximum number of names; the one that was looked up longest ago gives way. The largest of
    /// several configurations counts. Default 1000.
    pub max_entries: usize,
}

impl Default for DnsCacheConfig {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(10),
            stale_ttl: Duration::ZERO,
            negative_ttl: Duration::ZERO,
            max_entries: 1_000,
        }
    }
}

/// How connections are opened. Read by the connector; part of the pool key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ConnectConfig {
    /// Longest time for all legs together. Default 10 s; `None` never.
    pub timeout: Option<Duration>,
    /// Local address to bind. Default: the system's choice.
    pub local_address: Option<IpAddr>,
    /// Local port to bind to. Default 0: the system's choice.
    pub local_port: u16,
    /// Type of service, or traffic class, in the IP header. Default: the system's.
    pub type_of_service: Option<u8>,
    /// Unix socket used instead of TCP. The origin still names host and port for `Host` and TLS.
    pub socket_path: Option<PathBuf>,
    /// Sets `TCP_NODELAY`. Default true.
    pub no_delay: bool,
    /// Idle time before TCP keep-alive probes. Default 60 s; `None` sends none.
    pub keep_alive_probe: Option<Duration>,
    /// Address families. Default both.
    pub family: Family,
    /// Which addresses come first. Default: as the system lists them.
    pub order: AddressOrder,
    /// Keeps what the system's resolver finds. Default `None`: it is asked for each connection.
    pub dns_cache: Option<DnsCacheConfig>,
    /// Race addresses of both families (RFC 8305). `false` tries them one after another.
    pub race: bool,
    /// Delay before the next address is tried while one is pending. Default 250 ms.
    pub attempt_delay: Duration,
    /// TLS parameters for `https` origins.
    pub tls: TlsConfig,
    /// Proxy; boxed, because most origins have none. With a `socket_path`, the proxy listens on it.
    /// Default: none.
    pub proxy: Option<Box<Proxy>>,
}

impl Default for ConnectConfig {
    fn default() -> Self {
        Self {
            timeout: Some(Duration::from_secs(10)),
            local_address: None,
            local_port: 0,
            type_of_service: None,
            socket_path: None,
            no_delay: true,
            keep_alive_probe: Some(Duration::from_secs(60)),
            family: Family::Any,
            order: AddressOrder::Verbatim,
            dns_cache: None,
            race: true,
            attempt_delay: Duration::from_millis(250),
            tls: TlsConfig::default(),
            proxy: None,
        }
    }
}
