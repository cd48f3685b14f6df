//! A hash of the whole schema. The generator writes it into `generated.ts`, the addon exports it,
//! and `node/src/native` compares the two before any other call.

use dodici_pool::PIECE_OVERHEAD;

use crate::options::OptionKey;
use crate::schema::{
    BATCH_LIMIT, BODY_SLICE, Completion, Counter, CreditFlag, DEFAULT_TIMEOUT, DispatchAux,
    DispatchFlag, ErrorCode, Field, HeadFlag, LARGE_CHUNK, LAYOUT_VERSION, RECORD_HEADER,
    Submission, WINDOW, WireBody, WireCloseReason, WireDecode,
};

/// Every table, for the generator and the layout hash.
pub const TABLES: &[(&str, &[(&str, u32)])] = &[
    ("Submission", Submission::TABLE),
    ("Completion", Completion::TABLE),
    ("DispatchFlag", DispatchFlag::TABLE),
    ("DispatchAux", DispatchAux::TABLE),
    ("WireDecode", WireDecode::TABLE),
    ("CreditFlag", CreditFlag::TABLE),
    ("WireBody", WireBody::TABLE),
    ("HeadFlag", HeadFlag::TABLE),
    ("OptionKey", OptionKey::TABLE),
    ("ErrorCode", ErrorCode::TABLE),
    ("WireCloseReason", WireCloseReason::TABLE),
    ("Field", Field::TABLE),
    ("Counter", Counter::TABLE),
    (
        "Limit",
        &[
            ("LAYOUT_VERSION", LAYOUT_VERSION),
            ("RECORD_HEADER", RECORD_HEADER as u32),
            ("LARGE_CHUNK", LARGE_CHUNK as u32),
            ("BATCH_LIMIT", BATCH_LIMIT as u32),
            ("WINDOW", WINDOW),
            ("PIECE_OVERHEAD", PIECE_OVERHEAD),
            ("BODY_SLICE", BODY_SLICE),
            ("DEFAULT_TIMEOUT", DEFAULT_TIMEOUT),
        ],
    ),
];

/// FNV-1a (32 bits) over every table's name, entry names and numbers.
///
/// A hash rather than a version number, because it cannot be forgotten.
pub const fn layout_hash() -> u32 {
    let mut hash = OFFSET_BASIS;
    let mut table = 0;
    while table < TABLES.len() {
        let (name, entries) = TABLES[table];
        hash = text(hash, name);
        let mut entry = 0;
        while entry < entries.len() {
            let (name, value) = entries[entry];
            hash = text(hash, name);
            hash = bytes(hash, &value.to_le_bytes());
            entry += 1;
        }
        table += 1;
    }
    hash
}

const OFFSET_BASIS: u32 = 0x811c_9dc5;
const PRIME: u32 = 0x0100_0193;

/// The zero byte distinguishes `("ab", "c")` from `("a", "bc")`.
const fn text(hash: u32, value: &str) -> u32 {
    bytes(bytes(hash, value.as_bytes()), &[0])
}

const fn bytes(mut hash: u32, value: &[u8]) -> u32 {
    let mut at = 0;
    while at < value.len() {
        hash = (hash ^ value[at] as u32).wrapping_mul(PRIME);
        at += 1;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::{OFFSET_BASIS, bytes, layout_hash, text};

    #[test]
    fn the_hash_is_fnv_1a() {
        // Test vectors of the FNV authors.
        assert_eq!(bytes(OFFSET_BASIS, b""), 0x811c_9dc5);
        assert_eq!(bytes(OFFSET_BASIS, b"a"), 0xe40c_292c);
        assert_eq!(bytes(OFFSET_BASIS, b"foobar"), 0xbf9c_f968);
    }

    #[test]
    fn names_do_not_run_into_each_other() {
        assert_ne!(
            text(text(OFFSET_BASIS, "ab"), "c"),
            text(text(OFFSET_BASIS, "a"), "bc")
        );
        assert_ne!(layout_hash(), OFFSET_BASIS);
    }
}
