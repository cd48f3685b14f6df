//! What the engine guarantees for every version of HTTP: its API with the `http` crate's types,
//! connections (how many, ahead of time, what they are doing), decoded bodies, panics in user code,
//! the end of the runtime, TLS, proxies and traces.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod client;
mod connections;
mod decoding;
mod panics;
mod proxy;
mod runtimes;
mod tls;
mod trace;
