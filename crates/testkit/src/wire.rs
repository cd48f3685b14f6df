//! JavaScript's half of the boundary's codec: encodes submissions and options, decodes completions.
//!
//! Called by the tests of `dodici-wire` and by the fuzz targets. `node/src/wire` does the same in
//! TypeScript; golden vectors keep the two equal.

use std::num::NonZeroU64;
use std::time::Duration;

use dodici_pool::{
    BodyKind, Decode, DecodeManner, HeaderBlock, Request, RequestKind, ResponseHead, Version,
};
use dodici_wire::Target;
use dodici_wire::completion::{
    ANSWER_FAILED, DATA_IS_LARGE, END_IS_DECODED, HeadKind, InSlab, Over,
};
use dodici_wire::cursor::{Malformed, Reader};
use dodici_wire::frame::{Header, put_record};
use dodici_wire::headers::{put_fields, read_fields, take_line};
use dodici_wire::options::OptionKey;
use dodici_wire::schema::{
    Completion, CreditFlag, DEFAULT_TIMEOUT, DispatchAux, DispatchFlag, HeadFlag, Submission,
    WireBody, WireDecode,
};
use dodici_wire::submission::{BODY_IS_SHORT, CANCEL_RESETS, LOOKUP_FAILED, Submitted};
use dodici_wire::tagged::put_bytes;

/// Appends a `Dispatch`. Timeouts are rounded down to milliseconds.
fn put_dispatch(
    out: &mut Vec<u8>,
    target: Target,
    pool: u32,
    request: &Request,
    reports_connection: bool,
) {
    let (body, body_len, full): (_, _, &[u8]) = match &request.body {
        BodyKind::None => (WireBody::None, 0, &[]),
        BodyKind::Full(bytes) => (WireBody::Full, bytes.len() as u64, bytes),
        BodyKind::Sized(len) => (WireBody::Sized, *len, &[]),
        BodyKind::Chunked => (WireBody::Chunked, 0, &[]),
    };
    let mut flags = match request.kind {
        RequestKind::Plain => 0,
        RequestKind::Head => DispatchFlag::Head as u8,
        RequestKind::Connect => DispatchFlag::Connect as u8,
        RequestKind::Upgrade => DispatchFlag::Upgrade as u8,
    };
    for (set, flag) in [
        (request.idempotent, DispatchFlag::Idempotent),
        (request.blocking, DispatchFlag::Blocking),
        (request.reset, DispatchFlag::Reset),
        (request.expect_continue, DispatchFlag::ExpectContinue),
        (request.decode.is_some(), DispatchFlag::Decode),
    ] {
        if set {
            flags |= flag as u8;
        }
    }
    let millis = |timeout: Option<Duration>| {
        timeout.map_or(DEFAULT_TIMEOUT, |timeout| {
            u32::try_from(timeout.as_millis())
                .unwrap_or(DEFAULT_TIMEOUT - 1)
                .min(DEFAULT_TIMEOUT - 1)
        })
    };
    let numbers = [
        pool,
        request.head.len() as u32,
        millis(request.headers_timeout),
        millis(request.body_timeout),
        body_len as u32,
        (body_len >> 32) as u32,
    ];
    let limits = [
        millis(request.total_timeout),
        request.min_body_rate.unwrap_or(DEFAULT_TIMEOUT),
    ];
    let limits = Some(limits).filter(|limits| limits.iter().any(|limit| *limit != DEFAULT_TIMEOUT));
    let mut aux = body as u16;
    for (set, bit) in [
        (request.timed, DispatchAux::Timed),
        (reports_connection, DispatchAux::Assigned),
        (limits.is_some(), DispatchAux::Limits),
    ] {
        if set {
            aux |= bit as u16;
        }
    }
    put_record(out, Submission::Dispatch as u8, flags, aux, target, |out| {
        let decode = request.decode.map(decode_numbers);
        let numbers = numbers.into_iter().chain(decode.into_iter().flatten());
        for number in numbers.chain(limits.into_iter().flatten()) {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&request.head);
        out.extend_from_slice(full);
    });
}

/// Appends any other submission.
pub fn put_submission(out: &mut Vec<u8>, target: Target, submitted: &Submitted) {
    let flags = match submitted {
        Submitted::Credit { paused: true, .. } => CreditFlag::Paused as u8,
        Submitted::BodyLeft => BODY_IS_SHORT,
        Submitted::Reset => CANCEL_RESETS,
        Submitted::LookupResult(Err(_)) => LOOKUP_FAILED,
        _ => 0,
    };
    let mut put = |kind: Submission, payload: &[u8]| {
        put_record(out, kind as u8, flags, 0, target, |out| {
            out.extend_from_slice(payload);
        });
    };
    match submitted {
        Submitted::Dispatch {
            pool,
            request,
            reports_connection,
        } => put_dispatch(out, target, *pool, request, *reports_connection),
        Submitted::BodyChunk(chunk) => put(Submission::BodyChunk, chunk),
        Submitted::BodyEnd(trailers) => {
            let mut fields = Vec::new();
            put_fields(&mut fields, trailers);
            put(Submission::BodyEnd, &fields);
        }
        Submitted::BodyLeft => put(Submission::BodyEnd, &[]),
        Submitted::Cancel | Submitted::Reset => put(Submission::Cancel, &[]),
        Submitted::Credit { bytes, .. } => put(Submission::Credit, &bytes.to_le_bytes()),
        Submitted::PoolCreate(options) => put(Submission::PoolCreate, options),
        Submitted::PoolConfigure(options) => put(Submission::PoolConfigure, options),
        Submitted::PoolClose => put(Submission::PoolClose, &[]),
        Submitted::PoolDestroy => put(Submission::PoolDestroy, &[]),
        Submitted::PoolConnect => put(Submission::PoolConnect, &[]),
        Submitted::PoolPipelining(depth) => put(Submission::PoolPipelining, &depth.to_le_bytes()),
        Submitted::PoolInspect => put(Submission::PoolInspect, &[]),
        Submitted::PoolPreconnect(count) => put(Submission::PoolPreconnect, &count.to_le_bytes()),
        Submitted::ConnectionDestroy => put(Submission::ConnectionDestroy, &[]),
        Submitted::ConnectionGiveUp => put(Submission::ConnectionGiveUp, &[]),
        Submitted::LookupResult(Ok(addresses)) => {
            let lines: String = addresses.iter().map(|found| format!("{found}\n")).collect();
            put(Submission::LookupResult, lines.as_bytes());
        }
        Submitted::LookupResult(Err(error)) => put(Submission::LookupResult, &error.to_le_bytes()),
    }
}

/// The numbers of a `Dispatch` with [`DispatchFlag::Decode`].
fn decode_numbers(decode: Decode) -> [u32; 3] {
    let manner = match decode.manner {
        DecodeManner::Interceptor => WireDecode::Interceptor,
        DecodeManner::Fetch => WireDecode::Fetch,
        DecodeManner::FetchFollowing => WireDecode::FetchFollowing,
    };
    let max_size = decode.max_size.map_or(0, NonZeroU64::get);
    [manner as u32, max_size as u32, (max_size >> 32) as u32]
}

/// Appends text or bytes.
pub fn put_option(out: &mut Vec<u8>, key: OptionKey, value: &[u8]) {
    put_bytes(out, key as u16, value);
}

/// Appends a number.
pub fn put_number_option(out: &mut Vec<u8>, key: OptionKey, value: f64) {
    put_bytes(out, key as u16, &value.to_le_bytes());
}

/// Appends a boolean.
pub fn put_flag_option(out: &mut Vec<u8>, key: OptionKey, value: bool) {
    put_bytes(out, key as u16, &[value.into()]);
}

/// One decoded completion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completed<'a> {
    /// A head: which, the head itself, whether the connection was reused.
    Head(HeadKind, ResponseHead, Over),
    /// A chunk inside the batch.
    Data(&'a [u8]),
    /// A chunk in a slab.
    LargeData(InSlab),
    /// The end, with trailers.
    End(HeaderBlock),
    /// The end of a decoded response, with trailers and the bytes received.
    EndDecoded(HeaderBlock, u64),
    /// A failure: error payload.
    Error(&'a [u8]),
    /// Requested request body bytes.
    Pull(u32),
    /// When the parts of a request happened: payload.
    Timings(&'a [u8]),
    /// The connection that takes the request, by its serial number.
    Assigned(u32),
    /// Payload of a new connection.
    Connected(&'a [u8]),
    /// Payload of a connection's end.
    Disconnected(&'a [u8]),
    /// A failed attempt: error payload.
    ConnectFailed(&'a [u8]),
    /// An attempt that was given up.
    ConnectGivenUp,
    /// The answer to a question: whether it failed, and its payload.
    Answer(bool, &'a [u8]),
    /// The end of a pool.
    PoolClosed,
    /// How many concurrent requests a connection takes.
    Concurrency(u32),
    /// An acknowledged PING: its round trip in microseconds.
    Pong(u32),
    /// A name to resolve.
    Lookup(&'a str),
    /// A server to judge: its host, and its chain.
    Identity(Vec<&'a [u8]>),
    /// An address to judge, and its host.
    Address(&'a str, &'a str),
}

/// Decodes the next completion of a batch; `None` at its end.
pub fn read_completion<'a>(
    batch: &mut Reader<'a>,
) -> Result<Option<(Target, Completed<'a>)>, Malformed> {
    if batch.is_empty() {
        return Ok(None);
    }
    let header = Header::read(batch)?;
    let payload = batch.take_padded(header.len as usize)?;
    let kind = Completion::from_wire(header.kind).ok_or(Malformed("unknown completion"))?;
    let completed = match kind {
        Completion::Head => read_head(HeadKind::Final, &header, payload)?,
        Completion::Informational => read_head(HeadKind::Informational, &header, payload)?,
        Completion::Upgrade => read_head(HeadKind::Upgrade, &header, payload)?,
        Completion::Data if header.flags & DATA_IS_LARGE != 0 => {
            let mut place = Reader::new(payload);
            Completed::LargeData(InSlab {
                slab: place.u32()?,
                offset: place.u32()?,
                length: place.u32()?,
            })
        }
        Completion::Data => Completed::Data(payload),
        Completion::End if header.flags & END_IS_DECODED != 0 => {
            let mut reader = Reader::new(payload);
            let received = reader.f64()? as u64;
            Completed::EndDecoded(read_fields(reader.take_rest())?, received)
        }
        Completion::End => Completed::End(read_fields(payload)?),
        Completion::Error => Completed::Error(payload),
        Completion::Pull => Completed::Pull(Reader::new(payload).u32()?),
        Completion::Timings => Completed::Timings(payload),
        Completion::Assigned => Completed::Assigned(Reader::new(payload).u32()?),
        Completion::Connected => Completed::Connected(payload),
        Completion::Disconnected => Completed::Disconnected(payload),
        Completion::ConnectFailed => Completed::ConnectFailed(payload),
        Completion::ConnectGivenUp => Completed::ConnectGivenUp,
        Completion::Answer => Completed::Answer(header.flags & ANSWER_FAILED != 0, payload),
        Completion::PoolClosed => Completed::PoolClosed,
        Completion::Concurrency => Completed::Concurrency(Reader::new(payload).u32()?),
        Completion::Pong => Completed::Pong(Reader::new(payload).u32()?),
        Completion::Lookup => Completed::Lookup(read_text(payload)?),
        Completion::Address => {
            let (address, host) = read_text(payload)?
                .split_once('\n')
                .ok_or(Malformed("an address has no host"))?;
            Completed::Address(address, host)
        }
        Completion::Identity => {
            let mut items = Vec::new();
            let mut reader = Reader::new(payload);
            while !reader.is_empty() {
                let length = reader.u32()? as usize;
                items.push(reader.take(length)?);
            }
            Completed::Identity(items)
        }
    };
    Ok(Some((header.target, completed)))
}

fn read_text(payload: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(payload).map_err(|_| Malformed("a name is not UTF-8"))
}

fn read_head<'a>(
    kind: HeadKind,
    header: &Header,
    payload: &[u8],
) -> Result<Completed<'a>, Malformed> {
    let flag = |flag: HeadFlag| header.flags & flag as u8 != 0;
    let version = if flag(HeadFlag::Http2) {
        Version::Http2
    } else if flag(HeadFlag::Http10) {
        Version::Http10
    } else {
        Version::Http11
    };
    let mut rest = payload;
    let mut reason = take_line(&mut rest)?.to_vec();
    let mut stream = 0;
    if version == Version::Http2 {
        let number = std::mem::take(&mut reason);
        stream = std::str::from_utf8(&number)
            .ok()
            .and_then(|number| number.parse().ok())
            .ok_or(Malformed("a stream id is not a number"))?;
    }
    let head = ResponseHead {
        version,
        status: header.aux,
        reason,
        headers: read_fields(rest)?,
    };
    let over = Over {
        reused: flag(HeadFlag::Reused),
        stream,
        decoded: flag(HeadFlag::Decoded),
        last: flag(HeadFlag::Last),
    };
    Ok(Completed::Head(kind, head, over))
}
