//! Every special network, at its edges.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::connect::is_public;

fn parsed(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// First and last addresses that are not public; their neighbours are.
const V4: [(&str, &str); 14] = [
    ("0.0.0.0", "0.255.255.255"),
    ("10.0.0.0", "10.255.255.255"),
    ("100.64.0.0", "100.127.255.255"),
    ("127.0.0.0", "127.255.255.255"),
    ("169.254.0.0", "169.254.255.255"),
    ("172.16.0.0", "172.31.255.255"),
    ("192.0.0.0", "192.0.0.255"),
    ("192.0.2.0", "192.0.2.255"),
    ("192.88.99.0", "192.88.99.255"),
    ("192.168.0.0", "192.168.255.255"),
    ("198.18.0.0", "198.19.255.255"),
    ("198.51.100.0", "198.51.100.255"),
    ("203.0.113.0", "203.0.113.255"),
    ("224.0.0.0", "255.255.255.255"),
];

/// As [`V4`]. The neighbours of a pair with `false` are not public either.
const V6: [(&str, &str, bool); 21] = [
    // Unspecified, loopback, IPv4-compatible.
    ("::", "::", false),
    ("::1", "::1", false),
    ("::8.8.8.8", "::ffff:ffff", false),
    // IPv4-translated (RFC 2765), discard-only, dummy, local NAT64.
    ("::ffff:0:0:0", "::ffff:0:ffff:ffff", false),
    ("100::", "100::ffff:ffff:ffff:ffff", false),
    ("100:0:0:1::", "100:0:0:1:ffff:ffff:ffff:ffff", false),
    ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", false),
    ("64:ff9b:1::8.8.8.8", "64:ff9b:1::8.8.8.8", false),
    // All below and above global unicast.
    ("200::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false),
    ("4000::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false),
    ("5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false),
    ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false),
    ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false),
    ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false),
    ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false),
    // Protocol assignments: Teredo, benchmarking, ORCHID.
    ("2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", false),
    ("2001:2::", "2001:2::ffff:ffff:ffff:ffff", false),
    ("2001:10::", "2001:2f:ffff:ffff:ffff:ffff:ffff:ffff", false),
    // Documentation.
    ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", true),
    ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", true),
    // 6to4.
    ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true),
];

#[test]
fn special_networks_of_ipv4_are_not_public_and_their_neighbours_are() {
    for (first, last) in V4 {
        let [first, last]: [Ipv4Addr; 2] = [first.parse().unwrap(), last.parse().unwrap()];
        for inside in [first, last] {
            assert!(!is_public(inside.into()), "{inside}");
        }
        let below = first.to_bits().checked_sub(1);
        for outside in below.into_iter().chain(last.to_bits().checked_add(1)) {
            let outside = Ipv4Addr::from(outside);
            assert!(is_public(outside.into()), "{outside}");
        }
    }
}

#[test]
fn special_networks_of_ipv6_are_not_public_and_their_neighbours_are() {
    for (first, last, has_public_neighbours) in V6 {
        let [first, last]: [Ipv6Addr; 2] = [first.parse().unwrap(), last.parse().unwrap()];
        for inside in [first, last] {
            assert!(!is_public(inside.into()), "{inside}");
        }
        if has_public_neighbours {
            for outside in [first.to_bits() - 1, last.to_bits() + 1] {
                let outside = Ipv6Addr::from(outside);
                assert!(is_public(outside.into()), "{outside}");
            }
        }
    }
}

#[test]
fn an_ipv4_address_in_an_ipv6_address_counts_as_itself() {
    for (first, last) in V4 {
        for inside in [first, last] {
            for form in [format!("::ffff:{inside}"), format!("64:ff9b::{inside}")] {
                assert!(!is_public(parsed(&form)), "{form}");
            }
        }
    }
    for form in ["::ffff:8.8.8.8", "64:ff9b::8.8.8.8"] {
        assert!(is_public(parsed(form)), "{form}");
    }
}

#[test]
fn addresses_of_hosts_on_the_internet_are_public() {
    for public in [
        "1.1.1.1",
        "8.8.8.8",
        "93.184.216.34",
        "192.0.1.1",
        "223.255.255.255",
        "2000::1",
        "2001:200::1",
        "2001:4860:4860::8888",
        "2606:4700:4700::1111",
        "2a00:1450:4001:81b::200e",
    ] {
        assert!(is_public(parsed(public)), "{public}");
    }
}
