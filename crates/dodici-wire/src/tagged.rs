//! Tagged values: `u16 tag`, `u16 zero`, `u32 length`, value, padded to four bytes.
//!
//! Used for pool options and for the payloads that describe errors and connections.

use std::fmt::{self, Write as _};

use crate::cursor::{Malformed, Reader, pad};

/// Iterator over tagged values.
#[derive(Clone, Debug)]
pub struct TaggedReader<'a> {
    reader: Reader<'a>,
}

impl<'a> TaggedReader<'a> {
    /// Starts at the first value.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            reader: Reader::new(bytes),
        }
    }

    fn read(&mut self) -> Result<(u16, &'a [u8]), Malformed> {
        let tag = self.reader.u16()?;
        if self.reader.u16()? != 0 {
            return Err(Malformed("reserved bytes of a tagged value are not zero"));
        }
        let len = self.reader.u32()? as usize;
        Ok((tag, self.reader.take_padded(len)?))
    }
}

impl<'a> Iterator for TaggedReader<'a> {
    type Item = Result<(u16, &'a [u8]), Malformed>;

    /// The next tag and value; nothing follows an error.
    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.is_empty() {
            return None;
        }
        let read = self.read();
        if read.is_err() {
            self.reader.take_rest();
        }
        Some(read)
    }
}

/// Appends one value that `value` writes.
pub(crate) fn put_with(out: &mut Vec<u8>, tag: u16, value: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(&tag.to_le_bytes());
    out.extend_from_slice(&[0; 6]);
    let start = out.len();
    value(out);
    let len = out.len() - start;
    out[start - 4..start].copy_from_slice(&(len as u32).to_le_bytes());
    pad(out, len);
}

/// Appends one value.
pub fn put_bytes(out: &mut Vec<u8>, tag: u16, value: &[u8]) {
    put_with(out, tag, |out| out.extend_from_slice(value));
}

pub(crate) fn put_u32(out: &mut Vec<u8>, tag: u16, value: u32) {
    put_bytes(out, tag, &value.to_le_bytes());
}

pub(crate) fn put_f64(out: &mut Vec<u8>, tag: u16, value: f64) {
    put_bytes(out, tag, &value.to_le_bytes());
}

/// Appends a value's text form without a string in between.
pub(crate) fn put_display(out: &mut Vec<u8>, tag: u16, value: impl fmt::Display) {
    struct Text<'a>(&'a mut Vec<u8>);
    impl fmt::Write for Text<'_> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.extend_from_slice(text.as_bytes());
            Ok(())
        }
    }
    put_with(out, tag, |out| {
        // Writing to a Vec does not fail; a failing `Display` would leave a truncated text.
        let _ = write!(Text(out), "{value}");
    });
}
