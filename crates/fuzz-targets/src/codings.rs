//! Content codings: bodies that a server has encoded, or claims to have.

use dodici_coding::{Behind, Coding, DecodeError, Decoder};

/// More than any body of the corpus decodes to, and small enough to be fast.
const LIMIT: usize = 1 << 20;

/// Decodes `coded` in slices of this many bytes, with room for as many at a time.
fn decoded(
    codings: &[Coding],
    behind: Behind,
    coded: &[u8],
    size: usize,
) -> Result<Vec<u8>, DecodeError> {
    let mut decoder = Decoder::new(codings, behind, Some(LIMIT as u64))?;
    let mut out = Vec::new();
    let mut buffer = vec![0; size];
    for mut slice in coded.chunks(size) {
        loop {
            let written = decoder
                .decode(&mut slice, &mut buffer)
                .inspect_err(|error| {
                    assert_eq!(decoder.finish().as_ref(), Err(error), "it stays failed");
                })?;
            out.extend_from_slice(&buffer[..written]);
            assert!(out.len() <= LIMIT, "the limit holds");
            if written < size {
                assert!(slice.is_empty(), "all of the input is used");
                break;
            }
        }
    }
    decoder.finish()?;
    Ok(out)
}

/// The first byte selects the codings and what may follow their end; the others are a body.
pub(crate) fn decoding(input: &[u8]) {
    let Some((&choice, coded)) = input.split_first() else {
        return;
    };
    let named = |bits: u8| match bits & 3 {
        0 => Coding::Gzip,
        1 => Coding::Deflate,
        2 => Coding::Brotli,
        _ => Coding::Zstd,
    };
    let behind = if choice & 0x80 == 0 {
        Behind::Ignored
    } else {
        Behind::Refused
    };
    let codings = [named(choice), named(choice >> 2)];
    let codings = &codings[..1 + usize::from(choice >> 4 & 1)];
    let whole = decoded(codings, behind, coded, 65_536);
    let single = decoded(codings, behind, coded, 7);
    // zstd's library checks some invalid frames more closely if it has them as a whole, and which
    // of a limit and a later fault is found first depends on the slices.
    match (whole, single) {
        (Ok(one), Ok(other)) => assert_eq!(one, other),
        (Err(DecodeError::TooLarge(_)), _) | (_, Err(DecodeError::TooLarge(_))) => {}
        (one, other) => assert!(
            one.is_ok() == other.is_ok() || codings.contains(&Coding::Zstd),
            "{one:?} {other:?}"
        ),
    }
}
