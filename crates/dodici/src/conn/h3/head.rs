//! Fields of requests and responses (RFC 9114, section 4).
//!
//! A request has been converted by the rules of HTTP/2 ([`Target`](crate::conn::h2::Target)). A
//! response is checked here, field by field, in the order in which they came.

use dodici_pool::{Error, ErrorKind, HeaderBlock, Phase, ResponseHead, Version};
use http::Method;

use super::qpack::{self, Undecoded};

/// Appends the field section of a request.
pub(super) fn put_request(out: &mut Vec<u8>, request: &http::Request<()>) {
    let uri = request.uri();
    qpack::begin(out);
    let protocol = request.extensions().get::<h2::ext::Protocol>();
    qpack::put(out, ":method", request.method().as_str().as_bytes());
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    if request.method() != Method::CONNECT || protocol.is_some() {
        qpack::put(
            out,
            ":scheme",
            uri.scheme_str().unwrap_or("https").as_bytes(),
        );
        qpack::put(out, ":authority", authority.as_bytes());
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        qpack::put(out, ":path", path.as_bytes());
    } else {
        qpack::put(out, ":authority", authority.as_bytes());
    }
    if let Some(protocol) = protocol {
        qpack::put(out, ":protocol", protocol.as_str().as_bytes());
    }
    for (name, value) in request.headers() {
        qpack::put(out, name.as_str(), value.as_bytes());
    }
}

/// Appends the field section of request trailers.
///
/// # Errors
/// `InvalidRequest` for an invalid name or value.
pub(super) fn put_trailers(out: &mut Vec<u8>, trailers: &HeaderBlock) -> Result<(), Error> {
    qpack::begin(out);
    for (name, value) in trailers.iter() {
        let name = name.to_ascii_lowercase();
        let name = std::str::from_utf8(&name)
            .ok()
            .filter(|name| is_name(name.as_bytes()))
            .ok_or_else(|| invalid("invalid trailer name"))?;
        if !is_value(value) {
            return Err(invalid("invalid trailer value"));
        }
        qpack::put(out, name, value);
    }
    Ok(())
}

fn invalid(message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidRequest, Phase::Send, message)
}

/// Fills `head` with the fields of a response. The reason phrase stays empty: there is none.
///
/// # Errors
/// See [`Undecoded`].
pub(super) fn response(
    section: &[u8],
    most: usize,
    head: &mut ResponseHead,
) -> Result<(), Undecoded> {
    head.clear();
    head.version = Version::Http3;
    let mut status = None;
    let fields = &mut head.headers;
    qpack::decode(section, most, |name, value| {
        if name.first() == Some(&b':') {
            if name != b":status" || status.is_some() || fields.iter().next().is_some() {
                return Err("HTTP/3: a pseudo-header that does not belong in a response");
            }
            status = Some(read_status(value)?);
            return Ok(());
        }
        check(name, value)?;
        if name == b"content-length" {
            let mut others = fields.get_all("content-length");
            if !value.iter().all(u8::is_ascii_digit) || others.any(|other| other != value) {
                return Err("HTTP/3: an invalid content-length");
            }
        }
        fields.push(name, value.trim_ascii());
        Ok(())
    })?;
    match status {
        Some(status) => {
            head.status = status;
            Ok(())
        }
        None => Err(Undecoded::Refused("HTTP/3: a response without a status")),
    }
}

/// The fields of a response's trailers.
///
/// # Errors
/// See [`Undecoded`].
pub(super) fn trailers(section: &[u8], most: usize) -> Result<HeaderBlock, Undecoded> {
    let mut fields = HeaderBlock::new();
    qpack::decode(section, most, |name, value| {
        if name.first() == Some(&b':') {
            return Err("HTTP/3: a pseudo-header in trailers");
        }
        check(name, value)?;
        fields.push(name, value.trim_ascii());
        Ok(())
    })?;
    Ok(fields)
}

fn read_status(value: &[u8]) -> Result<u16, &'static str> {
    match value {
        [first @ b'1'..=b'9', rest @ ..]
            if rest.len() == 2 && rest.iter().all(u8::is_ascii_digit) =>
        {
            let digit = |byte: &u8| u16::from(byte - b'0');
            Ok(rest
                .iter()
                .fold(digit(first), |status, byte| status * 10 + digit(byte)))
        }
        _ => Err("HTTP/3: an invalid status"),
    }
}

fn check(name: &[u8], value: &[u8]) -> Result<(), &'static str> {
    if !is_name(name) {
        return Err("HTTP/3: an invalid field name");
    }
    if !is_value(value) {
        return Err("HTTP/3: an invalid field value");
    }
    if matches!(
        name,
        b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding" | b"upgrade"
    ) {
        return Err("HTTP/3: a connection-specific field");
    }
    Ok(())
}

/// A token without capital letters (RFC 9110, section 5.6.2; RFC 9114, section 4.2).
fn is_name(name: &[u8]) -> bool {
    let is_token = |byte: &u8| {
        matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'!' | b'#' | b'$' | b'%' | b'&'
            | b'\'' | b'*' | b'+' | b'.' | b'^' | b'`' | b'|' | b'~')
    };
    !name.is_empty() && name.iter().all(is_token)
}

fn is_value(value: &[u8]) -> bool {
    value
        .iter()
        .all(|byte| matches!(byte, b'\t' | b' '..=0x7e | 0x80..))
}
