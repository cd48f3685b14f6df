//! Rewrites a block with invalid fields so that it fails its stream, not the connection.
//!
//! A response with a field that no message may contain is malformed, which is an error of its
//! stream (RFC 9113, section 8.1.1). h2 stops decoding at such a field: HPACK's state is lost, and
//! with it the connection. But it decodes to the end, and resets the stream, where a field is one
//! of HTTP/1.1's connection (`te: x`). So the tap replaces an invalid field by such a one, of the
//! same size in HPACK's table; an invalid value behind a valid name gets spaces, as RFC 9110,
//! section 5.5 has it, and a `te: x` behind it. Called for blocks that [`super::names`] suspects,
//! which are rare. Has no I/O, and knows no stream.

use super::frames::{
    END_HEADERS, END_STREAM, Fragment, HEADER, PRIORITY, fragments, put_frame_header,
};
use super::names::{REQUEST, STATUSES, is_name_byte, is_value_byte};
use crate::conn::huffman::Huffman;

/// Payload of the frames that a rewritten block is put into: every peer may send that much.
const FRAME: usize = 16_384;

/// Lengths of the names of the static table's pseudo-headers: `:authority` to `:status`.
const STATIC_NAMES: [usize; 14] = [10, 7, 7, 5, 5, 7, 7, 7, 7, 7, 7, 7, 7, 7];

/// A literal that is not added to the table, with its name.
const LITERAL: u8 = 0;
/// One that is.
const KEPT: u8 = 0x40;

/// A name that fails a stream.
const FATAL: &[u8] = b"te";

/// Rewrites a HEADERS frame with its CONTINUATION frames. `None` if they can stay as they are: all
/// fields are valid, or h2 must judge.
pub(super) fn cleanse(frames: &[u8]) -> Option<Vec<u8>> {
    let mut priority: &[u8] = &[];
    let mut block = Vec::with_capacity(frames.len());
    let mut first = None;
    for Fragment {
        frame,
        before,
        part,
    } in fragments(frames)
    {
        if first.is_none() {
            first = Some(frame);
            priority = before;
        }
        block.extend_from_slice(part);
    }
    let first = first?;
    let mut payload = priority.to_vec();
    if !rewrite(&block, &mut payload)? {
        return None;
    }
    let mut out = Vec::with_capacity(payload.len() + HEADER);
    let mut rest = &payload[..];
    let mut flags = first.flags & (END_STREAM | PRIORITY);
    let mut kind = first.kind;
    loop {
        let (part, behind) = rest.split_at(rest.len().min(FRAME));
        if behind.is_empty() {
            flags |= END_HEADERS;
        }
        put_frame_header(&mut out, part.len(), kind, flags, first.stream);
        out.extend_from_slice(part);
        if behind.is_empty() {
            return Some(out);
        }
        rest = behind;
        (kind, flags) = (super::frames::kind::CONTINUATION, 0);
    }
}

/// Copies a block of fields, without what is invalid in it. Whether something was; `None` if it
/// cannot be decoded, or not be replaced.
fn rewrite(block: &[u8], out: &mut Vec<u8>) -> Option<bool> {
    let mut rest = block;
    let mut changed = false;
    while let Some(&byte) = rest.first() {
        let field = rest;
        // An indexed field, or a new size of the table.
        if byte & 0x80 != 0 || byte & 0xe0 == 0x20 {
            let _number = integer(&mut rest, if byte & 0x80 != 0 { 7 } else { 5 })?;
            out.extend_from_slice(&field[..field.len() - rest.len()]);
            continue;
        }
        let kept = byte & KEPT;
        let index = integer(&mut rest, if kept != 0 { 6 } else { 4 })?;
        let name = if index == 0 {
            Some(string(&mut rest)?)
        } else {
            None
        };
        let name_end = field.len() - rest.len();
        let value = string(&mut rest)?;
        let has_valid_name = match &name {
            None => !REQUEST.contains(&index) && (!STATUSES.contains(&index) || is_status(&value)),
            Some(name) if name == b":status" => is_status(&value),
            Some(name) => !name.is_empty() && name.iter().all(|byte| is_name_byte(*byte)),
        };
        if has_valid_name && value.iter().all(|byte| is_value_byte(*byte)) {
            out.extend_from_slice(&field[..field.len() - rest.len()]);
            continue;
        }
        changed = true;
        if has_valid_name {
            out.extend_from_slice(&field[..name_end]);
            put_length(out, value.len());
            out.extend(
                value
                    .iter()
                    .map(|byte| if is_value_byte(*byte) { *byte } else { b' ' }),
            );
            put_fatal(out, LITERAL, 1);
        } else {
            let length = match name {
                Some(name) => name.len(),
                None => *STATIC_NAMES.get(index as usize - 1)?,
            };
            match (length + value.len()).checked_sub(FATAL.len()) {
                Some(length) => put_fatal(out, kept, length),
                None if kept == 0 => put_fatal(out, LITERAL, 1),
                // No name is that short.
                None => return None,
            }
        }
    }
    Some(changed)
}

/// A field that fails its stream, with a value of this length.
fn put_fatal(out: &mut Vec<u8>, representation: u8, length: usize) {
    out.push(representation);
    put_length(out, FATAL.len());
    out.extend_from_slice(FATAL);
    put_length(out, length);
    out.resize(out.len() + length, b'x');
}

fn is_status(value: &[u8]) -> bool {
    matches!(value, [b'1'..=b'9', b'0'..=b'9', b'0'..=b'9'])
}

/// An integer whose first byte has this many bits of it (RFC 7541, section 5.1).
fn integer(rest: &mut &[u8], bits: u32) -> Option<u32> {
    let most = (1_u32 << bits) - 1;
    let mut number = u32::from(*rest.split_off_first()?) & most;
    if number < most {
        return Some(number);
    }
    // Four more bytes are the most that h2 accepts.
    for shift in [0, 7, 14, 21] {
        let byte = *rest.split_off_first()?;
        number += u32::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// A string, decoded (RFC 7541, section 5.2).
fn string(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let coded = rest.first()? & 0x80 != 0;
    let length = integer(rest, 7)? as usize;
    let bytes = rest.split_off(..length)?;
    if !coded {
        return Some(bytes.to_vec());
    }
    let mut huffman = Huffman::default();
    let mut text = Vec::with_capacity(length * 2);
    for byte in bytes {
        huffman.feed(*byte, |symbol| text.push(symbol));
    }
    Some(text)
}

/// The length of a string that is not Huffman-coded.
fn put_length(out: &mut Vec<u8>, length: usize) {
    const MOST: usize = 127;
    if length < MOST {
        out.push(length as u8);
        return;
    }
    out.push(MOST as u8);
    let mut rest = length - MOST;
    while rest >= 128 {
        out.push((rest % 128) as u8 | 0x80);
        rest /= 128;
    }
    out.push(rest as u8);
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

    use proptest::prelude::*;

    use super::super::frames::kind;
    use super::*;
    use crate::conn::huffman::tests::encode;

    fn literal(first: u8, name: &[u8], value: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first];
        for text in [name, value] {
            put_length(&mut bytes, text.len());
            bytes.extend(text);
        }
        bytes
    }

    fn coded(first: u8, name: &[u8], value: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first];
        for text in [name, value] {
            let text = encode(text);
            let at = bytes.len();
            put_length(&mut bytes, text.len());
            bytes[at] |= 0x80;
            bytes.extend(text);
        }
        bytes
    }

    fn rewritten(block: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        rewrite(block, &mut out).filter(|changed| *changed)?;
        Some(out)
    }

    #[test]
    fn an_invalid_name_becomes_a_field_of_the_same_size() {
        for name in [&b"X-Up"[..], b"a b!", b":foo", b"a\x00bc"] {
            for first in [LITERAL, KEPT, 0x10] {
                let kept = first & KEPT;
                let expected = literal(kept, b"te", b"xxxxxxx");
                assert_eq!(
                    rewritten(&literal(first, name, b"value")),
                    Some(expected.clone())
                );
                assert_eq!(rewritten(&coded(first, name, b"value")), Some(expected));
            }
        }
        assert_eq!(
            rewritten(&literal(KEPT, b"", b"abc")),
            Some(literal(KEPT, b"te", b"x"))
        );
        assert_eq!(
            rewritten(&literal(0, b"", b"")),
            Some(literal(0, b"te", b"x"))
        );
        assert_eq!(rewritten(&literal(KEPT, b"", b"")), None);
    }

    #[test]
    fn an_invalid_value_gets_spaces_and_a_field_that_fails_the_stream() {
        for bad in [b"a\r\nb", b"a\x00\x7fb"] {
            for first in [LITERAL, KEPT, 0x10] {
                let mut expected = literal(first, b"name", b"a  b");
                expected.extend(literal(0, b"te", b"x"));
                let found = rewritten(&coded(first, b"name", bad)).unwrap();
                // The name stays as it was.
                assert_eq!(found[found.len() - 11..], expected[expected.len() - 11..]);
                assert_eq!(rewritten(&literal(first, b"name", bad)), Some(expected));
            }
            // With a name of either table.
            for index in [0x40 | 15, 0x40 | 62] {
                let mut block = vec![index, 4];
                block.extend(bad);
                let mut expected = vec![index, 4, b'a', b' ', b' ', b'b'];
                expected.extend(literal(0, b"te", b"x"));
                assert_eq!(rewritten(&block), Some(expected));
            }
        }
    }

    #[test]
    fn an_invalid_status_is_replaced() {
        let expected = literal(KEPT, b"te", b"xxxxxxxxx");
        assert_eq!(
            rewritten(&[0x48, 4, b'1', b'0', b'0', b'0']),
            Some(expected.clone())
        );
        assert_eq!(
            rewritten(&literal(KEPT, b":status", b"1000")),
            Some(expected)
        );
        for valid in [&b"100"[..], b"200", b"999"] {
            assert_eq!(rewritten(&literal(0, b":status", valid)), None);
        }
    }

    #[test]
    fn valid_fields_around_it_stay_as_they_are() {
        let (before, after) = (
            [0x3f, 0xe1, 0x1f, 0x88, 0xbe],
            coded(0x10, b"abc", b"d\te\xff"),
        );
        let bad = literal(0, b"BAD", b"");
        let block = [&before[..], &bad, &after].concat();
        let expected = [&before[..], &literal(0, b"te", b"x"), &after].concat();
        assert_eq!(rewritten(&block), Some(expected));
        assert_eq!(rewritten(&[&before[..], &after].concat()), None);
    }

    #[test]
    fn frames_are_rewritten_without_padding() {
        let block = literal(0, b"A", &[b'v'; 40_000]);
        let mut frames = Vec::new();
        put_frame_header(&mut frames, 5 + 1 + 1_000 + 3, kind::HEADERS, 0x29, 7);
        frames.extend([3, 1, 2, 3, 4, 5]);
        frames.extend(&block[..1_000]);
        frames.extend([0; 3]);
        put_frame_header(&mut frames, block.len() - 1_000, kind::CONTINUATION, 4, 7);
        frames.extend(&block[1_000..]);
        let out = cleanse(&frames).unwrap();
        let found: Vec<_> = fragments(&out)
            .map(|of| (of.frame.kind, of.frame.flags, of.frame.stream))
            .collect();
        assert_eq!(found, [(1, 0x21, 7), (9, 0, 7), (9, 4, 7)]);
        let whole: Vec<u8> = fragments(&out).flat_map(|of| of.part.to_vec()).collect();
        assert_eq!(whole, literal(0, b"te", &[b'x'; 39_999]));
        assert_eq!(out[HEADER..HEADER + 5], [1, 2, 3, 4, 5]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(block in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut out = Vec::new();
            if rewrite(&block, &mut out) == Some(true) {
                // Nothing is left to replace.
                prop_assert_eq!(rewritten(&out), None);
            }
        }
    }
}
