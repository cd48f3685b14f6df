//! GOAWAY, H3_REQUEST_REJECTED, resets and lost connections: what is replayed, and how often.

use std::num::NonZeroU32;

use dodici::{CloseReason, ErrorKind};
use dodici_testkit::client::{get, post_chunked};
use dodici_testkit::h3::conn::H3Peer;
use dodici_testkit::h3::{code, frame, kind, varint};
use dodici_testkit::{Watched, within};

use crate::support::{client, config, listen, single};

/// Answers every request with its own body.
async fn echo(mut peer: H3Peer) {
    while let Some((mut stream, request)) = peer.next_request().await {
        stream.respond(200, &[], request.body).await;
    }
}

#[tokio::test]
async fn goaway_lets_accepted_streams_finish_and_replays_the_others() {
    let peer = listen().run(|mut peer| async move {
        peer.begin(&[]).await;
        if peer.index() > 0 {
            return echo(peer).await;
        }
        let mut requests = Vec::new();
        for _ in 0..4 {
            requests.push(peer.next_request().await.unwrap());
        }
        requests.sort_by_key(|(stream, _)| stream.id());
        peer.goaway(requests[2].0.id()).await;
        for (mut stream, request) in requests.drain(..2) {
            let body = [b"old ", &request.body[..]].concat();
            stream.respond(200, &[], body).await;
        }
    });
    let client = client(peer.port(), single());
    let calls: Vec<_> = (0..4)
        .map(|n| client.post("/", "id", &n.to_string()))
        .collect();
    let mut bodies = Vec::new();
    for call in &calls {
        let seen = within("response", call.ended()).await;
        bodies.push(String::from_utf8(seen.body).unwrap());
    }
    assert_eq!(bodies, ["old 0", "old 1", "2", "3"]);
    assert_eq!(client.events.connects(), 2);
    client.shut_down().await;
    peer.finish().await;
}

#[tokio::test]
async fn a_connection_that_goes_away_closes_once_its_requests_are_answered() {
    let peer = listen().run(|mut peer| async move {
        peer.begin(&[]).await;
        let (mut stream, _) = peer.next_request().await.unwrap();
        // As servers do: first that it will go away, then what it has accepted.
        peer.goaway((1 << 62) - 4).await;
        peer.goaway(stream.id() + 4).await;
        stream.respond(200, &[], "last").await;
        peer.closed().await;
    });
    let client = client(peer.port(), single());
    for _ in 0..3 {
        let seen = within("response", client.get("/").ended()).await;
        assert_eq!(seen.body, b"last");
    }
    within("disconnects", client.disconnected(3)).await;
    let reasons = client.reasons();
    assert!(!reasons.contains(&CloseReason::IdleTimeout), "{reasons:?}");
    client.shut_down().await;
    peer.finish().await;
}

#[tokio::test]
async fn a_rejected_request_is_sent_again() {
    let peer = listen().run(|mut peer| async move {
        peer.begin(&[]).await;
        let (mut stream, _) = peer.next_request().await.unwrap();
        stream.refuse(code::REQUEST_REJECTED);
        echo(peer).await;
    });
    let client = client(peer.port(), single());
    let seen = within("response", client.post("/", "id", "again").ended()).await;
    assert_eq!(seen.body, b"again");
    assert_eq!(client.events.connects(), 1);
    client.shut_down().await;
    peer.finish().await;
}

#[tokio::test]
async fn s38_over_http3_a_server_that_rejects_everything_is_retried_a_bounded_number_of_times() {
    for (most, expected) in [(5, 6), (0, 1)] {
        let peer = listen().run(|mut peer| async move {
            peer.begin(&[]).await;
            while let Some((mut stream, _)) = peer.next_request().await {
                stream.refuse(code::REQUEST_REJECTED);
            }
        });
        let mut config = single();
        config.http3.max_replays = most;
        let client = client(peer.port(), config);
        let error = within("error", client.get("/").error()).await;
        let rejected = u32::try_from(code::REQUEST_REJECTED).unwrap();
        assert_eq!(error.kind(), ErrorKind::StreamReset(rejected));
        let log = peer.log();
        let asked: usize = log.connections.iter().map(|one| one.requests).sum();
        assert_eq!(asked, expected);
        client.shut_down().await;
        peer.finish().await;
    }
}

#[tokio::test]
async fn s38_over_http3_connections_that_go_away_at_once_are_tried_a_bounded_number_of_times() {
    let peer = listen().run(|mut peer| async move {
        peer.begin(&[]).await;
        peer.goaway(0).await;
        peer.closed().await;
    });
    let client = client(peer.port(), config());
    let error = within("error", client.get("/").error()).await;
    let rejected = ErrorKind::StreamReset(u32::try_from(code::REQUEST_REJECTED).unwrap());
    let kinds = [ErrorKind::Unserved, rejected];
    assert!(kinds.contains(&error.kind()), "{error:?}");
    let attempts = peer.log().attempts;
    assert!((1..=10).contains(&attempts), "{attempts}");
    client.shut_down().await;
    peer.finish().await;
}

#[tokio::test]
async fn a_reset_stream_fails_its_request_alone() {
    let peer = listen().run(|mut peer| async move {
        peer.begin(&[]).await;
        let (mut first, _) = peer.next_request().await.unwrap();
        let (mut second, _) = peer.next_request().await.unwrap();
        first.reset(code::INTERNAL_ERROR);
        second.respond(200, &[], "fine").await;
    });
    let client = client(peer.port(), single());
    let (one, other) = (client.post("/", "a", "x"), client.post("/", "b", "x"));
    let outcomes = [
        within("one", one.settled()).await,
        within("other", other.settled()).await,
    ];
    let fine = outcomes.iter().filter(|seen| seen.body == b"fine").count();
    assert_eq!(fine, 1);
    let code = u32::try_from(code::INTERNAL_ERROR).unwrap();
    let failed = outcomes.iter().find(|seen| seen.body.is_empty()).unwrap();
    let error = crate::support::outcome(failed).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StreamReset(code));
    assert_eq!(client.events.connects(), 1);
    client.shut_down().await;
    peer.finish().await;
}

#[tokio::test]
async fn a_pulled_body_that_was_begun_is_not_sent_again_after_a_rejection() {
    let peer = listen().run(|mut peer| async move {
        peer.begin(&[]).await;
        while let Some(mut stream) = peer.next_stream().await {
            stream.request_head().await.unwrap();
            stream.read_some().await.unwrap();
            stream.refuse(code::REQUEST_REJECTED);
        }
    });
    let client = client(peer.port(), single());
    let call = client.send(post_chunked("/"));
    call.chunk("part");
    let error = within("error", call.error()).await;
    let rejected = u32::try_from(code::REQUEST_REJECTED).unwrap();
    assert_eq!(error.kind(), ErrorKind::StreamReset(rejected));
    assert_eq!(peer.log().connections[0].requests, 1);
    client.shut_down().await;
    peer.finish().await;
}

#[tokio::test]
async fn a_connection_that_is_closed_fails_what_was_sent_on_it() {
    for code in [code::NO_ERROR, code::INTERNAL_ERROR] {
        let peer = listen().run(move |mut peer| async move {
            peer.begin(&[]).await;
            let first = peer.next_request().await.unwrap();
            let second = peer.next_request().await.unwrap();
            peer.close(code);
            drop((first, second));
        });
        let client = client(peer.port(), single());
        let calls = [client.post("/", "a", "x"), client.post("/", "b", "x")];
        for call in &calls {
            let error = within("error", call.error()).await;
            assert_eq!(error.kind(), ErrorKind::Socket, "{error:?}");
        }
        within("disconnect", client.disconnected(1)).await;
        // It is unknown whether the server has executed them.
        assert_eq!(client.events.connects(), 1);
        client.shut_down().await;
        peer.finish().await;
    }
}

#[tokio::test]
async fn an_early_answer_that_stops_a_body_is_the_answer() {
    let peer = listen().run(|mut peer| async move {
        peer.begin(&[]).await;
        while let Some(mut stream) = peer.next_stream().await {
            stream.request_head().await.unwrap();
            stream.respond(413, &[], "too much").await;
            stream.stop(code::NO_ERROR);
        }
    });
    let client = client(peer.port(), single());
    for _ in 0..2 {
        let call = client.send(post_chunked("/"));
        call.chunk("part");
        let seen = within("response", call.ended()).await;
        assert_eq!((seen.status(), &seen.body[..]), (413, &b"too much"[..]));
    }
    assert_eq!(client.events.connects(), 1);
    client.shut_down().await;
    peer.finish().await;
}

#[tokio::test]
async fn an_abort_resets_the_stream_and_keeps_the_connection() {
    let codes = Watched::<Vec<(Option<u64>, Option<u64>)>>::default();
    let told = codes.clone();
    let peer = listen().run(move |mut peer| {
        let told = told.clone();
        async move {
            peer.begin(&[]).await;
            let mut stream = peer.next_stream().await.unwrap();
            stream.request_head().await.unwrap();
            stream.head(200, &[]).await;
            stream.data("part").await;
            let stopped = stream.stopped().await;
            while stream.read_some().await.is_some() {}
            let reset = stream.reset_by_client();
            told.update(|codes| codes.push((stopped, reset)));
            echo(peer).await;
        }
    });
    let client = client(peer.port(), single());
    let call = client.send(post_chunked("/"));
    let part = call.wait(|seen| (!seen.body.is_empty()).then_some(()));
    within("part", part).await;
    call.handle.cancel();
    let error = within("error", call.error()).await;
    assert_eq!(error.kind(), ErrorKind::Aborted);
    let seen = within("next", client.post("/", "id", "next").ended()).await;
    assert_eq!(seen.body, b"next");
    let cancelled = Some(code::REQUEST_CANCELLED);
    assert_eq!(codes.read(Vec::clone), [(cancelled, cancelled)]);
    assert_eq!(client.events.connects(), 1);
    client.shut_down().await;
    peer.finish().await;
}

#[tokio::test]
async fn no_more_requests_are_open_than_the_server_allows() {
    const ALLOWED: u32 = 3;
    let most = Watched::<usize>::default();
    let told = most.clone();
    let peer = listen()
        .transport(|transport| {
            transport.max_concurrent_bidi_streams(ALLOWED.into());
        })
        .run(move |mut peer| {
            let told = told.clone();
            async move {
                peer.begin(&[]).await;
                let mut open = Vec::new();
                while let Some(request) = peer.next_request().await {
                    open.push(request);
                    told.update(|most| *most = open.len().max(*most));
                    if open.len() == ALLOWED as usize {
                        for (mut stream, request) in open.drain(..) {
                            stream.respond(200, &[], request.body).await;
                        }
                    }
                }
            }
        });
    let client = client(peer.port(), single());
    let calls: Vec<_> = (0..30)
        .map(|n| client.post("/", "id", &n.to_string()))
        .collect();
    for (n, call) in calls.iter().enumerate() {
        let seen = within("response", call.ended()).await;
        assert_eq!(seen.body, n.to_string().as_bytes());
    }
    assert_eq!(most.read(|most| *most), ALLOWED as usize);
    assert_eq!(client.events.connects(), 1);
    client.shut_down().await;
    peer.finish().await;
}

#[tokio::test]
async fn a_server_that_allows_no_request_gets_none_until_it_does() {
    let peer = listen()
        .transport(|transport| {
            transport.max_concurrent_bidi_streams(0_u32.into());
        })
        .run(|mut peer| async move {
            peer.begin(&[]).await;
            peer.connection()
                .set_max_concurrent_bi_streams(1_u32.into());
            echo(peer).await;
        });
    let mut config = config();
    config.pool.max_connections = NonZeroU32::new(1);
    let client = client(peer.port(), config);
    let seen = within("response", client.post("/", "id", "late").ended()).await;
    assert_eq!(seen.body, b"late");
    client.shut_down().await;
    peer.finish().await;
}

#[tokio::test]
async fn a_goaway_in_pieces_is_one() {
    let peer = listen().run(|mut peer| async move {
        peer.begin(&[]).await;
        if peer.index() > 0 {
            return echo(peer).await;
        }
        let request = peer.next_request().await.unwrap();
        // In a varint of eight bytes, one byte at a time.
        let mut bytes = frame(kind::GOAWAY, [0xc0, 0, 0, 0, 0, 0, 0, 0]);
        bytes.splice(0..1, [0x40, varint(kind::GOAWAY)[0]]);
        for byte in bytes {
            peer.control().send([byte]).await;
            tokio::task::yield_now().await;
        }
        peer.closed().await;
        drop(request);
    });
    let client = client(peer.port(), single());
    let call = client.send(get("/"));
    let seen = within("response", call.ended()).await;
    assert_eq!(seen.body, b"");
    assert_eq!(client.events.connects(), 2);
    client.shut_down().await;
    peer.finish().await;
}
