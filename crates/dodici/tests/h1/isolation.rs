//! Surplus, early or malformed bytes of a server reach no other request.

use dodici::{CloseReason, ErrorKind, OriginConfig};
use dodici_testkit::client::post_chunked;
use dodici_testkit::config::connections;
use dodici_testkit::{Client, OK, ScriptedPeer, Signal, within};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

pub(crate) const POISON: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";

#[tokio::test]
async fn s22_a_response_that_breaks_the_protocol_never_reaches_the_next_request() {
    let broken = [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi!",
        "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x2\r\nhi\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhiX\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\nhi\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nhi",
        "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\nA: b\r\n c: d\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA\0: b\r\nContent-Length: 2\r\n\r\nhi",
        "HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        "ICY 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        "hello",
    ];
    for text in broken {
        let marker = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nmarker";
        let peer = ScriptedPeer::tcp().await.run(move |mut conn| async move {
            while let Some(head) = conn.next_head().await {
                conn.read_body(&head).await;
                if head.target == "/marker" {
                    conn.send(marker).await;
                } else {
                    conn.send(text).await;
                    conn.fin().await;
                }
            }
        });
        let client = Client::new(peer.port(), connections(1));
        let first = client.get("/broken");
        let second = client.post("/marker", "m", "x");
        let error = within(text, first.error()).await;
        assert!(
            matches!(error.kind(), ErrorKind::Parse(_) | ErrorKind::Socket),
            "{text:?}: {error:?}"
        );
        let seen = within(text, second.ended()).await;
        assert_eq!(seen.body, b"marker", "{text:?}");
        assert!(!seen.connection.unwrap().1, "{text:?}");
        client.finish(peer).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s23_a_second_response_in_the_same_segment_is_never_delivered() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        let first = conn.index() == 0;
        while conn.next_head().await.is_some() {
            if first {
                conn.send(format!("{OK}{POISON}")).await;
            } else {
                conn.send(OK).await;
            }
        }
    });
    let client = Client::new(peer.port(), connections(1));
    let calls = [client.get("/a"), client.get("/b"), client.get("/c")];
    for call in &calls {
        let seen = within("response", call.ended()).await;
        assert_eq!(seen.body, b"ok");
    }
    assert_eq!(client.reasons(), [CloseReason::UnsolicitedData]);
    assert_eq!(peer.accepted(), 2);
    client.finish(peer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s23_a_second_response_after_that_to_a_pulled_body_is_never_delivered() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        let first = conn.index() == 0;
        while let Some(head) = conn.next_head().await {
            conn.read_body(&head).await;
            if first {
                conn.send(format!("{OK}{POISON}")).await;
            } else {
                conn.send(OK).await;
            }
        }
    });
    let client = Client::new(peer.port(), connections(1));
    for _ in 0..2 {
        let call = client.send(post_chunked("/"));
        call.chunk("body");
        call.finish();
        assert_eq!(within("response", call.ended()).await.body, b"ok");
    }
    assert_eq!(client.reasons(), [CloseReason::UnsolicitedData]);
    assert_eq!(peer.accepted(), 2);
    client.finish(peer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s23_unsolicited_bytes_end_an_idle_connection() {
    let send = Signal::new();
    let poison = send.clone();
    let peer = ScriptedPeer::tcp().await.run(move |mut conn| {
        let poison = poison.clone();
        async move {
            let head = conn.read_head().await;
            conn.read_body(&head).await;
            conn.send(OK).await;
            if conn.index() == 0 {
                poison.raised().await;
                conn.send(POISON).await;
            }
            conn.closed().await;
        }
    });
    let client = Client::new(peer.port(), OriginConfig::default());
    within("first", client.get("/a").ended()).await;
    send.raise();
    within("disconnect", client.disconnected(1)).await;
    assert_eq!(client.reasons(), [CloseReason::UnsolicitedData]);
    let second = within("second", client.post("/b", "b", "x").ended()).await;
    assert_eq!(second.body, b"ok");
    assert_eq!(peer.accepted(), 2);
    client.finish(peer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s25_a_truncated_body_is_an_error_and_the_next_request_is_served() {
    for text in [
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n",
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
    ] {
        let peer = ScriptedPeer::tcp().await.run(move |mut conn| async move {
            conn.read_head().await;
            if conn.index() == 0 {
                conn.send(text).await;
            } else {
                conn.send(OK).await;
                conn.closed().await;
            }
        });
        let client = Client::new(peer.port(), OriginConfig::default());
        let call = client.get("/cut");
        within(text, call.error()).await;
        assert_eq!(call.seen().body, b"ok", "{text:?}");
        within(text, client.get("/next").ended()).await;
        client.finish(peer).await;
    }
}

fn accepting_early_responses() -> OriginConfig {
    let mut config = connections(1);
    config.exchange.early_response = true;
    config
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_speaks_first_answers_the_request_that_its_connection_was_opened_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let mut kept = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let early = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
            stream.write_all(early.as_bytes()).await.unwrap();
            kept.push(stream);
        }
    });
    let client = Client::new(port, accepting_early_responses());
    for _ in 0..50 {
        let seen = within("answer", client.get("/").ended()).await;
        assert_eq!(seen.body, b"ok");
    }
    // A connection's end is reported after its last request's.
    client.disconnected(50).await;
    assert_eq!(
        client.reasons().len(),
        50,
        "one connection for each request"
    );
    client.shut_down().await;
    server.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fresh_connection_accepts_a_response_that_arrived_before_the_request() {
    let closing = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
    for text in [OK, closing] {
        let peer = ScriptedPeer::tcp().await.run(move |mut conn| async move {
            conn.send(text).await;
            conn.next_head().await;
            conn.closed().await;
        });
        for _ in 0..20 {
            let client = Client::new(peer.port(), accepting_early_responses());
            let seen = within("response", client.get("/a").ended()).await;
            assert_eq!(seen.body, b"ok");
            client.shut_down().await;
        }
        assert_eq!(peer.accepted(), 20);
        peer.finish().await;
    }
}
