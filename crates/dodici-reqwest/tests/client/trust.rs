//! What a client trusts, and what its connections and TLS sessions may be shared with (S9 to S12 of
//! the security requirements), on every path from a request to its server.

use std::net::IpAddr;
use std::time::Duration;

use dodici_reqwest::tls::Version;
use dodici_reqwest::{Certificate, Client, ClientBuilder, Identity, Proxy, retry};
use dodici_testkit::certs::{Flaw, Leaf, Validity};
use dodici_testkit::{Authority, Conn, ScriptedPeer, ServerTls, within};
use tokio::net::{TcpListener, TcpStream};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

async fn serve(mut conn: Conn) {
    while let Some(head) = conn.next_head().await {
        conn.read_body(&head).await;
        conn.send(OK).await;
    }
}

async fn peer(tls: ServerTls) -> ScriptedPeer {
    ScriptedPeer::tcp().await.tls(tls).run(serve)
}

fn trusting(authority: &Authority) -> ClientBuilder {
    let root = Certificate::from_pem(authority.pem().as_bytes()).unwrap();
    Client::builder().no_proxy().tls_certs_only([root])
}

fn url(host: &str, peer: &ScriptedPeer) -> String {
    format!("https://{host}:{}/", peer.port())
}

async fn ask(client: &Client, url: &str) -> dodici_reqwest::Result<String> {
    let sent = within("an answer", client.get(url).send()).await;
    sent?.text().await
}

fn identity(authority: &Authority, name: &str) -> Identity {
    let leaf = authority.client(name);
    Identity::from_pem(format!("{}{}", leaf.key_pem, leaf.cert_pem).as_bytes()).unwrap()
}

#[tokio::test]
async fn s9_clients_that_differ_in_one_option_share_neither_connection_nor_session() {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let peer = peer(ServerTls::new(&ours.localhost())).await;
    let variants: Vec<fn(ClientBuilder, &Authority) -> ClientBuilder> = vec![
        |builder, _| builder,
        |builder, _| builder.tls_sni(false),
        |builder, _| builder.tls_version_max(Version::TLS_1_2),
        |builder, _| builder.tls_version_min(Version::TLS_1_3),
        |builder, _| builder.tls_danger_accept_invalid_certs(true),
        |builder, _| builder.tls_danger_accept_invalid_hostnames(true),
        |builder, _| builder.http1_only(),
        |builder, _| builder.local_address(IpAddr::from([127, 0, 0, 1])),
        |builder, other| {
            let root = Certificate::from_pem(other.pem().as_bytes()).unwrap();
            builder.add_root_certificate(root)
        },
        |builder, other| builder.identity(identity(other, "ann")),
    ];
    for variant in &variants {
        let client = variant(trusting(&ours), &other).build().unwrap();
        for _ in 0..2 {
            let answer = ask(&client, &url("localhost", &peer)).await;
            assert_eq!(answer.unwrap(), "ok");
        }
    }
    let log = peer.log();
    assert_eq!(log.connections.len(), variants.len());
    assert_eq!(log.full_handshakes(), variants.len());
    assert_eq!(log.resumed_handshakes(), 0);
}

#[tokio::test]
async fn s9_two_names_of_one_server_share_neither_connection_nor_session() {
    let ours = Authority::new("ours");
    let peer = peer(ServerTls::new(&ours.localhost())).await;
    let client = trusting(&ours).build().unwrap();
    for host in ["localhost", "127.0.0.1", "localhost", "127.0.0.1"] {
        let answer = ask(&client, &url(host, &peer)).await;
        assert_eq!(answer.unwrap(), "ok");
    }
    let log = peer.log();
    assert_eq!(log.connections.len(), 2);
    assert_eq!((log.full_handshakes(), log.resumed_handshakes()), (2, 0));
}

#[tokio::test]
async fn s9_a_session_is_resumed_where_nothing_differs() {
    // The counterpart: without it, the tests above would pass with a client that never resumes.
    let ours = Authority::new("ours");
    let peer = peer(ServerTls::new(&ours.localhost())).await;
    let client = trusting(&ours).pool_max_idle_per_host(0).build().unwrap();
    for _ in 0..3 {
        let answer = ask(&client, &url("localhost", &peer)).await;
        assert_eq!(answer.unwrap(), "ok");
    }
    let log = peer.log();
    assert_eq!(log.connections.len(), 3);
    assert!(log.resumed_handshakes() > 0);
}

#[tokio::test]
async fn s10_a_ticket_of_an_unverified_client_is_not_used_by_a_strict_one() {
    let (ours, foreign) = (Authority::new("ours"), Authority::new("foreign"));
    let peer = peer(ServerTls::new(&foreign.localhost())).await;
    let careless = trusting(&ours).tls_danger_accept_invalid_certs(true);
    let careless = careless.pool_max_idle_per_host(0).build().unwrap();
    let strict = trusting(&ours).build().unwrap();
    for _ in 0..2 {
        let answer = ask(&careless, &url("localhost", &peer)).await;
        assert_eq!(answer.unwrap(), "ok");
        let refused = ask(&strict, &url("localhost", &peer)).await.unwrap_err();
        assert!(refused.is_connect(), "{refused:?}");
    }
    assert!(peer.log().resumed_handshakes() > 0, "tickets were there");
}

#[tokio::test]
async fn s10_a_ticket_of_a_client_with_an_identity_is_not_used_by_one_without() {
    let ours = Authority::new("ours");
    let peer = peer(ServerTls::client_required(&ours.localhost(), &ours)).await;
    let known = trusting(&ours).identity(identity(&ours, "ann"));
    let known = known.pool_max_idle_per_host(0).build().unwrap();
    let unknown = trusting(&ours).build().unwrap();
    for _ in 0..2 {
        let answer = ask(&known, &url("localhost", &peer)).await;
        assert_eq!(answer.unwrap(), "ok");
        let refused = ask(&unknown, &url("localhost", &peer)).await;
        assert!(refused.is_err());
    }
}

#[tokio::test]
async fn s11_certificates_are_verified_unless_that_was_turned_off_last() {
    let (ours, foreign) = (Authority::new("ours"), Authority::new("foreign"));
    let peer = peer(ServerTls::new(&foreign.localhost())).await;
    let builders = [
        trusting(&ours),
        trusting(&ours).tls_danger_accept_invalid_certs(false),
        trusting(&ours)
            .tls_danger_accept_invalid_certs(true)
            .tls_danger_accept_invalid_certs(false),
        trusting(&ours)
            .danger_accept_invalid_certs(true)
            .tls_danger_accept_invalid_certs(false),
        // Names are independent of trust.
        trusting(&ours).tls_danger_accept_invalid_hostnames(true),
    ];
    for builder in builders {
        let client = builder.build().unwrap();
        let refused = ask(&client, &url("localhost", &peer)).await.unwrap_err();
        assert!(refused.is_connect(), "{refused:?}");
    }
}

#[tokio::test]
async fn https_only_refuses_http_and_redirects_to_it() {
    let ours = Authority::new("ours");
    let plain = ScriptedPeer::tcp().await.run(serve);
    let http = format!("http://localhost:{}/", plain.port());
    let to_http = format!("HTTP/1.1 302 Found\r\nlocation: {http}\r\ncontent-length: 0\r\n\r\n");
    let leaf = ours.localhost();
    let tls = ScriptedPeer::tcp().await.tls(ServerTls::new(&leaf));
    let tls = tls.run(move |mut conn| {
        let to_http = to_http.clone();
        async move {
            while let Some(head) = conn.next_head().await {
                let leads_away = head.path() == "/away";
                conn.send(if leads_away { &to_http } else { OK }).await;
            }
        }
    });
    let client = trusting(&ours).https_only(true).build().unwrap();
    let https = url("localhost", &tls);
    assert_eq!(ask(&client, &https).await.unwrap(), "ok");
    assert!(ask(&client, &http).await.unwrap_err().is_builder());
    let away = ask(&client, &format!("{https}away")).await.unwrap_err();
    assert!(away.is_redirect(), "{away:?}");
    assert_eq!(plain.accepted(), 0);
}

/// Certificates that must not be accepted for `localhost`.
fn bad_certificates(ours: &Authority) -> Vec<(&'static str, Leaf)> {
    let foreign = Authority::new("foreign");
    let hosts = &["localhost"];
    vec![
        ("another name", ours.server(&["other.example"])),
        ("an address alone", ours.server(&["127.0.0.1"])),
        ("a wildcard one level up", ours.server(&["*.localhost"])),
        ("expired", ours.server_valid(hosts, Validity::Expired)),
        ("not yet valid", ours.server_valid(hosts, Validity::NotYet)),
        ("signed by itself", Leaf::self_signed(hosts)),
        ("signed by a stranger", foreign.server(hosts)),
        ("a client's", ours.client("localhost")),
    ]
}

/// Answers `CONNECT` and SOCKS5 without credentials, and passes bytes on to port `target`.
async fn tunnel(target: u16) -> u16 {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn pass(mut near: TcpStream, target: u16) -> std::io::Result<()> {
        let mut first = [0];
        near.read_exact(&mut first).await?;
        if first == [5] {
            near.read_exact(&mut [0; 2]).await?;
            near.write_all(&[5, 0]).await?;
            let mut head = [0; 5];
            near.read_exact(&mut head).await?;
            let rest = match head[3] {
                1 => 3 + 2,
                _ => usize::from(head[4]) + 2,
            };
            near.read_exact(&mut vec![0; rest]).await?;
            near.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
        } else {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(near.read_u8().await?);
            }
            near.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
        }
        let mut far = TcpStream::connect(("127.0.0.1", target)).await?;
        tokio::io::copy_bidirectional(&mut near, &mut far).await?;
        Ok(())
    }

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            tokio::spawn(pass(near, target));
        }
    });
    port
}

#[tokio::test]
async fn s12_a_bad_certificate_is_rejected_on_every_path_to_its_server() {
    let ours = Authority::new("ours");
    for (what, leaf) in bad_certificates(&ours) {
        let bad = peer(ServerTls::new(&leaf)).await;
        let target = url("localhost", &bad);
        let port = tunnel(bad.port()).await;
        let to_target =
            format!("HTTP/1.1 302 Found\r\nlocation: {target}\r\ncontent-length: 0\r\n\r\n");
        let leads_there = ScriptedPeer::tcp().await.run(move |mut conn| {
            let to_target = to_target.clone();
            async move {
                while conn.next_head().await.is_some() {
                    conn.send(&to_target).await;
                }
            }
        });
        let redirect = format!("http://127.0.0.1:{}/", leads_there.port());
        let proxied = |scheme: &str| {
            let proxy = Proxy::all(format!("{scheme}://127.0.0.1:{port}")).unwrap();
            trusting(&ours).proxy(proxy)
        };
        let retrying = retry::for_host("localhost").classify_fn(|attempt| attempt.retryable());
        let resolved = "127.0.0.1:0".parse().unwrap();
        let ways = [
            ("directly", trusting(&ours), &target),
            ("after a redirect", trusting(&ours), &redirect),
            ("through a tunnel", proxied("http"), &target),
            ("through socks5", proxied("socks5"), &target),
            ("through socks5h", proxied("socks5h"), &target),
            ("again and again", trusting(&ours).retry(retrying), &target),
            (
                "at a given address",
                trusting(&ours).resolve("localhost", resolved),
                &target,
            ),
            ("over HTTP/1.1", trusting(&ours).http1_only(), &target),
            (
                "over HTTP/2",
                trusting(&ours).http2_prior_knowledge(),
                &target,
            ),
        ];
        for (way, builder, url) in ways {
            let client = builder.connect_timeout(Duration::from_secs(30)).build();
            let refused = ask(&client.unwrap(), url).await;
            let refused = refused.expect_err(&format!("{what}, {way}"));
            assert!(refused.is_connect(), "{what}, {way}: {refused:?}");
        }
        let log = bad.log();
        let heads = log.connections.iter().map(|conn| conn.received.len());
        assert_eq!(heads.sum::<usize>(), 0, "{what}: a request was sent");
    }
}

#[tokio::test]
async fn s12_a_good_certificate_is_accepted_on_the_same_paths() {
    let ours = Authority::new("ours");
    let good = peer(ServerTls::new(&ours.localhost())).await;
    let port = tunnel(good.port()).await;
    let mut builders = vec![trusting(&ours), trusting(&ours).http1_only()];
    for scheme in ["http", "socks5", "socks5h"] {
        let proxy = Proxy::all(format!("{scheme}://127.0.0.1:{port}")).unwrap();
        builders.push(trusting(&ours).proxy(proxy));
    }
    for builder in builders {
        let answer = ask(&builder.build().unwrap(), &url("localhost", &good)).await;
        assert_eq!(answer.unwrap(), "ok");
    }
}

#[tokio::test]
async fn s12_a_root_that_may_not_issue_server_certificates_is_not_trusted_for_any() {
    for flaw in [
        Flaw::Validity(Validity::Expired),
        Flaw::Validity(Validity::NotYet),
        Flaw::NoConstraints,
        Flaw::MayNotCertify,
        Flaw::ForClients,
    ] {
        let authority = Authority::flawed("flawed", flaw);
        let peer = peer(ServerTls::new(&authority.localhost())).await;
        let root = || Certificate::from_pem(authority.pem().as_bytes()).unwrap();
        for builder in [
            trusting(&authority),
            trusting(&authority).tls_danger_accept_invalid_hostnames(true),
            Client::builder().no_proxy().add_root_certificate(root()),
        ] {
            let client = builder.build().unwrap();
            let refused = ask(&client, &url("localhost", &peer)).await.unwrap_err();
            assert!(refused.is_connect(), "{flaw:?}: {refused:?}");
        }
    }
}

#[tokio::test]
async fn a_root_of_the_caller_is_added_to_those_of_the_system() {
    let authority = Authority::new("beside");
    let peer = peer(ServerTls::new(&authority.localhost())).await;
    let root = Certificate::from_pem(authority.pem().as_bytes()).unwrap();
    let builder = Client::builder().no_proxy().add_root_certificate(root);
    let client = builder.build().unwrap();
    assert_eq!(ask(&client, &url("localhost", &peer)).await.unwrap(), "ok");
}
