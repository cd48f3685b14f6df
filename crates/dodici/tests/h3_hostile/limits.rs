//! What a response may contain: the limits of HTTP/1.1 and HTTP/2. Beyond them, a stream fails, and its
//! connection goes on.

use dodici::{ErrorKind, ParseErrorCode};
use dodici_testkit::client::get;
use dodici_testkit::h3::qpack::section;
use dodici_testkit::h3::{self, frame, kind, varint};
use dodici_testkit::recording::Seen;
use dodici_testkit::{Watched, within};

use crate::support::{client, listen, outcome, single};

const STRICT: ErrorKind = ErrorKind::Parse(ParseErrorCode::Strict);

/// The outcome of a request that is answered with these bytes; another one on the same connection is
/// answered after it.
async fn answered_with(bytes: Vec<u8>, ends: bool) -> Seen {
    let peer = listen().run(move |mut peer| {
        let bytes = bytes.clone();
        async move {
            peer.begin(&[]).await;
            let (mut stream, _) = peer.next_request().await.unwrap();
            // The client reads as much as it wants.
            let sent = async {
                stream.send(&bytes).await;
                if ends {
                    stream.finish();
                }
            };
            let other = async {
                let (mut other, _) = peer.next_request().await.unwrap();
                other.respond(200, &[], "ok").await;
            };
            tokio::join!(sent, other);
        }
    });
    let client = client(peer.port(), single());
    let seen = within("answer", client.get("/").settled()).await;
    let other = within("the other", client.get("/other").ended()).await;
    assert_eq!(other.body, b"ok");
    assert_eq!(client.events.connects(), 1, "it cost its connection");
    client.pool.destroy();
    within("closed", client.events.closed()).await;
    peer.finish().await;
    seen
}

fn kind_of(seen: &Seen) -> Option<ErrorKind> {
    outcome(seen).err().map(|error| error.kind())
}

#[tokio::test]
async fn s26_over_http3_sixty_four_informational_responses_are_allowed() {
    let answer = |count: usize| {
        let mut bytes = h3::head(103, &[("link", "</a>")]).repeat(count);
        bytes.extend(h3::head(200, &[]));
        bytes.extend(frame(kind::DATA, "ok"));
        bytes
    };
    let seen = answered_with(answer(64), true).await;
    assert_eq!((seen.status(), seen.informational.len()), (200, 64));
    for count in [65, 3_000] {
        let seen = answered_with(answer(count), true).await;
        assert_eq!(kind_of(&seen), Some(STRICT), "{count}");
        assert_eq!(seen.informational.len(), 64, "{count}");
    }
}

#[tokio::test]
async fn s26_over_http3_the_size_of_informational_responses_is_limited() {
    let large = "v".repeat(30_000);
    let bytes = h3::head(103, &[("x-big", &large)]).repeat(3);
    let seen = answered_with(bytes, false).await;
    assert_eq!(kind_of(&seen), Some(STRICT));
    assert_eq!(seen.informational.len(), 2);
}

#[tokio::test]
async fn s29_over_http3_trailers_have_the_limits_of_http1() {
    let many = |count: usize| -> Vec<(String, String)> {
        let fields = (0..count).map(|n| (format!("t{n}"), String::new()));
        fields.collect()
    };
    let long = |len: usize| vec![("x".to_owned(), "v".repeat(len))];
    let overflow = Some(ErrorKind::HeadersOverflow);
    for (name, trailers, expected) in [
        ("a thousand", many(1_000), None),
        ("one more", many(1_001), overflow),
        ("16,000 bytes", long(16_000), None),
        ("16 KiB", long(16_384), overflow),
        (
            "a host",
            vec![("host".to_owned(), "v".to_owned())],
            Some(STRICT),
        ),
    ] {
        let fields: Vec<_> = trailers.iter().map(|(n, v)| (&n[..], &v[..])).collect();
        let mut bytes = h3::head(200, &[]);
        bytes.extend(frame(kind::DATA, "ok"));
        bytes.extend(frame(kind::HEADERS, section(&fields)));
        let seen = answered_with(bytes, true).await;
        assert_eq!(kind_of(&seen), expected, "{name}");
    }
}

#[tokio::test]
async fn s36_over_http3_a_list_of_headers_over_the_limit_fails_its_request() {
    for count in [2, 100] {
        let large = "v".repeat(50_000);
        let fields = vec![("x-big", &large[..]); count];
        let seen = answered_with(h3::head(200, &fields), true).await;
        assert!(kind_of(&seen).is_some(), "{count}");
        assert!(seen.head.is_none());
    }
}

#[tokio::test]
async fn s36_over_http3_fields_count_as_much_as_their_overhead() {
    // Entries of the static table: two bytes each on the wire.
    let mut section = section(&[(":status", "200")]);
    section.extend([0xc0 | 2].repeat(60_000));
    let seen = answered_with(frame(kind::HEADERS, section), true).await;
    assert!(kind_of(&seen).is_some(), "{seen:?}");
}

/// Bytes of a head that never ends, far more than a client may keep.
const ENDLESS: u64 = 1 << 40;

#[tokio::test]
async fn s36_over_http3_a_head_is_refused_when_its_length_says_that_it_is_too_long() {
    let mut bytes = varint(kind::HEADERS);
    bytes.extend(varint(ENDLESS));
    let seen = answered_with(bytes, false).await;
    assert!(kind_of(&seen).is_some());
}

#[tokio::test]
async fn an_unknown_frame_may_be_of_any_length() {
    // Far more than the window of a stream.
    const SIZE: u64 = 32 << 20;
    let sent = Watched::<bool>::default();
    let told = sent.clone();
    let peer = listen().run(move |mut peer| {
        let told = told.clone();
        async move {
            peer.begin(&[]).await;
            let (mut stream, _) = peer.next_request().await.unwrap();
            let mut bytes = varint(kind::GREASE);
            bytes.extend(varint(SIZE));
            stream.send(bytes).await;
            let piece = vec![0; 1 << 20];
            for _ in 0..SIZE >> 20 {
                stream.send(&piece).await;
            }
            told.update(|told| *told = true);
            stream.respond(200, &[], "ok").await;
        }
    });
    let client = client(peer.port(), single());
    let seen = within("answer", client.get("/").settled()).await;
    // Either the client reads over all of it, or it gives up; it does not wait for it for ever.
    match outcome(&seen) {
        Ok(body) => assert_eq!(body, b"ok"),
        Err(_) => assert!(!sent.read(|sent| *sent)),
    }
    client.shut_down().await;
    peer.finish().await;
}

#[tokio::test]
async fn s34_over_http3_a_reader_without_credit_stops_the_server() {
    let sent = Watched::<usize>::default();
    let told = sent.clone();
    const PIECE: usize = 64 << 10;
    let peer = listen().run(move |mut peer| {
        let told = told.clone();
        async move {
            peer.begin(&[]).await;
            let (mut stream, _) = peer.next_request().await.unwrap();
            stream.head(200, &[]).await;
            let endless = async {
                while stream.data(vec![b'x'; PIECE]).await {
                    told.update(|sent| *sent += PIECE);
                }
                std::future::pending().await
            };
            let other = async {
                // Streams beside it are not stopped: that they are answered says that the server
                // could have sent more.
                while let Some((mut other, _)) = peer.next_request().await {
                    other.respond(200, &[], vec![b'y'; 4 * PIECE]).await;
                }
            };
            tokio::select! {
                () = endless => {}
                () = other => {}
            }
        }
    });
    let client = client(peer.port(), single());
    let paused = client.send_paused(get("/"));
    within(
        "a piece",
        paused.wait(|seen| (!seen.body.is_empty()).then_some(())),
    )
    .await;
    let mut last = 0;
    // Until nothing more is sent while others are answered.
    loop {
        for _ in 0..20 {
            let seen = within("another", client.get("/other").ended()).await;
            assert_eq!(seen.body.len(), 4 * PIECE);
        }
        let now = sent.read(|sent| *sent);
        if now == last {
            break;
        }
        last = now;
    }
    // Its own window, that of the stream (1 MiB), and what quinn's server buffers.
    assert!(
        last <= 16 << 20,
        "{last} bytes were taken for a reader that has stopped"
    );
    assert!(paused.seen().body.len() <= 1 << 20);
    paused.handle.cancel();
    within("abort", paused.error()).await;
    client.shut_down().await;
    peer.finish().await;
}

#[tokio::test]
async fn s37_over_http3_after_many_resets_a_connection_is_replaced() {
    let streams = Watched::<usize>::default();
    let count = streams.clone();
    let peer = listen().run(move |mut peer| {
        let count = count.clone();
        async move {
            peer.begin(&[]).await;
            while let Some(mut stream) = peer.next_stream().await {
                count.update(|streams| *streams += 1);
                tokio::spawn(async move {
                    stream.stopped().await;
                    while stream.read_some().await.is_some() {}
                    stream.reset(h3::code::REQUEST_CANCELLED);
                });
            }
        }
    });
    let client = client(peer.port(), single());
    let mut rounds = 0;
    while client.events.connects() < 2 && rounds < 40 {
        rounds += 1;
        let calls: Vec<_> = (0..50).map(|_| client.get("/")).collect();
        let arrived = streams.wait(|streams| (*streams == 50 * rounds).then_some(()));
        within("requests", arrived).await;
        for call in calls {
            call.handle.cancel();
            within("abort", call.error()).await;
        }
    }
    // 800 resets, and what was open when they were reached.
    assert_eq!((client.events.connects(), rounds), (2, 17));
    client.shut_down().await;
    peer.finish().await;
}
