//! Ways to reach a server and their effects on the pool: unix sockets, names with configured addresses,
//! connector layers, retries, trailers over HTTP/2.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use dodici_reqwest::dns::{Addrs, Name, Resolve, Resolving};
use dodici_reqwest::ext::{BodyExt, HeaderBlock, RequestBuilderExt, ResponseExt};
use dodici_reqwest::{Body, Client, StatusCode, Version, retry};
use dodici_testkit::{Conn, ScriptedPeer, within};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

async fn serve(mut conn: Conn) {
    while let Some(head) = conn.next_head().await {
        conn.read_body(&head).await;
        conn.send(OK).await;
    }
}

async fn text(client: &Client, url: &str) -> String {
    let response = within("a response", client.get(url).send()).await.unwrap();
    response.text().await.unwrap()
}

#[cfg(unix)]
#[tokio::test]
async fn requests_over_a_unix_socket_share_a_connection_whatever_their_host() {
    let peer = ScriptedPeer::unix().run(serve);
    let path = peer.address().to_string();
    let client = Client::builder()
        .unix_socket(path.as_str())
        .build()
        .unwrap();
    for url in ["http://one.example/", "http://one.example/again"] {
        assert_eq!(text(&client, url).await, "ok");
    }
    let response = client.get("http://one.example/").send().await.unwrap();
    assert!(response.is_reused());
    assert_eq!(response.remote_addr(), None);
    assert_eq!(peer.accepted(), 1);
    let received = String::from_utf8(peer.log().connections[0].received.clone()).unwrap();
    assert!(received.contains("host: one.example\r\n"), "{received}");
}

#[tokio::test]
async fn a_name_with_a_configured_address_is_reached_there() {
    let peer = ScriptedPeer::tcp().await.run(serve);
    let at = SocketAddr::from(([127, 0, 0, 1], peer.port()));
    let client = Client::builder().no_proxy().resolve("some.example", at);
    let client = client.build().unwrap();
    // The URL's port applies, if it has one.
    let url = format!("http://some.example:{}/", peer.port());
    assert_eq!(text(&client, &url).await, "ok");
    assert_eq!(text(&client, "http://SOME.example/").await, "ok");
    let response = client.get(&url).send().await.unwrap();
    assert_eq!(response.remote_addr(), Some(at));
    assert!(response.is_reused());
}

#[tokio::test]
async fn a_resolver_is_asked_once_for_a_connection_and_not_for_a_request() {
    struct Counting(Arc<AtomicUsize>, SocketAddr);
    impl Resolve for Counting {
        fn resolve(&self, name: Name) -> Resolving {
            assert_eq!(name.as_str(), "some.example");
            self.0.fetch_add(1, Ordering::Relaxed);
            let addresses: Addrs = Box::new(std::iter::once(self.1));
            Box::pin(std::future::ready(Ok(addresses)))
        }
    }
    let peer = ScriptedPeer::tcp().await.run(serve);
    let asked = Arc::new(AtomicUsize::new(0));
    let at = SocketAddr::from(([127, 0, 0, 1], peer.port()));
    let resolver = Arc::new(Counting(Arc::clone(&asked), at));
    let client = Client::builder().no_proxy().dns_resolver(resolver);
    let client = client.build().unwrap();
    for _ in 0..3 {
        let url = format!("http://some.example:{}/", peer.port());
        assert_eq!(text(&client, &url).await, "ok");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_connector_layer_sees_connections_and_not_requests() {
    let peer = ScriptedPeer::tcp().await.run(serve);
    let made = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&made);
    let layer = tower::util::MapRequestLayer::new(move |making| {
        counted.fetch_add(1, Ordering::Relaxed);
        making
    });
    let client = Client::builder().no_proxy().connector_layer(layer);
    let client = client.build().unwrap();
    let url = format!("http://127.0.0.1:{}/", peer.port());
    for _ in 0..3 {
        assert_eq!(text(&client, &url).await, "ok");
    }
    assert_eq!(made.load(Ordering::Relaxed), 1);
    assert_eq!(peer.accepted(), 1);
}

#[tokio::test]
async fn a_retried_request_uses_the_existing_connection() {
    const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nbusy";
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        for answer in [BUSY, BUSY, OK] {
            let head = conn.read_head().await;
            conn.read_body(&head).await;
            conn.send(answer).await;
        }
        conn.closed().await;
    });
    let policy = retry::for_host("127.0.0.1")
        .no_budget()
        .max_retries_per_request(5)
        .classify_fn(|attempt| match attempt.status() {
            Some(StatusCode::SERVICE_UNAVAILABLE) => attempt.retryable(),
            _ => attempt.success(),
        });
    let client = Client::builder().no_proxy().retry(policy).build().unwrap();
    let url = format!("http://127.0.0.1:{}/", peer.port());
    assert_eq!(text(&client, &url).await, "ok");
    drop(client);
    peer.join().await;
}

#[tokio::test]
async fn streamed_and_plain_bodies_take_turns_on_one_connection() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        while let Some(head) = conn.next_head().await {
            let body = conn.read_body(&head).await;
            let length = body.data.len();
            conn.send(format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n"
            ))
            .await;
            conn.send(body.data).await;
        }
    });
    let client = Client::builder().no_proxy().build().unwrap();
    let url = format!("http://127.0.0.1:{}/", peer.port());
    for round in 0..3 {
        let parts = ["ab", "cd", "ef"].map(Ok::<_, std::io::Error>);
        let streamed = Body::wrap_stream(futures_util::stream::iter(parts));
        for (body, expected) in [
            (Body::from("plain"), "plain"),
            (streamed, "abcdef"),
            (Body::from(""), ""),
        ] {
            let sent = client.post(&url).body(body).send();
            let response = within("a response", sent).await.unwrap();
            assert_eq!(response.text().await.unwrap(), expected, "round {round}");
        }
    }
    assert_eq!(peer.accepted(), 1);
}

#[tokio::test]
async fn a_body_waits_for_100_continue_if_the_request_expects_it() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        let head = conn.read_head().await;
        assert_eq!(head.get("expect"), Some("100-continue"));
        conn.send("HTTP/1.1 417 Expectation Failed\r\ncontent-length: 0\r\n\r\n")
            .await;
        // No byte of the body has arrived, so the next bytes are the end or another head.
        while let Some(head) = conn.next_head().await {
            assert_eq!(head.get("expect"), Some("100-continue"));
            conn.send("HTTP/1.1 100 Continue\r\n\r\n").await;
            assert_eq!(conn.read_body(&head).await.data, b"text");
            conn.send(OK).await;
        }
    });
    let client = Client::builder().no_proxy().build().unwrap();
    let url = format!("http://127.0.0.1:{}/", peer.port());
    let ask = || {
        let request = client.post(&url).header("expect", "100-continue");
        within("a response", request.body("text").send())
    };
    let refused = ask().await.unwrap();
    assert_eq!(refused.status(), StatusCode::EXPECTATION_FAILED);
    drop(refused);
    let taken = ask().await.unwrap();
    assert_eq!(taken.text().await.unwrap(), "ok");
}

#[tokio::test]
async fn trailers_pass_both_ways_over_http2() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(stream).await.unwrap();
        let (request, mut respond) = connection.accept().await.unwrap().unwrap();
        let answering = tokio::spawn(async move {
            let mut body = request.into_body();
            let mut read = Vec::new();
            while let Some(chunk) = body.data().await {
                read.extend_from_slice(&chunk.unwrap());
            }
            let trailers = body.trailers().await.unwrap().unwrap();
            let mut answer = respond
                .send_response(http::Response::new(()), false)
                .unwrap();
            answer.send_data(Bytes::from(read), false).unwrap();
            answer.send_trailers(trailers).unwrap();
        });
        while connection.accept().await.is_some() {}
        answering.await.unwrap();
    });
    let client = Client::builder().no_proxy().http2_prior_knowledge();
    let client = client.build().unwrap();
    let fields = [("X-Sum", "1"), ("x-other", "2")];
    let body = Body::from("text").with_raw_trailers(fields.into_iter().collect());
    let sent = within("a response", client.post(&url).body(body).send()).await;
    let mut response = sent.unwrap();
    assert_eq!(response.version(), Version::HTTP_2);
    let mut read = Vec::new();
    while let Some(chunk) = response.chunk().await.unwrap() {
        read.extend_from_slice(&chunk);
    }
    assert_eq!(read, b"text");
    let lower: HeaderBlock = [("x-sum", "1"), ("x-other", "2")].into_iter().collect();
    assert_eq!(response.trailers(), Some(&lower));
    drop((response, client));
    within("the server's end", serving).await.unwrap();
}

/// Two servers: the first redirects to the second, which redirects to itself once.
async fn leading_away() -> (ScriptedPeer, ScriptedPeer) {
    let there = ScriptedPeer::tcp().await.run(|mut conn| async move {
        while let Some(head) = conn.next_head().await {
            conn.read_body(&head).await;
            if head.target == "/again" {
                conn.send(OK).await;
            } else {
                let again = "HTTP/1.1 307 x\r\nlocation: /again\r\ncontent-length: 0\r\n\r\n";
                conn.send(again).await;
            }
        }
    });
    let port = there.port();
    let here = ScriptedPeer::tcp().await.run(move |mut conn| async move {
        while let Some(head) = conn.next_head().await {
            conn.read_body(&head).await;
            let status = head.target.trim_start_matches('/');
            let away = format!(
                "HTTP/1.1 {status} x\r\nlocation: http://127.0.0.1:{port}/\r\ncontent-length: 0\r\n\r\n"
            );
            conn.send(away).await;
        }
    });
    (here, there)
}

fn heard(peer: &ScriptedPeer) -> String {
    let connections = peer.log().connections;
    let all = connections.iter().map(|one| &one.received[..]);
    String::from_utf8(all.collect::<Vec<_>>().concat()).unwrap()
}

#[tokio::test]
async fn s16_raw_fields_lose_credentials_on_a_redirect_to_another_origin() {
    let (here, there) = leading_away().await;
    let own = format!("127.0.0.1:{}", here.port());
    let fields: HeaderBlock = [
        ("Host", own.as_str()),
        ("X-First", "1"),
        ("aUTHORIZATION", "secret"),
        ("Cookie", "secret"),
        ("Cookie2", "secret"),
        ("Proxy-Authorization", "secret"),
    ]
    .into_iter()
    .collect();
    let client = Client::builder().no_proxy().build().unwrap();
    let request = client.get(format!("http://{own}/302")).raw_headers(fields);
    let response = within("a response", request.send()).await.unwrap();
    assert_eq!(response.text().await.unwrap(), "ok");
    assert_eq!(heard(&here).matches("secret").count(), 4);
    let told = heard(&there);
    assert!(!told.contains("secret"), "{told}");
    assert_eq!(told.matches("X-First: 1\r\n").count(), 2, "{told}");
    let host = format!("Host: 127.0.0.1:{}\r\n", there.port());
    assert_eq!(told.matches(&host).count(), 2, "{told}");
    assert!(!told.contains(&own), "{told}");
}

#[tokio::test]
async fn raw_fields_about_a_body_stay_with_it_when_a_redirect_drops_it() {
    let (here, there) = leading_away().await;
    let fields = [
        ("Content-Type", "text/plain"),
        ("Content-Length", "4"),
        ("X-First", "1"),
    ];
    let client = Client::builder().no_proxy().build().unwrap();
    for status in [303, 307] {
        let request = client
            .post(format!("http://127.0.0.1:{}/{status}", here.port()))
            .raw_headers(fields.into_iter().collect())
            .body("body");
        let response = within("a response", request.send()).await.unwrap();
        assert_eq!(response.text().await.unwrap(), "ok");
    }
    let told = heard(&there);
    assert_eq!(told.matches("X-First: 1\r\n").count(), 4, "{told}");
    assert_eq!(told.matches("Content-Type").count(), 2, "{told}");
    assert_eq!(told.matches("\r\n\r\nbody").count(), 2, "{told}");
}

#[tokio::test]
async fn s16_dropped_credentials_are_not_restored_by_the_next_redirect() {
    let (here, there) = leading_away().await;
    let client = Client::builder().no_proxy().build().unwrap();
    let request = client
        .get(format!("http://127.0.0.1:{}/302", here.port()))
        .basic_auth("ann", Some("secret"))
        .header("cookie", "secret")
        .header("x-first", "1");
    let response = within("a response", request.send()).await.unwrap();
    assert_eq!(response.text().await.unwrap(), "ok");
    assert!(heard(&here).contains("authorization: Basic "));
    let told = heard(&there);
    assert_eq!(told.matches("x-first: 1\r\n").count(), 2, "{told}");
    assert!(!told.contains("authorization"), "{told}");
    assert!(!told.contains("cookie"), "{told}");
}

#[tokio::test]
async fn the_longest_duration_is_no_limit() {
    let peer = ScriptedPeer::tcp().await.run(serve);
    let client = Client::builder()
        .no_proxy()
        .timeout(Duration::MAX)
        .read_timeout(Duration::MAX)
        .connect_timeout(Duration::MAX)
        .pool_idle_timeout(Duration::MAX)
        .tcp_keepalive(Duration::from_secs(1))
        .build()
        .unwrap();
    let url = format!("http://127.0.0.1:{}/", peer.port());
    for _ in 0..2 {
        assert_eq!(text(&client, &url).await, "ok");
    }
    assert_eq!(peer.accepted(), 1);
}
