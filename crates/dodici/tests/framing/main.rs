//! The framing guard alone: a server's bytes in, responses or an error out. No sockets.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod guard;
mod properties;
mod support;
mod vectors;
