//! Requests over HTTP/3: one pool against a real server of other parts, and against scripted ones.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod byte_streams;
mod discovery;
mod early;
mod firewall;
mod pings;
mod requests;
mod support;
