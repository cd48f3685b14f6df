//! Completions: records from Rust to JavaScript.
//!
//! The addon's sink appends them to its thread's batch; `node/src/wire` decodes them, for tests the
//! testkit's `wire`.
//!
//! # Protocol
//! - For one request: any number of `Informational`, then `Head`, `Data`…, `End`; or `Upgrade`,
//!   `Data`…, `End`; or at any point `Error`, which is the last. `Pull` may come in between.
//! - `Timings` precedes the final head, and the last record, of a timed request.
//! - `Assigned` precedes these, and comes again when the request is replayed. It follows the
//!   `Connected` of its connection.
//! - Nothing follows a request's last record. Once `Cancel` was read, only the last one is sent,
//!   when the engine has released the request: an `End` without trailers, of a timed request after
//!   its `Timings`. If the abort cost the
//!   connection, its `Disconnected` follows.
//! - Body bytes in `Data` consume the window; JavaScript returns them with `Credit`.
//! - For one connection: `Connected`, any number of `Concurrency` and `Pong`, `Disconnected`; or
//!   only `ConnectFailed` or `ConnectGivenUp`. The serial number in `generation` starts at 1 in each pool; 0 in a
//!   `ConnectFailed` means that the pool itself could not be created, and every request on it fails
//!   with the same error.
//!
//! # Connected payload
//! Tagged values ([`Field`]): `Conn`, `Protocol`, `TotalTime`; `LocalAddress`, `LocalPort`,
//! `RemoteAddress`, `RemotePort` or, for a Unix socket, `Path`; with TLS `TlsVersion`, `Cipher`,
//! `AlpnProtocol`, `Resumed`, `ServerName`, `Authorized`, `Certificate`; `DnsTime`, `TcpTime`,
//! `TlsTime` for each leg that happened; `Started`.
//!
//! # Disconnected payload
//! Tagged values: `Reason`, `BytesWritten`, `BytesRead`, `Requests`, `Age`, and `Cause`, an error
//! payload, if an error ended the connection.
//!
//! # Answer payload
//! Tagged values: to `PoolPreconnect` `Ready`; to `PoolInspect` a `Status` for each connection, of
//! tagged values: `Conn`, `Activity`, `Open`, `Age`, `BytesWritten`, `BytesRead`, `Requests`, and
//! `Protocol`, addresses and `Idle` where they apply.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use dodici_pool::{
    CloseReason, ConnId, ConnectInfo, ConnectionStatus, DisconnectInfo, Error, HeaderBlock,
    Protocol, RequestTimings, ResponseHead, Version,
};

use crate::errors::{put_addresses, put_error, put_text};
use crate::frame::{Target, put_record};
use crate::headers::{put_fields, put_line, put_number};
use crate::schema::{Completion, Field, HeadFlag, WireCloseReason};
use crate::tagged::{put_bytes, put_display, put_f64, put_u32, put_with};

/// `flags` of a `Data` record whose chunk is in a slab.
pub const DATA_IS_LARGE: u8 = 1;

/// `flags` of a `Timings` record whose request is the first one on its connection.
pub const CONNECTION_IS_NEW: u8 = 1;

/// The zero of the times of an environment.
#[derive(Clone, Copy, Debug)]
pub struct Epoch(pub Instant);

impl Epoch {
    /// Milliseconds from it to `at`.
    pub fn millis(self, at: Instant) -> f64 {
        millis(at.saturating_duration_since(self.0))
    }
}

/// `flags` of an `End` record that begins with the bytes received.
pub const END_IS_DECODED: u8 = 1;

/// Which of the three records with a response head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadKind {
    /// The final head.
    Final,
    /// 1xx.
    Informational,
    /// The head that turns the connection into a byte stream.
    Upgrade,
}

/// The connection a response head arrived on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Over {
    /// The connection had served a request before.
    pub reused: bool,
    /// HTTP/2 stream id; 0 if not reported.
    pub stream: u32,
    /// The body is decoded.
    pub decoded: bool,
    /// The connection ends with the response.
    pub last: bool,
}

/// Appends a response head. HTTP/2 has no reason phrase (RFC 9113, section 8.3.2): the stream id
/// takes its place.
pub fn put_head(
    out: &mut Vec<u8>,
    kind: HeadKind,
    target: Target,
    head: &ResponseHead,
    over: Over,
) {
    let kind = match kind {
        HeadKind::Final => Completion::Head,
        HeadKind::Informational => Completion::Informational,
        HeadKind::Upgrade => Completion::Upgrade,
    };
    let mut flags = match head.version {
        Version::Http09 | Version::Http10 => HeadFlag::Http10 as u8,
        Version::Http11 => 0,
        Version::Http2 | Version::Http3 => HeadFlag::Http2 as u8,
    };
    if over.reused {
        flags |= HeadFlag::Reused as u8;
    }
    if over.decoded {
        flags |= HeadFlag::Decoded as u8;
    }
    if over.last {
        flags |= HeadFlag::Last as u8;
    }
    put_record(out, kind as u8, flags, head.status, target, |out| {
        if matches!(head.version, Version::Http2 | Version::Http3) {
            put_number(out, over.stream);
        } else {
            put_line(out, &head.reason);
        }
        put_fields(out, &head.headers);
    });
}

/// Appends a body chunk.
pub fn put_data(out: &mut Vec<u8>, target: Target, chunk: &[u8]) {
    put_record(out, Completion::Data as u8, 0, 0, target, |out| {
        out.extend_from_slice(chunk);
    });
}

/// Where a large chunk is in the slabs that accompany the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InSlab {
    /// Which slab.
    pub slab: u32,
    /// First byte in it.
    pub offset: u32,
    /// Number of bytes.
    pub length: u32,
}

/// Appends a reference to a chunk in a slab.
pub fn put_large_data(out: &mut Vec<u8>, target: Target, place: InSlab) {
    put_record(
        out,
        Completion::Data as u8,
        DATA_IS_LARGE,
        0,
        target,
        |out| {
            for word in [place.slab, place.offset, place.length] {
                out.extend_from_slice(&word.to_le_bytes());
            }
        },
    );
}

/// Appends the end of a response.
pub fn put_end(out: &mut Vec<u8>, target: Target, trailers: &HeaderBlock) {
    put_record(out, Completion::End as u8, 0, 0, target, |out| {
        put_fields(out, trailers);
    });
}

/// Appends the end of a response that was decoded; `received`: the bytes its body had before.
pub fn put_end_decoded(out: &mut Vec<u8>, target: Target, trailers: &HeaderBlock, received: u64) {
    let flags = END_IS_DECODED;
    put_record(out, Completion::End as u8, flags, 0, target, |out| {
        out.extend_from_slice(&(received as f64).to_le_bytes());
        put_fields(out, trailers);
    });
}

/// Appends the failure of a request.
pub fn put_failure(out: &mut Vec<u8>, target: Target, error: &Error) {
    put_record(out, Completion::Error as u8, 0, 0, target, |out| {
        put_error(out, error);
    });
}

/// Appends a request for request body bytes.
pub fn put_pull(out: &mut Vec<u8>, target: Target, bytes: u32) {
    put_record(out, Completion::Pull as u8, 0, 0, target, |out| {
        out.extend_from_slice(&bytes.to_le_bytes());
    });
}

/// Appends the timings of a request. `serial`: its connection's serial number, 0 for none.
pub fn put_timings(
    out: &mut Vec<u8>,
    target: Target,
    epoch: Epoch,
    serial: u32,
    timings: &RequestTimings,
) {
    let flags = if timings.is_new { CONNECTION_IS_NEW } else { 0 };
    put_record(out, Completion::Timings as u8, flags, 0, target, |out| {
        out.extend_from_slice(&u64::from(serial).to_le_bytes());
        for at in [
            timings.assigned,
            timings.head_sent,
            timings.body_sent,
            timings.first_byte,
            timings.ended,
        ] {
            let at = at.map_or(0.0, |at| epoch.millis(at));
            out.extend_from_slice(&at.to_le_bytes());
        }
    });
}

/// Appends the connection that takes a request, by its serial number.
pub fn put_assigned(out: &mut Vec<u8>, target: Target, serial: u32) {
    put_record(out, Completion::Assigned as u8, 0, 0, target, |out| {
        out.extend_from_slice(&serial.to_le_bytes());
    });
}

/// Appends a new connection. `target`: pool and serial number.
pub fn put_connected(
    out: &mut Vec<u8>,
    target: Target,
    conn: ConnId,
    epoch: Epoch,
    info: &ConnectInfo,
) {
    put_record(out, Completion::Connected as u8, 0, 0, target, |out| {
        put_display(out, Field::Conn as u16, conn);
        put_text(out, Field::Protocol, info.protocol.as_str());
        put_addresses(out, info.local, info.remote);
        put_text(out, Field::Path, info.path.as_deref().unwrap_or_default());
        if let Some(tls) = &info.tls {
            put_text(out, Field::TlsVersion, tls.version);
            put_text(out, Field::Cipher, tls.cipher);
            put_text(
                out,
                Field::AlpnProtocol,
                tls.alpn.as_deref().unwrap_or_default(),
            );
            put_u32(out, Field::Resumed as u16, tls.resumed.into());
            put_text(
                out,
                Field::ServerName,
                tls.server_name.as_deref().unwrap_or_default(),
            );
            put_u32(out, Field::Authorized as u16, tls.verified.into());
            if let Some(certificate) = &tls.peer_certificate {
                put_bytes(out, Field::Certificate as u16, certificate);
            }
        }
        if let Some(answer) = info.proxy.as_ref().and_then(|proxy| proxy.answer.as_ref()) {
            put_u32(out, Field::ProxyStatus as u16, answer.status.into());
            put_with(out, Field::ProxyHeaders as u16, |out| {
                put_fields(out, &answer.headers);
            });
        }
        for (field, leg) in [
            (Field::DnsTime, info.timings.dns),
            (Field::TcpTime, info.timings.tcp),
            (
                Field::ProxyTime,
                info.proxy.as_ref().map(|proxy| proxy.time),
            ),
            (Field::TlsTime, info.timings.tls),
            (Field::TotalTime, Some(info.timings.total)),
        ] {
            if let Some(leg) = leg {
                put_f64(out, field as u16, millis(leg));
            }
        }
        if let Some(started) = info.timings.started {
            put_f64(out, Field::Started as u16, epoch.millis(started));
        }
    });
}

/// Appends a connection's end. `target`: pool and serial number.
pub fn put_disconnected(out: &mut Vec<u8>, target: Target, info: &DisconnectInfo) {
    put_record(out, Completion::Disconnected as u8, 0, 0, target, |out| {
        let reason = wire_close_reason(info.reason);
        put_u32(out, Field::Reason as u16, reason as u32);
        put_f64(out, Field::BytesWritten as u16, info.bytes_written as f64);
        put_f64(out, Field::BytesRead as u16, info.bytes_read as f64);
        put_f64(out, Field::Requests as u16, info.requests as f64);
        put_f64(out, Field::Age as u16, millis(info.age));
        if let Some(error) = &info.error {
            put_with(out, Field::Cause as u16, |out| put_error(out, error));
        }
    });
}

/// Appends a failed connection attempt. `target`: pool and serial number, 0 for the pool itself.
pub fn put_connect_failed(out: &mut Vec<u8>, target: Target, error: &Error) {
    put_record(out, Completion::ConnectFailed as u8, 0, 0, target, |out| {
        put_error(out, error);
    });
}

/// Appends a connection attempt that was given up. `target`: pool and serial number.
pub fn put_connect_given_up(out: &mut Vec<u8>, target: Target) {
    put_record(out, Completion::ConnectGivenUp as u8, 0, 0, target, |_| {});
}

/// Appends a connection's concurrency limit. `target`: pool and serial number.
pub fn put_concurrency(out: &mut Vec<u8>, target: Target, streams: u32) {
    put_record(out, Completion::Concurrency as u8, 0, 0, target, |out| {
        out.extend_from_slice(&streams.to_le_bytes());
    });
}

/// Appends an acknowledged PING. `target`: pool and serial number.
pub fn put_pong(out: &mut Vec<u8>, target: Target, round_trip: Duration) {
    let micros = u32::try_from(round_trip.as_micros()).unwrap_or(u32::MAX);
    put_record(out, Completion::Pong as u8, 0, 0, target, |out| {
        out.extend_from_slice(&micros.to_le_bytes());
    });
}

/// Appends a name for JavaScript to resolve. `target`: pool and number of the lookup.
pub fn put_lookup(out: &mut Vec<u8>, target: Target, host: &str) {
    put_record(out, Completion::Lookup as u8, 0, 0, target, |out| {
        out.extend_from_slice(host.as_bytes());
    });
}

/// Appends a server for JavaScript to judge. `target`: pool and number of the question.
pub fn put_identity(
    out: &mut Vec<u8>,
    target: Target,
    is_proxy: bool,
    host: &str,
    chain: &[Vec<u8>],
) {
    let flags = u8::from(is_proxy);
    put_record(out, Completion::Identity as u8, flags, 0, target, |out| {
        let certificates = chain.iter().map(Vec::as_slice);
        for item in std::iter::once(host.as_bytes()).chain(certificates) {
            out.extend_from_slice(&(item.len() as u32).to_le_bytes());
            out.extend_from_slice(item);
        }
    });
}

/// Appends an address for JavaScript to judge. `target`: pool and number of the question.
pub fn put_address(
    out: &mut Vec<u8>,
    target: Target,
    is_proxied: bool,
    address: IpAddr,
    host: &str,
) {
    let flags = u8::from(is_proxied);
    put_record(out, Completion::Address as u8, flags, 0, target, |out| {
        put_line(out, address.to_string().as_bytes());
        out.extend_from_slice(host.as_bytes());
    });
}

/// `flags` of an `Answer` record that reports a failure.
pub const ANSWER_FAILED: u8 = 1;

/// Appends how many connections are ready, or why none is. `target`: pool and question.
pub fn put_ready(out: &mut Vec<u8>, target: Target, ready: Result<u32, &Error>) {
    let flags = if ready.is_ok() { 0 } else { ANSWER_FAILED };
    put_record(
        out,
        Completion::Answer as u8,
        flags,
        0,
        target,
        |out| match ready {
            Ok(ready) => put_u32(out, Field::Ready as u16, ready),
            Err(error) => put_error(out, error),
        },
    );
}

/// Appends what connections are doing. `target`: pool and question.
pub fn put_connections(out: &mut Vec<u8>, target: Target, connections: &[ConnectionStatus]) {
    put_record(out, Completion::Answer as u8, 0, 0, target, |out| {
        for status in connections {
            put_with(out, Field::Status as u16, |out| put_status(out, status));
        }
    });
}

fn put_status(out: &mut Vec<u8>, status: &ConnectionStatus) {
    put_display(out, Field::Conn as u16, status.conn);
    put_text(out, Field::Activity, status.activity.as_str());
    put_u32(out, Field::Open as u16, status.open);
    put_f64(out, Field::Age as u16, millis(status.age));
    if let Some(idle) = status.idle {
        put_f64(out, Field::Idle as u16, millis(idle));
    }
    let protocol = status.protocol.map_or("", Protocol::as_str);
    put_text(out, Field::Protocol, protocol);
    put_addresses(out, status.local, status.remote);
    put_f64(out, Field::Requests as u16, status.requests as f64);
    put_f64(out, Field::BytesWritten as u16, status.bytes_written as f64);
    put_f64(out, Field::BytesRead as u16, status.bytes_read as f64);
}

/// Appends the end of a pool.
pub fn put_pool_closed(out: &mut Vec<u8>, pool: u32) {
    let target = Target {
        slot: pool,
        generation: 0,
    };
    put_record(out, Completion::PoolClosed as u8, 0, 0, target, |_| {});
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// The number for a close reason.
pub const fn wire_close_reason(reason: CloseReason) -> WireCloseReason {
    match reason {
        CloseReason::IdleTimeout => WireCloseReason::IdleTimeout,
        CloseReason::Expired => WireCloseReason::Expired,
        CloseReason::MaxRequests => WireCloseReason::MaxRequests,
        CloseReason::NotReusable => WireCloseReason::NotReusable,
        CloseReason::PeerClosed => WireCloseReason::PeerClosed,
        CloseReason::UnsolicitedData => WireCloseReason::UnsolicitedData,
        CloseReason::ProtocolError => WireCloseReason::ProtocolError,
        CloseReason::IoError => WireCloseReason::IoError,
        CloseReason::Timeout => WireCloseReason::Timeout,
        CloseReason::Aborted => WireCloseReason::Aborted,
        CloseReason::Upgraded => WireCloseReason::Upgraded,
        CloseReason::PoolClosed => WireCloseReason::PoolClosed,
        CloseReason::PoolDestroyed => WireCloseReason::PoolDestroyed,
        CloseReason::MadeRoom => WireCloseReason::MadeRoom,
        CloseReason::Superseded => WireCloseReason::Superseded,
        // `Panicked`; the test below fails for a reason that is missing here.
        _ => WireCloseReason::Panicked,
    }
}

#[cfg(test)]
mod tests {
    use dodici_pool::CloseReason;

    use super::wire_close_reason;
    use crate::schema::WireCloseReason;

    #[test]
    fn every_close_reason_has_its_own_number() {
        let names = CloseReason::ALL.iter().map(|reason| format!("{reason:?}"));
        let wire = CloseReason::ALL
            .iter()
            .map(|reason| wire_close_reason(*reason));
        assert!(names.eq(wire.map(|reason| format!("{reason:?}"))));
        assert_eq!(CloseReason::ALL.len(), WireCloseReason::TABLE.len());
    }
}
