//! What the script of a connection, its streams and its log share.

use std::sync::Arc;

use parking_lot::Mutex;
use quinn::{Connection, RecvStream, SendStream, VarInt};

use super::log::{QuicConnectionLog, QuicLog};
use super::{Frame, read_varint, stream_kind};
use crate::watched::Watched;

/// A code as quinn wants it.
///
/// # Panics
/// If it has more than 62 bits.
pub(super) fn var(code: u64) -> VarInt {
    VarInt::from_u64(code).expect("62 bits")
}

/// What the parts of a connection share.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    /// Number of the connection.
    pub(super) index: usize,
    log: Watched<QuicLog>,
    pub(super) connection: Connection,
    /// Streams that the script has dropped. Dropped by quinn, they would end or stop.
    dropped: Arc<Mutex<Dropped>>,
}

type Dropped = Vec<(Option<SendStream>, Option<RecvStream>)>;

impl Shared {
    pub(super) fn new(index: usize, log: Watched<QuicLog>, connection: Connection) -> Self {
        Self {
            index,
            log,
            connection,
            dropped: Arc::default(),
        }
    }

    pub(super) fn keep(&self, send: Option<SendStream>, recv: Option<RecvStream>) {
        if send.is_some() || recv.is_some() {
            self.dropped.lock().push((send, recv));
        }
    }

    pub(super) fn note(&self, change: impl FnOnce(&mut QuicConnectionLog)) {
        self.log
            .update(|log| change(&mut log.connections[self.index]));
    }

    /// Logs what the client sends on unidirectional streams, until the connection ends.
    pub(super) async fn read_unidirectional(&self) {
        while let Ok(recv) = self.connection.accept_uni().await {
            let shared = self.clone();
            // It ends with the connection.
            tokio::spawn(async move { shared.read_stream(recv).await });
        }
    }

    async fn read_stream(&self, mut recv: RecvStream) {
        let mut unread = Vec::new();
        let mut kind = None;
        while let Ok(Some(chunk)) = recv.read_chunk(usize::MAX, true).await {
            unread.extend_from_slice(&chunk.bytes);
            if kind.is_none()
                && let Some((number, len)) = read_varint(&unread)
            {
                kind = Some(number);
                unread.drain(..len);
                self.note(|log| log.stream_kinds.push(number));
            }
            match kind {
                Some(stream_kind::CONTROL) => {
                    while let Some(frame) = take_frame(&mut unread) {
                        self.note(|log| log.control.push(frame));
                    }
                }
                Some(stream_kind::QPACK_ENCODER) => {
                    self.note(|log| log.encoder.append(&mut unread));
                }
                Some(stream_kind::QPACK_DECODER) => {
                    self.note(|log| log.decoder.append(&mut unread));
                }
                Some(_) => unread.clear(),
                None => {}
            }
        }
        self.keep(None, Some(recv));
    }
}

/// Takes the frame that these bytes begin with; `None` if they are too few.
pub(super) fn take_frame(unread: &mut Vec<u8>) -> Option<Frame> {
    let (kind, kind_len) = read_varint(unread)?;
    let (len, len_len) = read_varint(&unread[kind_len..])?;
    let begin = kind_len + len_len;
    let end = begin + len as usize;
    let payload = unread.get(begin..end)?.to_vec();
    unread.drain(..end);
    Some(Frame { kind, payload })
}
