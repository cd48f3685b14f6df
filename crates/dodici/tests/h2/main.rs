//! Requests over HTTP/2: one pool against scripted servers.
//!
//! Floods, resets in bulk and third-party servers have separate test binaries, because they
//! measure the memory of their process or run for a long time.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod bodies;
mod byte_streams;
mod concurrency;
mod ends;
mod heads;
mod limits;
mod refusals;
mod support;
mod timings;
mod uploads;
