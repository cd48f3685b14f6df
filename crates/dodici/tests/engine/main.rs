//! What the engine guarantees for every version of HTTP: its API with the `http` crate's types,
//! decoded bodies, panics in user code, TLS, proxies and traces.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod client;
mod decoding;
mod panics;
mod proxy;
mod tls;
mod trace;
