//! A raw HTTP/2 peer: frames written by hand, so that a test can send what no library would.
//!
//! [`H2Peer`] wraps the [`Conn`] of a [`ScriptedPeer`](crate::ScriptedPeer). Request heads are not
//! decoded (that takes HPACK): scripts tell requests apart by their stream and their body.

use std::collections::BTreeMap;

use crate::conn::Conn;

/// The client's connection preface (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Frame types (RFC 9113, section 6).
pub mod kind {
    #![allow(missing_docs)]
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PUSH_PROMISE: u8 = 5;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// Flags of frames.
pub mod flag {
    #![allow(missing_docs)]
    pub const ACK: u8 = 1;
    pub const END_STREAM: u8 = 1;
    pub const END_HEADERS: u8 = 4;
    pub const PADDED: u8 = 8;
}

/// Settings (RFC 9113, section 6.5.2, and RFC 8441).
pub mod setting {
    #![allow(missing_docs)]
    pub const HEADER_TABLE_SIZE: u16 = 1;
    pub const MAX_CONCURRENT_STREAMS: u16 = 3;
    pub const INITIAL_WINDOW_SIZE: u16 = 4;
    pub const ENABLE_CONNECT_PROTOCOL: u16 = 8;
}

/// Error codes (RFC 9113, section 7).
pub mod code {
    #![allow(missing_docs)]
    pub const NO_ERROR: u32 = 0;
    pub const PROTOCOL_ERROR: u32 = 1;
    pub const INTERNAL_ERROR: u32 = 2;
    pub const FLOW_CONTROL_ERROR: u32 = 3;
    pub const REFUSED_STREAM: u32 = 7;
    pub const CANCEL: u32 = 8;
    pub const ENHANCE_YOUR_CALM: u32 = 11;
}

/// One frame from the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Type.
    pub kind: u8,
    /// Flags.
    pub flags: u8,
    /// Stream.
    pub stream: u32,
    /// Payload.
    pub payload: Vec<u8>,
}

impl Frame {
    /// Whether it ends its stream.
    pub fn ends_stream(&self) -> bool {
        matches!(self.kind, kind::DATA | kind::HEADERS) && self.flags & flag::END_STREAM != 0
    }

    /// The number at this offset of the payload.
    ///
    /// # Panics
    /// If there is none.
    pub fn number(&self, at: usize) -> u32 {
        let bytes = self.payload[at..at + 4].try_into();
        u32::from_be_bytes(bytes.expect("four bytes"))
    }
}

/// The bytes of a frame, correct or not.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A block of header fields as HPACK literals that are not indexed (RFC 7541, section 6.2.2).
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        for text in [name, value] {
            put_length(&mut bytes, text.len());
            bytes.extend(text.as_bytes());
        }
    }
    bytes
}

/// A string length with a prefix of 7 bits (RFC 7541, section 5.1).
fn put_length(bytes: &mut Vec<u8>, length: usize) {
    const PREFIX: usize = 127;
    if length < PREFIX {
        return bytes.push(length as u8);
    }
    bytes.push(PREFIX as u8);
    let mut rest = length - PREFIX;
    while rest >= 128 {
        bytes.push((rest % 128 + 128) as u8);
        rest /= 128;
    }
    bytes.push(rest as u8);
}

/// A block for a response.
pub fn response_block(status: u16, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = block(&[(":status", &status.to_string())]);
    bytes.extend(block(fields));
    bytes
}

/// A request as far as it has been read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Its stream.
    pub stream: u32,
    /// Its body.
    pub body: Vec<u8>,
    /// Whether it had trailers.
    pub trailers: bool,
}

/// The server's end of a connection, driven by its script.
#[derive(Debug)]
pub struct H2Peer {
    conn: Conn,
    /// Requests that have begun and not ended.
    open: BTreeMap<u32, Request>,
    /// RST_STREAM frames of the client: stream and code.
    pub resets: Vec<(u32, u32)>,
    /// Bytes of WINDOW_UPDATE frames of the client, by stream; 0 is the connection.
    pub granted: BTreeMap<u32, u64>,
    /// The client's GOAWAY: code.
    pub goaway: Option<u32>,
}

impl H2Peer {
    /// Reads the preface and sends these settings.
    ///
    /// # Panics
    /// If the client speaks something else.
    pub async fn accept(conn: Conn, settings: &[(u16, u32)]) -> Self {
        let mut peer = Self::silent(conn).await;
        peer.settings(settings).await;
        peer
    }

    /// As [`H2Peer::accept`]; `None` if the client closes before its preface.
    ///
    /// # Panics
    /// If the client speaks something else.
    pub async fn try_accept(conn: Conn, settings: &[(u16, u32)]) -> Option<Self> {
        let mut peer = Self::try_silent(conn).await?;
        peer.settings(settings).await;
        Some(peer)
    }

    /// Reads the preface and sends nothing.
    ///
    /// # Panics
    /// If the client closes, or speaks something else.
    pub async fn silent(conn: Conn) -> Self {
        let peer = Self::try_silent(conn).await;
        peer.expect("the client sends its preface")
    }

    async fn try_silent(mut conn: Conn) -> Option<Self> {
        let preface = conn.read_up_to(PREFACE.len()).await?;
        assert_eq!(preface, PREFACE);
        Some(Self {
            conn,
            open: BTreeMap::new(),
            resets: Vec::new(),
            granted: BTreeMap::new(),
            goaway: None,
        })
    }

    /// Number of this connection, from 0 in the order of acceptance.
    pub fn index(&self) -> usize {
        self.conn.index()
    }

    /// The underlying connection.
    pub fn conn(&mut self) -> &mut Conn {
        &mut self.conn
    }

    /// Unwraps the underlying connection.
    pub fn into_conn(self) -> Conn {
        self.conn
    }

    // --- reading ---

    /// The next frame; `None` once the client closed. SETTINGS and PING are answered, and resets,
    /// window updates and GOAWAY noted.
    pub async fn next_frame(&mut self) -> Option<Frame> {
        let head = self.conn.read_up_to(9).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let stream = u32::from_be_bytes(head[5..9].try_into().expect("four bytes"));
        let frame = Frame {
            kind: head[3],
            flags: head[4],
            stream,
            payload: self.conn.read_up_to(length).await?,
        };
        match frame.kind {
            kind::SETTINGS if frame.flags & flag::ACK == 0 => {
                self.send(kind::SETTINGS, flag::ACK, 0, []).await;
            }
            kind::PING if frame.flags & flag::ACK == 0 => {
                self.send(kind::PING, flag::ACK, 0, &frame.payload).await;
            }
            kind::RST_STREAM => self.resets.push((stream, frame.number(0))),
            kind::WINDOW_UPDATE => {
                *self.granted.entry(stream).or_default() += u64::from(frame.number(0));
            }
            kind::GOAWAY => self.goaway = Some(frame.number(4)),
            _ => {}
        }
        Some(frame)
    }

    /// The next DATA or HEADERS frame of this stream; `None` once the client closed.
    pub async fn next_frame_of(&mut self, stream: u32) -> Option<Frame> {
        loop {
            let frame = self.next_frame().await?;
            if frame.stream == stream && matches!(frame.kind, kind::DATA | kind::HEADERS) {
                return Some(frame);
            }
        }
    }

    /// Reads until a request is complete; `None` once the client closed.
    pub async fn next_request(&mut self) -> Option<Request> {
        loop {
            let frame = self.next_frame().await?;
            let stream = frame.stream;
            match frame.kind {
                kind::HEADERS => {
                    let open = self.open.entry(stream);
                    let mut known = true;
                    let request = open.or_insert_with(|| {
                        known = false;
                        Request {
                            stream,
                            ..Request::default()
                        }
                    });
                    request.trailers = known;
                }
                kind::DATA => {
                    if let Some(request) = self.open.get_mut(&stream) {
                        request.body.extend(&frame.payload);
                    }
                }
                kind::RST_STREAM => {
                    self.open.remove(&stream);
                }
                _ => {}
            }
            if frame.ends_stream()
                && let Some(request) = self.open.remove(&stream)
            {
                return Some(request);
            }
        }
    }

    /// Reads until a request head arrives, and returns its stream; `None` once the client
    /// closed.
    pub async fn next_head(&mut self) -> Option<u32> {
        loop {
            let frame = self.next_frame().await?;
            if frame.kind == kind::HEADERS {
                return Some(frame.stream);
            }
        }
    }

    /// Answers SETTINGS and PING until the client closes.
    pub async fn closed(&mut self) {
        while self.next_frame().await.is_some() {}
    }

    // --- writing ---

    /// Sends one frame, correct or not.
    pub async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: impl AsRef<[u8]>) {
        self.conn.send(frame(kind, flags, stream, payload)).await;
    }

    /// Sends bytes as they are.
    pub async fn send_raw(&mut self, bytes: impl AsRef<[u8]>) {
        self.conn.send(bytes).await;
    }

    /// SETTINGS.
    pub async fn settings(&mut self, settings: &[(u16, u32)]) {
        let mut payload = Vec::new();
        for (id, value) in settings {
            payload.extend(id.to_be_bytes());
            payload.extend(value.to_be_bytes());
        }
        self.send(kind::SETTINGS, 0, 0, payload).await;
    }

    /// A response head.
    pub async fn head(&mut self, stream: u32, status: u16, fields: &[(&str, &str)], end: bool) {
        let flags = flag::END_HEADERS | if end { flag::END_STREAM } else { 0 };
        let block = response_block(status, fields);
        self.send(kind::HEADERS, flags, stream, block).await;
    }

    /// A piece of a body.
    pub async fn data(&mut self, stream: u32, bytes: impl AsRef<[u8]>, end: bool) {
        let flags = if end { flag::END_STREAM } else { 0 };
        self.send(kind::DATA, flags, stream, bytes).await;
    }

    /// A whole response with a body, in one write.
    pub async fn respond(&mut self, stream: u32, body: impl AsRef<[u8]>) {
        let mut bytes = frame(
            kind::HEADERS,
            flag::END_HEADERS,
            stream,
            response_block(200, &[]),
        );
        bytes.extend(frame(kind::DATA, flag::END_STREAM, stream, body));
        self.send_raw(bytes).await;
    }

    /// RST_STREAM.
    pub async fn reset(&mut self, stream: u32, code: u32) {
        self.send(kind::RST_STREAM, 0, stream, code.to_be_bytes())
            .await;
    }

    /// GOAWAY.
    pub async fn goaway(&mut self, last: u32, code: u32) {
        let mut payload = last.to_be_bytes().to_vec();
        payload.extend(code.to_be_bytes());
        self.send(kind::GOAWAY, 0, 0, payload).await;
    }

    /// WINDOW_UPDATE.
    pub async fn grant(&mut self, stream: u32, bytes: u32) {
        self.send(kind::WINDOW_UPDATE, 0, stream, bytes.to_be_bytes())
            .await;
    }
}
