//! Known reqwest bugs that this crate does not have: each test shows both.

use std::sync::Arc;

use dodici_testkit::{Authority, ServerTls, within};

use super::proxies::{ESTABLISHED, Tunnel};
use super::*;

/// Answers each request with a short body.
async fn plain() -> ScriptedPeer {
    let script = |conn| by_path(conn, |_| with_body("200 OK", "", "ok"));
    ScriptedPeer::tcp().await.run(script)
}

fn at(peer: &ScriptedPeer) -> String {
    format!("127.0.0.1:{}", peer.port())
}

#[tokio::test]
async fn a_star_in_no_proxy_covers_addresses() {
    macro_rules! reached {
        ($krate:ident) => {{
            let (proxy, direct) = (plain().await, plain().await);
            let rule = $krate::Proxy::all(format!("http://{}", at(&proxy))).unwrap();
            let rule = rule.no_proxy($krate::NoProxy::from_string("one.example, *"));
            let client = $krate::Client::builder().proxy(rule).build().unwrap();
            let url = format!("http://{}/", at(&direct));
            client.get(url).send().await.unwrap();
            (proxy.accepted(), direct.accepted())
        }};
    }
    assert_eq!(reached!(reqwest), (1, 0));
    assert_eq!(reached!(dodici_reqwest), (0, 1));
}

#[tokio::test]
async fn no_proxy_matches_a_host_however_it_is_spelled() {
    macro_rules! reached {
        ($krate:ident) => {{
            let (proxy, direct) = (plain().await, plain().await);
            let rule = $krate::Proxy::all(format!("http://{}", at(&proxy))).unwrap();
            let rule = rule.no_proxy($krate::NoProxy::from_string(
                "one.example.,two.example,[::1]",
            ));
            let mut client = $krate::Client::builder().proxy(rule);
            let there = std::net::SocketAddr::from(([127, 0, 0, 1], direct.port()));
            for host in ["one.example", "two.example."] {
                client = client.resolve(host, there);
            }
            let client = client.build().unwrap();
            for host in ["one.example", "two.example."] {
                let url = format!("http://{host}:{}/", direct.port());
                client.get(url).send().await.unwrap();
            }
            proxy.log().connections.len()
        }};
    }
    assert_ne!(reached!(reqwest), 0);
    assert_eq!(reached!(dodici_reqwest), 0);
}

#[tokio::test]
async fn a_proxy_that_is_not_a_url_is_an_error() {
    macro_rules! asked {
        ($krate:ident, $named:expr) => {{
            let direct = plain().await;
            let client = $krate::Client::builder()
                .proxy($krate::Proxy::custom(move |_| Some($named)))
                .build()
                .unwrap();
            let answer = client.get(format!("http://{}/", at(&direct))).send().await;
            (answer.map(drop), direct.accepted())
        }};
    }
    for named in [
        "http://[",
        "gopher://proxy.example",
        "http://proxy .example",
    ] {
        let (theirs, reached) = asked!(reqwest, named);
        assert_eq!((theirs.is_ok(), reached), (true, 1), "{named}");
        let (ours, reached) = asked!(dodici_reqwest, named);
        assert_eq!(reached, 0, "{named}");
        assert!(ours.unwrap_err().is_builder(), "{named}");
        assert!(dodici_reqwest::Proxy::all(named).is_err(), "{named}");
    }
}

#[tokio::test]
async fn a_percent_sign_in_a_password_for_the_proxy_is_one() {
    macro_rules! told {
        ($krate:ident) => {{
            let proxy = plain().await;
            let rule = $krate::Proxy::all(format!("http://{}", at(&proxy))).unwrap();
            let rule = rule.basic_auth("a%41", "100%25");
            let client = $krate::Client::builder().proxy(rule).build().unwrap();
            client.get("http://one.example/").send().await.unwrap();
            wire(&proxy)[0].1["proxy-authorization"].clone()
        }};
    }
    // "aA:100%" and "a%41:100%25".
    assert_eq!(told!(reqwest), ["Basic YUE6MTAwJQ=="]);
    assert_eq!(told!(dodici_reqwest), ["Basic YSU0MToxMDAlMjU="]);
}

#[tokio::test]
async fn a_tunnel_is_open_with_every_2xx() {
    let ours = Authority::new("ours");
    let pem = ours.pem().as_bytes();
    let script = |conn| by_path(conn, |_| with_body("200 OK", "", "ok"));
    let tls = ServerTls::new(&ours.localhost());
    let peer = ScriptedPeer::tcp().await.tls(tls).run(script);
    let url = format!("https://localhost:{}/", peer.port());
    macro_rules! asked {
        ($krate:ident, $answer:expr) => {{
            let tunnel = Tunnel::new($answer, peer.port()).await;
            let proxy = $krate::Proxy::all(format!("http://127.0.0.1:{}", tunnel.port));
            let client = $krate::Client::builder()
                .tls_certs_only([$krate::Certificate::from_pem(pem).unwrap()])
                .proxy(proxy.unwrap())
                .build()
                .unwrap();
            client.get(&url).send().await.is_ok()
        }};
    }
    assert!(asked!(dodici_reqwest, ESTABLISHED));
    for answer in [
        "HTTP/1.1 201 Created\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 299 Fine\r\n\r\n",
    ] {
        assert!(!asked!(reqwest, answer), "{answer}");
        assert!(asked!(dodici_reqwest, answer), "{answer}");
    }
    for answer in ["HTTP/1.1 199 Early\r\n\r\n", "HTTP/1.1 300 Many\r\n\r\n"] {
        assert!(!asked!(dodici_reqwest, answer), "{answer}");
    }
}

#[tokio::test]
async fn users_whose_names_differ_beyond_ascii_share_no_tunnel() {
    let ours = Authority::new("ours");
    let script = |conn| by_path(conn, |_| with_body("200 OK", "", "ok"));
    let tls = ServerTls::new(&ours.localhost());
    let peer = ScriptedPeer::tcp().await.tls(tls).run(script);
    let tunnel = Tunnel::new(ESTABLISHED, peer.port()).await;
    let users = Arc::new(std::sync::Mutex::new(vec!["%81:x", "%80:x"]));
    let port = tunnel.port;
    let proxy = dodici_reqwest::Proxy::custom(move |_| {
        let user = users.lock().unwrap().pop()?;
        Some(format!("http://{user}@127.0.0.1:{port}"))
    });
    let certificate = dodici_reqwest::Certificate::from_pem(ours.pem().as_bytes()).unwrap();
    let client = dodici_reqwest::Client::builder()
        .tls_certs_only([certificate])
        .proxy(proxy)
        .build()
        .unwrap();
    for _ in 0..2 {
        let url = format!("https://localhost:{}/", peer.port());
        let response = client.get(url).send().await.unwrap();
        assert_eq!(response.text().await.unwrap(), "ok");
    }
    let heads = tunnel.heads(peer.port());
    let told: Vec<_> = heads.iter().map(|head| head.join(" ")).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].contains("Basic gDp4") && told[1].contains("Basic gTp4"),
        "{told:?}"
    );
}

/// "compressed text" through gzip.
const GZIP: &[u8] = &[
    0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3, 0x4b, 0xce, 0xcf, 0x2d, 0x28, 0x4a, 0x2d, 0x2e, 0x4e, 0x4d,
    0x51, 0x28, 0x49, 0xad, 0x28, 1, 0, 0xc2, 0x18, 0xd8, 0xd8, 0xf, 0, 0, 0,
];

async fn coded(coding: &'static str, body: Vec<u8>) -> ScriptedPeer {
    ScriptedPeer::tcp().await.run(move |mut conn| {
        let length = body.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-encoding: {coding}\r\ncontent-length: {length}\r\n\r\n"
        );
        let body = body.clone();
        async move {
            while conn.next_head().await.is_some() {
                conn.send([head.as_bytes(), &body].concat()).await;
            }
        }
    })
}

#[tokio::test]
async fn all_members_of_a_gzip_body_are_read() {
    let peer = coded("gzip", [GZIP, GZIP, GZIP].concat()).await;
    let url = format!("http://{}/", at(&peer));
    let theirs = reqwest::get(&url).await.unwrap().text().await;
    assert_eq!(theirs.unwrap(), "compressed text");
    let ours = dodici_reqwest::get(&url).await.unwrap().text().await;
    assert_eq!(ours.unwrap(), "compressed text".repeat(3));

    let peer = coded("gzip", [GZIP, b"garbage"].concat()).await;
    let url = format!("http://{}/", at(&peer));
    let theirs = reqwest::get(&url).await.unwrap().text().await;
    assert_eq!(theirs.unwrap(), "compressed text");
    let ours = dodici_reqwest::get(&url).await.unwrap().text().await;
    assert!(ours.unwrap_err().is_decode());
}

#[tokio::test]
async fn names_in_a_form_cannot_add_fields() {
    const NAME: &str = "a\"; x=\"\\\r\nX-Injected: 1\n";
    macro_rules! sent {
        ($krate:ident, $form:expr) => {{
            use $krate::multipart::Part;
            let peer = ScriptedPeer::tcp().await.run(|mut conn| async move {
                let head = conn.read_head().await;
                conn.read_body(&head).await;
                conn.send("HTTP/1.1 204 None\r\n\r\n").await;
            });
            let form = $form($krate::multipart::Form::new(), Part::text("x"));
            let url = format!("http://{}/", at(&peer));
            let client = $krate::Client::new();
            client.post(url).multipart(form).send().await.unwrap();
            String::from_utf8(peer.log().connections[0].received.clone()).unwrap()
        }};
    }
    macro_rules! file {
        ($krate:ident) => {
            sent!($krate, |form: $krate::multipart::Form,
                           part: $krate::multipart::Part| {
                form.part("f", part.file_name(NAME))
            })
        };
    }
    macro_rules! field {
        ($krate:ident) => {
            sent!($krate, |form: $krate::multipart::Form,
                           part: $krate::multipart::Part| {
                form.percent_encode_noop().part(NAME, part)
            })
        };
    }
    assert!(file!(reqwest).contains("\nX-Injected: 1"));
    assert!(field!(reqwest).contains("\nX-Injected: 1"));
    let escaped = "\"a%22; x=%22\\%0D%0AX-Injected: 1%0A\"\r\n";
    let ours = file!(dodici_reqwest);
    assert!(
        ours.contains(&format!("; name=\"f\"; filename={escaped}")),
        "{ours}"
    );
    let ours = field!(dodici_reqwest);
    assert!(
        ours.contains(&format!("form-data; name={escaped}")),
        "{ours}"
    );
}

#[tokio::test]
async fn a_host_field_of_the_callers_stays_with_its_origin() {
    macro_rules! hosts {
        ($krate:ident) => {{
            let other = plain().await;
            let to = format!("http://{}/there", at(&other));
            let first = ScriptedPeer::tcp().await.run(move |conn| {
                let to = to.clone();
                by_path(conn, move |path| {
                    let to = if path == "/" { "/same" } else { &to };
                    with_body("302 Found", &format!("location: {to}\r\n"), "")
                })
            });
            let url = format!("http://{}/", at(&first));
            let client = $krate::Client::new();
            let request = client.get(url).header("host", "inner.example");
            request.send().await.unwrap();
            let host = |peer: &ScriptedPeer| -> Vec<String> {
                let text = String::from_utf8(peer.log().connections[0].received.clone()).unwrap();
                let lines = text.lines().filter_map(|line| line.strip_prefix("host: "));
                lines.map(str::to_owned).collect()
            };
            (host(&first), host(&other), at(&other))
        }};
    }
    let inner = ["inner.example", "inner.example"];
    let (first, other, _) = hosts!(reqwest);
    assert_eq!(
        (first, other),
        (
            inner.map(String::from).to_vec(),
            vec!["inner.example".to_owned()]
        )
    );
    let (first, other, there) = hosts!(dodici_reqwest);
    assert_eq!(
        (first, other),
        (inner.map(String::from).to_vec(), vec![there])
    );
}

#[tokio::test]
async fn a_cookie_is_not_for_all_of_a_public_suffix() {
    macro_rules! sent {
        ($krate:ident) => {{
            let script = |conn| {
                by_path(conn, |path| match path {
                    "/set" => with_body(
                        "200 OK",
                        "set-cookie: all=1; Domain=co.uk; Path=/\r\n\
                         set-cookie: own=2; Domain=shop.co.uk; Path=/\r\n\
                         set-cookie: pages=3; Domain=.github.io; Path=/\r\n",
                        "",
                    ),
                    _ => with_body("200 OK", "", ""),
                })
            };
            let peer = ScriptedPeer::tcp().await.run(script);
            let there = std::net::SocketAddr::from(([127, 0, 0, 1], peer.port()));
            let mut client = $krate::Client::builder().no_proxy().cookie_store(true);
            for host in [
                "www.shop.co.uk",
                "other.co.uk",
                "me.github.io",
                "you.github.io",
                "co.uk",
            ] {
                client = client.resolve(host, there);
            }
            let client = client.build().unwrap();
            for host in ["www.shop.co.uk/set", "me.github.io/set", "co.uk/set"] {
                client.get(format!("http://{host}")).send().await.unwrap();
            }
            for host in ["www.shop.co.uk", "other.co.uk", "you.github.io", "co.uk"] {
                client.get(format!("http://{host}/")).send().await.unwrap();
            }
            let mut sent: Vec<String> = wire(&peer)
                .into_iter()
                .filter_map(|(_, fields, _)| fields.get("cookie").map(|all| all.join("; ")))
                .collect();
            sent.sort();
            sent
        }};
    }
    // To co.uk, there again, and to other.co.uk, to www.shop.co.uk, and to you.github.io.
    assert_eq!(
        sent!(reqwest),
        ["all=1", "all=1", "all=1", "all=1; own=2", "pages=3"]
    );
    // To www.shop.co.uk, and the suffix's own to itself.
    assert_eq!(sent!(dodici_reqwest), ["all=1", "own=2"]);
}

/// The server reads a piece every 50 ms, so that the upload takes longer than the limit, but a pause
/// of the whole machine is tolerated if it is shorter than the limit.
#[tokio::test]
async fn an_upload_that_makes_progress_does_not_hit_the_read_timeout() {
    const LIMIT: Duration = Duration::from_secs(2);
    const PIECE: usize = 512 * 1024;
    const PIECES: usize = 64;
    let script = |mut conn: Conn| async move {
        conn.read_head().await;
        for _ in 0..PIECES {
            if conn.read_up_to(PIECE).await.is_none() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        conn.send("HTTP/1.1 204 None\r\n\r\n").await;
        conn.closed().await;
    };
    macro_rules! asked {
        ($krate:ident, $body:expr) => {{
            let peer = ScriptedPeer::tcp().await.run(script);
            let client = $krate::Client::builder().no_proxy().read_timeout(LIMIT);
            let url = format!("http://{}/", at(&peer));
            let request = client.build().unwrap().post(url).body($body);
            within("an answer", request.send()).await
        }};
    }
    let theirs = asked!(reqwest, vec![0; PIECE * PIECES]);
    assert!(theirs.unwrap_err().is_timeout());
    assert!(asked!(dodici_reqwest, vec![0; PIECE * PIECES]).is_ok());
    // As one chunk of a stream, all of which is submitted together.
    let whole = futures_util::stream::iter([Ok::<_, std::io::Error>(vec![0; PIECE * PIECES])]);
    assert!(asked!(dodici_reqwest, dodici_reqwest::Body::wrap_stream(whole)).is_ok());
}
