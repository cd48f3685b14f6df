//! What a delivered piece of a body costs of its reader's window.
//!
//! Bytes alone would not bound what a stopped reader holds: a peer chooses how many pieces a body
//! comes in, and a queue of one-byte pieces is two hundred times as large as what they carry. So
//! each piece costs its length and [`PIECE_OVERHEAD`]. The engine spends it when it delivers a
//! piece, the reader gives it back when it has taken the piece; both use [`piece_cost`] (in
//! JavaScript, the constant that is generated from this one).

/// What a piece costs beside its length. 256: about what a Buffer, its place in a queue and the
/// allocator's share take in JavaScript. A window of 256 KiB holds at most 1,020 pieces; of chunks
/// of 16 KiB it still holds 98 % of its bytes.
pub const PIECE_OVERHEAD: u32 = 256;

/// What a piece of so many bytes costs of the window.
pub fn piece_cost(bytes: usize) -> u32 {
    u32::try_from(bytes)
        .unwrap_or(u32::MAX)
        .saturating_add(PIECE_OVERHEAD)
}
