//! Pulled request bodies, and responses before their end.

use bytes::Bytes;
use dodici::{CloseReason, Error, ErrorKind, HeaderBlock, OriginConfig, Phase, Request};
use dodici_testkit::client::{post, post_chunked, post_sized};
use dodici_testkit::message::pattern;
use dodici_testkit::{Call, Client, OK, ScriptedPeer, Signal, TestOrigin, within};

use crate::support::assert_usable;

/// The bytes that one POST puts on the wire, head excluded.
async fn wire_of(request: Request, deliver: impl Fn(&Call)) -> String {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        let head = conn.read_head().await;
        conn.read_body(&head).await;
        conn.send(OK).await;
        conn.closed().await;
    });
    let head = request.head.len();
    let client = Client::new(peer.port(), OriginConfig::default());
    let call = client.send(request);
    deliver(&call);
    within("response", call.ended()).await;
    let log = client.finish(peer).await;
    String::from_utf8(log.connections[0].received[head..].to_vec()).unwrap()
}

#[tokio::test]
async fn a_pulled_body_with_a_length_is_sent_unchanged() {
    let wire = wire_of(post_sized("/", 11), |call| {
        call.chunk("hello ");
        call.chunk("world");
        call.finish();
    })
    .await;
    assert_eq!(wire, "hello world");
}

#[tokio::test]
async fn a_pulled_body_without_a_length_is_sent_in_its_chunks() {
    let wire = wire_of(post_chunked("/"), |call| {
        call.chunk("hello ");
        call.chunk("wonderful world!");
        call.finish();
    })
    .await;
    assert_eq!(wire, "6\r\nhello \r\n10\r\nwonderful world!\r\n0\r\n\r\n");
}

#[tokio::test]
async fn a_chunked_body_may_be_empty() {
    let wire = wire_of(post_chunked("/"), Call::finish).await;
    assert_eq!(wire, "0\r\n\r\n");
}

fn trailers() -> HeaderBlock {
    [("X-Sum", "1"), ("x-sum", "2"), ("X-Empty", "")]
        .into_iter()
        .collect()
}

const TRAILERS: &str = "0\r\nX-Sum: 1\r\nx-sum: 2\r\nX-Empty: \r\n\r\n";

#[tokio::test]
async fn request_trailers_are_exact_in_a_single_write() {
    let wire = wire_of(post_chunked("/"), |call| {
        call.chunk("body");
        call.handle.body_end(trailers());
    })
    .await;
    assert_eq!(wire, format!("4\r\nbody\r\n{TRAILERS}"));
    let wire = wire_of(post_chunked("/"), |call| call.handle.body_end(trailers())).await;
    assert_eq!(wire, TRAILERS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_trailers_are_exact_when_they_are_late() {
    let got_body = Signal::new();
    let signal = got_body.clone();
    let peer = ScriptedPeer::tcp().await.run(move |mut conn| {
        let signal = signal.clone();
        async move {
            conn.read_head().await;
            assert_eq!(conn.read_exact(9).await, b"4\r\nbody\r\n");
            signal.raise();
            let rest = conn.read_exact(TRAILERS.len()).await;
            assert_eq!(rest, TRAILERS.as_bytes());
            conn.send(OK).await;
            conn.closed().await;
        }
    });
    let client = Client::new(peer.port(), OriginConfig::default());
    let call = client.send(post_chunked("/"));
    call.chunk("body");
    within("body", got_body.raised()).await;
    call.handle.body_end(trailers());
    within("response", call.ended()).await;
    client.finish(peer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_pulled_body_arrives_complete_and_is_pulled_no_faster_than_it_is_sent() {
    const SLICE: usize = 50_000;
    const SLICES: usize = 200;
    let origin = TestOrigin::start().await;
    let client = Client::new(origin.port(), OriginConfig::default());
    let call = client.send(post_chunked("/digest"));
    let all = pattern(SLICE * SLICES);
    let mut given = 0;
    for slice in all.chunks(SLICE) {
        within(
            "pull",
            call.wait(|seen| (seen.pulled() > given).then_some(())),
        )
        .await;
        call.handle.body_chunk(Bytes::copy_from_slice(slice));
        given += SLICE as u64;
        // What was requested is what was consumed, plus the room of a caller that keeps up.
        assert!(call.seen().pulled() <= given + (4096 + 128) * 1024 + SLICE as u64);
    }
    call.handle.body_end(trailers());
    let seen = within("digest", call.ended()).await;
    let sum = dodici_testkit::message::checksum(&all);
    assert_eq!(
        String::from_utf8(seen.body).unwrap(),
        format!("{} {sum:016x} 3", all.len())
    );
    client.shut_down().await;
    origin.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_shorter_than_its_length_fails_the_request() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        conn.next_head().await;
        conn.closed().await;
    });
    let client = Client::new(peer.port(), OriginConfig::default());
    let call = client.send(post_sized("/", 10));
    call.chunk("short");
    call.finish();
    let error = within("error", call.error()).await;
    assert_eq!(error.kind(), ErrorKind::RequestContentLengthMismatch);
    client.finish(peer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_longer_than_its_length_fails_the_request_and_never_overruns_it() {
    for slices in [&["too long"][..], &["exact", "x"]] {
        let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
            conn.next_head().await;
            conn.closed().await;
        });
        let client = Client::new(peer.port(), OriginConfig::default());
        let request = post_sized("/", 5);
        let head = request.head.len();
        let call = client.send(request);
        for slice in slices {
            call.chunk(slice);
        }
        call.finish();
        let error = within("error", call.error()).await;
        assert_eq!(error.kind(), ErrorKind::RequestContentLengthMismatch);
        let log = client.finish(peer).await;
        let received = log
            .connections
            .first()
            .map_or(0, |conn| conn.received.len());
        assert!(received <= head + 5, "more than its length on the wire");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_whose_source_fails_fails_the_request_with_that_error() {
    let (peer, _) = ScriptedPeer::tcp()
        .await
        .first_then_ok(|mut conn| async move {
            conn.next_head().await;
            conn.closed().await;
        });
    let client = Client::new(peer.port(), OriginConfig::default());
    let call = client.send(post_chunked("/"));
    call.chunk("some");
    call.handle
        .body_error(Error::new(ErrorKind::RequestBody, Phase::Send, "no more"));
    let error = within("error", call.error()).await;
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::RequestBody, "no more")
    );
    assert_usable(&client).await;
    client.finish(peer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_during_the_upload_ends_the_connection_after_it() {
    let (peer, _) = ScriptedPeer::tcp()
        .await
        .first_then_ok(|mut conn| async move {
            conn.read_head().await;
            conn.send("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
                .await;
            conn.closed().await;
        });
    let client = Client::new(peer.port(), OriginConfig::default());
    let call = client.send(post_chunked("/"));
    call.chunk("some");
    let seen = within("response", call.ended()).await;
    assert_eq!((seen.status(), &seen.body[..]), (413, &b"big"[..]));
    within("disconnect", client.disconnected(1)).await;
    assert_eq!(client.reasons(), [CloseReason::NotReusable]);
    assert_usable(&client).await;
    client.finish(peer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_before_the_end_of_a_body_in_memory_ends_the_connection_after_it() {
    let answered = Signal::new();
    let heard = answered.clone();
    let (peer, _) = ScriptedPeer::tcp().await.first_then_ok(move |mut conn| {
        let heard = heard.clone();
        async move {
            conn.read_head().await;
            conn.send("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
                .await;
            // More than the kernels buffer is still to be sent.
            heard.raised().await;
            conn.closed().await;
        }
    });
    let client = Client::new(peer.port(), OriginConfig::default());
    let call = client.send(post("/", "id", &"x".repeat(32 << 20)));
    let seen = within("response", call.ended()).await;
    answered.raise();
    assert_eq!((seen.status(), &seen.body[..]), (413, &b"big"[..]));
    within("disconnect", client.disconnected(1)).await;
    assert_eq!(client.reasons(), [CloseReason::NotReusable]);
    assert_usable(&client).await;
    client.finish(peer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_response_of_a_server_that_rejects_an_upload_and_resets_is_delivered() {
    let reset = Signal::new();
    let done = reset.clone();
    let (peer, _) = ScriptedPeer::tcp().await.first_then_ok(move |mut conn| {
        let done = done.clone();
        async move {
            conn.read_head().await;
            conn.send(
                "HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig",
            )
            .await;
            // Unread bytes of the upload would reset it, too.
            conn.reset();
            done.raise();
        }
    });
    let client = Client::new(peer.port(), OriginConfig::default());
    let call = client.send(post_sized("/", 1 << 30));
    call.handle.body_chunk(Bytes::from(vec![b'x'; 100_000]));
    within("reset", reset.raised()).await;
    // Writes into the reset connection until the response or the reset is reported.
    let slice = Bytes::from(vec![b'x'; 10_000]);
    for _ in 0..20 {
        call.handle.body_chunk(slice.clone());
        tokio::task::yield_now().await;
    }
    let seen = within("settled", call.settled()).await;
    // The kernel may drop the response with the reset; what is not allowed is another outcome.
    match seen.error_kind() {
        None => assert_eq!((seen.status(), &seen.body[..]), (413, &b"big"[..])),
        Some(kind) => assert_eq!(kind, ErrorKind::Socket),
    }
    assert_usable(&client).await;
    client.finish(peer).await;
}
