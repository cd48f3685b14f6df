//! Tests of HTTP/1.1 connections once more, with the engine's own codec in hyper's place: what is
//! true of reuse, ends, settling, flow control and TLS is true of both. The test kit sets the option
//! for every pool that it opens in this binary.
#![allow(missing_docs)]

#[path = "backpressure.rs"]
mod backpressure;
#[path = "lifecycle.rs"]
mod lifecycle;
#[path = "pause.rs"]
mod pause;
#[path = "proxy.rs"]
mod proxy;
#[path = "reuse.rs"]
mod reuse;
#[path = "settlement.rs"]
mod settlement;
#[path = "tls.rs"]
mod tls;
