//! Vocabulary types: plain values that every crate of dodici shares.

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
