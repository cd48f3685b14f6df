//! HTTP engine: a hand-tuned connection pool over hyper and h2.
//!
//! - [`Engine`] makes a [`Pool`] for an origin; [`Pool::dispatch`] queues a request and tells a
//!   [`Sink`] everything that happens to it.
//! - The pool reports every connection through an [`EventSink`].
//! - [`Pool::send`] does the same with the `http` crate's types: a request in, a response out.
//! - [`OriginConfig`] holds the limits, undici's names and defaults.
//!
//! Layers, top to bottom: `engine`, `origin` (pool and connection tasks), `exchange`, then `conn`,
//! `connect` and `body`, then `command` and `clock`. None imports from a layer above it.

mod body;
mod client;
mod clock;
mod command;
#[doc(hidden)]
pub mod conn;
mod connect;
mod decoding;
mod engine;
mod exchange;
mod origin;
mod sink;
mod spare;

pub use client::{
    ConnectionBook, IncomingBody, LastLook, OnInformational, OnWritten, RawHeaders, RawTrailers,
    RequestOptions, ResponseDetail, SendBody, Upgraded,
};
pub use connect::{
    AroundHook, ConnectHooks, Connected, DefaultRoots, HookFuture, ResolveHook, Roots, SocketHook,
    StrictVerifier,
};
pub use dodici_pool::*;
pub use engine::{Engine, check_config};
pub use origin::{Pool, RequestHandle};
pub use sink::{EventSink, ExchangeInfo, NoEvents, Sink};
