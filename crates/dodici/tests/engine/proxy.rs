//! Pools whose connections go through a proxy.

use dodici::{
    ErrorKind, Event, HeaderBlock, Origin, OriginConfig, Proxy, ProxyCredentials, ProxyProtocol,
    Scheme, SocksResolve,
};
use dodici_testkit::client::get;
use dodici_testkit::{Client, OK, ScriptedPeer, within};

const ESTABLISHED: &str = "HTTP/1.1 200 Connection established\r\n\r\n";
fn through(proxy: Proxy) -> Client {
    let mut config = OriginConfig::default();
    config.connect.proxy = Some(Box::new(proxy));
    Client::to(Origin::new(Scheme::Http, "target.invalid", 80), config)
}

fn tunnel(port: u16, authorization: &str) -> Proxy {
    let mut headers = HeaderBlock::new();
    headers.push(b"proxy-authorization", authorization.as_bytes());
    Proxy::new(ProxyProtocol::HttpTunnel { headers }, "127.0.0.1", port)
}

#[tokio::test]
async fn s17_one_tunnel_serves_many_requests_and_none_of_them_carries_the_credentials() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        let connect = conn.read_head().await;
        let raw = String::from_utf8_lossy(&connect.raw).into_owned();
        assert!(raw.starts_with("CONNECT target.invalid:80 HTTP/1.1\r\n"));
        assert!(raw.contains("proxy-authorization: Basic c2VjcmV0\r\n"));
        conn.send(ESTABLISHED).await;
        while let Some(head) = conn.next_head().await {
            let raw = String::from_utf8_lossy(&head.raw).into_owned();
            assert!(raw.starts_with("GET /"), "{raw}");
            assert!(!raw.contains("proxy-authorization"), "{raw}");
            conn.send(OK).await;
        }
    });
    let client = through(tunnel(peer.port(), "Basic c2VjcmV0"));
    for path in ["/1", "/2", "/3"] {
        let seen = within("response", client.send(get(path)).ended()).await;
        assert_eq!(seen.status(), 200);
    }
    let connected = client
        .events
        .events()
        .into_iter()
        .find_map(|event| match event {
            Event::Connected { info, .. } => Some(info),
            _ => None,
        });
    let info = connected.unwrap();
    assert_eq!(info.proxy.unwrap().answer.unwrap().status, 200);
    assert_eq!(client.events.connects(), 1);
    client.pool.close();
    within("close", client.events.closed()).await;
    assert_eq!(peer.finish().await.connections.len(), 1);
}

#[tokio::test]
async fn s09_two_users_of_one_proxy_never_share_a_connection() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        let connect = conn.read_head().await;
        let raw = String::from_utf8_lossy(&connect.raw).into_owned();
        let user = if raw.contains("Basic YW5u") {
            "ann"
        } else {
            "bob"
        };
        conn.send(ESTABLISHED).await;
        while let Some(head) = conn.next_head().await {
            let raw = String::from_utf8_lossy(&head.raw).into_owned();
            assert!(raw.starts_with(&format!("GET /{user} ")), "{raw}");
            conn.send(OK).await;
        }
    });
    let ann = through(tunnel(peer.port(), "Basic YW5u"));
    let bob = through(tunnel(peer.port(), "Basic Ym9i"));
    for _ in 0..3 {
        within("ann", ann.send(get("/ann")).ended()).await;
        within("bob", bob.send(get("/bob")).ended()).await;
    }
    for client in [ann, bob] {
        assert_eq!(client.events.connects(), 1);
        client.pool.close();
        within("close", client.events.closed()).await;
    }
    assert_eq!(peer.finish().await.connections.len(), 2);
}

#[tokio::test]
async fn s18_what_a_proxy_sends_after_its_response_is_never_taken_for_the_origins() {
    let evil = format!("{ESTABLISHED}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    let peer = ScriptedPeer::tcp().await.run(move |mut conn| {
        let evil = evil.clone();
        async move {
            conn.read_head().await;
            conn.send(evil).await;
            assert!(conn.next_head().await.is_none(), "a request was written");
        }
    });
    let client = through(tunnel(peer.port(), "Basic x"));
    let call = client.send(get("/"));
    let error = within("error", call.error()).await;
    assert_eq!(error.kind(), ErrorKind::Socket);
    assert!(call.seen().head.is_none());
    peer.finish().await;
}

#[tokio::test]
async fn a_refusal_fails_the_request_and_the_next_one_tries_again() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        let first = conn.index() == 0;
        conn.read_head().await;
        if first {
            conn.send("HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n")
                .await;
            return;
        }
        conn.send(ESTABLISHED).await;
        conn.read_head().await;
        conn.send(OK).await;
        conn.closed().await;
    });
    let client = through(tunnel(peer.port(), "Basic x"));
    let error = within("error", client.send(get("/")).error()).await;
    assert_eq!(error.kind(), ErrorKind::ProxyRefused { status: 407 });
    within("response", client.send(get("/")).ended()).await;
    client.pool.close();
    within("close", client.events.closed()).await;
    peer.finish().await;
}

#[tokio::test]
async fn requests_go_through_a_socks_proxy_with_a_password() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        assert_eq!(conn.read_exact(4).await, [5, 2, 2, 0]);
        conn.dribble([5, 2]).await;
        assert_eq!(conn.read_exact(9).await, b"\x01\x03ann\x03pw!");
        conn.dribble([1, 0]).await;
        let request = conn.read_exact(4 + 1 + 14 + 2).await;
        assert_eq!(&request[5..19], b"target.invalid");
        conn.dribble([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await;
        let head = conn.read_head().await;
        assert!(head.raw.starts_with(b"GET / HTTP/1.1\r\n"));
        conn.send(OK).await;
        conn.closed().await;
    });
    let resolve = SocksResolve::Proxy;
    let mut proxy = Proxy::new(ProxyProtocol::Socks5 { resolve }, "127.0.0.1", peer.port());
    proxy.credentials = Some(ProxyCredentials {
        username: b"ann".to_vec(),
        password: b"pw!".to_vec(),
    });
    let client = through(proxy);
    within("response", client.send(get("/")).ended()).await;
    client.pool.close();
    within("close", client.events.closed()).await;
    peer.finish().await;
}
