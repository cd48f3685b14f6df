//! One HTTP/2 connection: the h2 crate over a tap that listens to the frames.
//!
//! - `frames`, `budget`: frame headers in a byte stream, and how many a peer may send.
//! - `names`: names of fields that have no place in what a server sends.
//! - `tap`: the byte stream between socket and h2.
//! - `head`: a serialised HTTP/1.1 head as a request of HTTP/2, and heads of responses back.
//! - `conn`: the connection: opens streams, drives h2, PING, what GOAWAY said.
//! - `pace`: whether a stream's window is too small for the way to the peer.
//! - `stream`: one stream, both directions.
//! - `ready`: wakers that tell the connection's task which of its streams to look at.
//!
//! Knows nothing of pools, queues, sinks or other connections.

mod budget;
mod conn;
mod frames;
mod head;
mod names;
mod pace;
mod ready;
mod stream;
mod tap;

/// Error codes (RFC 9113, section 7): an orderly goodbye.
pub(crate) const NO_ERROR: u32 = 0;
/// The peer broke the protocol.
pub(crate) const PROTOCOL_ERROR: u32 = 1;
/// The stream is not needed any more.
pub(crate) const CANCEL: u32 = 8;

pub(crate) use conn::{Driven, H2Conn, NotOpened};
pub(crate) use head::Target;
pub(crate) use ready::{Ready, SlotWaker};
pub(crate) use stream::{H2Stream, Received, StreamFailure};
