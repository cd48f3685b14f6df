//! What the fields of a head say about the message's framing and the connection's persistence
//! (RFC 9112, sections 6 and 9).
//!
//! The head reader passes each field; the guard queries the result. Must not know body bytes.

use std::time::Duration;

use dodici_pool::ParseErrorCode::{
    InvalidContentLength, InvalidTransferEncoding, UnexpectedContentLength,
};
use dodici_pool::Version;

use super::field::{trim, without_crlf};
use super::reject::Reject;

/// Largest length we count with: 2^53 - 1, the largest integer that JavaScript represents
/// exactly. Nine petabytes; a larger value is an attack or a bug.
pub(super) const MAX_LENGTH: u64 = (1 << 53) - 1;

/// The framing fields of one head, gathered field by field.
#[derive(Debug, Default)]
pub(super) struct FramingFields {
    /// [`Leniency::doubtful_framing`](dodici_pool::Leniency::doubtful_framing).
    lenient: bool,
    /// Some of it was forgiven: nothing may follow on the connection.
    forgiven: bool,
    content_length: Option<u64>,
    transfer_encoding: Option<Codings>,
    close: bool,
    keep_alive: bool,
    upgrade_option: bool,
    upgrade: bool,
    hint: Option<Duration>,
}

/// The codings of all `Transfer-Encoding` fields together.
#[derive(Clone, Copy, Debug, Default)]
struct Codings {
    /// `chunked` was named.
    chunked: bool,
    /// `chunked` was the last one named so far.
    chunked_is_last: bool,
    /// Something else was named.
    others: bool,
}

/// How the fields delimit a body that the status and the request allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delimiter {
    Length(u64),
    Chunked { other_codings: bool },
    Close,
}

impl FramingFields {
    /// For another head.
    pub(super) fn new(lenient: bool) -> Self {
        Self {
            lenient,
            ..Self::default()
        }
    }

    /// A line without its end. Refuses a bare LF with this reason.
    pub(super) fn without_end<'a>(
        &mut self,
        line: &'a [u8],
        bare_lf: &'static str,
    ) -> Result<&'a [u8], Reject> {
        without_crlf(line, bare_lf).or_else(|fault| {
            self.forgive(fault)?;
            Ok(line.strip_suffix(b"\n").unwrap_or(line))
        })
    }

    /// Whether something had to be forgiven.
    pub(super) fn forgave(&self) -> bool {
        self.forgiven
    }

    /// Whether this fault is overlooked.
    #[cold]
    fn forgive(&mut self, fault: Reject) -> Result<(), Reject> {
        self.forgiven = true;
        if self.lenient { Ok(()) } else { Err(fault) }
    }

    /// Takes note of one field. Refuses whatever could be read in two ways.
    pub(super) fn note(
        &mut self,
        version: Version,
        name: &[u8],
        value: &[u8],
    ) -> Result<(), Reject> {
        // The lengths are all different, so one comparison settles nearly every field.
        match name.len() {
            7 if name.eq_ignore_ascii_case(b"upgrade") => self.upgrade |= !value.is_empty(),
            10 if name.eq_ignore_ascii_case(b"connection") => self.note_connection(value),
            10 if name.eq_ignore_ascii_case(b"keep-alive") => self.note_keep_alive(value),
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                self.note_content_length(value)?;
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                self.note_transfer_encoding(version, value)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// How the body ends if there is one (RFC 9112, section 6.3, rules 4 to 8).
    pub(super) fn delimiter(&self) -> Delimiter {
        match (self.transfer_encoding, self.content_length) {
            (Some(codings), _) if codings.chunked_is_last => Delimiter::Chunked {
                other_codings: codings.others,
            },
            (Some(_), _) | (None, None) => Delimiter::Close,
            (None, Some(length)) => Delimiter::Length(length),
        }
    }

    /// Whether the fields announce body bytes, wherever they stand.
    pub(super) fn announce_body(&self) -> bool {
        self.transfer_encoding.is_some() || self.content_length.is_some_and(|length| length > 0)
    }

    /// Whether both sides may reuse the connection (RFC 9112, section 9.3). `close` wins
    /// over `keep-alive`.
    pub(super) fn persistent(&self, version: Version) -> bool {
        !self.close && !self.forgiven && (version == Version::Http11 || self.keep_alive)
    }

    /// `Upgrade` and `Connection: upgrade`, both of which a 101 must carry (RFC 9110, sections
    /// 7.8 and 15.2.2).
    pub(super) fn switches_protocol(&self) -> bool {
        self.upgrade && self.upgrade_option
    }

    /// `Keep-Alive: timeout=`.
    pub(super) fn hint(&self) -> Option<Duration> {
        self.hint
    }

    fn note_content_length(&mut self, value: &[u8]) -> Result<(), Reject> {
        if self.transfer_encoding.is_some() {
            return self.forgive(length_beside_codings());
        }
        if self.lenient && value.contains(&b',') {
            self.forgiven = true;
            let mut values = value.split(|byte| *byte == b',').map(trim);
            return values.try_for_each(|value| self.note_content_length(value));
        }
        if value.is_empty() {
            return Err(Reject::Parse(InvalidContentLength, "Empty Content-Length"));
        }
        let mut length = 0u64;
        for &byte in value {
            if !byte.is_ascii_digit() {
                return Err(Reject::Parse(
                    InvalidContentLength,
                    "Invalid character in Content-Length",
                ));
            }
            // Cannot wrap: `length` is at most MAX_LENGTH before, and 10 * 2^53 < 2^64.
            length = length * 10 + u64::from(byte - b'0');
            if length > MAX_LENGTH {
                return Err(Reject::Parse(
                    InvalidContentLength,
                    "Content-Length overflow",
                ));
            }
        }
        let before = self.content_length.replace(length);
        match before.map(|before| before == length) {
            None => Ok(()),
            Some(true) => self.forgive(repeated_length()),
            Some(false) => Err(repeated_length()),
        }
    }

    fn note_transfer_encoding(&mut self, version: Version, value: &[u8]) -> Result<(), Reject> {
        if self.content_length.is_some() {
            self.forgive(length_beside_codings())?;
        }
        if version != Version::Http11 {
            // RFC 9112, section 6.1: the framing of such a message is to be taken as faulty.
            return Err(Reject::Parse(
                InvalidTransferEncoding,
                "Transfer-Encoding can't be present in HTTP/1.0",
            ));
        }
        let mut codings = self.transfer_encoding.unwrap_or_default();
        let mut rest = value;
        while !rest.is_empty() {
            let (element, tail) = next_element(rest)?;
            rest = tail;
            let coding = trim(element);
            if coding.is_empty() {
                // RFC 9110, section 5.6.1.2: empty list elements are ignored.
                continue;
            }
            codings.chunked_is_last = coding.eq_ignore_ascii_case(b"chunked");
            if codings.chunked_is_last && codings.chunked {
                // RFC 9112, section 6.1: chunked is not applied more than once.
                return Err(invalid_codings());
            }
            codings.chunked |= codings.chunked_is_last;
            codings.others |= !codings.chunked_is_last;
        }
        if !codings.chunked && !codings.others {
            return Err(invalid_codings());
        }
        self.transfer_encoding = Some(codings);
        Ok(())
    }

    fn note_connection(&mut self, value: &[u8]) {
        for option in value.split(|byte| *byte == b',').map(trim) {
            match option.len() {
                5 => self.close |= option.eq_ignore_ascii_case(b"close"),
                7 => self.upgrade_option |= option.eq_ignore_ascii_case(b"upgrade"),
                10 => self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive"),
                _ => {}
            }
        }
    }

    fn note_keep_alive(&mut self, value: &[u8]) {
        const NAME: &[u8] = b"timeout=";
        if self.hint.is_some() {
            return;
        }
        self.hint = value.split(|byte| *byte == b',').find_map(|parameter| {
            let parameter = trim(parameter);
            let (name, value) = parameter.split_at_checked(NAME.len())?;
            if !name.eq_ignore_ascii_case(NAME) || !value.first()?.is_ascii_digit() {
                return None;
            }
            let seconds =
                value
                    .iter()
                    .take_while(|byte| byte.is_ascii_digit())
                    .fold(0u64, |sum, &byte| {
                        sum.saturating_mul(10)
                            .saturating_add(u64::from(byte - b'0'))
                    });
            Some(Duration::from_secs(seconds))
        });
    }
}

/// Cuts a list before its first comma outside quotes (RFC 9110, section 5.6.4).
fn next_element(list: &[u8]) -> Result<(&[u8], &[u8]), Reject> {
    let mut quoted = false;
    let mut at = 0;
    while at < list.len() {
        match list[at] {
            b'"' => quoted = !quoted,
            b'\\' if quoted => at += 1,
            b',' if !quoted => return Ok((&list[..at], &list[at + 1..])),
            _ => {}
        }
        at += 1;
    }
    if quoted {
        return Err(invalid_codings());
    }
    Ok((list, &[]))
}

#[cold]
fn repeated_length() -> Reject {
    Reject::Parse(UnexpectedContentLength, "Duplicate Content-Length")
}

#[cold]
fn length_beside_codings() -> Reject {
    Reject::Parse(
        UnexpectedContentLength,
        "Content-Length can't be present with Transfer-Encoding",
    )
}

#[cold]
fn invalid_codings() -> Reject {
    Reject::Parse(
        InvalidTransferEncoding,
        "Invalid `Transfer-Encoding` header value",
    )
}
