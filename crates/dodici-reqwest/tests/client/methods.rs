//! Options and methods that no other test and none of reqwest's own covers.

use std::error::Error as _;
use std::io::Cursor;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dodici_reqwest::cookie::CookieStore;
use dodici_reqwest::ext::{ClientBuilderExt, OriginOptions, ResponseExt};
use dodici_reqwest::header::{ACCEPT_ENCODING, HeaderValue};
use dodici_reqwest::{
    Client, ClientBuilder, Method, StatusCode, Url, Version, blocking, multipart, redirect,
};
use dodici_testkit::{ScriptedPeer, TestOrigin, Watched, within};
use futures_util::StreamExt;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn built(builder: ClientBuilder) -> Client {
    builder.no_proxy().build().unwrap()
}

fn client() -> Client {
    built(Client::builder())
}

fn url(peer: &ScriptedPeer) -> String {
    format!("http://127.0.0.1:{}/", peer.port())
}

async fn always(reply: impl AsRef<[u8]> + Send + Sync + 'static) -> ScriptedPeer {
    ScriptedPeer::tcp().await.always(reply)
}

fn received(peer: &ScriptedPeer) -> String {
    let log = peer.log();
    let all = log.connections.iter().map(|conn| &conn.received[..]);
    String::from_utf8(all.collect::<Vec<_>>().concat()).unwrap()
}

#[tokio::test]
async fn a_coding_that_is_turned_off_is_neither_offered_nor_decoded() {
    type Configure = fn(ClientBuilder) -> ClientBuilder;
    let ways: [(&str, Configure); 8] = [
        ("gzip", |builder| builder.gzip(false)),
        ("gzip", ClientBuilder::no_gzip),
        ("deflate", |builder| builder.deflate(false)),
        ("deflate", ClientBuilder::no_deflate),
        ("br", |builder| builder.brotli(false)),
        ("br", ClientBuilder::no_brotli),
        ("zstd", |builder| builder.zstd(false)),
        ("zstd", ClientBuilder::no_zstd),
    ];
    for (name, configure) in ways {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: {name}\r\n");
        let peer = always(format!("{head}content-length: 4\r\n\r\nwrong")).await;
        let response = built(configure(Client::builder())).get(url(&peer)).send();
        let response = response.await.unwrap();
        assert_eq!(response.headers()["content-encoding"], name);
        assert_eq!(response.text().await.unwrap(), "wron");
        let heads = received(&peer).to_ascii_lowercase();
        let offered = heads
            .lines()
            .find_map(|line| line.strip_prefix("accept-encoding: "));
        let offered: Vec<_> = offered.unwrap().split(',').map(str::trim).collect();
        assert_eq!(offered.len(), 3, "{offered:?}");
        assert!(!offered.contains(&name), "{offered:?}");
        // It is what makes the difference.
        let decoded = client().get(url(&peer)).send().await.unwrap();
        assert!(decoded.text().await.is_err(), "{name}");
    }
}

#[tokio::test]
async fn options_of_an_origin_hold_for_its_connections() {
    async fn counted(options: fn(OriginOptions) -> OriginOptions) -> (usize, Vec<String>) {
        let peer = always(OK).await;
        let reasons = Watched::<Vec<String>>::new(Vec::new());
        let log = reasons.clone();
        let builder = Client::builder().origin(url(&peer), options);
        let client = built(builder.on_connection_event(move |_, event| {
            if let dodici_reqwest::ext::Event::Disconnected { info, .. } = event {
                log.update(|log| log.push(info.reason.to_string()));
            }
        }));
        for _ in 0..4 {
            let response = client.get(url(&peer)).send().await.unwrap();
            assert_eq!(response.text().await.unwrap(), "ok");
        }
        let ended = reasons.wait(|reasons| (!reasons.is_empty()).then(|| reasons.clone()));
        (peer.accepted(), within("an end", ended).await)
    }
    let (accepted, reasons) = counted(|origin| origin.max_requests_per_connection(2)).await;
    assert!(accepted >= 2, "{accepted} {reasons:?}");
    let (_, reasons) = counted(|origin| origin.idle_timeout(Duration::from_millis(30))).await;
    assert!(
        reasons.iter().all(|reason| reason == "idle timeout"),
        "{reasons:?}"
    );
}

#[tokio::test]
async fn the_response_size_of_an_origin_is_limited() {
    let body = "x".repeat(101);
    let peer = always(format!(
        "HTTP/1.1 200 OK\r\ncontent-length: 101\r\n\r\n{body}"
    ))
    .await;
    let limited = |most: u64| {
        let builder = Client::builder().origin(url(&peer), |origin| origin.max_response_size(most));
        built(builder)
    };
    let answer = limited(100).get(url(&peer)).send().await;
    let read = match answer {
        Ok(response) => within("an end", response.bytes()).await.map(drop),
        Err(error) => Err(error),
    };
    assert!(read.is_err());
    assert_eq!(
        limited(101).get(url(&peer)).send().await.unwrap().status(),
        200
    );
}

#[tokio::test]
async fn details_of_connection_and_informational_responses_are_there() {
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    let peer = always(format!("{hints}{hints}{OK}")).await;
    let response = client().get(url(&peer)).send().await.unwrap();
    let connection = response.connection().unwrap();
    assert_eq!(connection.remote, response.remote_addr());
    let statuses = response.informational().iter().map(|head| head.status);
    assert_eq!(statuses.collect::<Vec<_>>(), [103, 103]);
}

#[tokio::test]
async fn a_policy_sees_where_a_redirect_came_from_and_may_fail_it() {
    let redirects = "HTTP/1.1 307 Go\r\nlocation: /next\r\ncontent-length: 0\r\n\r\n";
    let peer = always(redirects).await;
    let start = url(&peer);
    let expected = start.clone();
    let policy = redirect::Policy::custom(move |attempt| {
        assert_eq!(attempt.previous()[0].as_str(), expected);
        if attempt.previous().len() == 3 {
            attempt.error("enough of it")
        } else {
            attempt.follow()
        }
    });
    let client = built(Client::builder().redirect(policy));
    let error = client.get(&start).send().await.unwrap_err();
    assert!(error.is_redirect());
    assert_eq!(error.source().unwrap().to_string(), "enough of it");
    assert_eq!(received(&peer).matches("GET /").count(), 3);
}

#[tokio::test]
async fn a_cookie_store_of_the_caller_gets_every_set_cookie_and_is_asked_for_each_request() {
    #[derive(Default)]
    struct Store(Mutex<Vec<(String, Vec<String>)>>);
    impl CookieStore for Store {
        fn set_cookies(&self, fields: &mut dyn Iterator<Item = &HeaderValue>, url: &Url) {
            let fields = fields.map(|field| field.to_str().unwrap().to_owned());
            let entry = (url.path().to_owned(), fields.collect());
            self.0.lock().unwrap().push(entry);
        }
        fn cookies(&self, url: &Url) -> Option<HeaderValue> {
            (url.path() == "/there").then(|| HeaderValue::from_static("own=1"))
        }
    }
    let reply = "HTTP/1.1 302 Go\r\nlocation: /there\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n";
    let peer = ScriptedPeer::tcp().await.run(move |mut conn| async move {
        conn.read_head().await;
        conn.send(format!("{reply}content-length: 0\r\n\r\n")).await;
        let head = conn.read_head().await;
        let sent = head
            .fields
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("cookie"));
        assert_eq!(sent.unwrap().1, "own=1");
        conn.send(OK).await;
    });
    let store = Arc::new(Store::default());
    let client = built(Client::builder().cookie_provider(Arc::clone(&store)));
    client.get(url(&peer)).send().await.unwrap();
    let set = store.0.lock().unwrap().clone();
    assert_eq!(
        set,
        [("/".to_owned(), vec!["a=1".to_owned(), "b=2".to_owned()])]
    );
    peer.finish().await;
}

#[tokio::test]
async fn a_body_is_read_as_a_stream_and_in_the_charset_of_the_caller() {
    let origin = TestOrigin::start().await;
    let at = format!("http://127.0.0.1:{}/chunked/1000/100", origin.port());
    let response = client().get(at).send().await.unwrap();
    let pieces: Vec<_> = response.bytes_stream().collect().await;
    let bytes: usize = pieces.into_iter().map(|piece| piece.unwrap().len()).sum();
    assert_eq!(bytes, 1000);

    let plain = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n";
    let latin = [plain.as_bytes(), b"\r\ncaf\xe9"].concat();
    let peer = always(latin).await;
    let response = client().get(url(&peer)).send().await.unwrap();
    assert_eq!(
        response.text_with_charset("iso-8859-1").await.unwrap(),
        "caf\u{e9}"
    );
    // That of the response comes first.
    let named = [
        plain.as_bytes(),
        b"content-type: text/plain; charset=windows-1251\r\n\r\ncaf\xe9",
    ];
    let peer = always(named.concat()).await;
    let response = client().get(url(&peer)).send().await.unwrap();
    assert_eq!(
        response.text_with_charset("iso-8859-1").await.unwrap(),
        "caf\u{439}"
    );
}

#[tokio::test]
async fn a_status_of_an_error_is_an_error_only_if_asked_for() {
    for (status, is_error) in [(200, false), (399, false), (400, true), (599, true)] {
        let peer = always(format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n")).await;
        let mut response = client().get(url(&peer)).send().await.unwrap();
        let outcome = response
            .error_for_status_ref()
            .map(dodici_reqwest::Response::status);
        assert_eq!(outcome.is_err(), is_error, "{status}");
        if let Err(error) = outcome {
            assert_eq!(error.status().unwrap(), status);
            assert_eq!(error.url().unwrap().as_str(), url(&peer));
        }
        response.extensions_mut().insert(1_u8);
        response.headers_mut().clear();
        assert!(response.headers().is_empty());
        assert_eq!(response.extensions().get(), Some(&1_u8));
    }
}

#[tokio::test]
async fn a_request_is_sent_as_it_was_changed() {
    let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
        let mut all = Vec::new();
        while !all.ends_with(b"body") {
            all.extend(conn.read_some().await.unwrap());
        }
        conn.send("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
            .await;
    });
    let (client, request) = client().get("http://wrong.invalid/").build_split();
    let mut request = request.unwrap();
    *request.method_mut() = Method::PUT;
    *request.url_mut() = Url::parse(&url(&peer)).unwrap().join("x?y").unwrap();
    *request.version_mut() = Version::HTTP_10;
    *request.body_mut() = Some("body".into());
    *request.timeout_mut() = Some(Duration::from_secs(300));
    let headers = request.headers_mut();
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    let response = within("a response", client.execute(request)).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let text = received(&peer);
    assert!(text.starts_with("PUT /x?y HTTP/1.0\r\n"), "{text}");
    assert!(text.contains("accept-encoding: identity\r\n"), "{text}");
    assert!(text.ends_with("\r\n\r\nbody"), "{text}");

    let silent = silent().await;
    let mut late = client.get(url(&silent)).build().unwrap();
    *late.timeout_mut() = Some(Duration::from_millis(1));
    assert!(
        within("an end", client.execute(late))
            .await
            .unwrap_err()
            .is_timeout()
    );
}

/// Accepts, and says nothing.
async fn silent() -> ScriptedPeer {
    let peer = ScriptedPeer::tcp().await;
    peer.run(|mut conn| async move {
        conn.closed().await;
    })
}

#[tokio::test]
async fn names_in_a_form_are_encoded_as_they_are_asked_to() {
    let name = "a/\u{e9}'()\"";
    type Configure = fn(multipart::Form) -> multipart::Form;
    let ways: [(Configure, &str); 3] = [
        (
            multipart::Form::percent_encode_path_segment,
            "name*=utf-8''a%2F%C3%A9'()%22",
        ),
        (
            multipart::Form::percent_encode_attr_chars,
            "name*=utf-8''a%2F%C3%A9%27%28%29%22",
        ),
        (
            multipart::Form::percent_encode_noop,
            "name=\"a/\u{e9}'()%22\"",
        ),
    ];
    for (configure, expected) in ways {
        let peer = always(OK).await;
        let form = configure(multipart::Form::new()).text(name, "value");
        client()
            .post(url(&peer))
            .multipart(form)
            .send()
            .await
            .unwrap();
        let text = received(&peer);
        assert!(text.contains(expected), "{text}");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_socket_is_bound_to_its_interface() {
    let peer = always(OK).await;
    let own = built(Client::builder().interface("lo"));
    assert_eq!(own.get(url(&peer)).send().await.unwrap().status(), 200);
    let none = built(Client::builder().interface("no-such-one"));
    let error = none.get(url(&peer)).send().await.unwrap_err();
    assert!(error.is_connect(), "{error:?}");
    assert_eq!(peer.accepted(), 1);
}

#[test]
fn a_blocking_body_is_sized_or_is_read_into_memory() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let peer = runtime.block_on(always(OK));
    let client = blocking::Client::builder().no_proxy().build().unwrap();
    let sized = blocking::Body::sized(Cursor::new("sized+rest"), 5);
    client.post(url(&peer)).body(sized).send().unwrap();
    let mut body = blocking::Body::new(Cursor::new("buffered"));
    assert_eq!(body.as_bytes(), None);
    assert_eq!(body.buffer().unwrap(), b"buffered");
    assert_eq!(body.as_bytes(), Some(&b"buffered"[..]));
    client.post(url(&peer)).body(body).send().unwrap();
    let text = received(&peer);
    assert!(
        text.contains("content-length: 5\r\n") && text.contains("\r\n\r\nsized"),
        "{text}"
    );
    assert!(!text.contains("rest"), "{text}");
    assert!(text.contains("content-length: 8\r\n"), "{text}");
    let mut copied = Vec::new();
    let mut response = client.get(url(&peer)).send().unwrap();
    assert_eq!(response.copy_to(&mut copied).unwrap(), 2);
    assert_eq!(copied, b"ok");
}
