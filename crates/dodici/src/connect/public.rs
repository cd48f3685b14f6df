//! Which addresses are public: reachable from the whole Internet, and nothing else.
//!
//! Pure functions over IANA's registries of special-purpose addresses (RFC 6890). Called by front
//! ends that refuse other addresses. Must not know connections.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network that is not public: its first address, and the length of its prefix.
type Network<Address> = (Address, u32);

const fn v4(a: u8, b: u8, c: u8, d: u8, length: u32) -> Network<Ipv4Addr> {
    (Ipv4Addr::new(a, b, c, d), length)
}

/// <https://www.iana.org/assignments/iana-ipv4-special-registry>, with multicast. Anycast addresses
/// of protocols (192.0.0.9 and the like) count as the network around them.
const NOT_PUBLIC_V4: [Network<Ipv4Addr>; 15] = [
    v4(0, 0, 0, 0, 8),       // "this network", unspecified (RFC 791)
    v4(10, 0, 0, 0, 8),      // private use (RFC 1918)
    v4(100, 64, 0, 0, 10),   // shared address space (RFC 6598)
    v4(127, 0, 0, 0, 8),     // loopback (RFC 1122)
    v4(169, 254, 0, 0, 16),  // link-local (RFC 3927)
    v4(172, 16, 0, 0, 12),   // private use (RFC 1918)
    v4(192, 0, 0, 0, 24),    // IETF protocol assignments (RFC 6890)
    v4(192, 0, 2, 0, 24),    // documentation (RFC 5737)
    v4(192, 88, 99, 0, 24),  // 6to4 relays, deprecated (RFC 7526)
    v4(192, 168, 0, 0, 16),  // private use (RFC 1918)
    v4(198, 18, 0, 0, 15),   // benchmarking (RFC 2544)
    v4(198, 51, 100, 0, 24), // documentation (RFC 5737)
    v4(203, 0, 113, 0, 24),  // documentation (RFC 5737)
    v4(224, 0, 0, 0, 4),     // multicast (RFC 5771)
    v4(240, 0, 0, 0, 4),     // reserved, and broadcast (RFC 1112, RFC 919)
];

const fn v6(a: u16, b: u16, length: u32) -> Network<Ipv6Addr> {
    (Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0), length)
}

/// All that IANA has allocated as global unicast (RFC 4291). Everything else is reserved or special:
/// unspecified, loopback, IPv4-compatible, discard-only (100::/64), local NAT64 (64:ff9b:1::/48),
/// segment routing (5f00::/16), unique local (fc00::/7), link-local, site-local, multicast.
const GLOBAL_UNICAST: Network<Ipv6Addr> = v6(0x2000, 0, 3);

/// <https://www.iana.org/assignments/iana-ipv6-special-registry>, within global unicast.
const NOT_PUBLIC_V6: [Network<Ipv6Addr>; 4] = [
    v6(0x2001, 0, 23), // IETF protocol assignments, among them Teredo (RFC 2928, RFC 4380)
    v6(0x2001, 0xdb8, 32), // documentation (RFC 3849)
    v6(0x2002, 0, 16), // 6to4, which ends at any IPv4 address (RFC 3056)
    v6(0x3fff, 0, 20), // documentation (RFC 9637)
];

/// The well-known prefix of NAT64: an IPv4 address follows (RFC 6052).
const NAT64: Network<Ipv6Addr> = v6(0x64, 0xff9b, 96);

/// Whether an address is public: assigned to hosts of the Internet, according to IANA's registries of
/// special-purpose addresses. Not public: unspecified, loopback, private, shared, link-local,
/// site-local, unique local, benchmarking, documentation, discard, protocol assignments, 6to4,
/// Teredo, multicast, broadcast, reserved and unallocated ones. An IPv4 address in an IPv6 address,
/// mapped or behind NAT64's well-known prefix, counts as itself.
///
/// ```
/// use dodici::is_public;
///
/// assert!(is_public([1, 1, 1, 1].into()));
/// assert!(!is_public([169, 254, 169, 254].into()));
/// assert!(!is_public("::ffff:10.0.0.1".parse()?));
/// # Ok::<_, std::net::AddrParseError>(())
/// ```
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) if contains_v6(NAT64, address) => {
            is_public_v4(Ipv4Addr::from(address.to_bits() as u32))
        }
        IpAddr::V6(address) => {
            contains_v6(GLOBAL_UNICAST, address)
                && !NOT_PUBLIC_V6
                    .iter()
                    .any(|network| contains_v6(*network, address))
        }
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let within = |(first, length): &Network<Ipv4Addr>| {
        (first.to_bits() ^ address.to_bits()).leading_zeros() >= *length
    };
    !NOT_PUBLIC_V4.iter().any(within)
}

fn contains_v6((first, length): Network<Ipv6Addr>, address: Ipv6Addr) -> bool {
    (first.to_bits() ^ address.to_bits()).leading_zeros() >= length
}
