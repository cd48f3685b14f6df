//! What the engine promises whatever the version of HTTP: its API in the `http` crate's types,
//! decoded bodies, panics of the user's code, TLS, proxies and traces.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod client;
mod decoding;
mod panics;
mod proxy;
mod tls;
mod trace;
