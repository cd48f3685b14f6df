//! Heads, informational responses and trailers, and the fields that a request may have.

use dodici::{BodyKind, ErrorKind, Event, Protocol, Request, RequestKind, Version};
use dodici_testkit::h2::{block, flag, kind, response_block};
use dodici_testkit::{Client, H2Peer, PeerClose, Terminal, client, within};

use crate::support::{config, echo, serve, serve_echo, text};

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
        let trailers = block(&[("x-sum", "5")]);
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
    client.finish(peer).await;
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
    client.finish(peer).await;
}

#[tokio::test]
async fn a_field_with_one_value_is_refused_under_two_spellings() {
    let peer = serve_echo().await;
    let client = Client::new(peer.port(), config());
    let request = |fields: &str| Request::new(format!("GET / HTTP/1.1\r\nhost: a\r\n{fields}\r\n"));
    let twice = request("content-type: a/b\r\nContent-Type: a/b\r\n");
    let error = within("refused", client.send(twice).error()).await;
    assert_eq!(error.kind(), ErrorKind::Unserved);
    assert_eq!(client::code(&error), "ERR_HTTP2_HEADER_SINGLE_VALUE");
    for fields in [
        "x-a: 1\r\nX-A: 2\r\n",
        "content-type: a/b\r\ncontent-type: a/c\r\n",
    ] {
        within("response", client.send(request(fields)).ended()).await;
    }
    assert_eq!(client.events.connects(), 1);
    client.finish(peer).await;
}

#[tokio::test]
async fn an_invalid_header_is_rejected_before_it_is_sent() {
    let peer = serve(|conn| async {
        let peer = H2Peer::accept(conn, &[]).await;
        echo(peer).await;
    })
    .await;
    let client = Client::new(peer.port(), config());
    let call = client.send(
        Request::new("GET / HTTP/1.1\r\nhost: a\r\nupgrade: other\r\n\r\n")
            .with_kind(RequestKind::Upgrade)
            .with_body(BodyKind::None),
    );
    let error = within("error", call.error()).await;
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    within("next", client.get("/").ended()).await;
    client.shut_down().await;
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
