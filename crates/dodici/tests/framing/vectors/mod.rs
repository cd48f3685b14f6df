//! The HTTP/1.1 table of the requirements as data: exact bytes in, exact outcome out.
//!
//! Every vector runs whole, byte by byte and split in two at every position, once with the
//! connection left open and once with the peer's end after it, once on a fresh connection and
//! once on a reused one. If the connection stays reusable, a marker response follows in the same
//! stream and must be read intact.

mod bodies;
mod ends;
mod heads;

use dodici_pool::ErrorKind::Parse;
use dodici_pool::ParseErrorCode;

use crate::support::{Vector, plain};

/// A response that must be refused, with the connection still open.
pub(super) fn refused(name: &'static str, bytes: impl AsRef<[u8]>, code: ParseErrorCode) -> Vector {
    plain(name, bytes).refused(Parse(code))
}

pub(super) fn run(vectors: &[Vector]) {
    for vector in vectors {
        vector.check();
    }
}

pub(super) const OK: &str = "HTTP/1.1 200 OK\r\n";

pub(super) const EMPTY: &str = "Content-Length: 0\r\n\r\n";

/// A head with these field lines, CRLF added, and the given body.
pub(super) fn with(fields: &str, body: &str) -> Vec<u8> {
    format!("{OK}{fields}\r\n\r\n{body}").into_bytes()
}
