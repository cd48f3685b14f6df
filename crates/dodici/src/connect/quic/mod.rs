//! A QUIC connection as the transport of HTTP/3: [`Quic`], and the UDP `socket` below it.
//!
//! - `early`: a handshake that is not complete while requests are sent (0-RTT).
//!
//! Created by the connector, owned by a connection. Must not know HTTP.

mod early;
mod link;
mod socket;

pub(super) use early::{Early, EarlyAddress};
pub(crate) use link::{Progress, Quic};
pub(super) use socket::Udp;
