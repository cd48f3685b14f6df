//! The outermost step: requests content codings (RFC 9110, section 8.4) and decodes them, with the
//! decoders of dodici-coding. A coding whose feature is disabled is left as it is.

use dodici_coding::{Coding, MOST_CODINGS};
use http::HeaderMap;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, Entry, HeaderValue};

use crate::error;
use crate::transport::TransportBody;

mod decoded;

pub(crate) use decoded::DecodedBody;

/// Which of the codings that are compiled in a client neither requests nor decodes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Codings {
    pub(crate) no_gzip: bool,
    pub(crate) no_brotli: bool,
    pub(crate) no_zstd: bool,
    pub(crate) no_deflate: bool,
}

impl Codings {
    pub(crate) fn build(self) -> Decompress {
        let takes = |name: &&str| self.named(name.as_bytes()).is_some();
        let wanted = ["zstd", "gzip", "deflate", "br"].into_iter().filter(takes);
        let wanted: Vec<_> = wanted.collect();
        Decompress {
            codings: self,
            // Only the names, which make up a header value.
            accept: HeaderValue::try_from(wanted.join(","))
                .ok()
                .filter(|all| !all.is_empty()),
        }
    }

    /// The coding of this name, if it is decoded.
    fn named(self, name: &[u8]) -> Option<Coding> {
        Coding::named(name).filter(|coding| match coding {
            Coding::Gzip => !self.no_gzip,
            Coding::Brotli => !self.no_brotli,
            Coding::Zstd => !self.no_zstd,
            Coding::Deflate => !self.no_deflate,
        })
    }

    /// The codings in the order in which they were applied; `None` if one of them is not decoded.
    fn applied(self, headers: &HeaderMap) -> crate::Result<Option<Vec<Coding>>> {
        let mut all = Vec::new();
        for value in headers.get_all(CONTENT_ENCODING) {
            for name in value
                .as_bytes()
                .split(|byte| *byte == b',')
                .map(<[u8]>::trim_ascii)
            {
                if name.is_empty() || name.eq_ignore_ascii_case(b"identity") {
                    continue;
                }
                let Some(coding) = self.named(name) else {
                    return Ok(None);
                };
                if all.len() == MOST_CODINGS {
                    let text = format!("the response has more than {MOST_CODINGS} content codings");
                    return Err(error::decode(text));
                }
                all.push(coding);
            }
        }
        Ok((!all.is_empty()).then_some(all))
    }
}

/// See the module.
pub(crate) struct Decompress {
    codings: Codings,
    accept: Option<HeaderValue>,
}

impl Decompress {
    /// Asks for codings, unless the caller does.
    pub(crate) fn ask(&self, headers: &mut HeaderMap) {
        if let Some(accept) = &self.accept
            && let Entry::Vacant(entry) = headers.entry(ACCEPT_ENCODING)
        {
            entry.insert(accept.clone());
        }
    }

    pub(crate) fn decode(
        &self,
        response: http::Response<TransportBody>,
    ) -> crate::Result<http::Response<DecodedBody>> {
        let (mut parts, body) = response.into_parts();
        let applied = if parts.headers.contains_key(CONTENT_ENCODING) {
            self.codings.applied(&parts.headers)?
        } else {
            None
        };
        if applied.is_some() {
            parts.headers.remove(CONTENT_ENCODING);
            parts.headers.remove(CONTENT_LENGTH);
        }
        let body = DecodedBody::new(body, applied.as_deref()).map_err(error::decode)?;
        Ok(http::Response::from_parts(parts, body))
    }
}

#[cfg(all(test, feature = "gzip", feature = "brotli"))]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn applied(values: &[&'static str]) -> crate::Result<Option<Vec<Coding>>> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(CONTENT_ENCODING, HeaderValue::from_static(value));
        }
        Codings::default().applied(&headers)
    }

    #[test]
    fn codings_are_read_from_all_fields_in_any_case() {
        let both = Some(vec![Coding::Gzip, Coding::Brotli]);
        assert_eq!(applied(&["gzip, br"]).unwrap(), both);
        assert_eq!(applied(&["X-GZip,", "identity , BR"]).unwrap(), both);
        assert_eq!(applied(&["identity"]).unwrap(), None);
        assert_eq!(applied(&["gzip, compress"]).unwrap(), None);
    }

    #[test]
    fn s33_more_than_five_codings_are_an_error() {
        assert!(applied(&["gzip,br,gzip,br,gzip"]).unwrap().is_some());
        assert!(
            applied(&["gzip,br,gzip", "br,gzip,br"])
                .unwrap_err()
                .is_decode()
        );
        let all = "gzip,".repeat(1000);
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, HeaderValue::try_from(all).unwrap());
        assert!(
            Codings::default()
                .applied(&headers)
                .unwrap_err()
                .is_decode()
        );
    }
}
