//! Ordered header fields exactly as they stood on the wire.
//!
//! A [`HeaderBlock`] owns one byte buffer and the ranges of names and values in it, preserving
//! order, duplicates and letter case. It can be cleared and refilled without allocating, which is
//! how the connection's framing guard produces every response head.

use std::fmt;
use std::ops::Range;

/// A list of (name, value) byte pairs in wire order.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct HeaderBlock {
    bytes: Vec<u8>,
    fields: Vec<Field>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Field {
    name_start: u32,
    name_end: u32,
    value_end: u32,
}

impl HeaderBlock {
    /// An empty list; allocates nothing.
    pub const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            fields: Vec::new(),
        }
    }

    /// Appends one field, without interpreting its bytes.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        let name_start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(name);
        let name_end = self.bytes.len() as u32;
        self.bytes.extend_from_slice(value);
        let value_end = self.bytes.len() as u32;
        self.fields.push(Field {
            name_start,
            name_end,
            value_end,
        });
    }

    /// Extends the last field's value with `more`, separated by a space if neither is empty. Does
    /// nothing if there is no field.
    pub fn extend_last(&mut self, more: &[u8]) {
        let Some(last) = self.fields.last_mut() else {
            return;
        };
        if last.value_end > last.name_end && !more.is_empty() {
            self.bytes.push(b' ');
        }
        self.bytes.extend_from_slice(more);
        last.value_end = self.bytes.len() as u32;
    }

    /// Removes all fields and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.fields.clear();
    }

    /// Number of fields, including repeated names.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Sum of the lengths of all names and values, in bytes.
    pub fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// The fields in wire order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> + '_ {
        self.fields.iter().map(|field| {
            let slice = |range: Range<u32>| &self.bytes[range.start as usize..range.end as usize];
            (
                slice(field.name_start..field.name_end),
                slice(field.name_end..field.value_end),
            )
        })
    }

    /// First value whose name equals `name`, letter case ignored.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.iter()
            .find(|(have, _)| have.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }

    /// All values whose name equals `name`, letter case ignored, in wire order.
    pub fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + 'a {
        self.iter()
            .filter(move |(have, _)| have.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> FromIterator<(N, V)> for HeaderBlock {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(iter: I) -> Self {
        let mut block = Self::new();
        for (name, value) in iter {
            block.push(name.as_ref(), value.as_ref());
        }
        block
    }
}

impl fmt::Debug for HeaderBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|(n, v)| {
                (
                    String::from_utf8_lossy(n).into_owned(),
                    String::from_utf8_lossy(v).into_owned(),
                )
            }))
            .finish()
    }
}
