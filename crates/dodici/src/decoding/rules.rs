//! Which responses are decoded, by the rules of undici's decompress interceptor and of its fetch.

use dodici_coding::{Coding, MOST_CODINGS};
use dodici_pool::{DecodeManner, Error, ErrorKind, Phase, RequestKind, ResponseHead};

/// The codings of the response to be decoded, in the order in which they were applied; empty if it
/// is delivered as it is.
pub(super) fn applied(
    manner: DecodeManner,
    kind: RequestKind,
    head: &ResponseHead,
) -> Result<Vec<Coding>, Error> {
    if !has_body(manner, kind, head) {
        return Ok(Vec::new());
    }
    let count = names(head).count();
    if count > MOST_CODINGS {
        let text = format!(
            "too many content-encodings in response: {count}, maximum allowed is {MOST_CODINGS}"
        );
        return Err(Error::new(ErrorKind::ContentCoding, Phase::Headers, text));
    }
    let named: Option<Vec<_>> = names(head)
        // The interceptor skips an empty name; for fetch, it is an unknown one.
        .filter(|name| !name.is_empty() || manner != DecodeManner::Interceptor)
        .map(Coding::named)
        .collect();
    // With one unknown coding, nothing is decoded.
    Ok(named.unwrap_or_default())
}

/// The names of the codings in all fields.
fn names(head: &ResponseHead) -> impl Iterator<Item = &[u8]> {
    head.headers
        .get_all("content-encoding")
        .flat_map(|value| value.split(|byte| *byte == b','))
        .map(trimmed)
}

/// Without the whitespace that JavaScript's `trim` removes, as far as a field can contain it.
fn trimmed(name: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | 0x0b | 0x0c | 0xa0);
    let start = name.iter().position(|byte| !is_space(byte));
    let end = name.iter().rposition(|byte| !is_space(byte));
    match (start, end) {
        (Some(start), Some(end)) => &name[start..=end],
        _ => &[],
    }
}

/// Whether the response has a body that these rules decode.
fn has_body(manner: DecodeManner, kind: RequestKind, head: &ResponseHead) -> bool {
    if matches!(kind, RequestKind::Head | RequestKind::Connect) {
        return false;
    }
    let status = head.status;
    match manner {
        // The interceptor does not decode errors, nor responses with `content-length: 0`.
        DecodeManner::Interceptor => {
            let is_empty = || head.headers.get("content-length") == Some(b"0");
            matches!(status, 200..400) && !matches!(status, 204 | 304) && !is_empty()
        }
        DecodeManner::Fetch => !is_null_body(status),
        DecodeManner::FetchFollowing => !is_null_body(status) && !is_followed(head),
    }
}

/// Whether fetch follows the response elsewhere.
fn is_followed(head: &ResponseHead) -> bool {
    let is_redirect = matches!(head.status, 301 | 302 | 303 | 307 | 308);
    is_redirect && head.headers.get("location").is_some()
}

/// Statuses without a body in fetch (Fetch standard, null body status).
fn is_null_body(status: u16) -> bool {
    matches!(status, 101 | 204 | 205 | 304)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn head(status: u16, fields: &[(&str, &str)]) -> ResponseHead {
        ResponseHead {
            status,
            headers: fields.iter().copied().collect(),
            ..ResponseHead::default()
        }
    }

    fn of(manner: DecodeManner, status: u16, fields: &[(&str, &str)]) -> Vec<Coding> {
        applied(manner, RequestKind::Plain, &head(status, fields)).unwrap()
    }

    const CODED: &[(&str, &str)] = &[("Content-Encoding", "gzip")];
    const MANNERS: [DecodeManner; 3] = [
        DecodeManner::Interceptor,
        DecodeManner::Fetch,
        DecodeManner::FetchFollowing,
    ];

    #[test]
    fn codings_are_read_from_all_fields_in_any_case() {
        for manner in MANNERS {
            let fields = [
                ("Content-Encoding", "GZIP , br"),
                ("x", "y"),
                ("content-encoding", "\tX-Gzip"),
            ];
            let all = vec![Coding::Gzip, Coding::Brotli, Coding::Gzip];
            assert_eq!(of(manner, 200, &fields), all);
            assert_eq!(
                of(manner, 200, &[("content-encoding", "gzip, compress")]),
                []
            );
            assert_eq!(of(manner, 200, &[("content-encoding", "identity")]), []);
            assert_eq!(of(manner, 200, &[("content-encoding", "")]), []);
            assert_eq!(of(manner, 200, &[]), []);
        }
    }

    #[test]
    fn an_empty_name_is_skipped_by_the_interceptor_and_unknown_to_fetch() {
        let fields = [("content-encoding", "gzip,, br,")];
        let both = vec![Coding::Gzip, Coding::Brotli];
        assert_eq!(of(DecodeManner::Interceptor, 200, &fields), both);
        assert_eq!(of(DecodeManner::Fetch, 200, &fields), []);
    }

    #[test]
    fn responses_without_a_body_are_not_decoded() {
        for manner in MANNERS {
            for kind in [RequestKind::Head, RequestKind::Connect] {
                assert_eq!(applied(manner, kind, &head(200, CODED)).unwrap(), []);
            }
            for status in [204, 304] {
                assert_eq!(of(manner, status, CODED), [], "{status}");
            }
        }
        assert_eq!(of(DecodeManner::Fetch, 205, CODED), []);
        let empty = [("content-encoding", "gzip"), ("content-length", "0")];
        assert_eq!(of(DecodeManner::Interceptor, 200, &empty), []);
    }

    #[test]
    fn errors_are_decoded_for_fetch_only() {
        for status in [400, 404, 500, 599] {
            assert_eq!(of(DecodeManner::Interceptor, status, CODED), []);
            assert_eq!(of(DecodeManner::Fetch, status, CODED), [Coding::Gzip]);
        }
        assert_eq!(of(DecodeManner::Interceptor, 399, CODED), [Coding::Gzip]);
    }

    #[test]
    fn a_redirect_that_is_followed_is_not_decoded() {
        let fields = [("content-encoding", "gzip"), ("Location", "/")];
        for status in [301, 302, 303, 307, 308] {
            assert_eq!(of(DecodeManner::FetchFollowing, status, &fields), []);
            assert_eq!(of(DecodeManner::Fetch, status, &fields), [Coding::Gzip]);
            let nowhere = of(DecodeManner::FetchFollowing, status, CODED);
            assert_eq!(nowhere, [Coding::Gzip]);
        }
        assert_eq!(
            of(DecodeManner::FetchFollowing, 300, &fields),
            [Coding::Gzip]
        );
    }

    #[test]
    fn s33_more_than_five_codings_are_an_error() {
        for manner in MANNERS {
            let five = [
                ("content-encoding", "gzip,br,gzip,br"),
                ("content-encoding", "gzip"),
            ];
            assert_eq!(of(manner, 200, &five).len(), 5);
            for count in [6, 1000] {
                let value = vec!["gzip"; count].join(", ");
                let head = head(200, &[("content-encoding", &value)]);
                let error = applied(manner, RequestKind::Plain, &head).unwrap_err();
                assert_eq!(
                    error.message(),
                    format!(
                        "too many content-encodings in response: {count}, maximum allowed is 5"
                    )
                );
            }
        }
    }
}
