//! One QUIC connection in the hands of its script.
//!
//! Made by the scripted QUIC peer. What a script opens and drops stays open: nothing is sent that
//! the script did not ask for.

use quinn::{Connection, SendStream};

use super::log::End;
use super::shared::{Shared, var};
use super::stream::{H3Stream, Request};
use super::{frame, kind, settings, stream_kind, varint};

/// The server's end of a connection, driven by its script.
#[derive(Debug)]
pub struct H3Peer {
    shared: Shared,
    control: Option<UniStream>,
}

impl H3Peer {
    pub(super) fn new(shared: Shared) -> Self {
        Self {
            shared,
            control: None,
        }
    }

    /// Number of this connection, from 0 in the order of acceptance.
    pub fn index(&self) -> usize {
        self.shared.index
    }

    /// The QUIC connection.
    pub fn connection(&self) -> &Connection {
        &self.shared.connection
    }

    /// Opens the control stream and sends these settings.
    pub async fn begin(&mut self, pairs: &[(u64, u64)]) {
        let mut control = self.open_uni(stream_kind::CONTROL).await;
        control.send(settings(pairs)).await;
        self.control = Some(control);
    }

    /// The control stream.
    ///
    /// # Panics
    /// Before [`H3Peer::begin`].
    pub fn control(&mut self) -> &mut UniStream {
        let control = self.control.as_mut();
        control.expect("a connection that has begun")
    }

    /// Sends GOAWAY: requests from this stream on are not processed.
    pub async fn goaway(&mut self, stream: u64) {
        let bytes = frame(kind::GOAWAY, varint(stream));
        self.control().send(bytes).await;
    }

    /// Opens a unidirectional stream of this type.
    pub async fn open_uni(&mut self, kind: u64) -> UniStream {
        let mut stream = self.open_untyped().await;
        stream.send(varint(kind)).await;
        stream
    }

    /// Opens a unidirectional stream and sends nothing on it. Without a connection, nothing that
    /// is sent on it matters.
    pub async fn open_untyped(&mut self) -> UniStream {
        let send = self.shared.connection.open_uni().await.ok();
        UniStream {
            send,
            shared: self.shared.clone(),
        }
    }

    /// The next request stream; `None` once the connection has ended.
    pub async fn next_stream(&mut self) -> Option<H3Stream> {
        let (send, recv) = self.shared.connection.accept_bi().await.ok()?;
        self.shared.note(|log| log.requests += 1);
        Some(H3Stream::new(send, recv, self.shared.clone()))
    }

    /// The next request stream, and all that it carries; `None` once the connection has ended.
    /// Streams that the client resets are left out.
    ///
    /// # Panics
    /// If the client sends something else than a request.
    pub async fn next_request(&mut self) -> Option<(H3Stream, Request)> {
        loop {
            let mut stream = self.next_stream().await?;
            if let Some(request) = stream.request().await {
                return Some((stream, request));
            }
        }
    }

    /// Closes the connection with this HTTP/3 code.
    pub fn close(&self, code: u64) {
        self.shared.connection.close(var(code), b"");
    }

    /// Resolves with how the connection has ended.
    pub async fn closed(&self) -> End {
        self.shared.connection.closed().await.into()
    }
}

/// A unidirectional stream to the client.
#[derive(Debug)]
pub struct UniStream {
    /// `None` if there was no connection left to open it on.
    send: Option<SendStream>,
    shared: Shared,
}

impl UniStream {
    /// Sends bytes as they are; if the client is gone, nothing.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        if let Some(send) = &mut self.send {
            // The log says how the connection ended.
            let _ = send.write_all(bytes.as_ref()).await;
        }
    }

    /// Ends it.
    pub fn finish(&mut self) {
        if let Some(send) = &mut self.send {
            let _ = send.finish();
        }
    }

    /// Resets it.
    pub fn reset(&mut self, code: u64) {
        if let Some(send) = &mut self.send {
            let _ = send.reset(var(code));
        }
    }
}

impl Drop for UniStream {
    fn drop(&mut self) {
        self.shared.keep(self.send.take(), None);
    }
}
