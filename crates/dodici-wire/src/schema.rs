//! The schema of the boundary: every number that both languages must agree on.
//!
//! `cargo xtask codegen` writes `node/src/wire/generated.ts` from these tables, and
//! [`layout_hash`](crate::layout_hash) combines them into one number that both sides compare when
//! the addon is loaded, so that an outdated `.node` file fails with a clear message.
//!
//! # Records
//! Both directions use the same frame, little-endian, every record padded to four bytes:
//!
//! ```text
//! byte  0      1       2..4    4..8   8..12        12..16        16..
//!       kind   flags   aux     slot   generation   payload len   payload, zero-padded to 4
//! ```
//!
//! `slot` and `generation` identify a request (or, in pool records, the pool: `slot` is the pool id
//! chosen by JavaScript, `generation` the connection's serial number). Field lists ("fields") are
//! latin1 text: `name LF value LF` repeated, names and values as they were on the wire.

macro_rules! wire_enum {
    ($(#[$doc:meta])* pub enum $name:ident : $repr:ty { $($(#[$vdoc:meta])* $variant:ident = $value:expr,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr($repr)]
        pub enum $name { $($(#[$vdoc])* $variant = $value,)* }

        impl $name {
            /// Names and numbers, for the generator and the layout hash.
            pub const TABLE: &'static [(&'static str, u32)] = &[$((stringify!($variant), $value as u32),)*];

            /// The variant with this number.
            pub const fn from_wire(value: $repr) -> Option<Self> {
                match value { $(v if v == $value => Some(Self::$variant),)* _ => None }
            }
        }
    };
}
pub(crate) use wire_enum;

/// Version of the record layout itself; part of the layout hash. Raise it when a payload changes
/// shape without any table changing.
pub const LAYOUT_VERSION: u32 = 3;

/// Bytes of a record's frame before its payload.
pub const RECORD_HEADER: usize = 16;

/// Body chunks from this size on are passed in a slab, a Buffer beside the batch, instead of inside
/// it. 16 KiB: one TLS record; below it, a copy is cheaper than a second object.
pub const LARGE_CHUNK: usize = 16 * 1024;

/// A completion batch is handed over when it has grown to this many bytes.
pub const BATCH_LIMIT: usize = 128 * 1024;

/// Body bytes that a request may have delivered but not yet credited back (see `Credit`), each
/// piece with its `PIECE_OVERHEAD`.
pub const WINDOW: u32 = 256 * 1024;

/// Largest slice of a request body in one `BodyChunk`, and the largest body sent inside `Dispatch`.
pub const BODY_SLICE: u32 = 64 * 1024;

/// `u32` that stands for "use the pool's value" in timeouts.
pub const DEFAULT_TIMEOUT: u32 = u32::MAX;

wire_enum! {
    /// Records from JavaScript to Rust.
    pub enum Submission : u8 {
        /// Start a request. `flags`: [`DispatchFlag`] bits; `aux`: [`WireBody`], and
        /// [`DispatchAux`] bits. Payload: `u32 pool`, `u32 head length`, `u32 headers timeout ms`,
        /// `u32 body timeout ms` (0 never, [`DEFAULT_TIMEOUT`] the pool's), `u32 body length low`,
        /// `u32 body length high`, with [`DispatchFlag::Decode`] three more numbers, with
        /// [`DispatchAux::Limits`] `u32 total timeout ms` and `u32 minimum bytes of body per second`
        /// (as the other timeouts), then the head (request line, fields, empty line; latin1), then,
        /// for [`WireBody::Full`], the body.
        Dispatch = 1,
        /// A slice of the request body, or bytes for an upgraded stream. Only after `Pull`, never
        /// more than was pulled. Payload: the bytes.
        BodyChunk = 2,
        /// End of the request body or of the write side of an upgraded stream. `flags` bit 0: the
        /// body is shorter than declared, and the caller accepts that. Payload: trailer fields.
        BodyEnd = 3,
        /// Abort a request or destroy an upgraded stream; `flags` bit 0: with a reset of its
        /// connection. Only an `End` follows, once the engine has released it.
        Cancel = 4,
        /// Return credit for delivered bytes, and say whether the handler is paused. `flags`:
        /// [`CreditFlag`] bits. Payload: `u32 bytes`, which may be 0.
        Credit = 5,
        /// Create a pool. `slot`: its id. Payload: options, see
        /// [`OptionKey`](crate::options::OptionKey).
        PoolCreate = 6,
        /// Close a pool: queued and running requests finish. `PoolClosed` follows.
        PoolClose = 7,
        /// Destroy a pool immediately. Its requests get no completion: JavaScript settles them.
        /// Upgraded streams outlive the pool, even if JavaScript has not seen their `Upgrade` yet:
        /// it cancels those it does not want. `PoolClosed` follows.
        PoolDestroy = 8,
        /// Open a connection if the pool has none, even if nothing is queued.
        PoolConnect = 9,
        /// Close one connection immediately: running requests fail, waiting ones go elsewhere.
        /// `generation`: its serial number. `Disconnected` follows.
        ConnectionDestroy = 10,
        /// Result of a `Lookup`, `Identity` or `Address`. `slot`: pool; `generation`: the lookup's number. `flags` bit 0: it
        /// failed. Payload: IP addresses, text, IPv6 with its zone if it has one, each followed by
        /// LF; for a failure `u32`, the number under which JavaScript keeps the error.
        LookupResult = 11,
        /// Set the number of concurrent requests per HTTP/1.1 connection of the pool, also of open
        /// ones. Payload: `u32 depth`, as
        /// [`OptionKey::Pipelining`](crate::options::OptionKey::Pipelining).
        PoolPipelining = 12,
        /// Close one connection as if a request written to it was cancelled: requests that may be
        /// sent again are; a response that has begun, or whose request cannot be repeated, is
        /// finished first. `generation`: its serial number. `Disconnected` follows.
        ConnectionGiveUp = 13,
        /// Open connections of the pool with these options from now on; open ones stay. A pool that
        /// could not be created is created now. Payload: all options; those not about connections
        /// apply only to a pool that is created.
        PoolConfigure = 14,
        /// Tell what the pool's connections are doing. `generation`: the question's number. `Answer`
        /// follows.
        PoolInspect = 20,
        /// Open connections until so many are ready. As `PoolInspect`. Payload: `u32 count`.
        PoolPreconnect = 21,
    }
}

wire_enum! {
    /// Records from Rust to JavaScript.
    pub enum Completion : u8 {
        /// Response head. `aux`: status; `flags`: [`HeadFlag`]. Payload: reason phrase, LF, fields.
        Head = 1,
        /// Informational response (1xx except 101). As `Head`.
        Informational = 2,
        /// Body bytes. `flags` bit 0: the chunk is in one of the slabs passed with the batch,
        /// payload `u32 slab`, `u32 offset`, `u32 length`; otherwise the payload is the chunk.
        Data = 3,
        /// The response is complete, or the peer ended an upgraded stream, which like a Node socket
        /// does not stay half-open. `flags` bit 0: the body was decoded, and the payload begins with
        /// the bytes that it had before, `f64`. Payload: trailer fields.
        End = 4,
        /// The request failed. Payload: an error, see `completion.rs`.
        Error = 5,
        /// 101 or CONNECT: the connection is a byte stream from now on. As `Head`.
        Upgrade = 6,
        /// More of the request body is wanted. Payload: `u32 bytes`.
        Pull = 7,
        /// Before the final head, and the last record, of a timed request: when its parts happened.
        /// `flags` bit 0: it is the first request on its connection. Payload: `u32`, the serial
        /// number of that connection, 0 for none; `u32 zero`; then five `f64` for the fields of
        /// `RequestTimings` from `assigned` to `ended`: milliseconds since the epoch of the
        /// environment, 0 for what has not happened.
        Timings = 8,
        /// A connection takes the request, whose `Dispatch` asked for this. Payload: `u32`, the
        /// connection's serial number. Another one follows if the request is replayed.
        Assigned = 9,
        /// A connection was opened. `slot`: pool; `generation`: connection. Payload: see
        /// `completion.rs`.
        Connected = 10,
        /// A connection ended. As `Connected`.
        Disconnected = 11,
        /// A connection could not be opened. As `Connected`. Payload: an error.
        ConnectFailed = 12,
        /// A closed or destroyed pool has no connection left. `slot`: pool.
        PoolClosed = 13,
        /// Number of concurrent requests an HTTP/2 connection accepts from now on. As `Connected`.
        /// Payload: `u32 streams`. Before the first such record, it accepts one.
        Concurrency = 14,
        /// The peer of an HTTP/2 connection has answered a PING. As `Connected`. Payload:
        /// `u32 microseconds`.
        Pong = 15,
        /// JavaScript is to resolve a name. `slot`: pool; `generation`: a number for the
        /// answer. Payload: the name, UTF-8.
        Lookup = 16,
        /// JavaScript is to judge a server. As `Lookup`, and answered like one, without addresses.
        /// `flags` bit 0: it is the proxy. Payload: the host, UTF-8, then the chain's certificates,
        /// DER, each preceded by its length, `u32`.
        Identity = 17,
        /// A connection was given up while it was being opened, because no request waits for it. As
        /// `Connected`.
        ConnectGivenUp = 18,
        /// JavaScript is to say whether an address may be connected to. As `Lookup`, and answered
        /// like one, without addresses; the failure 0: it may not. `flags` bit 0: a proxy connects
        /// to it. Payload: the address, LF, the host, UTF-8.
        Address = 19,
        /// The answer to `PoolInspect` or `PoolPreconnect`. `slot`: pool; `generation`: the question's
        /// number. `flags` bit 0: it is an error payload; otherwise tagged values, see
        /// `completion.rs`.
        Answer = 20,
    }
}

wire_enum! {
    /// Bits of a `Dispatch` record's flags.
    pub enum DispatchFlag : u8 {
        /// May be sent twice.
        Idempotent = 1,
        /// Keeps its connection for itself until the response head.
        Blocking = 2,
        /// Close the connection afterwards.
        Reset = 4,
        /// The head contains `expect: 100-continue`.
        ExpectContinue = 8,
        /// `HEAD`.
        Head = 16,
        /// `CONNECT`.
        Connect = 32,
        /// The head contains `upgrade`.
        Upgrade = 64,
        /// The response is decoded: the additional numbers before the head are [`WireDecode`] and,
        /// low half first, the maximum number of bytes that a coding may produce; 0 for no limit.
        Decode = 128,
    }
}

wire_enum! {
    /// Whose rules decide about decoding: `dodici_pool::DecodeManner`.
    pub enum WireDecode : u8 {
        /// undici's decompress interceptor.
        Interceptor = 1,
        /// undici's fetch.
        Fetch = 2,
        /// undici's fetch, which follows redirects.
        FetchFollowing = 3,
    }
}

wire_enum! {
    /// Bits of a `Credit` record's flags.
    pub enum CreditFlag : u8 {
        /// The handler is paused: until a `Credit` without this bit, nothing is delivered and no
        /// body timeout runs.
        Paused = 1,
    }
}

wire_enum! {
    /// Kind of request body, in a `Dispatch` record's aux.
    pub enum WireBody : u16 {
        /// None.
        None = 0,
        /// Follows the head in the record.
        Full = 1,
        /// Pulled, length given.
        Sized = 2,
        /// Pulled, length unknown.
        Chunked = 3,
    }
}

wire_enum! {
    /// Bits of a `Dispatch` record's aux that are not its [`WireBody`].
    pub enum DispatchAux : u16 {
        /// The request is timed: `Timings` are to come.
        Timed = 512,
        /// `Assigned` is to follow.
        Assigned = 256,
        /// The request has limits of its own besides the timeouts: two more numbers.
        Limits = 1024,
    }
}

wire_enum! {
    /// Bits of a `Head` record's flags.
    pub enum HeadFlag : u8 {
        /// HTTP/1.0.
        Http10 = 1,
        /// HTTP/2 or HTTP/3: the first line is the stream number.
        Http2 = 2,
        /// The connection had served a request before.
        Reused = 4,
        /// The body is decoded.
        Decoded = 8,
        /// HTTP/1: the connection ends with the response.
        Last = 16,
    }
}

wire_enum! {
    /// Error codes, in an error payload. `errors.rs` maps [`dodici_pool::ErrorKind`] to them, and
    /// `node/src/connection/errors.ts` maps them to the peer's classes.
    pub enum ErrorCode : u16 {
        /// `InvalidArgumentError`, `UND_ERR_INVALID_ARG`.
        InvalidArgument = 1,
        /// `RequestContentLengthMismatchError`.
        RequestContentLengthMismatch = 2,
        /// The body's own error, kept in JavaScript; seen only if Rust noticed first.
        RequestBody = 3,
        /// `RequestAbortedError`.
        Aborted = 4,
        /// `ClientDestroyedError`.
        Destroyed = 5,
        /// `ClientClosedError`.
        Closed = 6,
        /// `InformationalError` that names a bug.
        Internal = 7,
        /// `ConnectTimeoutError`.
        ConnectTimeout = 8,
        /// Plain `Error` with `code`, `errno`, `syscall`, `hostname`; an `AggregateError` when
        /// several addresses failed.
        System = 9,
        /// `HeadersTimeoutError`.
        HeadersTimeout = 10,
        /// `BodyTimeoutError`.
        BodyTimeout = 11,
        /// `HeadersOverflowError`.
        HeadersOverflow = 12,
        /// `ResponseContentLengthMismatchError`.
        ResponseContentLengthMismatch = 13,
        /// `ResponseExceededMaxSizeError`.
        ResponseExceededMaxSize = 14,
        /// `HTTPParserError`; the system code carries `HPE_…`.
        Parse = 15,
        /// `SocketError`.
        Socket = 16,
        /// Plain `Error` with Node's code `ERR_HTTP2_STREAM_ERROR`; `Errno` carries the code of
        /// RFC 9113.
        StreamReset = 17,
        /// `InformationalError`: the peer does not serve the request.
        Unserved = 18,
        /// `RequestAbortedError` that names the proxy's status.
        ProxyRefused = 20,
        /// `SecureProxyConnectionError`; the one `Attempt` is its cause.
        ProxyTls = 21,
        /// `ProxyConnectionError`; the one `Attempt` is its cause.
        ProxyConnection = 22,
        /// `Socks5ProxyError`; the system code carries `UND_ERR_SOCKS5…`.
        Socks = 23,
        /// Plain `Error` with `code` and `errno`, as from Node's zlib.
        ContentCoding = 24,
        /// `AddressNotAllowedError`; several `Attempt`s are its `errors`.
        AddressNotAllowed = 25,
        /// `TotalTimeoutError`, a class of ours.
        TotalTimeout = 30,
        /// `BodyRateError`, a class of ours.
        BodyTooSlow = 31,
    }
}

wire_enum! {
    /// Why a connection ended, in a `Disconnected` payload.
    pub enum WireCloseReason : u16 {
        /// `InformationalError('socket idle timeout')`.
        IdleTimeout = 1,
        /// `InformationalError('client ttl')`.
        Expired = 2,
        /// `InformationalError('reset')`.
        MaxRequests = 3,
        /// `InformationalError('reset')`.
        NotReusable = 4,
        /// `SocketError('other side closed')`.
        PeerClosed = 5,
        /// `SocketError('bad response')`.
        UnsolicitedData = 6,
        /// The exchange's error.
        ProtocolError = 7,
        /// The exchange's error.
        IoError = 8,
        /// The exchange's error.
        Timeout = 9,
        /// `InformationalError('aborted')`.
        Aborted = 10,
        /// `InformationalError('upgrade')`.
        Upgraded = 11,
        /// `ClientDestroyedError`.
        PoolClosed = 12,
        /// The error given to `destroy()`.
        PoolDestroyed = 13,
        /// `InformationalError`.
        Panicked = 14,
        /// `InformationalError('made room')`.
        MadeRoom = 15,
        /// `InformationalError('superseded')`.
        Superseded = 16,
    }
}

wire_enum! {
    /// Tags of the fields in error, `Connected` and `Disconnected` payloads. Each field is
    /// `u16 tag`, `u16 zero`, `u32 length`, value, padded to 4; text is UTF-8; an absent field is
    /// an absent value; a field whose tag a reader does not know is skipped.
    pub enum Field : u16 {
        /// `u32`: [`ErrorCode`].
        Code = 1,
        /// Text: the phase, as `dodici_pool::Phase` displays it.
        Phase = 2,
        /// Text: the message.
        Message = 3,
        /// Text: `ECONNREFUSED`, `HPE_INVALID_CONSTANT`, …
        SystemCode = 4,
        /// `i32`: negative errno as libuv reports it.
        Errno = 5,
        /// Text: `connect`, `getaddrinfo`, `read`, `write`.
        Syscall = 6,
        /// Text: address or path that was tried.
        Address = 7,
        /// `u32`: port that was tried.
        Port = 8,
        /// Text: name that did not resolve.
        Hostname = 9,
        /// Text: local IP address.
        LocalAddress = 10,
        /// `u32`.
        LocalPort = 11,
        /// Text: remote IP address.
        RemoteAddress = 12,
        /// `u32`.
        RemotePort = 13,
        /// `f64`.
        BytesWritten = 14,
        /// `f64`.
        BytesRead = 15,
        /// A nested error payload, one for each address that failed; repeats.
        Attempt = 16,
        /// Text: `h1` or `h2`.
        Protocol = 20,
        /// Text: path of a unix socket.
        Path = 21,
        /// Text: `TLSv1.2` or `TLSv1.3`; present exactly on TLS connections.
        TlsVersion = 22,
        /// Text: IANA name of the cipher suite.
        Cipher = 23,
        /// Text: the ALPN protocol that the server chose.
        AlpnProtocol = 24,
        /// `u32`: 1 if the TLS session was resumed.
        Resumed = 25,
        /// Text: the name sent in SNI.
        ServerName = 26,
        /// `u32`: 1 if the server's certificate was verified.
        Authorized = 35,
        /// The server's certificate, DER.
        Certificate = 36,
        /// `f64`, milliseconds.
        DnsTime = 27,
        /// `f64`, milliseconds.
        TcpTime = 28,
        /// `f64`, milliseconds.
        TlsTime = 29,
        /// `f64`, milliseconds.
        TotalTime = 30,
        /// `u32`: [`WireCloseReason`].
        Reason = 31,
        /// `f64`: requests that the connection answered.
        Requests = 32,
        /// `f64`, milliseconds since `Connected`.
        Age = 33,
        /// A nested error payload: what ended the connection.
        Cause = 34,
        /// `f64`, milliseconds.
        ProxyTime = 40,
        /// `u32`: status of the answer to `CONNECT`.
        ProxyStatus = 41,
        /// Fields of that answer: `name LF value LF` repeated, latin1.
        ProxyHeaders = 42,
        /// `f64`, milliseconds since the epoch of the environment: when connecting began.
        Started = 43,
        /// Text: the connection, as its pool names it.
        Conn = 50,
        /// `u32`: connections that are ready.
        Ready = 51,
        /// What a connection is doing, a nested payload; repeats.
        Status = 52,
        /// Text: the name of a `dodici_pool::Activity`.
        Activity = 53,
        /// `u32`: requests or streams on a connection.
        Open = 54,
        /// `f64`, milliseconds since a connection is idle.
        Idle = 55,
    }
}

wire_enum! {
    /// Indices in the array returned by the native function `counters`. They count for one
    /// environment, from its `open` on.
    pub enum Counter : u8 {
        /// Calls of `submit`.
        SubmitCalls = 0,
        /// Submission records.
        Submissions = 1,
        /// Bytes of submission records.
        SubmissionBytes = 2,
        /// Wake-ups of the JavaScript thread.
        Doorbells = 3,
        /// Batches, that is, calls of `onBatch`.
        Batches = 4,
        /// Completion records.
        Completions = 5,
        /// Bytes of completion records.
        CompletionBytes = 6,
        /// Body chunks passed in a slab.
        LargeChunks = 7,
        /// Batches that did not fit the inbound Buffer.
        OversizedBatches = 8,
        /// Completions dropped because their request had been cancelled.
        StaleCompletions = 9,
    }
}
