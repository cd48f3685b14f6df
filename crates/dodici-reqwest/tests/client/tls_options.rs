//! What a server sees of the builder's TLS options.

use dodici_reqwest::tls::{CertificateRevocationList, TlsInfo, Version};
use dodici_reqwest::{Certificate, Client, ClientBuilder};
use dodici_testkit::certs::{Leaf, TlsDemands};
use dodici_testkit::{Authority, ScriptedPeer, ServerTls, within};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

async fn peer(tls: ServerTls) -> ScriptedPeer {
    ScriptedPeer::tcp().await.tls(tls).always(OK)
}

fn root(authority: &Authority) -> Certificate {
    Certificate::from_pem(authority.pem().as_bytes()).unwrap()
}

fn trusting(authority: &Authority) -> ClientBuilder {
    Client::builder()
        .no_proxy()
        .tls_certs_only([root(authority)])
}

/// Whether the server is accepted under this name.
async fn accepts(builder: ClientBuilder, peer: &ScriptedPeer, host: &str) -> bool {
    let client = builder.build().unwrap();
    let url = format!("https://{host}:{}/", peer.port());
    match within("an answer", client.get(url).send()).await {
        Ok(response) => response.text().await.unwrap() == "ok",
        Err(error) => {
            assert!(error.is_connect(), "{error:?}");
            false
        }
    }
}

#[tokio::test]
async fn s12_a_revoked_certificate_is_rejected_whatever_its_name() {
    type Configure = fn(ClientBuilder, CertificateRevocationList) -> ClientBuilder;
    let ours = Authority::new("ours");
    let leaf = ours.numbered(&["localhost"], 7);
    let peer = peer(ServerTls::new(&leaf)).await;
    let list = |revoked: &[u64]| {
        CertificateRevocationList::from_pem(ours.revocation_list(revoked).as_bytes()).unwrap()
    };
    let ways: [(Configure, &str); 5] = [
        (|builder, list| builder.tls_crls_only([list]), "localhost"),
        (|builder, list| builder.add_crl(list), "localhost"),
        (|builder, list| builder.add_crls([list]), "localhost"),
        (
            |builder, list| {
                let builder = builder.tls_crls_only([list]);
                builder.tls_danger_accept_invalid_hostnames(true)
            },
            "127.0.0.1",
        ),
        (
            |builder, list| builder.add_crl(list).danger_accept_invalid_hostnames(true),
            "127.0.0.1",
        ),
    ];
    for (number, (configure, host)) in ways.into_iter().enumerate() {
        for (revoked, is_accepted) in [(&[8][..], true), (&[7, 8], false), (&[], true)] {
            let builder = configure(trusting(&ours), list(revoked));
            let outcome = accepts(builder, &peer, host).await;
            assert_eq!(outcome, is_accepted, "{number} {revoked:?}");
        }
    }
    // Its own name is not enough, and a list says nothing about others.
    assert!(!accepts(trusting(&ours), &peer, "127.0.0.1").await);
    let foreign = trusting(&ours).tls_crls_only([{
        let list = Authority::new("foreign").revocation_list(&[]);
        CertificateRevocationList::from_pem(list.as_bytes()).unwrap()
    }]);
    assert!(!accepts(foreign, &peer, "localhost").await);
    let without_roots = Client::builder().tls_crls_only([list(&[])]).build();
    assert!(without_roots.unwrap_err().is_builder());
}

#[tokio::test]
async fn roots_that_are_merged_are_trusted_beside_those_given_alone() {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let mine = peer(ServerTls::new(&ours.localhost())).await;
    let theirs = peer(ServerTls::new(&other.localhost())).await;
    let merged = || Client::builder().no_proxy().tls_certs_merge([root(&ours)]);
    assert!(accepts(merged(), &mine, "localhost").await);
    assert!(!accepts(merged(), &theirs, "localhost").await);
    let both = || trusting(&other).tls_certs_merge([root(&ours)]);
    assert!(accepts(both(), &mine, "localhost").await);
    assert!(accepts(both(), &theirs, "localhost").await);
    assert!(!accepts(trusting(&other), &mine, "localhost").await);
    let none = Client::builder().no_proxy().tls_certs_only([]);
    assert!(!accepts(none, &mine, "localhost").await);
    let none = Client::builder().no_proxy().tls_certs_only([]);
    let none = none.tls_danger_accept_invalid_hostnames(true);
    assert!(!accepts(none, &mine, "localhost").await);
}

#[tokio::test]
async fn names_are_verified_unless_that_was_turned_off_for_own_roots() {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let peer = peer(ServerTls::new(&ours.server(&["other.example"]))).await;
    assert!(!accepts(trusting(&ours), &peer, "localhost").await);
    for any_name in [
        |builder: ClientBuilder| builder.danger_accept_invalid_hostnames(true),
        |builder: ClientBuilder| builder.tls_danger_accept_invalid_hostnames(true),
    ] {
        assert!(accepts(any_name(trusting(&ours)), &peer, "localhost").await);
        assert!(!accepts(any_name(trusting(&other)), &peer, "localhost").await);
        let off = any_name(trusting(&ours)).danger_accept_invalid_hostnames(false);
        assert!(!accepts(off, &peer, "localhost").await);
        assert!(
            any_name(Client::builder())
                .build()
                .unwrap_err()
                .is_builder()
        );
    }
}

#[tokio::test]
async fn versions_are_limited_on_both_sides() {
    let ours = Authority::new("ours");
    let leaf = ours.localhost();
    let old = peer(ServerTls::tls12_only(&leaf)).await;
    let new = TlsDemands {
        versions: &[&rustls::version::TLS13],
        ..TlsDemands::default()
    };
    let new = peer(ServerTls::with(&leaf, &new)).await;
    type Configure = fn(ClientBuilder) -> ClientBuilder;
    let ways: [(Configure, bool, bool); 7] = [
        (|builder| builder, true, true),
        (
            |builder| builder.min_tls_version(Version::TLS_1_3),
            false,
            true,
        ),
        (
            |builder| builder.tls_version_min(Version::TLS_1_3),
            false,
            true,
        ),
        (
            |builder| builder.tls_version_min(Version::TLS_1_0),
            true,
            true,
        ),
        (
            |builder| builder.max_tls_version(Version::TLS_1_2),
            true,
            false,
        ),
        (
            |builder| builder.tls_version_max(Version::TLS_1_2),
            true,
            false,
        ),
        (
            |builder| builder.tls_version_max(Version::TLS_1_3),
            true,
            true,
        ),
    ];
    for (number, (configure, with_old, with_new)) in ways.into_iter().enumerate() {
        let outcome = accepts(configure(trusting(&ours)), &old, "localhost").await;
        assert_eq!(outcome, with_old, "{number}");
        let outcome = accepts(configure(trusting(&ours)), &new, "localhost").await;
        assert_eq!(outcome, with_new, "{number}");
    }
}

fn der(pem: &str) -> Vec<u8> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    CertificateDer::from_pem_slice(pem.as_bytes())
        .unwrap()
        .to_vec()
}

#[tokio::test]
async fn the_callers_own_configuration_is_used_instead_of_all_other_options() {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let peer = peer(ServerTls::new(&ours.localhost())).await;
    let config = || {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(der(ours.pem()).into()).unwrap();
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        rustls::ClientConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth()
    };
    let used = trusting(&other).tls_backend_preconfigured(config());
    assert!(accepts(used, &peer, "localhost").await);
    let used = trusting(&other).use_preconfigured_tls(config());
    assert!(accepts(used, &peer, "localhost").await);
    // The last one counts.
    let unused = trusting(&other)
        .use_preconfigured_tls(config())
        .use_rustls_tls();
    assert!(!accepts(unused, &peer, "localhost").await);
    let unknown = Client::builder().tls_backend_preconfigured("text").build();
    assert!(unknown.unwrap_err().is_builder());
}

#[tokio::test]
async fn a_certificate_is_read_from_der_and_shown_as_der() {
    let ours = Authority::new("ours");
    let leaf: Leaf = ours.localhost();
    let peer = peer(ServerTls::new(&leaf)).await;
    let root = Certificate::from_der(&der(ours.pem())).unwrap();
    let client = Client::builder().no_proxy().tls_certs_only([root]);
    let client = client.tls_info(true).build().unwrap();
    let url = format!("https://localhost:{}/", peer.port());
    let response = client.get(url).send().await.unwrap();
    let info = response.extensions().get::<TlsInfo>().unwrap();
    assert_eq!(info.peer_certificate(), Some(&*der(&leaf.cert_pem)));
}
