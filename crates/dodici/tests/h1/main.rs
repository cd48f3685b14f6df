//! Requests over HTTP/1.1: one pool against servers that do exactly what a test says.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod backpressure;
mod caller_fields;
mod lifecycle;
mod odd_servers;
mod pause;
mod pieces;
mod pipelining;
mod reuse;
mod settlement;
mod whole_requests;
