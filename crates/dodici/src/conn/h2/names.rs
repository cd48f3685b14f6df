//! Detects fields that are not allowed from a server (RFC 9113, sections 8.2.1 and 8.3).
//!
//! h2 accepts request pseudo-headers anywhere and does not report them; fields that no message may
//! contain end its connection. This parser scans the blocks of fields that pass the tap: names are
//! read, values are looked at and not decoded. A name in HPACK's dynamic table is invisible when it
//! is used again, so a peer that adds a request pseudo-header there is flagged. A block that may
//! contain an invalid field is suspect: [`super::cleanse`] finds out. A state machine without I/O;
//! blocks may be split anywhere.

use super::frames::{Frame, PADDED, PRIORITY, kind};
use crate::conn::huffman::{self, Huffman};

/// The static table's entries of request pseudo-headers: `:authority` to `:scheme` (RFC 7541,
/// appendix A).
pub(super) const REQUEST: std::ops::RangeInclusive<u32> = 1..=7;

/// `:status`, plain and Huffman-coded: the only pseudo-header of a response.
const STATUS: &[u8] = b":status";
const STATUS_CODED: &[u8] = &[0xb8, 0x84, 0x8d, 0x36, 0xa3];

/// `:` Huffman-coded: the first seven bits of a name.
const COLON_CODED: u8 = 0x5c;

/// Its entries in the static table.
pub(super) const STATUSES: std::ops::RangeInclusive<u32> = 8..=14;

/// The last entry of the static table (RFC 7541, appendix A); behind it is the dynamic one.
const STATIC: u32 = 61;

/// Largest HPACK integer needed here. Beyond it h2 closes the connection.
const MOST: u32 = 1 << 28;

/// What a block contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A request pseudo-header.
    Foreign,
    /// One that may be reused unnoticed.
    Kept,
}

/// Whether a field's name may contain this byte (RFC 9113, section 8.2.1).
pub(super) const fn is_name_byte(byte: u8) -> bool {
    matches!(
        byte,
        b'a'..=b'z' | b'0'..=b'9' | b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~'
    )
}

/// Whether a field's value may contain this byte (RFC 9110, section 5.5).
pub(super) const fn is_value_byte(byte: u8) -> bool {
    (byte >= b' ' && byte != 0x7f) || byte == b'\t'
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct NameReader {
    /// Something in the block may be invalid.
    pub(super) suspect: bool,
    /// Fields of the block so far, including pseudo-headers.
    pub(super) fields: u32,
    /// Those of them whose name, or name and value, are repeated from the dynamic table.
    pub(super) repeated: u32,
    at: At,
    /// Bytes of the frame's payload that are still the block's.
    left: u32,
    /// Bytes of padding after them.
    padding: u32,
    /// An integer that continues, and the shift of its next bits.
    number: u32,
    shift: u32,
    /// What the integer is for.
    purpose: Purpose,
    /// The current field is added to the dynamic table.
    kept: bool,
    coded: bool,
    huffman: Huffman,
    /// The name contains only what a field's name may.
    is_valid: bool,
    name: [u8; STATUS.len()],
    have: usize,
    length: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    PadLength,
    /// This many bytes of a priority.
    Priority(u8),
    #[default]
    Field,
    Number,
    /// The first byte of a name or a value.
    NameLength,
    ValueLength,
    /// This many bytes of either.
    Name(u32),
    Value(u32),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Purpose {
    #[default]
    Indexed,
    NameIndex,
    TableSize,
    NameLength,
    ValueLength,
}

impl NameReader {
    /// A frame begins.
    pub(super) fn begin(&mut self, frame: &Frame) {
        self.left = frame.length;
        self.padding = 0;
        if frame.kind == kind::HEADERS {
            *self = Self {
                left: frame.length,
                at: if frame.flags & PADDED != 0 {
                    At::PadLength
                } else if frame.flags & PRIORITY != 0 {
                    At::Priority(5)
                } else {
                    At::Field
                },
                // Also after a pad length.
                kept: frame.flags & PRIORITY != 0,
                ..Self::default()
            };
        }
    }

    /// Processes a part of the frame's payload.
    pub(super) fn feed(&mut self, bytes: &[u8], mut found: impl FnMut(Found)) {
        let mut rest = bytes;
        while let Some((&byte, behind)) = rest.split_first() {
            if self.left <= self.padding {
                return;
            }
            // Strings whose bytes do not matter are skipped in one step.
            if let At::Value(left) = self.at {
                let skipped = (left as usize).min(rest.len()) as u32;
                let skipped = skipped.min(self.left - self.padding);
                let value = &rest[..skipped as usize];
                self.suspect |= if self.coded {
                    // A part of one cannot be judged.
                    skipped != left || huffman::may_be_invalid(value)
                } else {
                    value
                        .iter()
                        .fold(false, |bad, byte| bad | !is_value_byte(*byte))
                };
                self.left -= skipped;
                self.at = if skipped == left {
                    At::Field
                } else {
                    At::Value(left - skipped)
                };
                rest = &rest[skipped as usize..];
                continue;
            }
            self.left -= 1;
            rest = behind;
            self.step(byte, &mut found);
        }
    }

    fn step(&mut self, byte: u8, found: &mut impl FnMut(Found)) {
        match self.at {
            At::PadLength => {
                self.padding = u32::from(byte);
                self.at = if std::mem::take(&mut self.kept) {
                    At::Priority(5)
                } else {
                    At::Field
                };
            }
            At::Priority(left) => {
                self.kept = false;
                self.at = if left > 1 {
                    At::Priority(left - 1)
                } else {
                    At::Field
                };
            }
            At::Field => {
                let (purpose, bits) = match byte.leading_zeros() {
                    0 => (Purpose::Indexed, 7),
                    1 => (Purpose::NameIndex, 6),
                    2 => (Purpose::TableSize, 5),
                    _ => (Purpose::NameIndex, 4),
                };
                self.kept = bits == 6;
                self.fields += u32::from(purpose != Purpose::TableSize);
                self.begin_number(byte, bits, purpose, found);
            }
            At::NameLength | At::ValueLength => {
                self.coded = byte & 0x80 != 0;
                let purpose = if self.at == At::NameLength {
                    Purpose::NameLength
                } else {
                    Purpose::ValueLength
                };
                self.begin_number(byte, 7, purpose, found);
            }
            At::Number => {
                let more = u32::from(byte & 0x7f)
                    .checked_shl(self.shift)
                    .unwrap_or(MOST);
                self.number = self.number.saturating_add(more).min(MOST);
                self.shift += 7;
                if byte & 0x80 == 0 {
                    self.end_number(found);
                }
            }
            At::Name(left) => {
                if self.have < self.name.len() {
                    self.name[self.have] = byte;
                    self.have += 1;
                }
                let valid = &mut self.is_valid;
                let mut check = |byte| *valid &= is_name_byte(byte);
                if self.coded {
                    self.huffman.feed(byte, check);
                } else {
                    check(byte);
                }
                self.at = At::Name(left - 1);
                if left == 1 {
                    self.end_name(found);
                }
            }
            At::Value(_) => {}
        }
    }

    fn begin_number(
        &mut self,
        byte: u8,
        bits: u32,
        purpose: Purpose,
        found: &mut impl FnMut(Found),
    ) {
        let most = (1_u32 << bits) - 1;
        self.number = u32::from(byte) & most;
        self.purpose = purpose;
        if self.number == most {
            self.shift = 0;
            self.at = At::Number;
        } else {
            self.end_number(found);
        }
    }

    fn end_number(&mut self, found: &mut impl FnMut(Found)) {
        let number = self.number;
        let is_index = matches!(self.purpose, Purpose::Indexed | Purpose::NameIndex);
        self.repeated += u32::from(is_index && number > STATIC);
        self.at = match self.purpose {
            Purpose::Indexed => {
                if REQUEST.contains(&number) {
                    found(Found::Foreign);
                }
                At::Field
            }
            Purpose::TableSize => At::Field,
            Purpose::NameIndex if number == 0 => At::NameLength,
            Purpose::NameIndex => {
                if REQUEST.contains(&number) {
                    self.report(found);
                }
                self.suspect |= STATUSES.contains(&number);
                At::ValueLength
            }
            Purpose::NameLength if number == 0 => {
                self.suspect = true;
                At::ValueLength
            }
            Purpose::NameLength => {
                self.have = 0;
                self.huffman = Huffman::default();
                self.is_valid = true;
                self.length = number;
                At::Name(number)
            }
            Purpose::ValueLength if number == 0 => At::Field,
            Purpose::ValueLength => At::Value(number),
        };
    }

    fn end_name(&mut self, found: &mut impl FnMut(Found)) {
        self.at = At::ValueLength;
        let name = &self.name[..self.have];
        let (is_pseudo, status) = if self.coded {
            (name[0] >> 1 == COLON_CODED, STATUS_CODED)
        } else {
            (name[0] == b':', STATUS)
        };
        self.suspect |= !self.is_valid;
        if is_pseudo && (name != status || self.length as usize != status.len()) {
            self.report(found);
        }
    }

    fn report(&mut self, found: &mut impl FnMut(Found)) {
        self.suspect = true;
        found(if self.kept {
            Found::Kept
        } else {
            Found::Foreign
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a block contains, split at these positions into HEADERS and CONTINUATION frames.
    fn found(block: &[u8], flags: u8, frames: &[usize], pieces: usize) -> Vec<Found> {
        let mut reader = NameReader::default();
        let mut all = Vec::new();
        let mut rest = block;
        let mut first = true;
        let cuts = frames.iter().copied().chain([usize::MAX]);
        for cut in cuts {
            let (payload, behind) = rest.split_at(cut.min(rest.len()));
            rest = behind;
            reader.begin(&Frame {
                kind: if std::mem::take(&mut first) {
                    kind::HEADERS
                } else {
                    kind::CONTINUATION
                },
                flags,
                stream: 1,
                length: payload.len() as u32,
                goaway: None,
            });
            for piece in payload.chunks(pieces) {
                reader.feed(piece, |what| all.push(what));
            }
        }
        all
    }

    fn whole(block: &[u8]) -> Vec<Found> {
        found(block, 0, &[], usize::MAX)
    }

    /// A field as a literal: the first byte, name and value.
    fn literal(first: u8, name: &[u8], value: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first, name.len() as u8];
        bytes.extend(name);
        bytes.push(value.len() as u8);
        bytes.extend(value);
        bytes
    }

    #[test]
    fn an_ordinary_response_has_nothing_forbidden() {
        // :status 200, content-type from the static table, date Huffman-coded, a new name.
        let mut block = vec![0x88, 0x5f, 3, b'a', b'/', b'b'];
        block.extend([0x61, 0x82, 0xff, 0xff]);
        block.extend(literal(0x40, b"x-own", b":path"));
        block.extend([0xbe, 0x3f, 0xe1, 0x1f]);
        block.extend(literal(0, b":status", b"103"));
        block.extend([0x10, 0x80 | 5]);
        block.extend(STATUS_CODED);
        block.extend([1, b'2']);
        assert_eq!(whole(&block), []);
    }

    #[test]
    fn pseudo_headers_of_a_request_are_detected_in_every_form() {
        for index in REQUEST {
            assert_eq!(whole(&[0x88, 0x80 | index as u8]), [Found::Foreign]);
            assert_eq!(whole(&[0x88, index as u8, 1, b'/']), [Found::Foreign]);
            assert_eq!(
                whole(&[0x88, 0x10 | index as u8, 1, b'/']),
                [Found::Foreign]
            );
            assert_eq!(whole(&[0x88, 0x40 | index as u8, 1, b'/']), [Found::Kept]);
        }
        for name in [&b":path"[..], b":protocol", b":statu", b":statuses", b":"] {
            assert_eq!(whole(&literal(0, name, b"/")), [Found::Foreign]);
            assert_eq!(whole(&literal(0x40, name, b"/")), [Found::Kept]);
        }
        // `:path`, Huffman-coded.
        let coded = [0x00, 0x84, 0xb9, 0x58, 0xd3, 0x3f, 1, b'/'];
        assert_eq!(whole(&coded), [Found::Foreign]);
    }

    #[test]
    fn padding_and_priority_are_not_part_of_the_block() {
        let block = [3, 0, 0, 0, 7, 16, 0x88, 0x84, 0x84, 0x84, 0x84];
        let found = found(&block, PADDED | PRIORITY, &[], 1);
        assert_eq!(found, [Found::Foreign]);
    }

    proptest! {
        #[test]
        fn it_is_the_same_wherever_blocks_and_reads_are_cut(
            block in prop::collection::vec(any::<u8>(), 0..200),
            cut in 0_usize..200,
            pieces in 1_usize..20,
        ) {
            let expected = whole(&block);
            prop_assert_eq!(found(&block, 0, &[], pieces), expected.clone());
            prop_assert_eq!(found(&block, 0, &[cut], pieces), expected);
        }
    }
}
