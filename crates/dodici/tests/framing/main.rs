//! The framing guard alone, without sockets: a server's bytes in, responses or an error out.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod guard;
mod properties;
mod support;
mod vectors;
