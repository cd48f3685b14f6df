//! A connection at rest, which is what the pool gets back and what each use of it starts from.
//!
//! Knows nothing of who used it: [`PipeConn`](super::PipeConn) and [`H1Conn`](super::H1Conn) say
//! what they still hold.

use crate::connect::Transport;

/// A transport on which every byte of every request has left, and no response is due.
///
/// There is no way to one but [`AtRest::new`], for a connection that has carried nothing, and
/// [`Held::release`], for one that has. Whatever does not come to rest ends with its last exchange:
/// a request behind half of another one would be read as a part of it.
pub(crate) struct AtRest {
    pub(super) transport: Transport,
    /// Bytes received and sent so far.
    pub(super) traffic: (u64, u64),
}

impl AtRest {
    pub(crate) fn new(transport: Transport) -> Self {
        Self {
            transport,
            traffic: (0, 0),
        }
    }
}

/// What the user of a connection holds of its exchanges.
#[derive(Clone, Copy)]
pub(super) struct Held {
    /// Bytes of a request, in whatever buffer between its source and the socket, or a peer that
    /// takes no more of them.
    pub(super) unwritten: bool,
    /// A response that has not ended, or bytes behind one.
    pub(super) unread: bool,
}

impl Held {
    pub(super) fn is_nothing(self) -> bool {
        !self.unwritten && !self.unread
    }

    pub(super) fn release(self, transport: Transport, traffic: (u64, u64)) -> Option<AtRest> {
        self.is_nothing().then_some(AtRest { transport, traffic })
    }
}
