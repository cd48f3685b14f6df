//! HTTP/1.1 over TLS: what is sent, what is rejected, and how that is reported.

use dodici_testkit::certs::{Leaf, Validity};
use dodici_testkit::peer_log::TlsFacts;
use dodici_testkit::{Authority, ServerTls};

use super::*;

const CLOSING: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";

/// One server for each of the two.
async fn servers(tls: &ServerTls) -> (ScriptedPeer, ScriptedPeer) {
    let script = |conn| {
        by_path(conn, |path| match path {
            "/redirect" => {
                "HTTP/1.1 307 Again\r\nlocation: /there\r\ncontent-length: 0\r\n\r\n".into()
            }
            "/cut" => "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 9\r\n\r\nabc".into(),
            "/close" => CLOSING.to_owned(),
            _ => with_body("200 OK", "x-a: 1\r\n", "body"),
        })
    };
    (
        ScriptedPeer::tcp().await.tls(tls.clone()).run(script),
        ScriptedPeer::tcp().await.tls(tls.clone()).run(script),
    )
}

fn urls(peer: &ScriptedPeer, paths: &[&str]) -> Vec<String> {
    let url = |path: &&str| format!("https://localhost:{}{path}", peer.port());
    paths.iter().map(url).collect()
}

/// The results of a peer's handshakes. Only one of the two may resume sessions.
fn handshakes(peer: &ScriptedPeer) -> Vec<TlsFacts> {
    let log = peer.log();
    let facts = log.connections.into_iter().filter_map(|conn| conn.tls);
    let resumed = false;
    facts.map(|facts| TlsFacts { resumed, ..facts }).collect()
}

#[tokio::test]
async fn requests_over_tls_are_the_same() {
    let ours = Authority::new("ours");
    let (left, right) = servers(&ServerTls::new(&ours.localhost())).await;
    let paths = ["/plain?q", "/redirect", "/cut", "/close", "/plain"];
    let (left_urls, right_urls) = (urls(&left, &paths), urls(&right, &paths));
    let pem = ours.pem().as_bytes();
    let outcomes = agree!(
        left_urls,
        right_urls,
        |krate, builder| {
            builder
                .tls_certs_only([krate::Certificate::from_pem(pem).unwrap()])
                .https_only(true)
        },
        |client, url| client.put(url).bearer_auth("token").body("text")
    );
    assert!(matches!(outcomes[0], Outcome::Response { status: 200, .. }));
    assert_eq!(wire(&left), wire(&right), "left is reqwest");
    assert_eq!(handshakes(&left), handshakes(&right), "left is reqwest");
}

#[tokio::test]
async fn http1_only_negotiates_the_same_protocol() {
    use dodici_testkit::certs::TlsDemands;

    let ours = Authority::new("ours");
    let demands = TlsDemands {
        alpn: &[b"h2", b"http/1.1"],
        ..TlsDemands::default()
    };
    let (left, right) = servers(&ServerTls::with(&ours.localhost(), &demands)).await;
    let pem = ours.pem().as_bytes();
    agree!(
        urls(&left, &["/plain"]),
        urls(&right, &["/plain"]),
        |krate, builder| {
            builder
                .tls_certs_only([krate::Certificate::from_pem(pem).unwrap()])
                .http1_only()
        },
        |client, url| client.get(url)
    );
    assert_eq!(handshakes(&left), handshakes(&right), "left is reqwest");
    assert_eq!(wire(&left), wire(&right), "left is reqwest");
}

#[tokio::test]
async fn a_bad_certificate_is_rejected_the_same_and_accepted_the_same_on_request() {
    let ours = Authority::new("ours");
    let hosts = &["localhost"];
    let bad = [
        ("another name", ours.server(&["other.example"])),
        ("expired", ours.server_valid(hosts, Validity::Expired)),
        ("not yet valid", ours.server_valid(hosts, Validity::NotYet)),
        ("signed by itself", Leaf::self_signed(hosts)),
        (
            "signed by a stranger",
            Authority::new("foreign").server(hosts),
        ),
        ("a client's", ours.client("localhost")),
    ];
    let pem = ours.pem().as_bytes();
    for (what, leaf) in bad {
        let (left, right) = servers(&ServerTls::new(&leaf)).await;
        let refused = agree!(
            urls(&left, &["/plain"]),
            urls(&right, &["/plain"]),
            |krate, builder| {
                builder.tls_certs_only([krate::Certificate::from_pem(pem).unwrap()])
            },
            |client, url| client.get(url)
        );
        let Outcome::Error(flags) = &refused[0] else {
            panic!("{what}: {refused:?}");
        };
        assert!(flags.contains(&"connect"), "{what}: {flags:?}");
        assert_eq!(wire(&right), [], "{what}: a request was sent");

        let taken = agree!(
            urls(&left, &["/close"]),
            urls(&right, &["/close"]),
            |krate, builder| {
                builder
                    .tls_certs_only([krate::Certificate::from_pem(pem).unwrap()])
                    .tls_danger_accept_invalid_certs(true)
            },
            |client, url| client.get(url)
        );
        assert!(matches!(taken[0], Outcome::Response { .. }), "{what}");
    }
}

#[tokio::test]
async fn disabled_name_verification_is_the_same() {
    let ours = Authority::new("ours");
    let pem = ours.pem().as_bytes();
    let leaves = [
        ours.server(&["other.example"]),
        Authority::new("foreign").server(&["other.example"]),
    ];
    for leaf in leaves {
        let (left, right) = servers(&ServerTls::new(&leaf)).await;
        agree!(
            urls(&left, &["/plain"]),
            urls(&right, &["/plain"]),
            |krate, builder| {
                builder
                    .tls_certs_only([krate::Certificate::from_pem(pem).unwrap()])
                    .tls_danger_accept_invalid_hostnames(true)
            },
            |client, url| client.get(url)
        );
    }
}

#[tokio::test]
async fn versions_are_agreed_on_the_same() {
    let ours = Authority::new("ours");
    let (left, right) = servers(&ServerTls::tls12_only(&ours.localhost())).await;
    let pem = ours.pem().as_bytes();
    for strict in [false, true] {
        agree!(
            urls(&left, &["/close"]),
            urls(&right, &["/close"]),
            |krate, builder| {
                let builder = builder.tls_certs_only([krate::Certificate::from_pem(pem).unwrap()]);
                if strict {
                    builder.tls_version_min(krate::tls::Version::TLS_1_3)
                } else {
                    builder
                }
            },
            |client, url| client.get(url)
        );
    }
    assert_eq!(handshakes(&left), handshakes(&right), "left is reqwest");
}

#[tokio::test]
async fn a_client_shows_its_certificate_the_same() {
    let ours = Authority::new("ours");
    let leaf = ours.client("ann");
    let identity = format!("{}{}", leaf.key_pem, leaf.cert_pem);
    let (left, right) = servers(&ServerTls::client_required(&ours.localhost(), &ours)).await;
    let pem = ours.pem().as_bytes();
    let outcomes = agree!(
        urls(&left, &["/close"]),
        urls(&right, &["/close"]),
        |krate, builder| {
            builder
                .tls_certs_only([krate::Certificate::from_pem(pem).unwrap()])
                .identity(krate::Identity::from_pem(identity.as_bytes()).unwrap())
        },
        |client, url| client.get(url)
    );
    assert!(matches!(outcomes[0], Outcome::Response { .. }));
    assert_eq!(handshakes(&left), handshakes(&right), "left is reqwest");
}

#[tokio::test]
async fn a_server_that_does_not_speak_tls_fails_the_same() {
    let script = |mut conn: Conn| async move {
        conn.read_some().await;
        conn.send("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
            .await;
    };
    let silent = |mut conn: Conn| async move {
        conn.read_some().await;
    };
    let left = ScriptedPeer::tcp().await.run(script);
    let right = ScriptedPeer::tcp().await.run(script);
    let outcomes = agree!(
        urls(&left, &["/"]),
        urls(&right, &["/"]),
        |krate, builder| builder,
        |client, url| client.get(url)
    );
    assert!(matches!(&outcomes[0], Outcome::Error(flags) if flags.contains(&"connect")));
    let left = ScriptedPeer::tcp().await.run(silent);
    let right = ScriptedPeer::tcp().await.run(silent);
    agree!(
        urls(&left, &["/"]),
        urls(&right, &["/"]),
        |krate, builder| builder,
        |client, url| client.get(url)
    );
}

#[tokio::test]
async fn https_only_refuses_the_same() {
    let plain = |port| vec![format!("http://localhost:{port}/")];
    agree!(
        plain(1),
        plain(1),
        |krate, builder| builder.https_only(true),
        |client, url| client.get(url)
    );
}
