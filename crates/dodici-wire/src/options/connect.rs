//! The rows of the table that `connect` takes: sockets and TLS.
//!
//! `table.rs` puts its own rows before them; what a row says is described there.

/// Hands the rows in braces, and those of `connect` after them, to another macro.
macro_rules! connect_rows {
    ($then:ident! { $($rows:tt)* }) => { $then! {
        $($rows)*

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
        key Allow = 41: Text, allow => allow; row CONNECT {
            name: "allow",
            derived: Derived::Name,
            types: "'public' | AddressList | ((address: string, host: string) => boolean) | null",
            default: Fallback::Nothing("every address"),
            doc: "Which addresses may be connected to; any other is an `AddressNotAllowedError`, and so are Unix sockets.",
            engine: &["ConnectHooks::allow", "ConnectHooks::allow_proxied"],
            reqwest: &["allow_addresses"],
        }
        key AllowProxied = 58: Text, allow => allow_proxied; row ROW {}
        row CONNECT {
            name: "blockList",
            derived: Derived::Name,
            types: "AddressList",
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
        key Cert = 27: List, one_more => tls.certs; row TLS {
            name: "cert",
            derived: Derived::Name,
            types: "PemSource | readonly PemSource[]",
            doc: "Client certificate chain, or several; without `key` it is not used, as in Node.",
            engine: &["TlsConfig::identities"],
            reqwest: &["identity"],
        }
        key Key = 28: List, one_more => tls.keys; row TLS {
            name: "key",
            derived: Derived::Name,
            types: "PemSource | readonly (PemSource | { pem: PemSource; passphrase?: string })[]",
            doc: "Private key of `cert`, without which it is not used, or several.",
            engine: &["TlsConfig::identities"],
            reqwest: &["identity"],
        }
        row TLS {
            name: "passphrase",
            derived: Derived::Name,
            types: "string",
            doc: "Passphrase of an encrypted `key` or `pfx`.",
            engine: &["TlsConfig::identities"],
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
            doc: "Signature algorithms, the client's own included, likewise.",
        }
        row TLS {
            name: "secureProtocol",
            derived: Derived::Name,
            types: "string",
            doc: "TLS versions, by the name of a method of OpenSSL's, instead of `minVersion` and `maxVersion`.",
        }
        key MoreRoots = 46: List, one_more => tls.config.more_roots; row TLS {
            name: "pfx",
            derived: Derived::Name,
            types: "PemSource | readonly (PemSource | { buf: PemSource; passphrase?: string })[]",
            doc: "A client certificate with its key, PKCS#12, decrypted by `passphrase`, or several. As in Node, the authorities in it are trusted.",
            engine: &["TlsConfig::identities", "TlsConfig::more_roots"],
        }
        key PartialChains = 49: Flag, flag => tls.config.partial_chains; row TLS {
            name: "allowPartialTrustChain",
            derived: Derived::Name,
            types: "boolean",
            default: Fallback::Flag(false),
            doc: "Trusts every certificate in `ca`, not only roots.",
        }
        key RevocationLists = 47: List, one_more => tls.config.revocation_lists; row TLS {
            name: "crl",
            derived: Derived::Name,
            types: "PemSource | readonly PemSource[]",
            doc: "Revocation lists: with any, each certificate of a chain needs one. A list that is partial, indirect, a delta, or signed with SHA-1 makes undici's own class serve the origin.",
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
        key KeyLog = 48: Text, path => tls.config.key_log; row TLS { derived: Derived::Name }
        row TLS {
            name: "fallback",
            derived: Derived::Name,
            types: "boolean",
            default: Fallback::Flag(true),
            doc: "Lets undici's own class, with Node's OpenSSL, serve a server that has no TLS version, cipher suite or curve in common with rustls.",
        }
    } };
}

pub(super) use connect_rows;
