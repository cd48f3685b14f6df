//! The header fields of a request that the engine interprets, for every kind of request (plain,
//! streamed, upgraded, pipelined) and whatever form its fields have.
//!
//! `content-length` and `transfer-encoding` frame the body and are checked where the head is
//! written. `te` and `keep-alive` concern only the peer.

use http::request::Parts;

use super::RawHeaders;

/// See the module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Meaning {
    /// The connection serves no more requests (RFC 9112, section 9.6).
    pub(super) close: bool,
    /// The peer may switch protocols (RFC 9110, section 7.8).
    pub(super) upgrade: bool,
    /// To WebSocket, which HTTP/2 supports as well (RFC 8441).
    pub(super) websocket: bool,
    /// The body waits for `100 Continue` (RFC 9110, section 10.1.1).
    pub(super) expect_continue: bool,
    keep_alive: bool,
}

impl Meaning {
    pub(super) fn of(parts: &Parts) -> Self {
        let mut meaning = Self::default();
        match parts.extensions.get::<RawHeaders>() {
            Some(RawHeaders(fields)) => {
                for (name, value) in fields.iter() {
                    meaning.note(name, value);
                }
            }
            None => {
                for (name, value) in &parts.headers {
                    meaning.note(name.as_str().as_bytes(), value.as_bytes());
                }
            }
        }
        // RFC 9112, section 9.3: an HTTP/1.0 connection persists only on request.
        meaning.close |= parts.version == http::Version::HTTP_10 && !meaning.keep_alive;
        meaning
    }

    fn note(&mut self, name: &[u8], value: &[u8]) {
        // The lengths are all different, so one comparison rules out nearly every field.
        match name.len() {
            6 if name.eq_ignore_ascii_case(b"expect") => {
                self.expect_continue |= elements(value)
                    .any(|expectation| expectation.eq_ignore_ascii_case(b"100-continue"));
            }
            7 if name.eq_ignore_ascii_case(b"upgrade") => {
                self.upgrade = true;
                self.websocket |= value.eq_ignore_ascii_case(b"websocket");
            }
            10 if name.eq_ignore_ascii_case(b"connection") => {
                for option in elements(value) {
                    self.close |= option.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            _ => {}
        }
    }
}

/// The elements of a list (RFC 9110, section 5.6.1).
fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use dodici_pool::HeaderBlock;

    use super::*;

    fn meaning(version: http::Version, fields: &[(&str, &str)], raw: bool) -> Meaning {
        let mut request = http::Request::builder().version(version);
        let mut block = HeaderBlock::new();
        for (name, value) in fields {
            if raw {
                block.push(name.as_bytes(), value.as_bytes());
            } else {
                request = request.header(*name, *value);
            }
        }
        if raw {
            request = request.extension(RawHeaders(block));
        }
        Meaning::of(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn each_field_means_the_same_in_either_form() {
        let close = Meaning {
            close: true,
            ..Meaning::default()
        };
        let keep_alive = Meaning {
            keep_alive: true,
            ..Meaning::default()
        };
        let upgrade = Meaning {
            upgrade: true,
            ..Meaning::default()
        };
        let expect = Meaning {
            expect_continue: true,
            ..Meaning::default()
        };
        let cases: [(&[(&str, &str)], Meaning); 8] = [
            (&[], Meaning::default()),
            (&[("Connection", "close")], close),
            (&[("connection", "x-a , Close")], close),
            (
                &[("connection", "x-close"), ("te", "close")],
                Meaning::default(),
            ),
            (&[("connection", "Keep-Alive")], keep_alive),
            (&[("connection", "upgrade"), ("Upgrade", "echo")], upgrade),
            (&[("Expect", "100-Continue")], expect),
            (&[("expect", "200-ok")], Meaning::default()),
        ];
        for (fields, expected) in cases {
            for raw in [false, true] {
                let read = meaning(http::Version::HTTP_11, fields, raw);
                assert_eq!(read, expected, "{fields:?}, raw {raw}");
            }
        }
    }

    #[test]
    fn http_1_0_closes_unless_keep_alive_is_requested() {
        assert!(meaning(http::Version::HTTP_10, &[], false).close);
        let asked = [("connection", "keep-alive")];
        assert!(!meaning(http::Version::HTTP_10, &asked, false).close);
    }
}
