//! One HTTP/3 connection (RFC 9114) on a QUIC connection.
//!
//! - `varint`, `frames`: the frames in a stream of bytes.
//! - `qpack`: field sections (RFC 9204), without a dynamic table.
//! - `head`: fields of requests and responses.
//! - `control`: what the peer sends on streams of its own: settings, GOAWAY.
//! - `conn`: the connection: opens streams, is driven; `shared`: what its streams see of it.
//! - `stream`: one request stream, both directions; `outgoing`: what it has to send.
//! - `decoders`: the decoders of all of this alone, for fuzzing.
//!
//! Must not know pools, queues, sinks or other connections.

mod conn;
mod control;
pub mod decoders;
mod frames;
mod head;
mod outgoing;
mod qpack;
mod shared;
mod stream;
mod varint;

use std::borrow::Cow;

pub(crate) use conn::H3Conn;

/// Error codes (RFC 9114, section 8.1; RFC 9204, section 6).
mod code {
    pub(super) const NO_ERROR: u32 = 0x100;
    pub(super) const GENERAL_PROTOCOL_ERROR: u32 = 0x101;
    pub(super) const STREAM_CREATION_ERROR: u32 = 0x103;
    pub(super) const CLOSED_CRITICAL_STREAM: u32 = 0x104;
    pub(super) const FRAME_UNEXPECTED: u32 = 0x105;
    pub(super) const FRAME_ERROR: u32 = 0x106;
    pub(super) const EXCESSIVE_LOAD: u32 = 0x107;
    pub(super) const ID_ERROR: u32 = 0x108;
    pub(super) const SETTINGS_ERROR: u32 = 0x109;
    pub(super) const MISSING_SETTINGS: u32 = 0x10a;
    pub(super) const REQUEST_REJECTED: u32 = 0x10b;
    pub(super) const REQUEST_CANCELLED: u32 = 0x10c;
    pub(super) const MESSAGE_ERROR: u32 = 0x10e;
    pub(super) const DECOMPRESSION_FAILED: u32 = 0x200;
    pub(super) const ENCODER_STREAM_ERROR: u32 = 0x201;
    pub(super) const DECODER_STREAM_ERROR: u32 = 0x202;
}

/// A violation that ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Violation {
    code: u32,
    what: &'static str,
}

impl Violation {
    const fn new(code: u32, what: &'static str) -> Self {
        Self { code, what }
    }
}

/// The RFCs' name of an error code.
fn code_name(code: u32) -> Cow<'static, str> {
    const HTTP: [&str; 17] = [
        "NO_ERROR",
        "GENERAL_PROTOCOL_ERROR",
        "INTERNAL_ERROR",
        "STREAM_CREATION_ERROR",
        "CLOSED_CRITICAL_STREAM",
        "FRAME_UNEXPECTED",
        "FRAME_ERROR",
        "EXCESSIVE_LOAD",
        "ID_ERROR",
        "SETTINGS_ERROR",
        "MISSING_SETTINGS",
        "REQUEST_REJECTED",
        "REQUEST_CANCELLED",
        "REQUEST_INCOMPLETE",
        "MESSAGE_ERROR",
        "CONNECT_ERROR",
        "VERSION_FALLBACK",
    ];
    const QPACK: [&str; 3] = [
        "DECOMPRESSION_FAILED",
        "ENCODER_STREAM_ERROR",
        "DECODER_STREAM_ERROR",
    ];
    let name = |names: &[&str], first: u32, prefix: &str| {
        let index = code.checked_sub(first)?;
        let name = names.get(index as usize)?;
        Some(Cow::from(format!("{prefix}_{name}")))
    };
    name(&HTTP, code::NO_ERROR, "H3")
        .or_else(|| name(&QPACK, code::DECOMPRESSION_FAILED, "QPACK"))
        .unwrap_or_else(|| format!("{code:#x}").into())
}
