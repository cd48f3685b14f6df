//! Converts `http` request parts to a serialised HTTP/1.1 head, and a raw response head to `http`
//! parts.

use std::cell::Cell;
use std::fmt::{self, Write as _};

use bytes::{BufMut, Bytes, BytesMut};
use dodici_pool::{BodyKind, Error, ErrorKind, HeaderBlock, Origin, Phase, RequestKind, Version};
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::{HeaderName, HeaderValue};

use super::fields::Meaning;
use super::{IncomingBody, RawHeaders, RequestOptions, invalid};

/// Room for most heads, so that their memory need not grow.
const USUAL_HEAD: usize = 512;

/// Heads that share one allocation. 4 KiB: some thirty small ones; a request that waits keeps as much
/// alive at most.
const HEADS_ROOM: usize = 4 * 1024;

thread_local! {
    /// Memory for the next heads of this thread.
    static HEADS: Cell<Option<BytesMut>> = const { Cell::new(None) };
}

/// How the response must be read.
pub(super) fn kind(parts: &Parts, meaning: Meaning) -> RequestKind {
    if parts.method == http::Method::HEAD {
        RequestKind::Head
    } else if parts.method == http::Method::CONNECT {
        RequestKind::Connect
    } else if meaning.upgrade {
        RequestKind::Upgrade
    } else {
        RequestKind::Plain
    }
}

/// The transfer codings that the caller asks for, `chunked` last: intermediaries copy all fields of
/// a message. `None` for none, and over HTTP/1.0, which has none (RFC 9112, section 6.1).
pub(super) fn transfer_codings(
    parts: &Parts,
    options: RequestOptions,
) -> Result<Option<Vec<u8>>, Error> {
    let mut codings = Vec::new();
    let mut is_chunked = false;
    let mut read = |value: &[u8]| {
        if !options.transfer_encoding {
            return Err(invalid("transfer-encoding is set by the engine"));
        }
        for coding in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if coding.is_empty() {
                continue;
            }
            if is_chunked {
                return Err(invalid("chunked must be the last transfer coding"));
            }
            is_chunked = coding.eq_ignore_ascii_case(b"chunked");
            if !codings.is_empty() {
                codings.extend_from_slice(b", ");
            }
            codings.extend_from_slice(coding);
        }
        Ok(())
    };
    if let Some(RawHeaders(fields)) = parts.extensions.get::<RawHeaders>() {
        fields
            .get_all("transfer-encoding")
            .try_for_each(&mut read)?;
    } else {
        let values = parts.headers.get_all(TRANSFER_ENCODING).iter();
        values.map(HeaderValue::as_bytes).try_for_each(&mut read)?;
    }
    if codings.is_empty() || parts.version == http::Version::HTTP_10 {
        return Ok(None);
    }
    if !is_chunked {
        codings.extend_from_slice(b", chunked");
    }
    Ok(Some(codings))
}

/// Writes the head. The engine writes the framing fields: the caller's `Content-Length` must agree
/// with the body, and is dropped if there are `codings`, so that no request can be read as two.
pub(super) fn serialize(
    parts: &Parts,
    body: &BodyKind,
    codings: Option<Vec<u8>>,
    origin: &Origin,
    options: RequestOptions,
) -> Result<Bytes, Error> {
    // The table is gone while the thread ends.
    let memory = HEADS.try_with(Cell::take).ok().flatten();
    let mut memory = memory.unwrap_or_else(|| BytesMut::with_capacity(HEADS_ROOM));
    memory.reserve(USUAL_HEAD);
    let written = write_head(&mut memory, parts, body, codings, origin, options);
    let head = memory.split().freeze();
    let _kept = HEADS.try_with(|heads| heads.set(Some(memory)));
    written.map(|()| head)
}

fn write_head(
    head: &mut BytesMut,
    parts: &Parts,
    body: &BodyKind,
    codings: Option<Vec<u8>>,
    origin: &Origin,
    options: RequestOptions,
) -> Result<(), Error> {
    head.extend_from_slice(parts.method.as_str().as_bytes());
    head.put_u8(b' ');
    if parts.method == http::Method::CONNECT {
        let authority = parts
            .uri
            .authority()
            .ok_or_else(|| invalid("CONNECT needs an authority"))?;
        head.extend_from_slice(authority.as_str().as_bytes());
    } else {
        if options.absolute_form {
            absolute(head, parts)?;
        }
        let target = parts
            .uri
            .path_and_query()
            .map_or("/", |target| target.as_str());
        head.extend_from_slice(if target.is_empty() {
            b"/"
        } else {
            target.as_bytes()
        });
    }
    head.extend_from_slice(match parts.version {
        http::Version::HTTP_10 if matches!(body, BodyKind::Chunked) => {
            return Err(invalid(
                "HTTP/1.0 has no way to send a body of unknown length",
            ));
        }
        http::Version::HTTP_10 => b" HTTP/1.0\r\n",
        // Over HTTP/2 it is parsed, not sent.
        http::Version::HTTP_11 | http::Version::HTTP_2 => b" HTTP/1.1\r\n",
        _ => return Err(invalid("a request's version must be HTTP/1.0, 1.1 or 2")),
    });
    if let Some(RawHeaders(fields)) = parts.extensions.get::<RawHeaders>() {
        return raw(head, parts, body, codings, origin, fields);
    }
    let case = if options.title_case {
        Case::Title
    } else {
        Case::Lower
    };
    if !parts.headers.contains_key(HOST) {
        host(head, parts, origin, case);
    } else if parts.headers.get_all(HOST).iter().count() > 1 {
        return Err(invalid("a request can have only one host header"));
    }
    for (name, value) in &parts.headers {
        if name != CONTENT_LENGTH && name != TRANSFER_ENCODING {
            field(head, name, value, case);
        }
    }
    if parts.headers.contains_key(UPGRADE) && !parts.headers.contains_key(CONNECTION) {
        case.write(head, "connection");
        head.extend_from_slice(b": upgrade\r\n");
    }
    frame(head, &parts.method, &parts.headers, body, codings, case)?;
    head.extend_from_slice(b"\r\n");
    Ok(())
}

/// Letter case of header names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Case {
    Lower,
    Title,
}

impl Case {
    /// `name` is in lower case.
    fn write(self, head: &mut BytesMut, name: &str) {
        match self {
            Self::Lower => head.extend_from_slice(name.as_bytes()),
            Self::Title => write_title_case(head, name),
        }
    }
}

/// Appends a name, which is in lower case, in title case: `Content-Type`.
pub(super) fn write_title_case(out: &mut BytesMut, name: &str) {
    let mut upper = true;
    for byte in name.bytes() {
        out.put_u8(if upper {
            byte.to_ascii_uppercase()
        } else {
            byte
        });
        upper = byte == b'-';
    }
}

/// `scheme://authority` of the URI, without credentials.
fn absolute(head: &mut BytesMut, parts: &Parts) -> Result<(), Error> {
    let (Some(scheme), Some(authority)) = (parts.uri.scheme_str(), parts.uri.authority()) else {
        return Err(invalid("a request to a proxy needs an absolute URI"));
    };
    head.extend_from_slice(scheme.as_bytes());
    head.extend_from_slice(b"://");
    head.extend_from_slice(without_userinfo(authority.as_str()).as_bytes());
    Ok(())
}

fn without_userinfo(authority: &str) -> &str {
    authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host)
}

fn host(head: &mut BytesMut, parts: &Parts, origin: &Origin, case: Case) {
    case.write(head, "host");
    head.extend_from_slice(b": ");
    match parts.uri.authority() {
        Some(authority) => {
            head.extend_from_slice(without_userinfo(authority.as_str()).as_bytes());
        }
        None => write(head, format_args!("{}", origin.authority())),
    }
    head.extend_from_slice(b"\r\n");
}

/// The rest of a head with the caller's fields, byte for byte. To prevent smuggling, names and
/// values are checked, and framing fields must match the body.
fn raw(
    head: &mut BytesMut,
    parts: &Parts,
    body: &BodyKind,
    codings: Option<Vec<u8>>,
    origin: &Origin,
    fields: &HeaderBlock,
) -> Result<(), Error> {
    let hosts = fields.get_all("host").count();
    if hosts > 1 {
        return Err(invalid("a request can have only one host header"));
    }
    if hosts == 0 {
        host(head, parts, origin, Case::Title);
    }
    let mut declared = http::HeaderMap::new();
    for (name, value) in fields.iter() {
        let known = HeaderName::from_bytes(name).map_err(|_| invalid("illegal header name"))?;
        let checked =
            HeaderValue::from_bytes(value).map_err(|_| invalid("illegal header value"))?;
        if known == TRANSFER_ENCODING {
            continue;
        }
        if known == CONTENT_LENGTH {
            declared.append(known, checked);
            continue;
        }
        head.extend_from_slice(name);
        head.extend_from_slice(b": ");
        head.extend_from_slice(value);
        head.extend_from_slice(b"\r\n");
    }
    let case = Case::Title;
    frame(head, &parts.method, &declared, body, codings, case)?;
    head.extend_from_slice(b"\r\n");
    Ok(())
}

/// The body's framing fields, which the caller's `Content-Length` must agree with.
fn frame(
    head: &mut BytesMut,
    method: &http::Method,
    headers: &http::HeaderMap,
    body: &BodyKind,
    codings: Option<Vec<u8>>,
    case: Case,
) -> Result<(), Error> {
    let length = match body {
        BodyKind::None => None,
        BodyKind::Full(bytes) => Some(bytes.len() as u64),
        BodyKind::Sized(length) => Some(*length),
        BodyKind::Chunked => {
            if codings.is_none() && headers.contains_key(CONTENT_LENGTH) {
                return Err(mismatch());
            }
            case.write(head, "transfer-encoding");
            head.extend_from_slice(b": ");
            head.extend_from_slice(codings.as_deref().unwrap_or(b"chunked"));
            head.extend_from_slice(b"\r\n");
            return Ok(());
        }
    };
    let declared = headers.get_all(CONTENT_LENGTH);
    for value in &declared {
        let given = value
            .to_str()
            .ok()
            .filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
        let given: Option<u64> = given.and_then(|text| text.parse().ok());
        if given.is_none() || given != Some(length.unwrap_or(0)) {
            return Err(mismatch());
        }
    }
    let expects_body = matches!(method.as_str(), "POST" | "PUT" | "PATCH" | "QUERY");
    match length {
        None | Some(0) if !expects_body && declared.iter().next().is_none() => {}
        length => {
            case.write(head, "content-length");
            write(head, format_args!(": {}\r\n", length.unwrap_or(0)));
        }
    }
    Ok(())
}

/// Memory grows as needed, so nothing here fails.
fn write(head: &mut BytesMut, text: fmt::Arguments<'_>) {
    let _written = head.write_fmt(text);
}

fn mismatch() -> Error {
    Error::new(
        ErrorKind::RequestContentLengthMismatch,
        Phase::Queued,
        "Request body length does not match content-length header",
    )
}

fn field(head: &mut BytesMut, name: &HeaderName, value: &HeaderValue, case: Case) {
    case.write(head, name.as_str());
    head.extend_from_slice(b": ");
    head.extend_from_slice(value.as_bytes());
    head.extend_from_slice(b"\r\n");
}

/// The response that starts with the raw head.
pub(super) fn response(body: IncomingBody) -> Result<http::Response<IncomingBody>, Error> {
    let head = &body.detail().head;
    let refused = |what: &'static str| Error::new(ErrorKind::Socket, Phase::Headers, what);
    let status =
        http::StatusCode::from_u16(head.status).map_err(|_| refused("status code out of range"))?;
    let version = match head.version {
        Version::Http09 => http::Version::HTTP_09,
        Version::Http10 => http::Version::HTTP_10,
        Version::Http11 => http::Version::HTTP_11,
        Version::Http2 => http::Version::HTTP_2,
        Version::Http3 => http::Version::HTTP_3,
    };
    let mut fields = http::HeaderMap::with_capacity(head.headers.len());
    // One allocation for all values.
    let mut values = BytesMut::with_capacity(head.headers.byte_len());
    for (name, value) in head.headers.iter() {
        let name = HeaderName::from_bytes(name).map_err(|_| refused("illegal header name"))?;
        values.extend_from_slice(value);
        let value = HeaderValue::from_maybe_shared(values.split().freeze())
            .map_err(|_| refused("illegal header value"))?;
        fields.append(name, value);
    }
    let mut response = http::Response::new(body);
    *response.status_mut() = status;
    *response.version_mut() = version;
    *response.headers_mut() = fields;
    Ok(response)
}
