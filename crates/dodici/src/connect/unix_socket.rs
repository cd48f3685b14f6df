//! Connecting to a Unix socket.
//!
//! Called by the connector instead of name resolution and TCP. Must not know TLS.

use std::path::Path;

use dodici_pool::Error;
use tokio::net::UnixStream;

use super::errors::path_error;

/// Connects to the socket at `path`; a path that begins with a NUL names a Linux abstract socket.
/// Cancelling the future closes the socket.
pub(super) async fn connect(path: &Path) -> Result<UnixStream, Error> {
    UnixStream::connect(path)
        .await
        .map_err(|error| path_error(error, path.to_string_lossy().into_owned()))
}
