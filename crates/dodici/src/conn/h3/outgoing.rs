//! What a stream has to send and QUIC has no room for yet.

use bytes::Bytes;
use quinn_proto::{Connection, StreamId, VarInt, WriteError};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    pub(super) chunks: Vec<Bytes>,
    /// The stream ends after them.
    pub(super) ends: bool,
    /// The peer wants no more, with this code.
    pub(super) stopped: Option<VarInt>,
}

impl Outgoing {
    pub(super) fn push(&mut self, chunk: Bytes) {
        if !chunk.is_empty() {
            self.chunks.push(chunk);
        }
    }

    /// Whether QUIC has taken everything.
    pub(super) fn flush(&mut self, conn: &mut Connection, id: StreamId) -> bool {
        let mut stream = conn.send_stream(id);
        while !self.chunks.is_empty() {
            match stream.write_chunks(&mut self.chunks) {
                Ok(written) => drop(self.chunks.drain(..written.chunks)),
                Err(WriteError::Blocked) => return false,
                Err(WriteError::Stopped(code)) => {
                    self.stop(conn, id, code);
                    return true;
                }
                Err(WriteError::ClosedStream) => {
                    self.chunks.clear();
                    return true;
                }
            }
        }
        if std::mem::take(&mut self.ends) {
            // If it was stopped, there is nothing to end.
            let _ = stream.finish();
        }
        true
    }

    /// RFC 9000, section 3.5: a stream that is not wanted is reset.
    pub(super) fn stop(&mut self, conn: &mut Connection, id: StreamId, code: VarInt) {
        self.chunks.clear();
        self.ends = false;
        self.stopped = Some(code);
        // It may have ended.
        let _ = conn.send_stream(id).reset(code);
    }
}
