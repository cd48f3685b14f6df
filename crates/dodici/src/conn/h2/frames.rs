//! Finds frames in a byte stream (RFC 9113, section 4.1), however it is split.
//!
//! The tap feeds everything read and written through one [`FrameCursor`] each. It parses only frame
//! headers and the first bytes of GOAWAY, and passes on payloads with fields; decoding frames is
//! left to the h2 crate.

/// Bytes of a frame header.
pub(super) const HEADER: usize = 9;

/// Bytes of a GOAWAY payload before its debug data.
const GOAWAY: usize = 8;

/// Frame types (RFC 9113, section 6).
pub(super) mod kind {
    pub(in crate::conn) const DATA: u8 = 0;
    pub(in crate::conn) const HEADERS: u8 = 1;
    pub(in crate::conn) const RST_STREAM: u8 = 3;
    pub(in crate::conn) const SETTINGS: u8 = 4;
    pub(in crate::conn) const PING: u8 = 6;
    pub(in crate::conn) const GOAWAY: u8 = 7;
    pub(in crate::conn) const CONTINUATION: u8 = 9;
}

/// The flag that makes SETTINGS and PING an acknowledgement.
pub(super) const ACK: u8 = 1;

/// The flag that makes HEADERS and DATA the last of their stream.
pub(super) const END_STREAM: u8 = 1;

/// The flag of HEADERS and CONTINUATION that ends a block of fields.
pub(super) const END_HEADERS: u8 = 4;

/// The flags that add other data to the payload of HEADERS.
pub(super) const PADDED: u8 = 8;
pub(super) const PRIORITY: u8 = 0x20;

/// The header of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    /// Bytes of the payload.
    pub(super) length: u32,
    /// Last stream and error code of a GOAWAY that is long enough to have them.
    pub(super) goaway: Option<(u32, u32)>,
}

/// Bytes of a header block that are held until it is complete, and CONTINUATION frames of
/// it. A larger one is passed to h2 as it arrives.
const MOST_HELD: usize = 128 * 1024;
const MOST_CONTINUATIONS: usize = 16;

/// What begins where a frame ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// A frame of this many bytes, some of which may not have arrived.
    Frame(usize),
    /// A whole block of fields, of this many bytes: HEADERS with its CONTINUATION frames.
    Fields(usize),
    /// DATA of this stream that has no payload and does not end it.
    Empty(u32),
    /// That depends on bytes that have not arrived.
    Partial,
}

impl Unit {
    /// The one that these bytes begin with.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let Some((first, size)) = frame_header(bytes) else {
            return Self::Partial;
        };
        match first.kind {
            kind::DATA if first.length == 0 && first.flags & (END_STREAM | PADDED) == 0 => {
                Self::Empty(first.stream)
            }
            kind::HEADERS => {
                let (mut frame, mut end) = (first, size);
                for _ in 0..=MOST_CONTINUATIONS {
                    if end > MOST_HELD {
                        break;
                    }
                    if frame.flags & END_HEADERS != 0 && end <= bytes.len() {
                        return Self::Fields(end);
                    }
                    let next = bytes.get(end..).and_then(frame_header);
                    match next {
                        None => return Self::Partial,
                        Some((next, size)) if next.kind == kind::CONTINUATION => {
                            frame = next;
                            end += size;
                        }
                        // h2 rejects it.
                        Some(_) => break,
                    }
                }
                Self::Frame(size)
            }
            _ => Self::Frame(size),
        }
    }
}

/// The frame that begins here, and its size with its header.
fn frame_header(bytes: &[u8]) -> Option<(Frame, usize)> {
    let mut cursor = FrameCursor::new(0);
    cursor.head[..HEADER].copy_from_slice(bytes.get(..HEADER)?);
    cursor.have = HEADER;
    let frame = cursor.complete();
    Some((frame, HEADER + frame.length as usize))
}

/// A frame of a block of fields.
pub(super) struct Fragment<'a> {
    pub(super) frame: Frame,
    /// The priority before the fields, if there is one.
    pub(super) before: &'a [u8],
    /// The fields, without padding.
    pub(super) part: &'a [u8],
}

/// The frames of a whole block of fields. Ends early where one is malformed.
pub(super) fn fragments(mut frames: &[u8]) -> impl Iterator<Item = Fragment<'_>> {
    std::iter::from_fn(move || {
        let (frame, size) = frame_header(frames)?;
        let mut part = frames.split_off(..size)?.get(HEADER..)?;
        let mut before: &[u8] = &[];
        if frame.kind == kind::HEADERS {
            if frame.flags & PADDED != 0 {
                let padding = usize::from(*part.split_off_first()?);
                part = &part[..part.len().checked_sub(padding)?];
            }
            if frame.flags & PRIORITY != 0 {
                before = part.split_off(..5)?;
            }
        }
        Some(Fragment {
            frame,
            before,
            part,
        })
    })
}

/// Appends the header of a frame.
pub(super) fn put_frame_header(out: &mut Vec<u8>, length: usize, kind: u8, flags: u8, stream: u32) {
    out.extend_from_slice(&(length as u32).to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
}

/// What the cursor reports.
pub(super) enum Piece<'a> {
    /// A frame begins.
    Frame(Frame),
    /// A part of the payload of the current HEADERS or CONTINUATION frame.
    Fields(&'a [u8]),
}

/// The position of the next byte within the frames.
#[derive(Debug)]
pub(super) struct FrameCursor {
    /// The frame header being collected; for GOAWAY, with the start of its payload.
    head: [u8; HEADER + GOAWAY],
    have: usize,
    /// Payload bytes still to pass.
    skip: u32,
}

impl FrameCursor {
    /// A cursor before the first frame, after `preface` bytes that belong to none.
    pub(super) const fn new(preface: u32) -> Self {
        Self {
            head: [0; HEADER + GOAWAY],
            have: 0,
            skip: preface,
        }
    }

    /// Whether the last byte ended a frame.
    pub(super) fn is_between_frames(&self) -> bool {
        self.have == 0 && self.skip == 0
    }

    /// Processes these bytes; calls `on_frame` for each frame whose header they complete.
    pub(super) fn feed(&mut self, bytes: &[u8], mut on_frame: impl FnMut(Frame)) {
        self.feed_pieces(bytes, |piece| {
            if let Piece::Frame(frame) = piece {
                on_frame(frame);
            }
        });
    }

    /// Like [`FrameCursor::feed`], with payloads that contain fields.
    pub(super) fn feed_pieces(&mut self, mut bytes: &[u8], mut on: impl FnMut(Piece<'_>)) {
        loop {
            let skipped = bytes.len().min(self.skip as usize);
            self.skip -= skipped as u32;
            if skipped > 0 && matches!(self.head[3], kind::HEADERS | kind::CONTINUATION) {
                on(Piece::Fields(&bytes[..skipped]));
            }
            bytes = &bytes[skipped..];
            if bytes.is_empty() {
                return;
            }
            let want = self.wanted();
            let taken = bytes.len().min(want - self.have);
            self.head[self.have..self.have + taken].copy_from_slice(&bytes[..taken]);
            self.have += taken;
            bytes = &bytes[taken..];
            if self.have == self.wanted() {
                let frame = self.complete();
                on(Piece::Frame(frame));
            }
        }
    }

    /// Bytes to collect before the frame can be reported.
    fn wanted(&self) -> usize {
        let is_goaway =
            self.have >= HEADER && self.head[3] == kind::GOAWAY && self.length() as usize >= GOAWAY;
        if is_goaway { HEADER + GOAWAY } else { HEADER }
    }

    fn length(&self) -> u32 {
        u32::from_be_bytes([0, self.head[0], self.head[1], self.head[2]])
    }

    fn number(&self, at: usize) -> u32 {
        let head = &self.head;
        u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]])
    }

    fn complete(&mut self) -> Frame {
        const RESERVED: u32 = 1 << 31;
        let frame = Frame {
            kind: self.head[3],
            flags: self.head[4],
            stream: self.number(5) & !RESERVED,
            length: self.length(),
            goaway: (self.have > HEADER)
                .then(|| (self.number(HEADER) & !RESERVED, self.number(HEADER + 4))),
        };
        self.skip = frame.length - (self.have - HEADER) as u32;
        self.have = 0;
        frame
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let mut out = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        out.extend([kind, flags]);
        out.extend(stream.to_be_bytes());
        out.extend(payload);
        out
    }

    fn found(pieces: &[&[u8]], preface: u32) -> Vec<Frame> {
        let mut cursor = FrameCursor::new(preface);
        let mut frames = Vec::new();
        for piece in pieces {
            cursor.feed(piece, |frame| frames.push(frame));
        }
        assert!(cursor.is_between_frames());
        frames
    }

    #[test]
    fn frames_are_the_same_wherever_the_stream_is_cut() {
        let mut bytes = b"preface".to_vec();
        bytes.extend(frame(kind::SETTINGS, 0, 0, &[0; 12]));
        bytes.extend(frame(kind::HEADERS, END_STREAM, 1, b"abc"));
        bytes.extend(frame(kind::DATA, 0, 3, b""));
        bytes.extend(frame(
            kind::GOAWAY,
            0,
            0,
            &[0x80, 0, 0, 7, 0, 0, 0, 11, b'x'],
        ));
        bytes.extend(frame(kind::PING, ACK, 0, &[1; 8]));
        let whole = found(&[&bytes], 7);
        assert_eq!(whole.len(), 5);
        assert_eq!(whole[3].goaway, Some((7, 11)));
        assert_eq!((whole[1].stream, whole[1].length), (1, 3));
        for cut in 0..bytes.len() {
            assert_eq!(found(&[&bytes[..cut], &bytes[cut..]], 7), whole);
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(found(&single, 7), whole);
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_give_the_same_frames(
            bytes in prop::collection::vec(any::<u8>(), 0..2000),
            cuts in prop::collection::vec(1_usize..50, 0..40),
        ) {
            let (mut whole, mut expected) = (FrameCursor::new(24), Vec::new());
            whole.feed(&bytes, |frame| expected.push(frame));
            let (mut cursor, mut frames) = (FrameCursor::new(24), Vec::new());
            let mut rest = &bytes[..];
            for cut in cuts {
                let (piece, tail) = rest.split_at(cut.min(rest.len()));
                cursor.feed(piece, |frame| frames.push(frame));
                rest = tail;
            }
            cursor.feed(rest, |frame| frames.push(frame));
            prop_assert_eq!(frames, expected);
            prop_assert_eq!(cursor.is_between_frames(), whole.is_between_frames());
        }
    }

    #[test]
    fn a_goaway_without_its_fields_is_a_frame_like_any_other() {
        let bytes = frame(kind::GOAWAY, 0, 0, &[1, 2, 3]);
        assert_eq!(found(&[&bytes], 0)[0].goaway, None);
    }
}
