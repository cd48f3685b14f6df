//! Merges small pieces of a body that are available together.
//!
//! The cost of delivering a piece to the reader (a record, an object, a call of the handler) is the
//! same for one byte as for a thousand, and the peer chooses which. So decoders put the small
//! pieces found in one poll of the socket into a [`Pieces`], and deliver the result: large
//! pieces pass through uncopied.

use bytes::{Bytes, BytesMut};

/// Pieces of at least this length are not copied. 1 KiB: copying takes half a microsecond at most,
/// less than a record costs.
const LARGE: usize = 1024;

/// Maximum size of a merged piece. 16 KiB: one TLS record; larger ones save nothing noticeable.
const MOST: usize = 16 * 1024;

/// See the module. Holds at most [`MOST`] bytes, or one piece of any length.
#[derive(Default)]
pub(crate) struct Pieces {
    /// A single piece; empty if `joined` is not.
    single: Bytes,
    joined: BytesMut,
}

impl Pieces {
    /// Bytes not taken yet.
    pub(crate) fn len(&self) -> usize {
        self.single.len() + self.joined.len()
    }

    /// Appends a piece. Returns what must be delivered now, if the piece does not merge with the
    /// previous ones.
    #[must_use]
    pub(crate) fn push(&mut self, piece: Bytes) -> Option<Bytes> {
        let held = self.len();
        if held == 0 {
            if piece.len() >= LARGE {
                return Some(piece);
            }
            self.single = piece;
            return None;
        }
        if piece.len() >= LARGE || held + piece.len() > MOST {
            let before = self.take();
            self.single = piece;
            return before;
        }
        if !self.single.is_empty() {
            let single = std::mem::take(&mut self.single);
            self.joined.extend_from_slice(&single);
        }
        self.joined.extend_from_slice(&piece);
        None
    }

    /// What was merged so far, if anything.
    pub(crate) fn take(&mut self) -> Option<Bytes> {
        if !self.single.is_empty() {
            return Some(std::mem::take(&mut self.single));
        }
        if self.joined.is_empty() {
            return None;
        }
        Some(std::mem::take(&mut self.joined).freeze())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The result for pieces of these lengths, taken once at the end.
    fn told(lengths: &[usize]) -> Vec<Bytes> {
        let mut pieces = Pieces::default();
        let mut next = 0_u8;
        let mut told = Vec::new();
        for &length in lengths {
            let piece: Vec<u8> = (0..length)
                .map(|_| {
                    next = next.wrapping_add(1);
                    next
                })
                .collect();
            told.extend(pieces.push(piece.into()));
        }
        told.extend(pieces.take());
        assert_eq!(pieces.len(), 0);
        told
    }

    #[test]
    fn a_single_piece_is_not_copied() {
        let piece = Bytes::from(vec![1; 5]);
        let mut pieces = Pieces::default();
        assert_eq!(pieces.push(piece.clone()), None);
        assert_eq!(
            pieces.take().map(|told| told.as_ptr()),
            Some(piece.as_ptr())
        );
        let large = Bytes::from(vec![1; LARGE]);
        let told = pieces.push(large.clone());
        assert_eq!(told.map(|told| told.as_ptr()), Some(large.as_ptr()));
    }

    #[test]
    fn a_thousand_pieces_of_one_byte_become_one() {
        assert_eq!(told(&[1; 1000]).len(), 1);
        assert_eq!(told(&[1; 2 * MOST]).len(), 2);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_moved_and_few_pieces_are_left(
            lengths in prop::collection::vec(1_usize..3000, 0..200),
        ) {
            let told = told(&lengths);
            let all: usize = lengths.iter().sum();
            let bytes: Vec<u8> = told.concat();
            let expected: Vec<u8> = (1..=all).map(|n| n as u8).collect();
            prop_assert_eq!(bytes, expected);
            // Any two neighbours hold more than what would have been put together.
            prop_assert!(told.len() <= 2 * all / LARGE + 2, "{} of {all}", told.len());
        }
    }
}
