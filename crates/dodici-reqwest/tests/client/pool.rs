//! The pool under the reqwest API: what reqwest's own tests do not cover.

use std::sync::Arc;
use std::time::Duration;

use dodici_reqwest::ext::{
    BodyExt, ClientBuilderExt, ClientExt, CloseReason, Event, HeaderBlock, RequestBuilderExt,
    ResponseExt,
};
use dodici_reqwest::{Body, Certificate, Client, ClientBuilder, Identity, StatusCode, Version};
use dodici_testkit::certs::TlsDemands;
use dodici_testkit::{Authority, Conn, H2Peer, ScriptedPeer, ServerTls, Watched, within};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Answers every request on every connection.
async fn always(reply: &'static str) -> ScriptedPeer {
    ScriptedPeer::tcp()
        .await
        .run(move |conn| serve(conn, reply))
}

async fn serve(mut conn: Conn, reply: &'static str) {
    while let Some(head) = conn.next_head().await {
        conn.read_body(&head).await;
        conn.send(reply).await;
    }
}

fn url(peer: &ScriptedPeer) -> String {
    format!("http://127.0.0.1:{}/", peer.port())
}

/// A client whose connection events are recorded as short texts.
fn recorded(builder: ClientBuilder) -> (Client, Watched<Vec<String>>) {
    let events = Watched::<Vec<String>>::new(Vec::new());
    let log = events.clone();
    let client = builder.no_proxy().on_connection_event(move |_, event| {
        let text = match event {
            Event::Connected { .. } => "connected".to_owned(),
            Event::Disconnected { info, .. } => format!("disconnected: {}", info.reason),
            Event::ConnectFailed { .. } => "failed".to_owned(),
            _ => return,
        };
        log.update(|log| log.push(text));
    });
    (client.build().unwrap(), events)
}

fn client() -> Client {
    Client::builder().no_proxy().build().unwrap()
}

async fn get(client: &Client, url: &str) -> String {
    let response = within("a response", client.get(url).send()).await.unwrap();
    response.text().await.unwrap()
}

#[tokio::test]
async fn consecutive_requests_use_one_connection() {
    let peer = always(OK).await;
    let client = client();
    for round in 0..5 {
        let response = client.get(url(&peer)).send().await.unwrap();
        assert_eq!(response.is_reused(), round > 0);
        assert_eq!(response.text().await.unwrap(), "ok");
    }
    assert_eq!(peer.accepted(), 1);
}

#[tokio::test]
async fn a_limit_for_one_origin_holds_for_that_origin_alone() {
    let limited = always(OK).await;
    let free = ScriptedPeer::tcp().await.run(|mut conn| async move {
        // Responds once all four requests have arrived, so that none can reuse a connection.
        let head = conn.read_head().await;
        conn.read_body(&head).await;
        conn.send(OK).await;
        conn.closed().await;
    });
    let client = Client::builder()
        .no_proxy()
        .origin(url(&limited), |origin| origin.max_connections(1))
        .build()
        .unwrap();
    let at = |url: String| {
        futures_util::future::join_all((0..4).map(move |_| {
            let (client, url) = (client.clone(), url.clone());
            async move { get(&client, &url).await }
        }))
    };
    assert_eq!(within("limited", at.clone()(url(&limited))).await.len(), 4);
    assert_eq!(limited.accepted(), 1);
    assert_eq!(within("free", at(url(&free))).await.len(), 4);
    assert!(free.accepted() > 1);
}

#[tokio::test]
async fn a_limit_for_all_origins_counts_for_each() {
    let peer = always(OK).await;
    let client = Client::builder()
        .no_proxy()
        .max_connections_per_origin(2)
        .build()
        .unwrap();
    let bodies = futures_util::future::join_all((0..8).map(|_| {
        let (client, url) = (client.clone(), url(&peer));
        async move { get(&client, &url).await }
    }));
    assert_eq!(within("bodies", bodies).await.len(), 8);
    assert!(peer.accepted() <= 2, "{}", peer.accepted());
}

#[tokio::test]
async fn the_total_limit_closes_an_idle_connection_of_another_origin() {
    let peers = [always(OK).await, always(OK).await, always(OK).await];
    let (client, events) = recorded(Client::builder().max_connections(1));
    for peer in peers.iter().chain(&peers) {
        assert_eq!(get(&client, &url(peer)).await, "ok");
    }
    let most = events.read(|events| {
        let mut open = 0_i32;
        events
            .iter()
            .map(|event| {
                open += if event == "connected" { 1 } else { -1 };
                open
            })
            .max()
    });
    assert_eq!(most, Some(1));
    assert_eq!(peers.each_ref().map(ScriptedPeer::accepted), [2, 2, 2]);
}

#[tokio::test]
async fn with_zero_idle_connections_each_is_used_once() {
    let peer = always(OK).await;
    let (client, events) = recorded(Client::builder().pool_max_idle_per_host(0));
    for _ in 0..2 {
        assert_eq!(get(&client, &url(&peer)).await, "ok");
    }
    events
        .wait(|events| (events.len() == 4).then_some(()))
        .await;
    assert_eq!(peer.accepted(), 2);
}

#[tokio::test]
async fn no_more_connections_stay_idle_than_allowed() {
    keeps_one(|builder, _| builder.pool_max_idle_per_host(1)).await;
}

#[tokio::test]
async fn no_more_connections_stay_idle_than_allowed_for_their_origin() {
    keeps_one(|builder, url| builder.origin(url, |origin| origin.max_idle_connections(1))).await;
}

#[tokio::test]
async fn an_origin_without_idle_connections_serves_queued_requests() {
    let peer = always(OK).await;
    let url = url(&peer);
    let (client, events) = recorded(Client::builder().origin(&url, |origin| {
        origin.max_connections(1).max_idle_connections(0)
    }));
    let (one, two) = tokio::join!(get(&client, &url), get(&client, &url));
    assert_eq!((one.as_str(), two.as_str()), ("ok", "ok"));
    events
        .wait(|events| (events.len() == 2).then_some(()))
        .await;
    assert_eq!(get(&client, &url).await, "ok");
    assert_eq!(peer.accepted(), 2);
}

async fn keeps_one(limit: impl FnOnce(ClientBuilder, &str) -> ClientBuilder) {
    let both = Watched::<usize>::new(0);
    let arrived = both.clone();
    let peer = ScriptedPeer::tcp().await.run(move |mut conn| {
        let arrived = arrived.clone();
        async move {
            conn.read_head().await;
            arrived.update(|count| *count += 1);
            arrived.wait(|count| (*count == 2).then_some(())).await;
            conn.send(OK).await;
            conn.closed().await;
        }
    });
    let url = url(&peer);
    let (client, events) = recorded(limit(Client::builder(), &url));
    let (one, two) = tokio::join!(get(&client, &url), get(&client, &url));
    assert_eq!((one.as_str(), two.as_str()), ("ok", "ok"));
    events
        .wait(|events| {
            let closed = events
                .iter()
                .filter(|event| event.starts_with("disconnected"));
            (closed.count() == 1).then_some(())
        })
        .await;
    let (_, stats) = client.pool_stats()[0];
    assert_eq!((stats.connected, stats.free), (1, 1));
}

#[tokio::test]
async fn a_connection_that_is_idle_too_long_is_closed() {
    let peer = always(OK).await;
    let (client, events) = recorded(Client::builder().pool_idle_timeout(Duration::from_millis(20)));
    get(&client, &url(&peer)).await;
    let seen = events
        .wait(|events| (events.len() == 2).then(|| events.clone()))
        .await;
    assert_eq!(seen, ["connected", "disconnected: idle timeout"]);
}

#[tokio::test]
async fn an_expired_connection_takes_no_further_request() {
    let peer = always(OK).await;
    let (client, events) = recorded(Client::builder().max_connection_age(Duration::from_millis(1)));
    get(&client, &url(&peer)).await;
    events
        .wait(|events| (events.len() == 2).then_some(()))
        .await;
    get(&client, &url(&peer)).await;
    assert_eq!(peer.accepted(), 2);
    let expired = format!("disconnected: {}", CloseReason::Expired);
    assert_eq!(events.read(|events| events[1].clone()), expired);
}

#[tokio::test]
async fn a_dead_idle_connection_fails_no_request() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        let head = conn.read_head().await;
        conn.read_body(&head).await;
        conn.send(OK).await;
    });
    let (client, events) = recorded(Client::builder());
    for round in 1..=3 {
        let response = client.post(url(&peer)).body("once").send().await.unwrap();
        assert_eq!(response.text().await.unwrap(), "ok");
        events
            .wait(|events| (events.len() == 2 * round).then_some(()))
            .await;
    }
    let log = peer.join().await;
    for connection in &log.connections {
        let received = String::from_utf8_lossy(&connection.received);
        assert_eq!(received.matches("POST").count(), 1);
    }
}

#[tokio::test]
async fn each_connect_has_one_disconnect_after_its_requests() {
    let peer = always("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok").await;
    let (client, events) = recorded(Client::builder());
    get(&client, &url(&peer)).await;
    get(&client, &url(&peer)).await;
    let seen = events
        .wait(|events| (events.len() == 4).then(|| events.clone()))
        .await;
    let pair = ["connected", "disconnected: not reusable"];
    assert_eq!(seen, [pair, pair].concat());
}

#[tokio::test]
async fn a_refused_connection_is_an_event_and_an_error_of_connecting() {
    let port = {
        let peer = always(OK).await;
        let port = peer.port();
        peer.finish().await;
        port
    };
    let (client, events) = recorded(Client::builder());
    let error = client
        .get(format!("http://127.0.0.1:{port}/"))
        .send()
        .await
        .unwrap_err();
    assert!(error.is_connect() && error.is_request() && !error.is_timeout());
    assert_eq!(events.read(Vec::clone), ["failed"]);
}

#[tokio::test]
async fn cancelling_a_request_closes_its_connection() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        conn.read_head().await;
        conn.closed().await;
    });
    let client = client();
    let (url, asked) = (url(&peer), client.clone());
    let request = tokio::spawn(async move { asked.get(url).send().await });
    peer.wait(|log| {
        let first = log.connections.first()?;
        first.received.ends_with(b"\r\n\r\n").then_some(())
    })
    .await;
    request.abort();
    within("the close", peer.peer_close(0)).await;
}

#[tokio::test]
async fn dropping_the_client_closes_idle_connections() {
    let peer = always(OK).await;
    let client = client();
    get(&client, &url(&peer)).await;
    drop(client);
    within("the close", peer.peer_close(0)).await;
}

#[tokio::test]
async fn a_pool_without_connections_is_dropped() {
    let peer = always("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok").await;
    let (client, events) = recorded(Client::builder());
    get(&client, &url(&peer)).await;
    events
        .wait(|events| (events.len() == 2).then_some(()))
        .await;
    // The event comes first; the pool is dropped after it on the same task.
    within("the forgetting", async {
        while !client.pool_stats().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn statistics_show_an_idle_connection() {
    let peer = always(OK).await;
    let client = client();
    get(&client, &url(&peer)).await;
    let stats = client.pool_stats();
    let [(origin, stats)] = &stats[..] else {
        panic!("{stats:?}");
    };
    assert_eq!(origin.port, peer.port());
    assert_eq!((stats.connected, stats.free, stats.size()), (1, 1, 0));
}

#[tokio::test]
async fn trailers_arrive_as_they_were_sent() {
    let peer = always(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\
         X-Sum: 1\r\nx-OTHER: 2\r\nX-Sum: 3\r\n\r\n",
    )
    .await;
    let mut response = client().get(url(&peer)).send().await.unwrap();
    assert!(response.trailers().is_none());
    while response.chunk().await.unwrap().is_some() {}
    let expected: HeaderBlock = [("X-Sum", "1"), ("x-OTHER", "2"), ("X-Sum", "3")]
        .into_iter()
        .collect();
    assert_eq!(response.trailers(), Some(&expected));
}

#[tokio::test]
async fn trailers_of_a_request_follow_its_body() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        let head = conn.read_head().await;
        let body = conn.read_body(&head).await;
        assert_eq!(body.data, b"text");
        assert_eq!(body.trailers, [("checksum".to_owned(), "abc".to_owned())]);
        conn.send(OK).await;
    });
    let mut trailers = dodici_reqwest::header::HeaderMap::new();
    trailers.insert("checksum", "abc".parse().unwrap());
    let body = Body::from("text").with_trailers(trailers);
    let response = client().post(url(&peer)).body(body).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    drop(response);
    peer.join().await;
}

#[tokio::test]
async fn trailers_of_a_request_keep_order_and_letter_case() {
    let peer = ScriptedPeer::tcp().await.run(|conn| serve(conn, OK));
    let fields = [("X-Sum", "1"), ("x-OTHER", "2"), ("X-Sum", "3")];
    let raw = Body::from("text").with_raw_trailers(fields.into_iter().collect());
    let client = Client::builder().no_proxy().http1_title_case_headers();
    let client = client.build().unwrap();
    let answer = client.post(url(&peer)).body(raw).send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "ok");
    let mut known = dodici_reqwest::header::HeaderMap::new();
    known.insert("x-check-sum", "4".parse().unwrap());
    let known = Body::from("text").with_trailers(known);
    let answer = client.post(url(&peer)).body(known).send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "ok");
    let received = peer.log().connections[0].received.clone();
    let received = String::from_utf8(received).unwrap();
    for end in [
        "0\r\nX-Sum: 1\r\nx-OTHER: 2\r\nX-Sum: 3\r\n\r\n",
        "0\r\nX-Check-Sum: 4\r\n\r\n",
    ] {
        assert!(received.contains(end), "{received}");
    }
}

#[tokio::test]
async fn an_invalid_trailer_fails_its_request() {
    let peer = ScriptedPeer::tcp()
        .await
        .run(|mut conn| async move { while conn.read_some().await.is_some() {} });
    for (name, value) in [("a b", "1"), ("a", "1\r\nb: 2")] {
        let fields = [(name, value)].into_iter().collect();
        let body = Body::from("text").with_raw_trailers(fields);
        let sent = client().post(url(&peer)).body(body).send();
        assert!(within("a failure", sent).await.is_err());
    }
    for connection in &peer.log().connections {
        let received = String::from_utf8(connection.received.clone()).unwrap();
        assert!(!received.contains("0\r\n"), "{received}");
    }
}

#[tokio::test]
async fn informational_responses_are_reported_when_they_arrive() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        conn.read_head().await;
        conn.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n")
            .await;
        // Responds only after the client has reported the hint.
        conn.read_head().await;
    });
    let hints = Watched::<Vec<u16>>::new(Vec::new());
    let log = hints.clone();
    let client = client();
    let request = client
        .get(url(&peer))
        .on_informational(move |head| log.update(|log| log.push(head.status)))
        .send();
    let early = hints.wait(|hints| hints.first().copied());
    tokio::select! {
        status = within("the hint", early) => assert_eq!(status, 103),
        response = request => panic!("{response:?}"),
    }
    peer.finish().await;
}

#[tokio::test]
async fn raw_fields_keep_order_and_letter_case_both_ways() {
    let peer =
        always("HTTP/1.1 200 Fine\r\nX-One: 1\r\nx-two: 2\r\nContent-Length: 0\r\n\r\n").await;
    let fields: HeaderBlock = [("X-Last", "z"), ("x-FIRST", "a"), ("X-Last", "y")]
        .into_iter()
        .collect();
    let client = client();
    let response = client
        .get(url(&peer))
        .raw_headers(fields)
        .send()
        .await
        .unwrap();
    let head = response.raw_head().unwrap();
    assert_eq!(head.reason, b"Fine");
    let names: Vec<_> = head.headers.iter().map(|(name, _)| name.to_vec()).collect();
    assert_eq!(names, [&b"X-One"[..], b"x-two", b"Content-Length"]);
    let received = peer.log().connections[0].received.clone();
    let expected = format!(
        "GET / HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nX-Last: z\r\nx-FIRST: a\r\nX-Last: y\r\n\r\n",
        peer.port()
    );
    assert_eq!(String::from_utf8(received).unwrap(), expected);
}

#[tokio::test]
async fn title_case_is_written_for_all_names() {
    let peer = always(OK).await;
    let client = Client::builder()
        .no_proxy()
        .http1_title_case_headers()
        .build()
        .unwrap();
    let request = client.post(url(&peer)).header("x-some-name", "1").body("b");
    request.send().await.unwrap();
    let received = String::from_utf8(peer.log().connections[0].received.clone()).unwrap();
    for name in [
        "X-Some-Name: 1",
        "Host: ",
        "Accept: */*",
        "Content-Length: 1",
    ] {
        assert!(received.contains(name), "{received}");
    }
}

#[tokio::test]
async fn timings_are_those_of_the_connection_opened_for_the_request() {
    let peer = always(OK).await;
    let client = client();
    let first = client.get(url(&peer)).send().await.unwrap();
    let timings = first.timings().unwrap();
    let connect = timings.connect.unwrap();
    assert!(connect.tcp.is_some() && connect.tls.is_none());
    assert!(connect.total <= timings.head);
    let id = first.connection_id();
    first.bytes().await.unwrap();
    let second = client.get(url(&peer)).send().await.unwrap();
    assert_eq!(second.timings().unwrap().connect, None);
    assert_eq!(second.connection_id(), id);
}

#[tokio::test]
async fn timings_go_to_the_client_and_to_the_request_when_it_has_ended() {
    let peer = always(OK).await;
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let of_request = tell.clone();
    let client = Client::builder()
        .no_proxy()
        .on_timings(move |origin, timings, connection| {
            let port = connection.and_then(|info| info.remote).map(|at| at.port());
            tell.send((origin.port, *timings, port)).unwrap();
        })
        .build()
        .unwrap();
    for is_new in [true, false] {
        let tell = of_request.clone();
        let request = client
            .get(url(&peer))
            .on_timings(move |timings, connection| {
                let legs = connection.unwrap().timings;
                assert!(legs.started.unwrap() + legs.total <= timings.assigned.unwrap());
                tell.send((0, *timings, None)).unwrap();
            });
        request.send().await.unwrap().bytes().await.unwrap();
        let (origin, of_client, port) = told.recv().await.unwrap();
        assert_eq!((origin, port), (peer.port(), Some(peer.port())));
        assert_eq!(told.recv().await.unwrap(), (0, of_client, None));
        let stamps = [
            of_client.assigned,
            of_client.head_sent,
            of_client.body_sent,
            of_client.first_byte,
            of_client.ended,
        ];
        assert!(stamps[0].is_some() && stamps.is_sorted(), "{of_client:?}");
        assert_eq!(of_client.is_new, is_new);
    }
}

#[tokio::test]
async fn timings_come_for_each_request_of_a_redirect_and_for_failures() {
    const AGAIN: &str = "HTTP/1.1 302 Found\r\nlocation: /2\r\ncontent-length: 0\r\n\r\n";
    let peer = ScriptedPeer::tcp().await.replies(vec![AGAIN, OK]);
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let client = Client::builder()
        .no_proxy()
        .on_timings(move |_, timings, _| tell.send(*timings).unwrap())
        .build()
        .unwrap();
    let text = client.get(url(&peer)).send().await.unwrap().text().await;
    text.unwrap();
    let [first, second] = [told.recv().await.unwrap(), told.recv().await.unwrap()];
    assert!(first.first_byte.unwrap() <= second.dispatched);

    let gone = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    client
        .get(format!("http://{gone}/"))
        .send()
        .await
        .unwrap_err();
    let failed = told.recv().await.unwrap();
    assert!(failed.assigned.is_none() && failed.ended.is_some());
}

fn tls_client(authority: &Authority) -> ClientBuilder {
    let root = Certificate::from_pem(authority.pem().as_bytes()).unwrap();
    Client::builder().no_proxy().tls_certs_only([root])
}

async fn tls_peer(demands: &TlsDemands<'_>, authority: &Authority) -> ScriptedPeer {
    let tls = ServerTls::with(&authority.localhost(), demands);
    ScriptedPeer::tcp()
        .await
        .tls(tls)
        .run(|conn| serve(conn, OK))
}

fn tls_url(peer: &ScriptedPeer) -> String {
    format!("https://localhost:{}/", peer.port())
}

#[tokio::test]
async fn tls_is_verified_against_the_given_roots_alone() {
    let (ours, foreign) = (Authority::new("ours"), Authority::new("foreign"));
    let peer = tls_peer(&TlsDemands::default(), &ours).await;
    let trusting = tls_client(&ours).tls_info(true).build().unwrap();
    let response = trusting.get(tls_url(&peer)).send().await.unwrap();
    let info = response.extensions().get::<dodici_reqwest::tls::TlsInfo>();
    assert_eq!(info.unwrap().peer_certificate().unwrap()[0], 0x30);
    let strict = tls_client(&foreign).build().unwrap();
    let error = strict.get(tls_url(&peer)).send().await.unwrap_err();
    assert!(error.is_connect(), "{error:?}");
    let blind = tls_client(&foreign).tls_danger_accept_invalid_certs(true);
    assert_eq!(get(&blind.build().unwrap(), &tls_url(&peer)).await, "ok");
}

#[tokio::test]
async fn a_name_is_verified_by_default() {
    let ours = Authority::new("ours");
    let tls = ServerTls::new(&ours.server(&["other.example"]));
    let peer = ScriptedPeer::tcp()
        .await
        .tls(tls)
        .run(|conn| serve(conn, OK));
    let error = tls_client(&ours)
        .build()
        .unwrap()
        .get(tls_url(&peer))
        .send()
        .await;
    assert!(error.unwrap_err().is_connect());
    let lax = tls_client(&ours).tls_danger_accept_invalid_hostnames(true);
    assert_eq!(get(&lax.build().unwrap(), &tls_url(&peer)).await, "ok");
}

#[tokio::test]
async fn s9_clients_with_different_identities_share_neither_connection_nor_session() {
    let ours = Authority::new("ours");
    let demands = TlsDemands {
        client_authority: Some(&ours),
        ..TlsDemands::default()
    };
    let peer = tls_peer(&demands, &ours).await;
    for name in ["ann", "bob"] {
        let leaf = ours.client(name);
        let pem = format!("{}{}", leaf.key_pem, leaf.cert_pem);
        let identity = Identity::from_pem(pem.as_bytes()).unwrap();
        let client = tls_client(&ours).identity(identity).build().unwrap();
        assert_eq!(get(&client, &tls_url(&peer)).await, "ok");
    }
    let log = peer.log();
    assert_eq!((log.full_handshakes(), log.resumed_handshakes()), (2, 0));
    let without = tls_client(&ours).build().unwrap();
    assert!(without.get(tls_url(&peer)).send().await.is_err());
}

#[tokio::test]
async fn versions_of_tls_can_be_limited() {
    let ours = Authority::new("ours");
    let peer = tls_peer(&TlsDemands::default(), &ours).await;
    let old = tls_client(&ours).tls_version_max(dodici_reqwest::tls::Version::TLS_1_2);
    assert_eq!(get(&old.build().unwrap(), &tls_url(&peer)).await, "ok");
    let facts = peer.log().connections[0].tls.clone().unwrap();
    assert!(facts.tls12);
}

/// Serves HTTP/2 requests over TLS until the other side closes.
async fn h2_peer(authority: &Authority, per_connection: usize) -> ScriptedPeer {
    let tls = ServerTls::with(
        &authority.localhost(),
        &TlsDemands {
            alpn: &[b"h2"],
            ..TlsDemands::default()
        },
    );
    ScriptedPeer::tcp()
        .await
        .tls(tls)
        .run(move |conn| async move {
            let mut peer = H2Peer::accept(conn, &[]).await;
            let mut served = 0;
            while let Some(request) = peer.next_request().await {
                peer.respond(request.stream, "ok").await;
                served += 1;
                if served == per_connection {
                    peer.goaway(request.stream, 0).await;
                }
            }
        })
}

#[tokio::test]
async fn http2_requests_share_a_connection() {
    let ours = Authority::new("ours");
    let peer = h2_peer(&ours, usize::MAX).await;
    let client = tls_client(&ours).build().unwrap();
    let first = client.get(tls_url(&peer)).send().await.unwrap();
    assert_eq!(first.version(), Version::HTTP_2);
    assert_eq!(first.text().await.unwrap(), "ok");
    let bodies = futures_util::future::join_all((0..10).map(|_| {
        let (client, url) = (client.clone(), tls_url(&peer));
        async move { get(&client, &url).await }
    }));
    assert_eq!(within("bodies", bodies).await.len(), 10);
    assert_eq!(peer.accepted(), 1);
}

#[tokio::test]
async fn after_goaway_the_next_request_uses_another_connection() {
    let ours = Authority::new("ours");
    let peer = h2_peer(&ours, 2).await;
    let client = tls_client(&ours).build().unwrap();
    for _ in 0..5 {
        assert_eq!(get(&client, &tls_url(&peer)).await, "ok");
    }
    assert_eq!(peer.accepted(), 3);
}

#[tokio::test]
async fn http1_only_does_not_offer_http2() {
    let ours = Authority::new("ours");
    let demands = TlsDemands {
        alpn: &[b"h2", b"http/1.1"],
        ..TlsDemands::default()
    };
    let peer = tls_peer(&demands, &ours).await;
    let client = tls_client(&ours).http1_only().build().unwrap();
    let response = client.get(tls_url(&peer)).send().await.unwrap();
    assert_eq!(response.version(), Version::HTTP_11);
}

#[tokio::test]
async fn requests_through_a_socks_proxy_reach_their_origin() {
    let origin = always(OK).await;
    let target = origin.port();
    let proxy = ScriptedPeer::tcp().await.run(move |mut conn| async move {
        assert_eq!(conn.read_exact(3).await, [5, 1, 0]);
        conn.send([5, 0]).await;
        let request = conn.read_exact(10).await;
        assert_eq!(request[..8], [5, 1, 0, 1, 127, 0, 0, 1]);
        assert_eq!(request[8..], target.to_be_bytes());
        conn.send([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await;
        let head = conn.read_head().await;
        assert_eq!(head.path(), "/");
        conn.send(OK).await;
    });
    let at = format!("socks5://127.0.0.1:{}", proxy.port());
    let client = Client::builder()
        .proxy(dodici_reqwest::Proxy::all(at).unwrap())
        .build()
        .unwrap();
    assert_eq!(get(&client, &url(&origin)).await, "ok");
    drop(client);
    proxy.join().await;
}

#[tokio::test]
async fn hosts_behind_a_forward_proxy_share_its_connection() {
    let proxy = always(OK).await;
    let at = format!("http://ann:secret@127.0.0.1:{}", proxy.port());
    let client = Client::builder()
        .proxy(dodici_reqwest::Proxy::http(at).unwrap())
        .build()
        .unwrap();
    for host in ["one.example", "two.example:8080"] {
        assert_eq!(get(&client, &format!("http://{host}/path?q")).await, "ok");
    }
    let log = proxy.log();
    assert_eq!(log.connections.len(), 1);
    let received = String::from_utf8(log.connections[0].received.clone()).unwrap();
    assert!(received.contains("GET http://one.example/path?q HTTP/1.1\r\n"));
    assert!(received.contains("GET http://two.example:8080/path?q HTTP/1.1\r\n"));
    let auth = "proxy-authorization: Basic YW5uOnNlY3JldA==\r\n";
    assert_eq!(received.matches(auth).count(), 2, "{received}");
}

#[test]
fn a_client_serves_one_runtime_after_another() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let servers = runtime();
    let peer = servers.block_on(always(OK));
    let url = url(&peer);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = std::thread::spawn(move || {
        servers.block_on(async {
            let _ = stopped.await;
            peer.accepted()
        })
    });
    let client = Arc::new(client());
    for _ in 0..3 {
        assert_eq!(runtime().block_on(get(&client, &url)), "ok");
    }
    stop.send(()).unwrap();
    assert_eq!(serving.join().unwrap(), 3);
}

#[tokio::test]
async fn unread_responses_never_stall_others_over_http2() {
    const UNREAD: usize = 20;
    let peer = ScriptedPeer::tcp().await.run(|conn| async move {
        let mut peer = H2Peer::accept(conn, &[]).await;
        // As much as the connection's window.
        let mut sent = 0;
        for _ in 0..UNREAD {
            let stream = peer.next_head().await.unwrap();
            peer.head(stream, 200, &[], false).await;
            // As much as the window of the stream.
            for _ in 0..128 {
                let granted = |peer: &H2Peer| peer.granted.get(&0).copied().unwrap_or(0) + 65_535;
                while sent + 16_384 > granted(&peer) {
                    peer.next_frame().await.unwrap();
                }
                peer.data(stream, vec![b'x'; 16_384], false).await;
                sent += 16_384;
            }
        }
        let last = peer.next_head().await.unwrap();
        peer.respond(last, "read").await;
        peer.closed().await;
    });
    let client = Client::builder().no_proxy().http2_prior_knowledge();
    let client = client.build().unwrap();
    let mut unread = Vec::new();
    for _ in 0..UNREAD {
        unread.push(within("head", client.get(url(&peer)).send()).await.unwrap());
    }
    let response = within("head", client.get(url(&peer)).send()).await.unwrap();
    assert_eq!(within("body", response.text()).await.unwrap(), "read");
    drop((unread, client));
    within("server", peer.finish()).await;
}
