//! How much of its reader's window a delivered piece of a body costs.
//!
//! Counting bytes alone would not bound the memory of a stopped reader: the peer chooses how many
//! pieces a body arrives in, and a queue of one-byte pieces is two hundred times as large as its
//! contents. So each piece costs its length plus [`PIECE_OVERHEAD`]. The engine spends that credit
//! when it delivers a piece, and the reader returns it once it has consumed the piece; both use
//! [`piece_cost`] (in JavaScript, the constant generated from this one).

/// What a piece costs in addition to its length. 256: about the memory of a Buffer, its queue entry
/// and the allocator's overhead in JavaScript. A window of 256 KiB holds at most 1,020 pieces; with
/// chunks of 16 KiB, 98 % of it is payload.
pub const PIECE_OVERHEAD: u32 = 256;

/// How much of the window a piece of this length costs.
pub fn piece_cost(bytes: usize) -> u32 {
    u32::try_from(bytes)
        .unwrap_or(u32::MAX)
        .saturating_add(PIECE_OVERHEAD)
}
