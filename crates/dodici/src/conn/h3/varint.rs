//! Integers of one to eight bytes (RFC 9000, section 16).

/// The largest.
pub(super) const MOST: u64 = (1 << 62) - 1;

/// The integer at the start, and its length. `None` if it is not complete.
pub(super) fn read(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let length = 1 << (first >> 6);
    let rest = bytes.get(1..length)?;
    let start = u64::from(first & 0x3f);
    let value = rest
        .iter()
        .fold(start, |value, byte| value << 8 | u64::from(*byte));
    Some((value, length))
}

/// Appends an integer, in as few bytes as possible. Larger ones than [`MOST`] do not exist.
pub(super) fn put(out: &mut Vec<u8>, value: u64) {
    let value = value.min(MOST);
    match value {
        0..=0x3f => out.push(value as u8),
        0x40..=0x3fff => out.extend_from_slice(&(value as u16 | 0x4000).to_be_bytes()),
        0x4000..=0x3fff_ffff => {
            out.extend_from_slice(&(value as u32 | 0x8000_0000).to_be_bytes());
        }
        _ => out.extend_from_slice(&(value | 0xc000_0000_0000_0000).to_be_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_encoding_is_the_rfcs() {
        // RFC 9000, appendix A.1.
        let cases: [(u64, &[u8]); 4] = [
            (
                151_288_809_941_952_652,
                &[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c],
            ),
            (494_878_333, &[0x9d, 0x7f, 0x3e, 0x7d]),
            (15_293, &[0x7b, 0xbd]),
            (37, &[0x25]),
        ];
        for (value, bytes) in cases {
            let mut out = Vec::new();
            put(&mut out, value);
            assert_eq!(out, bytes);
            assert_eq!(read(bytes), Some((value, bytes.len())));
        }
        assert_eq!(read(&[0x40, 0x25]), Some((37, 2)));
    }

    proptest! {
        #[test]
        fn any_integer_survives_and_no_part_of_it_does(value in 0..=MOST) {
            let mut out = Vec::new();
            put(&mut out, value);
            prop_assert_eq!(read(&out), Some((value, out.len())));
            prop_assert_eq!(read(&out[..out.len() - 1]), None);
        }
    }
}
