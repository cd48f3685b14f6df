//! Bounds-checked reading and writing of little-endian numbers and padded byte strings.
//!
//! Every decoder of this crate reads through [`Reader`], so malformed input is an error and never a
//! panic. Must not know records.

use std::fmt;

/// Why bytes could not be decoded: the part of the layout they violate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed boundary data: {0}")]
pub struct Malformed(pub &'static str);

/// A position in borrowed bytes.
#[derive(Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Number of unread bytes.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Whether everything was read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next `len` bytes.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or(Malformed("a length points past the end"))?;
        self.rest = rest;
        Ok(taken)
    }

    /// All remaining bytes.
    pub fn take_rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// The next `len` bytes, and the padding that follows a string of this length.
    pub fn take_padded(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let taken = self.take(len)?;
        self.take(padding(len))?;
        Ok(taken)
    }

    /// A `u8`.
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    /// A `u16`.
    pub fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    /// A `u32`.
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// An `f64`.
    pub fn f64(&mut self) -> Result<f64, Malformed> {
        Ok(f64::from_le_bytes(self.array()?))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self
            .rest
            .split_first_chunk()
            .ok_or(Malformed("the data ends inside a number"))?;
        self.rest = rest;
        Ok(*taken)
    }
}

impl fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reader({} bytes left)", self.rest.len())
    }
}

/// Zero bytes that pad a string of `len` bytes to a multiple of four.
pub const fn padding(len: usize) -> usize {
    len.wrapping_neg() & 3
}

/// Appends the zero bytes that pad a string of `len` bytes.
pub(crate) fn pad(out: &mut Vec<u8>, len: usize) {
    out.extend_from_slice(&[0; 3][..padding(len)]);
}

#[cfg(test)]
mod tests {
    use super::{Malformed, Reader, pad, padding};

    #[test]
    fn numbers_are_little_endian() {
        let mut reader = Reader::new(&[1, 2, 0, 3, 0, 0, 0]);
        assert_eq!(reader.u8(), Ok(1));
        assert_eq!(reader.u16(), Ok(2));
        assert_eq!(reader.u32(), Ok(3));
        assert!(reader.is_empty());
    }

    #[test]
    fn reading_past_the_end_is_an_error_and_moves_nothing() {
        let mut reader = Reader::new(&[1, 2, 3]);
        assert!(reader.u32().is_err());
        assert!(reader.f64().is_err());
        assert_eq!(
            reader.take(4),
            Err(Malformed("a length points past the end"))
        );
        assert_eq!(reader.take(3), Ok(&[1, 2, 3][..]));
    }

    #[test]
    fn strings_are_padded_to_four_bytes() {
        assert_eq!(
            [0, 1, 2, 3, 4, 5].map(padding),
            [0, 3, 2, 1, 0, 3],
            "bytes of padding by length"
        );
        let mut out = b"abcde".to_vec();
        pad(&mut out, 5);
        assert_eq!(out, b"abcde\0\0\0");
        let mut reader = Reader::new(&out);
        assert_eq!(reader.take_padded(5), Ok(&b"abcde"[..]));
        assert!(reader.is_empty());
    }

    #[test]
    fn missing_padding_is_an_error() {
        assert!(Reader::new(b"abcde").take_padded(5).is_err());
    }
}
