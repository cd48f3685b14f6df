//! One HTTP/2 connection: the h2 crate over a tap that parses frame headers.
//!
//! - `frames`, `budget`: finding frames in a byte stream, and how many a peer may send.
//! - `names`, `huffman`: fields that are not allowed from a server.
//! - `cleanse`: makes a block with invalid fields one that fails its stream only.
//! - `tap`: the byte stream between socket and h2.
//! - `head`: conversion of HTTP/1.1 request heads to HTTP/2, and of response heads back.
//! - `conn`: the connection: opens streams, drives h2, PING, GOAWAY.
//! - `pace`: whether a stream's window is too small for the round-trip time.
//! - `stream`: one stream, both directions.
//! - `ready`: wakers that tell the connection's task which of its streams to poll.
//!
//! Must not know pools, queues, sinks or other connections.

mod budget;
mod cleanse;
mod conn;
mod frames;
mod head;
mod huffman;
mod names;
mod pace;
mod ready;
mod stream;
mod tap;

/// Error codes (RFC 9113, section 7): graceful shutdown.
pub(crate) const NO_ERROR: u32 = 0;
/// The peer violated the protocol.
pub(crate) const PROTOCOL_ERROR: u32 = 1;
/// The stream is no longer needed.
pub(crate) const CANCEL: u32 = 8;

pub(crate) use conn::{Driven, H2Conn, NotOpened};
pub(crate) use head::Target;
pub(crate) use ready::{Ready, SlotWaker};
pub(crate) use stream::{H2Stream, Received, StreamFailure};
