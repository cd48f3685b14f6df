//! HTTP/2 against a raw peer: frames by hand on one side, the whole engine on the other.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dodici::{
    BodyKind, CloseReason, ErrorKind, Event, OriginConfig, Protocol, Request, RequestKind, Version,
};
use dodici_testkit::client::{connect, get, head, post, post_chunked, post_sized};
use dodici_testkit::h2::{Frame, code, flag, kind, response_block, setting};
use dodici_testkit::{Client, Conn, H2Peer, PeerClose, ScriptedPeer, Signal, Terminal, within};

/// Before its SETTINGS came, a peer is sent one request.
fn config() -> OriginConfig {
    let mut config = OriginConfig::default();
    config.http2.prior_knowledge = true;
    config.http2.streams_before_settings = 1;
    config
}

fn single() -> OriginConfig {
    let mut config = config();
    config.pool.connections = NonZeroU32::new(1);
    config
}

/// Runs this script on every connection.
async fn serve<F, Fut>(script: F) -> ScriptedPeer
where
    F: Fn(Conn) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    ScriptedPeer::tcp().await.run(script)
}

/// Answers every request with its own body.
async fn echo(mut peer: H2Peer) {
    while let Some(request) = peer.next_request().await {
        peer.respond(request.stream, request.body).await;
    }
}

async fn shut_down(client: Client) {
    client.pool.close();
    within("close", client.events.closed()).await;
}

/// Reads until the client has reset one stream and opened another, in any order.
async fn reset_and_head(peer: &mut H2Peer) -> ((u32, u32), u32) {
    let mut head = None;
    while peer.resets.is_empty() || head.is_none() {
        let frame = peer.next_frame().await.unwrap();
        if frame.kind == kind::HEADERS {
            head = Some(frame.stream);
        }
    }
    (peer.resets.remove(0), head.unwrap())
}

fn text(body: &[u8]) -> &str {
    std::str::from_utf8(body).unwrap()
}

#[tokio::test]
async fn a_response_arrives_with_head_body_and_trailers() {
    let peer = serve(|conn| async {
        let mut peer = H2Peer::accept(conn, &[]).await;
        let stream = peer.next_head().await.unwrap();
        peer.head(stream, 103, &[("link", "</a>")], false).await;
        let fields = [("x-a", "1"), ("set-cookie", "a=1"), ("set-cookie", "b=2")];
        peer.head(stream, 200, &fields, false).await;
        peer.data(stream, "hel", false).await;
        peer.data(stream, "lo", false).await;
        let trailers = dodici_testkit::h2::block(&[("x-sum", "5")]);
        let flags = flag::END_HEADERS | flag::END_STREAM;
        peer.send(kind::HEADERS, flags, stream, trailers).await;
        peer.closed().await;
    })
    .await;
    let client = Client::new(peer.port(), config());
    let seen = within("response", client.get("/").ended()).await;
    let got = seen.head.clone().unwrap();
    assert_eq!((got.status, got.version), (200, Version::Http2));
    let fields: Vec<_> = got.headers.iter().collect();
    assert_eq!(
        fields,
        [
            (&b"x-a"[..], &b"1"[..]),
            (b"set-cookie", b"a=1"),
            (b"set-cookie", b"b=2")
        ]
    );
    assert_eq!(seen.informational.len(), 1);
    assert_eq!(seen.informational[0].status, 103);
    assert_eq!(text(&seen.body), "hello");
    let Some((_, Terminal::End(trailers))) = &seen.terminal else {
        panic!("{seen:?}");
    };
    assert_eq!(trailers.get("x-sum"), Some(&b"5"[..]));
    let connected = client.events.events().into_iter().next().unwrap();
    let Event::Connected { info, .. } = connected else {
        panic!("{connected:?}");
    };
    assert_eq!(info.protocol, Protocol::Http2);
    shut_down(client).await;
    peer.finish().await;
}

#[tokio::test]
async fn requests_share_one_connection_at_the_same_time() {
    let peer = serve(|conn| async {
        let mut peer = H2Peer::accept(conn, &[]).await;
        let mut streams = Vec::new();
        for _ in 0..50 {
            streams.push(peer.next_request().await.unwrap());
        }
        // Nobody is answered before all are there; then the last one first.
        for request in streams.into_iter().rev() {
            peer.respond(request.stream, request.body).await;
        }
        peer.closed().await;
    })
    .await;
    let client = Client::new(peer.port(), config());
    let calls: Vec<_> = (0..50)
        .map(|n| client.post("/", "id", &n.to_string()))
        .collect();
    for (n, call) in calls.iter().enumerate() {
        let seen = within("response", call.ended()).await;
        assert_eq!(text(&seen.body), n.to_string());
    }
    assert_eq!(client.events.connects(), 1);
    shut_down(client).await;
    peer.finish().await;
}

#[tokio::test]
async fn before_the_settings_came_there_is_one_stream() {
    let settled = Signal::new();
    let raised = settled.clone();
    let peer = serve(move |conn| {
        let settled = settled.clone();
        async move {
            let mut peer = H2Peer::silent(conn).await;
            let first = peer.next_head().await.unwrap();
            peer.respond(first, "first").await;
            let second = peer.next_head().await.unwrap();
            settled.raised().await;
            peer.settings(&[]).await;
            let third = peer.next_head().await.unwrap();
            peer.respond(third, "third").await;
            peer.respond(second, "second").await;
            peer.closed().await;
        }
    })
    .await;
    let client = Client::new(peer.port(), single());
    let calls: Vec<_> = (0..3).map(|_| client.get("/")).collect();
    within("first", calls[0].ended()).await;
    assert!(!calls[2].is_settled());
    raised.raise();
    let third = within("third", calls[2].ended()).await;
    assert_eq!(text(&third.body), "third");
    within("second", calls[1].ended()).await;
    shut_down(client).await;
    peer.finish().await;
}

#[tokio::test]
async fn the_peers_limit_is_kept_and_followed_when_it_changes() {
    let most = Arc::new(AtomicUsize::new(0));
    let highest = Arc::clone(&most);
    let peer = serve(move |conn| {
        let most = Arc::clone(&most);
        async move {
            let limit = |n| [(setting::MAX_CONCURRENT_STREAMS, n)];
            let mut peer = H2Peer::accept(conn, &limit(3)).await;
            let mut open = Vec::new();
            for _ in 0..3 {
                open.push(peer.next_request().await.unwrap().stream);
            }
            most.fetch_max(open.len(), Ordering::SeqCst);
            peer.settings(&limit(5)).await;
            for _ in 0..2 {
                open.push(peer.next_request().await.unwrap().stream);
            }
            // Down to one: none may come before four have ended.
            peer.settings(&limit(1)).await;
            while peer.next_frame().await.unwrap().kind != kind::SETTINGS {}
            for stream in open.drain(..4) {
                peer.respond(stream, "").await;
            }
            peer.respond(open[0], "").await;
            let mut served = 5;
            while let Some(request) = peer.next_request().await {
                served += 1;
                peer.respond(request.stream, "").await;
            }
            assert_eq!(served, 20);
        }
    })
    .await;
    let client = Client::new(peer.port(), single());
    let calls: Vec<_> = (0..20).map(|_| client.get("/")).collect();
    for call in &calls {
        within("response", call.ended()).await;
    }
    assert_eq!(highest.load(Ordering::SeqCst), 3);
    assert_eq!(client.pool.stats().running, 0);
    shut_down(client).await;
    peer.finish().await;
}

#[tokio::test]
async fn at_the_limit_another_connection_is_made_if_the_pool_may_grow() {
    let full = Signal::new();
    let count = Arc::new(AtomicUsize::new(0));
    let peer = serve(move |conn| {
        let (full, count) = (full.clone(), Arc::clone(&count));
        async move {
            let mut peer = H2Peer::accept(conn, &[(setting::MAX_CONCURRENT_STREAMS, 2)]).await;
            let mut open = Vec::new();
            for _ in 0..2 {
                open.push(peer.next_request().await.unwrap().stream);
            }
            // Nobody is answered before all six are on their way.
            if count.fetch_add(2, Ordering::SeqCst) + 2 == 6 {
                full.raise();
            }
            full.raised().await;
            for stream in open {
                peer.respond(stream, "").await;
            }
            echo(peer).await;
        }
    })
    .await;
    let client = Client::new(peer.port(), config());
    let calls: Vec<_> = (0..6).map(|_| client.get("/")).collect();
    for call in &calls {
        within("response", call.ended()).await;
    }
    assert_eq!(client.events.connects(), 3);
    shut_down(client).await;
    peer.finish().await;
}

#[tokio::test(start_paused = true)]
async fn s36_with_a_limit_of_zero_requests_wait_under_their_headers_timeout() {
    let peer = serve(|conn| async {
        let limit = |n| [(setting::MAX_CONCURRENT_STREAMS, n)];
        let mut peer = H2Peer::accept(conn, &limit(0)).await;
        let first = peer.next_head().await;
        if let Some(first) = first {
            // The one stream that is allowed before the settings came.
            peer.respond(first, "").await;
        }
        peer.closed().await;
    })
    .await;
    let mut config = single();
    config.exchange.headers_timeout = Some(Duration::from_secs(5));
    config.http2.ping_interval = None;
    let client = Client::new(peer.port(), config);
    within("first", client.get("/").ended()).await;
    let calls: Vec<_> = (0..3).map(|_| client.get("/")).collect();
    for call in calls {
        let error = within("error", call.error()).await;
        assert_eq!(error.kind(), ErrorKind::HeadersTimeout, "{error:?}");
    }
    client.pool.destroy();
    within("destroy", client.events.closed()).await;
    peer.finish().await;
}

// --- GOAWAY, REFUSED_STREAM, RST_STREAM ---

#[tokio::test]
async fn goaway_lets_accepted_streams_finish_and_replays_the_others() {
    let peer = serve(|conn| async {
        let mut peer = H2Peer::accept(conn, &[]).await;
        if peer.index() > 0 {
            return echo(peer).await;
        }
        let mut requests = Vec::new();
        for _ in 0..4 {
            requests.push(peer.next_request().await.unwrap());
        }
        peer.goaway(requests[1].stream, code::NO_ERROR).await;
        for request in requests.drain(..2) {
            peer.respond(request.stream, format!("old {}", text(&request.body)))
                .await;
        }
        peer.closed().await;
    })
    .await;
    let client = Client::new(peer.port(), config());
    let calls: Vec<_> = (0..4)
        .map(|n| client.post("/", "id", &n.to_string()))
        .collect();
    let mut bodies = Vec::new();
    for call in &calls {
        let seen = within("response", call.ended()).await;
        bodies.push(text(&seen.body).to_owned());
    }
    assert_eq!(bodies, ["old 0", "old 1", "2", "3"]);
    assert_eq!(client.events.connects(), 2);
    shut_down(client).await;
    peer.finish().await;
}

#[tokio::test]
async fn a_request_that_a_goaway_covers_fails_with_the_connection() {
    let peer = serve(|conn| async {
        let mut peer = H2Peer::accept(conn, &[]).await;
        let request = peer.next_request().await.unwrap();
        peer.goaway(request.stream, code::INTERNAL_ERROR).await;
        peer.conn().fin().await;
        peer.closed().await;
    })
    .await;
    let client = Client::new(peer.port(), config());
    let call = client.post("/", "id", "x");
    let error = within("error", call.error()).await;
    assert_eq!(error.kind(), ErrorKind::Socket);
    assert!(error.message().contains("GOAWAY"), "{error}");
    assert!(error.socket().is_some());
    shut_down(client).await;
    peer.finish().await;
}

#[tokio::test]
async fn a_refused_stream_is_sent_again() {
    let peer = serve(|conn| async {
        let mut peer = H2Peer::accept(conn, &[]).await;
        let first = peer.next_request().await.unwrap();
        peer.reset(first.stream, code::REFUSED_STREAM).await;
        echo(peer).await;
    })
    .await;
    let client = Client::new(peer.port(), config());
    let call = client.post("/", "id", "again");
    let seen = within("response", call.ended()).await;
    assert_eq!(text(&seen.body), "again");
    assert_eq!(client.events.connects(), 1);
    shut_down(client).await;
    peer.finish().await;
}

#[tokio::test]
async fn s38_a_peer_that_refuses_everything_is_asked_a_bounded_number_of_times() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let peer = serve(move |conn| {
        let asked = Arc::clone(&asked);
        async move {
            let mut peer = H2Peer::accept(conn, &[]).await;
            while let Some(request) = peer.next_request().await {
                asked.fetch_add(1, Ordering::SeqCst);
                peer.reset(request.stream, code::REFUSED_STREAM).await;
            }
        }
    })
    .await;
    let client = Client::new(peer.port(), config());
    let error = within("error", client.get("/").error()).await;
    assert_eq!(error.kind(), ErrorKind::StreamReset(code::REFUSED_STREAM));
    assert_eq!(count.load(Ordering::SeqCst), 6);
    shut_down(client).await;
    peer.finish().await;
}

#[tokio::test]
async fn s38_connections_that_go_away_at_once_are_tried_a_bounded_number_of_times() {
    let peer = serve(|conn| async {
        let mut peer = H2Peer::accept(conn, &[]).await;
        if peer.next_head().await.is_some() {
            peer.goaway(0, code::NO_ERROR).await;
        }
        peer.closed().await;
    })
    .await;
    let client = Client::new(peer.port(), config());
    let error = within("error", client.get("/").error()).await;
    assert_eq!(error.kind(), ErrorKind::Unserved, "{error:?}");
    assert_eq!(peer.accepted(), 6);
    shut_down(client).await;
    peer.finish().await;
}

#[tokio::test]
async fn s38_connections_that_go_away_before_a_stream_are_tried_a_bounded_number_of_times() {
    let peer = serve(|mut conn| async move {
        // One segment: the goodbye is read before the settings allow what the request needs.
        let offer = [0, 8, 0, 0, 0, 1];
        let settings = dodici_testkit::h2::frame(kind::SETTINGS, 0, 0, offer);
        let goodbye = dodici_testkit::h2::frame(kind::GOAWAY, 0, 0, [0; 8]);
        conn.send([settings, goodbye].concat()).await;
        conn.closed().await;
    })
    .await;
    let client = Client::new(peer.port(), single());
    let error = within("error", client.send(websocket()).error()).await;
    assert_eq!(error.kind(), ErrorKind::Unserved, "{error:?}");
    assert!(peer.accepted() <= 6, "{}", peer.accepted());
    shut_down(client).await;
    peer.finish().await;
}

#[tokio::test]
async fn a_reset_stream_fails_its_request_alone() {
    let peer = serve(|conn| async {
        let mut peer = H2Peer::accept(conn, &[]).await;
        let first = peer.next_request().await.unwrap();
        let second = peer.next_request().await.unwrap();
        peer.reset(first.stream, code::INTERNAL_ERROR).await;
        peer.respond(second.stream, "fine").await;
        peer.closed().await;
    })
    .await;
    let client = Client::new(peer.port(), config());
    let (one, other) = (client.get("/"), client.get("/"));
    let error = within("error", one.error()).await;
    assert_eq!(error.kind(), ErrorKind::StreamReset(code::INTERNAL_ERROR));
    let seen = within("response", other.ended()).await;
    assert_eq!(text(&seen.body), "fine");
    shut_down(client).await;
    peer.finish().await;
}

#[tokio::test]
async fn a_lost_connection_fails_what_was_sent_on_it() {
    let peer = serve(|conn| async {
        let mut peer = H2Peer::accept(conn, &[]).await;
        peer.next_request().await.unwrap();
        peer.next_request().await.unwrap();
        peer.into_conn().reset();
    })
    .await;
    let client = Client::new(peer.port(), config());
    let calls = [client.get("/"), client.get("/")];
    for call in &calls {
        let error = within("error", call.error()).await;
        assert_eq!(error.kind(), ErrorKind::Socket, "{error:?}");
    }
    within("disconnect", client.disconnected(1)).await;
    let event = client
        .events
        .events()
        .into_iter()
        .find_map(|event| match event {
            Event::Disconnected { info, .. } => Some(info),
            _ => None,
        });
    assert!(event.unwrap().error.is_some());
    // Nobody knows whether the peer has done what they asked for.
    assert_eq!(client.events.connects(), 1);
    shut_down(client).await;
    peer.finish().await;
}

#[tokio::test]
async fn a_pulled_body_that_was_begun_is_not_sent_again_after_a_refusal() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let peer = serve(move |conn| {
        let asked = Arc::clone(&asked);
        async move {
            let mut peer = H2Peer::accept(conn, &[]).await;
            while let Some(stream) = peer.next_head().await {
                asked.fetch_add(1, Ordering::SeqCst);
                let data = peer.next_frame_of(stream).await.unwrap();
                assert_eq!(data.payload, b"part");
                peer.reset(stream, code::REFUSED_STREAM).await;
            }
        }
    })
    .await;
    let client = Client::new(peer.port(), config());
    let call = client.send(post_chunked("/"));
    call.chunk("part");
    let error = within("error", call.error()).await;
    assert_eq!(error.kind(), ErrorKind::StreamReset(code::REFUSED_STREAM));
    assert_eq!(count.load(Ordering::SeqCst), 1);
    shut_down(client).await;
    peer.finish().await;
}

// --- bodies, flow control ---

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
    shut_down(client).await;
    peer.finish().await;
}

#[tokio::test]
async fn the_rest_of_a_body_is_sent_behind_an_early_answer() {
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
    shut_down(client).await;
    peer.finish().await;
}

#[tokio::test]
async fn a_peer_that_answers_and_wants_no_more_of_the_body_gets_none() {
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
    shut_down(client).await;
    peer.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_ends_does_not_keep_its_answer_for_ever() {
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
    shut_down(client).await;
    peer.finish().await;
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
    shut_down(client).await;
    peer.finish().await;
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
    shut_down(client).await;
    peer.finish().await;
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
        shut_down(client).await;
        peer.finish().await;
    }
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
    shut_down(client).await;
    drop(peer);
}

#[tokio::test]
async fn a_reader_that_stops_holds_one_window_and_stalls_nobody() {
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
    shut_down(client).await;
    peer.finish().await;
}

/// The window that a SETTINGS frame of the client gives to each stream.
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
async fn windows_grow_where_a_distant_peer_waits_for_them_and_may() {
    const WINDOW: u32 = 65_535;
    const DISTANCE: Duration = Duration::from_millis(100);
    for grows in [true, false] {
        let peer = serve(move |conn| async move {
            let mut peer = H2Peer::silent(conn).await;
            // What a peer that is this far away looks like: its SETTINGS take so long.
            tokio::time::sleep(DISTANCE).await;
            peer.settings(&[]).await;
            let stream = peer.next_head().await.unwrap();
            peer.head(stream, 200, &[], false).await;
            let (mut sent, mut wider) = (0, None);
            // A reader that is kept from the processor may miss the moment; the next window brings
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
        shut_down(client).await;
        peer.finish().await;
    }
}

#[tokio::test]
async fn s36_an_upload_stays_within_the_peers_window_and_follows_its_changes() {
    let peer = serve(|conn| async {
        let window = |n| [(setting::INITIAL_WINDOW_SIZE, n)];
        let mut peer = H2Peer::accept(conn, &window(10)).await;
        // The first request may be written before the settings came: it brings them about.
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
    shut_down(client).await;
    peer.finish().await;
}

#[tokio::test]
async fn a_body_waits_for_the_servers_consent() {
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
    let call = client.send(Request {
        expect_continue: true,
        ..post("/", "id", "now")
    });
    let seen = within("response", call.ended()).await;
    assert_eq!(text(&seen.body), "now");
    assert!(seen.informational.is_empty());
    shut_down(client).await;
    peer.finish().await;
}

// --- ends ---

#[tokio::test]
async fn an_abort_resets_the_stream_and_leaves_the_connection() {
    let peer = serve(|conn| async {
        let mut peer = H2Peer::accept(conn, &[]).await;
        let first = peer.next_head().await.unwrap();
        peer.head(first, 200, &[], false).await;
        peer.data(first, "part", false).await;
        let (reset, second) = reset_and_head(&mut peer).await;
        assert_eq!(reset, (first, code::CANCEL));
        peer.respond(second, "ok").await;
        peer.closed().await;
    })
    .await;
    let client = Client::new(peer.port(), config());
    let call = client.get("/");
    within(
        "part",
        call.wait(|seen| (!seen.body.is_empty()).then_some(())),
    )
    .await;
    call.handle.cancel();
    let error = within("error", call.error()).await;
    assert_eq!(error.kind(), ErrorKind::Aborted);
    within("next", client.get("/").ended()).await;
    assert_eq!(client.events.connects(), 1);
    shut_down(client).await;
    peer.finish().await;
}

#[tokio::test]
async fn an_aborted_stream_is_reset_although_nothing_else_happens() {
    for upload in [false, true] {
        let reset = Signal::new();
        let told = reset.clone();
        let peer = serve(move |conn| {
            let told = told.clone();
            async move {
                let mut peer = H2Peer::accept(conn, &[]).await;
                let stream = peer.next_head().await.unwrap();
                peer.head(stream, 200, &[], false).await;
                while peer.resets.is_empty() {
                    peer.next_frame().await.unwrap();
                }
                assert_eq!(peer.resets, [(stream, code::CANCEL)]);
                told.raise();
                peer.closed().await;
            }
        })
        .await;
        let mut config = config();
        // Its close would bring the reset about as well.
        config.pool.keep_alive_timeout = Some(Duration::from_secs(600));
        let client = Client::new(peer.port(), config);
        let call = client.send(if upload { post_chunked("/") } else { get("/") });
        within("head", call.wait(|seen| seen.head.as_ref().map(|_| ()))).await;
        call.handle.cancel();
        within("reset", reset.raised()).await;
        shut_down(client).await;
        peer.finish().await;
    }
}

#[tokio::test]
async fn s37_after_many_resets_a_connection_is_replaced() {
    let peer = serve(|conn| async {
        let mut peer = H2Peer::accept(conn, &[]).await;
        peer.closed().await;
        assert!(peer.resets.len() <= 900, "{}", peer.resets.len());
    })
    .await;
    let client = Client::new(peer.port(), config());
    for _ in 0..20 {
        let calls: Vec<_> = (0..100).map(|_| client.get("/")).collect();
        // All have a stream once the last one's head is on the wire.
        tokio::task::yield_now().await;
        for call in &calls {
            call.handle.cancel();
        }
        for call in calls {
            within("abort", call.error()).await;
        }
    }
    let stats = client.pool.stats();
    assert_eq!((stats.running, stats.pending), (0, 0));
    shut_down(client).await;
    peer.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_at_rest_says_goodbye_when_its_time_is_over() {
    let said = Signal::new();
    let goodbye = said.clone();
    let peer = serve(move |conn| {
        let said = said.clone();
        async move {
            let mut peer = H2Peer::accept(conn, &[]).await;
            let stream = peer.next_head().await.unwrap();
            peer.respond(stream, "").await;
            peer.closed().await;
            assert_eq!(peer.goaway, Some(code::NO_ERROR));
            said.raise();
        }
    })
    .await;
    let client = Client::new(peer.port(), config());
    within("response", client.get("/").ended()).await;
    within("disconnect", client.disconnected(1)).await;
    goodbye.raised().await;
    let Event::Disconnected { info, .. } = client.events.events().pop().unwrap() else {
        panic!("the disconnect is last");
    };
    assert_eq!(info.reason, CloseReason::IdleTimeout);
    assert_eq!(info.requests, 1);
    shut_down(client).await;
    peer.finish().await;
}

/// The peer is too slow for the first request.
async fn the_next_request_is_answered_on_the_same_connection(peer: ScriptedPeer) {
    let client = Client::new(peer.port(), single());
    let call = client.send(Request {
        headers_timeout: Some(Duration::from_millis(50)),
        ..get("/")
    });
    let error = within("error", call.error()).await;
    assert_eq!(error.kind(), ErrorKind::HeadersTimeout);
    within("next", client.get("/").ended()).await;
    assert_eq!(client.events.connects(), 1);
    shut_down(client).await;
    peer.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_times_out_leaves_a_living_connection() {
    let peer = serve(|conn| async {
        let mut peer = H2Peer::accept(conn, &[]).await;
        peer.next_head().await.unwrap();
        let second = peer.next_head().await.unwrap();
        peer.respond(second, "").await;
        peer.closed().await;
    })
    .await;
    the_next_request_is_answered_on_the_same_connection(peer).await;
}

#[tokio::test(start_paused = true)]
async fn no_stream_opens_while_a_peer_that_was_too_slow_has_not_answered_a_ping() {
    let peer = serve(|conn| async {
        let mut peer = H2Peer::accept(conn, &[]).await;
        peer.next_head().await.unwrap();
        // By hand: `H2Peer` would answer the PING at once.
        let mut kinds = Vec::new();
        let mut asked = None;
        let half_of_its_time = tokio::time::sleep(Duration::from_millis(500));
        let reading = async {
            loop {
                let head = peer.conn().read_up_to(9).await.unwrap();
                let payload = peer.conn().read_up_to(head[2].into()).await.unwrap();
                kinds.push(head[3]);
                if head[3] == kind::PING {
                    asked = Some(payload);
                }
            }
        };
        tokio::select! {
            () = reading => {}
            () = half_of_its_time => {}
        }
        assert!(!kinds.contains(&kind::HEADERS), "{kinds:?}");
        let asked = asked.unwrap();
        peer.send(kind::PING, flag::ACK, 0, asked).await;
        let second = peer.next_head().await.unwrap();
        peer.respond(second, "").await;
        peer.closed().await;
    })
    .await;
    the_next_request_is_answered_on_the_same_connection(peer).await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_answers_no_ping_is_dead() {
    let peer = serve(|conn| async {
        let mut peer = H2Peer::accept(conn, &[]).await;
        peer.next_head().await.unwrap();
        peer.conn().stall().await;
    })
    .await;
    let mut config = config();
    config.exchange.headers_timeout = None;
    config.http2.ping_interval = Some(Duration::from_secs(5));
    let client = Client::new(peer.port(), config);
    let error = within("error", client.get("/").error()).await;
    assert!(error.message().contains("unresponsive"), "{error}");
    drop(client);
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_streams_is_pinged_unless_told_otherwise() {
    for (while_idle, reason) in [
        (true, CloseReason::Timeout),
        (false, CloseReason::IdleTimeout),
    ] {
        let peer = serve(|conn| async {
            let mut peer = H2Peer::accept(conn, &[]).await;
            let stream = peer.next_head().await.unwrap();
            peer.respond(stream, "").await;
            // Answers no ping.
            peer.conn().stall().await;
        })
        .await;
        let mut config = config();
        config.exchange.headers_timeout = None;
        config.exchange.body_timeout = None;
        config.pool.keep_alive_timeout = Some(Duration::from_secs(60));
        config.http2.ping_interval = Some(Duration::from_secs(5));
        config.http2.ping_while_idle = while_idle;
        let client = Client::new(peer.port(), config);
        within("response", client.get("/").ended()).await;
        client.disconnected(1).await;
        let reasons = client.events.events().into_iter();
        let mut reasons = reasons.filter_map(|event| match event {
            Event::Disconnected { info, .. } => Some(info.reason),
            _ => None,
        });
        assert_eq!(reasons.next(), Some(reason), "while idle: {while_idle}");
    }
}

#[tokio::test]
async fn answered_pings_are_told_again_and_again() {
    let peer = serve(|conn| async { echo(H2Peer::accept(conn, &[]).await).await }).await;
    let mut config = config();
    config.http2.ping_interval = Some(Duration::from_millis(5));
    let client = Client::new(peer.port(), config);
    within("response", client.post("/", "id", "x").ended()).await;
    let pong = |event: &Event| matches!(event, Event::Pong { .. });
    within("answers", client.events.wait_nth(3, pong)).await;
    assert_eq!(client.events.connects(), 1);
    shut_down(client).await;
    peer.finish().await;
}

#[tokio::test]
async fn destroying_the_pool_fails_every_stream() {
    let peer = serve(|conn| async {
        let mut peer = H2Peer::accept(conn, &[]).await;
        peer.closed().await;
    })
    .await;
    let client = Client::new(peer.port(), config());
    let calls: Vec<_> = (0..10).map(|_| client.get("/")).collect();
    within(
        "connect",
        client
            .events
            .wait_nth(1, |e| matches!(e, Event::Connected { .. })),
    )
    .await;
    client.pool.destroy();
    for call in calls {
        let error = within("error", call.error()).await;
        assert_eq!(error.kind(), ErrorKind::Destroyed);
    }
    within("closed", client.events.closed()).await;
    peer.finish().await;
}

// --- byte streams ---

#[tokio::test]
async fn connect_leaves_a_byte_stream_beside_other_requests() {
    let peer = serve(|conn| async {
        let mut peer = H2Peer::accept(conn, &[]).await;
        let tunnel = peer.next_head().await.unwrap();
        peer.head(tunnel, 200, &[], false).await;
        let frame = loop {
            let frame = peer.next_frame().await.unwrap();
            if frame.kind == kind::DATA {
                break frame;
            }
        };
        peer.data(tunnel, frame.payload, false).await;
        let other = peer.next_head().await.unwrap();
        peer.respond(other, "beside").await;
        peer.data(tunnel, "", true).await;
        peer.closed().await;
    })
    .await;
    let client = Client::new(peer.port(), config());
    let call = client.send(connect("example.org:443"));
    within("upgrade", call.wait(|seen| seen.upgraded.then_some(()))).await;
    call.chunk("ping");
    within(
        "echo",
        call.wait(|seen| (seen.body == b"ping").then_some(())),
    )
    .await;
    assert_eq!(client.pool.stats().running, 0);
    let seen = within("other", client.get("/").ended()).await;
    assert_eq!(text(&seen.body), "beside");
    call.finish();
    within("end", call.ended()).await;
    shut_down(client).await;
    peer.finish().await;
}

#[tokio::test]
async fn a_byte_stream_whose_peer_has_ended_still_writes_everything() {
    let peer = serve(|conn| async {
        let mut peer = H2Peer::accept(conn, &[]).await;
        let tunnel = peer.next_head().await.unwrap();
        peer.head(tunnel, 200, &[], false).await;
        peer.data(tunnel, "goodbye", true).await;
        // Three windows: the caller is asked for its bytes, and room is given, after that end.
        let (mut count, mut other) = (0, None);
        loop {
            let frame = peer.next_frame().await.unwrap();
            if frame.kind == kind::HEADERS {
                other = Some(frame.stream);
            }
            if frame.kind != kind::DATA {
                continue;
            }
            count += frame.payload.len();
            if frame.ends_stream() {
                break;
            }
            if !frame.payload.is_empty() {
                let room = frame.payload.len() as u32;
                peer.grant(tunnel, room).await;
                peer.grant(0, room).await;
            }
        }
        assert_eq!(count, 200_000);
        let other = match other {
            Some(stream) => stream,
            None => peer.next_head().await.unwrap(),
        };
        peer.respond(other, "after").await;
        peer.closed().await;
    })
    .await;
    let client = Client::new(peer.port(), config());
    let call = client.send(connect("example.org:443"));
    within(
        "the peer's end",
        call.wait(|seen| (seen.body == b"goodbye").then_some(())),
    )
    .await;
    call.handle.body_chunk(vec![b'x'; 100_000].into());
    within(
        "asked for more",
        call.wait(|seen| (seen.pulled() > 200_000).then_some(())),
    )
    .await;
    call.handle.body_chunk(vec![b'x'; 100_000].into());
    call.finish();
    within("end", call.ended()).await;
    let seen = within("other", client.get("/").ended()).await;
    assert_eq!(text(&seen.body), "after");
    shut_down(client).await;
    peer.finish().await;
}

#[tokio::test]
async fn a_peer_that_has_ended_a_byte_stream_may_refuse_the_rest() {
    for (code, clean) in [(code::NO_ERROR, true), (code::CANCEL, false)] {
        let peer = serve(move |conn| async move {
            let mut peer = H2Peer::accept(conn, &[]).await;
            let tunnel = peer.next_head().await.unwrap();
            peer.head(tunnel, 200, &[], false).await;
            peer.data(tunnel, "goodbye", true).await;
            peer.reset(tunnel, code).await;
            peer.closed().await;
        })
        .await;
        let client = Client::new(peer.port(), config());
        let call = client.send(connect("example.org:443"));
        let seen = within("settled", call.settled()).await;
        assert_eq!(text(&seen.body), "goodbye");
        let wanted = (!clean).then_some(ErrorKind::StreamReset(code));
        assert_eq!(seen.error_kind(), wanted);
        shut_down(client).await;
        peer.finish().await;
    }
}

#[tokio::test]
async fn an_orderly_reset_ends_a_byte_stream_and_cuts_a_response_short() {
    let peer = serve(|conn| async {
        let mut peer = H2Peer::accept(conn, &[]).await;
        for _ in 0..2 {
            let stream = peer.next_head().await.unwrap();
            peer.head(stream, 200, &[], false).await;
            peer.data(stream, "part", false).await;
            peer.reset(stream, code::NO_ERROR).await;
        }
        peer.closed().await;
    })
    .await;
    let client = Client::new(peer.port(), config());
    let tunnel = client.send(connect("example.org:443"));
    let seen = within("end", tunnel.ended()).await;
    assert!(seen.upgraded);
    assert_eq!(text(&seen.body), "part");
    let error = within("error", client.get("/").error()).await;
    assert_eq!(error.kind(), ErrorKind::StreamReset(code::NO_ERROR));
    shut_down(client).await;
    peer.finish().await;
}

fn websocket() -> Request {
    Request {
        kind: RequestKind::Upgrade,
        ..Request::new(
            "GET /chat HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        )
    }
}

#[tokio::test]
async fn a_websocket_needs_the_servers_extended_connect() {
    for offered in [0, 1] {
        let peer = serve(move |conn| async move {
            let settings = [(setting::ENABLE_CONNECT_PROTOCOL, offered)];
            let mut peer = H2Peer::accept(conn, &settings).await;
            while let Some(stream) = peer.next_head().await {
                peer.head(stream, 200, &[], false).await;
                peer.data(stream, "hi", true).await;
            }
        })
        .await;
        let client = Client::new(peer.port(), config());
        let call = client.send(websocket());
        if offered == 0 {
            let error = within("error", call.error()).await;
            assert_eq!(error.kind(), ErrorKind::Unserved);
        } else {
            within("upgrade", call.wait(|seen| seen.upgraded.then_some(()))).await;
            call.finish();
            let seen = within("end", call.ended()).await;
            assert_eq!(text(&seen.body), "hi");
        }
        shut_down(client).await;
        peer.finish().await;
    }
}

#[tokio::test]
async fn padding_and_continuation_change_nothing() {
    let peer = serve(|conn| async {
        let mut peer = H2Peer::accept(conn, &[]).await;
        let stream = peer.next_head().await.unwrap();
        let block = response_block(200, &[("x-long", &"v".repeat(300))]);
        let (start, rest) = block.split_at(20);
        peer.send(kind::HEADERS, 0, stream, start).await;
        peer.send(kind::CONTINUATION, flag::END_HEADERS, stream, rest)
            .await;
        let mut padded = vec![3];
        padded.extend(b"body\0\0\0");
        peer.send(kind::DATA, flag::PADDED | flag::END_STREAM, stream, padded)
            .await;
        peer.closed().await;
    })
    .await;
    let client = Client::new(peer.port(), config());
    let seen = within("response", client.get("/").ended()).await;
    assert_eq!(text(&seen.body), "body");
    assert_eq!(seen.head.unwrap().headers.get("x-long").unwrap().len(), 300);
    shut_down(client).await;
    peer.finish().await;
}

#[tokio::test]
async fn a_field_with_one_value_is_refused_under_two_spellings() {
    let peer = serve(|conn| async { echo(H2Peer::accept(conn, &[]).await).await }).await;
    let client = Client::new(peer.port(), config());
    let request = |fields: &str| Request::new(format!("GET / HTTP/1.1\r\nhost: a\r\n{fields}\r\n"));
    let twice = request("content-type: a/b\r\nContent-Type: a/b\r\n");
    let error = within("refused", client.send(twice).error()).await;
    assert_eq!(error.kind(), ErrorKind::Unserved);
    assert_eq!(
        dodici_testkit::client::code(&error),
        "ERR_HTTP2_HEADER_SINGLE_VALUE"
    );
    for fields in [
        "x-a: 1\r\nX-A: 2\r\n",
        "content-type: a/b\r\ncontent-type: a/c\r\n",
    ] {
        within("response", client.send(request(fields)).ended()).await;
    }
    assert_eq!(client.events.connects(), 1);
    shut_down(client).await;
    peer.finish().await;
}

#[tokio::test]
async fn what_no_header_can_be_is_refused_before_it_is_sent() {
    let peer = serve(|conn| async {
        let peer = H2Peer::accept(conn, &[]).await;
        echo(peer).await;
    })
    .await;
    let client = Client::new(peer.port(), config());
    let call = client.send(Request {
        kind: RequestKind::Upgrade,
        body: BodyKind::None,
        ..Request::new("GET / HTTP/1.1\r\nhost: a\r\nupgrade: other\r\n\r\n")
    });
    let error = within("error", call.error()).await;
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    within("next", client.get("/").ended()).await;
    shut_down(client).await;
    assert_eq!(
        within("close", async {
            loop {
                if let Some(close) = peer.log().connections[0].peer_close {
                    break close;
                }
                tokio::task::yield_now().await;
            }
        })
        .await,
        PeerClose::Fin
    );
    peer.finish().await;
}
