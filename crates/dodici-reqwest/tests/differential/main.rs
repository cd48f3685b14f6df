//! Compares this crate with the real reqwest: the same requests to the same scripted servers,
//! with the same expected results.
//!
//! What arrives on the wire is compared as a set of header fields. Three differences are known and
//! intended: a request with a method that usually has a body sends `content-length: 0` when it has
//! none (RFC 9110, section 8.6), `host` comes first, and a redirect keeps the credentials for the
//! proxy.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::collections::BTreeMap;
use std::time::Duration;

use dodici_testkit::{Conn, ScriptedPeer};

/// The outcome of a request.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Response {
        status: u16,
        url: String,
        headers: Vec<(String, String)>,
        length: Option<u64>,
        body: Result<Vec<u8>, Vec<&'static str>>,
    },
    Error(Vec<&'static str>),
}

/// What one connection received: request lines with their fields, sorted, and bodies.
type Wire = Vec<(String, BTreeMap<String, Vec<String>>, String)>;

/// Expands once for each of the two crates, which have the same names.
macro_rules! run_with {
    ($run:ident, $krate:ident) => {
        async fn $run(
            urls: &[String],
            configure: impl Fn($krate::ClientBuilder) -> $krate::ClientBuilder,
            request: impl Fn(&$krate::Client, &str) -> $krate::RequestBuilder,
        ) -> Vec<Outcome> {
            let flags = |error: &$krate::Error| {
                let mut flags = Vec::new();
                for (holds, name) in [
                    (error.is_builder(), "builder"),
                    (error.is_redirect(), "redirect"),
                    (error.is_status(), "status"),
                    (error.is_timeout(), "timeout"),
                    (error.is_request(), "request"),
                    (error.is_connect(), "connect"),
                    (error.is_dns(), "dns"),
                    (error.is_body(), "body"),
                    (error.is_decode(), "decode"),
                    (error.url().is_some(), "url"),
                ] {
                    if holds {
                        flags.push(name);
                    }
                }
                flags
            };
            let client = configure($krate::Client::builder().no_proxy())
                .build()
                .unwrap();
            let mut outcomes = Vec::new();
            for url in urls {
                outcomes.push(match request(&client, url).send().await {
                    Err(error) => Outcome::Error(flags(&error)),
                    Ok(response) => {
                        let mut headers: Vec<_> = response
                            .headers()
                            .iter()
                            .map(|(name, value)| {
                                let value = String::from_utf8_lossy(value.as_bytes());
                                (name.to_string(), value.into_owned())
                            })
                            .collect();
                        headers.sort();
                        Outcome::Response {
                            status: response.status().as_u16(),
                            url: response.url().to_string(),
                            headers,
                            length: response.content_length(),
                            body: match response.bytes().await {
                                Ok(body) => Ok(body.to_vec()),
                                Err(error) => Err(flags(&error)),
                            },
                        }
                    }
                });
            }
            outcomes
        }
    };
}

run_with!(run_theirs, reqwest);
run_with!(run_ours, dodici_reqwest);

fn wire(peer: &ScriptedPeer) -> Wire {
    let log = peer.log();
    let mut wire = Wire::new();
    for connection in &log.connections {
        let text = String::from_utf8_lossy(&connection.received).into_owned();
        let mut rest = text.as_str();
        while let Some((head, after)) = rest.split_once("\r\n\r\n") {
            let mut lines = head.split("\r\n");
            let line = lines.next().unwrap_or_default().to_owned();
            let mut fields = BTreeMap::<String, Vec<String>>::new();
            for field in lines {
                let (name, value) = field.split_once(": ").expect("a field");
                fields
                    .entry(name.to_lowercase())
                    .or_default()
                    .push(value.to_owned());
            }
            // See the module.
            if fields
                .get("content-length")
                .is_some_and(|length| length == &["0"])
            {
                fields.remove("content-length");
            }
            // A jar does not order the cookies of one path.
            for cookies in fields.get_mut("cookie").into_iter().flatten() {
                let mut pairs: Vec<_> = cookies.split("; ").collect();
                pairs.sort_unstable();
                *cookies = pairs.join("; ");
            }
            // The servers have different ports.
            fields.remove("host");
            fields.remove("referer");
            let length = match fields.get("content-length") {
                Some(length) => length[0].parse().expect("a length"),
                None if fields.contains_key("transfer-encoding") => {
                    after.find("0\r\n\r\n").map_or(after.len(), |end| end + 5)
                }
                None => 0,
            };
            let (body, next) = after.split_at(length);
            wire.push((line, fields, body.to_owned()));
            rest = next;
        }
    }
    wire
}

/// Sends a request with both and returns their common result. Ports are not compared. `$configured`
/// and `$request` can name the crate by `$krate`.
macro_rules! agree {
    (
        $left:expr, $right:expr,
        |$krate:ident, $builder:ident| $configured:expr,
        |$client:ident, $url:ident| $request:expr
    ) => {{
        let (left, right): (Vec<String>, Vec<String>) = ($left, $right);
        let theirs = {
            use reqwest as $krate;
            let configure = |$builder: $krate::ClientBuilder| $configured;
            run_theirs(&left, configure, |$client, $url| $request).await
        };
        let ours = {
            use dodici_reqwest as $krate;
            let configure = |$builder: $krate::ClientBuilder| $configured;
            run_ours(&right, configure, |$client, $url| $request).await
        };
        let (theirs, ours) = (without_ports(theirs), without_ports(ours));
        assert_eq!(theirs, ours, "left is reqwest");
        ours
    }};
}

/// Removes the ports from URLs.
fn without_ports(mut outcomes: Vec<Outcome>) -> Vec<Outcome> {
    for outcome in &mut outcomes {
        if let Outcome::Response { url, .. } = outcome {
            let mut parsed: url::Url = url.parse().expect("a URL");
            parsed.set_port(None).expect("a host");
            *url = parsed.into();
        }
    }
    outcomes
}

/// Runs the same script for both, compares everything, and returns the common result.
macro_rules! compare {
    ($script:expr, $paths:expr, $configure:expr, $request:expr) => {{
        let paths: &[&str] = $paths;
        let (left, right) = (
            ScriptedPeer::tcp().await.run($script),
            ScriptedPeer::tcp().await.run($script),
        );
        let urls = |peer: &ScriptedPeer| -> Vec<String> {
            let port = peer.port();
            paths
                .iter()
                .map(|path| format!("http://127.0.0.1:{port}{path}"))
                .collect()
        };
        let theirs = run_theirs(&urls(&left), $configure, $request).await;
        let ours = run_ours(&urls(&right), $configure, $request).await;
        let (theirs, ours) = (without_ports(theirs), without_ports(ours));
        assert_eq!(theirs, ours, "left is reqwest");
        assert_eq!(wire(&left), wire(&right), "left is reqwest");
        ours
    }};
}

/// Responds to each request by path.
async fn by_path(mut conn: Conn, answer: impl Fn(&str) -> String) {
    while let Some(head) = conn.next_head().await {
        conn.read_body(&head).await;
        let answer = answer(head.path());
        conn.send(&answer).await;
        if answer.contains("connection: close") {
            return;
        }
    }
}

fn with_body(status: &str, fields: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{fields}\r\n{body}")
}

mod better;
mod failures;
mod fields;
mod http2;
mod lenient;
mod proxies;
mod secure;

#[tokio::test]
async fn r19_plain_responses_are_the_same() {
    let script = |conn| {
        by_path(conn, |path| match path {
            "/chunked" => "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\
                           3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
                .to_owned(),
            "/empty" => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
            "/late" => "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nuntil the end".to_owned(),
            "/old" => {
                "HTTP/1.0 404 Gone Fishing\r\nconnection: close\r\ncontent-length: 1\r\n\r\nx"
                    .to_owned()
            }
            _ => with_body("200 OK", "x-a: 1\r\nX-A: 2\r\nset-cookie: a=b\r\n", "body"),
        })
    };
    let paths = [
        "/plain",
        "/chunked",
        "/empty",
        "/plain?a=b%20c",
        "/late",
        "/old",
    ];
    let outcomes = compare!(script, &paths, |builder| builder, |client, url| client
        .get(url));
    assert_eq!(outcomes.len(), paths.len());
}

#[tokio::test]
async fn r19_request_bodies_arrive_the_same() {
    let script = |conn| by_path(conn, |_| with_body("200 OK", "", "ok"));
    compare!(script, &["/bytes"], |builder| builder, |client, url| {
        client.post(url).body("some text")
    });
    compare!(script, &["/none"], |builder| builder, |client, url| client
        .post(url));
    compare!(script, &["/form"], |builder| builder, |client, url| {
        client.put(url).form(&[("a", "1 2"), ("b", "&")])
    });
    compare!(script, &["/json"], |builder| builder, |client, url| {
        client.patch(url).json(&serde_json::json!({ "a": [1, 2] }))
    });
    compare!(script, &["/head"], |builder| builder, |client, url| client
        .head(url));
    compare!(script, &["/delete"], |builder| builder, |client, url| {
        client
            .delete(url)
            .query(&[("q", "ü")])
            .basic_auth("me", Some("pw"))
    });
}

#[tokio::test]
async fn streamed_bodies_arrive_the_same() {
    use futures_util::stream;

    let script = |conn| by_path(conn, |_| with_body("200 OK", "", "ok"));
    let chunks = || stream::iter([Ok::<_, std::io::Error>("one "), Ok("two")]);
    let (left, right) = (
        ScriptedPeer::tcp().await.run(script),
        ScriptedPeer::tcp().await.run(script),
    );
    let url = |peer: &ScriptedPeer| format!("http://127.0.0.1:{}/", peer.port());
    let theirs = reqwest::Body::wrap_stream(chunks());
    reqwest::Client::new()
        .post(url(&left))
        .body(theirs)
        .send()
        .await
        .unwrap();
    let ours = dodici_reqwest::Body::wrap_stream(chunks());
    let client = dodici_reqwest::Client::new();
    client.post(url(&right)).body(ours).send().await.unwrap();
    let text = |wire: Wire| {
        let (line, fields, _) = wire.into_iter().next().expect("a request");
        (line, fields)
    };
    assert_eq!(text(wire(&left)), text(wire(&right)));
}

#[tokio::test]
async fn redirects_lead_to_the_same_place() {
    let script = |conn| {
        by_path(conn, |path| {
            match path.trim_start_matches('/').parse::<u16>() {
                Ok(status) => format!(
                    "HTTP/1.1 {status} Moved\r\nlocation: /there?x#part\r\ncontent-length: 0\r\n\r\n"
                ),
                Err(_) if path == "/loop" => {
                    "HTTP/1.1 302 Found\r\nlocation: /loop\r\ncontent-length: 0\r\n\r\n".to_owned()
                }
                Err(_) if path == "/nowhere" => {
                    "HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n".to_owned()
                }
                Err(_) if path == "/odd" => {
                    "HTTP/1.1 302 Found\r\nlocation: ftp://x/\r\ncontent-length: 0\r\n\r\n"
                        .to_owned()
                }
                Err(_) => with_body("200 OK", "", "there"),
            }
        })
    };
    let paths = [
        "/301", "/302", "/303", "/307", "/308", "/300", "/loop", "/nowhere", "/odd",
    ];
    compare!(script, &paths, |builder| builder, |client, url| {
        client
            .post(url)
            .body("text")
            .header("authorization", "secret")
    });
    compare!(script, &paths, |builder| builder, |client, url| client
        .get(url));
}

#[tokio::test]
async fn cookies_are_kept_and_sent_the_same() {
    let script = |conn| {
        by_path(conn, |path| match path {
            "/set" => with_body(
                "200 OK",
                "set-cookie: a=1; Path=/\r\nset-cookie: b=2; Path=/deep\r\n\
                 set-cookie: c=3; Max-Age=0\r\nset-cookie: d=4; Secure\r\n",
                "",
            ),
            _ => with_body("200 OK", "", ""),
        })
    };
    let paths = ["/set", "/", "/deep/er", "/set"];
    compare!(
        script,
        &paths,
        |builder| builder.cookie_store(true),
        |client, url| { client.get(url) }
    );
}

#[tokio::test]
async fn broken_responses_fail_the_same() {
    let script = |conn| {
        by_path(conn, |path| match path {
            "/cut-head" => "HTTP/1.1 200 OK\r\nconnection: close\r\ncon".to_owned(),
            "/cut-body" => {
                "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 9\r\n\r\nabc".to_owned()
            }
            "/cut-chunk" => "HTTP/1.1 200 OK\r\nconnection: close\r\n\
                             transfer-encoding: chunked\r\n\r\n9\r\nabc"
                .to_owned(),
            "/no-http" => "connection: close, no HTTP\r\n\r\n".to_owned(),
            "/bad-chunk" => "HTTP/1.1 200 OK\r\nconnection: close\r\n\
                             transfer-encoding: chunked\r\n\r\nxyz\r\n"
                .to_owned(),
            _ => "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: x\r\n\r\n".to_owned(),
        })
    };
    let paths = [
        "/cut-head",
        "/cut-body",
        "/cut-chunk",
        "/no-http",
        "/bad-chunk",
        "/bad-length",
    ];
    // Not idempotent, so that neither retries.
    let outcomes = compare!(script, &paths, |builder| builder, |client, url| {
        client.post(url).body("x")
    });
    assert!(matches!(outcomes[0], Outcome::Error(_)));
}

#[tokio::test]
async fn faulty_headers_are_forgiven_the_same() {
    let script = |conn| {
        by_path(conn, |path| {
            let line = match path {
                "/folded" => "x-a: one\r\n two\r\n\tthree",
                "/folded-empty" => "x-a: \r\n two",
                "/space" => "x-a : one",
                "/spaced-length" => "x-a: 1\r\nx-b\t: two",
                "/no-colon" => "x-a one",
                "/name" => "x\"a: one",
                "/value" => "x-a: on\x01e",
                _ => "x-a: one",
            };
            with_body("200 OK", &format!("x-0: 0\r\n{line}\r\nx-z: z\r\n"), "body")
                .replace("200 OK\r\n", "200 OK\r\nconnection: close\r\n")
        })
    };
    let paths = [
        "/folded",
        "/folded-empty",
        "/space",
        "/spaced-length",
        "/no-colon",
        "/name",
        "/value",
        "/plain",
    ];
    compare!(script, &paths, |builder| builder, |client, url| client
        .post(url));
    let folded = compare!(
        script,
        &paths,
        |builder| builder.http1_allow_obsolete_multiline_headers_in_responses(true),
        |client, url| client.post(url)
    );
    assert!(matches!(folded[0], Outcome::Response { .. }));
    let ignoring = compare!(
        script,
        &paths,
        |builder| builder.http1_ignore_invalid_headers_in_responses(true),
        |client, url| client.post(url)
    );
    assert!(matches!(ignoring[5], Outcome::Response { .. }));
    let spaced = compare!(
        script,
        &paths,
        |builder| builder.http1_allow_spaces_after_header_name_in_responses(true),
        |client, url| client.post(url)
    );
    assert!(matches!(spaced[2], Outcome::Response { .. }));
}

#[tokio::test]
async fn a_response_without_a_head_is_read_the_same() {
    let script = |mut conn: Conn| async move {
        let head = conn.read_head().await;
        conn.send(match head.path() {
            "/text" => "<p>hello",
            "/almost" => "HTTQ",
            _ => "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n<p>hello",
        })
        .await;
    };
    let paths = ["/text", "/almost", "/head"];
    let refused = compare!(script, &paths, |builder| builder, |client, url| client
        .get(url));
    assert!(!matches!(refused[0], Outcome::Response { .. }));
    let forgiven = compare!(
        script,
        &paths,
        |builder| builder.http09_responses(),
        |client, url| client.get(url)
    );
    assert!(matches!(forgiven[0], Outcome::Response { .. }));
}

#[tokio::test]
async fn silent_servers_cause_the_same_timeouts() {
    let script = |mut conn: Conn| async move {
        let head = conn.read_head().await;
        conn.read_body(&head).await;
        if head.path() == "/body" {
            conn.send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab")
                .await;
        }
        conn.closed().await;
    };
    let limit = Duration::from_millis(100);
    let paths = ["/head", "/body"];
    compare!(
        script,
        &paths,
        |builder| builder.timeout(limit),
        |client, url| client.get(url)
    );
    compare!(
        script,
        &paths,
        |builder| builder.read_timeout(limit),
        |client, url| { client.get(url) }
    );
}

#[tokio::test]
async fn invalid_requests_fail_the_same() {
    let urls: Vec<String> = [
        "http://127.0.0.1:1/",
        "no url",
        "ftp://host/",
        "http://name.invalid/",
        "data:text/plain,x",
    ]
    .map(String::from)
    .into();
    let theirs = run_theirs(&urls, |builder| builder, |client, url| client.get(url)).await;
    let ours = run_ours(&urls, |builder| builder, |client, url| client.get(url)).await;
    assert_eq!(theirs, ours, "left is reqwest");
}

#[tokio::test]
async fn gzip_is_decoded_the_same() {
    // "compressed text" through gzip.
    const GZIP: &[u8] = &[
        0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3, 0x4b, 0xce, 0xcf, 0x2d, 0x28, 0x4a, 0x2d, 0x2e, 0x4e,
        0x4d, 0x51, 0x28, 0x49, 0xad, 0x28, 1, 0, 0xc2, 0x18, 0xd8, 0xd8, 0xf, 0, 0, 0,
    ];
    let script = |mut conn: Conn| async move {
        while conn.next_head().await.is_some() {
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
                GZIP.len()
            );
            conn.send([head.as_bytes(), GZIP].concat()).await;
        }
    };
    let peer = ScriptedPeer::tcp().await.run(script);
    let urls = [format!("http://127.0.0.1:{}/", peer.port())];
    let theirs = run_theirs(&urls, |builder| builder, |client, url| client.get(url)).await;
    let ours = run_ours(&urls, |builder| builder, |client, url| client.get(url)).await;
    assert_eq!(theirs, ours, "left is reqwest");
}
