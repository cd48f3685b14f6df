//! Plain values shared by all of dodici's crates.

pub mod close_reason;
pub mod config;
pub mod credit;
pub mod error;
pub mod event;
pub mod headers;
pub mod id;
pub mod origin;
pub mod phase;
pub mod proxy;
pub mod request;
pub mod response;
pub mod size_limit;
pub mod tls;
