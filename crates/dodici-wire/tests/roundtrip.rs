//! Encoding and decoding is lossless, and random bytes are an error, never a panic.

#![allow(clippy::unwrap_used)]

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU64;
use std::time::Duration;

use bytes::Bytes;
use dodici_pool::{
    BodyKind, Decode, DecodeManner, Error, ErrorKind, HeaderBlock, Phase, Request, RequestKind,
    ResponseHead, Version,
};
use dodici_testkit::wire::{Completed, put_submission, read_completion};
use dodici_testkit::with;
use dodici_wire::completion::{self, HeadKind, Over};
use dodici_wire::cursor::Reader;
use dodici_wire::errors::put_error;
use dodici_wire::options::PoolOptions;
use dodici_wire::submission::{FoundAddress, Submitted, submissions};
use dodici_wire::tagged::TaggedReader;
use dodici_wire::{Target, count_records};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn target() -> impl Strategy<Value = Target> {
    (any::<u32>(), any::<u32>()).prop_map(|(slot, generation)| Target { slot, generation })
}

/// Bytes without a line feed.
fn line() -> impl Strategy<Value = Vec<u8>> {
    vec(
        any::<u8>().prop_filter("a line feed", |byte| *byte != b'\n'),
        0..20,
    )
}

fn fields() -> impl Strategy<Value = HeaderBlock> {
    vec((line(), line()), 0..6).prop_map(|pairs| pairs.into_iter().collect())
}

fn bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..100).prop_map(Bytes::from)
}

fn timeout() -> impl Strategy<Value = Option<Duration>> {
    prop_oneof![
        Just(None),
        (0..u32::MAX - 1).prop_map(|millis| Some(Duration::from_millis(millis.into()))),
    ]
}

fn decode() -> impl Strategy<Value = Decode> {
    let manner = prop_oneof![
        Just(DecodeManner::Interceptor),
        Just(DecodeManner::Fetch),
        Just(DecodeManner::FetchFollowing),
    ];
    (manner, option::of(1..=u64::MAX)).prop_map(|(manner, max_size)| {
        with(Decode::new(manner), |decode| {
            decode.max_size = max_size.and_then(NonZeroU64::new)
        })
    })
}

prop_compose! {
    fn request()(
        head in bytes(),
        kind in prop_oneof![
            Just(RequestKind::Plain),
            Just(RequestKind::Head),
            Just(RequestKind::Connect),
            Just(RequestKind::Upgrade),
        ],
        body in prop_oneof![
            Just(BodyKind::None),
            bytes().prop_map(BodyKind::Full),
            any::<u64>().prop_map(BodyKind::Sized),
            Just(BodyKind::Chunked),
        ],
        flags in any::<[bool; 5]>(),
        headers_timeout in timeout(),
        body_timeout in timeout(),
        decode in option::of(decode()),
    ) -> Request {
        let [idempotent, blocking, reset, expect_continue, timed] = flags;
        with(Request::new(head).with_kind(kind).with_body(body), |request| {
            request.idempotent = idempotent;
            request.blocking = blocking;
            request.reset = reset;
            request.expect_continue = expect_continue;
            request.timed = timed;
            request.headers_timeout = headers_timeout;
            request.body_timeout = body_timeout;
            request.decode = decode;
        })
    }
}

fn submitted() -> impl Strategy<Value = Submitted> {
    prop_oneof![
        (any::<u32>(), request(), any::<bool>()).prop_map(|(pool, request, reports_connection)| {
            Submitted::Dispatch {
                pool,
                request,
                reports_connection,
            }
        }),
        bytes().prop_map(Submitted::BodyChunk),
        fields().prop_map(Submitted::BodyEnd),
        Just(Submitted::BodyLeft),
        Just(Submitted::Cancel),
        Just(Submitted::Reset),
        any::<(u32, bool)>().prop_map(|(bytes, paused)| Submitted::Credit { bytes, paused }),
        bytes().prop_map(Submitted::PoolCreate),
        bytes().prop_map(Submitted::PoolConfigure),
        Just(Submitted::PoolClose),
        Just(Submitted::PoolDestroy),
        Just(Submitted::PoolConnect),
        any::<u32>().prop_map(Submitted::PoolPipelining),
        Just(Submitted::ConnectionDestroy),
        Just(Submitted::ConnectionGiveUp),
        vec(found(), 0..4).prop_map(|addresses| Submitted::LookupResult(Ok(addresses))),
        any::<u32>().prop_map(|error| Submitted::LookupResult(Err(error))),
    ]
}

fn found() -> impl Strategy<Value = FoundAddress> {
    let zoned = |(ip, zone): (Ipv6Addr, String)| FoundAddress {
        ip: ip.into(),
        zone: Some(zone),
    };
    prop_oneof![
        any::<IpAddr>().prop_map(FoundAddress::from),
        (any::<Ipv6Addr>(), "[a-z0-9]{1,8}").prop_map(zoned),
    ]
}

prop_compose! {
    fn head()(
        version in prop_oneof![Just(Version::Http10), Just(Version::Http11), Just(Version::Http2)],
        status in 100..1000u16,
        reason in line(),
        headers in fields(),
    ) -> ResponseHead {
        ResponseHead { version, status, reason, headers }
    }
}

prop_compose! {
    fn over()(
        reused in any::<bool>(), stream in any::<u32>(), decoded in any::<bool>(), last in any::<bool>()
    ) -> Over {
        Over { reused, stream, decoded, last }
    }
}

#[derive(Clone, Debug)]
enum Put {
    Head(HeadKind, ResponseHead, Over),
    Data(Bytes),
    LargeData(u32, u32, u32),
    End(HeaderBlock),
    Pull(u32),
    Assigned(u32),
    PoolClosed,
    Concurrency(u32),
    Pong(u32),
    Lookup(String),
    Identity(String, Vec<Vec<u8>>),
    Address(String, String),
}

fn in_slab(slab: u32, offset: u32, length: u32) -> completion::InSlab {
    completion::InSlab {
        slab,
        offset,
        length,
    }
}

fn put() -> impl Strategy<Value = Put> {
    let kind = prop_oneof![
        Just(HeadKind::Final),
        Just(HeadKind::Informational),
        Just(HeadKind::Upgrade)
    ];
    prop_oneof![
        (kind, head(), over()).prop_map(|(kind, mut head, mut over)| {
            if head.version == Version::Http2 {
                head.reason.clear();
            } else {
                over.stream = 0;
            }
            Put::Head(kind, head, over)
        }),
        bytes().prop_map(Put::Data),
        any::<(u32, u32, u32)>().prop_map(|(a, b, c)| Put::LargeData(a, b, c)),
        fields().prop_map(Put::End),
        any::<u32>().prop_map(Put::Pull),
        any::<u32>().prop_map(Put::Assigned),
        Just(Put::PoolClosed),
        any::<u32>().prop_map(Put::Concurrency),
        any::<u32>().prop_map(Put::Pong),
        "[a-zé.]{0,20}".prop_map(Put::Lookup),
        ("[a-zé.]{0,20}", vec(vec(any::<u8>(), 0..9), 0..3))
            .prop_map(|(host, chain)| Put::Identity(host, chain)),
        (any::<IpAddr>(), "[a-zé.]{0,20}")
            .prop_map(|(address, host)| Put::Address(address.to_string(), host)),
    ]
}

proptest! {
    #[test]
    fn submissions_survive_a_round_trip(records in vec((target(), submitted()), 0..8)) {
        let mut out = Vec::new();
        for (target, submitted) in &records {
            put_submission(&mut out, *target, submitted);
        }
        prop_assert_eq!(count_records(&out), Ok(records.len() as u32));
        let back: Vec<_> = submissions(out.into())
            .map(|record| record.map(|(header, submitted)| (header.target, submitted)))
            .collect::<Result<_, _>>()
            .unwrap();
        prop_assert_eq!(format!("{back:?}"), format!("{records:?}"));
    }

    #[test]
    fn completions_survive_a_round_trip(records in vec((target(), put()), 0..8)) {
        let mut out = Vec::new();
        for (to, put) in &records {
            match put {
                Put::Head(kind, head, over) => {
                    completion::put_head(&mut out, *kind, *to, head, *over);
                }
                Put::Data(chunk) => completion::put_data(&mut out, *to, chunk),
                Put::LargeData(slab, offset, length) => {
                    completion::put_large_data(&mut out, *to, in_slab(*slab, *offset, *length));
                }
                Put::End(trailers) => completion::put_end(&mut out, *to, trailers),
                Put::Pull(bytes) => completion::put_pull(&mut out, *to, *bytes),
                Put::Assigned(serial) => completion::put_assigned(&mut out, *to, *serial),
                Put::PoolClosed => completion::put_pool_closed(&mut out, to.slot),
                Put::Concurrency(streams) => completion::put_concurrency(&mut out, *to, *streams),
                Put::Pong(micros) => {
                    let took = Duration::from_micros(u64::from(*micros));
                    completion::put_pong(&mut out, *to, took);
                }
                Put::Lookup(host) => completion::put_lookup(&mut out, *to, host),
                Put::Identity(host, chain) => {
                    completion::put_identity(&mut out, *to, true, host, chain);
                }
                Put::Address(address, host) => {
                    completion::put_address(&mut out, *to, false, address.parse().unwrap(), host);
                }
            }
        }
        let mut reader = Reader::new(&out);
        for (to, put) in &records {
            let (target, completed) = read_completion(&mut reader).unwrap().unwrap();
            let expected = match put {
                Put::Head(kind, head, over) => Completed::Head(*kind, head.clone(), *over),
                Put::Data(chunk) => Completed::Data(chunk),
                Put::LargeData(slab, offset, length) => {
                    Completed::LargeData(in_slab(*slab, *offset, *length))
                }
                Put::End(trailers) => Completed::End(trailers.clone()),
                Put::Pull(bytes) => Completed::Pull(*bytes),
                Put::Assigned(serial) => Completed::Assigned(*serial),
                Put::PoolClosed => Completed::PoolClosed,
                Put::Concurrency(streams) => Completed::Concurrency(*streams),
                Put::Pong(micros) => Completed::Pong(*micros),
                Put::Lookup(host) => Completed::Lookup(host),
                Put::Identity(host, chain) => {
                    let certificates = chain.iter().map(Vec::as_slice);
                    Completed::Identity(std::iter::once(host.as_bytes()).chain(certificates).collect())
                }
                Put::Address(address, host) => Completed::Address(address, host),
            };
            prop_assert_eq!(completed, expected);
            prop_assert_eq!(target.slot, to.slot);
        }
        prop_assert_eq!(read_completion(&mut reader), Ok(None));
    }

    #[test]
    fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..200)) {
        let _ = count_records(&bytes);
        let _ = PoolOptions::decode(&bytes);
        let _ = TaggedReader::new(&bytes).count();
        let mut reader = Reader::new(&bytes);
        while let Ok(Some(_)) = read_completion(&mut reader) {}
        for record in submissions(bytes.into()) {
            let _ = record;
        }
    }

    #[test]
    fn broken_submissions_never_panic(
        records in vec((target(), submitted()), 1..4),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut out = Vec::new();
        for (target, submitted) in &records {
            put_submission(&mut out, *target, submitted);
        }
        let at = at.index(out.len());
        out[at] = byte;
        for record in submissions(out.into()) {
            let _ = record;
        }
    }
}

#[test]
fn a_bad_record_does_not_affect_the_next_one() {
    let to = Target {
        slot: 1,
        generation: 2,
    };
    let mut out = Vec::new();
    put_submission(&mut out, to, &Submitted::Cancel);
    out[0] = 200;
    let credit = Submitted::Credit {
        bytes: 5,
        paused: true,
    };
    put_submission(&mut out, to, &credit);
    let mut records = submissions(out.into());
    let bad = records.next().unwrap().unwrap_err();
    assert_eq!(bad.header.unwrap().target, to);
    assert!(matches!(
        records.next(),
        Some(Ok((
            _,
            Submitted::Credit {
                bytes: 5,
                paused: true
            }
        )))
    ));
    assert!(records.next().is_none());
}

#[test]
fn an_unreadable_header_ends_the_flush() {
    let mut records = submissions(Bytes::from_static(&[1; 17]));
    assert_eq!(records.next().unwrap().unwrap_err().header, None);
    assert!(records.next().is_none());
}

#[test]
fn the_attempts_of_an_error_are_nested_payloads() {
    let refused = Error::new(ErrorKind::Connect, Phase::Connect, "refused");
    let error = Error::new(ErrorKind::Connect, Phase::Connect, "all failed")
        .with_attempts(vec![refused.clone(), refused.clone()]);
    let mut nested = Vec::new();
    put_error(&mut nested, &refused);
    let mut out = Vec::new();
    put_error(&mut out, &error);
    let attempts: Vec<_> = TaggedReader::new(&out)
        .map(Result::unwrap)
        .filter(|(tag, _)| *tag == dodici_wire::schema::Field::Attempt as u16)
        .map(|(_, value)| value)
        .collect();
    assert_eq!(attempts, [&nested, &nested]);
}
