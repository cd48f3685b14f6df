//! Bodies of every kind that encoders produce, split everywhere.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod support;

use dodici_coding::{Behind, Coding, DecodeError, Decoder};
use support::{ALL, Wrapper, brotli, decode, decoded, noise, text, unit, zlib, zstd};
use zlib_rs::DeflateFlush;

/// A name, the plain body, the encoded body, and where units end before the end.
struct Vector {
    name: String,
    coding: Coding,
    body: Vec<u8>,
    coded: Vec<u8>,
    ends: Vec<usize>,
}

fn bodies() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("nothing", Vec::new()),
        ("a byte", b"a".to_vec()),
        ("text", text(1500)),
        ("noise", noise(700)),
        ("zeros", vec![0; 3000]),
    ]
}

/// Every kind of unit of every coding.
fn vectors() -> Vec<Vector> {
    let mut all = Vec::new();
    for (what, body) in bodies() {
        let mut add = |name: String, coding, coded| {
            all.push(Vector {
                name: format!("{name} of {what}"),
                coding,
                body: body.clone(),
                coded,
                ends: Vec::new(),
            });
        };
        let half = body.len() / 2;
        let parts = [&body[..half], &body[half..]];
        let flushes = [
            DeflateFlush::NoFlush,
            DeflateFlush::SyncFlush,
            DeflateFlush::FullFlush,
            DeflateFlush::Block,
        ];
        for level in [0, 1, 6, 9] {
            for flush in flushes {
                let name = |kind: &str| format!("{kind} level {level} {flush:?}");
                let coded = zlib(&parts, level, Wrapper::Gzip(15), flush);
                add(name("gzip"), Coding::Gzip, coded);
                let coded = zlib(&parts, level, Wrapper::Zlib(15), flush);
                add(name("zlib"), Coding::Deflate, coded);
            }
        }
        for window in [9, 12] {
            let coded = zlib(&parts, 6, Wrapper::Zlib(window), DeflateFlush::NoFlush);
            add(format!("zlib window {window}"), Coding::Deflate, coded);
        }
        for level in [1, 9] {
            let coded = zlib(&parts, level, Wrapper::Raw(15), DeflateFlush::NoFlush);
            // What looks like a zlib wrapper is treated as one, as in undici.
            if coded[0] & 0x0f != 8 {
                add(format!("raw level {level}"), Coding::Deflate, coded);
            }
        }
        for quality in [0, 5, 11] {
            for window in [10, 16, 24] {
                let coded = brotli(&parts, quality, window);
                add(
                    format!("br {quality} window {window}"),
                    Coding::Brotli,
                    coded,
                );
            }
        }
        for level in [-5, 1, 19] {
            for window in [10, 20, 23] {
                let coded = zstd(&parts, level, window);
                add(format!("zstd {level} window {window}"), Coding::Zstd, coded);
            }
        }
    }
    for coding in [Coding::Gzip, Coding::Zstd] {
        let bodies = bodies();
        let mut vector = Vector {
            name: format!("several units of {coding:?}"),
            coding,
            body: Vec::new(),
            coded: Vec::new(),
            ends: Vec::new(),
        };
        for (_, body) in &bodies {
            vector.body.extend_from_slice(body);
            vector.coded.extend_from_slice(&unit(coding, body));
            vector.ends.push(vector.coded.len());
        }
        vector.ends.pop();
        all.push(vector);
    }
    all
}

fn decoder(coding: Coding) -> Decoder {
    Decoder::new(&[coding], Behind::Ignored, None).unwrap()
}

#[test]
fn every_vector_is_decoded_in_slices_of_any_size() {
    for Vector {
        name,
        coding,
        body,
        coded,
        ..
    } in vectors()
    {
        for (slice, room) in [
            (usize::MAX, 65536),
            (1, 65536),
            (usize::MAX, 1),
            (1, 1),
            (7, 5),
        ] {
            let slices = coded.chunks(slice.min(coded.len()));
            let out = decoded(&mut decoder(coding), slices, room);
            assert!(
                out.as_ref() == Ok(&body),
                "{name} by {slice}, {room}: {out:?}"
            );
        }
    }
}

#[test]
fn every_vector_is_decoded_when_split_anywhere() {
    for Vector {
        name,
        coding,
        body,
        coded,
        ..
    } in vectors()
    {
        for cut in 0..=coded.len() {
            let (one, other) = coded.split_at(cut);
            let out = decoded(&mut decoder(coding), [one, other], 512);
            assert!(out.as_ref() == Ok(&body), "{name} cut at {cut}: {out:?}");
        }
    }
}

#[test]
fn every_truncated_vector_is_an_error() {
    for Vector {
        name,
        coding,
        coded,
        ends,
        ..
    } in vectors()
    {
        for end in 1..coded.len() {
            let out = decode(&[coding], Behind::Ignored, &coded[..end]);
            if ends.contains(&end) {
                assert!(out.is_ok(), "{name} up to {end}: {out:?}");
            } else {
                assert_eq!(out, Err(DecodeError::Truncated), "{name} up to {end}");
            }
        }
    }
}

#[test]
fn flushed_output_is_available_immediately() {
    let (one, other) = (text(300), text(200));
    let parts = [&one[..], &other[..]];
    let sync = DeflateFlush::SyncFlush;
    for (coding, coded, first) in [
        (
            Coding::Gzip,
            zlib(&parts, 6, Wrapper::Gzip(15), sync),
            zlib(&parts[..1], 6, Wrapper::Gzip(15), sync).len() - 10,
        ),
        (
            Coding::Brotli,
            brotli(&parts, 5, 22),
            brotli(&parts[..1], 5, 22).len() - 1,
        ),
        (
            Coding::Zstd,
            zstd(&parts, 3, 20),
            zstd(&parts[..1], 3, 20).len() - 7,
        ),
    ] {
        let mut decoder = decoder(coding);
        let mut slice = &coded[..first];
        let mut buffer = [0; 4096];
        let written = decoder.decode(&mut slice, &mut buffer).unwrap();
        assert_eq!(&buffer[..written], &one, "{coding:?}");
    }
}

#[test]
fn a_body_without_a_byte_is_complete() {
    for coding in ALL {
        assert_eq!(decode(&[coding], Behind::Refused, b""), Ok(Vec::new()));
        assert_eq!(
            decode(&[coding, coding], Behind::Refused, b""),
            Ok(Vec::new())
        );
    }
}

#[test]
fn several_codings_are_decoded_in_reverse_order() {
    let body = text(100_000);
    for one in ALL {
        for other in ALL {
            for third in ALL {
                let coded = unit(third, &unit(other, &unit(one, &body)));
                let codings = [one, other, third];
                assert!(decode(&codings, Behind::Refused, &coded).as_ref() == Ok(&body));
                let mut decoder = Decoder::new(&codings, Behind::Refused, None).unwrap();
                let out = decoded(&mut decoder, coded.chunks(11), 300);
                assert!(out.as_ref() == Ok(&body), "{codings:?}");
                let short = decode(&codings, Behind::Refused, &coded[..coded.len() - 1]);
                assert_eq!(short, Err(DecodeError::Truncated), "{codings:?}");
            }
        }
    }
}

#[test]
fn a_truncated_inner_coding_is_an_error() {
    for inner in ALL {
        for outer in ALL {
            let coded = unit(inner, b"hello");
            for end in 0..coded.len() {
                let coded = unit(outer, &coded[..end]);
                let out = decode(&[inner, outer], Behind::Ignored, &coded);
                assert_eq!(
                    out,
                    Err(DecodeError::Truncated),
                    "{inner:?} {outer:?} {end}"
                );
            }
        }
    }
}

#[test]
fn bytes_after_the_end_are_ignored_or_rejected() {
    let behind = |coding, behind, bytes: &[u8]| {
        let coded = [&unit(coding, b"hello"), bytes].concat();
        let (out, other) = (
            decode(&[coding], behind, &coded),
            // In a separate slice.
            decoded(
                &mut Decoder::new(&[coding], behind, None).unwrap(),
                [&coded[..coded.len() - bytes.len()], bytes],
                4096,
            ),
        );
        assert_eq!(out, other, "{coding:?} {behind:?}");
        out.map_err(|error| error.to_string())
    };
    let whole = Ok(b"hello".to_vec());
    let header = || Err("incorrect header check".to_owned());
    let frame = || Err("Unknown frame descriptor".to_owned());
    let refused = || Err(DecodeError::Behind.to_string());
    for bytes in [&b"\0"[..], b"\0\0\0\0garbage"] {
        assert_eq!(behind(Coding::Gzip, Behind::Ignored, bytes), whole);
        assert_eq!(behind(Coding::Deflate, Behind::Ignored, bytes), whole);
        assert_eq!(behind(Coding::Brotli, Behind::Ignored, bytes), whole);
        assert_eq!(behind(Coding::Deflate, Behind::Refused, bytes), refused());
        assert_eq!(behind(Coding::Brotli, Behind::Refused, bytes), refused());
    }
    assert_eq!(behind(Coding::Gzip, Behind::Refused, b"\0\0\0"), header());
    for rule in [Behind::Ignored, Behind::Refused] {
        assert_eq!(behind(Coding::Gzip, rule, b"garbage"), header());
        assert_eq!(behind(Coding::Zstd, rule, b"garbage"), frame());
        assert_eq!(behind(Coding::Zstd, rule, b"\0\0\0\0\0"), frame());
    }
    for bytes in [&b"g"[..], b"garbage"] {
        assert_eq!(behind(Coding::Deflate, Behind::Ignored, bytes), whole);
        assert_eq!(behind(Coding::Brotli, Behind::Ignored, bytes), whole);
        assert_eq!(behind(Coding::Deflate, Behind::Refused, bytes), refused());
        assert_eq!(behind(Coding::Brotli, Behind::Refused, bytes), refused());
    }
}

#[test]
fn skippable_frames_are_skipped() {
    let skipped = b"\x50\x2a\x4d\x18\x03\0\0\0abc";
    let frame = unit(Coding::Zstd, b"hello");
    let coded = [&skipped[..], &frame, skipped, &frame, skipped].concat();
    assert_eq!(
        decode(&[Coding::Zstd], Behind::Refused, &coded),
        Ok(b"hellohello".to_vec())
    );
    assert_eq!(
        decode(&[Coding::Zstd], Behind::Refused, &skipped[..9]),
        Err(DecodeError::Truncated)
    );
}

#[test]
fn s33_windows_beyond_what_the_codings_allow_are_refused() {
    let body = text(40_000);
    let zstd = |window| decode(&[Coding::Zstd], Behind::Ignored, &zstd(&[&body], 1, window));
    assert!(zstd(23).is_ok());
    let error = zstd(24).unwrap_err();
    assert_eq!(error.code(), "ZSTD_error_frameParameter_windowTooLarge");
    assert_eq!(error.number(), 16);

    assert!(decode(&[Coding::Brotli], Behind::Ignored, &brotli(&[&body], 5, 24)).is_ok());
    // The first byte of a large window (draft-vandevenne-shared-brotli-format), of 25 bits.
    let large = [0x11, 25, 0, 0, 0];
    let error = decode(&[Coding::Brotli], Behind::Ignored, &large).unwrap_err();
    assert_eq!(error.code(), "ERR__ERROR_FORMAT_WINDOW_BITS");
}

#[test]
fn s33_a_limit_ends_a_bomb_at_any_depth() {
    const LIMIT: usize = 100_000;
    let zeros = vec![0; 8 * 1024 * 1024];
    for coding in ALL {
        let bomb = unit(coding, &zeros);
        assert!(bomb.len() < zeros.len() / 500, "{coding:?}");
        let limited = |codings: &[Coding], coded: &[u8], limit: usize| {
            let mut decoder = Decoder::new(codings, Behind::Ignored, Some(limit as u64)).unwrap();
            let mut buffer = vec![0; 10_000];
            let (mut slice, mut all) = (coded, 0);
            loop {
                match decoder.decode(&mut slice, &mut buffer) {
                    Err(error) => {
                        assert_eq!(decoder.finish(), Err(error.clone()), "it stays failed");
                        return (all, Some(error));
                    }
                    Ok(written) if written == buffer.len() => all += written,
                    Ok(written) => return (all + written, decoder.finish().err()),
                }
            }
        };
        let (told, error) = limited(&[coding], &bomb, LIMIT);
        assert_eq!(told, LIMIT, "{coding:?}");
        assert!(matches!(error, Some(DecodeError::TooLarge(size)) if size > LIMIT as u64));
        assert_eq!(limited(&[coding], &bomb, zeros.len()), (zeros.len(), None));
        // What is inside counts, too.
        let nested = unit(Coding::Gzip, &bomb);
        let (_, error) = limited(&[coding, Coding::Gzip], &nested, bomb.len() - 1);
        assert!(
            matches!(error, Some(DecodeError::TooLarge(_))),
            "{coding:?}"
        );
    }
}
