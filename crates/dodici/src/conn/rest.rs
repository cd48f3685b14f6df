//! A connection at rest: what the pool gets back, and the start of each use.
//!
//! Must not know its users: [`PipeConn`](super::PipeConn) and [`HyperConn`](super::HyperConn)
//! report what they still hold.

use std::io;

use dodici_pool::{CloseReason, Error, ErrorKind, Phase};

use super::eof::{Ended, socket_error};
use crate::connect::Transport;

/// A transport on which every byte of every request has been sent, and no response is due.
///
/// Created only by [`AtRest::new`], for a connection that has carried nothing, and by
/// [`Held::release`], for one that has. A connection that does not come to rest ends with its last
/// exchange: a request after half of another one would be read as part of it.
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

/// What the user of a connection still holds of its exchanges.
#[derive(Clone, Copy)]
pub(super) struct Held {
    /// Unsent bytes of a request, in any buffer between its source and the socket; or a peer that
    /// accepts no more of them.
    pub(super) unwritten: bool,
    /// A response that has not ended, or bytes after one.
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

/// Whether these bytes between two messages are ignored: some servers send an extra line end after a
/// response, which llhttp, and so Node and undici, skips.
pub(super) fn are_line_ends(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n'))
}

/// The peer closed an idle connection, or its socket failed.
pub(super) fn closed(error: Option<&io::Error>) -> Ended {
    let error = match error {
        None => Error::new(ErrorKind::Socket, Phase::Queued, "other side closed"),
        Some(error) => socket_error("read", Phase::Queued, error),
    };
    (CloseReason::PeerClosed, error)
}

/// The peer sent unsolicited bytes.
pub(super) fn unsolicited() -> Ended {
    let error = Error::new(ErrorKind::Socket, Phase::Queued, "bad response");
    (CloseReason::UnsolicitedData, error)
}
