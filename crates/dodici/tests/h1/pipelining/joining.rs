//! Which requests may share a connection in flight.

use dodici::{CloseReason, RequestKind};
use dodici_testkit::client::{connect, get, head, post, post_chunked, post_sized, upgrade};
use dodici_testkit::with;
use dodici_testkit::{Client, OK, ScriptedPeer, within};

use super::{bodies, depth, gets, numbered};

#[tokio::test]
async fn a_request_that_cannot_be_replayed_joins_no_other_but_may_be_joined() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        assert_eq!(conn.read_head().await.target, "/0");
        conn.send(numbered(0)).await;
        let head = conn.read_head().await;
        assert_eq!(head.target, "/post");
        conn.read_body(&head).await;
        // It is not blocking, so the next one is sent before its response.
        assert_eq!(conn.read_head().await.target, "/2");
        conn.send(format!("{OK}{}", numbered(2))).await;
        conn.closed().await;
    });
    let client = Client::new(peer.port(), depth(10));
    let mut request = post("/post", "id", "body");
    request.blocking = false;
    let calls = [client.get("/0"), client.send(request), client.get("/2")];
    assert_eq!(bodies(&calls).await, ["0", "ok", "2"]);
    client.finish(peer).await;
}

#[tokio::test]
async fn nothing_follows_a_blocking_request_before_its_head() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        conn.read_head().await;
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
            .await;
        // The head has been sent, the body has not.
        assert_eq!(conn.read_head().await.target, "/next");
        conn.send(format!("ok{OK}")).await;
        conn.closed().await;
    });
    let client = Client::new(peer.port(), depth(10));
    let blocking = with(get("/blocking"), |request| request.blocking = true);
    let calls = [client.send(blocking), client.get("/next")];
    assert_eq!(bodies(&calls).await, ["ok", "ok"]);
    client.finish(peer).await;
}

#[tokio::test]
async fn nothing_follows_a_request_with_reset() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        if conn.index() == 0 {
            conn.read_head().await;
            conn.read_head().await;
            conn.send(OK.repeat(2)).await;
            assert_eq!(conn.read_some().await, None);
            return;
        }
        assert_eq!(conn.read_head().await.target, "/after");
        conn.send(OK).await;
        conn.closed().await;
    });
    let client = Client::new(peer.port(), depth(10));
    let reset = with(get("/reset"), |request| request.reset = true);
    let calls = [client.get("/0"), client.send(reset), client.get("/after")];
    assert_eq!(bodies(&calls).await, ["ok", "ok", "ok"]);
    assert_eq!(client.accounts()[0].reason, CloseReason::NotReusable);
    client.finish(peer).await;
}

#[tokio::test]
async fn a_pulled_body_has_the_connection_to_itself_and_returns_it() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        conn.read_head().await;
        conn.read_head().await;
        conn.send(format!("{}{}", numbered(0), numbered(1))).await;
        let upload = conn.read_head().await;
        assert_eq!(upload.target, "/sized");
        assert_eq!(conn.read_body(&upload).await.data, b"hello");
        conn.send(OK).await;
        let upload = conn.read_head().await;
        assert_eq!(upload.target, "/chunked");
        assert_eq!(conn.read_body(&upload).await.data, b"hello");
        conn.send(OK).await;
        conn.read_head().await;
        conn.read_head().await;
        conn.send(format!("{}{}", numbered(2), numbered(3))).await;
        conn.closed().await;
    });
    let client = Client::new(peer.port(), depth(10));
    let mut calls = gets(&client, 2);
    calls.push(client.send(with(post_sized("/sized", 5), |request| {
        request.idempotent = true
    })));
    calls.push(client.send(with(post_chunked("/chunked"), |request| {
        request.idempotent = true
    })));
    calls.push(client.get("/2"));
    calls.push(client.get("/3"));
    for call in &calls[2..4] {
        call.chunk("hello");
        call.finish();
    }
    assert_eq!(bodies(&calls).await, ["0", "1", "ok", "ok", "2", "3"]);
    assert_eq!(peer.accepted(), 1);
    client.pool.close();
    within("close", client.events.closed()).await;
    let info = client.accounts().remove(0);
    assert_eq!(info.requests, 6);
    // The counters continue when the connection is handed over.
    let log = peer.log();
    assert_eq!(info.bytes_written, log.connections[0].received.len() as u64);
    assert_eq!(info.bytes_read, log.connections[0].sent);
    drop(client);
    peer.finish().await;
}

#[tokio::test]
async fn expect_continue_waits_for_an_idle_connection_and_returns_it() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        conn.read_head().await;
        conn.send(numbered(0)).await;
        conn.read_head().await;
        conn.send("HTTP/1.1 100 Continue\r\n\r\n").await;
        conn.read_exact(4).await;
        conn.send(OK).await;
        conn.read_head().await;
        conn.send(numbered(2)).await;
        conn.closed().await;
    });
    let client = Client::new(peer.port(), depth(10));
    let expect = with(post("/expect", "id", "body"), |request| {
        request.expect_continue = true;
        request.idempotent = true;
    });
    let calls = [client.get("/0"), client.send(expect), client.get("/2")];
    assert_eq!(bodies(&calls).await, ["0", "ok", "2"]);
    assert_eq!(peer.accepted(), 1);
    client.finish(peer).await;
}

#[tokio::test]
async fn upgrades_and_connect_wait_for_an_idle_connection_and_keep_it() {
    for request in [upgrade("/up"), connect("test:1")] {
        let kind = request.kind;
        let peer = ScriptedPeer::tcp().await.run(move |mut conn| async move {
            if conn.index() > 0 {
                conn.read_head().await;
                conn.send(numbered(2)).await;
                conn.closed().await;
                return;
            }
            conn.read_head().await;
            conn.read_head().await;
            conn.send(format!("{}{}", numbered(0), numbered(1))).await;
            conn.read_head().await;
            conn.send(if kind == RequestKind::Connect {
                "HTTP/1.1 200 OK\r\n\r\nhello"
            } else {
                "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nhello"
            })
            .await;
            assert_eq!(conn.read_exact(3).await, b"hey");
            conn.fin().await;
            conn.closed().await;
        });
        let client = Client::new(peer.port(), depth(10));
        let before = gets(&client, 2);
        let stream = client.send(request);
        let after = client.get("/2");
        assert_eq!(bodies(&before).await, ["0", "1"]);
        stream
            .wait(|seen| (seen.body == b"hello").then_some(()))
            .await;
        stream.chunk("hey");
        stream.finish();
        within("stream", stream.settled()).await;
        assert_eq!(bodies(&[after]).await, ["2"]);
        assert_eq!(client.accounts()[0].reason, CloseReason::Upgraded);
        client.finish(peer).await;
    }
}

#[tokio::test]
async fn head_and_get_share_a_connection() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        conn.read_head().await;
        conn.read_head().await;
        conn.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{OK}"))
            .await;
        conn.closed().await;
    });
    let client = Client::new(peer.port(), depth(10));
    let head = with(head("/head"), |request| request.blocking = false);
    let calls = [client.send(head), client.get("/get")];
    assert_eq!(bodies(&calls).await, ["", "ok"]);
    client.finish(peer).await;
}

#[tokio::test]
async fn the_rust_api_pipelines_what_does_not_block() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        for _ in 0..3 {
            conn.read_head().await;
        }
        conn.send((0..3).map(numbered).collect::<String>()).await;
        conn.closed().await;
    });
    let client = Client::new(peer.port(), depth(3));
    let send = |target: &str| {
        let options = with(dodici::RequestOptions::default(), |options| {
            options.blocking = Some(false)
        });
        let request = http::Request::get(target).extension(options);
        let request = request.body(String::new()).unwrap();
        let pool = client.pool.clone();
        async move {
            let response = pool.send(request).await.unwrap();
            response.into_body().collect().await.unwrap().0
        }
    };
    let (a, b, c) = within("responses", async {
        tokio::join!(send("/0"), send("/1"), send("/2"))
    })
    .await;
    assert_eq!([&a[..], &b[..], &c[..]], [b"0", b"1", b"2"]);
    client.finish(peer).await;
}
