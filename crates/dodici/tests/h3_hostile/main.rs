//! What HTTP/3 servers, and the network before them, do wrong. However it is, every request settles
//! exactly once, and half a body is never a success.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod floods;
mod limits;
mod pieces;
mod refusals;
mod steps;
mod support;
mod transport;
mod violations;
