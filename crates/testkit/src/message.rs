//! The small part of HTTP/1.1 that a test peer needs to read requests. Strict: a request that is
//! not well-formed panics, because the engine must never send one.
//!
//! Used by the scripted peer and the origin; it shares no code with the engine, so that a
//! mistake cannot cancel itself out.

/// Head of a request as sent on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHead {
    /// The exact bytes, request line to the empty line.
    pub raw: Vec<u8>,
    /// Method.
    pub method: String,
    /// Request target.
    pub target: String,
    /// Fields in wire order: name as sent, value without surrounding white space.
    pub fields: Vec<(String, String)>,
}

impl RequestHead {
    /// Parses a complete head. Values are read as latin1.
    ///
    /// # Panics
    /// If it breaks RFC 9112, sections 3 and 5, or is not HTTP/1.1.
    pub fn parse(raw: &[u8]) -> Self {
        let text: String = raw.iter().map(|byte| char::from(*byte)).collect();
        let body = text
            .strip_suffix("\r\n\r\n")
            .unwrap_or_else(|| panic!("head does not end with an empty line: {text:?}"));
        let mut lines = body.split("\r\n");
        let request_line = lines.next().unwrap_or_default();
        assert!(
            !body.replace("\r\n", "").contains(['\r', '\n', '\0']),
            "stray CR, LF or NUL in a head: {text:?}"
        );
        let parts: Vec<&str> = request_line.split(' ').collect();
        let [method, target, "HTTP/1.1"] = parts[..] else {
            panic!("bad request line {request_line:?}");
        };
        assert!(
            !method.is_empty() && !target.is_empty(),
            "bad request line {request_line:?}"
        );
        let fields = lines
            .map(|line| {
                let (name, value) = line
                    .split_once(':')
                    .unwrap_or_else(|| panic!("no colon in {line:?}"));
                assert!(
                    !name.is_empty() && !name.contains([' ', '\t']),
                    "bad field name in {line:?}"
                );
                (name.to_owned(), value.trim_matches([' ', '\t']).to_owned())
            })
            .collect();
        Self {
            raw: raw.to_vec(),
            method: method.to_owned(),
            target: target.to_owned(),
            fields,
        }
    }

    /// First value of a field, letter case of the name ignored.
    pub fn get<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.get_all(name).next()
    }

    /// All values of a field in wire order, letter case of the name ignored.
    pub fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        self.fields
            .iter()
            .filter(move |(have, _)| have.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Target up to the query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// How the request's body is framed.
    ///
    /// # Panics
    /// If the framing is ambiguous: a repeated length, or a length beside `transfer-encoding`.
    pub fn framing(&self) -> Framing {
        let lengths: Vec<&str> = self.get_all("content-length").collect();
        let codings: Vec<&str> = self.get_all("transfer-encoding").collect();
        match (&lengths[..], &codings[..]) {
            ([], []) => Framing::None,
            ([length], []) => Framing::Sized(length.parse().expect("content-length is a number")),
            ([], [coding]) => {
                let last = coding.rsplit(',').next().unwrap_or_default().trim();
                assert!(last.eq_ignore_ascii_case("chunked"), "no end: {coding}");
                Framing::Chunked
            }
            _ => panic!("ambiguous framing: {lengths:?} and {codings:?}"),
        }
    }
}

/// Framing of a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// No body.
    None,
    /// `Content-Length`.
    Sized(usize),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// Body of a request, decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestBody {
    /// The content.
    pub data: Vec<u8>,
    /// Sizes of the chunks that carried it; empty without chunked coding.
    pub chunks: Vec<usize>,
    /// Trailer fields in wire order.
    pub trailers: Vec<(String, String)>,
}

/// End of the head in `bytes`, the empty line included; `None` while it is incomplete.
pub fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .map(|at| at + 4)
}

/// The bytes with the given numbers, cyclic over a prime so that no shift maps onto itself: what
/// the kit's servers send as a body of `len` bytes.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|index| b'!' + (index % 89) as u8).collect()
}

/// FNV-1a, 64 bits: a checksum to compare bodies by, not a cryptographic one.
pub fn checksum(bytes: &[u8]) -> u64 {
    let mut sum = Fnv::default();
    sum.update(bytes);
    sum.0
}

/// A [`checksum`] of bytes that come in pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fnv(pub u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    /// Adds a piece.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_split_into_its_parts() {
        let raw =
            b"POST /a?b=c HTTP/1.1\r\nHost: x\r\nX-A:  1 \r\nx-a: 2\r\nContent-Length: 3\r\n\r\n";
        let head = RequestHead::parse(raw);
        assert_eq!(head.raw, raw);
        assert_eq!((head.method.as_str(), head.path()), ("POST", "/a"));
        assert_eq!(head.get_all("X-a").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(head.framing(), Framing::Sized(3));
    }

    #[test]
    #[should_panic(expected = "stray CR, LF or NUL")]
    fn a_bare_line_feed_fails_the_test() {
        RequestHead::parse(b"GET / HTTP/1.1\r\nhost: x\nx: y\r\n\r\n");
    }

    #[test]
    #[should_panic(expected = "ambiguous framing")]
    fn two_lengths_fail_the_test() {
        RequestHead::parse(b"GET / HTTP/1.1\r\ncontent-length: 1\r\nContent-Length: 1\r\n\r\n")
            .framing();
    }

    #[test]
    fn the_head_ends_at_the_first_empty_line() {
        assert_eq!(head_end(b"a\r\n\r\nb\r\n\r\n"), Some(5));
        assert_eq!(head_end(b"a\r\n\r"), None);
    }

    #[test]
    fn the_checksum_is_fnv1a() {
        assert_eq!(checksum(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(checksum(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
