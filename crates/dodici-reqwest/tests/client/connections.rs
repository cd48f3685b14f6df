//! Connections in advance, what connections are doing, and the slowest body of a request.

use dodici_reqwest::ext::{
    Activity, ClientBuilderExt, ClientExt, ConnectionStatus, Origin, Protocol, RequestBuilderExt,
};
use dodici_reqwest::{Client, ClientBuilder, Proxy, RequestBuilder, blocking, header};
use dodici_testkit::{H2Peer, ScriptedPeer, TestOrigin, within};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn client() -> Client {
    built(Client::builder())
}

fn built(builder: ClientBuilder) -> Client {
    builder.no_proxy().build().unwrap()
}

fn url(port: u16, path: &str) -> String {
    format!("http://127.0.0.1:{port}{path}")
}

/// The port of an address at which nobody listens.
fn deaf() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// The connections, once their activities are these, in this order.
async fn doing(client: &Client, expected: &[Activity]) -> Vec<ConnectionStatus> {
    let polled = async {
        loop {
            let mut found: Vec<_> = client.connections().await;
            found.sort_by_key(|(_, status)| status.activity.as_str());
            let activities = found.iter().map(|(_, status)| status.activity);
            if activities.eq(expected.iter().copied()) {
                return found.into_iter().map(|(_, status)| status).collect();
            }
            tokio::task::yield_now().await;
        }
    };
    within("these activities", polled).await
}

#[tokio::test]
async fn connections_in_advance_are_used_by_requests() {
    let origin = TestOrigin::start().await;
    let client = client();
    let at = url(origin.port(), "/");
    assert_eq!(within("ready", client.preconnect(&at, 3)).await.unwrap(), 3);
    let idle = doing(&client, &[Activity::Idle; 3]).await;
    assert!(idle.iter().all(|status| status.requests == 0));
    let calls = (0..3).map(|_| client.get(url(origin.port(), "/hold")).send());
    let calls = tokio::spawn(futures_util::future::join_all(calls));
    origin.wait_executed(3).await;
    doing(&client, &[Activity::Active; 3]).await;
    origin.open_gate();
    for response in within("responses", calls).await.unwrap() {
        assert_eq!(response.unwrap().text().await.unwrap(), "held");
    }
    assert_eq!(within("still", client.preconnect(&at, 2)).await.unwrap(), 3);
    assert_eq!(origin.peer().accepted(), 3);
}

#[tokio::test]
async fn limits_hold_for_connections_in_advance() {
    let peer = ScriptedPeer::tcp().await.always(OK);
    let at = url(peer.port(), "/");
    for (builder, ready) in [
        (Client::builder().max_connections_per_origin(2), 2),
        (Client::builder().pool_max_idle_per_host(1), 1),
        (Client::builder().max_connections(2), 2),
    ] {
        let client = built(builder);
        let found = within("ready", client.preconnect(&at, 5)).await;
        assert_eq!(found.unwrap(), ready);
        assert_eq!(client.connections().await.len(), ready as usize);
    }
    assert_eq!(client().preconnect(&at, 0).await.unwrap(), 1);
}

#[tokio::test]
async fn one_connection_in_advance_is_enough_for_http2() {
    let peer = ScriptedPeer::tcp().await.run(|conn| async move {
        let mut peer = H2Peer::accept(conn, &[]).await;
        while let Some(request) = peer.next_request().await {
            peer.respond(request.stream, "h2").await;
        }
    });
    let client = built(Client::builder().http2_prior_knowledge());
    let at = url(peer.port(), "/");
    assert_eq!(within("ready", client.preconnect(&at, 4)).await.unwrap(), 1);
    let response = client.get(&at).send().await.unwrap();
    assert_eq!(response.text().await.unwrap(), "h2");
    let [status] = &doing(&client, &[Activity::Idle]).await[..] else {
        panic!("one connection");
    };
    let http2 = Some(Protocol::Http2);
    assert_eq!((status.protocol, status.requests), (http2, 1));
    assert_eq!(peer.accepted(), 1);
}

#[tokio::test]
async fn connections_in_advance_go_the_way_of_requests() {
    let forward = ScriptedPeer::tcp().await.always(OK);
    let proxy = Proxy::http(url(forward.port(), "/")).unwrap();
    let client = Client::builder().proxy(proxy).build().unwrap();
    let ready = within("ready", client.preconnect("http://a.test/", 2)).await;
    assert_eq!(ready.unwrap(), 2);
    let found = client.connections().await;
    let proxies: Vec<_> = found.iter().map(|(origin, _)| origin.to_string()).collect();
    assert_eq!(proxies, [url(forward.port(), ""), url(forward.port(), "")]);
    assert_eq!(
        client
            .get("http://b.test/")
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap(),
        "ok"
    );
    assert_eq!(forward.accepted(), 2);

    let tunnel = ScriptedPeer::tcp().await.run(|mut conn| async move {
        let head = conn.read_head().await;
        assert_eq!((&*head.method, &*head.target), ("CONNECT", "a.test:443"));
        conn.send("HTTP/1.1 502 Bad Gateway\r\n\r\n").await;
    });
    let proxy = Proxy::https(url(tunnel.port(), "/")).unwrap();
    let client = Client::builder().proxy(proxy).build().unwrap();
    let error = within("refused", client.preconnect("https://a.test/", 1)).await;
    assert!(error.unwrap_err().is_connect());
    tunnel.finish().await;
}

#[tokio::test]
async fn a_connection_in_advance_that_cannot_be_opened_is_an_error() {
    let at = url(deaf(), "/");
    let client = client();
    let error = within("refused", client.preconnect(&at, 3))
        .await
        .unwrap_err();
    assert!(error.is_connect(), "{error:?}");
    assert_eq!(error.url().unwrap().as_str(), at);
    // Nothing is left of it.
    doing(&client, &[]).await;
    for wrong in ["", "ftp://a.test/", "data:,x"] {
        let error = client.preconnect(wrong, 1).await.unwrap_err();
        assert!(error.is_builder(), "{error:?}");
    }
    let https = built(Client::builder().https_only(true));
    assert!(https.preconnect(&at, 1).await.unwrap_err().is_builder());
}

#[tokio::test]
async fn connections_say_what_they_are_doing() {
    let origin = TestOrigin::start().await;
    let client = built(Client::builder().max_connections_per_origin(3));
    assert_eq!(client.connections().await, []);
    let at = |path: &str| url(origin.port(), path);
    client.preconnect(at("/"), 3).await.unwrap();
    let held = tokio::spawn(client.get(at("/hold")).send());
    origin.wait_executed(1).await;
    let upgraded = client.get(at("/upgrade"));
    let upgraded = upgraded
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "echo");
    let upgraded = upgraded.send().await.unwrap().upgrade().await.unwrap();
    assert_eq!(
        client
            .get(at("/bytes/9"))
            .send()
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap()
            .len(),
        9
    );
    let expected = [Activity::Active, Activity::Idle, Activity::Upgraded];
    let [active, idle, stream] = &doing(&client, &expected).await[..] else {
        panic!("three connections");
    };
    assert_eq!((active.open, active.requests), (1, 0));
    assert_eq!((idle.open, idle.requests), (0, 1));
    assert!(idle.bytes_read > 9 && idle.bytes_written > 0);
    assert!(idle.idle.unwrap() <= idle.age);
    assert_eq!(idle.remote.unwrap().port(), origin.port());
    assert_eq!(stream.open, 1);
    let origins = client.connections().await;
    let here: Vec<Origin> = origins.into_iter().map(|(origin, _)| origin).collect();
    assert!(here.iter().all(|one| one.to_string() == at("")));
    drop(upgraded);
    origin.open_gate();
    within("a response", held)
        .await
        .unwrap()
        .unwrap()
        .text()
        .await
        .unwrap();
    doing(&client, &[Activity::Idle; 2]).await;
}

#[test]
fn the_blocking_client_opens_and_shows_connections_too() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let peer = runtime.block_on(async { ScriptedPeer::tcp().await.always(OK) });
    let client = blocking::Client::builder().no_proxy().build().unwrap();
    let at = url(peer.port(), "/");
    assert_eq!(client.preconnect(&at, 2).unwrap(), 2);
    assert_eq!(client.get(&at).send().unwrap().text().unwrap(), "ok");
    let found = client.connections();
    assert_eq!(found.len(), 2);
    let requests: u64 = found.iter().map(|(_, status)| status.requests).sum();
    assert_eq!(requests, 1);
    assert_eq!(peer.accepted(), 2);
    assert!(
        client
            .preconnect(url(deaf(), "/"), 1)
            .unwrap_err()
            .is_connect()
    );
}

#[tokio::test]
async fn s30_a_body_may_have_a_minimum_rate_of_its_own() {
    let origin = TestOrigin::start().await;
    let slow = url(origin.port(), "/gated");
    let head = format!("HTTP/1.1 302 Found\r\nlocation: {slow}\r\ncontent-length: 0\r\n\r\n");
    let start = ScriptedPeer::tcp().await.always(head);
    let redirected = url(start.port(), "/");
    let strict = built(Client::builder().min_body_rate(100));
    let free = client();
    let read =
        |request: RequestBuilder| tokio::spawn(async move { request.send().await?.text().await });
    let allowed = [
        read(free.get(&slow)),
        read(strict.get(&slow).min_body_rate(0)),
    ];
    for refused in [
        read(free.get(&slow).min_body_rate(100)),
        read(free.get(&redirected).min_body_rate(100)),
        read(strict.get(&slow)),
    ] {
        let error = within("too slow", refused).await.unwrap().unwrap_err();
        assert!(error.is_timeout() && error.is_decode(), "{error:?}");
        assert!(format!("{error:?}").contains("BodyTooSlow"), "{error:?}");
    }
    // None of these has ended by now: the body is not complete.
    origin.open_gate();
    for allowed in allowed {
        let text = within("the rest", allowed).await.unwrap();
        assert_eq!(text.unwrap(), "beforeafter");
    }
}

#[test]
fn nothing_is_left_of_a_runtime_that_ends_while_a_connection_is_opened() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).enable_all().build().unwrap()
    };
    let servers = runtime();
    let silent = servers.block_on(async {
        let silent = ScriptedPeer::tcp().await;
        silent.run(|mut conn| async move {
            conn.read_some().await;
            conn.closed().await;
        })
    });
    let client = client();
    for number in 1..=3 {
        let ending = runtime();
        let at = format!("https://127.0.0.1:{}/", silent.port());
        let (asked, get) = (client.clone(), client.get(&at));
        ending.spawn(async move { asked.preconnect(at, 2).await });
        ending.spawn(get.send());
        // The TLS handshake has begun.
        servers.block_on(silent.wait(|log| {
            let hellos = log.connections.iter();
            let hellos = hellos.filter(|conn| !conn.received.is_empty());
            (hellos.count() >= number).then_some(())
        }));
        assert_eq!(client.pool_stats().len(), 1);
        drop(ending);
        assert_eq!(client.pool_stats().len(), 0);
    }
    assert_eq!(servers.block_on(client.connections()), []);
}
