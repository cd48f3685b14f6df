//! A connection at rest, which is what the pool gets back and what each use of it starts from.
//!
//! Knows nothing of who used it: [`PipeConn`](super::PipeConn) and [`HyperConn`](super::HyperConn) say
//! what they still hold.

use std::io;

use dodici_pool::{CloseReason, Error, ErrorKind, Phase};

use super::eof::{Ended, socket_error};
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

/// Whether these bytes, between two messages, mean nothing: some servers end a response with one
/// line end too many, and llhttp, so Node and undici, skips it.
pub(super) fn are_line_ends(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n'))
}

/// The peer closed a connection at rest, or its socket failed.
pub(super) fn closed(error: Option<&io::Error>) -> Ended {
    let error = match error {
        None => Error::new(ErrorKind::Socket, Phase::Queued, "other side closed"),
        Some(error) => socket_error("read", Phase::Queued, error),
    };
    (CloseReason::PeerClosed, error)
}

/// The peer said something that nobody asked for.
pub(super) fn unsolicited() -> Ended {
    let error = Error::new(ErrorKind::Socket, Phase::Queued, "bad response");
    (CloseReason::UnsolicitedData, error)
}
