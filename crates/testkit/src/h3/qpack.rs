//! QPACK (RFC 9204) without a dynamic table: field sections of responses to send, those of requests
//! to read.
//!
//! Strict: a section that a client must not send to a server without a dynamic table panics.

/// The engine's: that it is the RFC's, the tests with servers of others show.
#[path = "../../../dodici/src/conn/h3/qpack/table.rs"]
mod table;

use std::collections::HashMap;
use std::sync::LazyLock;

/// A field section of literals, names included.
pub fn section(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = PREFIX.to_vec();
    bytes.extend(fields.iter().flat_map(|(name, value)| literal(name, value)));
    bytes
}

/// A section for a response.
pub fn response_section(status: u16, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = section(&[(":status", &status.to_string())]);
    bytes.extend(fields.iter().flat_map(|(name, value)| literal(name, value)));
    bytes
}

/// What a section without references to a dynamic table begins with (section 4.5.1).
pub const PREFIX: [u8; 2] = [0, 0];

/// A field line with both as literals (section 4.5.6).
pub fn literal(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_number(&mut bytes, 0x20, 3, name.len() as u64);
    bytes.extend(name.as_bytes());
    put_number(&mut bytes, 0, 7, value.len() as u64);
    bytes.extend(value.as_bytes());
    bytes
}

/// A field line that is an entry of the static table (section 4.5.2), which may not exist.
pub fn indexed(index: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_number(&mut bytes, 0xc0, 6, index);
    bytes
}

/// A field line that is an entry of the dynamic table (section 4.5.2), which the client said it
/// has not.
pub fn dynamic(index: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_number(&mut bytes, 0x80, 6, index);
    bytes
}

/// A field line with a name of the static table (section 4.5.4).
pub fn named(index: u64, value: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_number(&mut bytes, 0x50, 4, index);
    put_number(&mut bytes, 0, 7, value.len() as u64);
    bytes.extend(value.as_bytes());
    bytes
}

/// Appends a number with a prefix of this many bits, below other bits of its first byte (RFC 7541,
/// section 5.1).
pub fn put_number(bytes: &mut Vec<u8>, first: u8, prefix: u32, number: u64) {
    let most = (1 << prefix) - 1;
    if number < most {
        return bytes.push(first | number as u8);
    }
    bytes.push(first | most as u8);
    let mut rest = number - most;
    while rest >= 128 {
        bytes.push((rest % 128 + 128) as u8);
        rest /= 128;
    }
    bytes.push(rest as u8);
}

/// The fields of a section, in order.
///
/// # Panics
/// If it is malformed, or refers to a dynamic table.
pub fn read_section(section: &[u8]) -> Vec<(String, String)> {
    let Some(lines) = section.strip_prefix(&PREFIX) else {
        panic!("a section that refers to a dynamic table: {section:02x?}");
    };
    let mut reader = Reader(lines);
    let mut fields = Vec::new();
    while let Some(first) = reader.0.first().copied() {
        fields.push(match first {
            0xc0.. => {
                let (name, value) = entry(reader.number(6));
                (name.to_owned(), value.to_owned())
            }
            0x50..0x60 | 0x70..0x80 => {
                let name = entry(reader.number(4)).0.to_owned();
                (name, reader.text(7))
            }
            0x20..0x40 => (reader.text(3), reader.text(7)),
            _ => panic!("a field line that refers to a dynamic table: {first:#x}"),
        });
    }
    fields
}

fn entry(index: u64) -> (&'static str, &'static str) {
    let entry = table::FIELDS.get(index as usize);
    *entry.unwrap_or_else(|| panic!("no entry {index} in the static table"))
}

/// What is left of a section.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().expect("a section that is complete");
        self.0 = rest;
        *first
    }

    /// A number with a prefix of this many bits.
    fn number(&mut self, prefix: u32) -> u64 {
        let most = (1 << prefix) - 1;
        let mut number = u64::from(self.byte()) & most;
        if number < most {
            return number;
        }
        for shift in (0..).step_by(7) {
            let byte = self.byte();
            number += u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        number
    }

    /// A string whose length has a prefix of this many bits, below the bit that says whether it is
    /// coded.
    fn text(&mut self, prefix: u32) -> String {
        let coded = self.0.first().is_some_and(|byte| byte & 1 << prefix != 0);
        let len = self.number(prefix) as usize;
        assert!(len <= self.0.len(), "a string that is complete");
        let (bytes, rest) = self.0.split_at(len);
        self.0 = rest;
        let bytes = if coded { decode(bytes) } else { bytes.to_vec() };
        bytes.into_iter().map(char::from).collect()
    }
}

/// Decodes a Huffman-coded string (RFC 7541, section 5.2).
///
/// # Panics
/// If it is malformed.
pub fn decode(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let (mut code, mut len) = (0_u32, 0_u8);
    for byte in bytes {
        for bit in (0..8).rev() {
            code = code << 1 | u32::from(byte >> bit & 1);
            len += 1;
            if let Some(symbol) = SYMBOLS.get(&(len, code)) {
                out.push(*symbol);
                (code, len) = (0, 0);
            }
        }
    }
    // The rest is padding: the beginning of the code of the end, which is all ones.
    assert!(len < 8 && code == (1 << len) - 1, "bad padding: {code:b}");
    out
}

/// Symbols by the length and the number of their codes, which are canonical: they ascend with their
/// length, then with the symbol.
static SYMBOLS: LazyLock<HashMap<(u8, u32), u8>> = LazyLock::new(|| {
    let mut symbols = HashMap::new();
    let mut next = 0;
    for len in 1..=30 {
        next <<= 1;
        let of_length = (0..=u8::MAX).filter(|symbol| LENGTHS[usize::from(*symbol)] == len);
        for symbol in of_length {
            symbols.insert((len, next), symbol);
            next += 1;
        }
    }
    symbols
});

/// Lengths of the codes of all bytes, in bits (RFC 7541, appendix B).
#[rustfmt::skip]
const LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7,
    7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21,
    23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24,
    21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];
