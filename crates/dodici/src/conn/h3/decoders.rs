//! The decoders of what a peer sends, without a connection: for fuzzing. No part of the API.

use bytes::Bytes;
use dodici_pool::{HeaderBlock, ResponseHead};

use super::control::{Fate, Peer, PeerStream};
use super::frames::{Frames, Piece};
use super::qpack::{self, Undecoded};
use super::{Violation, head};

/// Names and values.
pub type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// What was found on a stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// A field section, or `None` for one that is too long.
    Section(Option<Vec<u8>>),
    /// The content of DATA frames in a row.
    Data(Vec<u8>),
    /// A frame without an effect.
    Idle,
    /// The end, and whether no frame is cut off.
    End(bool),
    /// What a stream of the peer has said: whether there were settings, whether an extended CONNECT is
    /// accepted, the largest section, GOAWAY.
    Said(bool, bool, Option<u64>, Option<u64>),
    /// A stream of an unknown type.
    Unknown,
    /// The connection ends with this error code.
    Violation(u32),
}

/// A field section's fields, or whether it was too large, was refused, or ends the connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Section {
    /// All of them.
    Fields(Fields),
    /// Larger than allowed.
    TooLarge,
    /// The stream fails.
    Refused(&'static str),
    /// The connection ends with this error code.
    Violation(u32),
}

/// Reads the bytes of a response, which arrive in pieces of `length`; sections have at most `most`
/// bytes.
pub fn response(bytes: &[u8], length: usize, most: u64) -> Vec<Found> {
    let mut frames = Frames::new(most);
    let mut found = Vec::new();
    for chunk in bytes.chunks(length.max(1)) {
        let mut chunk = Bytes::copy_from_slice(chunk);
        loop {
            match frames.next(&mut chunk) {
                Ok(None) => break,
                Ok(Some(Piece::Data(more))) => match found.last_mut() {
                    Some(Found::Data(before)) => before.extend_from_slice(&more),
                    _ => found.push(Found::Data(more.into())),
                },
                Ok(Some(Piece::Fields(section))) => {
                    found.push(Found::Section(Some(section.into())));
                }
                Ok(Some(Piece::TooLong)) => found.push(Found::Section(None)),
                Ok(Some(Piece::Idle)) => found.push(Found::Idle),
                Err(Violation { code, .. }) => {
                    found.push(Found::Violation(code));
                    return found;
                }
            }
        }
    }
    found.push(Found::End(frames.is_complete()));
    found
}

/// Reads the bytes of a unidirectional stream, which arrive in pieces of `length`.
pub fn peer_stream(bytes: &[u8], length: usize) -> Vec<Found> {
    let (mut peer, mut stream) = (Peer::default(), PeerStream::default());
    let mut end = None;
    for chunk in bytes.chunks(length.max(1)) {
        match peer.receive(&mut stream, Bytes::copy_from_slice(chunk)) {
            Ok(Fate::Read) => {}
            Ok(Fate::Stop) => end = Some(Found::Unknown),
            Err(Violation { code, .. }) => end = Some(Found::Violation(code)),
        }
        if end.is_some() {
            break;
        }
    }
    let said = Found::Said(peer.settled, peer.connects, peer.most_fields, peer.goaway);
    [Some(said), end].into_iter().flatten().collect()
}

/// Decodes a field section of at most `most` bytes, with 32 added per field.
pub fn section(section: &[u8], most: usize) -> Section {
    let mut fields = Vec::new();
    let decoded = qpack::decode(section, most, |name, value| {
        fields.push((name.to_vec(), value.to_vec()));
        Ok(())
    });
    outcome(decoded.map(|()| fields))
}

/// Encodes fields.
pub fn encode(fields: &[(Vec<u8>, Vec<u8>)]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    qpack::begin(&mut out);
    for (name, value) in fields {
        qpack::put(&mut out, std::str::from_utf8(name).ok()?, value);
    }
    Some(out)
}

/// Decodes the section of a response, and its status.
pub fn head(section: &[u8], most: usize) -> (Section, u16) {
    let mut found = ResponseHead::default();
    let decoded = head::response(section, most, &mut found);
    let fields = outcome(decoded.map(|()| pairs(&found.headers)));
    (fields, found.status)
}

/// Decodes the section of trailers.
pub fn trailers(section: &[u8], most: usize) -> Section {
    outcome(head::trailers(section, most).map(|fields| pairs(&fields)))
}

fn pairs(fields: &HeaderBlock) -> Fields {
    let pair = |(name, value): (&[u8], &[u8])| (name.to_vec(), value.to_vec());
    fields.iter().map(pair).collect()
}

fn outcome(decoded: Result<Fields, Undecoded>) -> Section {
    match decoded {
        Ok(fields) => Section::Fields(fields),
        Err(Undecoded::TooLarge) => Section::TooLarge,
        Err(Undecoded::Refused(why)) => Section::Refused(why),
        Err(Undecoded::Invalid(Violation { code, .. })) => Section::Violation(code),
    }
}
