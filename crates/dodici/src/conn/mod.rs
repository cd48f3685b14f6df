//! One connection: the framing guard, alone or with hyper behind it, or the h2 crate.
//!
//! - [`framing`]: the strict HTTP/1 reader, a state machine without I/O.
//! - `link`: the byte stream between socket and hyper, with the guard in it.
//! - `pass`: what hyper reads in place of what came.
//! - `pipe`: an HTTP/1.1 connection; the guard is its decoder.
//! - `h1`: such a connection lent to hyper for one exchange.
//! - `h2`: an HTTP/2 connection and its streams.
//! - `eof`: what the end of the transport means.
//! - `rest`: such a connection between two uses.
//! - `stream`: what is left after an upgrade, a byte stream.
//!
//! Must not know pools, queues or other connections.

mod eof;
pub mod framing;
mod h1;
pub(crate) mod h2;
mod link;
mod pass;
mod pipe;
mod read_buf;
mod rest;
mod stream;

pub(crate) use h1::{H1Conn, poll_response};
pub(crate) use pipe::{PipeConn, Received};
pub(crate) use rest::AtRest;
pub(crate) use stream::ByteStream;
