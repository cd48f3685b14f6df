//! Field lists: `name LF value LF`, repeated; names and values as received.
//!
//! JavaScript decodes a list with one latin1 conversion and splits it at line feeds, so names and
//! values cannot contain any.

use dodici_pool::HeaderBlock;

use crate::cursor::Malformed;

/// Appends `fields`.
pub fn put_fields(out: &mut Vec<u8>, fields: &HeaderBlock) {
    out.reserve(fields.byte_len() + 2 * fields.len());
    for (name, value) in fields.iter() {
        put_line(out, name);
        put_line(out, value);
    }
}

/// Appends `text` and a line feed. A line feed inside `text` becomes a space: both protocols'
/// parsers reject it long before, and if one ever let it through, it must not become a field.
pub(crate) fn put_line(out: &mut Vec<u8>, text: &[u8]) {
    let start = out.len();
    out.extend_from_slice(text);
    if text.contains(&b'\n') {
        for byte in &mut out[start..] {
            if *byte == b'\n' {
                *byte = b' ';
            }
        }
    }
    out.push(b'\n');
}

/// Appends a decimal number and LF.
pub(crate) fn put_number(out: &mut Vec<u8>, mut number: u32) {
    let start = out.len();
    loop {
        out.push(b'0' + (number % 10) as u8);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out[start..].reverse();
    out.push(b'\n');
}

/// Reads a whole field list.
pub fn read_fields(bytes: &[u8]) -> Result<HeaderBlock, Malformed> {
    let mut fields = HeaderBlock::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let name = take_line(&mut rest)?;
        let value = take_line(&mut rest)?;
        fields.push(name, value);
    }
    Ok(fields)
}

/// Consumes the bytes up to and including the next line feed, and returns them without it.
pub fn take_line<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
    let end = rest
        .iter()
        .position(|byte| *byte == b'\n')
        .ok_or(Malformed("a field list ends inside a line"))?;
    let line = &rest[..end];
    *rest = &rest[end + 1..];
    Ok(line)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{put_fields, read_fields};
    use dodici_pool::HeaderBlock;

    #[test]
    fn order_letter_case_and_repeats_survive() {
        let fields: HeaderBlock = [("Set-Cookie", "a=1"), ("x", ""), ("set-cookie", "b=\u{e9}")]
            .into_iter()
            .collect();
        let mut out = Vec::new();
        put_fields(&mut out, &fields);
        assert_eq!(
            out,
            "Set-Cookie\na=1\nx\n\nset-cookie\nb=\u{e9}\n".as_bytes()
        );
        assert_eq!(read_fields(&out).unwrap(), fields);
    }

    #[test]
    fn a_line_feed_inside_a_value_cannot_make_a_field() {
        let fields: HeaderBlock = [("a", "b\nevil\nyes")].into_iter().collect();
        let mut out = Vec::new();
        put_fields(&mut out, &fields);
        assert_eq!(out, b"a\nb evil yes\n");
    }

    #[test]
    fn a_list_that_ends_inside_a_line_is_an_error() {
        assert!(read_fields(b"a\nb").is_err());
        assert!(read_fields(b"a\n").is_err());
    }
}
