//! The table of options: one row per option, with everything about it except its effect.
//!
//! A row yields the key of the record and its reader (here), and through `cargo xtask codegen` the
//! validation, default, writer and declared type in TypeScript (`node/src/options/generated.ts`),
//! and the line of `docs/options.md`. A new option is a row, a field in the configuration with its
//! effect in the engine, a method of `dodici-reqwest`'s builders, and tests.

use super::Parts;
use super::row::{
    CLIENT, CONNECT, Derived, Fallback, Form, HTTP2, NAMED, OptionRow, POOL, PROXY, ROW, Rule,
    Scope, TLS, Unit, Wire, options,
};
use super::value::{Value, Wrong};

/// Types used by rows: name, definition, documentation.
pub const TYPES: &[(&str, &str, &str)] = &[(
    "PemSource",
    "string | NodeJS.ArrayBufferView | ArrayBuffer",
    "Bytes of certificates and keys: PEM text or bytes, or DER bytes.",
)];

options! {
    // ---- the origin, and what is derived from options ----

    key Scheme = 1: Text, scheme => scheme; row ROW {}
    key Host = 2: Text, text => host; row ROW {}
    key Port = 3: Number, port => port; row ROW {}
    key FailQueue = 11: Flag, fail_queue => config.pool.connect_failure; row ROW {}
    key Eager = 36: Flag, flag => config.pool.eager; row ROW {}
    key Lookup = 35: Flag, flag => lookup; row ROW {}
    key ResultOrder = 37: Text, order => config.connect.order; row ROW {}

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
    row NAMED {
        name: "decompress",
        types: "boolean | { maxSize?: number | null } | null",
        default: Fallback::Flag(false),
        doc: "Decodes response bodies, as undici's decompress interceptor does. Can be set per request.",
        reqwest: &["gzip", "brotli", "zstd", "deflate"],
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
    key MaxConcurrentStreams = 61: Number, count => config.http2.max_concurrent_streams; row HTTP2 {
        name: "maxConcurrentStreams",
        default: Fallback::Number(100.0),
        doc: "Maximum number of concurrent requests per connection; the server's limit may be lower.",
    }
    key StreamWindow = 62: Number, window => config.http2; row HTTP2 {
        name: "initialWindowSize",
        unit: Unit::Bytes,
        default: Fallback::Nothing("262 144, growing to 2 MiB with the round-trip time"),
        doc: "Flow-control window of a stream. In `h2Options`, it is a key of `settings`.",
        engine: &["Http2Config::stream_window", "Http2Config::max_stream_window"],
        reqwest: &["http2_initial_stream_window_size"],
    }
    key ConnectionWindow = 63: Number, some_count => config.http2.connection_window; row HTTP2 {
        name: "connectionWindowSize",
        unit: Unit::Bytes,
        default: Fallback::Nothing("the sum of all streams"),
        doc: "Flow-control window of the connection.",
        reqwest: &["http2_initial_connection_window_size"],
    }
    key PingInterval = 64: Number, timeout => config.http2.ping_interval; row HTTP2 {
        name: "pingInterval",
        unit: Unit::Milliseconds,
        default: Fallback::Number(60_000.0),
        rule: Rule::Integer(0),
        refusal: "{} must be a positive integer, greater or equal to 0",
        doc: "Interval of PING frames that check whether the server is alive; 0: none.",
        reqwest: &["http2_keep_alive_interval"],
    }

    // ---- connect: sockets ----

    key ConnectTimeout = 16: Number, timeout => config.connect.timeout; row CONNECT {
        name: "timeout",
        derived: Derived::Name,
        unit: Unit::Milliseconds,
        default: Fallback::Number(10_000.0),
        doc: "Maximum time for DNS, TCP, proxy and TLS together; 0: no limit.",
        reqwest: &["connect_timeout"],
    }
    key SocketPath = 18: Text, path => config.connect.socket_path; row CONNECT {
        name: "socketPath",
        derived: Derived::Name,
        types: "string | null",
        doc: "Unix socket or named pipe to use instead of TCP.",
        reqwest: &["unix_socket"],
    }
    row CONNECT {
        name: "path",
        derived: Derived::Name,
        types: "string",
        doc: "Same as `socketPath`, which it overrides.",
    }
    key LocalAddress = 17: Text, address => config.connect.local_address; row CONNECT {
        name: "localAddress",
        derived: Derived::Name,
        types: "string",
        doc: "Local IP address to bind to.",
        reqwest: &["local_address"],
    }
    key LocalPort = 39: Number, local_port => config.connect.local_port; row CONNECT {
        name: "localPort",
        types: "number",
        default: Fallback::Number(0.0),
        doc: "Local port to bind to; 0: the system chooses.",
    }
    key TypeOfService = 40: Number, octet => config.connect.type_of_service; row CONNECT {
        name: "typeOfService",
        doc: "Type of service, or traffic class, in the IP header.",
    }
    key FilterAddresses = 41: Flag, flag => filters; row CONNECT {
        name: "blockList",
        derived: Derived::Name,
        types: "{ check(address: string, family?: 'ipv4' | 'ipv6'): boolean }",
        doc: "A `net.BlockList`: addresses that are never connected to, also where Node ignores it, over TLS.",
    }
    row CONNECT {
        name: "hints",
        derived: Derived::Name,
        types: "number",
        default: Fallback::Number(0.0),
        doc: "Flags of `dns.lookup`, which is then called.",
    }
    key Family = 21: Number, family => config.connect.family; row CONNECT {
        name: "family",
        types: "0 | 4 | 6",
        default: Fallback::Number(0.0),
        doc: "IP version: 4, 6, or 0 for both.",
    }
    key AutoSelectFamily = 22: Flag, flag => config.connect.race; row CONNECT {
        name: "autoSelectFamily",
        types: "boolean",
        default: Fallback::Process("Node's"),
        doc: "Races addresses of both families (RFC 8305) instead of trying one after another.",
    }
    key AutoSelectFamilyAttemptTimeout = 23: Number, time => config.connect.attempt_delay; row CONNECT {
        name: "autoSelectFamilyAttemptTimeout",
        types: "number",
        unit: Unit::Milliseconds,
        default: Fallback::Process("Node's"),
        doc: "Delay before the next address is tried while one is pending; at least 10.",
    }
    key NoDelay = 19: Flag, flag => config.connect.no_delay; row CONNECT {
        name: "noDelay",
        types: "boolean",
        default: Fallback::Flag(true),
        doc: "Sets `TCP_NODELAY`.",
        reqwest: &["tcp_nodelay"],
    }
    row CONNECT {
        name: "keepAlive",
        derived: Derived::Name,
        types: "boolean | null",
        default: Fallback::Flag(true),
        doc: "Sends TCP keep-alive probes.",
        reqwest: &["tcp_keepalive"],
    }
    key KeepAliveProbe = 20: Number, probe => config.connect.keep_alive_probe; row CONNECT {
        name: "keepAliveInitialDelay",
        derived: Derived::Name,
        unit: Unit::Milliseconds,
        default: Fallback::Number(60_000.0),
        doc: "Idle time before the first probe.",
        reqwest: &["tcp_keepalive"],
    }
    row CONNECT {
        name: "lookup",
        derived: Derived::Name,
        types: "(...args: never[]) => void",
        default: Fallback::Nothing("the system's resolver"),
        doc: "A custom lookup, called for each connection as `net.connect` does.",
        reqwest: &["dns_resolver"],
    }
    row CONNECT {
        name: "preferH2",
        derived: Derived::Name,
        types: "boolean",
        default: Fallback::Flag(false),
        doc: "Offers HTTP/2 before HTTP/1.1, if `allowH2` is set.",
    }

    row CONNECT {
        name: "allowH2",
        derived: Derived::Name,
        types: "boolean",
        default: Fallback::Nothing("the client's"),
        doc: "Same as the client's `allowH2`, which it overrides.",
    }
    row CONNECT {
        name: "useH2c",
        derived: Derived::Name,
        types: "boolean",
        default: Fallback::Flag(false),
        doc: "Same as the client's `useH2c`.",
    }

    // ---- connect: TLS ----

    key ServerName = 24: Text, text => tls.config.server_name; row TLS {
        name: "servername",
        derived: Derived::Name,
        types: "string",
        default: Fallback::Nothing("the request's host"),
        doc: "Name for SNI and verification.",
    }
    key RejectUnauthorized = 25: Flag, flag => tls.config.verify; row TLS {
        name: "rejectUnauthorized",
        types: "boolean",
        default: Fallback::Process("true, unless `NODE_TLS_REJECT_UNAUTHORIZED` is `0`, as in Node"),
        doc: "Only the literal `false` disables verification.",
        reqwest: &["tls_danger_accept_invalid_certs"],
    }
    key Ca = 26: List, one_more => tls.ca; row TLS {
        name: "ca",
        derived: Derived::Name,
        types: "PemSource | readonly PemSource[]",
        default: Fallback::Nothing("Node's trust store"),
        engine: &["TlsConfig::roots"],
        doc: "Root certificates to trust instead of the defaults; an empty list: no server is trusted.",
        reqwest: &["tls_certs_only"],
    }
    key Cert = 27: List, chain => tls.cert; row TLS {
        name: "cert",
        derived: Derived::Name,
        types: "PemSource | readonly PemSource[]",
        doc: "Client certificate chain; without `key` it is not used, as in Node.",
        engine: &["TlsConfig::identity"],
        reqwest: &["identity"],
    }
    key Key = 28: Bytes, octets => tls.key; row TLS {
        name: "key",
        derived: Derived::Name,
        types: "PemSource | readonly (PemSource | { pem: PemSource; passphrase?: string })[]",
        doc: "Private key of `cert`, without which it is not used.",
        engine: &["TlsConfig::identity"],
        reqwest: &["identity"],
    }
    key Passphrase = 29: Text, text => tls.passphrase; row TLS {
        name: "passphrase",
        derived: Derived::Name,
        types: "string",
        doc: "Passphrase of an encrypted `key`.",
        engine: &["TlsConfig::identity"],
    }
    key MinVersion = 31: Text, tls_version => tls.config.min_version; row TLS {
        name: "minVersion",
        types: "'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3'",
        default: Fallback::Process("`tls.DEFAULT_MIN_VERSION`"),
        doc: "Minimum TLS version; below 1.2, undici's own class serves the origin.",
        reqwest: &["tls_version_min"],
    }
    key MaxVersion = 32: Text, tls_version => tls.config.max_version; row TLS {
        name: "maxVersion",
        types: "'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3'",
        default: Fallback::Process("`tls.DEFAULT_MAX_VERSION`"),
        doc: "Maximum TLS version; below 1.2, undici's own class serves the origin.",
        reqwest: &["tls_version_max"],
    }
    key CipherSuites = 42: Bytes, code_points => tls.config.cipher_suites; row TLS {
        name: "ciphers",
        derived: Derived::Name,
        types: "string",
        default: Fallback::Process("`tls.DEFAULT_CIPHERS`"),
        doc: "Cipher suites, in OpenSSL's notation: those of them that rustls has. If it has none, or with `@SECLEVEL`, undici's own class serves the origin.",
    }
    key Groups = 43: Bytes, code_points => tls.config.groups; row TLS {
        name: "ecdhCurve",
        derived: Derived::Name,
        types: "string",
        default: Fallback::Process("`tls.DEFAULT_ECDH_CURVE`"),
        doc: "Key exchange groups, likewise.",
    }
    key SignatureSchemes = 44: Bytes, code_points => tls.config.signature_schemes; row TLS {
        name: "sigalgs",
        derived: Derived::Name,
        types: "string",
        doc: "Signature algorithms, likewise.",
    }
    row TLS {
        name: "secureProtocol",
        derived: Derived::Name,
        types: "string",
        doc: "TLS versions, by the name of a method of OpenSSL's, instead of `minVersion` and `maxVersion`.",
    }
    row TLS {
        name: "pfx",
        derived: Derived::Name,
        types: "PemSource | readonly (PemSource | { buf: PemSource; passphrase?: string })[]",
        doc: "A client certificate with its key, PKCS#12, decrypted by `passphrase`.",
    }
    row TLS {
        name: "enableTrace",
        derived: Derived::Name,
        types: "boolean",
        default: Fallback::Flag(false),
        doc: "Writes a line to stderr for each TLS connection: what was negotiated, or why not.",
    }
    key CheckIdentity = 45: Flag, flag => tls.config.check_identity; row TLS {
        name: "checkServerIdentity",
        derived: Derived::Name,
        types: "(host: string, cert: import('node:tls').PeerCertificate) => Error | undefined",
        default: Fallback::Nothing("`tls.checkServerIdentity`"),
        doc: "Judges a certificate with a valid chain, instead of its names; the error that it returns is the connection's. Called for every connection.",
    }
    key MaxCachedSessions = 33: Number, count => tls.config.max_cached_sessions; row TLS {
        name: "maxCachedSessions",
        default: Fallback::Number(100.0),
        rule: Rule::Integer(0),
        refusal: "{} must be a positive integer or zero",
        doc: "Number of TLS sessions kept for resumption; 0 disables it.",
    }
    key PlatformVerifier = 34: Flag, flag => tls.platform; row TLS {
        name: "platformVerifier",
        types: "boolean",
        default: Fallback::Flag(false),
        doc: "Uses the operating system's certificate verifier instead of Node's roots.",
        engine: &["TlsConfig::roots"],
    }
    key Alpn = 30: List, one_more => tls.alpn; row TLS { derived: Derived::Name }
    row TLS {
        name: "fallback",
        derived: Derived::Name,
        types: "boolean",
        default: Fallback::Flag(true),
        doc: "Lets undici's own class, with Node's OpenSSL, serve a server that has no TLS version, cipher suite or curve in common with rustls.",
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

impl OptionKey {
    /// Where the option of this key is set.
    pub(super) fn scope(self) -> Scope {
        let is_own = |row: &&OptionRow| row.wire.is_some_and(|wire| wire.key == self as u16);
        let row = ROWS.iter().find(is_own);
        row.map_or(Scope::Origin, |row| row.scope)
    }
}
