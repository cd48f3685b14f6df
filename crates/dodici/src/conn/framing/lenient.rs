//! Lenient parsing of invalid field lines in a head, where faults are to be forgiven.
//!
//! Called by the head reader once strict parsing has failed, so that valid heads pay nothing for
//! it. Not used for trailers: no leniency is needed there.

use dodici_pool::{HeaderBlock, Leniency};

use super::field::{is_text, is_token_byte, trim};
use super::reject::Reject;

/// Fields that determine where the response ends, or what happens to its connection.
const DECISIVE: [&[u8]; 5] = [
    b"connection",
    b"content-length",
    b"keep-alive",
    b"transfer-encoding",
    b"upgrade",
];

/// How an invalid line is interpreted.
pub(super) enum Forgiven<'a> {
    Field(&'a [u8], &'a [u8]),
    /// More of the last field's value.
    Continued(&'a [u8]),
    LeftOut,
}

/// Interprets a line without its CRLF that is invalid because of `fault`; `before` are the fields
/// so far.
#[cold]
pub(super) fn read<'a>(
    leniency: Leniency,
    line: &'a [u8],
    before: &HeaderBlock,
    fault: Reject,
) -> Result<Forgiven<'a>, Reject> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        let more = trim(line);
        return match before.iter().last() {
            Some((name, _)) if may_be_decisive(name) => Err(fault),
            Some(_) if leniency.folded_values && is_text(more) => Ok(Forgiven::Continued(more)),
            Some(_) if leniency.invalid_fields => Ok(Forgiven::LeftOut),
            _ => Err(fault),
        };
    }
    let colon = line.iter().position(|byte| *byte == b':');
    let (name, value) = line.split_at(colon.unwrap_or(line.len()));
    let value = trim(value.get(1..).unwrap_or_default());
    let known = trim_end(name);
    let is_field = colon.is_some()
        && !known.is_empty()
        && known.iter().all(|byte| is_token_byte(*byte))
        && is_text(value);
    if is_field && leniency.space_before_colon {
        return Ok(Forgiven::Field(known, value));
    }
    if leniency.invalid_fields && !may_be_decisive(name) {
        return Ok(Forgiven::LeftOut);
    }
    Err(fault)
}

/// Whether some parser might interpret this as the name of a decisive field.
fn may_be_decisive(name: &[u8]) -> bool {
    let name = name.to_ascii_lowercase();
    let mut known = DECISIVE.iter();
    known.any(|known| memchr::memmem::find(&name, known).is_some())
}

fn trim_end(mut bytes: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use dodici_pool::{RequestKind, UnexpectedContinue};
    use dodici_testkit::with;

    use super::super::{Guard, Limits};
    use super::*;

    fn folded() -> Leniency {
        with(Leniency::default(), |leniency| {
            leniency.folded_values = true
        })
    }

    fn invalid() -> Leniency {
        with(Leniency::default(), |leniency| {
            leniency.invalid_fields = true
        })
    }

    fn spaced() -> Leniency {
        with(Leniency::default(), |leniency| {
            leniency.space_before_colon = true
        })
    }

    /// The fields of a head with these lines; `None` if it is rejected. The result does not depend
    /// on how it is split.
    fn fields(leniency: Leniency, lines: &str) -> Option<Vec<(String, String)>> {
        let head = format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\n");
        let read = |piece: usize| {
            let mut guard =
                Guard::new(Limits::default(), UnexpectedContinue::Ignore).with_leniency(leniency);
            guard.begin(RequestKind::Head, false);
            for piece in head.as_bytes().chunks(piece) {
                guard.feed(piece).ok()?;
            }
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            let fields = guard.head().headers.iter();
            Some(fields.map(|(n, v)| (text(n), text(v))).collect::<Vec<_>>())
        };
        let whole = read(head.len());
        assert_eq!(read(1), whole, "{lines:?}");
        whole
    }

    fn pairs(fields: &[(&str, &str)]) -> Option<Vec<(String, String)>> {
        let owned = |&(n, v): &(&str, &str)| (n.to_owned(), v.to_owned());
        Some(fields.iter().map(owned).collect())
    }

    #[test]
    fn nothing_is_tolerated_by_default() {
        for lines in ["a: 1\r\n 2", "a b: 1", "no colon", "a : 1", "a: \x01"] {
            assert_eq!(fields(Leniency::default(), lines), None, "{lines:?}");
        }
    }

    #[test]
    fn a_folded_value_is_joined() {
        let read = fields(folded(), "a: 1 \r\n\t2 \r\n \r\n 3\r\nb:\r\n  4");
        assert_eq!(read, pairs(&[("a", "1 2 3"), ("b", "4")]));
        for lines in [" a: 1", "content-length: 1\r\n 2", "a : 1", "a: 1\r\n \x01"] {
            assert_eq!(fields(folded(), lines), None, "{lines:?}");
        }
    }

    #[test]
    fn an_invalid_line_is_dropped() {
        for line in [
            "a b: 1",
            "no colon",
            "a : 1",
            ": 1",
            "a: \x01",
            "x: 1\r\n folded",
        ] {
            let read = fields(invalid(), &format!("{line}\r\nb: 2")).unwrap();
            assert_eq!(
                read.last(),
                Some(&("b".to_owned(), "2".to_owned())),
                "{line:?}"
            );
        }
    }

    #[test]
    fn a_line_that_may_frame_the_response_is_not_dropped() {
        for line in [
            "content-length : 1",
            "Content-Length: 1\r\n 2",
            "transfer-encoding\x0b: chunked",
            "\x0bTransfer-Encoding: chunked",
            "Connection: \x01close",
            " content-length: 1",
        ] {
            assert_eq!(fields(invalid(), line), None, "{line:?}");
        }
    }

    #[test]
    fn space_before_a_colon_is_dropped() {
        let read = fields(spaced(), "a : 1\r\nContent-Length\t: 2");
        assert_eq!(read, pairs(&[("a", "1"), ("Content-Length", "2")]));
        for lines in [
            "a b : 1",
            " : 1",
            "a: 1\r\n 2",
            "content-length : 1\r\ncontent-length : 2",
        ] {
            assert_eq!(fields(spaced(), lines), None, "{lines:?}");
        }
    }
}
