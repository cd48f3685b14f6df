//! Request bodies over HTTP/2 share the window of one connection: a body with nothing to send holds
//! none of it, and what needs none does not wait for any.

use bytes::Bytes;
use dodici::HeaderBlock;
use dodici_testkit::client::{connect, get, post_chunked, post_sized};
use dodici_testkit::h2::{Frame, flag, kind, setting};
use dodici_testkit::{Client, H2Peer, ScriptedPeer, Signal, within};

use crate::support::one_connection;

/// The window of a connection before anything is granted (RFC 9113, section 6.9.2).
const WINDOW: usize = 65_535;

async fn serve<F, Fut>(script: F) -> ScriptedPeer
where
    F: Fn(H2Peer) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    ScriptedPeer::tcp().await.run(move |conn| {
        let script = script.clone();
        async move {
            // Streams have larger windows than the connection.
            let settings = [(setting::INITIAL_WINDOW_SIZE, 1 << 20)];
            script(H2Peer::accept(conn, &settings).await).await;
        }
    })
}

/// Reads until this many body bytes have arrived.
async fn bytes(peer: &mut H2Peer, wanted: usize) -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut have = 0;
    while have < wanted {
        let frame = peer.next_frame().await.unwrap();
        if frame.kind == kind::DATA {
            have += frame.payload.len();
        }
        frames.push(frame);
    }
    assert_eq!(have, wanted);
    frames
}

#[tokio::test]
async fn a_paused_upload_holds_no_window_of_the_others() {
    let paused = Signal::new();
    let told = paused.clone();
    let peer = serve(move |mut peer| {
        let paused = told.clone();
        async move {
            let first = peer.next_head().await.unwrap();
            bytes(&mut peer, WINDOW - 1).await;
            paused.raise();
            // The last byte of window goes to a body that has one to send.
            let request = peer.next_request().await.unwrap();
            assert_eq!(request.body, b"!");
            peer.respond(request.stream, "other").await;
            // No window is left or granted: what needs none is sent.
            for _ in 0..3 {
                let request = peer.next_request().await.unwrap();
                assert_eq!(request.body, b"");
                peer.respond(request.stream, "none").await;
            }
            peer.grant(0, 3).await;
            let rest = peer.next_frame_of(first).await.unwrap();
            assert_eq!(rest.payload, b"end");
            assert!(peer.next_frame_of(first).await.unwrap().ends_stream());
            peer.respond(first, "first").await;
            peer.closed().await;
        }
    })
    .await;
    let client = Client::new(peer.port(), one_connection());
    let slow = client.send(post_chunked("/slow"));
    within(
        "asked",
        slow.wait(|seen| (!seen.pulls.is_empty()).then_some(())),
    )
    .await;
    slow.handle.body_chunk(Bytes::from(vec![b'x'; WINDOW - 1]));
    within("paused", paused.raised()).await;
    let other = client.send(post_sized("/other", 1));
    other.chunk("!");
    other.finish();
    assert_eq!(within("other", other.ended()).await.body, b"other");
    // An empty body that is streamed, trailers alone, and no body at all.
    let empty = client.send(post_chunked("/empty"));
    empty.finish();
    assert_eq!(within("empty", empty.ended()).await.body, b"none");
    let trailers = client.send(post_chunked("/trailers"));
    let mut block = HeaderBlock::new();
    block.push(b"x-sum", b"0");
    trailers.handle.body_end(block);
    assert_eq!(within("trailers", trailers.ended()).await.body, b"none");
    assert_eq!(within("get", client.get("/").ended()).await.body, b"none");
    slow.chunk("end");
    slow.finish();
    assert_eq!(within("slow", slow.ended()).await.body, b"first");
    client.finish(peer).await;
}

#[tokio::test]
async fn the_end_of_a_body_that_used_the_whole_window_waits_for_no_more() {
    for with_trailers in [false, true] {
        let peer = serve(|mut peer| async move {
            let request = peer.next_request().await.unwrap();
            assert_eq!(request.body.len(), WINDOW);
            peer.respond(request.stream, "all").await;
            peer.closed().await;
        })
        .await;
        let client = Client::new(peer.port(), one_connection());
        let call = client.send(post_chunked("/"));
        within(
            "asked",
            call.wait(|seen| (!seen.pulls.is_empty()).then_some(())),
        )
        .await;
        call.handle.body_chunk(Bytes::from(vec![b'x'; WINDOW]));
        let mut trailers = HeaderBlock::new();
        if with_trailers {
            trailers.push(b"x-sum", b"65535");
        }
        call.handle.body_end(trailers);
        assert_eq!(within("all", call.ended()).await.body, b"all");
        client.finish(peer).await;
    }
}

#[tokio::test]
async fn a_silent_tunnel_holds_no_window_and_ends_without_any() {
    let silent = Signal::new();
    let told = silent.clone();
    let peer = serve(move |mut peer| {
        let silent = told.clone();
        async move {
            let tunnel = peer.next_head().await.unwrap();
            peer.head(tunnel, 200, &[], false).await;
            bytes(&mut peer, WINDOW - 1).await;
            silent.raise();
            let request = peer.next_request().await.unwrap();
            assert_eq!(request.body, b"!");
            peer.respond(request.stream, "other").await;
            let end = peer.next_frame_of(tunnel).await.unwrap();
            assert!(end.payload.is_empty() && end.ends_stream());
            peer.data(tunnel, "bye", true).await;
            peer.closed().await;
        }
    })
    .await;
    let client = Client::new(peer.port(), one_connection());
    let tunnel = client.send(connect("far.test:443"));
    within("up", tunnel.wait(|seen| seen.upgraded.then_some(()))).await;
    tunnel
        .handle
        .body_chunk(Bytes::from(vec![b'x'; WINDOW - 1]));
    within("silent", silent.raised()).await;
    let other = client.send(post_sized("/other", 1));
    other.chunk("!");
    other.finish();
    assert_eq!(within("other", other.ended()).await.body, b"other");
    tunnel.finish();
    assert_eq!(within("tunnel", tunnel.ended()).await.body, b"bye");
    client.finish(peer).await;
}

#[tokio::test]
async fn what_was_written_to_a_tunnel_is_sent_before_it_is_cancelled() {
    let peer = serve(|mut peer| async move {
        let tunnel = peer.next_head().await.unwrap();
        peer.head(tunnel, 200, &[], false).await;
        let last = bytes(&mut peer, 7).await.pop().unwrap();
        assert_eq!(last.payload, b"goodbye");
        while peer.resets.is_empty() {
            peer.next_frame().await.unwrap();
        }
        peer.closed().await;
    })
    .await;
    let client = Client::new(peer.port(), one_connection());
    let tunnel = client.send(connect("far.test:443"));
    within("up", tunnel.wait(|seen| seen.upgraded.then_some(()))).await;
    tunnel.chunk("goodbye");
    tunnel.handle.cancel();
    within("given up", tunnel.error()).await;
    client.finish(peer).await;
}

#[tokio::test]
async fn before_settings_a_peer_gets_as_many_requests_as_configured() {
    for allowed in [1, 3] {
        let peer = ScriptedPeer::tcp().await.run(move |conn| async move {
            let mut peer = H2Peer::silent(conn).await;
            let mut heads = vec![peer.next_head().await.unwrap()];
            peer.settings(&[]).await;
            // What arrives before the client's acknowledgement was sent without knowing them.
            loop {
                let frame = peer.next_frame().await.unwrap();
                match frame.kind {
                    kind::HEADERS => heads.push(frame.stream),
                    kind::SETTINGS if frame.flags & flag::ACK != 0 => break,
                    _ => {}
                }
            }
            assert_eq!(heads.len(), allowed);
            for stream in heads {
                peer.respond(stream, "ok").await;
            }
            while let Some(stream) = peer.next_head().await {
                peer.respond(stream, "ok").await;
            }
        });
        let mut config = one_connection();
        config.http2.streams_before_settings = allowed as u32;
        let client = Client::new(peer.port(), config);
        let calls: Vec<_> = (0..3).map(|_| client.send(get("/"))).collect();
        for call in &calls {
            within("answer", call.ended()).await;
        }
        client.finish(peer).await;
    }
}
