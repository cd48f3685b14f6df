//! `CONNECT` (RFC 9110, section 9.3.6): the request and the response head.
//!
//! Called by the proxy leg. Must not know sockets or TLS.
//!
//! The head has its own small parser instead of the framing guard, which belongs to a
//! connection and a higher layer: there is no body here, no reuse, and anything but success is an
//! error.

use dodici_pool::{
    Error, ErrorKind, HeaderBlock, Origin, ParseErrorCode, Phase, ProxyAnswer, Replay,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{broken, check_host};
use crate::connect::errors::{bad_option, mismatch};

/// Maximum size of the response head. 16 KiB: the limit of Node and undici for a response head.
pub(super) const MAX_HEAD: usize = 16 * 1024;

/// Maximum number of fields; a head of [`MAX_HEAD`] with more of them is an attack.
const MAX_FIELDS: usize = 128;

/// How every response begins.
const CONSTANT: &[u8] = b"HTTP/1.";

/// The request, ready to be written.
pub(super) struct HttpTunnel {
    request: Vec<u8>,
    /// See [`Proxy::any_success`](dodici_pool::Proxy::any_success).
    any_success: bool,
}

impl HttpTunnel {
    /// # Errors
    /// `InvalidRequest` for a host, a name or a value that would end its line early (S1).
    pub(super) fn new(
        target: &Origin,
        headers: &HeaderBlock,
        any_success: bool,
    ) -> Result<Self, Error> {
        check_host(&target.host)?;
        let authority = if target.is_ipv6_literal() {
            format!("[{}]:{}", target.host, target.port)
        } else {
            format!("{}:{}", target.host, target.port)
        };
        let mut request = format!("CONNECT {authority} HTTP/1.1\r\n").into_bytes();
        if headers.get("host").is_none() {
            request.extend_from_slice(format!("host: {authority}\r\n").as_bytes());
        }
        for (name, value) in headers.iter() {
            check_field(name, value)?;
            request.extend_from_slice(name);
            request.extend_from_slice(b": ");
            request.extend_from_slice(value);
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        Ok(Self {
            request,
            any_success,
        })
    }

    /// Writes the request and reads the response head, and not one byte more.
    ///
    /// # Errors
    /// `ProxyRefused` for every status that opens no tunnel, including informational ones; `Parse`
    /// and `HeadersOverflow` for an invalid head; `ProxyConnection` if the proxy closes the
    /// connection; `Socket` for system errors.
    pub(super) async fn ask<S>(&self, stream: &mut S) -> Result<ProxyAnswer, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let write = async {
            stream.write_all(&self.request).await?;
            stream.flush().await
        };
        write.await.map_err(|error| broken(&error, "write"))?;
        let head = read_head(stream).await?;
        let answer = parse(&head)?;
        let opens = answer.status == 200 || self.any_success && answer.status / 100 == 2;
        if opens {
            return Ok(answer);
        }
        let status = answer.status;
        Err(Error::new(
            ErrorKind::ProxyRefused { status },
            Phase::Proxy,
            format!("Proxy response ({status}) !== 200 when HTTP Tunneling"),
        )
        .with_replay(Replay::Unsent))
    }
}

/// A name that is a token, and a value without control characters except the tab (RFC 9110, section
/// 5.5). The value is not in the message: it may be a credential.
fn check_field(name: &[u8], value: &[u8]) -> Result<(), Error> {
    let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    if name.is_empty() || !name.iter().all(token) {
        return Err(bad_option("proxy", "a header name is invalid"));
    }
    let text = |byte: &u8| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f);
    if !value.iter().all(text) {
        let name = String::from_utf8_lossy(name);
        return Err(bad_option(
            "proxy",
            format_args!("the value of header {name} is not valid"),
        ));
    }
    Ok(())
}

/// Reads up to and including the empty line, byte by byte: what follows belongs to the tunnel. That
/// is about a hundred small reads for a connection that takes milliseconds to open. An invalid head
/// is rejected immediately, because a proxy that waits for us would never send the rest.
async fn read_head<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Vec<u8>, Error> {
    let mut head = Vec::with_capacity(256);
    let mut skipped = 0;
    loop {
        let mut byte = [0];
        let read = stream.read(&mut byte).await;
        if read.map_err(|error| broken(&error, "read"))? == 0 {
            return Err(closed());
        }
        let [byte] = byte;
        let empty_line = (head.is_empty() && byte == b'\r') || head == b"\r";
        if !empty_line && head.len() < CONSTANT.len() && byte != CONSTANT[head.len()] {
            return Err(malformed(
                ParseErrorCode::InvalidConstant,
                "Expected HTTP/, RTSP/ or ICE/",
            ));
        }
        let missing = |code, what: &str| {
            let is_first = !head.contains(&b'\n');
            let line = if is_first {
                "response line"
            } else {
                "header value"
            };
            Err(malformed(
                code,
                &format!("Missing expected {what} after {line}"),
            ))
        };
        if byte == b'\n' && head.last() != Some(&b'\r') {
            return missing(ParseErrorCode::CrExpected, "CR");
        }
        if byte != b'\n' && head.last() == Some(&b'\r') {
            return missing(ParseErrorCode::LfExpected, "LF");
        }
        head.push(byte);
        if head == b"\r\n" {
            // As before every status line (RFC 9112, section 2.2).
            skipped += head.len();
            head.clear();
        }
        if head.ends_with(b"\r\n\r\n") {
            return Ok(head);
        }
        if skipped + head.len() >= MAX_HEAD {
            return Err(overflow());
        }
    }
}

fn parse(head: &[u8]) -> Result<ProxyAnswer, Error> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    match response.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => {
            return Err(malformed(
                ParseErrorCode::InvalidHeaderToken,
                "Invalid response head",
            ));
        }
        Err(httparse::Error::TooManyHeaders) => return Err(overflow()),
        Err(httparse::Error::Version) => {
            return Err(malformed(
                ParseErrorCode::InvalidVersion,
                "Invalid HTTP version",
            ));
        }
        Err(httparse::Error::Status) => {
            return Err(malformed(
                ParseErrorCode::InvalidStatus,
                "Invalid status code",
            ));
        }
        Err(_) => {
            return Err(malformed(
                ParseErrorCode::InvalidHeaderToken,
                "Invalid header token",
            ));
        }
    }
    let headers = response.headers.iter();
    let headers = headers.map(|field| (field.name, field.value)).collect();
    Ok(ProxyAnswer::new(response.code.unwrap_or_default(), headers))
}

fn malformed(code: ParseErrorCode, reason: &str) -> Error {
    mismatch("HTTP/1.1", code, Phase::Proxy, reason).with_replay(Replay::Unsent)
}

fn overflow() -> Error {
    Error::new(
        ErrorKind::HeadersOverflow,
        Phase::Proxy,
        "the proxy's answer is too large",
    )
    .with_replay(Replay::Unsent)
}

/// The proxy hung up instead of responding.
fn closed() -> Error {
    let cause = Error::new(ErrorKind::Socket, Phase::Proxy, "other side closed");
    Error::new(
        ErrorKind::ProxyConnection,
        Phase::Proxy,
        "Proxy Connection failed",
    )
    .with_replay(Replay::Unsent)
    .with_attempts(vec![cause])
}
