//! The framing guard alone: bytes of a server in, responses or a refusal out. No socket.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod guard;
mod properties;
mod support;
mod vectors;
