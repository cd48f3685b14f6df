//! The system's resolver, and its errors with their numbers.
//!
//! Called on resolver threads only (`dns.rs`), because it blocks. Must not know queues.

#[cfg(unix)]
use std::io;
use std::net::SocketAddr;

use dodici_pool::{Error, ErrorKind, Family, Phase, Replay, SystemDetail};

#[cfg(unix)]
use super::errors::os_code;

/// Addresses of `host` in the system's order, with port 0. Blocks.
#[cfg(unix)]
pub(super) fn lookup(host: &str, family: Family) -> Result<Vec<SocketAddr>, LookupError> {
    let hints = dns_lookup::AddrInfoHints {
        address: match family {
            Family::Any => libc::AF_UNSPEC,
            Family::V4 => libc::AF_INET,
            Family::V6 => libc::AF_INET6,
        },
        socktype: libc::SOCK_STREAM,
        ..dns_lookup::AddrInfoHints::default()
    };
    let found = dns_lookup::getaddrinfo(Some(host), None, Some(hints)).map_err(|error| {
        match error.error_num() {
            // It was not asked: a NUL in the name.
            0 => LookupError::NOT_FOUND,
            libc::EAI_SYSTEM => LookupError::from_os(&error.into()),
            status => LookupError::from_eai(status),
        }
    })?;
    // An entry of another family than IP is an error.
    Ok(found.flatten().map(|entry| entry.sockaddr).collect())
}

/// Addresses of `host` in the system's order, with port 0. Blocks.
///
/// Errors are those of Winsock, as libuv translates them.
#[cfg(windows)]
pub(super) fn lookup(host: &str, family: Family) -> Result<Vec<SocketAddr>, LookupError> {
    use std::net::ToSocketAddrs;

    const WSATRY_AGAIN: i32 = 11002;
    const WSANO_RECOVERY: i32 = 11003;

    let found = (host, 0)
        .to_socket_addrs()
        .map_err(|error| match error.raw_os_error() {
            Some(WSATRY_AGAIN) => LookupError::AGAIN,
            Some(WSANO_RECOVERY) => LookupError::FAIL,
            _ => LookupError::NOT_FOUND,
        })?;
    let addresses: Vec<_> = found
        .filter(|address| match family {
            Family::Any => true,
            Family::V4 => address.is_ipv4(),
            Family::V6 => address.is_ipv6(),
        })
        .collect();
    if addresses.is_empty() {
        return Err(LookupError::NOT_FOUND);
    }
    Ok(addresses)
}

/// Why a lookup failed, in libuv's terms (`uv_getaddrinfo`, `uv/errno.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LookupError {
    code: &'static str,
    errno: i32,
}

impl LookupError {
    /// The name does not exist. Node reports `EAI_NONAME` and `EAI_NODATA` as this.
    pub(super) const NOT_FOUND: Self = Self::named("ENOTFOUND", -3008);
    pub(super) const AGAIN: Self = Self::named("EAI_AGAIN", -3001);
    pub(super) const FAIL: Self = Self::named("EAI_FAIL", -3004);

    const fn named(code: &'static str, errno: i32) -> Self {
        Self { code, errno }
    }

    /// From a status of getaddrinfo other than `EAI_SYSTEM`.
    #[cfg(unix)]
    pub(super) fn from_eai(status: i32) -> Self {
        // Not in every libc: glibc and musl use -5, the BSDs and macOS 7.
        #[cfg(target_os = "linux")]
        const EAI_NODATA: i32 = -5;
        #[cfg(not(target_os = "linux"))]
        const EAI_NODATA: i32 = 7;
        match status {
            libc::EAI_NONAME => Self::NOT_FOUND,
            EAI_NODATA => Self::named("ENOTFOUND", -3007),
            libc::EAI_AGAIN => Self::AGAIN,
            libc::EAI_BADFLAGS => Self::named("EAI_BADFLAGS", -3002),
            libc::EAI_FAIL => Self::FAIL,
            libc::EAI_FAMILY => Self::named("EAI_FAMILY", -3005),
            libc::EAI_MEMORY => Self::named("EAI_MEMORY", -3006),
            libc::EAI_OVERFLOW => Self::named("EAI_OVERFLOW", -3009),
            libc::EAI_SERVICE => Self::named("EAI_SERVICE", -3010),
            libc::EAI_SOCKTYPE => Self::named("EAI_SOCKTYPE", -3011),
            _ => Self::FAIL,
        }
    }

    /// From the errno behind `EAI_SYSTEM`.
    #[cfg(unix)]
    fn from_os(error: &io::Error) -> Self {
        let (code, errno) = os_code(error);
        Self { code, errno }
    }

    /// Node's error: `getaddrinfo ENOTFOUND example.invalid`.
    pub(super) fn into_error(self, host: &str) -> Error {
        let mut detail = SystemDetail::of_call("getaddrinfo", self.code, self.errno);
        detail.hostname = Some(host.to_owned());
        let message = format!("getaddrinfo {} {host}", self.code);
        Error::new(ErrorKind::Resolve, Phase::Resolve, message)
            .with_replay(Replay::Unsent)
            .with_system(detail)
    }
}
