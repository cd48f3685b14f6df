//! The frames of a request stream (RFC 9114, section 7), a state machine without I/O.
//!
//! The content of DATA passes through uncopied, a field section is collected, and frames of other
//! types are skipped. Which frame may follow which is left to [`super::stream`].

use bytes::{Buf, Bytes};

use super::{Violation, code, varint};

/// Types of frames.
pub(super) mod kind {
    pub(in crate::conn::h3) const DATA: u64 = 0;
    pub(in crate::conn::h3) const HEADERS: u64 = 1;
    pub(in crate::conn::h3) const CANCEL_PUSH: u64 = 3;
    pub(in crate::conn::h3) const SETTINGS: u64 = 4;
    pub(in crate::conn::h3) const PUSH_PROMISE: u64 = 5;
    pub(in crate::conn::h3) const GOAWAY: u64 = 7;
    pub(in crate::conn::h3) const MAX_PUSH_ID: u64 = 0xd;

    /// Types that HTTP/2 has and HTTP/3 must not use (RFC 9114, section 7.2.8).
    pub(in crate::conn::h3) fn is_of_http2(kind: u64) -> bool {
        matches!(kind, 2 | 6 | 8 | 9)
    }
}

/// The type and length of a frame, as far as they have arrived.
#[derive(Debug, Default)]
pub(super) struct Header {
    bytes: [u8; 16],
    have: usize,
}

impl Header {
    /// Takes bytes from `chunk` until both numbers are complete.
    pub(super) fn read(&mut self, chunk: &mut Bytes) -> Option<(u64, u64)> {
        loop {
            if let Some((kind, first)) = varint::read(&self.bytes[..self.have])
                && let Some((length, _)) = varint::read(&self.bytes[first..self.have])
            {
                self.have = 0;
                return Some((kind, length));
            }
            if chunk.is_empty() {
                return None;
            }
            self.bytes[self.have] = chunk.get_u8();
            self.have += 1;
        }
    }

    /// Whether none of it has arrived.
    pub(super) fn is_empty(&self) -> bool {
        self.have == 0
    }
}

/// What a stream consists of.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// A field section.
    Fields(Bytes),
    /// Some of the content of a DATA frame, never empty.
    Data(Bytes),
    /// A field section that is longer than allowed, of which nothing was kept.
    TooLong,
    /// A frame without an effect.
    Idle,
}

#[derive(Debug)]
enum State {
    Header,
    Data(u64),
    Fields(u64),
    Skipped(u64),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Frames {
    state: State,
    header: Header,
    section: Vec<u8>,
    /// Maximum length of a field section.
    most: u64,
}

impl Frames {
    pub(super) fn new(most: u64) -> Self {
        Self {
            state: State::Header,
            header: Header::default(),
            section: Vec::new(),
            most,
        }
    }

    /// The next piece in `chunk`, whose bytes are taken. `None` if it contains no more.
    ///
    /// # Errors
    /// The peer sent a frame that must not be on a request stream.
    pub(super) fn next(&mut self, chunk: &mut Bytes) -> Result<Option<Piece>, Violation> {
        loop {
            match &mut self.state {
                State::Header => {
                    let Some((kind, length)) = self.header.read(chunk) else {
                        return Ok(None);
                    };
                    match kind {
                        kind::DATA if length == 0 => return Ok(Some(Piece::Idle)),
                        kind::DATA => self.state = State::Data(length),
                        kind::HEADERS if length > self.most => {
                            self.state = State::Skipped(length);
                            return Ok(Some(Piece::TooLong));
                        }
                        kind::HEADERS if length == 0 => {
                            return Ok(Some(Piece::Fields(Bytes::new())));
                        }
                        kind::HEADERS => self.state = State::Fields(length),
                        kind => {
                            refuse(kind)?;
                            if length > 0 {
                                self.state = State::Skipped(length);
                            }
                            return Ok(Some(Piece::Idle));
                        }
                    }
                }
                _ if chunk.is_empty() => return Ok(None),
                State::Data(left) => {
                    let piece = take(chunk, left);
                    if *left == 0 {
                        self.state = State::Header;
                    }
                    return Ok(Some(Piece::Data(piece)));
                }
                State::Fields(left) => {
                    let piece = take(chunk, left);
                    if *left > 0 {
                        self.section.extend_from_slice(&piece);
                        return Ok(None);
                    }
                    self.state = State::Header;
                    if self.section.is_empty() {
                        return Ok(Some(Piece::Fields(piece)));
                    }
                    self.section.extend_from_slice(&piece);
                    let section = std::mem::take(&mut self.section);
                    return Ok(Some(Piece::Fields(section.into())));
                }
                State::Skipped(left) => {
                    take(chunk, left);
                    if *left == 0 {
                        self.state = State::Header;
                    }
                }
            }
        }
    }

    /// Whether more of a DATA frame has to follow.
    pub(super) fn is_inside_data(&self) -> bool {
        matches!(self.state, State::Data(_))
    }

    /// Whether the stream may end here.
    pub(super) fn is_complete(&self) -> bool {
        matches!(self.state, State::Header) && self.header.is_empty()
    }
}

fn take(chunk: &mut Bytes, left: &mut u64) -> Bytes {
    let length = usize::try_from(*left).map_or(chunk.len(), |left| left.min(chunk.len()));
    *left -= length as u64;
    chunk.split_to(length)
}

/// Types that are known and do not belong on a request stream.
fn refuse(kind: u64) -> Result<(), Violation> {
    match kind {
        // We allow no pushes.
        kind::PUSH_PROMISE => Err(Violation::new(code::ID_ERROR, "PUSH_PROMISE")),
        kind::CANCEL_PUSH | kind::SETTINGS | kind::GOAWAY | kind::MAX_PUSH_ID => {
            Err(Violation::new(
                code::FRAME_UNEXPECTED,
                "a control frame on a request stream",
            ))
        }
        kind if kind::is_of_http2(kind) => {
            Err(Violation::new(code::FRAME_UNEXPECTED, "a frame of HTTP/2"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u64, content: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        varint::put(&mut out, kind);
        varint::put(&mut out, content.len() as u64);
        out.extend_from_slice(content);
        out
    }

    /// What is found in these bytes, cut into pieces of this length, with the content of DATA joined.
    fn pieces(bytes: &[u8], length: usize) -> Result<(Vec<Piece>, bool), Violation> {
        let mut frames = Frames::new(100);
        let mut found: Vec<Piece> = Vec::new();
        for chunk in bytes.chunks(length) {
            let mut chunk = Bytes::copy_from_slice(chunk);
            while let Some(piece) = frames.next(&mut chunk)? {
                if let (Piece::Data(more), Some(Piece::Data(before))) = (&piece, found.last_mut()) {
                    *before = [&before[..], more].concat().into();
                } else {
                    found.push(piece);
                }
            }
            assert!(chunk.is_empty());
        }
        Ok((found, frames.is_complete()))
    }

    #[test]
    fn frames_are_found_wherever_the_bytes_are_cut() {
        let bytes = [
            frame(kind::HEADERS, b"head"),
            frame(0x21, b"greasing"),
            frame(kind::DATA, b"some "),
            frame(kind::DATA, b"content"),
            frame(kind::DATA, b""),
            frame(kind::HEADERS, &[0; 101]),
            frame(kind::HEADERS, b"trailers"),
        ]
        .concat();
        for length in 1..=bytes.len() {
            let (found, complete) = pieces(&bytes, length).unwrap();
            let expected = [
                Piece::Fields(Bytes::from_static(b"head")),
                Piece::Idle,
                Piece::Data(Bytes::from_static(b"some content")),
                Piece::Idle,
                Piece::TooLong,
                Piece::Fields(Bytes::from_static(b"trailers")),
            ];
            assert_eq!(found, expected, "{length}");
            assert!(complete);
            // Without its last byte, the stream must not end.
            assert!(!pieces(&bytes[..bytes.len() - 1], length).unwrap().1);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_mean_the_same_however_they_are_cut(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            length in 1_usize..50,
        ) {
            prop_assert_eq!(pieces(&bytes, length), pieces(&bytes, 200));
        }
    }
}
