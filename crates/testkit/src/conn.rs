//! One connection of a scripted peer: the operations that scripts consist of.
//!
//! Made by the scripted peer, used by scripts and by the origin. Knows nothing of how
//! connections are accepted.

use std::io;
use std::ops::Range;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;

use crate::message::{Framing, RequestBody, RequestHead, head_end};
use crate::peer_log::{PeerLog, TlsFacts};
use crate::stream::{PeerClose, Stream};
use crate::watched::Watched;

/// One connection in the hands of its script. All reads and writes panic on misuse and on
/// on unexpected input, which fails the test.
#[derive(Debug)]
pub struct Conn {
    index: usize,
    log: Watched<PeerLog>,
    io: Option<ConnIo>,
    home: Option<oneshot::Sender<ConnIo>>,
}

impl Conn {
    /// A connection that was just accepted, and where its stream goes once the script is done
    /// with it; nowhere if the script resets it.
    pub(crate) fn new(
        index: usize,
        log: Watched<PeerLog>,
        stream: Stream,
    ) -> (Self, oneshot::Receiver<ConnIo>) {
        let (home, returned) = oneshot::channel();
        let conn = Self {
            index,
            log,
            io: Some(ConnIo {
                stream,
                unread: BytesMut::new(),
                closed: None,
            }),
            home: Some(home),
        };
        (conn, returned)
    }

    /// Number of this connection, from 0 in the order of acceptance.
    pub fn index(&self) -> usize {
        self.index
    }

    /// What TLS negotiated; `None` without TLS.
    pub fn tls(&self) -> Option<TlsFacts> {
        self.log.read(|log| log.connections[self.index].tls.clone())
    }

    /// Reads the next request head.
    ///
    /// # Panics
    /// If the other side closes instead.
    pub async fn read_head(&mut self) -> RequestHead {
        let found = self.next_head().await;
        found.unwrap_or_else(|| panic!("expected a request head, but the peer closed"))
    }

    /// Reads the next request head, or `None` if the other side closes before its first byte.
    ///
    /// # Panics
    /// If the other side closes inside the head, or if the head is malformed.
    pub async fn next_head(&mut self) -> Option<RequestHead> {
        loop {
            if let Some(end) = head_end(&self.io().unread) {
                return Some(RequestHead::parse(&self.io().unread.split_to(end)));
            }
            if let Some(close) = self.fill().await {
                let rest = self.io().unread.to_vec();
                assert!(
                    rest.is_empty(),
                    "{close:?} inside a head: {}",
                    rest.escape_ascii()
                );
                return None;
            }
        }
    }

    /// Reads exactly `len` bytes.
    ///
    /// # Panics
    /// If the other side closes before.
    pub async fn read_exact(&mut self, len: usize) -> Vec<u8> {
        while self.io().unread.len() < len {
            if let Some(close) = self.fill().await {
                let have = self.io().unread.len();
                panic!("{close:?} after {have} of {len} bytes");
            }
        }
        self.io().unread.split_to(len).to_vec()
    }

    /// Reads exactly `len` bytes; `None` if the other side closes or resets before the first, or
    /// anywhere within.
    pub async fn read_up_to(&mut self, len: usize) -> Option<Vec<u8>> {
        while self.io().unread.len() < len {
            self.fill().await.map_or(Some(()), |_| None)?;
        }
        Some(self.io().unread.split_to(len).to_vec())
    }

    /// Reads what has arrived, at least one byte; `None` once the other side closed.
    pub async fn read_some(&mut self) -> Option<Vec<u8>> {
        if self.io().unread.is_empty() && self.fill().await.is_some() {
            return None;
        }
        Some(self.io().unread.split().to_vec())
    }

    /// Reads the body that belongs to `head`.
    ///
    /// # Panics
    /// If the other side closes inside it, or if its chunked coding is malformed.
    pub async fn read_body(&mut self, head: &RequestHead) -> RequestBody {
        let mut body = RequestBody::default();
        match head.framing() {
            Framing::None => {}
            Framing::Sized(len) => body.data = self.read_exact(len).await,
            Framing::Chunked => loop {
                let line = self.read_line().await;
                let size = usize::from_str_radix(&line, 16)
                    .unwrap_or_else(|_| panic!("bad chunk size {line:?}"));
                if size == 0 {
                    loop {
                        let line = self.read_line().await;
                        if line.is_empty() {
                            return body;
                        }
                        let (name, value) = line.split_once(':').expect("a trailer has a colon");
                        body.trailers
                            .push((name.to_owned(), value.trim().to_owned()));
                    }
                }
                body.data.extend(self.read_exact(size).await);
                body.chunks.push(size);
                assert_eq!(self.read_line().await, "", "a chunk ends with CR LF");
            },
        }
        body
    }

    /// Reads up to the next CR LF, which is dropped, as latin1.
    pub async fn read_line(&mut self) -> String {
        loop {
            let unread = &mut self.io().unread;
            if let Some(at) = unread.windows(2).position(|pair| pair == b"\r\n") {
                let line = unread
                    .split_to(at)
                    .iter()
                    .map(|byte| char::from(*byte))
                    .collect();
                unread.advance(2);
                return line;
            }
            if let Some(close) = self.fill().await {
                panic!("{close:?} inside a line");
            }
        }
    }

    /// Answers requests with `reply` until the other side closes; reports each when it is read.
    pub async fn answer_all(&mut self, reply: impl AsRef<[u8]>, read: impl Fn(&RequestHead)) {
        while let Some(head) = self.next_head().await {
            self.read_body(&head).await;
            read(&head);
            self.send(reply.as_ref()).await;
        }
    }

    /// Sends all of it. If the other side is gone the rest is dropped and the close is logged.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        self.send_range(bytes, 0..bytes.len()).await;
    }

    /// Sends it one byte per write.
    pub async fn dribble(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        for at in 0..bytes.len() {
            self.send_range(bytes, at..at + 1).await;
            // Lets the reader run between two writes if both share one thread.
            tokio::task::yield_now().await;
        }
    }

    /// Sends it in two writes, the first of `at` bytes.
    pub async fn split(&mut self, bytes: impl AsRef<[u8]>, at: usize) {
        let bytes = bytes.as_ref();
        self.send_range(bytes, 0..at).await;
        tokio::task::yield_now().await;
        self.send_range(bytes, at..bytes.len()).await;
    }

    async fn send_range(&mut self, bytes: &[u8], range: Range<usize>) {
        let (index, log) = (self.index, self.log.clone());
        let io = self.io();
        let len = range.len() as u64;
        let sent = async {
            io.stream.write_all(&bytes[range]).await?;
            io.stream.flush().await
        };
        match sent.await {
            Ok(()) => log.update(|log| log.connections[index].sent += len),
            Err(error) => self.note_close(&error),
        }
    }

    /// Closes our direction cleanly (on TLS `close_notify`, then FIN); reading continues.
    pub async fn fin(&mut self) {
        if let Err(error) = self.io().stream.shutdown().await {
            self.note_close(&error);
        }
    }

    /// Closes our direction with a bare FIN, without the `close_notify` that TLS requires.
    pub async fn fin_without_notify(&mut self) {
        if let Err(error) = self.io().stream.fin_without_notify().await {
            self.note_close(&error);
        }
    }

    /// Closes with RST. On a unix socket a plain close.
    pub fn reset(mut self) {
        self.home = None;
        if let Some(io) = self.io.take() {
            io.stream.reset();
        }
    }

    /// Reads until the other side closes, and returns how. What it sent is in the log.
    pub async fn closed(&mut self) -> PeerClose {
        loop {
            if let Some(close) = self.fill().await {
                return close;
            }
            self.io().unread.clear();
        }
    }

    /// Neither reads nor writes until the test ends: a peer that has gone silent.
    pub async fn stall(&mut self) {
        std::future::pending().await
    }

    fn io(&mut self) -> &mut ConnIo {
        self.io.as_mut().expect("a connection in a script is open")
    }

    /// Reads once into `unread`; says how the other side closed if it did.
    async fn fill(&mut self) -> Option<PeerClose> {
        let (index, log) = (self.index, self.log.clone());
        let io = self.io();
        if io.closed.is_some() {
            return io.closed;
        }
        let before = io.unread.len();
        match io.stream.read_buf(&mut io.unread).await {
            Ok(0) => self.note(PeerClose::Fin),
            Ok(_) => {
                let fresh = &io.unread[before..];
                log.update(|log| log.connections[index].received.extend_from_slice(fresh));
                return None;
            }
            Err(error) => self.note_close(&error),
        }
        self.io().closed
    }

    fn note_close(&mut self, error: &io::Error) {
        self.note(PeerClose::from_error(error));
    }

    fn note(&mut self, close: PeerClose) {
        self.io().closed = Some(close);
        let index = self.index;
        self.log
            .update(|log| log.connections[index].peer_close = Some(close));
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        if let (Some(io), Some(home)) = (self.io.take(), self.home.take()) {
            // Without a worker, the peer has ended: closing immediately is right.
            let _ = home.send(io);
        }
    }
}

/// The stream of a connection, with read-ahead.
#[derive(Debug)]
pub(crate) struct ConnIo {
    stream: Stream,
    /// Read from the stream, not yet by the script.
    unread: BytesMut,
    closed: Option<PeerClose>,
}

impl ConnIo {
    /// Closes so that the other side gets everything: FIN, then drain. A plain `close`
    /// with unread bytes would send RST, which may overtake what was sent.
    pub(crate) async fn linger(&mut self) {
        // The other side may be gone already.
        let _ = self.stream.shutdown().await;
        let mut sink = [0; 4096];
        while let Ok(1..) = self.stream.read(&mut sink).await {}
    }
}
