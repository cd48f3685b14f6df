//! CONNECT and WebSockets: byte streams beside other requests.

use dodici::{ErrorKind, Request, RequestKind};
use dodici_testkit::client::connect;
use dodici_testkit::h2::{code, kind, setting};
use dodici_testkit::{Client, H2Peer, within};

use crate::support::{config, serve, text};

#[tokio::test]
async fn connect_provides_a_byte_stream_beside_other_requests() {
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
    client.finish(peer).await;
}

#[tokio::test]
async fn a_byte_stream_whose_peer_has_ended_still_writes_everything() {
    let peer = serve(|conn| async {
        let mut peer = H2Peer::accept(conn, &[]).await;
        let tunnel = peer.next_head().await.unwrap();
        peer.head(tunnel, 200, &[], false).await;
        peer.data(tunnel, "goodbye", true).await;
        // Three windows: bytes are requested and window is granted after that end.
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
    client.finish(peer).await;
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
        client.finish(peer).await;
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
    client.finish(peer).await;
}

pub(crate) fn websocket() -> Request {
    Request::new(
        "GET /chat HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
    )
    .with_kind(RequestKind::Upgrade)
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
        client.finish(peer).await;
    }
}
