//! Tests of the connect module against real sockets and real TLS on loopback.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod allow;
mod dns;
mod dns_cache;
mod identity;
mod offer;
mod probe;
mod proxy;
mod public;
#[cfg(feature = "http3")]
mod quic;
mod read_ahead;
mod revocation;
mod socks;
pub(crate) mod support;
mod tcp;
mod tls;
mod trust;
