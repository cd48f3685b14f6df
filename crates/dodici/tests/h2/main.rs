//! Requests over HTTP/2: one pool against servers that do exactly what a test says.
//!
//! Floods, storms and servers of others are test binaries of their own, because they watch the
//! memory of their process or run for long.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod bodies;
mod byte_streams;
mod concurrency;
mod ends;
mod heads;
mod limits;
mod refusals;
mod support;
mod uploads;
