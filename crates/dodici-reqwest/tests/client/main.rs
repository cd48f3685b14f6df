//! The client against scripted servers: what reqwest's own tests do not cover.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod allow;
mod callbacks;
mod connections;
mod example;
mod http2_options;
mod limits;
mod methods;
mod pool;
mod shared;
mod tls_options;
mod trace;
mod trust;
mod ways;
