//! Connecting to a Unix socket.
//!
//! Called by the connector instead of name resolution and TCP, and by the socket. Must not know TLS.
//! On Windows, `named_pipe.rs` is its twin.

use std::path::Path;

use dodici_pool::Error;
use socket2::SockRef;
use tokio::net::UnixStream;

use super::errors::path_error;

/// A connected Unix socket.
pub(super) type LocalStream = UnixStream;

/// Connects to the socket at `path`; a path that begins with a NUL names a Linux abstract socket.
/// Cancelling the future closes the socket.
pub(super) async fn connect(path: &Path) -> Result<LocalStream, Error> {
    UnixStream::connect(path)
        .await
        .map_err(|error| path_error(error, path.to_string_lossy().into_owned()))
}

/// For system calls past tokio.
pub(super) fn socket(stream: &LocalStream) -> Option<SockRef<'_>> {
    Some(SockRef::from(stream))
}
