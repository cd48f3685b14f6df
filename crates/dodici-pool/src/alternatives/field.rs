//! The value of an Alt-Svc field (RFC 7838, section 3). Pure.

use std::net::Ipv6Addr;
use std::time::Duration;

use super::Alternative;

/// Longest value that is read. Google's is 70 bytes.
const MOST_BYTES: usize = 4096;

/// Alternatives of HTTP/3 that are kept of one origin; more are ignored.
pub(super) const MOST_ALTERNATIVES: usize = 4;

/// Freshness without `ma`: 24 hours (RFC 7838, section 3.1).
const MAX_AGE: Duration = Duration::from_secs(24 * 3600);

/// What a field says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AltSvc {
    /// All alternatives of the origin are invalid.
    Clear,
    /// Its alternatives that speak HTTP/3, in the server's order; they replace those known.
    Alternatives(Vec<Offer>),
}

/// An alternative and how long it may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Where.
    pub alternative: Alternative,
    /// For how long.
    pub max_age: Duration,
}

impl AltSvc {
    /// Reads the values of a response's Alt-Svc fields, in their order. `host` is the origin's, which
    /// an alternative without a host has.
    ///
    /// `None` if there is none, or one of them is malformed: then nothing is known.
    pub fn parse<'a>(values: impl Iterator<Item = &'a [u8]>, host: &str) -> Option<Self> {
        let mut offers = Vec::new();
        let mut has_value = false;
        let mut length = 0;
        for value in values {
            length += value.len();
            if length > MOST_BYTES {
                return None;
            }
            let mut reader = Reader(value);
            reader.skip_space();
            if reader.0.trim_ascii_end() == b"clear" {
                return Some(Self::Clear);
            }
            while !reader.0.is_empty() {
                // Empty elements of a list are allowed (RFC 9110, section 5.6.1).
                if !reader.take(b',') {
                    let offer = reader.alternative(host)?;
                    has_value = true;
                    offers.extend(offer.filter(|_| offers.len() < MOST_ALTERNATIVES));
                    reader.skip_space();
                    if !reader.0.is_empty() && !reader.take(b',') {
                        return None;
                    }
                }
                reader.skip_space();
            }
        }
        has_value.then_some(Self::Alternatives(offers))
    }
}

/// Reads from the start of what is left.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take(&mut self, byte: u8) -> bool {
        let rest = self.0.strip_prefix(&[byte]);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn skip_space(&mut self) {
        self.0 = self.0.trim_ascii_start();
    }

    fn token(&mut self) -> Option<String> {
        let end = self.0.iter().position(|byte| !is_token(*byte));
        let (token, rest) = self.0.split_at(end.unwrap_or(self.0.len()));
        self.0 = rest;
        (!token.is_empty()).then(|| String::from_utf8_lossy(token).into_owned())
    }

    fn quoted(&mut self) -> Option<String> {
        if !self.take(b'"') {
            return None;
        }
        let mut text = Vec::new();
        loop {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            match byte {
                b'"' => return String::from_utf8(text).ok(),
                b'\\' => {
                    let (&escaped, rest) = self.0.split_first()?;
                    self.0 = rest;
                    text.push(escaped);
                }
                _ => text.push(byte),
            }
        }
    }

    /// One alternative with its parameters. `Some(None)`: well-formed, but of no use here.
    #[expect(clippy::option_option, reason = "malformed and useless differ")]
    fn alternative(&mut self, host: &str) -> Option<Option<Offer>> {
        // Another spelling of the protocol's name is another protocol (RFC 7838, section 3).
        let speaks_http3 = self.token()? == "h3";
        if !self.take(b'=') {
            return None;
        }
        let authority = self.quoted()?;
        let mut max_age = MAX_AGE;
        loop {
            self.skip_space();
            if !self.take(b';') {
                break;
            }
            self.skip_space();
            let name = self.token()?;
            if !self.take(b'=') {
                return None;
            }
            let value = if self.0.first() == Some(&b'"') {
                self.quoted()?
            } else {
                self.token()?
            };
            // `persist` is about changes of network, which nobody reports here.
            if name == "ma" {
                max_age = Duration::from_secs(delta_seconds(&value)?);
            }
        }
        let (named, port) = authority.rsplit_once(':')?;
        let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port
            .parse::<u16>()
            .ok()
            .filter(|port| is_number && *port > 0)?;
        let host = if named.is_empty() { host } else { named };
        // RFC 3986, section 3.2.2: brackets enclose an IPv6 address.
        let plausible = match named.strip_prefix('[') {
            Some(rest) => rest
                .strip_suffix(']')
                .is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()),
            None => host.bytes().all(|byte| byte.is_ascii_graphic()),
        };
        Some((speaks_http3 && plausible).then(|| Offer {
            alternative: Alternative::new(host, port),
            max_age,
        }))
    }
}

/// Seconds, at most 2³¹ (RFC 9111, section 1.2.2).
fn delta_seconds(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| {
        text.parse()
            .map_or(1 << 31, |seconds: u64| seconds.min(1 << 31))
    })
}

/// RFC 9110, section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(values: &[&str]) -> Option<AltSvc> {
        AltSvc::parse(values.iter().map(|value| value.as_bytes()), "origin.test")
    }

    fn offers(values: &[&str]) -> Vec<(String, u16, u64)> {
        match parse(values) {
            Some(AltSvc::Alternatives(offers)) => offers
                .into_iter()
                .map(|offer| {
                    let Alternative { host, port } = offer.alternative;
                    (host.to_string(), port, offer.max_age.as_secs())
                })
                .collect(),
            other => panic!("{other:?}"),
        }
    }

    fn own(port: u16) -> (String, u16, u64) {
        ("origin.test".into(), port, 86_400)
    }

    #[test]
    fn an_alternative_has_the_origins_host_and_a_day_unless_it_says_otherwise() {
        assert_eq!(offers(&[r#"h3=":443""#]), [own(443)]);
        assert_eq!(
            offers(&[r#"h3="Other.test:8443"; ma=60; persist=1"#]),
            [("other.test".into(), 8443, 60)]
        );
        assert_eq!(
            offers(&[r#"h3="[2001:DB8::1]:443";ma="5""#]),
            [("2001:db8::1".into(), 443, 5)]
        );
    }

    #[test]
    fn other_protocols_and_unknown_parameters_are_ignored() {
        let value = r#"h2=":443", h3-29=":443", w%3Dx%3Ay#z=":1", h3=":444"; v="46,43"; x=y"#;
        assert_eq!(offers(&[value]), [own(444)]);
        assert_eq!(offers(&[r#"h2=":443""#]), []);
        assert_eq!(offers(&[r#"h3=":443"; persist=2"#]), [own(443)]);
    }

    #[test]
    fn brackets_without_an_address_name_no_host() {
        for value in [r#"h3="[]:443""#, r#"h3="[x]:443""#, r#"h3="[::1:443""#] {
            assert_eq!(offers(&[value]), [], "{value}");
        }
    }

    #[test]
    fn several_fields_and_empty_elements_are_one_list() {
        let values = [r#" ,h3=":1" , ,"#, "", r#"h3=":2",h3=":3""#];
        assert_eq!(offers(&values), [own(1), own(2), own(3)]);
    }

    #[test]
    fn clear_is_the_whole_value() {
        assert_eq!(parse(&[" clear "]), Some(AltSvc::Clear));
        assert_eq!(parse(&[r#"clear, h3=":443""#]), None);
        assert_eq!(parse(&["Clear"]), None);
    }

    #[test]
    fn what_is_malformed_says_nothing() {
        for value in [
            "",
            ",",
            "h3",
            "h3=",
            "h3=:443",
            r#"h3="443""#,
            r#"h3=":""#,
            r#"h3=":0""#,
            r#"h3=":65536""#,
            r#"h3=":+443""#,
            r#"h3=":443"#,
            r#"h3=":443" ma=5"#,
            r#"h3=":443"; ma"#,
            r#"h3=":443"; ma=-1"#,
            r#"h3=":443"; ma="#,
            r#"h3=":443" h3=":444""#,
            r#"="x""#,
        ] {
            assert_eq!(parse(&[value]), None, "{value}");
        }
    }

    #[test]
    fn its_size_and_number_are_limited() {
        let many = r#"h3=":1","#.repeat(100);
        assert_eq!(offers(&[&many]).len(), MOST_ALTERNATIVES);
        let long = format!(r#"h3=":1"; x="{}""#, "y".repeat(MOST_BYTES));
        assert_eq!(parse(&[&long]), None);
        let old = format!(r#"h3=":1"; ma={}"#, "9".repeat(40));
        assert_eq!(offers(&[&old])[0].2, 1 << 31);
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            hosts in prop::collection::vec("[a-z0-9.-]{0,20}", 1..=MOST_ALTERNATIVES),
            port in 1_u16..,
            age in 0_u32..1 << 31,
        ) {
            let value = hosts
                .iter()
                .map(|host| format!(r#"h3="{host}:{port}"; ma={age}"#))
                .collect::<Vec<_>>()
                .join(", ");
            let read = offers(&[&value]);
            prop_assert_eq!(read.len(), hosts.len());
            for (read, host) in read.iter().zip(&hosts) {
                let host = if host.is_empty() { "origin.test" } else { host };
                prop_assert_eq!(read, &(host.to_owned(), port, u64::from(age)));
            }
        }
    }
}
