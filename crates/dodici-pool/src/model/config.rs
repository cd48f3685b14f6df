//! Configuration in small structs, each for the layer that reads it. Units and defaults are
//! undici's where undici has the option.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use super::proxy::Proxy;
use super::tls::TlsConfig;

/// The configuration of one origin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OriginConfig {
    /// Limits of the pool.
    pub pool: PoolConfig,
    /// Limits of each exchange.
    pub exchange: ExchangeConfig,
    /// How connections are opened.
    pub connect: ConnectConfig,
    /// Limits of HTTP/2 connections.
    pub http2: Http2Config,
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
                early_answer: true,
                ..ExchangeConfig::default()
            },
            http2: Http2Config {
                max_replays: 1,
                streams_before_settings: 1,
                ..Http2Config::default()
            },
            ..Self::default()
        }
    }
}

/// Limits of one origin's pool. Read by the pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolConfig {
    /// Maximum number of connections, including those being opened. Default `None`: no limit.
    pub connections: Option<NonZeroU32>,
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
            connections: None,
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
/// HTTP/2 is spoken where TLS negotiates it, that is, where [`TlsConfig::alpn`] offers `h2`, or
/// with [`Http2Config::prior_knowledge`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http2Config {
    /// Speak HTTP/2 without asking (RFC 9113, section 3.3). Default false.
    pub prior_knowledge: bool,
    /// Most requests at a time on one connection; the peer's own limit lowers it further.
    /// Default 100.
    pub max_concurrent_streams: u32,
    /// Most requests at a time on a connection whose peer has not said yet how many it takes; it
    /// refuses those that are too many, and they are sent again. Default 100, as in hyper; undici
    /// sends one.
    pub streams_before_settings: u32,
    /// Bytes that the peer may send on one stream ahead of the reader: the most that a paused
    /// reader holds. Default 256 KiB.
    pub stream_window: u32,
    /// Bytes up to which `stream_window` grows, for all streams of a connection, when a reader
    /// takes a whole window within two round trips of a peer that is more than a millisecond away:
    /// then the window, and not the line, limits a download. Default 2 MiB, which is 20 MB/s over
    /// 100 ms; `stream_window` or less: it stays as it is.
    pub max_stream_window: u32,
    /// Bytes that the peer may send on all streams together ahead of their readers. Default `None`:
    /// `max_concurrent_streams` times the window of a stream, as it grows, so that readers that
    /// take nothing never keep data from the others. A smaller value saves memory and gives that
    /// up.
    pub connection_window: Option<u32>,
    /// Bytes of the HPACK table that the peer may use. Default `None`: 4 KiB (RFC 7541).
    pub header_table_size: Option<u32>,
    /// Bytes of a decoded list of header fields, 32 more for each (RFC 9113, section 6.5.2).
    /// Default 64 KiB.
    pub max_header_list_size: u32,
    /// Bytes of a frame that the peer may send. Default 16 KiB, at most 16 MiB - 1.
    pub max_frame_size: u32,
    /// Time between PING frames that look whether the peer is alive. Default 60 s; `None` never.
    pub ping_interval: Option<Duration>,
    /// Whether a connection without streams is asked as well. Default true.
    pub ping_while_idle: bool,
    /// Longest wait for the answer to a PING; the connection is then taken for dead. Default 20 s.
    pub ping_timeout: Duration,
    /// How often a request is sent again when the peer says that it did not process it
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
pub struct ExchangeConfig {
    /// Longest wait for a response head after the request was sent. Default 300 s; `None` never.
    pub headers_timeout: Option<Duration>,
    /// Longest silence between two body chunks. Default 300 s; `None` never.
    pub body_timeout: Option<Duration>,
    /// Bytes of a response head, status line included. Default 16 KiB.
    pub max_header_size: usize,
    /// Fields of a response head on HTTP/1.1, and of its trailers. Default `None`: as many as fit,
    /// and 1,000 trailers.
    pub max_fields: Option<usize>,
    /// Bytes of a response body. Default `None`: no limit.
    pub max_response_size: Option<u64>,
    /// What a `100 Continue` nobody asked for does. Default [`UnexpectedContinue::Ignore`].
    pub unexpected_continue: UnexpectedContinue,
    /// How long a body waits for `100 Continue` before it is sent anyway. Default 1 s (RFC 9110,
    /// section 10.1.1 forbids waiting for ever).
    pub continue_timeout: Duration,
    /// How long a complete response waits for the end of its request's body before it is told and
    /// the connection given up. A caller that ends a body in the moment of the answer does so on
    /// another thread; without the wait, which of the two is seen first would decide whether the
    /// connection lives. Default 5 ms: many turns of an event loop, and less than a new connection
    /// costs. `None` gives the connection up at once, as undici does: its callers stop their bodies
    /// when the response ends, and nothing more may be sent.
    pub body_grace: Option<Duration>,
    /// Body bytes delivered but not yet credited back, per request, each piece with what it costs
    /// by itself ([`piece_cost`](super::credit::piece_cost)). Default 256 KiB.
    pub window: u32,
    /// Faults of responses on HTTP/1.1 that are forgiven. Default: none.
    pub leniency: Leniency,
    /// A body that lasts until the connection closes also ends with a reset, or with TLS that ends
    /// without `close_notify`. Default false: both are errors, because half a body cannot be told
    /// from a whole one. undici, as Node, takes both for the end. A body whose framing says where
    /// it ends is never complete before that.
    pub abrupt_close_ends_body: bool,
    /// What a server says on a new connection before the first request was written to it is the
    /// answer to that request, as in undici. Default false: nobody asked for it, and it ends the
    /// connection.
    pub early_answer: bool,
}

/// Faults of a response that are forgiven. Default: none, because what one reader forgives and
/// another does not is how responses are smuggled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leniency {
    /// A value that goes on in the next line (RFC 9112, section 5.2). The parts are put together
    /// with a space. Not in fields that say where the response ends or what becomes of its
    /// connection.
    pub folded_values: bool,
    /// A line that is no field. It is left out, unless it may be meant for one of those.
    pub invalid_fields: bool,
    /// White space between name and colon (RFC 9112, section 5.1). It is left out, in all fields.
    pub space_before_colon: bool,
    /// Framing that is against the rules and can be read: a line of the head that ends with LF
    /// alone; the same `Content-Length` repeated, or one beside `Transfer-Encoding`, which then
    /// counts (RFC 9112, section 6.3); white space behind a chunk's size, and extensions of any
    /// kind. The connection ends with the response, so that nothing can be hidden behind it.
    pub doubtful_framing: bool,
    /// A response that does not start with `HTTP/`, as of a server that speaks HTTP/0.9: all of it,
    /// up to the close, is the body, and the status 200. Only in answer to a request that has no
    /// streamed body.
    pub missing_head: bool,
}

/// What to do with a `100 Continue` that answers no `Expect`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnexpectedContinue {
    /// Discard it (RFC 9110, section 15.2.1).
    Ignore,
    /// Discard it, but wait for the answer no longer than this once the request has been sent, nor
    /// than the headers timeout. Then the request fails with `bad response`.
    Await(Duration),
    /// Fail the request, as undici does.
    Error,
}

impl Default for ExchangeConfig {
    fn default() -> Self {
        Self {
            headers_timeout: Some(Duration::from_secs(300)),
            body_timeout: Some(Duration::from_secs(300)),
            max_header_size: 16 * 1024,
            max_fields: None,
            max_response_size: None,
            unexpected_continue: UnexpectedContinue::Ignore,
            continue_timeout: Duration::from_secs(1),
            body_grace: Some(Duration::from_millis(5)),
            window: 256 * 1024,
            leniency: Leniency::default(),
            abrupt_close_ends_body: false,
            early_answer: false,
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

/// How connections are opened. Read by the connector; part of the pool key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConnectConfig {
    /// Longest time for all legs together. Default 10 s; `None` never.
    pub timeout: Option<Duration>,
    /// Local address to bind. Default: the system's choice.
    pub local_address: Option<IpAddr>,
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
    /// Race addresses of both families (RFC 8305). `false` tries them one after another.
    pub race: bool,
    /// Delay before the next address is tried beside a pending one. Default 250 ms.
    pub attempt_delay: Duration,
    /// TLS parameters for `https` origins.
    pub tls: TlsConfig,
    /// Proxy on the way there; boxed, because most origins have none. With a `socket_path`, the
    /// proxy is what listens on it. Default none.
    pub proxy: Option<Box<Proxy>>,
}

impl Default for ConnectConfig {
    fn default() -> Self {
        Self {
            timeout: Some(Duration::from_secs(10)),
            local_address: None,
            socket_path: None,
            no_delay: true,
            keep_alive_probe: Some(Duration::from_secs(60)),
            family: Family::Any,
            order: AddressOrder::Verbatim,
            race: true,
            attempt_delay: Duration::from_millis(250),
            tls: TlsConfig::default(),
            proxy: None,
        }
    }
}
