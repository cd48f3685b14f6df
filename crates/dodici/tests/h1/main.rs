//! Requests over HTTP/1.1: one pool against scripted servers.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod aborts;
mod backpressure;
mod caller_fields;
mod events;
mod expect_continue;
mod heads;
mod isolation;
mod limits;
mod lost;
mod odd_servers;
mod panics;
mod pause;
mod pieces;
mod pipelining;
mod rest;
mod reuse;
mod settlement;
mod support;
mod timeouts;
mod timings;
mod upgrades;
mod uploads;
mod whole_requests;
