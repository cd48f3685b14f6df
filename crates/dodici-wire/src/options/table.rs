//! The table of options: one row per option, with everything about it except its effect.
//!
//! A row yields the key of the record and its reader (here), and through `cargo xtask codegen` the
//! validation, default, writer and declared type in TypeScript (`node/src/options/generated.ts`),
//! and the line of `docs/options.md`. A new option is a row, a field in the configuration with its
//! effect in the engine, a method of `dodici-reqwest`'s builders, and tests.

use super::Parts;
use super::connect::connect_rows;
use super::row::{
    AGENT, CLIENT, CONNECT, Derived, Fallback, Form, HTTP2, NAMED, OptionRow, POOL, PROXY, ROW,
    Rule, Scope, TLS, Unit, Wire, options,
};
use super::value::{Value, Wrong};

/// Types used by rows: name, definition, documentation.
pub const TYPES: &[(&str, &str, &str)] = &[
    (
        "PemSource",
        "string | NodeJS.ArrayBufferView | ArrayBuffer",
        "Bytes of certificates and keys: PEM text or bytes, or DER bytes.",
    ),
    (
        "AddressList",
        "{ check(address: string, family?: 'ipv4' | 'ipv6'): boolean }",
        "A `net.BlockList`, or the like.",
    ),
    (
        "DnsOptions",
        "{ ttl?: number; staleTtl?: number; negativeTtl?: number; maxEntries?: number }",
        "How long names are kept, in milliseconds: addresses (`ttl`, 10 000); after that, while a lookup renews them or if it fails (`staleTtl`, 0); failures (`negativeTtl`, 0). `maxEntries` (1000): how many.",
    ),
];

connect_rows! {
    options! {
        // ---- the origin, and what is derived from options ----

        key Scheme = 1: Text, scheme => scheme; row ROW {}
        key Host = 2: Text, text => host; row ROW {}
        key Port = 3: Number, port => port; row ROW {}
        key FailQueue = 11: Flag, fail_queue => config.pool.connect_failure; row ROW {}
        key Eager = 36: Flag, flag => config.pool.eager; row ROW {}
        key Lookup = 35: Flag, flag => lookup; row ROW {}
        key ResultOrder = 37: Text, order => config.connect.order; row ROW {}
        key LimitId = 71: Number, some_count => limit_id; row ROW {}

        // ---- agents ----

        key MaxConnections = 70: Number, limit => limit; row AGENT {
            name: "maxConnections",
            default: Fallback::Nothing("no limit"),
            rule: Rule::Integer(1),
            refusal: "{} must be a positive integer",
            doc: "Maximum number of connections to all origins together, including those being opened and upgraded ones. A pool that needs another one closes the connection of another origin that has been idle longest; if none is idle, origins take turns.",
            engine: &["Engine::under"],
            reqwest: &["max_connections"],
        }

        // ---- clients, in the order of undici's checks ----

        key MaxHeaderSize = 14: Number, bytes => config.exchange.max_header_size; row CLIENT {
            name: "maxHeaderSize",
            unit: Unit::Bytes,
            default: Fallback::Process("`http.maxHeaderSize` (16 384)"),
            rule: Rule::Integer(1),
            doc: "Maximum size of a response head, including the status line.",
        }
        row NAMED {
            name: "socketPath",
            types: "string | null",
            rule: Rule::Text,
            doc: "Same as `connect.socketPath`.",
        }
        row NAMED {
            name: "connectTimeout",
            unit: Unit::Milliseconds,
            rule: Rule::AtLeast(0.0),
            default: Fallback::Number(10_000.0),
            doc: "Same as `connect.timeout`.",
        }
        key KeepAliveTimeout = 6: Number, rest => config.pool.keep_alive_timeout; row CLIENT {
            name: "keepAliveTimeout",
            unit: Unit::Milliseconds,
            default: Fallback::Number(4_000.0),
            rule: Rule::Above(0.0),
            doc: "Idle time after which a connection is closed, without a `Keep-Alive: timeout=` hint from the server.",
            reqwest: &["pool_idle_timeout", "idle_timeout"],
        }
        key KeepAliveMaxTimeout = 7: Number, rest => config.pool.keep_alive_max_timeout; row CLIENT {
            name: "keepAliveMaxTimeout",
            unit: Unit::Milliseconds,
            default: Fallback::Number(600_000.0),
            rule: Rule::Above(0.0),
            doc: "Upper bound for the server's hint.",
        }
        key KeepAliveTimeoutThreshold = 8: Number, time => config.pool.keep_alive_timeout_threshold; row CLIENT {
            name: "keepAliveTimeoutThreshold",
            unit: Unit::Milliseconds,
            default: Fallback::Number(2_000.0),
            rule: Rule::Finite,
            doc: "Subtracted from the server's hint, to allow for transit time.",
        }
        key HeadersTimeout = 12: Number, timeout => config.exchange.headers_timeout; row CLIENT {
            name: "headersTimeout",
            unit: Unit::Milliseconds,
            default: Fallback::Number(300_000.0),
            rule: Rule::Integer(0),
            refusal: "{} must be a positive integer or zero",
            doc: "Maximum time to wait for the response head once the request is sent; 0: no limit. Can be set per request.",
        }
        key BodyTimeout = 13: Number, timeout => config.exchange.body_timeout; row CLIENT {
            name: "bodyTimeout",
            unit: Unit::Milliseconds,
            default: Fallback::Number(300_000.0),
            rule: Rule::Integer(0),
            refusal: "{} must be a positive integer or zero",
            doc: "Maximum time between two chunks of the response body; 0: no limit. Can be set per request.",
        }
        key TotalTimeout = 72: Number, timeout => config.exchange.total_timeout; row CLIENT {
            name: "totalTimeout",
            types: "number | null",
            unit: Unit::Milliseconds,
            default: Fallback::Nothing("no limit"),
            rule: Rule::Integer(0),
            refusal: "{} must be a positive integer or zero",
            kept: true,
            doc: "Maximum time from `dispatch()` to the end of the response, including the time in queues; 0: no limit. Can be set per request.",
            reqwest: &["timeout"],
        }
        key MinBodyRate = 73: Number, limit => config.exchange.min_body_rate; row CLIENT {
            name: "minBodyRate",
            types: "number | null",
            default: Fallback::Nothing("no minimum"),
            rule: Rule::Integer(0),
            refusal: "{} must be a positive integer or zero",
            kept: true,
            doc: "Minimum rate of a response body, in bytes per second: it fails if less arrives in 5 s, not counting the time in which the reader is paused; 0: no minimum. Can be set per request.",
            reqwest: &["min_body_rate"],
        }
        row NAMED {
            name: "connect",
            types: "ConnectOptions | buildConnector.connector | null",
            rule: Rule::FunctionOrObject,
            refusal: "{} must be a function or an object",
            doc: "How connections are opened; see below. With a function, undici's own class serves the origin.",
            reqwest: &["connector_layer"],
        }
        key MaxRequestsPerClient = 10: Number, limit => config.pool.max_requests_per_connection; row CLIENT {
            name: "maxRequestsPerClient",
            default: Fallback::Nothing("no limit"),
            rule: Rule::Integer(0),
            refusal: "{} must be a positive number",
            doc: "Requests after which a connection is closed; 0: no limit.",
            reqwest: &["max_requests_per_connection"],
        }
        row NAMED {
            name: "localAddress",
            types: "string | null",
            rule: Rule::Address,
            refusal: "{} must be valid string IP address",
            kept: false,
            doc: "Same as `connect.localAddress`, which it overrides.",
        }
        key MaxResponseSize = 15: Number, size => config.exchange.max_response_size; row CLIENT {
            name: "maxResponseSize",
            unit: Unit::Bytes,
            default: Fallback::Number(-1.0),
            rule: Rule::Integer(-1),
            refusal: "{} must be a positive number",
            doc: "Maximum size of a response body; -1: no limit.",
            reqwest: &["max_response_size"],
        }
        row NAMED {
            name: "autoSelectFamilyAttemptTimeout",
            unit: Unit::Milliseconds,
            default: Fallback::Process("Node's"),
            rule: Rule::Integer(-1),
            refusal: "{} must be a positive number",
            doc: "Same as in `connect`; used only together with `autoSelectFamily`.",
        }
        row NAMED {
            name: "allowH2",
            types: "boolean | null",
            default: Fallback::Process("true with undici 8, false with undici 7"),
            rule: Rule::Boolean,
            refusal: "{} must be a valid boolean value",
            doc: "Offers HTTP/2 through ALPN, after HTTP/1.1; with `connect.preferH2` before it.",
            reqwest: &["http1_only"],
        }

        key AllowH3 = 74: Flag, discovered => config.http3.mode; row CLIENT {
            name: "allowH3",
            types: "boolean | null",
            default: Fallback::Flag(false),
            rule: Rule::Boolean,
            refusal: "{} must be a valid boolean value",
            kept: true,
            doc: "Uses HTTP/3 with `https:` origins that offer it in an `Alt-Svc` header. Can be set per request of an `Agent`.",
            reqwest: &["http3_discovery"],
        }
        key Http3 = 75: Text, http3 => config.http3.mode; row CLIENT {
            name: "h3",
            types: "'prior-knowledge' | null",
            rule: Rule::Word("prior-knowledge"),
            refusal: "{} must be 'prior-knowledge'",
            kept: true,
            doc: "`'prior-knowledge'`: uses HTTP/3 only, without asking. For `https:` origins without a proxy. Can be set per request of an `Agent`.",
            reqwest: &["http3_prior_knowledge"],
        }

        key Http3EarlyData = 76: Flag, flag => config.http3.early_data; row CLIENT {
            name: "h3EarlyData",
            types: "boolean | null",
            default: Fallback::Flag(false),
            rule: Rule::Boolean,
            refusal: "{} must be a valid boolean value",
            kept: true,
            doc: "Sends safe requests without a body before the handshake of a resumed HTTP/3 connection is complete (0-RTT). An attacker can replay them.",
            reqwest: &["tls_early_data"],
        }

        // ---- clients, whatever is given ----

        key Pipelining = 5: Number, pipelining => config.pool; row CLIENT {
            name: "pipelining",
            default: Fallback::Number(1.0),
            doc: "Maximum number of requests in flight on one HTTP/1.1 connection; 0: a connection serves only one request.",
            engine: &["PoolConfig::pipelining", "PoolConfig::keep_alive"],
        }
        key MaxIdleConnections = 38: Number, some_count => config.pool.max_idle_connections; row CLIENT {
            name: "maxIdleConnections",
            types: "number | null",
            default: Fallback::Nothing("no limit"),
            rule: Rule::Integer(0),
            refusal: "{} must be a positive integer or zero",
            kept: true,
            doc: "Maximum number of idle connections; further ones are closed. 0 keeps none.",
            reqwest: &["pool_max_idle_per_host", "max_idle_connections"],
        }
        key DnsCache = 59: Bytes, dns_cache => config.connect.dns_cache; row NAMED {
            name: "dns",
            types: "DnsOptions | null",
            default: Fallback::Nothing("none"),
            doc: "Keeps the addresses of names that the system's resolver finds.",
            reqwest: &["dns_cache"],
        }
        row NAMED {
            name: "decompress",
            types: "boolean | { maxSize?: number | null } | null",
            default: Fallback::Flag(false),
            doc: "Decodes response bodies, as undici's decompress interceptor does. Can be set per request.",
            reqwest: &["gzip", "brotli", "zstd", "deflate"],
        }
        row NAMED {
            name: "timings",
            types: "boolean | null",
            default: Fallback::Nothing("only for `fetch`, and while the channel `dodici:request:timings` has subscribers"),
            rule: Rule::Boolean,
            refusal: "{} must be a boolean",
            doc: "Whether requests are timed: `true` for all, `false` for none. Can be set per request, there also with a function that gets the timings.",
            reqwest: &["on_timings"],
        }
        row NAMED {
            name: "strictContentLength",
            types: "boolean",
            default: Fallback::Flag(true),
            kept: false,
            doc: "Whether a request fails if its body does not match its `content-length`; `false`: a warning instead.",
        }
        row NAMED {
            name: "autoSelectFamily",
            types: "boolean",
            default: Fallback::Process("Node's"),
            doc: "Same as in `connect`.",
        }
        row NAMED {
            name: "maxCachedSessions",
            default: Fallback::Number(100.0),
            doc: "Same as in `connect`.",
        }
        row NAMED {
            name: "tls",
            types: "ConnectOptions",
            doc: "Options of `connect`, which `connect` overrides.",
        }
        row NAMED {
            name: "h2Options",
            types: "object",
            kept: false,
            doc: "HTTP/2 settings; see below.",
        }
        row NAMED {
            name: "useMilo",
            types: "boolean",
            doc: "Chooses between undici's HTTP/1.1 parsers. No effect, unless undici's own class serves the origin.",
        }
        row NAMED {
            name: "webSocket",
            types: "object",
            kept: false,
            doc: "Limits of undici's `WebSocket` over this dispatcher.",
        }
        row NAMED {
            name: "eventSource",
            types: "object",
            kept: false,
            doc: "Limits of undici's `EventSource` over this dispatcher.",
        }

        // ---- pools ----

        key Connections = 4: Number, limit => config.pool.max_connections; row POOL {
            name: "connections",
            default: Fallback::Nothing("no limit"),
            rule: Rule::AtLeast(0.0),
            doc: "Maximum number of connections, including those being opened; 0: no limit.",
            reqwest: &["max_connections_per_origin", "max_connections"],
        }
        key ClientTtl = 9: Number, timeout => config.pool.max_connection_age; row POOL {
            name: "clientTtl",
            unit: Unit::Milliseconds,
            default: Fallback::Nothing("no limit"),
            doc: "Age after which a connection accepts no further requests; 0: no limit.",
            reqwest: &["max_connection_age"],
        }

        // ---- HTTP/2 ----

        key Http2 = 60: Flag, flag => config.http2.prior_knowledge; row HTTP2 {
            name: "useH2c",
            types: "boolean",
            default: Fallback::Flag(false),
            rule: Rule::Boolean,
            refusal: "{} must be a valid boolean value",
            kept: true,
            doc: "Uses HTTP/2 with prior knowledge, as required for `http:` origins.",
            reqwest: &["http2_prior_knowledge"],
        }
        key MaxConcurrentStreams = 61: Number, streams => config; row HTTP2 {
            name: "maxConcurrentStreams",
            default: Fallback::Number(100.0),
            doc: "Maximum number of concurrent requests per connection; the server's limit may be lower.",
            engine: &["Http2Config::max_concurrent_streams", "Http3Config::max_concurrent_streams"],
        }
        key StreamWindow = 62: Number, window => config; row HTTP2 {
            name: "initialWindowSize",
            unit: Unit::Bytes,
            default: Fallback::Nothing("262 144, growing to 2 MiB with the round-trip time; over HTTP/3 1 MiB"),
            doc: "Flow-control window of a stream. In `h2Options`, it is a key of `settings`.",
            engine: &["Http2Config::stream_window", "Http2Config::max_stream_window", "Http3Config::stream_window"],
            reqwest: &["http2_initial_stream_window_size", "http3_stream_receive_window"],
        }
        key ConnectionWindow = 63: Number, connection_window => config; row HTTP2 {
            name: "connectionWindowSize",
            unit: Unit::Bytes,
            default: Fallback::Nothing("the sum of all streams"),
            doc: "Flow-control window of the connection.",
            engine: &["Http2Config::connection_window", "Http3Config::connection_window"],
            reqwest: &["http2_initial_connection_window_size", "http3_conn_receive_window"],
        }
        key PingInterval = 64: Number, ping_interval => config; row HTTP2 {
            name: "pingInterval",
            unit: Unit::Milliseconds,
            default: Fallback::Number(60_000.0),
            rule: Rule::Integer(0),
            refusal: "{} must be a positive integer, greater or equal to 0",
            doc: "Interval of PING frames that check whether the server is alive, over HTTP/3 at most 15 s; 0: none.",
            engine: &["Http2Config::ping_interval", "Http3Config::ping_interval"],
            reqwest: &["http2_keep_alive_interval"],
        }

        // ---- proxy ----

        key ProxyProtocol = 50: Text, text => proxy.protocol; row PROXY {}
        key ProxyHost = 51: Text, text => proxy.host; row PROXY {}
        key ProxyPort = 52: Number, port => proxy.port; row PROXY {}
        key ProxyUsername = 53: Bytes, octets => proxy.username; row PROXY {}
        key ProxyPassword = 54: Bytes, octets => proxy.password; row PROXY {}
        key ProxyHeader = 55: List, field => proxy.headers; row PROXY {}
        key ProxyTls = 56: Bytes, tls => proxy.tls; row PROXY {}
        key ProxyTimeout = 57: Number, timeout => proxy.timeout; row PROXY {}
    }
}

impl OptionKey {
    /// Where the option of this key is set.
    pub(super) fn scope(self) -> Scope {
        let is_own = |row: &&OptionRow| row.wire.is_some_and(|wire| wire.key == self as u16);
        let row = ROWS.iter().find(is_own);
        row.map_or(Scope::Origin, |row| row.scope)
    }
}
