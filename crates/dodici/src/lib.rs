//! HTTP client engine: connection pools for HTTP/1.1, HTTP/2 and HTTP/3.
//!
//! HTTP/1.1 is our own code for requests in memory and hyper for streamed ones, HTTP/2 is the h2
//! crate, HTTP/3 our own code on quinn-proto.
//!
//! - [`Engine`] creates a [`Pool`] for an origin; [`Pool::dispatch`] queues a request and reports
//!   everything that happens to it to a [`Sink`].
//! - The pool reports every connection to an [`EventSink`].
//! - [`Pool::send`] does the same with the `http` crate's types: a request in, a response out.
//! - [`OriginConfig`] is the configuration of an origin.
//!
//! ARCHITECTURE.md shows the modules and which may depend on which.
//!
//! # Features
//!
//! - `codings`: decodes content codings for requests that ask for it.
//! - `http3`: HTTP/3, where [`OriginConfig::http3`] asks for it.
//! - `tracing`: spans and events for the [`tracing`](https://docs.rs/tracing) crate, at level
//!   `DEBUG`. Target `dodici::connection`: a span per connection attempt, and events for connections
//!   that were opened, failed (phase, reason) and ended (reason, traffic). Target `dodici::request`: a
//!   span per request, and events for its head, its loss with a connection (and whether it is
//!   replayed), and its end with outcome and timings. No path, header or body is recorded.
//!
//! All are off by default.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod body;
mod client;
mod clock;
mod command;
mod conn;
mod connect;
mod decoding;
mod engine;
mod exchange;
mod origin;
mod settle;
mod sink;
mod spare;
mod trace;
mod tuning;

/// For tests, fuzzing and benchmarks of the decoder alone.
#[doc(hidden)]
pub use conn::framing;
#[cfg(feature = "http3")]
#[doc(hidden)]
pub use conn::h3::decoders as http3_decoders;

pub use client::{
    ConnectionBook, IncomingBody, LastLook, OnInformational, OnTimings, OnWritten, RawHeaders,
    RawTrailers, RequestOptions, ResponseDetail, SendBody, Upgraded,
};
pub use connect::{
    AddressRule, AroundHook, ConnectHooks, Connected, DefaultRoots, HookFuture, IdentityHook,
    ResolveHook, Roots, SocketHook, StrictVerifier, check_literal, clear_dns_cache, is_public,
    public,
};
pub use dodici_pool::{
    Activity, AddressOrder, Alternative, BodyKind, CloseReason, Congestion, ConnId, ConnectConfig,
    ConnectFailure, ConnectInfo, ConnectTimings, ConnectionStatus, Decode, DecodeManner,
    DisconnectInfo, DnsCacheConfig, Error, ErrorKind, Event, ExchangeConfig, Family, HeaderBlock,
    Http2Config, Http3Config, Http3Mode, Identity, Leniency, Offer, Origin, OriginConfig,
    ParseErrorCode, Phase, PoolConfig, PoolStats, Protocol, Proxy, ProxyAnswer, ProxyCredentials,
    ProxyInfo, ProxyProtocol, Replay, Request, RequestKind, RequestTimings, ResponseHead,
    RootSource, Scheme, SizeLimit, SocketInfo, SocksResolve, SystemDetail, TlsConfig, TlsInfo,
    TlsVersion, UnexpectedContinue, Version, piece_cost,
};
pub use engine::{AltSvcCache, Engine, check_config};
pub use origin::{ConnectionLimit, Pool, RequestHandle};
pub use sink::{EventSink, ExchangeInfo, NoEvents, Sink};
pub use tuning::READ_SLACK;
