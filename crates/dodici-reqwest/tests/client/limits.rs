//! Limits on what a server can make a client decode, follow, store and wait for.

use std::error::Error as _;
use std::io::{Read, Write};

use async_compression::tokio::bufread::{BrotliEncoder, GzipEncoder, ZlibEncoder, ZstdEncoder};
use dodici_reqwest::ext::{ClientBuilderExt, RequestBuilderExt};
use dodici_reqwest::{Client, ClientBuilder, Response};
use dodici_testkit::{Conn, ScriptedPeer, within};
use tokio::io::AsyncReadExt;

const MIB: usize = 1024 * 1024;

fn client(configure: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Client {
    configure(Client::builder().no_proxy()).build().unwrap()
}

/// Answers every request with this response.
async fn serve(response: Vec<u8>) -> ScriptedPeer {
    ScriptedPeer::tcp().await.run(move |mut conn: Conn| {
        let response = response.clone();
        async move {
            while let Some(head) = conn.next_head().await {
                conn.read_body(&head).await;
                conn.send(&response).await;
            }
        }
    })
}

fn url(peer: &ScriptedPeer) -> String {
    format!("http://127.0.0.1:{}/", peer.port())
}

fn with_body(fields: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 200 OK\r\n{fields}content-length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

async fn encoded(coding: &str, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match coding {
        "gzip" => GzipEncoder::new(bytes).read_to_end(&mut out).await,
        "deflate" => ZlibEncoder::new(bytes).read_to_end(&mut out).await,
        "br" => BrotliEncoder::new(bytes).read_to_end(&mut out).await,
        _ => ZstdEncoder::new(bytes).read_to_end(&mut out).await,
    }
    .unwrap();
    out
}

async fn get(client: &Client, peer: &ScriptedPeer) -> Response {
    within("a response", client.get(url(peer)).send())
        .await
        .unwrap()
}

/// Reads until the end or the first error; returns the number of bytes.
async fn drain(mut response: Response) -> (u64, Result<(), dodici_reqwest::Error>) {
    let mut read = 0;
    loop {
        match within("a chunk", response.chunk()).await {
            Ok(Some(chunk)) => {
                // No more is decoded ahead of the reader than one slice.
                assert!(chunk.len() <= 16 * 1024, "{} bytes at once", chunk.len());
                read += chunk.len() as u64;
            }
            Ok(None) => return (read, Ok(())),
            Err(error) => return (read, Err(error)),
        }
    }
}

#[tokio::test]
async fn s33_a_bomb_stops_at_the_limit_of_decoded_bytes() {
    let zeros = vec![0; MIB];
    for coding in ["gzip", "zstd", "deflate", "br"] {
        let one = encoded(coding, &zeros).await;
        // 1 GiB for codings with several members; 1 MiB for others.
        let members = if matches!(coding, "gzip" | "zstd") {
            1024
        } else {
            1
        };
        let fields = format!("content-encoding: {coding}\r\n");
        let peer = serve(with_body(&fields, &one.repeat(members))).await;
        let limit = (MIB / 2) as u64;
        let client = client(|builder| builder.max_body_size(limit));
        let (read, end) = drain(get(&client, &peer).await).await;
        let error = end.unwrap_err();
        assert!(
            error.is_decode() && !error.is_timeout(),
            "{coding}: {error:?}"
        );
        let cause = error.source().and_then(|cause| cause.source()).unwrap();
        assert_eq!(
            cause.to_string(),
            "the body is larger than 524288 bytes, the limit set by max_body_size"
        );
        assert!(read <= limit, "{coding}: {read}");
        assert!(read > limit - 16 * 1024, "{coding}: {read}");
    }
}

#[tokio::test]
async fn s33_several_codings_are_decoded_and_six_are_an_error() {
    let mut body = b"text".to_vec();
    let mut named = Vec::new();
    for coding in ["gzip", "br", "zstd", "deflate", "gzip", "br"] {
        body = encoded(coding, &body).await;
        named.push(coding);
        let fields = format!("content-encoding: {}\r\n", named.join(", "));
        let peer = serve(with_body(&fields, &body)).await;
        let answer = client(|builder| builder).get(url(&peer)).send().await;
        if named.len() == 6 {
            assert!(answer.unwrap_err().is_decode());
            continue;
        }
        let response = answer.unwrap();
        assert!(!response.headers().contains_key("content-encoding"));
        assert_eq!(response.text().await.unwrap(), "text", "{named:?}");
    }
}

#[tokio::test]
async fn a_truncated_or_overlong_coded_body_is_an_error() {
    for coding in ["gzip", "zstd", "deflate", "br"] {
        let whole = encoded(coding, b"some text that is coded").await;
        let fields = format!("content-encoding: {coding}\r\n");
        let cut = whole[..whole.len() - 1].to_vec();
        let more = [&whole[..], b"more"].concat();
        for (body, right) in [
            (whole, true),
            (cut, false),
            (more, false),
            (Vec::new(), true),
        ] {
            let peer = serve(with_body(&fields, &body)).await;
            let text = get(&client(|builder| builder), &peer).await.text().await;
            assert_eq!(
                text.is_ok(),
                right,
                "{coding}, {} bytes: {text:?}",
                body.len()
            );
            assert!(text.is_ok_and(|text| text != "more") || !right);
        }
    }
}

#[tokio::test]
async fn trailers_follow_a_coded_body() {
    use dodici_reqwest::ext::ResponseExt;

    let body = encoded("gzip", b"text").await;
    let head = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunk = format!("{:x}\r\n", body.len());
    let end = "\r\n0\r\nx-sum: 1\r\n\r\n";
    let peer = serve([head.as_bytes(), chunk.as_bytes(), &body, end.as_bytes()].concat()).await;
    let mut response = get(&client(|builder| builder), &peer).await;
    let mut text = Vec::new();
    while let Some(chunk) = response.chunk().await.unwrap() {
        text.extend(chunk);
    }
    assert_eq!(text, b"text");
    assert_eq!(response.trailers().unwrap().get("x-sum"), Some(&b"1"[..]));
}

#[tokio::test]
async fn the_body_limit_applies_to_plain_bodies_and_can_be_set_per_request() {
    let peer = serve(with_body("", &[b'x'; 100])).await;
    let limited = client(|builder| builder.max_body_size(99));
    // Its declared length is too large: none of it is read.
    let (read, end) = drain(get(&limited, &peer).await).await;
    assert_eq!((read, end.is_err()), (0, true));
    let request = limited.get(url(&peer)).max_body_size(100);
    let (read, end) = drain(request.send().await.unwrap()).await;
    assert_eq!((read, end.is_ok()), (100, true));

    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let peer = serve(format!("{chunked}{}0\r\n\r\n", "1\r\nx\r\n".repeat(100)).into()).await;
    let (read, end) = drain(get(&limited, &peer).await).await;
    assert!(read <= 99 && end.is_err(), "{read}");
    let request = limited.get(url(&peer)).max_body_size(100);
    assert_eq!(
        request.send().await.unwrap().text().await.unwrap().len(),
        100
    );
}

#[tokio::test]
async fn s39_a_redirect_to_another_scheme_is_an_error() {
    for target in [
        "data:text/plain,x",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "ftp://127.0.0.1/",
        "//",
        "http://",
    ] {
        let response =
            format!("HTTP/1.1 302 Found\r\nlocation: {target}\r\ncontent-length: 0\r\n\r\n");
        let peer = serve(response.into()).await;
        let answer = client(|builder| builder).get(url(&peer)).send().await;
        match answer {
            Err(error) => assert!(
                error.is_builder() || error.is_redirect(),
                "{target}: {error:?}"
            ),
            // An invalid URI reference is not followed: the redirect is the response.
            Ok(response) => assert_eq!(response.status(), 302, "{target}"),
        }
        assert_eq!(peer.log().connections.len(), 1, "{target}");
    }
}

#[tokio::test]
async fn s39_a_location_of_20_megabytes_is_an_error() {
    let target = "x".repeat(20 * MIB);
    let response =
        format!("HTTP/1.1 302 Found\r\nlocation: /{target}\r\ncontent-length: 0\r\n\r\n");
    let peer = serve(response.into()).await;
    let answer = within("an end", client(|builder| builder).get(url(&peer)).send()).await;
    assert!(answer.unwrap_err().is_request());
}

#[tokio::test]
async fn s39_a_loop_of_redirects_ends() {
    let loops = "HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n";
    let peer = serve(loops.into()).await;
    let answer = client(|builder| builder).get(url(&peer)).send().await;
    assert!(answer.unwrap_err().is_redirect());
    let received = String::from_utf8(peer.log().connections[0].received.clone()).unwrap();
    assert_eq!(received.matches("GET / ").count(), 11);
}

#[tokio::test]
async fn the_number_of_fields_in_a_head_is_limited() {
    let fields = |count: usize| "x: 1\r\n".repeat(count - 1);
    let limited = client(|builder| builder.http1_max_headers(3));
    let peer = serve(with_body(&fields(3), b"ok")).await;
    assert_eq!(get(&limited, &peer).await.text().await.unwrap(), "ok");
    let peer = serve(with_body(&fields(4), b"ok")).await;
    let answer = limited.get(url(&peer)).send().await;
    assert!(answer.unwrap_err().is_request());
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n";
    for (trailers, right) in [(3, true), (4, false)] {
        let peer = serve(format!("{head}{}\r\n", fields(trailers + 1)).into()).await;
        let text = get(&limited, &peer).await.text().await;
        assert_eq!(text.is_ok(), right, "{trailers}");
    }
    // More than hyper's clients accept.
    let peer = serve(with_body(&fields(1000), b"ok")).await;
    let many = get(&client(|builder| builder), &peer).await;
    assert_eq!(many.headers().len(), 1000);
}

/// A server in its own thread, not on the test's runtime.
fn apart() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                head.push(byte[0]);
            }
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
            stream.write_all(answer).unwrap();
        }
    });
    url
}

fn blocking_get(url: &str) -> String {
    dodici_reqwest::blocking::get(url).unwrap().text().unwrap()
}

#[tokio::test]
async fn the_blocking_client_works_on_a_runtimes_only_thread() {
    assert_eq!(blocking_get(&apart()), "ok");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_blocking_client_works_on_a_worker_of_a_runtime() {
    let url = apart();
    let on_worker = tokio::spawn(async move { blocking_get(&url) });
    assert_eq!(on_worker.await.unwrap(), "ok");
}
