//! HTTP/3: the frames of streams, cut in any way, and field sections.

use dodici::http3_decoders::{
    Found, Section, encode, head, peer_stream, response, section, trailers,
};

/// The first byte selects the kind of stream, the second the size of the pieces; the rest is what it
/// carries.
pub(crate) fn h3_frames(input: &[u8]) {
    let [choice, size, bytes @ ..] = input else {
        return;
    };
    let read = |length| match choice & 1 {
        0 => response(bytes, length, MOST as u64),
        _ => peer_stream(bytes, length),
    };
    let whole = read(bytes.len());
    assert_eq!(whole, read((*size).into()));
    assert_eq!(whole, read(1));
    for found in whole {
        match found {
            Found::Section(Some(section)) => qpack(&section),
            Found::Data(data) => assert!(!data.is_empty() && data.len() < bytes.len()),
            _ => {}
        }
    }
}

/// The largest field section.
const MOST: usize = 1000;

/// The input is a field section: of a response, or of trailers.
pub(crate) fn qpack(input: &[u8]) {
    let decoded = section(input, MOST);
    if let Section::Fields(fields) = &decoded {
        let size: usize = fields.iter().map(|(n, v)| n.len() + v.len() + 32).sum();
        assert!(size <= MOST, "{size}");
        if let Some(encoded) = encode(fields) {
            assert_eq!(section(&encoded, MOST), decoded);
        }
    }
    let (fields, status) = head(input, MOST);
    if let Section::Fields(_) = fields {
        assert!((100..1000).contains(&status), "{status}");
    }
    for accepted in [fields, trailers(input, MOST)] {
        if let Section::Fields(fields) = accepted {
            for (name, value) in fields {
                let is_token = |byte: &u8| byte.is_ascii_graphic() && !byte.is_ascii_uppercase();
                assert!(!name.is_empty() && name.iter().all(is_token), "{name:?}");
                let breaks = |byte: &u8| matches!(byte, 0 | b'\r' | b'\n');
                assert!(!value.iter().any(breaks), "{value:?}");
            }
        }
    }
}
