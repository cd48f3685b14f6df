//! Through a proxy: the requests it gets, and how its refusals are reported.

use std::sync::{Arc, Mutex};

use dodici_testkit::{Authority, ServerTls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// What a proxy received, unordered: one client has a connection to it for each host, the
/// other one for all.
fn asked_of(proxy: &ScriptedPeer) -> Wire {
    let mut asked = wire(proxy);
    asked.sort();
    asked
}

/// Two proxies that respond by request line.
async fn forwarding() -> (ScriptedPeer, ScriptedPeer) {
    let script = |mut conn: Conn| async move {
        while let Some(head) = conn.next_head().await {
            conn.read_body(&head).await;
            let answer = match head.target.as_str() {
                "http://one.example/redirect" => {
                    "HTTP/1.1 302 Found\r\nlocation: http://two.example/there\r\n\
                     content-length: 0\r\n\r\n"
                        .to_owned()
                }
                "http://one.example/refused" => {
                    with_body("407 Who", "proxy-authenticate: Basic realm=x\r\n", "no")
                }
                "http://one.example/broken" => "no HTTP\r\n\r\n".to_owned(),
                _ => with_body("200 OK", "x-a: 1\r\n", "body"),
            };
            let broken = answer.starts_with("no");
            conn.send(answer).await;
            if broken {
                return;
            }
        }
    };
    (
        ScriptedPeer::tcp().await.run(script),
        ScriptedPeer::tcp().await.run(script),
    )
}

fn owned(urls: &[&str]) -> Vec<String> {
    urls.iter().map(|&url| url.to_owned()).collect()
}

/// `agree!` with a separate proxy for each.
macro_rules! agree_through {
    (
        ($left_port:expr, $right_port:expr), $left:expr, $right:expr,
        |$krate:ident, $builder:ident, $at:ident| $configured:expr,
        |$client:ident, $url:ident| $request:expr
    ) => {{
        // Both ports in turn: `agree!` configures the real one first.
        let ports = Mutex::new(vec![$right_port, $left_port]);
        agree!(
            $left,
            $right,
            |$krate, $builder| {
                let $at = format!("127.0.0.1:{}", ports.lock().unwrap().pop().unwrap());
                $configured
            },
            |$client, $url| $request
        )
    }};
}

#[tokio::test]
async fn a_forwarding_proxy_gets_the_same_requests() {
    let (left, right) = forwarding().await;
    let asked = owned(&[
        "http://one.example/plain?a=b%20c",
        "http://one.example:8080/port",
        "http://me:pw@one.example/credentials",
        "http://one.example/redirect",
        "http://one.example/refused",
        "http://one.example/broken",
    ]);
    let outcomes = agree_through!(
        (left.port(), right.port()),
        asked.clone(),
        asked,
        |krate, builder, at| builder.proxy(krate::Proxy::http(format!("http://{at}")).unwrap()),
        |client, url| client.post(url).header("authorization", "own").body("text")
    );
    assert!(matches!(outcomes[4], Outcome::Response { status: 407, .. }));
    assert_eq!(asked_of(&left), asked_of(&right), "left is reqwest");
    let lines: Vec<_> = asked_of(&left).into_iter().map(|(line, ..)| line).collect();
    assert!(lines.contains(&"POST http://one.example/plain?a=b%20c HTTP/1.1".to_owned()));
}

#[tokio::test]
async fn credentials_and_fields_for_a_forwarding_proxy_are_the_same() {
    let asked = owned(&["http://one.example/", "http://two.example/"]);
    let (left, right) = forwarding().await;
    agree_through!(
        (left.port(), right.port()),
        asked.clone(),
        asked.clone(),
        |krate, builder, at| {
            builder.proxy(krate::Proxy::all(format!("http://me:p%40w@{at}")).unwrap())
        },
        |client, url| client.get(url)
    );
    assert_eq!(asked_of(&left), asked_of(&right), "left is reqwest");
    for (_, fields, _) in asked_of(&left) {
        assert_eq!(fields["proxy-authorization"], ["Basic bWU6cEB3"]);
    }

    let (left, right) = forwarding().await;
    agree_through!(
        (left.port(), right.port()),
        asked.clone(),
        asked,
        |krate, builder, at| {
            let fields = [(http::header::VIA, http::HeaderValue::from_static("me"))];
            let proxy = krate::Proxy::http(format!("http://{at}")).unwrap();
            let proxy = proxy.basic_auth("me", "pw");
            builder.proxy(proxy.headers(fields.into_iter().collect()))
        },
        |client, url| client.get(url)
    );
    assert_eq!(asked_of(&left), asked_of(&right), "left is reqwest");
}

/// reqwest takes a proxy's credentials for the server's and drops them after a redirect to
/// another host; the proxy still requires them.
#[tokio::test]
async fn a_redirect_keeps_the_credentials_for_the_proxy() {
    let (left, right) = forwarding().await;
    let asked = owned(&["http://one.example/redirect"]);
    agree_through!(
        (left.port(), right.port()),
        asked.clone(),
        asked,
        |krate, builder, at| builder
            .proxy(krate::Proxy::all(format!("http://me:pw@{at}")).unwrap()),
        |client, url| client.get(url)
    );
    let told = |peer| {
        let wire = asked_of(peer).into_iter();
        wire.map(|(line, fields, _)| (line, fields.contains_key("proxy-authorization")))
            .collect::<Vec<_>>()
    };
    let first = ("GET http://one.example/redirect HTTP/1.1".to_owned(), true);
    let second = "GET http://two.example/there HTTP/1.1".to_owned();
    assert_eq!(told(&left), [first.clone(), (second.clone(), false)]);
    assert_eq!(told(&right), [first, (second, true)]);
}

#[tokio::test]
async fn the_same_requests_take_a_proxy() {
    let (left, right) = forwarding().await;
    let script = |conn| by_path(conn, |_| with_body("200 OK", "x-direct: 1\r\n", ""));
    let direct = ScriptedPeer::tcp().await.run(script);
    let port = direct.port();
    let asked = vec![
        format!("http://127.0.0.1:{port}/"),
        format!("http://localhost:{port}/"),
        "http://one.example/".to_owned(),
        "http://deep.one.example/".to_owned(),
    ];
    agree_through!(
        (left.port(), right.port()),
        asked.clone(),
        asked,
        |krate, builder, at| {
            let proxy = krate::Proxy::all(format!("http://{at}")).unwrap();
            builder.proxy(proxy.no_proxy(krate::NoProxy::from_string("127.0.0.1,localhost")))
        },
        |client, url| client.get(url)
    );
    assert_eq!(asked_of(&left), asked_of(&right), "left is reqwest");
    assert_eq!(asked_of(&left).len(), 2);
}

#[tokio::test]
async fn an_unreachable_proxy_fails_the_same() {
    let asked = owned(&["http://one.example/", "https://one.example/"]);
    let outcomes = agree!(
        asked.clone(),
        asked,
        |krate, builder| builder.proxy(krate::Proxy::all("http://127.0.0.1:1").unwrap()),
        |client, url| client.get(url)
    );
    assert!(matches!(&outcomes[0], Outcome::Error(flags) if flags.contains(&"connect")));
}

/// A proxy that answers `CONNECT` with `answer`, forwards bytes to port `target` if that is a
/// 200, and records the lines of its requests, sorted.
pub(super) struct Tunnel {
    pub(super) port: u16,
    heads: Arc<Mutex<Vec<Vec<String>>>>,
}

impl Tunnel {
    pub(super) async fn new(answer: &'static str, target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&heads);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(pass(near, answer, target, Arc::clone(&log)));
            }
        });
        Self { port, heads }
    }

    pub(super) fn heads(&self, target: u16) -> Vec<Vec<String>> {
        let port = format!(":{target}");
        let heads = self.heads.lock().unwrap();
        let plain = |line: &String| line.replace(&port, ":PORT");
        heads
            .iter()
            .map(|head| head.iter().map(plain).collect())
            .collect()
    }
}

async fn pass(
    mut near: TcpStream,
    answer: &'static str,
    target: u16,
    log: Arc<Mutex<Vec<Vec<String>>>>,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(near.read_u8().await?);
    }
    let text = String::from_utf8(head).unwrap();
    let (line, fields) = text.trim_end().split_once("\r\n").unwrap();
    let mut fields: Vec<_> = fields.split("\r\n").map(lower_name).collect();
    fields.sort();
    fields.insert(0, line.to_owned());
    log.lock().unwrap().push(fields);
    near.write_all(answer.as_bytes()).await?;
    if answer.starts_with("HTTP/1.1 2") {
        let mut far = TcpStream::connect(("127.0.0.1", target)).await?;
        tokio::io::copy_bidirectional(&mut near, &mut far).await?;
    }
    Ok(())
}

fn lower_name(field: &str) -> String {
    let (name, value) = field.split_once(':').expect("a field");
    format!("{}:{value}", name.to_lowercase())
}

pub(super) const ESTABLISHED: &str = "HTTP/1.1 200 Connection established\r\nvia: x\r\n\r\n";

#[tokio::test]
async fn requests_through_a_tunnel_are_the_same() {
    let ours = Authority::new("ours");
    let pem = ours.pem().as_bytes();
    let script = |conn| by_path(conn, |_| with_body("200 OK", "x-a: 1\r\n", "body"));
    let tls = ServerTls::new(&ours.localhost());
    let left = ScriptedPeer::tcp().await.tls(tls.clone()).run(script);
    let right = ScriptedPeer::tcp().await.tls(tls).run(script);
    let tunnels = (
        Tunnel::new(ESTABLISHED, left.port()).await,
        Tunnel::new(ESTABLISHED, right.port()).await,
    );
    let urls = |peer: &ScriptedPeer| {
        let port = peer.port();
        ["/one?q", "/two"]
            .map(|path| format!("https://localhost:{port}{path}"))
            .to_vec()
    };
    let outcomes = agree_through!(
        (tunnels.0.port, tunnels.1.port),
        urls(&left),
        urls(&right),
        |krate, builder, at| {
            builder
                .tls_certs_only([krate::Certificate::from_pem(pem).unwrap()])
                .user_agent("me")
                .proxy(krate::Proxy::https(format!("http://me:pw@{at}")).unwrap())
        },
        |client, url| client.post(url).header("authorization", "own").body("text")
    );
    assert!(matches!(outcomes[1], Outcome::Response { status: 200, .. }));
    assert_eq!(wire(&left), wire(&right), "left is reqwest");
    let heads = tunnels.0.heads(left.port());
    assert_eq!(heads, tunnels.1.heads(right.port()), "left is reqwest");
    assert_eq!(heads.len(), 1);
    assert_eq!(heads[0][0], "CONNECT localhost:PORT HTTP/1.1");
    // Neither gets the other's credentials.
    let told = format!("{heads:?}");
    assert!(
        told.contains("proxy-authorization") && !told.contains("own"),
        "{told}"
    );
    assert!(!wire(&left)[0].1.contains_key("proxy-authorization"));
}

#[tokio::test]
async fn a_tunnel_that_is_refused_fails_the_same() {
    for answer in [
        "HTTP/1.1 407 Who\r\nproxy-authenticate: Basic\r\ncontent-length: 2\r\n\r\nno",
        "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 302 Found\r\nlocation: http://one.example/\r\n\r\n",
        "no HTTP\r\n\r\n",
        "HTTP/1.1 2",
        "",
    ] {
        let tunnels = (Tunnel::new(answer, 0).await, Tunnel::new(answer, 0).await);
        let asked = owned(&["https://one.example/"]);
        let outcomes = agree_through!(
            (tunnels.0.port, tunnels.1.port),
            asked.clone(),
            asked,
            |krate, builder, at| {
                builder.proxy(krate::Proxy::all(format!("http://{at}")).unwrap())
            },
            |client, url| client.get(url)
        );
        assert!(
            matches!(outcomes[0], Outcome::Error(_)),
            "{answer:?}: {outcomes:?}"
        );
    }
}

#[tokio::test]
async fn a_bad_certificate_behind_a_tunnel_fails_the_same() {
    let (ours, foreign) = (Authority::new("ours"), Authority::new("foreign"));
    let pem = ours.pem().as_bytes();
    let script = |conn| by_path(conn, |_| with_body("200 OK", "", ""));
    let tls = ServerTls::new(&foreign.localhost());
    let peer = ScriptedPeer::tcp().await.tls(tls).run(script);
    let tunnels = (
        Tunnel::new(ESTABLISHED, peer.port()).await,
        Tunnel::new(ESTABLISHED, peer.port()).await,
    );
    let asked = owned(&["https://localhost/"]);
    let outcomes = agree_through!(
        (tunnels.0.port, tunnels.1.port),
        asked.clone(),
        asked,
        |krate, builder, at| {
            builder
                .tls_certs_only([krate::Certificate::from_pem(pem).unwrap()])
                .proxy(krate::Proxy::all(format!("http://{at}")).unwrap())
        },
        |client, url| client.get(url)
    );
    assert!(matches!(&outcomes[0], Outcome::Error(flags) if flags.contains(&"connect")));
    assert_eq!(wire(&peer), []);
}
