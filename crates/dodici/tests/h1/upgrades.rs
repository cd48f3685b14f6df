//! Connections that become byte streams: 101 and CONNECT.

use dodici::{CloseReason, ErrorKind, OriginConfig, Phase};
use dodici_testkit::client::{connect, upgrade};
use dodici_testkit::config::config;
use dodici_testkit::message::pattern;
use dodici_testkit::recording::Seen;
use dodici_testkit::{Client, PeerClose, ScriptedPeer, within};

const SWITCH: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_carries_bytes_both_ways_and_ends_with_the_peers_fin() {
    for (request, reply) in [
        (upgrade("/"), SWITCH),
        (
            connect("far:443"),
            "HTTP/1.1 200 Fine\r\nContent-Length: 9\r\n\r\n",
        ),
    ] {
        let peer = ScriptedPeer::tcp().await.run(move |mut conn| async move {
            conn.read_head().await;
            // Bytes after the head belong to the stream.
            conn.send(format!("{reply}first ")).await;
            let got = conn.read_exact(5).await;
            conn.send(got).await;
            assert_eq!(conn.closed().await, PeerClose::Fin);
            conn.send(" after your fin").await;
        });
        let client = Client::new(peer.port(), OriginConfig::default());
        let call = client.send(request);
        within("upgrade", call.wait(|seen| seen.upgraded.then_some(()))).await;
        call.chunk("hello");
        let echoed = |seen: &Seen| seen.body.ends_with(b"hello").then_some(());
        within("echo", call.wait(echoed)).await;
        // Half close: our direction ends, the peer's continues.
        call.finish();
        let seen = within("end", call.ended()).await;
        assert_eq!(
            String::from_utf8(seen.body).unwrap(),
            "first hello after your fin"
        );
        assert_eq!(client.reasons(), [CloseReason::Upgraded]);
        within("released", call.released()).await;
        client.shut_down().await;
        within("scripts", peer.join()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_of_an_upgraded_request_closes_its_connection() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        conn.read_head().await;
        conn.send(SWITCH).await;
        conn.closed().await;
    });
    let client = Client::new(peer.port(), OriginConfig::default());
    let call = client.send(upgrade("/"));
    within("upgrade", call.wait(|seen| seen.upgraded.then_some(()))).await;
    call.handle.cancel();
    let error = within("aborted", call.error()).await;
    assert_eq!(
        (error.kind(), error.phase()),
        (ErrorKind::Aborted, Phase::Upgraded)
    );
    within("closed", peer.peer_close(0)).await;
    client.finish(peer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_reader_of_an_upgraded_stream_gets_no_more_than_its_window() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        conn.read_head().await;
        conn.send(SWITCH).await;
        conn.send(pattern(5_000_000)).await;
    });
    let client = Client::new(
        peer.port(),
        config(|config| config.exchange.window = 50_000),
    );
    let call = client.send_paused(upgrade("/"));
    let full = |seen: &Seen| (seen.cost() >= 50_000).then_some(());
    within("window", call.wait(full)).await;
    assert!(call.seen().body.len() < 50_000 + 64 * 1024);
    call.handle.credit(u32::MAX);
    call.finish();
    assert_eq!(within("end", call.ended()).await.body, pattern(5_000_000));
    client.finish(peer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgraded_stream_whose_peer_has_ended_still_writes_everything() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        conn.read_head().await;
        conn.send(SWITCH).await;
        conn.fin().await;
        assert_eq!(conn.read_exact(3_000_000).await, pattern(3_000_000));
        assert_eq!(conn.closed().await, PeerClose::Fin);
    });
    let client = Client::new(peer.port(), OriginConfig::default());
    let call = client.send(upgrade("/"));
    within("upgrade", call.wait(|seen| seen.upgraded.then_some(()))).await;
    // Like a caller that supplies its bytes piece by piece.
    for piece in pattern(3_000_000).chunks(50_000) {
        call.handle.body_chunk(piece.to_vec().into());
        tokio::task::yield_now().await;
    }
    call.finish();
    within("end", call.ended()).await;
    assert_eq!(client.reasons(), [CloseReason::Upgraded]);
    client.shut_down().await;
    within("scripts", peer.join()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s18_a_refused_connect_is_a_plain_response() {
    let peer = ScriptedPeer::tcp().await.replies(vec![
        "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 2\r\n\r\nno",
    ]);
    let client = Client::new(peer.port(), OriginConfig::default());
    let seen = within("response", client.send(connect("far:443")).ended()).await;
    assert!(!seen.upgraded);
    assert_eq!((seen.status(), &seen.body[..]), (407, &b"no"[..]));
    client.finish(peer).await;
}
