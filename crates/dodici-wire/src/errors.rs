//! The only mapping from engine errors to the codes JavaScript knows, and the error payload.
//!
//! # Error payload
//! Tagged values (see [`Field`]): `Code`, `Phase` and `Message` always; `SystemCode`, `Errno`,
//! `Syscall`, `Address`, `Port`, `Hostname` for failures of the system, of TLS, of the parser and of
//! content codings;
//! `LocalAddress`, `LocalPort`, `RemoteAddress`, `RemotePort`, `BytesWritten`, `BytesRead` if a
//! socket failed; RFC 9113's error code as `Errno` if a stream was reset; one `Attempt`, itself an
//! error payload, for each address that failed, or for the cause of a proxy's failure.

use std::net::SocketAddr;

use dodici_pool::{Error, ErrorKind};

use crate::schema::{ErrorCode, Field};
use crate::tagged::{put_bytes, put_display, put_f64, put_u32, put_with};

/// The code for a kind.
pub const fn error_code(kind: ErrorKind) -> ErrorCode {
    match kind {
        ErrorKind::InvalidRequest => ErrorCode::InvalidArgument,
        ErrorKind::RequestContentLengthMismatch => ErrorCode::RequestContentLengthMismatch,
        ErrorKind::RequestBody => ErrorCode::RequestBody,
        ErrorKind::Aborted => ErrorCode::Aborted,
        ErrorKind::Destroyed => ErrorCode::Destroyed,
        ErrorKind::Closed => ErrorCode::Closed,
        ErrorKind::ConnectTimeout => ErrorCode::ConnectTimeout,
        ErrorKind::Resolve | ErrorKind::Connect | ErrorKind::Tls => ErrorCode::System,
        ErrorKind::AddressNotAllowed => ErrorCode::AddressNotAllowed,
        ErrorKind::ProxyRefused { .. } => ErrorCode::ProxyRefused,
        ErrorKind::ProxyTls => ErrorCode::ProxyTls,
        ErrorKind::ProxyConnection => ErrorCode::ProxyConnection,
        ErrorKind::Socks => ErrorCode::Socks,
        ErrorKind::HeadersTimeout => ErrorCode::HeadersTimeout,
        ErrorKind::BodyTimeout => ErrorCode::BodyTimeout,
        ErrorKind::BodyTooSlow => ErrorCode::BodyTooSlow,
        ErrorKind::TotalTimeout => ErrorCode::TotalTimeout,
        ErrorKind::HeadersOverflow => ErrorCode::HeadersOverflow,
        ErrorKind::ResponseContentLengthMismatch => ErrorCode::ResponseContentLengthMismatch,
        ErrorKind::ResponseExceededMaxSize => ErrorCode::ResponseExceededMaxSize,
        ErrorKind::ContentCoding => ErrorCode::ContentCoding,
        ErrorKind::Parse(_) => ErrorCode::Parse,
        ErrorKind::Socket => ErrorCode::Socket,
        ErrorKind::StreamReset(_) => ErrorCode::StreamReset,
        ErrorKind::Unserved => ErrorCode::Unserved,
        // `Internal`; the test below fails for a kind that is missing here.
        _ => ErrorCode::Internal,
    }
}

/// Appends an error payload.
pub fn put_error(out: &mut Vec<u8>, error: &Error) {
    put_u32(out, Field::Code as u16, error_code(error.kind()) as u32);
    put_display(out, Field::Phase as u16, error.phase());
    put_bytes(out, Field::Message as u16, error.message().as_bytes());
    if let ErrorKind::Parse(code) = error.kind() {
        put_bytes(out, Field::SystemCode as u16, code.as_str().as_bytes());
    }
    if let ErrorKind::StreamReset(code) = error.kind() {
        put_u32(out, Field::Errno as u16, code);
    }
    if let Some(system) = error.system() {
        if !matches!(error.kind(), ErrorKind::Parse(_)) {
            put_text(out, Field::SystemCode, &system.code);
        }
        if system.errno != 0 {
            put_bytes(out, Field::Errno as u16, &system.errno.to_le_bytes());
        }
        put_text(out, Field::Syscall, &system.syscall);
        put_text(
            out,
            Field::Address,
            system.address.as_deref().unwrap_or_default(),
        );
        if let Some(port) = system.port {
            put_u32(out, Field::Port as u16, port.into());
        }
        put_text(
            out,
            Field::Hostname,
            system.hostname.as_deref().unwrap_or_default(),
        );
    }
    if let Some(socket) = error.socket() {
        put_addresses(out, socket.local, socket.remote);
        put_f64(out, Field::BytesWritten as u16, socket.bytes_written as f64);
        put_f64(out, Field::BytesRead as u16, socket.bytes_read as f64);
    }
    for attempt in error.attempts() {
        put_with(out, Field::Attempt as u16, |out| put_error(out, attempt));
    }
}

/// Appends text, or nothing if it is empty.
pub(crate) fn put_text(out: &mut Vec<u8>, field: Field, text: &str) {
    if !text.is_empty() {
        put_bytes(out, field as u16, text.as_bytes());
    }
}

/// Appends the local and remote address of a socket, as far as they are known.
pub(crate) fn put_addresses(
    out: &mut Vec<u8>,
    local: Option<SocketAddr>,
    remote: Option<SocketAddr>,
) {
    if let Some(local) = local {
        put_display(out, Field::LocalAddress as u16, local.ip());
        put_u32(out, Field::LocalPort as u16, local.port().into());
    }
    if let Some(remote) = remote {
        put_display(out, Field::RemoteAddress as u16, remote.ip());
        put_u32(out, Field::RemotePort as u16, remote.port().into());
    }
}

#[cfg(test)]
mod tests {
    use dodici_pool::{ErrorKind, ParseErrorCode};

    use super::error_code;
    use crate::schema::ErrorCode;

    /// One of each.
    const KINDS: &[ErrorKind] = &[
        ErrorKind::InvalidRequest,
        ErrorKind::RequestContentLengthMismatch,
        ErrorKind::RequestBody,
        ErrorKind::Aborted,
        ErrorKind::TotalTimeout,
        ErrorKind::Destroyed,
        ErrorKind::Closed,
        ErrorKind::Internal,
        ErrorKind::ConnectTimeout,
        ErrorKind::Resolve,
        ErrorKind::Connect,
        ErrorKind::AddressNotAllowed,
        ErrorKind::Tls,
        ErrorKind::ProxyRefused { status: 407 },
        ErrorKind::ProxyTls,
        ErrorKind::ProxyConnection,
        ErrorKind::Socks,
        ErrorKind::HeadersTimeout,
        ErrorKind::BodyTimeout,
        ErrorKind::BodyTooSlow,
        ErrorKind::HeadersOverflow,
        ErrorKind::ResponseContentLengthMismatch,
        ErrorKind::ResponseExceededMaxSize,
        ErrorKind::ContentCoding,
        ErrorKind::Parse(ParseErrorCode::LfExpected),
        ErrorKind::Socket,
        ErrorKind::StreamReset(1),
        ErrorKind::Unserved,
    ];

    #[test]
    fn every_kind_has_a_code() {
        let names = KINDS.iter().map(|kind| format!("{kind:?}"));
        let names = names.map(|name| name.split([' ', '(']).next().unwrap_or("").to_owned());
        assert!(names.eq(ErrorKind::NAMES.iter().map(|name| (*name).to_owned())));
        for kind in KINDS {
            let is_internal = error_code(*kind) == ErrorCode::Internal;
            assert_eq!(is_internal, *kind == ErrorKind::Internal, "{kind:?}");
        }
    }
}
