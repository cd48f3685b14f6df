//! The Huffman code of HPACK and QPACK (RFC 7541, appendix B), a bit at a time.
//!
//! h2 has one, which it does not export. Called by `h2` for literal names and for the rare values
//! that may contain a byte that no field may contain, and by `h3` for all strings. Has no I/O.

/// The symbols by the length of their codes, in the order of their codes. The code is canonical:
/// this determines it.
const SYMBOLS: &[(u8, &[u8])] = &[
    (5, b"012aceiost"),
    (6, b" %-./3456789=A_bdfghlmnpru"),
    (7, b":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz"),
    (8, b"&*,;XZ"),
    (10, b"!\"()?"),
    (11, b"'+|"),
    (12, b"#>"),
    (13, b"\x00$@[]~"),
    (14, b"^}"),
    (15, b"<`{"),
    (19, b"\\\xc3\xd0"),
    (20, b"\x80\x82\x83\xa2\xb8\xc2\xe0\xe2"),
    (21, b"\x99\xa1\xa7\xac\xb0\xb1\xb3\xd1\xd8\xd9\xe3\xe5\xe6"),
    (
        22,
        b"\x81\x84\x85\x86\x88\x92\x9a\x9c\xa0\xa3\xa4\xa9\xaa\xad\xb2\xb5\xb9\xba\xbb\xbd\xbe\xc4\
          \xc6\xe4\xe8\xe9",
    ),
    (
        23,
        b"\x01\x87\x89\x8a\x8b\x8c\x8d\x8f\x93\x95\x96\x97\x98\x9b\x9d\x9e\xa5\xa6\xa8\xae\xaf\xb4\
          \xb6\xb7\xbc\xbf\xc5\xe7\xef",
    ),
    (24, b"\x09\x8e\x90\x91\x94\x9f\xab\xce\xd7\xe1\xec\xed"),
    (25, b"\xc7\xcf\xea\xeb"),
    (
        26,
        b"\xc0\xc1\xc8\xc9\xca\xcd\xd2\xd5\xda\xdb\xee\xf0\xf2\xf3\xff",
    ),
    (
        27,
        b"\xcb\xcc\xd3\xd4\xd6\xdd\xde\xdf\xf1\xf4\xf5\xf6\xf7\xf8\xfa\xfb\xfc\xfd\xfe",
    ),
    (
        28,
        b"\x02\x03\x04\x05\x06\x07\x08\x0b\x0c\x0e\x0f\x10\x11\x12\x13\x14\x15\x17\x18\x19\x1a\x1b\
          \x1c\x1d\x1e\x1f\x7f\xdc\xf9",
    ),
    (30, b"\x0a\x0d\x16"),
];

/// A string being decoded.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Huffman {
    /// The bits since the last symbol.
    code: u32,
    bits: u8,
    /// The code that follows those of the rows before `row`, as long as a code of it.
    first: u32,
    row: usize,
}

impl Huffman {
    /// Whether a string may end here: what is left are fewer than eight ones.
    #[cfg(feature = "http3")]
    pub(super) fn may_end(&self) -> bool {
        self.bits < 8 && self.code == (1 << self.bits) - 1
    }

    /// Decodes eight more bits.
    pub(super) fn feed(&mut self, byte: u8, mut symbol: impl FnMut(u8)) {
        for at in (0..8).rev() {
            let Some(&(length, symbols)) = SYMBOLS.get(self.row) else {
                // The code of the end of the string, which no string contains.
                return;
            };
            self.code = self.code << 1 | u32::from(byte >> at & 1);
            self.bits += 1;
            if self.bits < length {
                continue;
            }
            let place = self.code.wrapping_sub(self.first);
            if let Some(found) = symbols.get(place as usize) {
                symbol(*found);
                *self = Self::default();
                continue;
            }
            self.row += 1;
            if let Some((longer, _)) = SYMBOLS.get(self.row) {
                self.first = (self.first + symbols.len() as u32) << (longer - length);
            }
        }
    }
}

/// Whether a coded string may contain a symbol that no value may contain. The code of NUL is ten ones
/// and three zeros, those of the others begin with sixteen ones; both are rare elsewhere.
pub(super) fn may_be_invalid(coded: &[u8]) -> bool {
    let mut rest = coded;
    loop {
        let eight = rest.first_chunk().copied().unwrap_or_else(|| {
            // Behind the end, what is neither.
            let mut eight = [0x55; 8];
            eight[..rest.len()].copy_from_slice(rest);
            eight
        });
        let ones = u64::from_be_bytes(eight);
        let pairs = ones & ones >> 1;
        let fours = pairs & pairs >> 2;
        let eights = fours & fours >> 4;
        let zeros = !ones & !ones >> 1 & !ones >> 2;
        let nul = eights & pairs >> 8 & zeros << 3;
        if nul != 0 || eights & eights >> 8 != 0 {
            return true;
        }
        if rest.len() <= eight.len() {
            return false;
        }
        // The last two bytes may hold the start of one.
        rest = &rest[eight.len() - 2..];
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Encodes, for tests.
    pub(in crate::conn) fn encode(text: &[u8]) -> Vec<u8> {
        let mut bits = Vec::new();
        for byte in text {
            let (mut code, mut before) = (0_u32, 0);
            for (length, symbols) in SYMBOLS {
                code <<= length - before;
                if let Some(place) = symbols.iter().position(|symbol| symbol == byte) {
                    let code = code + place as u32;
                    bits.extend((0..*length).rev().map(|at| (code >> at & 1) as u8));
                    break;
                }
                code += symbols.len() as u32;
                before = *length;
            }
        }
        bits.resize(bits.len().next_multiple_of(8), 1);
        let bytes = bits.chunks(8);
        bytes
            .map(|bits| bits.iter().fold(0, |byte, bit| byte << 1 | bit))
            .collect()
    }

    fn decode(coded: &[u8]) -> Vec<u8> {
        let (mut huffman, mut text) = (Huffman::default(), Vec::new());
        for byte in coded {
            huffman.feed(*byte, |symbol| text.push(symbol));
        }
        text
    }

    #[test]
    fn the_code_is_the_rfcs() {
        // RFC 7541, appendix C.4.1.
        let coded = [
            0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff,
        ];
        assert_eq!(decode(&coded), b"www.example.com");
        assert_eq!(encode(b"www.example.com"), coded);
        let all: usize = SYMBOLS.iter().map(|(_, symbols)| symbols.len()).sum();
        assert_eq!(all, 256);
        // The last one, and the code behind it, which ends a string.
        assert_eq!(encode(b"\x16"), [0xff, 0xff, 0xff, 0xfb]);
    }

    proptest! {
        #[test]
        fn any_text_survives(text in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(decode(&encode(&text)), text);
        }

        #[test]
        fn forbidden_bytes_in_values_are_always_detected(
            before in "[ -~]{0,9}",
            bad in prop::sample::select((0..32).filter(|b| *b != 9).chain([127]).collect::<Vec<u8>>()),
            after in "[ -~]{0,9}",
        ) {
            let text = [before.as_bytes(), &[bad], after.as_bytes()].concat();
            prop_assert!(may_be_invalid(&encode(&text)));
        }

        #[test]
        fn ordinary_text_is_accepted(text in "[a-zA-WYZ0-9 =:;,./_-]{0,99}") {
            prop_assert!(!may_be_invalid(&encode(text.as_bytes())));
        }
    }
}
