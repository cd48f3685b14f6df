//! Converts between HTTP/1.1 and HTTP/2 heads (RFC 9113, section 8.3).
//!
//! A request reaches the connection as the bytes of an HTTP/1.1 head, because the protocol is
//! unknown until the connection is open. Here it is converted for the h2 crate; names and values
//! stay slices of the head.

use bytes::Bytes;
use dodici_pool::{
    Error, ErrorKind, HeaderBlock, Phase, Request, RequestKind, ResponseHead, Scheme, SystemDetail,
    Version,
};
use http::header::{self, EXPECT, HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery};
use http::{Method, Uri};

/// Maximum number of request fields; undici limits the size of the head instead.
const MAX_FIELDS: usize = 1024;

/// Enough fields for most requests, so that the typical list is on the stack.
const USUAL_FIELDS: usize = 48;

/// What all requests of a connection have in common.
pub(crate) struct Target {
    scheme: http::uri::Scheme,
    /// The authority of the last request: nearly always that of the next.
    authority: Option<Authority>,
    /// For requests without a `host`.
    default_authority: String,
}

impl Target {
    pub(crate) fn new(scheme: Scheme, authority: String) -> Self {
        Self {
            scheme: match scheme {
                Scheme::Http => http::uri::Scheme::HTTP,
                Scheme::Https => http::uri::Scheme::HTTPS,
            },
            authority: None,
            default_authority: authority,
        }
    }

    /// Converts a request for h2. An upgrade becomes an extended CONNECT (RFC 8441).
    ///
    /// # Errors
    /// `InvalidRequest` for what HTTP/2 cannot express.
    pub(crate) fn request(&mut self, request: &Request) -> Result<http::Request<()>, Error> {
        let head = &request.head;
        let line = RequestLine::cut(head)?;
        let mut usual = [httparse::EMPTY_HEADER; USUAL_FIELDS];
        match httparse::parse_headers(line.rest, &mut usual) {
            Ok(httparse::Status::Complete((_, fields))) => self.assemble(request, &line, fields),
            Err(httparse::Error::TooManyHeaders) => {
                let mut many = vec![httparse::EMPTY_HEADER; MAX_FIELDS];
                match httparse::parse_headers(line.rest, &mut many) {
                    Ok(httparse::Status::Complete((_, fields))) => {
                        self.assemble(request, &line, fields)
                    }
                    _ => Err(invalid("invalid request head")),
                }
            }
            _ => Err(invalid("invalid request head")),
        }
    }

    fn assemble(
        &mut self,
        request: &Request,
        line: &RequestLine<'_>,
        given: &[httparse::Header<'_>],
    ) -> Result<http::Request<()>, Error> {
        let head = &request.head;
        let mut upgrade = None;
        let mut host: Option<&[u8]> = None;
        let mut named: Option<Vec<&[u8]>> = None;
        let mut fields = HeaderMap::with_capacity(given.len());
        for field in given {
            let value = field.value;
            match own_meaning(field.name) {
                Meaning::Host => {
                    host = Some(value);
                    continue;
                }
                Meaning::Upgrade => {
                    upgrade = Some(value);
                    continue;
                }
                Meaning::Connection => {
                    if field.name.eq_ignore_ascii_case("connection") {
                        named.get_or_insert_default().push(value);
                    }
                    continue;
                }
                Meaning::Te if !value.eq_ignore_ascii_case(b"trailers") => continue,
                Meaning::Te | Meaning::Field => {}
            }
            let name = HeaderName::from_bytes(field.name.as_bytes())
                .map_err(|_| invalid("invalid header name"))?;
            let value = HeaderValue::from_maybe_shared(head.slice_ref(value))
                .map_err(|_| invalid("invalid header value"))?;
            let repeated = fields
                .try_append(&name, value)
                .map_err(|_| invalid("too many headers"))?;
            if repeated && is_single(&name) && has_other_spelling(given, field.name) {
                return Err(repeated_field(&name));
            }
        }
        // They concern the HTTP/1.1 connection as well (RFC 9110, section 7.6.1); what remains of
        // `te` is not.
        for name in named
            .iter()
            .flatten()
            .flat_map(|value| value.split(|byte| *byte == b','))
        {
            if let Ok(name) = HeaderName::from_bytes(name.trim_ascii())
                && name != header::TE
            {
                fields.remove(name);
            }
        }
        let mut method = Method::from_bytes(line.method).map_err(|_| invalid("invalid method"))?;
        let mut parts = http::uri::Parts::default();
        let mut protocol = None;
        if request.kind == RequestKind::Upgrade {
            protocol = Some(extended_protocol(upgrade)?);
            method = Method::CONNECT;
        }
        if method == Method::CONNECT && protocol.is_none() {
            // The authority is the target; neither scheme nor path (RFC 9113, section 8.5). Where
            // the target is none, as in undici, `host` says it.
            parts.authority = Some(match authority(head.slice_ref(line.target)) {
                Ok(target) => target,
                Err(_) => self.authority(host)?,
            });
        } else {
            parts.scheme = Some(self.scheme.clone());
            parts.authority = Some(self.authority(host)?);
            parts.path_and_query = Some(path(head.slice_ref(line.target))?);
        }
        let uri = Uri::from_parts(parts).map_err(|_| invalid("invalid target"))?;
        if request.expect_continue && !fields.contains_key(EXPECT) {
            fields.insert(EXPECT, HeaderValue::from_static("100-continue"));
        }
        let mut made = http::Request::new(());
        *made.method_mut() = method;
        *made.uri_mut() = uri;
        *made.version_mut() = http::Version::HTTP_2;
        *made.headers_mut() = fields;
        if let Some(protocol) = protocol {
            made.extensions_mut().insert(protocol);
        }
        Ok(made)
    }

    fn authority(&mut self, host: Option<&[u8]>) -> Result<Authority, Error> {
        let host = host.unwrap_or(self.default_authority.as_bytes());
        if let Some(known) = &self.authority
            && known.as_str().as_bytes() == host
        {
            return Ok(known.clone());
        }
        // Copied, so that it does not keep this request's head in memory.
        let made = authority(Bytes::copy_from_slice(host))?;
        self.authority = Some(made.clone());
        Ok(made)
    }
}

/// Whether a message has this field at most once: the list of node:http2.
fn is_single(name: &HeaderName) -> bool {
    const SINGLE: [HeaderName; 34] = [
        header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
        header::ACCESS_CONTROL_MAX_AGE,
        header::ACCESS_CONTROL_REQUEST_METHOD,
        header::AGE,
        header::AUTHORIZATION,
        header::CONTENT_ENCODING,
        header::CONTENT_LANGUAGE,
        header::CONTENT_LENGTH,
        header::CONTENT_LOCATION,
        header::CONTENT_RANGE,
        header::CONTENT_TYPE,
        header::DATE,
        header::DNT,
        header::ETAG,
        header::EXPIRES,
        header::FROM,
        header::HOST,
        header::IF_MATCH,
        header::IF_MODIFIED_SINCE,
        header::IF_NONE_MATCH,
        header::IF_RANGE,
        header::IF_UNMODIFIED_SINCE,
        header::LAST_MODIFIED,
        header::LOCATION,
        header::MAX_FORWARDS,
        header::PROXY_AUTHORIZATION,
        header::RANGE,
        header::REFERER,
        header::RETRY_AFTER,
        header::UPGRADE_INSECURE_REQUESTS,
        header::USER_AGENT,
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderName::from_static("content-md5"),
        HeaderName::from_static("tk"),
    ];
    SINGLE.contains(name)
}

/// Whether this field is also present in different letter case: two keys of the caller's for one
/// field, of which only one can be meant. Fields repeated on purpose are spelled alike.
fn has_other_spelling(given: &[httparse::Header<'_>], name: &str) -> bool {
    given
        .iter()
        .any(|field| field.name != name && field.name.eq_ignore_ascii_case(name))
}

#[cold]
fn repeated_field(name: &HeaderName) -> Error {
    let message = format!("Header field \"{name}\" must only have a single value");
    Error::new(ErrorKind::Unserved, Phase::Send, message)
        .with_system(SystemDetail::new("ERR_HTTP2_HEADER_SINGLE_VALUE"))
}

/// The request line and what follows it. httparse would reject targets that are not UTF-8.
struct RequestLine<'a> {
    method: &'a [u8],
    target: &'a [u8],
    rest: &'a [u8],
}

impl<'a> RequestLine<'a> {
    fn cut(head: &'a [u8]) -> Result<Self, Error> {
        let broken = || invalid("invalid request line");
        let end = memchr::memmem::find(head, b"\r\n").ok_or_else(broken)?;
        let (line, rest) = (&head[..end], &head[end + 2..]);
        let first = memchr::memchr(b' ', line).ok_or_else(broken)?;
        let last = memchr::memrchr(b' ', line)
            .filter(|last| *last > first)
            .ok_or_else(broken)?;
        Ok(Self {
            method: &line[..first],
            target: &line[first + 1..last],
            rest,
        })
    }
}

/// What an HTTP/1.1 field becomes in HTTP/2.
enum Meaning {
    /// `:authority`.
    Host,
    /// `:protocol` of an extended CONNECT; otherwise meaningless.
    Upgrade,
    /// Specific to the HTTP/1.1 connection: must not be sent (RFC 9113, section 8.2.2).
    Connection,
    /// May only say `trailers`.
    Te,
    Field,
}

fn own_meaning(name: &str) -> Meaning {
    // The lengths rule out nearly every field.
    let is = |known: &str| name.eq_ignore_ascii_case(known);
    match name.len() {
        2 if is("te") => Meaning::Te,
        4 if is("host") => Meaning::Host,
        7 if is("upgrade") => Meaning::Upgrade,
        10 if is("connection") || is("keep-alive") => Meaning::Connection,
        14 if is("http2-settings") => Meaning::Connection,
        16 if is("proxy-connection") => Meaning::Connection,
        17 if is("transfer-encoding") => Meaning::Connection,
        _ => Meaning::Field,
    }
}

fn extended_protocol(upgrade: Option<&[u8]>) -> Result<h2::ext::Protocol, Error> {
    let name = upgrade
        .and_then(|value| std::str::from_utf8(value).ok())
        .ok_or_else(|| invalid("an upgrade needs a protocol"))?;
    if !name.eq_ignore_ascii_case("websocket") {
        return Err(invalid(format!(
            "Custom upgrade \"{name}\" not supported over HTTP/2"
        )));
    }
    Ok(h2::ext::Protocol::from_static("websocket"))
}

fn authority(text: Bytes) -> Result<Authority, Error> {
    Authority::from_maybe_shared(text).map_err(|_| invalid("invalid authority"))
}

/// The path unchanged or, if the `http` crate rejects it, with the bytes that RFC 3986 does not allow
/// percent-encoded: undici sends them unchanged.
fn path(text: Bytes) -> Result<PathAndQuery, Error> {
    if memchr::memchr(b'#', &text).is_none()
        && let Ok(path) = PathAndQuery::from_maybe_shared(text.clone())
    {
        return Ok(path);
    }
    let mut encoded = Vec::with_capacity(text.len() + 16);
    for byte in text {
        match byte {
            b'#'
            | b'<'
            | b'>'
            | b'"'
            | b'`'
            | b'{'
            | b'}'
            | b'|'
            | b'\\'
            | b'^'
            | ..=0x20
            | 0x7f.. => {
                const HEX: &[u8; 16] = b"0123456789ABCDEF";
                encoded.extend([
                    b'%',
                    HEX[usize::from(byte >> 4)],
                    HEX[usize::from(byte & 15)],
                ]);
            }
            _ => encoded.push(byte),
        }
    }
    PathAndQuery::from_maybe_shared(Bytes::from(encoded)).map_err(|_| invalid("invalid path"))
}

#[cold]
fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidRequest, Phase::Send, message)
}

/// Fills `head` with what h2 has decoded. The reason phrase stays empty: HTTP/2 has none.
pub(super) fn fill<B>(head: &mut ResponseHead, response: &http::Response<B>) {
    head.clear();
    head.version = Version::Http2;
    head.status = response.status().as_u16();
    push_all(&mut head.headers, response.headers());
}

/// Converts a list of fields to the engine's type; as over HTTP/1.1, without whitespace around values.
pub(crate) fn header_block(map: &HeaderMap) -> HeaderBlock {
    let mut block = HeaderBlock::new();
    push_all(&mut block, map);
    block
}

fn push_all(block: &mut HeaderBlock, map: &HeaderMap) {
    for (name, value) in map {
        // h2 leaves the whitespace around a value to its caller (RFC 9113, section 8.2.1).
        block.push(name.as_str().as_bytes(), value.as_bytes().trim_ascii());
    }
}

/// Converts request trailers for h2.
///
/// # Errors
/// `InvalidRequest` for an invalid name or value.
pub(super) fn trailer_map(trailers: &HeaderBlock) -> Result<HeaderMap, Error> {
    let mut map = HeaderMap::with_capacity(trailers.len());
    for (name, value) in trailers.iter() {
        let name = HeaderName::from_bytes(name).map_err(|_| invalid("invalid trailer name"))?;
        let value = HeaderValue::from_bytes(value).map_err(|_| invalid("invalid trailer value"))?;
        map.try_append(name, value)
            .map_err(|_| invalid("too many trailers"))?;
    }
    Ok(map)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    fn target() -> Target {
        Target::new(Scheme::Https, "default:8443".to_owned())
    }

    fn made(head: &'static str) -> http::Request<()> {
        target().request(&Request::new(head)).unwrap()
    }

    #[test]
    fn a_request_line_and_host_become_pseudo_headers() {
        let made = made(
            "GET /a?b=c HTTP/1.1\r\nHost: example.org\r\nAccept: */*\r\ncookie: a=1\r\ncookie: b=2\r\n\r\n",
        );
        assert_eq!(made.uri().to_string(), "https://example.org/a?b=c");
        assert_eq!(made.method(), "GET");
        let fields = header_block(made.headers());
        let fields: Vec<_> = fields.iter().collect();
        assert_eq!(
            fields,
            [
                (&b"accept"[..], &b"*/*"[..]),
                (b"cookie", b"a=1"),
                (b"cookie", b"b=2")
            ]
        );
    }

    #[test]
    fn without_a_host_the_origin_is_the_authority() {
        assert_eq!(
            made("GET / HTTP/1.1\r\n\r\n").uri().to_string(),
            "https://default:8443/"
        );
    }

    #[test]
    fn connection_specific_fields_are_not_sent() {
        let made = made(
            "POST / HTTP/1.1\r\nhost: a\r\nconnection: keep-alive\r\nkeep-alive: 5\r\n\
             transfer-encoding: chunked\r\nproxy-connection: x\r\nupgrade: h2c\r\n\
             http2-settings: AA\r\nte: gzip\r\nTE: trailers\r\nx: y\r\n\r\n",
        );
        let names: Vec<_> = made.headers().keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["te", "x"]);
        assert_eq!(made.headers()["te"], "trailers");
    }

    #[test]
    fn connect_names_its_target_only() {
        let request = Request::new("CONNECT example.org:443 HTTP/1.1\r\nhost: proxy\r\n\r\n")
            .with_kind(RequestKind::Connect);
        let made = target().request(&request).unwrap();
        assert_eq!(made.method(), Method::CONNECT);
        assert_eq!(made.uri().to_string(), "example.org:443");
    }

    #[test]
    fn a_websocket_handshake_becomes_an_extended_connect() {
        let request = Request::new(
            "GET /chat HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                 sec-websocket-key: k\r\nsec-websocket-version: 13\r\n\r\n",
        )
        .with_kind(RequestKind::Upgrade);
        let made = target().request(&request).unwrap();
        assert_eq!(made.method(), Method::CONNECT);
        assert_eq!(made.uri().to_string(), "https://a/chat");
        assert_eq!(
            made.extensions()
                .get::<h2::ext::Protocol>()
                .unwrap()
                .as_str(),
            "websocket"
        );
        assert_eq!(made.headers().len(), 2);
    }

    #[test]
    fn any_other_upgrade_is_refused() {
        let request = Request::new("GET / HTTP/1.1\r\nhost: a\r\nupgrade: foo\r\n\r\n")
            .with_kind(RequestKind::Upgrade);
        let error = target().request(&request).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(error.message().contains("Custom upgrade \"foo\""));
    }

    #[test]
    fn bytes_that_a_uri_cannot_contain_are_encoded_in_a_path() {
        let request = Request::new(&b"GET /a<b>`\xe9#f HTTP/1.1\r\nhost: a\r\n\r\n"[..]);
        let made = target().request(&request).unwrap();
        assert!(made.uri().path().ends_with("%E9%23f"), "{}", made.uri());
    }

    #[test]
    fn hundreds_of_fields_are_accepted() {
        let fields: String = (0..500).map(|i| format!("x-{i}: {i}\r\n")).collect();
        let request = Request::new(format!("GET / HTTP/1.1\r\nhost: a\r\n{fields}\r\n"));
        assert_eq!(target().request(&request).unwrap().headers().len(), 500);
    }
}
