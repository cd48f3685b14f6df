//! One connection: the framing guard, alone or with hyper behind it, or the h2 crate.
//!
//! - [`framing`]: the strict HTTP/1 reader, a state machine without I/O.
//! - `pipe`: an HTTP/1.1 connection; the guard is its decoder.
//! - `hyper`: an HTTP/1.1 connection lent to hyper for one exchange.
//! - `h2`: an HTTP/2 connection and its streams.
//! - `h3`: the same over QUIC, behind the feature `http3`.
//! - `huffman`: the code of strings in both. `multiplexed`: what these two have in common. `ready`: wakers that tell the connection's task
//!   which of its streams to poll.
//! - `eof`: what the end of the transport means.
//! - `rest`: an HTTP/1.1 connection between two uses.
//! - `stream`: the byte stream after an upgrade.
//!
//! Must not know pools, queues or other connections.

mod eof;
pub mod framing;
pub(crate) mod h2;
#[cfg(feature = "http3")]
pub(crate) mod h3;
mod huffman;
mod hyper;
mod multiplexed;
mod pipe;
mod ready;
mod rest;
mod stream;

use dodici_pool::ExchangeConfig;

pub(crate) use self::hyper::{Answer, HyperConn, Inbound, Piece, Started};
pub(crate) use multiplexed::{
    Driven, Multiplexed, MultiplexedStream, NotOpened, Received as StreamReceived, StreamFailure,
    StreamLimits,
};
pub(crate) use pipe::{PipeConn, Received};
pub(crate) use ready::{Ready, SlotWaker};
pub(crate) use rest::AtRest;
pub(crate) use stream::ByteStream;

/// The framing guard of a connection with these limits.
fn guard(config: &ExchangeConfig) -> framing::Guard {
    let mut limits = framing::Limits {
        max_header_size: config.max_header_size,
        ..framing::Limits::default()
    };
    if let Some(fields) = config.max_fields {
        limits = limits.with_max_fields(fields);
    }
    let guard = framing::Guard::new(limits, config.unexpected_continue);
    guard
        .with_leniency(config.leniency)
        .with_connect_any_status(config.connect_any_status)
}
