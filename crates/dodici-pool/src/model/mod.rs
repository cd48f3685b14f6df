//! Plain values shared by all of dodici's crates.

pub(crate) mod close_reason;
pub(crate) mod config;
pub(crate) mod credit;
pub(crate) mod error;
pub(crate) mod event;
pub(crate) mod headers;
pub(crate) mod http3;
pub(crate) mod id;
mod named;
pub(crate) mod origin;
pub(crate) mod phase;
pub(crate) mod proxy;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod size_limit;
pub(crate) mod status;
pub(crate) mod timings;
pub(crate) mod tls;
