//! Bodies in very many very small pieces: those available together are delivered together, and a
//! reader that has stopped holds a bounded number of them. (S34)

use bytes::Bytes;
use dodici::OriginConfig;
use dodici_pool::PIECE_OVERHEAD;
use dodici_testkit::client::{get, post_chunked, upgrade};
use dodici_testkit::h2::{flag, frame, kind, response_block};
use dodici_testkit::recording::Seen;
use dodici_testkit::{Client, H2Peer, ScriptedPeer, within};
use tokio::io::AsyncReadExt;

const HEAD: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
const CHUNK: &str = "1\r\na\r\n";

/// A server that answers its first request with a hundred thousand one-byte chunks in one write.
async fn one_byte_chunks() -> ScriptedPeer {
    ScriptedPeer::tcp().await.run(|mut conn| async move {
        let head = conn.read_head().await;
        if head.target == "/upload" {
            conn.read_body(&head).await;
        }
        conn.send(format!(
            "{HEAD}{}0\r\nX-After: all\r\n\r\n",
            CHUNK.repeat(100_000)
        ))
        .await;
        conn.closed().await;
    })
}

/// A server that sends this many of these pieces, each in a separate packet.
async fn trickle(head: &'static str, piece: &'static str, count: usize) -> ScriptedPeer {
    ScriptedPeer::tcp().await.run(move |mut conn| async move {
        conn.read_head().await;
        conn.send(head).await;
        for _ in 0..count {
            conn.send(piece).await;
            tokio::task::yield_now().await;
        }
        if piece == CHUNK {
            conn.send("0\r\n\r\n").await;
        }
        conn.closed().await;
    })
}

/// An HTTP/2 server without TLS.
async fn http2<F, Fut>(script: F) -> (ScriptedPeer, OriginConfig)
where
    F: Fn(H2Peer) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let peer = ScriptedPeer::tcp().await.run(move |conn| {
        let script = script.clone();
        async move { script(H2Peer::accept(conn, &[]).await).await }
    });
    let mut config = OriginConfig::default();
    config.http2.prior_knowledge = true;
    config.pool.max_connections = std::num::NonZeroU32::new(1);
    (peer, config)
}

/// A response head and this many DATA frames of one byte.
fn one_byte_frames(stream: u32, count: usize) -> Vec<u8> {
    let head = response_block(200, &[]);
    let mut bytes = frame(kind::HEADERS, flag::END_HEADERS, stream, head);
    bytes.extend(frame(kind::DATA, 0, stream, "a").repeat(count));
    bytes
}

async fn shut_down(client: Client, peer: ScriptedPeer) {
    client.pool.destroy();
    client.finish(peer).await;
}

/// A read of 16 KiB holds 2,700 one-byte chunks; sometimes the kernel returns less.
fn assert_told_together(seen: &Seen, bytes: usize) {
    assert_eq!(seen.body.len(), bytes);
    assert!(
        seen.chunks.len() <= bytes / 100,
        "{} pieces for {bytes} bytes",
        seen.chunks.len()
    );
}

#[tokio::test]
async fn s34_chunks_of_one_byte_that_arrive_together_are_delivered_together() {
    let peer = one_byte_chunks().await;
    let client = Client::new(peer.port(), OriginConfig::default());
    let seen = within("plain", client.get("/").ended()).await;
    assert_told_together(&seen, 100_000);
    assert_eq!(seen.trailers(), [("X-After".into(), "all".into())]);
    shut_down(client, peer).await;
}

#[tokio::test]
async fn s34_chunks_of_one_byte_in_response_to_a_streamed_body_are_delivered_together() {
    let peer = one_byte_chunks().await;
    let client = Client::new(peer.port(), OriginConfig::default());
    let call = client.send(post_chunked("/upload"));
    call.chunk("body");
    call.finish();
    let seen = within("streamed", call.ended()).await;
    assert_told_together(&seen, 100_000);
    shut_down(client, peer).await;
}

#[tokio::test]
async fn s34_a_stopped_reader_holds_few_pieces_that_arrived_one_by_one() {
    const WINDOW: u32 = 10 * PIECE_OVERHEAD;
    let mut config = OriginConfig::default();
    config.exchange.window = WINDOW;
    for (head, piece) in [(HEAD, CHUNK), (SWITCH, "a")] {
        for request in [get("/"), post_chunked("/"), upgrade("/")] {
            if (head == SWITCH) != (request.kind == dodici::RequestKind::Upgrade) {
                continue;
            }
            let peer = trickle(head, piece, 100_000).await;
            let client = Client::new(peer.port(), config.clone());
            let call = client.send_paused(request);
            call.finish();
            let full = |seen: &Seen| (seen.cost() >= u64::from(WINDOW)).then_some(());
            within("the window", call.wait(full)).await;
            // Far more is available, and would be read.
            let sent = |log: &dodici_testkit::peer_log::PeerLog| {
                (log.connections[0].sent > 5_000 * piece.len() as u64).then_some(())
            };
            within("more is sent", peer.wait(sent)).await;
            for _ in 0..1_000 {
                tokio::task::yield_now().await;
            }
            let seen = call.seen();
            assert!(seen.chunks.len() <= 11, "{:?}", seen.chunks);
            // And it continues where it stopped.
            call.handle.credit(u32::MAX);
            let more = |seen: &Seen| (seen.chunks.len() > 11).then_some(());
            within("more", call.wait(more)).await;
            call.handle.cancel();
            within("settled", call.settled()).await;
            shut_down(client, peer).await;
        }
    }
}

#[tokio::test]
async fn s34_readers_of_the_rust_api_return_the_cost_of_pieces() {
    let mut config = OriginConfig::default();
    config.exchange.window = 4 * PIECE_OVERHEAD;
    let peer = trickle(HEAD, CHUNK, 2_000).await;
    let client = Client::new(peer.port(), config.clone());
    let request = http::Request::get("/").body(NoBody).unwrap();
    let response = within("head", client.pool.send(request)).await.unwrap();
    let (all, _) = within("body", response.into_body().collect())
        .await
        .unwrap();
    assert_eq!(all.len(), 2_000);
    shut_down(client, peer).await;

    let peer = trickle(SWITCH, "a", 2_000).await;
    let client = Client::new(peer.port(), config);
    let request = http::Request::get("/").header("upgrade", "echo");
    let request = request.body(NoBody).unwrap();
    let response = within("head", client.pool.send(request)).await.unwrap();
    let mut stream = response.into_body().into_upgraded();
    let mut all = vec![0; 2_000];
    within("bytes", stream.read_exact(&mut all)).await.unwrap();
    drop(stream);
    shut_down(client, peer).await;
}

/// The body of a request without one.
struct NoBody;

impl http_body::Body for NoBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        std::task::Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn s34_data_frames_of_one_byte_that_are_read_never_end_the_connection() {
    let (peer, config) = http2(|mut peer| async move {
        while let Some(request) = peer.next_request().await {
            let mut bytes = one_byte_frames(request.stream, 200_000);
            bytes.extend(frame(kind::DATA, flag::END_STREAM, request.stream, ""));
            peer.send_raw(bytes).await;
        }
    })
    .await;
    let client = Client::new(peer.port(), config);
    for _ in 0..2 {
        let seen = within("all of it", client.get("/").ended()).await;
        assert_told_together(&seen, 200_000);
    }
    assert_eq!(client.events.connects(), 1);
    shut_down(client, peer).await;
}

#[tokio::test]
async fn s34_a_stopped_reader_holds_data_frames_of_one_byte_in_few_pieces() {
    let (peer, config) = http2(|mut peer| async move {
        let slow = peer.next_request().await.unwrap().stream;
        peer.send_raw(one_byte_frames(slow, 200_000)).await;
        // The connection stays open, and serves the others.
        let other = peer.next_request().await.unwrap().stream;
        peer.respond(other, "ok").await;
        peer.data(slow, "", true).await;
        peer.closed().await;
    })
    .await;
    let mut config = config;
    config.exchange.window = 10 * PIECE_OVERHEAD;
    let client = Client::new(peer.port(), config);
    let slow = client.send_paused(get("/slow"));
    within("head", slow.wait(|seen| seen.head.as_ref().map(drop))).await;
    let other = within("other", client.get("/other").ended()).await;
    assert_eq!(other.body, b"ok");
    assert!(slow.seen().chunks.len() <= 11);
    slow.handle.credit(u32::MAX);
    let seen = within("slow", slow.ended()).await;
    assert_told_together(&seen, 200_000);
    assert_eq!(client.events.connects(), 1);
    shut_down(client, peer).await;
}

#[tokio::test]
async fn s34_a_stopped_reader_returns_no_window_however_large_its_streams_window_is() {
    const STREAM: usize = 1 << 20;
    let (peer, config) = http2(|mut peer| async move {
        let slow = peer.next_request().await.unwrap().stream;
        peer.head(slow, 200, &[], false).await;
        for _ in 0..STREAM / 16_384 {
            peer.data(slow, vec![b'a'; 16_384], false).await;
        }
        // Two others: any window update would arrive before them.
        for _ in 0..2 {
            let other = peer.next_request().await.unwrap().stream;
            peer.respond(other, "ok").await;
        }
        assert_eq!(peer.granted.get(&slow), None);
        peer.data(slow, "", true).await;
        peer.closed().await;
    })
    .await;
    let mut config = config;
    config.http2.stream_window = STREAM as u32;
    config.exchange.window = 64 * 1024;
    let client = Client::new(peer.port(), config);
    let slow = client.send_paused(get("/slow"));
    let full = |seen: &Seen| (seen.cost() >= 64 * 1024).then_some(());
    within("the reader's window", slow.wait(full)).await;
    for _ in 0..2 {
        within("other", client.get("/other").ended()).await;
    }
    assert!(slow.seen().body.len() <= 80 * 1024);
    slow.handle.credit(u32::MAX);
    let seen = within("slow", slow.ended()).await;
    assert_eq!(seen.body.len(), STREAM);
    shut_down(client, peer).await;
}
