//! What the end of the transport means for the response in progress.
//!
//! Shared by both users of a connection, [`PipeConn`](super::PipeConn) and hyper's link.

use std::io;

use dodici_pool::{CloseReason, Error, ErrorKind, Phase, Replay};

use super::framing::{Framing, Guard};

/// How a connection ended, as far as the connection itself knows.
pub(crate) type Ended = (CloseReason, Error);

/// What is known of the exchange apart from the guard's state.
pub(super) struct Place {
    pub(super) phase: Phase,
    /// Whether the request may be sent again after a system error.
    pub(super) replay: Replay,
    /// See [`ExchangeConfig::abrupt_close_ends_body`](dodici_pool::ExchangeConfig).
    pub(super) abrupt_is_end: bool,
}

/// The peer closed its side, or the socket failed with `error`. `Ok` if that completes the
/// response.
///
/// Only a body that lasts until the close can end this way, and only an orderly close proves that
/// it is complete: after a reset, or TLS without `close_notify`, a part cannot be told from the
/// whole.
pub(super) fn judge(
    guard: &mut Guard,
    error: Option<&io::Error>,
    place: &Place,
) -> Result<(), Ended> {
    if let Some(error) = error {
        let truncated = error.kind() == io::ErrorKind::UnexpectedEof;
        let abrupt = truncated || error.kind() == io::ErrorKind::ConnectionReset;
        let as_close = match guard.framing() {
            Framing::UntilClose => abrupt && place.abrupt_is_end,
            // The guard detects a truncated message that has framing.
            Framing::None | Framing::Length(_) | Framing::Chunked => truncated,
        };
        if !as_close {
            let failure = socket_error("read", place.phase, error).with_replay(place.replay);
            return Err((CloseReason::IoError, failure));
        }
    }
    let Err(error) = guard.eof() else {
        return Ok(());
    };
    let reason = if error.kind() == ErrorKind::Socket {
        CloseReason::PeerClosed
    } else {
        CloseReason::ProtocolError
    };
    let error = match place.replay {
        Replay::Unsent => error.with_replay(Replay::Unsent),
        _ => error,
    };
    Err((reason, error))
}

/// A failed read or write in Node's terms.
pub(super) fn socket_error(syscall: &'static str, phase: Phase, error: &io::Error) -> Error {
    let (message, system) = crate::connect::describe_io_error(error, syscall);
    Error::new(ErrorKind::Socket, phase, message)
        .with_system(system)
        .with_source(io::Error::new(error.kind(), error.to_string()))
}
