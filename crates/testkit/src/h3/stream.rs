//! One request stream in the hands of a script.

use quinn::{ReadError, RecvStream, SendStream};

use super::shared::{Shared, take_frame, var};
use super::{Frame, frame, head, kind, qpack};

/// A request as it was read from its stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Fields in order, pseudo-header fields included.
    pub fields: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
    /// Trailers in order.
    pub trailers: Vec<(String, String)>,
}

impl Request {
    /// First value of a field, whose name is in lower case.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        let field = fields.find(|(have, _)| have == name)?;
        Some(&field.1)
    }

    /// Its `:path`, or nothing.
    pub fn path(&self) -> &str {
        self.get(":path").unwrap_or_default()
    }
}

/// A bidirectional stream that the client opened.
#[derive(Debug)]
pub struct H3Stream {
    id: u64,
    /// `None` only while it is dropped.
    send: Option<SendStream>,
    recv: Option<RecvStream>,
    unread: Vec<u8>,
    reset_by_client: Option<u64>,
    ended: bool,
    finished: bool,
    shared: Shared,
}

impl H3Stream {
    pub(super) fn new(send: SendStream, recv: RecvStream, shared: Shared) -> Self {
        Self {
            id: send.id().into(),
            send: Some(send),
            recv: Some(recv),
            unread: Vec::new(),
            reset_by_client: None,
            ended: false,
            finished: false,
            shared,
        }
    }

    /// Its id: 0, 4, 8 …
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The code with which the client has reset it, as far as was read.
    pub fn reset_by_client(&self) -> Option<u64> {
        self.reset_by_client
    }

    /// Whether the client has ended it, and everything was read.
    pub fn ended(&self) -> bool {
        self.ended
    }

    // --- reading ---

    /// The next frame; `None` if the client ends or resets the stream, or closes the connection.
    ///
    /// # Panics
    /// If the stream ends inside a frame.
    pub async fn next_frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = take_frame(&mut self.unread) {
                return Some(frame);
            }
            let Some(bytes) = self.receive().await else {
                let rest = &self.unread;
                assert!(
                    !self.ended || rest.is_empty(),
                    "an end inside a frame: {}",
                    rest.escape_ascii()
                );
                return None;
            };
            self.unread.extend(bytes);
        }
    }

    /// The fields of the request, which nothing but unknown frames may precede; `None` if the
    /// client resets the stream or closes the connection before.
    ///
    /// # Panics
    /// If something else comes.
    pub async fn request_head(&mut self) -> Option<Vec<(String, String)>> {
        loop {
            let frame = self.next_frame().await;
            let Some(frame) = frame else {
                assert!(!self.ended, "an end before the head");
                return None;
            };
            match frame.kind {
                kind::HEADERS => return Some(qpack::read_section(&frame.payload)),
                kind => assert!(is_grease(kind), "a frame of type {kind} before the head"),
            }
        }
    }

    /// Reads to the end of the request; `None` if the client resets the stream or closes the
    /// connection before.
    ///
    /// # Panics
    /// If it is malformed.
    pub async fn request(&mut self) -> Option<Request> {
        let mut request = Request {
            fields: self.request_head().await?,
            ..Request::default()
        };
        let mut has_trailers = false;
        while let Some(frame) = self.next_frame().await {
            match frame.kind {
                kind::DATA => {
                    assert!(!has_trailers, "a body behind trailers");
                    request.body.extend(frame.payload);
                }
                kind::HEADERS => {
                    assert!(!has_trailers, "trailers twice");
                    has_trailers = true;
                    request.trailers = qpack::read_section(&frame.payload);
                }
                kind => assert!(is_grease(kind), "a frame of type {kind} in a request"),
            }
        }
        self.ended.then_some(request)
    }

    /// Bytes as they come, frames or not; `None` if the client ends or resets the stream, or
    /// closes the connection.
    pub async fn read_some(&mut self) -> Option<Vec<u8>> {
        if !self.unread.is_empty() {
            return Some(std::mem::take(&mut self.unread));
        }
        self.receive().await
    }

    async fn receive(&mut self) -> Option<Vec<u8>> {
        let recv = self.recv.as_mut()?;
        match recv.read_chunk(usize::MAX, true).await {
            Ok(Some(chunk)) => return Some(chunk.bytes.to_vec()),
            Ok(None) => self.ended = true,
            Err(ReadError::Reset(code)) => self.reset_by_client = Some(code.into()),
            Err(_) => {}
        }
        None
    }

    // --- writing ---

    /// Sends bytes as they are. False if the client does not want any more, or is gone: then
    /// nothing, and nothing later, is sent.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        match &mut self.send {
            Some(send) => send.write_all(bytes.as_ref()).await.is_ok(),
            None => false,
        }
    }

    /// Sends one frame, correct or not.
    pub async fn frame(&mut self, kind: u64, payload: impl AsRef<[u8]>) {
        self.send(frame(kind, payload)).await;
    }

    /// A response head, or an informational one.
    pub async fn head(&mut self, status: u16, fields: &[(&str, &str)]) {
        self.send(head(status, fields)).await;
    }

    /// A piece of a body; as [`H3Stream::send`].
    pub async fn data(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.send(frame(kind::DATA, bytes)).await
    }

    /// Trailers.
    pub async fn trailers(&mut self, fields: &[(&str, &str)]) {
        self.frame(kind::HEADERS, qpack::section(fields)).await;
    }

    /// A whole response, in one write.
    pub async fn respond(&mut self, status: u16, fields: &[(&str, &str)], body: impl AsRef<[u8]>) {
        let mut bytes = head(status, fields);
        if !body.as_ref().is_empty() {
            bytes.extend(frame(kind::DATA, body));
        }
        self.send(bytes).await;
        self.finish();
    }

    /// Ends this direction.
    pub fn finish(&mut self) {
        if let Some(send) = &mut self.send {
            let _ = send.finish();
            self.finished = true;
        }
    }

    /// Resets this direction.
    pub fn reset(&mut self, code: u64) {
        if let Some(send) = &mut self.send {
            let _ = send.reset(var(code));
            self.finished = true;
        }
    }

    /// Asks the client to stop sending.
    pub fn stop(&mut self, code: u64) {
        if let Some(recv) = &mut self.recv {
            let _ = recv.stop(var(code));
        }
    }

    /// Resets this direction, and asks the client to stop its own: what a server does with a
    /// request that it has not looked at, or does not want any more.
    pub fn refuse(&mut self, code: u64) {
        self.reset(code);
        self.stop(code);
    }

    /// Resolves once the client has everything, or has asked for an end: with its code. Also
    /// `None` if the connection has ended.
    pub async fn stopped(&mut self) -> Option<u64> {
        let send = self.send.as_mut()?;
        let stopped = send.stopped().await;
        stopped.ok().flatten().map(u64::from)
    }
}

impl Drop for H3Stream {
    fn drop(&mut self) {
        // Streams that have ended need nobody to keep them.
        let send = self.send.take().filter(|_| !self.finished);
        let recv = self.recv.take().filter(|_| !self.ended);
        self.shared.keep(send, recv);
    }
}

/// Whether a type of frames or streams is one of those reserved to be ignored.
pub fn is_grease(kind: u64) -> bool {
    kind >= 0x21 && (kind - 0x21).is_multiple_of(0x1f)
}
