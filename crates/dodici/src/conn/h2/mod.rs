//! One HTTP/2 connection: the h2 crate over a tap that parses frame headers.
//!
//! - `frames`, `budget`: finding frames in a byte stream, and how many a peer may send.
//! - `names`: fields that are not allowed from a server.
//! - `cleanse`: makes a block with invalid fields one that fails its stream only.
//! - `tap`: the byte stream between socket and h2.
//! - `head`: conversion of HTTP/1.1 request heads to HTTP/2, and of response heads back.
//! - `conn`: the connection: opens streams, drives h2, PING, GOAWAY.
//! - `pace`: whether a stream's window is too small for the round-trip time.
//! - `stream`: one stream, both directions.
//!
//! Must not know pools, queues, sinks or other connections.

use std::borrow::Cow;

mod budget;
mod cleanse;
mod conn;
mod frames;
mod head;
mod names;
mod pace;
mod stream;
mod tap;

/// Error codes (RFC 9113, section 7): graceful shutdown.
const NO_ERROR: u32 = 0;
/// The peer violated the protocol.
const PROTOCOL_ERROR: u32 = 1;
/// The stream is no longer needed.
const CANCEL: u32 = 8;

pub(crate) use conn::H2Conn;
pub(crate) use head::Target;

/// nghttp2's name of an error code, as Node prints it.
fn code_name(code: u32) -> Cow<'static, str> {
    const NAMES: [&str; 14] = [
        "NO_ERROR",
        "PROTOCOL_ERROR",
        "INTERNAL_ERROR",
        "FLOW_CONTROL_ERROR",
        "SETTINGS_TIMEOUT",
        "STREAM_CLOSED",
        "FRAME_SIZE_ERROR",
        "REFUSED_STREAM",
        "CANCEL",
        "COMPRESSION_ERROR",
        "CONNECT_ERROR",
        "ENHANCE_YOUR_CALM",
        "INADEQUATE_SECURITY",
        "HTTP_1_1_REQUIRED",
    ];
    match NAMES.get(code as usize) {
        Some(name) => format!("NGHTTP2_{name}").into(),
        None => code.to_string().into(),
    }
}
