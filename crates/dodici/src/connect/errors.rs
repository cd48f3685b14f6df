//! Operating system errors in Node's terms: code, negative errno, syscall, message; and responses that
//! are not HTTP, in undici's.
//!
//! Called by every leg of connecting. Must not know TLS: see `tls/node_codes.rs`.

use std::fmt::Display;
use std::io;
use std::net::SocketAddr;

use dodici_pool::{Error, ErrorKind, ParseErrorCode, Phase, Replay, SystemDetail};

/// A response that is not HTTP, with the sentence undici wraps around llhttp's reason.
pub(crate) fn mismatch(protocol: &str, code: ParseErrorCode, phase: Phase, reason: &str) -> Error {
    let message = format!("Response does not match the {protocol} protocol ({reason})");
    Error::new(ErrorKind::Parse(code), phase, message)
}

/// `connect ECONNREFUSED 127.0.0.1:80`, or the same for `bind`, for which Node states no port.
pub(super) fn socket_error(error: io::Error, syscall: &'static str, tried: SocketAddr) -> Error {
    let port = (tried.port() != 0).then_some(tried.port());
    let address = tried.ip().to_string();
    let place = match port {
        Some(port) => format!("{address}:{port}"),
        None => address.clone(),
    };
    leg_error(error, syscall, &place, address, port)
}

/// `connect ENOENT /path`.
pub(super) fn path_error(error: io::Error, path: String) -> Error {
    leg_error(error, "connect", &path.clone(), path, None)
}

fn leg_error(
    error: io::Error,
    syscall: &'static str,
    place: &dyn Display,
    address: String,
    port: Option<u16>,
) -> Error {
    let (code, errno) = os_code(&error);
    let mut detail = SystemDetail::of_call(syscall, code, errno);
    detail.address = Some(address);
    detail.port = port;
    let message = format!("{syscall} {code} {place}");
    Error::new(ErrorKind::Connect, Phase::Connect, message)
        .with_replay(Replay::Unsent)
        .with_system(detail)
        .with_source(error)
}

/// Names an errno as libuv does (`uv_err_name`), with libuv's negative number.
pub(super) fn os_code(error: &io::Error) -> (&'static str, i32) {
    #[cfg(unix)]
    if let Some(errno) = error.raw_os_error() {
        return (errno_name(errno), -errno);
    }
    kind_code(error.kind())
}

#[cfg(unix)]
fn errno_name(errno: i32) -> &'static str {
    macro_rules! names {
        ($($name:ident)*) => {
            match errno {
                $(libc::$name => stringify!($name),)*
                _ => "UNKNOWN",
            }
        };
    }
    names! {
        EACCES EADDRINUSE EADDRNOTAVAIL EAFNOSUPPORT EAGAIN EALREADY EBADF ECANCELED ECONNABORTED
        ECONNREFUSED ECONNRESET EDESTADDRREQ EFAULT EHOSTDOWN EHOSTUNREACH EINPROGRESS EINTR EINVAL
        EIO EISCONN ELOOP EMFILE EMSGSIZE ENAMETOOLONG ENETDOWN ENETUNREACH ENFILE ENOBUFS ENODEV
        ENOENT ENOMEM ENOPROTOOPT ENOSYS ENOTCONN ENOTDIR ENOTSOCK ENOTSUP EPERM EPIPE EPROTO
        EPROTONOSUPPORT EPROTOTYPE EROFS ESHUTDOWN ETIMEDOUT
    }
}

/// For errors without an errno (from the standard library or tokio) and for Windows, where libuv
/// has its own error numbers (`uv/errno.h`).
fn kind_code(kind: io::ErrorKind) -> (&'static str, i32) {
    #[cfg(unix)]
    macro_rules! code {
        ($name:ident, $windows:literal) => {
            (stringify!($name), -libc::$name)
        };
    }
    #[cfg(not(unix))]
    macro_rules! code {
        ($name:ident, $windows:literal) => {
            (stringify!($name), $windows)
        };
    }
    match kind {
        io::ErrorKind::AddrInUse => code!(EADDRINUSE, -4091),
        io::ErrorKind::AddrNotAvailable => code!(EADDRNOTAVAIL, -4090),
        io::ErrorKind::BrokenPipe => code!(EPIPE, -4047),
        io::ErrorKind::ConnectionAborted => code!(ECONNABORTED, -4079),
        io::ErrorKind::ConnectionRefused => code!(ECONNREFUSED, -4078),
        io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof => {
            code!(ECONNRESET, -4077)
        }
        io::ErrorKind::HostUnreachable => code!(EHOSTUNREACH, -4073),
        io::ErrorKind::InvalidInput => code!(EINVAL, -4071),
        io::ErrorKind::NetworkUnreachable => code!(ENETUNREACH, -4062),
        io::ErrorKind::NotConnected => code!(ENOTCONN, -4053),
        io::ErrorKind::NotFound => code!(ENOENT, -4058),
        io::ErrorKind::OutOfMemory => code!(ENOMEM, -4057),
        io::ErrorKind::PermissionDenied => code!(EACCES, -4092),
        io::ErrorKind::TimedOut => code!(ETIMEDOUT, -4039),
        _ => ("UNKNOWN", -4094),
    }
}

/// An option that cannot be honoured; `option` is its name in undici's `connect` options.
pub(super) fn bad_option(option: &str, why: impl Display) -> Error {
    Error::new(
        ErrorKind::InvalidRequest,
        Phase::Queued,
        format!("invalid connect.{option}: {why}"),
    )
    .with_replay(Replay::Unsent)
}
