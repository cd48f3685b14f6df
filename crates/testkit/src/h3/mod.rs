//! A raw HTTP/3 peer and what goes with it: frames written by hand, so that a test can send what no
//! library would.
//!
//! - [`quic`]: the peer: a QUIC server that runs a script per connection; [`log`]: what it saw.
//! - [`conn`]: one connection in the hands of its script; [`stream`]: one request stream.
//! - [`qpack`]: field sections without a dynamic table.
//! - [`origin`]: a small real HTTP/3 server, made of quinn and h3.
//! - [`relay`]: a relay of datagrams that loses, repeats, forges and redirects them.
//!
//! Of the engine, it shares quinn: the transport is not what these tests look at. Framing and
//! QPACK are its own.

pub mod conn;
pub mod log;
pub mod origin;
pub mod qpack;
pub mod quic;
pub mod relay;
mod shared;
pub mod stream;

/// Frame types (RFC 9114, section 7.2).
pub mod kind {
    #![allow(missing_docs)]
    pub const DATA: u64 = 0;
    pub const HEADERS: u64 = 1;
    /// Of HTTP/2; forbidden.
    pub const PRIORITY: u64 = 2;
    pub const CANCEL_PUSH: u64 = 3;
    pub const SETTINGS: u64 = 4;
    pub const PUSH_PROMISE: u64 = 5;
    /// Of HTTP/2; forbidden.
    pub const PING: u64 = 6;
    pub const GOAWAY: u64 = 7;
    /// Of HTTP/2; forbidden.
    pub const WINDOW_UPDATE: u64 = 8;
    /// Of HTTP/2; forbidden.
    pub const CONTINUATION: u64 = 9;
    pub const MAX_PUSH_ID: u64 = 13;
    /// Reserved so that unknown types are exercised (section 7.2.8).
    pub const GREASE: u64 = 0x21;
}

/// Types of unidirectional streams (RFC 9114, section 6.2, and RFC 9204, section 4.2).
pub mod stream_kind {
    #![allow(missing_docs)]
    pub const CONTROL: u64 = 0;
    pub const PUSH: u64 = 1;
    pub const QPACK_ENCODER: u64 = 2;
    pub const QPACK_DECODER: u64 = 3;
    /// Reserved so that unknown types are exercised (section 6.2.3).
    pub const GREASE: u64 = 0x21;
}

/// Settings (RFC 9114, section 7.2.4.1, RFC 9204, section 5, and RFC 9220).
pub mod setting {
    #![allow(missing_docs)]
    pub const QPACK_MAX_TABLE_CAPACITY: u64 = 1;
    /// Of HTTP/2; forbidden.
    pub const ENABLE_PUSH: u64 = 2;
    pub const MAX_FIELD_SECTION_SIZE: u64 = 6;
    pub const QPACK_BLOCKED_STREAMS: u64 = 7;
    pub const ENABLE_CONNECT_PROTOCOL: u64 = 8;
}

/// Error codes (RFC 9114, section 8.1, and RFC 9204, section 6).
pub mod code {
    #![allow(missing_docs)]
    pub const NO_ERROR: u64 = 0x100;
    pub const GENERAL_PROTOCOL_ERROR: u64 = 0x101;
    pub const INTERNAL_ERROR: u64 = 0x102;
    pub const STREAM_CREATION_ERROR: u64 = 0x103;
    pub const CLOSED_CRITICAL_STREAM: u64 = 0x104;
    pub const FRAME_UNEXPECTED: u64 = 0x105;
    pub const FRAME_ERROR: u64 = 0x106;
    pub const EXCESSIVE_LOAD: u64 = 0x107;
    pub const ID_ERROR: u64 = 0x108;
    pub const SETTINGS_ERROR: u64 = 0x109;
    pub const MISSING_SETTINGS: u64 = 0x10a;
    pub const REQUEST_REJECTED: u64 = 0x10b;
    pub const REQUEST_CANCELLED: u64 = 0x10c;
    pub const REQUEST_INCOMPLETE: u64 = 0x10d;
    pub const MESSAGE_ERROR: u64 = 0x10e;
    pub const CONNECT_ERROR: u64 = 0x10f;
    pub const VERSION_FALLBACK: u64 = 0x110;
    pub const QPACK_DECOMPRESSION_FAILED: u64 = 0x200;
    pub const QPACK_ENCODER_STREAM_ERROR: u64 = 0x201;
    pub const QPACK_DECODER_STREAM_ERROR: u64 = 0x202;
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Type.
    pub kind: u64,
    /// Payload.
    pub payload: Vec<u8>,
}

impl Frame {
    /// The numbers that the payload consists of.
    ///
    /// # Panics
    /// If it consists of something else.
    pub fn numbers(&self) -> Vec<u64> {
        let mut rest = &self.payload[..];
        let mut numbers = Vec::new();
        while !rest.is_empty() {
            let (number, len) = read_varint(rest).expect("numbers are complete");
            numbers.push(number);
            rest = &rest[len..];
        }
        numbers
    }
}

/// The bytes of a frame, correct or not.
pub fn frame(kind: u64, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let mut bytes = varint(kind);
    bytes.extend(varint(payload.len() as u64));
    bytes.extend(payload);
    bytes
}

/// A SETTINGS frame.
pub fn settings(settings: &[(u64, u64)]) -> Vec<u8> {
    let numbers = settings.iter().flat_map(|(id, value)| [*id, *value]);
    frame(
        kind::SETTINGS,
        numbers.flat_map(varint).collect::<Vec<u8>>(),
    )
}

/// A HEADERS frame of a response.
pub fn head(status: u16, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(kind::HEADERS, qpack::response_section(status, fields))
}

/// A number in as few bytes as possible (RFC 9000, section 16).
///
/// # Panics
/// If it has more than 62 bits.
pub fn varint(number: u64) -> Vec<u8> {
    match number {
        0..0x40 => vec![number as u8],
        0x40..0x4000 => (number as u16 | 0x4000).to_be_bytes().to_vec(),
        0x4000..0x4000_0000 => (number as u32 | 0x8000_0000).to_be_bytes().to_vec(),
        0x4000_0000..0x4000_0000_0000_0000 => {
            (number | 0xc000_0000_0000_0000).to_be_bytes().to_vec()
        }
        _ => panic!("{number} has more than 62 bits"),
    }
}

/// The number that these bytes begin with, and its length; `None` if they are too few.
pub fn read_varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let len = 1 << (first >> 6);
    let rest = bytes.get(1..len)?;
    let number = rest.iter().fold(u64::from(first & 0x3f), |number, byte| {
        number << 8 | u64::from(*byte)
    });
    Some((number, len))
}

#[cfg(test)]
mod tests;
