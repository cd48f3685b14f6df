//! Third-party servers, over HTTP/2 and HTTP/3.
//!
//! `DODICI_INTEROP_REQUESTS` sets the number of requests of each kind and `DODICI_LARGE_BODY` the
//! bytes of a large body; `just soak-h2` and `just soak-h3` run the long form.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod exercise;
mod h2;
mod h3;
mod servers;
