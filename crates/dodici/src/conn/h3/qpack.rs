//! Field sections (RFC 9204), with the static table only: the peer is told that its dynamic table
//! has no bytes, and we do not use ours.
//!
//! So streams do not wait for each other, a section costs no memory beyond its fields, and what
//! cannot be decoded is an error of one stream or of the peer. Has no I/O.

mod names;
mod table;

use self::names::find;
use self::table::FIELDS;
use super::{Violation, code};
use crate::conn::huffman::Huffman;

/// Why a section was not decoded.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Undecoded {
    /// The connection ends.
    Invalid(Violation),
    /// The list is larger than allowed, with 32 bytes added per field.
    TooLarge,
    /// A field is not accepted.
    Refused(&'static str),
}

const FAILED: Undecoded = Undecoded::Invalid(Violation::new(
    code::DECOMPRESSION_FAILED,
    "a field section that cannot be decoded",
));

/// Added to each field's size (RFC 9114, section 4.2.2).
const OVERHEAD: usize = 32;

/// Largest length or index that is read: no section is larger.
const MOST: u64 = u32::MAX as u64;

/// Decodes a section. `most`: size of the list.
///
/// # Errors
/// See [`Undecoded`]; those of `field` are returned.
pub(super) fn decode(
    section: &[u8],
    most: usize,
    mut field: impl FnMut(&[u8], &[u8]) -> Result<(), &'static str>,
) -> Result<(), Undecoded> {
    let mut rest = Reader(section);
    // Required insert count, and base: without a dynamic table, the one is zero and the other
    // means nothing, but must not be negative.
    if rest.integer(8)? != 0 || rest.0.first().is_some_and(|base| base & 0x80 != 0) {
        return Err(FAILED);
    }
    rest.integer(7)?;
    let (mut name, mut value) = (Vec::new(), Vec::new());
    let mut size = 0;
    while let Some(&first) = rest.0.first() {
        let (found, text): (&[u8], &[u8]) = if first & 0x80 != 0 {
            // Indexed; in the static table, if the next bit says so.
            let (name, value) = entry(first & 0x40 != 0, rest.integer(6)?)?;
            (name.as_bytes(), value.as_bytes())
        } else if first & 0x40 != 0 {
            let (name, _) = entry(first & 0x10 != 0, rest.integer(4)?)?;
            (name.as_bytes(), rest.text(7, &mut value)?)
        } else if first & 0x20 != 0 {
            (rest.text(3, &mut name)?, rest.text(7, &mut value)?)
        } else {
            // Entries of the dynamic table.
            return Err(FAILED);
        };
        size += found.len() + text.len() + OVERHEAD;
        if size > most {
            return Err(Undecoded::TooLarge);
        }
        field(found, text).map_err(Undecoded::Refused)?;
    }
    Ok(())
}

fn entry(is_static: bool, index: u64) -> Result<(&'static str, &'static str), Undecoded> {
    let entry = FIELDS.get(index as usize).filter(|_| is_static);
    entry.copied().ok_or(FAILED)
}

/// The rest of a section.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// An integer that begins in the low bits of the next byte (RFC 7541, section 5.1).
    fn integer(&mut self, bits: u8) -> Result<u64, Undecoded> {
        let (value, used) = integer(self.0, bits).ok_or(FAILED)?;
        self.0 = &self.0[used..];
        Ok(value)
    }

    /// A string whose length begins in the low bits of the next byte, behind a bit that says whether
    /// it is coded.
    fn text<'b>(&mut self, bits: u8, memory: &'b mut Vec<u8>) -> Result<&'b [u8], Undecoded>
    where
        'a: 'b,
    {
        let coded = self.0.first().ok_or(FAILED)? & 1 << bits != 0;
        let length = self.integer(bits)? as usize;
        let (text, rest) = self.0.split_at_checked(length).ok_or(FAILED)?;
        self.0 = rest;
        if !coded {
            return Ok(text);
        }
        memory.clear();
        let mut huffman = Huffman::default();
        for byte in text {
            huffman.feed(*byte, |symbol| memory.push(symbol));
        }
        if huffman.may_end() {
            Ok(memory)
        } else {
            Err(FAILED)
        }
    }
}

/// See [`Reader::integer`]. Also what the integer takes.
pub(super) fn integer(bytes: &[u8], bits: u8) -> Option<(u64, usize)> {
    let mask = u64::from(u8::MAX >> (8 - bits));
    let mut value = u64::from(*bytes.first()?) & mask;
    if value < mask {
        return Some((value, 1));
    }
    for (place, byte) in bytes[1..].iter().enumerate() {
        let shift = 7 * place as u32;
        value += u64::from(byte & 0x7f)
            .checked_shl(shift)
            .filter(|_| shift < 35)?;
        if value > MOST {
            return None;
        }
        if byte & 0x80 == 0 {
            return Some((value, place + 2));
        }
    }
    None
}

/// Starts a section.
pub(super) fn begin(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0, 0]);
}

/// Appends a field.
pub(super) fn put(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    let Some((first, count)) = find(name) else {
        put_integer(out, 0x20, 3, name.len());
        out.extend_from_slice(name.as_bytes());
        put_integer(out, 0, 7, value.len());
        out.extend_from_slice(value);
        return;
    };
    let entries = &FIELDS[first..first + count];
    let same = entries
        .iter()
        .position(|(_, known)| known.as_bytes() == value);
    if let Some(place) = same {
        return put_integer(out, 0xc0, 6, first + place);
    }
    put_integer(out, 0x50, 4, first);
    put_integer(out, 0, 7, value.len());
    out.extend_from_slice(value);
}

fn put_integer(out: &mut Vec<u8>, pattern: u8, bits: u8, value: usize) {
    let mask = usize::from(u8::MAX >> (8 - bits));
    if value < mask {
        out.push(pattern | value as u8);
        return;
    }
    out.push(pattern | mask as u8);
    let mut rest = value - mask;
    while rest >= 0x80 {
        out.push(rest as u8 & 0x7f | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::conn::huffman::tests::encode;

    type Fields = Vec<(Vec<u8>, Vec<u8>)>;

    fn decoded(section: &[u8]) -> Result<Fields, Undecoded> {
        let mut fields = Vec::new();
        decode(section, 10_000, |name, value| {
            fields.push((name.to_vec(), value.to_vec()));
            Ok(())
        })?;
        Ok(fields)
    }

    #[test]
    fn a_section_of_the_rfc_is_decoded() {
        // RFC 9204, appendix B.1.
        let mut section = vec![0, 0, 0x51, 0x0b];
        section.extend_from_slice(b"/index.html");
        assert_eq!(
            decoded(&section).unwrap(),
            [(b":path".to_vec(), b"/index.html".to_vec())]
        );
    }

    #[test]
    fn coded_names_and_values_are_decoded() {
        let (name, value) = (encode(b"x-name"), encode(b"a value"));
        let mut section = vec![0, 0, 0x28 | name.len() as u8];
        section.extend(&name);
        section.push(0x80 | value.len() as u8);
        section.extend(&value);
        assert_eq!(
            decoded(&section).unwrap(),
            [(b"x-name".to_vec(), b"a value".to_vec())]
        );
    }

    #[test]
    fn what_refers_to_a_dynamic_table_is_refused() {
        for section in [
            &[1, 0, 0xd1][..],
            &[0, 0x80],
            &[0, 0, 0x80],
            &[0, 0, 0x10],
            &[0, 0, 0x40, 0],
            &[0, 0, 0, 0],
        ] {
            assert_eq!(decoded(section), Err(FAILED), "{section:?}");
        }
    }

    #[test]
    fn what_is_cut_off_or_badly_coded_is_refused() {
        for section in [
            &[][..],
            &[0],
            &[0, 0, 0xff],
            &[0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            // No such entry.
            &[0, 0, 0xff, 0x24],
            &[0, 0, 0x51],
            &[0, 0, 0x51, 2, b'/'],
            // Padding of eight bits, and of zeros.
            &[0, 0, 0x51, 0x82, 0x1f, 0xff],
            &[0, 0, 0x51, 0x81, 0x00],
            // The end of a string, inside one.
            &[0, 0, 0x51, 0x84, 0xff, 0xff, 0xff, 0xff],
        ] {
            assert_eq!(decoded(section), Err(FAILED), "{section:?}");
        }
    }

    #[test]
    fn a_list_that_is_too_large_is_not_collected() {
        // `:status: 200`, 42 bytes each.
        let mut section = vec![0, 0];
        section.resize(2 + 10_000, 0xd9);
        let mut count = 0;
        let result = decode(&section, 420, |_, _| {
            count += 1;
            Ok(())
        });
        assert_eq!(result, Err(Undecoded::TooLarge));
        assert_eq!(count, 10);
    }

    proptest! {
        #[test]
        fn any_fields_survive(fields in prop::collection::vec(("[a-z-]{1,20}", prop::collection::vec(any::<u8>(), 0..300)), 0..20)) {
            let mut section = Vec::new();
            begin(&mut section);
            for (name, value) in &fields {
                put(&mut section, name, value);
            }
            let expected: Fields = fields.iter().map(|(n, v)| (n.clone().into_bytes(), v.clone())).collect();
            prop_assert_eq!(decode_all(&section), Ok(expected));
        }

        #[test]
        fn known_fields_survive(which in prop::collection::vec(0_usize..99, 0..40)) {
            let mut section = Vec::new();
            begin(&mut section);
            for index in &which {
                put(&mut section, FIELDS[*index].0, FIELDS[*index].1.as_bytes());
            }
            let expected: Fields = which.iter()
                .map(|index| (FIELDS[*index].0.as_bytes().to_vec(), FIELDS[*index].1.as_bytes().to_vec()))
                .collect();
            prop_assert_eq!(decode_all(&section), Ok(expected));
        }

        #[test]
        fn no_bytes_panic(section in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = decoded(&section);
        }
    }

    fn decode_all(section: &[u8]) -> Result<Fields, Undecoded> {
        let mut fields = Vec::new();
        decode(section, usize::MAX, |name, value| {
            fields.push((name.to_vec(), value.to_vec()));
            Ok(())
        })?;
        Ok(fields)
    }
}
