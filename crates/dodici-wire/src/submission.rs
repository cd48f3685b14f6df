//! Submissions: records from JavaScript to Rust.
//!
//! The addon turns a flush into one [`Bytes`] and decodes it with [`submissions`]; heads, bodies
//! and chunks are slices of it. `node/src/wire` encodes them; for tests, the testkit's `wire` does.
//!
//! # Protocol
//! - A slot belongs to JavaScript from `Dispatch` until `End` or `Error`, also after `Cancel`. A
//!   record for a past generation is ignored.
//! - `BodyChunk` follows `Pull`; `BodyEnd` may come at any time after the last chunk. With
//!   [`BODY_IS_SHORT`] it says that the rest of the declared length will never come.
//! - `Credit` returns body bytes of `Data` records once the handler has seen them, and says whether
//!   the handler is paused.
//! - JavaScript chooses a pool's id and never reuses it in one environment. Its records and those
//!   of its requests go to I/O thread `id % threads`.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU64;
use std::time::Duration;

use bytes::{Buf, Bytes};
use dodici_pool::{BodyKind, Decode, DecodeManner, HeaderBlock, Request, RequestKind};

use crate::cursor::{Malformed, Reader, padding};
use crate::frame::Header;
use crate::headers::read_fields;
use crate::schema::{
    CreditFlag, DEFAULT_TIMEOUT, DispatchAux, DispatchFlag, RECORD_HEADER, Submission, WireBody,
    WireDecode,
};

/// `flags` of a `BodyEnd` record that ends before the declared length, as
/// `strictContentLength: false` allows.
pub const BODY_IS_SHORT: u8 = 1;

/// `flags` of a `Cancel` record that resets the connection of an upgraded stream.
pub const CANCEL_RESETS: u8 = 1;

/// `flags` of a `LookupResult` record that reports a failure.
pub const LOOKUP_FAILED: u8 = 1;

/// One decoded submission.
#[derive(Clone, Debug)]
pub enum Submitted {
    /// Start a request on this pool.
    Dispatch {
        /// Pool id.
        pool: u32,
        /// The request.
        request: Request,
        /// Report the connection that takes it.
        reports_connection: bool,
    },
    /// Bytes of the request body or of an upgraded stream.
    BodyChunk(Bytes),
    /// End of the request body, with trailers.
    BodyEnd(HeaderBlock),
    /// `BodyEnd` with [`BODY_IS_SHORT`].
    BodyLeft,
    /// Abort the request.
    Cancel,
    /// `Cancel` with [`CANCEL_RESETS`].
    Reset,
    /// Body bytes returned, and whether the handler is paused from now on.
    Credit {
        /// Bytes it has consumed; may be 0.
        bytes: u32,
        /// Accepts nothing more until the next `Credit` that says otherwise.
        paused: bool,
    },
    /// Create a pool with these options, see [`options`](crate::options).
    PoolCreate(Bytes),
    /// Open the pool's connections with these options from now on.
    PoolConfigure(Bytes),
    /// Close the pool.
    PoolClose,
    /// Destroy the pool.
    PoolDestroy,
    /// Open a connection if the pool has none.
    PoolConnect,
    /// Set the pipelining depth; 0 means one request per connection.
    PoolPipelining(u32),
    /// Tell what the pool's connections are doing.
    PoolInspect,
    /// Open connections until so many are ready.
    PoolPreconnect(u32),
    /// Close the connection with this serial number.
    ConnectionDestroy,
    /// End the connection with this serial number as cancelling a written request does.
    ConnectionGiveUp,
    /// The result of a lookup, or the number of its error.
    LookupResult(Result<Vec<FoundAddress>, u32>),
}

/// An address returned by a lookup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundAddress {
    /// The address itself.
    pub ip: IpAddr,
    /// Zone of an IPv6 address: the name or number of an interface (RFC 4007, `fe80::1%lo`).
    pub zone: Option<String>,
}

impl From<IpAddr> for FoundAddress {
    fn from(ip: IpAddr) -> Self {
        Self { ip, zone: None }
    }
}

impl fmt::Display for FoundAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.zone {
            Some(zone) => write!(f, "{}%{zone}", self.ip),
            None => self.ip.fmt(f),
        }
    }
}

/// What the slot of a submission identifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A request, or the byte stream that replaced it.
    Request,
    /// A pool.
    Pool,
    /// A lookup of a pool; the generation is its number.
    Lookup,
    /// A question about a pool; the generation is its number.
    Question,
}

impl Subject {
    /// What a record of this kind is about; `None` for an unknown kind.
    pub fn of(kind: u8) -> Option<Self> {
        Some(match Submission::from_wire(kind)? {
            Submission::Dispatch
            | Submission::BodyChunk
            | Submission::BodyEnd
            | Submission::Cancel
            | Submission::Credit => Self::Request,
            Submission::LookupResult => Self::Lookup,
            Submission::PoolInspect | Submission::PoolPreconnect => Self::Question,
            Submission::PoolCreate
            | Submission::PoolClose
            | Submission::PoolDestroy
            | Submission::PoolConnect
            | Submission::PoolPipelining
            | Submission::ConnectionDestroy
            | Submission::ConnectionGiveUp
            | Submission::PoolConfigure => Self::Pool,
        })
    }
}

/// A record that could not be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct BadRecord {
    /// Its header; `None` if not even that could be read, in which case no record follows.
    pub header: Option<Header>,
    /// The error.
    pub error: Malformed,
}

/// The records of one flush, in order.
pub fn submissions(flush: Bytes) -> Submissions {
    Submissions { flush, at: 0 }
}

/// Iterator over the records of one flush; see [`submissions`].
#[derive(Debug)]
pub struct Submissions {
    flush: Bytes,
    at: usize,
}

impl Iterator for Submissions {
    type Item = Result<(Header, Submitted), BadRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.flush.len() {
            return None;
        }
        let header = match Header::read(&mut Reader::new(&self.flush[self.at..])) {
            Ok(header) => header,
            Err(error) => {
                self.at = self.flush.len();
                return Some(Err(BadRecord {
                    header: None,
                    error,
                }));
            }
        };
        // `Header::read` has checked that payload and padding are there.
        let start = self.at + RECORD_HEADER;
        let len = header.len as usize;
        let payload = self.flush.slice(start..start + len);
        self.at = start + len + padding(len);
        Some(match decode(&header, payload) {
            Ok(submitted) => Ok((header, submitted)),
            Err(error) => Err(BadRecord {
                header: Some(header),
                error,
            }),
        })
    }
}

fn decode(header: &Header, payload: Bytes) -> Result<Submitted, Malformed> {
    let kind = Submission::from_wire(header.kind).ok_or(Malformed("unknown submission"))?;
    Ok(match kind {
        Submission::Dispatch => decode_dispatch(header, payload)?,
        Submission::BodyChunk => Submitted::BodyChunk(payload),
        Submission::BodyEnd if header.flags & BODY_IS_SHORT != 0 => Submitted::BodyLeft,
        Submission::BodyEnd => Submitted::BodyEnd(read_fields(&payload)?),
        Submission::Cancel if header.flags & CANCEL_RESETS != 0 => Submitted::Reset,
        Submission::Cancel => Submitted::Cancel,
        Submission::Credit => Submitted::Credit {
            bytes: Reader::new(&payload).u32()?,
            paused: header.flags & CreditFlag::Paused as u8 != 0,
        },
        Submission::PoolCreate => Submitted::PoolCreate(payload),
        Submission::PoolConfigure => Submitted::PoolConfigure(payload),
        Submission::PoolClose => Submitted::PoolClose,
        Submission::PoolDestroy => Submitted::PoolDestroy,
        Submission::PoolConnect => Submitted::PoolConnect,
        Submission::PoolPipelining => Submitted::PoolPipelining(Reader::new(&payload).u32()?),
        Submission::PoolInspect => Submitted::PoolInspect,
        Submission::PoolPreconnect => Submitted::PoolPreconnect(Reader::new(&payload).u32()?),
        Submission::ConnectionDestroy => Submitted::ConnectionDestroy,
        Submission::ConnectionGiveUp => Submitted::ConnectionGiveUp,
        Submission::LookupResult if header.flags & LOOKUP_FAILED != 0 => {
            Submitted::LookupResult(Err(Reader::new(&payload).u32()?))
        }
        Submission::LookupResult => Submitted::LookupResult(Ok(read_addresses(&payload)?)),
    })
}

/// Bytes of a `Dispatch` payload before the head: six numbers.
const DISPATCH_FIXED: usize = 6 * 4;

/// Bytes that follow these with [`DispatchFlag::Decode`]: three numbers.
const DISPATCH_DECODE: usize = 3 * 4;

/// Bytes that follow these with [`DispatchAux::Limits`]: two numbers.
const DISPATCH_MORE: usize = 2 * 4;

fn decode_dispatch(header: &Header, mut payload: Bytes) -> Result<Submitted, Malformed> {
    let mut reader = Reader::new(&payload);
    let pool = reader.u32()?;
    let head_len = reader.u32()? as usize;
    let headers_timeout = timeout(reader.u32()?);
    let body_timeout = timeout(reader.u32()?);
    let body_len = u64::from(reader.u32()?) | u64::from(reader.u32()?) << 32;
    let flag = |flag: DispatchFlag| header.flags & flag as u8 != 0;
    let (decode, mut fixed) = if flag(DispatchFlag::Decode) {
        let decode = read_decode(&mut reader)?;
        (Some(decode), DISPATCH_FIXED + DISPATCH_DECODE)
    } else {
        (None, DISPATCH_FIXED)
    };
    let is_set = |bit: DispatchAux| header.aux & bit as u16 != 0;
    let mut limits = (None, None);
    if is_set(DispatchAux::Limits) {
        limits = (timeout(reader.u32()?), given(reader.u32()?));
        fixed += DISPATCH_MORE;
    }
    reader.take(head_len)?;
    let head_end = fixed + head_len;
    let bits =
        DispatchAux::Assigned as u16 | DispatchAux::Timed as u16 | DispatchAux::Limits as u16;
    let body = WireBody::from_wire(header.aux & !bits).ok_or(Malformed("unknown body kind"))?;
    let body = match body {
        WireBody::Full => {
            if reader.remaining() as u64 != body_len {
                return Err(Malformed("a body's length differs from its header"));
            }
            BodyKind::Full(payload.split_off(head_end))
        }
        _ if !reader.is_empty() => return Err(Malformed("bytes after a request head")),
        WireBody::None => BodyKind::None,
        WireBody::Sized => BodyKind::Sized(body_len),
        WireBody::Chunked => BodyKind::Chunked,
    };
    let kind = if flag(DispatchFlag::Connect) {
        RequestKind::Connect
    } else if flag(DispatchFlag::Upgrade) {
        RequestKind::Upgrade
    } else if flag(DispatchFlag::Head) {
        RequestKind::Head
    } else {
        RequestKind::Plain
    };
    payload.advance(fixed);
    let mut request = Request::new(payload);
    request.kind = kind;
    request.body = body;
    request.idempotent = flag(DispatchFlag::Idempotent);
    request.blocking = flag(DispatchFlag::Blocking);
    request.reset = flag(DispatchFlag::Reset);
    request.expect_continue = flag(DispatchFlag::ExpectContinue);
    request.headers_timeout = headers_timeout;
    request.body_timeout = body_timeout;
    (request.total_timeout, request.min_body_rate) = limits;
    request.decode = decode;
    request.timed = is_set(DispatchAux::Timed);
    Ok(Submitted::Dispatch {
        pool,
        request,
        reports_connection: is_set(DispatchAux::Assigned),
    })
}

fn read_decode(reader: &mut Reader<'_>) -> Result<Decode, Malformed> {
    let manner = u8::try_from(reader.u32()?).ok();
    let manner = match manner.and_then(WireDecode::from_wire) {
        Some(WireDecode::Interceptor) => DecodeManner::Interceptor,
        Some(WireDecode::Fetch) => DecodeManner::Fetch,
        Some(WireDecode::FetchFollowing) => DecodeManner::FetchFollowing,
        None => return Err(Malformed("unknown manner of decoding")),
    };
    let max_size = u64::from(reader.u32()?) | u64::from(reader.u32()?) << 32;
    let mut decode = Decode::new(manner);
    decode.max_size = NonZeroU64::new(max_size);
    Ok(decode)
}

fn read_addresses(payload: &[u8]) -> Result<Vec<FoundAddress>, Malformed> {
    let text = std::str::from_utf8(payload).map_err(|_| Malformed("an address is not UTF-8"))?;
    text.lines().map(read_address).collect()
}

fn read_address(line: &str) -> Result<FoundAddress, Malformed> {
    let bad = |_| Malformed("not an IP address");
    Ok(match line.split_once('%') {
        None => line.parse::<IpAddr>().map_err(bad)?.into(),
        Some((ip, zone)) => FoundAddress {
            ip: IpAddr::V6(ip.parse().map_err(bad)?),
            zone: Some(zone.to_owned()),
        },
    })
}

fn timeout(millis: u32) -> Option<Duration> {
    given(millis).map(|millis| Duration::from_millis(millis.into()))
}

fn given(number: u32) -> Option<u32> {
    (number != DEFAULT_TIMEOUT).then_some(number)
}
