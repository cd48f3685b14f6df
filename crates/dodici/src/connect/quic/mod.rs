//! A QUIC connection as the transport of HTTP/3: [`Quic`], and the UDP `socket` below it.
//!
//! Created by the connector, owned by a connection. Must not know HTTP.

mod link;
mod socket;

pub(crate) use link::{Progress, Quic};
pub(super) use socket::Udp;
