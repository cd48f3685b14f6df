//! The system's resolver, preserving its error numbers.
//!
//! Called on resolver threads only (`dns.rs`), because it blocks. Must not know queues.

use std::net::SocketAddr;

use dodici_pool::Family;

use super::dns::LookupError;

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
/// The standard library reports no error number here, so every failure is reported as ENOTFOUND.
#[cfg(not(unix))]
pub(super) fn lookup(host: &str, family: Family) -> Result<Vec<SocketAddr>, LookupError> {
    use std::net::ToSocketAddrs;

    let found = (host, 0)
        .to_socket_addrs()
        .map_err(|_| LookupError::NOT_FOUND)?;
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
