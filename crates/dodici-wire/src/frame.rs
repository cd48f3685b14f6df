//! The record frame of both directions: a header of sixteen bytes, the payload, padding.
//!
//! `submission` and `completion` put their payloads into it. It must not know what kinds mean.

use crate::cursor::{Malformed, Reader, pad, padding};
use crate::schema::RECORD_HEADER;

/// What a record is about: a request, or in pool records the pool and a connection's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// Session slot, or pool id.
    pub slot: u32,
    /// Generation of the slot, or serial number of the connection.
    pub generation: u32,
}

/// Header of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// `Submission` or `Completion` number.
    pub kind: u8,
    /// Bits; meaning depends on the kind.
    pub flags: u8,
    /// Small number; meaning depends on the kind.
    pub aux: u16,
    /// What the record is about.
    pub target: Target,
    /// Bytes of payload, excluding padding.
    pub len: u32,
}

impl Header {
    /// Reads a header and checks that payload and padding are there.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let header = Self {
            kind: reader.u8()?,
            flags: reader.u8()?,
            aux: reader.u16()?,
            target: Target {
                slot: reader.u32()?,
                generation: reader.u32()?,
            },
            len: reader.u32()?,
        };
        let len = header.len as usize;
        match len.checked_add(padding(len)) {
            Some(padded) if padded <= reader.remaining() => Ok(header),
            _ => Err(Malformed("a record is longer than its buffer")),
        }
    }
}

/// Counts the records in `bytes` and checks that they fill it exactly. Does not examine payloads.
pub fn count_records(bytes: &[u8]) -> Result<u32, Malformed> {
    let mut reader = Reader::new(bytes);
    let mut records = 0;
    while !reader.is_empty() {
        let header = Header::read(&mut reader)?;
        reader.take_padded(header.len as usize)?;
        records += 1;
    }
    Ok(records)
}

/// Appends one record; `payload` appends its payload.
pub fn put_record(
    out: &mut Vec<u8>,
    kind: u8,
    flags: u8,
    aux: u16,
    target: Target,
    payload: impl FnOnce(&mut Vec<u8>),
) {
    let start = out.len();
    let mut header = [0; RECORD_HEADER];
    header[0] = kind;
    header[1] = flags;
    header[2..4].copy_from_slice(&aux.to_le_bytes());
    header[4..8].copy_from_slice(&target.slot.to_le_bytes());
    header[8..12].copy_from_slice(&target.generation.to_le_bytes());
    out.extend_from_slice(&header);
    payload(out);
    let len = out.len() - start - RECORD_HEADER;
    out[start + 12..start + 16].copy_from_slice(&(len as u32).to_le_bytes());
    pad(out, len);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{Header, Target, count_records, put_record};
    use crate::cursor::Reader;

    const TARGET: Target = Target {
        slot: 0x0403_0201,
        generation: 7,
    };

    #[test]
    fn the_frame_has_the_documented_bytes() {
        let mut out = Vec::new();
        put_record(&mut out, 3, 1, 0x0201, TARGET, |out| {
            out.extend_from_slice(b"hello");
        });
        assert_eq!(
            out,
            [
                3, 1, 1, 2, // kind, flags, aux
                1, 2, 3, 4, // slot
                7, 0, 0, 0, // generation
                5, 0, 0, 0, // length
                b'h', b'e', b'l', b'l', b'o', 0, 0, 0,
            ]
        );
        let header = Header::read(&mut Reader::new(&out)).unwrap();
        assert_eq!((header.kind, header.flags, header.aux), (3, 1, 0x0201));
        assert_eq!((header.target, header.len), (TARGET, 5));
        assert_eq!(count_records(&out), Ok(1));
    }

    #[test]
    fn a_record_longer_than_its_input_is_an_error() {
        let mut out = Vec::new();
        put_record(&mut out, 1, 0, 0, TARGET, |out| out.push(1));
        out.pop();
        assert!(count_records(&out).is_err());
        out.truncate(15);
        assert!(count_records(&out).is_err());
    }

    #[test]
    fn a_length_near_the_largest_number_is_an_error() {
        let mut out = vec![0; 16];
        out[12..].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(count_records(&out).is_err());
    }
}
