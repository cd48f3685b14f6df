//! The system's resolver, preserving its error numbers: the only file of this module with unsafe
//! code.
//!
//! Called on resolver threads only (`dns.rs`), because it blocks. Must not know queues.
#![cfg_attr(
    unix,
    expect(
        unsafe_code,
        reason = "getaddrinfo has no safe binding that keeps its error number"
    )
)]

use std::net::SocketAddr;

use dodici_pool::Family;

use super::dns::LookupError;

/// Addresses of `host` in the system's order, with port 0. Blocks.
#[cfg(unix)]
pub(super) fn lookup(host: &str, family: Family) -> Result<Vec<SocketAddr>, LookupError> {
    use std::ffi::CString;
    use std::{io, mem, ptr};

    let Ok(name) = CString::new(host) else {
        return Err(LookupError::NOT_FOUND);
    };
    // SAFETY: addrinfo is a plain C struct for which all-zero bytes (null pointers) are valid.
    let mut hints: libc::addrinfo = unsafe { mem::zeroed() };
    hints.ai_family = match family {
        Family::Any => libc::AF_UNSPEC,
        Family::V4 => libc::AF_INET,
        Family::V6 => libc::AF_INET6,
    };
    hints.ai_socktype = libc::SOCK_STREAM;
    let mut list: *mut libc::addrinfo = ptr::null_mut();
    // SAFETY: `name` is NUL-terminated and outlives the call, the service may be null, `hints` and
    // `list` are valid for the call, and the list is freed once below if the call succeeds.
    let status = unsafe { libc::getaddrinfo(name.as_ptr(), ptr::null(), &hints, &mut list) };
    if status != 0 {
        return Err(if status == libc::EAI_SYSTEM {
            LookupError::from_os(&io::Error::last_os_error())
        } else {
            LookupError::from_eai(status)
        });
    }
    let mut addresses = Vec::new();
    let mut entry = list;
    while !entry.is_null() {
        // SAFETY: `entry` is a non-null node of the list that getaddrinfo returned and that has
        // not been freed yet.
        let node = unsafe { &*entry };
        // SAFETY: the node belongs to that list.
        addresses.extend(unsafe { socket_addr(node) });
        entry = node.ai_next;
    }
    // SAFETY: `list` came from a successful getaddrinfo and no reference into it is left.
    unsafe { libc::freeaddrinfo(list) };
    Ok(addresses)
}

/// # Safety
/// `node` must come from getaddrinfo: `ai_addr` is null or points to `ai_addrlen` bytes that hold
/// the socket address of the family that they name.
#[cfg(unix)]
unsafe fn socket_addr(node: &libc::addrinfo) -> Option<SocketAddr> {
    use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};

    let length = node.ai_addrlen as usize;
    if node.ai_addr.is_null() {
        return None;
    }
    match node.ai_family {
        libc::AF_INET if length >= size_of::<libc::sockaddr_in>() => {
            // SAFETY: the family is AF_INET and the memory is large enough for its address; the
            // read makes no assumption about alignment.
            let v4 = unsafe { node.ai_addr.cast::<libc::sockaddr_in>().read_unaligned() };
            let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
            Some(SocketAddrV4::new(ip, 0).into())
        }
        libc::AF_INET6 if length >= size_of::<libc::sockaddr_in6>() => {
            // SAFETY: as above, for AF_INET6.
            let v6 = unsafe { node.ai_addr.cast::<libc::sockaddr_in6>().read_unaligned() };
            let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            Some(SocketAddrV6::new(ip, 0, v6.sin6_flowinfo, v6.sin6_scope_id).into())
        }
        _ => None,
    }
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
