//! Bodies in both directions: lengths, early responses, windows.

use std::time::Duration;

use dodici::ErrorKind;
use dodici_testkit::client::{get, head, post, post_chunked, post_sized};
use dodici_testkit::h2::{Frame, code, flag, kind, setting};
use dodici_testkit::with;
use dodici_testkit::{Client, H2Peer, within};

use crate::support::{config, serve, text};

/// Reads until the client has reset one stream and opened another, in any order.
pub(crate) async fn reset_and_head(peer: &mut H2Peer) -> ((u32, u32), u32) {
    let mut head = None;
    while peer.resets.is_empty() || head.is_none() {
        let frame = peer.next_frame().await.unwrap();
        if frame.kind == kind::HEADERS {
            head = Some(frame.stream);
        }
    }
    (peer.resets.remove(0), head.unwrap())
}

#[tokio::test]
async fn a_pulled_body_is_sent_with_trailers() {
    let peer = serve(|conn| async {
        let mut peer = H2Peer::accept(conn, &[]).await;
        let request = peer.next_request().await.unwrap();
        assert!(request.trailers);
        peer.respond(request.stream, request.body).await;
        peer.closed().await;
    })
    .await;
    let client = Client::new(peer.port(), config());
    let call = client.send(post_chunked("/"));
    call.chunk("one ");
    call.chunk("two");
    call.handle.body_end([("x-end", "1")].into_iter().collect());
    let seen = within("response", call.ended()).await;
    assert_eq!(text(&seen.body), "one two");
    client.finish(peer).await;
}

#[tokio::test]
async fn the_rest_of_a_body_is_sent_after_an_early_response() {
    let peer = serve(|conn| async {
        let mut peer = H2Peer::accept(conn, &[]).await;
        let stream = peer.next_head().await.unwrap();
        peer.respond(stream, "early").await;
        let request = peer.next_frame_of(stream).await.unwrap();
        assert_eq!(request.payload, b"late");
        while !peer.next_frame_of(stream).await.unwrap().ends_stream() {}
        assert_eq!(peer.resets, []);
        peer.closed().await;
    })
    .await;
    let client = Client::new(peer.port(), config());
    let call = client.send(post_chunked("/"));
    within(
        "body",
        call.wait(|seen| (seen.body == b"early").then_some(())),
    )
    .await;
    call.chunk("late");
    call.finish();
    within("response", call.ended()).await;
    client.finish(peer).await;
}

#[tokio::test]
async fn a_peer_that_responds_and_resets_with_no_error_gets_no_more_of_the_body() {
    let peer = serve(|conn| async {
        let mut peer = H2Peer::accept(conn, &[]).await;
        let stream = peer.next_head().await.unwrap();
        peer.respond(stream, "enough").await;
        peer.reset(stream, code::NO_ERROR).await;
        peer.closed().await;
    })
    .await;
    let client = Client::new(peer.port(), config());
    let call = client.send(post_chunked("/"));
    let seen = within("response", call.ended()).await;
    assert_eq!(text(&seen.body), "enough");
    client.finish(peer).await;
}

#[tokio::test(start_paused = true)]
async fn an_endless_body_does_not_hold_its_response_for_ever() {
    let peer = serve(|conn| async {
        let mut peer = H2Peer::accept(conn, &[]).await;
        let stream = peer.next_head().await.unwrap();
        peer.respond(stream, "done").await;
        peer.closed().await;
        assert_eq!(peer.resets, [(stream, code::CANCEL)]);
    })
    .await;
    let client = Client::new(peer.port(), config());
    let call = client.send(post_chunked("/"));
    let seen = within("response", call.ended()).await;
    assert_eq!(text(&seen.body), "done");
    client.finish(peer).await;
}

#[tokio::test]
async fn a_body_of_declared_length_ends_with_its_last_byte() {
    let peer = serve(|conn| async {
        let mut peer = H2Peer::accept(conn, &[]).await;
        let request = peer.next_request().await.unwrap();
        peer.respond(request.stream, request.body).await;
        peer.closed().await;
    })
    .await;
    let client = Client::new(peer.port(), config());
    let call = client.send(post_sized("/", 6));
    call.chunk("abc");
    call.chunk("def");
    call.finish();
    let seen = within("response", call.ended()).await;
    assert_eq!(text(&seen.body), "abcdef");
    client.finish(peer).await;
}

#[tokio::test]
async fn a_body_shorter_than_declared_fails_its_request_and_nothing_else() {
    let peer = serve(|conn| async {
        let mut peer = H2Peer::accept(conn, &[]).await;
        let stream = peer.next_head().await.unwrap();
        let (reset, next) = reset_and_head(&mut peer).await;
        assert_eq!(reset, (stream, code::CANCEL));
        peer.respond(next, "").await;
        peer.closed().await;
    })
    .await;
    let client = Client::new(peer.port(), config());
    let call = client.send(post_sized("/", 6));
    call.chunk("abc");
    call.finish();
    let error = within("error", call.error()).await;
    assert_eq!(error.kind(), ErrorKind::RequestContentLengthMismatch);
    within("next", client.get("/").ended()).await;
    client.finish(peer).await;
}

#[tokio::test]
async fn a_response_shorter_or_longer_than_declared_is_an_error() {
    for body in ["abc", "abcdefgh"] {
        let peer = serve(move |conn| async move {
            let mut peer = H2Peer::accept(conn, &[]).await;
            let stream = peer.next_head().await.unwrap();
            peer.head(stream, 200, &[("content-length", "5")], false)
                .await;
            peer.data(stream, body, true).await;
            let next = peer.next_head().await.unwrap();
            peer.respond(next, "").await;
            peer.closed().await;
        })
        .await;
        let client = Client::new(peer.port(), config());
        let error = within("error", client.get("/").error()).await;
        assert_eq!(
            error.kind(),
            ErrorKind::ResponseContentLengthMismatch,
            "{body}"
        );
        within("next", client.get("/").ended()).await;
        client.finish(peer).await;
    }
}

#[tokio::test]
async fn values_come_without_the_whitespace_around_them_as_over_http1() {
    let peer = serve(|conn| async {
        let mut peer = H2Peer::accept(conn, &[]).await;
        let stream = peer.next_head().await.unwrap();
        let fields = [("a", " b c\t"), ("d", "  ")];
        peer.head(stream, 200, &fields, false).await;
        peer.data(stream, "ok", false).await;
        let block = dodici_testkit::h2::block(&fields);
        let flags = flag::END_HEADERS | flag::END_STREAM;
        peer.send(kind::HEADERS, flags, stream, block).await;
        peer.closed().await;
    })
    .await;
    let client = Client::new(peer.port(), config());
    let seen = within("end", client.get("/").ended()).await;
    let head = seen.head.as_ref().unwrap();
    assert_eq!(head.headers.get("a"), Some(&b"b c"[..]));
    assert_eq!(head.headers.get("d"), Some(&b""[..]));
    let trimmed =
        [("a", "b c"), ("d", "")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(seen.trailers(), trimmed);
    client.finish(peer).await;
}

#[tokio::test]
async fn responses_without_a_body_may_declare_one() {
    let peer = serve(|conn| async {
        let mut peer = H2Peer::accept(conn, &[]).await;
        for status in [200, 304, 204] {
            let stream = peer.next_head().await.unwrap();
            peer.head(stream, status, &[("content-length", "5")], true)
                .await;
        }
        peer.closed().await;
    })
    .await;
    let client = Client::new(peer.port(), config());
    within("head", client.send(head("/")).ended()).await;
    let seen = within("304", client.get("/").ended()).await;
    assert_eq!(seen.status(), 304);
    client.shut_down().await;
    drop(peer);
}

#[tokio::test]
async fn a_stopped_reader_holds_one_window_and_stalls_no_other() {
    const WINDOW: usize = 64 * 1024;
    let peer = serve(|conn| async {
        let mut peer = H2Peer::accept(conn, &[]).await;
        let slow = peer.next_head().await.unwrap();
        let fast = peer.next_head().await.unwrap();
        peer.head(slow, 200, &[], false).await;
        peer.head(fast, 200, &[], false).await;
        // As much as its window takes.
        for _ in 0..WINDOW / 8192 {
            peer.data(slow, vec![b's'; 8192], false).await;
        }
        // Forty windows for the other one, each as soon as it is granted.
        let mut sent = 0;
        while sent < 40 * WINDOW {
            let granted = peer.granted.get(&fast).copied().unwrap_or(0) as usize;
            if sent + 8192 <= WINDOW + granted {
                peer.data(fast, vec![b'f'; 8192], false).await;
                sent += 8192;
            } else {
                peer.next_frame().await.unwrap();
            }
        }
        assert_eq!(peer.granted.get(&slow), None);
        peer.data(fast, "", true).await;
        while !peer.granted.contains_key(&slow) {
            peer.next_frame().await.unwrap();
        }
        peer.data(slow, "!", true).await;
        peer.closed().await;
    })
    .await;
    let mut config = config();
    config.http2.stream_window = WINDOW as u32;
    config.exchange.window = WINDOW as u32;
    let client = Client::new(peer.port(), config);
    let slow = client.send_paused(get("/slow"));
    let fast = client.get("/fast");
    let seen = within("fast", fast.ended()).await;
    assert_eq!(seen.body.len(), 40 * WINDOW);
    assert!(slow.seen().cost() >= WINDOW as u64);
    slow.handle.credit(WINDOW as u32);
    let seen = within("slow", slow.ended()).await;
    assert_eq!(seen.body.len(), WINDOW + 1);
    client.finish(peer).await;
}

/// The stream window in the client's SETTINGS.
fn stream_window(frame: &Frame) -> Option<u32> {
    if frame.kind != kind::SETTINGS || frame.flags & flag::ACK != 0 {
        return None;
    }
    let entries = frame.payload.chunks(6);
    entries
        .filter(|entry| entry[..2] == setting::INITIAL_WINDOW_SIZE.to_be_bytes())
        .map(|entry| u32::from_be_bytes(entry[2..].try_into().unwrap()))
        .next_back()
}

#[tokio::test]
async fn windows_grow_if_a_distant_peer_waits_for_them_and_growth_is_allowed() {
    const WINDOW: u32 = 65_535;
    const DISTANCE: Duration = Duration::from_millis(100);
    for grows in [true, false] {
        let peer = serve(move |conn| async move {
            let mut peer = H2Peer::silent(conn).await;
            // A peer this far away: its SETTINGS are late.
            tokio::time::sleep(DISTANCE).await;
            peer.settings(&[]).await;
            let stream = peer.next_head().await.unwrap();
            peer.head(stream, 200, &[], false).await;
            let (mut sent, mut wider) = (0, None);
            // A reader that does not get the processor may miss the moment; the next window offers
            // another.
            while wider.is_none() && (grows || sent < 20 * WINDOW) {
                let room = peer.granted.get(&stream).copied().unwrap_or(0) as u32;
                let may = (room + WINDOW - sent).min(16_000);
                if may > 0 {
                    peer.data(stream, vec![b'x'; may as usize], false).await;
                    sent += may;
                    continue;
                }
                let frame = peer.next_frame().await.unwrap();
                wider = stream_window(&frame).filter(|window| *window != WINDOW);
            }
            assert_eq!(wider, grows.then_some(2 * WINDOW));
            peer.data(stream, "", true).await;
            peer.closed().await;
        })
        .await;
        let mut config = config();
        config.http2.stream_window = WINDOW;
        config.http2.max_stream_window = if grows { 2 * WINDOW } else { WINDOW };
        let client = Client::new(peer.port(), config);
        within("response", client.get("/").ended()).await;
        client.finish(peer).await;
    }
}

#[tokio::test]
async fn s36_an_upload_stays_within_the_peers_window_and_follows_its_changes() {
    let peer = serve(|conn| async {
        let window = |n| [(setting::INITIAL_WINDOW_SIZE, n)];
        let mut peer = H2Peer::accept(conn, &window(10)).await;
        // The first request may be written before SETTINGS arrive: it causes them.
        let first = peer.next_request().await.unwrap();
        peer.respond(first.stream, "").await;
        let stream = peer.next_head().await.unwrap();
        let mut got = Vec::new();
        let mut data = async |peer: &mut H2Peer, until: usize| {
            while got.len() < until {
                let frame = peer.next_frame().await.unwrap();
                if frame.kind == kind::DATA {
                    got.extend(frame.payload);
                }
            }
            got.len()
        };
        assert_eq!(data(&mut peer, 10).await, 10);
        peer.settings(&window(15)).await;
        assert_eq!(data(&mut peer, 15).await, 15);
        peer.grant(stream, 100).await;
        assert_eq!(data(&mut peer, 26).await, 26);
        peer.respond(stream, "done").await;
        peer.closed().await;
    })
    .await;
    let client = Client::new(peer.port(), config());
    within("first", client.get("/").ended()).await;
    let call = client.post("/", "id", "abcdefghijklmnopqrstuvwxyz");
    let seen = within("response", call.ended()).await;
    assert_eq!(text(&seen.body), "done");
    client.finish(peer).await;
}

#[tokio::test]
async fn a_body_waits_for_the_servers_100_continue() {
    let peer = serve(|conn| async {
        let mut peer = H2Peer::accept(conn, &[]).await;
        let stream = peer.next_head().await.unwrap();
        peer.head(stream, 100, &[], false).await;
        let request = loop {
            let frame = peer.next_frame().await.unwrap();
            if frame.kind == kind::DATA {
                break frame;
            }
        };
        peer.respond(stream, request.payload).await;
        peer.closed().await;
    })
    .await;
    let mut config = config();
    config.exchange.continue_timeout = Duration::from_secs(3600);
    let client = Client::new(peer.port(), config);
    let call = client.send(with(post("/", "id", "now"), |request| {
        request.expect_continue = true
    }));
    let seen = within("response", call.ended()).await;
    assert_eq!(text(&seen.body), "now");
    assert!(seen.informational.is_empty());
    client.finish(peer).await;
}
