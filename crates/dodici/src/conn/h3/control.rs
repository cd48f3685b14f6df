//! What the peer sends on unidirectional streams (RFC 9114, section 6.2): its settings and GOAWAY,
//! and the instructions of QPACK. A state machine without I/O.

use bytes::{Buf, Bytes};

use super::frames::{Header, kind};
use super::{Violation, code, varint};

/// Types of streams.
const CONTROL: u64 = 0;
const PUSH: u64 = 1;
const ENCODER: u64 = 2;
const DECODER: u64 = 3;

/// Settings (RFC 9114, section 7.2.4.1; RFC 9220).
const MAX_FIELD_SECTION_SIZE: u64 = 6;
const ENABLE_CONNECT_PROTOCOL: u64 = 8;

/// Maximum length of a frame whose content is read. 16 KiB: thousands of settings.
const MOST: u64 = 16 * 1024;

/// Frames, streams and instructions without an effect that a peer may send at once. Servers send a
/// few for greasing (RFC 9114, section 7.2.8).
const IDLE: u32 = 10_000;

/// So many more for each request.
const EARNED: u32 = 8;

/// What the peer has said about the connection.
#[derive(Debug, Default)]
pub(super) struct Peer {
    /// Its settings have arrived.
    pub(super) settled: bool,
    /// Whether it accepts an extended CONNECT.
    pub(super) connects: bool,
    /// Maximum size of a request's field section.
    pub(super) most_fields: Option<u64>,
    /// The first stream that it does not process.
    pub(super) goaway: Option<u64>,
    has_control: bool,
    has_encoder: bool,
    has_decoder: bool,
    idle: u32,
}

/// One of its streams.
#[derive(Debug, Default)]
pub(super) struct PeerStream {
    state: State,
}

#[derive(Debug, Default)]
enum State {
    /// The type is not complete.
    #[default]
    New,
    Typing([u8; 8], usize),
    Control(Control),
    Encoder,
    Decoder {
        in_number: bool,
    },
}

#[derive(Debug, Default)]
struct Control {
    header: Header,
    /// The frame whose content arrives, and how much is missing.
    frame: Option<(u64, u64)>,
    content: Vec<u8>,
}

/// What becomes of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Read,
    /// Its type is unknown: it is not read (RFC 9114, section 6.2).
    Stop,
}

impl Peer {
    /// Bytes have arrived on a stream.
    ///
    /// # Errors
    /// The connection ends.
    pub(super) fn receive(
        &mut self,
        stream: &mut PeerStream,
        mut chunk: Bytes,
    ) -> Result<Fate, Violation> {
        loop {
            match &mut stream.state {
                State::New => stream.state = State::Typing([0; 8], 0),
                State::Typing(bytes, have) => {
                    let Some((kind, _)) = varint::read(&bytes[..*have]) else {
                        if chunk.is_empty() {
                            return Ok(Fate::Read);
                        }
                        bytes[*have] = chunk.get_u8();
                        *have += 1;
                        continue;
                    };
                    match self.open(kind)? {
                        Some(state) => stream.state = state,
                        None => return Ok(Fate::Stop),
                    }
                }
                State::Control(control) => {
                    while let Some((kind, content)) = control.next(&mut chunk)? {
                        self.frame(kind, &content)?;
                    }
                    return Ok(Fate::Read);
                }
                // Only instructions that need no table (RFC 9204, section 4.3): a capacity of none.
                State::Encoder => {
                    for byte in chunk {
                        if byte != 0x20 {
                            let what = "an entry for a table that has no room";
                            return Err(Violation::new(code::ENCODER_STREAM_ERROR, what));
                        }
                        self.waste()?;
                    }
                    return Ok(Fate::Read);
                }
                // Only cancellations of streams (RFC 9204, section 4.4), whose numbers do not
                // matter.
                State::Decoder { in_number } => {
                    for byte in chunk {
                        if !*in_number && byte & 0xc0 != 0x40 {
                            let what = "an acknowledgement of what was not sent";
                            return Err(Violation::new(code::DECODER_STREAM_ERROR, what));
                        }
                        *in_number = match *in_number {
                            true => byte & 0x80 != 0,
                            false => byte & 0x3f == 0x3f,
                        };
                        self.waste()?;
                    }
                    return Ok(Fate::Read);
                }
            }
        }
    }

    /// A stream has ended.
    ///
    /// # Errors
    /// The connection ends.
    pub(super) fn end(stream: &PeerStream) -> Result<(), Violation> {
        match stream.state {
            State::New | State::Typing(..) => Ok(()),
            State::Control(_) | State::Encoder | State::Decoder { .. } => Err(Violation::new(
                code::CLOSED_CRITICAL_STREAM,
                "the end of a stream that must stay open",
            )),
        }
    }

    fn open(&mut self, kind: u64) -> Result<Option<State>, Violation> {
        let (known, state) = match kind {
            CONTROL => (&mut self.has_control, State::Control(Control::default())),
            ENCODER => (&mut self.has_encoder, State::Encoder),
            DECODER => (&mut self.has_decoder, State::Decoder { in_number: false }),
            PUSH => return Err(Violation::new(code::ID_ERROR, "a push")),
            _ => {
                self.waste()?;
                return Ok(None);
            }
        };
        if std::mem::replace(known, true) {
            let what = "a second stream of a type of which there is one";
            return Err(Violation::new(code::STREAM_CREATION_ERROR, what));
        }
        Ok(Some(state))
    }

    /// Something without an effect has arrived.
    pub(super) fn waste(&mut self) -> Result<(), Violation> {
        self.idle += 1;
        if self.idle > IDLE {
            let what = "too many frames that do no work";
            return Err(Violation::new(code::EXCESSIVE_LOAD, what));
        }
        Ok(())
    }

    /// A request was sent.
    pub(super) fn earn(&mut self) {
        self.idle = self.idle.saturating_sub(EARNED);
    }

    fn frame(&mut self, kind: u64, content: &[u8]) -> Result<(), Violation> {
        if !self.settled && kind != kind::SETTINGS {
            let what = "a frame before SETTINGS";
            return Err(Violation::new(code::MISSING_SETTINGS, what));
        }
        match kind {
            kind::SETTINGS if self.settled => Err(Violation::new(
                code::FRAME_UNEXPECTED,
                "SETTINGS for a second time",
            )),
            kind::SETTINGS => self.settings(content),
            kind::GOAWAY => self.goaway(content),
            kind::CANCEL_PUSH => Err(Violation::new(code::ID_ERROR, "CANCEL_PUSH")),
            kind::DATA | kind::HEADERS | kind::PUSH_PROMISE | kind::MAX_PUSH_ID => {
                Err(Violation::new(
                    code::FRAME_UNEXPECTED,
                    "a frame that is not of a control stream",
                ))
            }
            kind if kind::is_of_http2(kind) => {
                Err(Violation::new(code::FRAME_UNEXPECTED, "a frame of HTTP/2"))
            }
            _ => self.waste(),
        }
    }

    fn settings(&mut self, mut content: &[u8]) -> Result<(), Violation> {
        self.settled = true;
        let mut known = 0_u16;
        while !content.is_empty() {
            let broken = Violation::new(code::FRAME_ERROR, "SETTINGS that are cut off");
            let (id, used) = varint::read(content).ok_or(broken)?;
            let (value, more) = varint::read(&content[used..]).ok_or(broken)?;
            content = &content[used + more..];
            let bit = if id < 16 { 1 << id } else { 0 };
            if known & bit != 0 {
                let what = "a setting for a second time";
                return Err(Violation::new(code::SETTINGS_ERROR, what));
            }
            known |= bit;
            match id {
                // Those of HTTP/2 (RFC 9114, section 7.2.4.1).
                2..=5 => {
                    let what = "a setting of HTTP/2";
                    return Err(Violation::new(code::SETTINGS_ERROR, what));
                }
                MAX_FIELD_SECTION_SIZE => self.most_fields = Some(value),
                ENABLE_CONNECT_PROTOCOL if value > 1 => {
                    let what = "an invalid setting";
                    return Err(Violation::new(code::SETTINGS_ERROR, what));
                }
                ENABLE_CONNECT_PROTOCOL => self.connects = value == 1,
                _ => {}
            }
        }
        Ok(())
    }

    fn goaway(&mut self, content: &[u8]) -> Result<(), Violation> {
        let first = match varint::read(content) {
            Some((first, used)) if used == content.len() => first,
            _ => {
                return Err(Violation::new(
                    code::FRAME_ERROR,
                    "a GOAWAY of a wrong length",
                ));
            }
        };
        // Requests are on streams whose numbers are multiples of four; the number of a second
        // GOAWAY is not higher (RFC 9114, section 5.2).
        if first % 4 != 0 || self.goaway.is_some_and(|before| first > before) {
            return Err(Violation::new(
                code::ID_ERROR,
                "a GOAWAY with an invalid stream",
            ));
        }
        if self.goaway == Some(first) {
            return self.waste();
        }
        self.goaway = Some(first);
        Ok(())
    }
}

impl Control {
    /// The next complete frame; the content of an unknown one is skipped.
    fn next(&mut self, chunk: &mut Bytes) -> Result<Option<(u64, Vec<u8>)>, Violation> {
        loop {
            let Some((kind, left)) = &mut self.frame else {
                let Some((kind, length)) = self.header.read(chunk) else {
                    return Ok(None);
                };
                let is_read = matches!(kind, kind::SETTINGS | kind::GOAWAY);
                if is_read && length > MOST {
                    let what = "a control frame that is too long";
                    return Err(Violation::new(code::EXCESSIVE_LOAD, what));
                }
                self.frame = Some((kind, length));
                continue;
            };
            let length = usize::try_from(*left).map_or(chunk.len(), |left| left.min(chunk.len()));
            let content = chunk.split_to(length);
            *left -= length as u64;
            let kind = *kind;
            if matches!(kind, kind::SETTINGS | kind::GOAWAY) {
                self.content.extend_from_slice(&content);
            }
            if *left > 0 {
                return Ok(None);
            }
            self.frame = None;
            return Ok(Some((kind, std::mem::take(&mut self.content))));
        }
    }
}

/// The start of our control stream: its type and our settings.
pub(super) fn preface(max_header_list_size: u32) -> Vec<u8> {
    let mut settings = Vec::new();
    varint::put(&mut settings, MAX_FIELD_SECTION_SIZE);
    varint::put(&mut settings, max_header_list_size.into());
    let mut out = Vec::new();
    varint::put(&mut out, CONTROL);
    varint::put(&mut out, kind::SETTINGS);
    varint::put(&mut out, settings.len() as u64);
    out.extend(settings);
    out
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What the peer has said with these bytes, in pieces of this length.
    fn heard(bytes: &[u8], length: usize) -> Result<(Fate, Peer), Violation> {
        let (mut peer, mut stream) = (Peer::default(), PeerStream::default());
        for chunk in bytes.chunks(length) {
            if peer.receive(&mut stream, Bytes::copy_from_slice(chunk))? == Fate::Stop {
                return Ok((Fate::Stop, peer));
            }
        }
        Ok((Fate::Read, peer))
    }

    #[test]
    fn settings_and_goaway_are_heard_wherever_the_bytes_are_cut() {
        let mut bytes = preface(1000);
        bytes.extend([0x21, 3, 1, 2, 3]);
        bytes.extend([kind::GOAWAY as u8, 1, 8]);
        for length in 1..=bytes.len() {
            let (_, peer) = heard(&bytes, length).unwrap();
            assert!(peer.settled);
            assert_eq!((peer.most_fields, peer.goaway), (Some(1000), Some(8)));
        }
    }

    #[test]
    fn a_peer_may_not_waste_more_than_requests_earn() {
        let mut peer = Peer::default();
        for _ in 0..IDLE {
            peer.waste().unwrap();
        }
        assert_eq!(peer.waste().unwrap_err().code, code::EXCESSIVE_LOAD);
        peer.earn();
        assert!(peer.waste().is_ok());
    }

    #[test]
    fn instructions_of_qpack_that_need_a_table_are_refused() {
        let code = |bytes: &[u8]| heard(bytes, 1).map_err(|violation| violation.code).err();
        assert_eq!(code(&[2, 0x20]), None);
        assert_eq!(code(&[2, 0x3f]), Some(code::ENCODER_STREAM_ERROR));
        // A cancellation of stream 300, then an acknowledgement.
        assert_eq!(code(&[3, 0x7f, 0xed, 1]), None);
        assert_eq!(
            code(&[3, 0x7f, 0xed, 1, 0x80]),
            Some(code::DECODER_STREAM_ERROR)
        );
        assert_eq!(code(&[3, 0x01]), Some(code::DECODER_STREAM_ERROR));
    }

    proptest! {
        #[test]
        fn any_bytes_mean_the_same_however_they_are_cut(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            length in 1_usize..50,
        ) {
            let said = |result: Result<(Fate, Peer), Violation>| {
                result.map(|(fate, peer)| (fate, peer.settled, peer.goaway, peer.connects))
            };
            prop_assert_eq!(said(heard(&bytes, length)), said(heard(&bytes, 200)));
        }
    }
}
