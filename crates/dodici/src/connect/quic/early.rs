//! 0-RTT (RFC 9001, section 4.6): requests before the handshake is complete.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Where early data may be sent: to the address of the last handshake that was completed, unless early
/// data was refused there. Shared by the attempts of a connector.
#[derive(Clone, Debug, Default)]
pub(in crate::connect) struct EarlyAddress(Arc<Mutex<Option<SocketAddr>>>);

impl EarlyAddress {
    /// A handshake with `peer` was completed.
    pub(in crate::connect) fn learn(&self, peer: SocketAddr) {
        *self.0.lock() = Some(peer);
    }

    /// An attempt wants to send early data to `peer`. Until it succeeds, no other does.
    pub(in crate::connect) fn take(&self, peer: SocketAddr) -> bool {
        self.0.lock().take_if(|known| *known == peer).is_some()
    }
}

/// A handshake that continues while requests are sent.
#[derive(Debug)]
pub(in crate::connect) struct Early {
    pub(in crate::connect) address: EarlyAddress,
    /// When it must be complete.
    pub(in crate::connect) until: Option<Instant>,
}
