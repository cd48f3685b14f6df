//! Client certificates: key formats, pass phrases, mutual TLS.

use dodici_pool::{Error, ErrorKind, Identity, TlsConfig};
use rcgen::{Issuer, KeyPair};
use rustls::SignatureScheme;
use rustls::pki_types::CertificateDer;
use tokio::io::AsyncWriteExt;

use super::support::{
    Cert, Server, ServerSetup, authority, config, connect, connector, issued, params, pem_certs,
    self_signed, try_connector,
};

const EC_PKCS8: &str = include_str!("fixtures/ec-pkcs8.pem");
const RSA_PKCS8: &str = include_str!("fixtures/rsa-pkcs8.pem");

/// A client certificate of `clients` for the key in `pkcs8`, PEM.
fn client_cert(clients: &Cert, pkcs8: &str) -> Vec<u8> {
    let key = KeyPair::from_pem(pkcs8).unwrap();
    let issuer = Issuer::from_params(&clients.params, &clients.key);
    let cert = params("client", &[]).signed_by(&key, &issuer).unwrap();
    cert.pem().into_bytes()
}

fn identity(cert: &[u8], key: &str, passphrase: Option<&str>) -> Identity {
    let mut identity = Identity::new(cert, key);
    identity.passphrase = passphrase.map(Into::into);
    identity
}

fn build(identity: Identity) -> Result<(), Error> {
    let root = authority("root");
    let mut config = config(&[&root]);
    config.tls.identities = vec![identity];
    try_connector("127.0.0.1:1".parse().unwrap(), config).map(drop)
}

fn complaint(identity: Identity) -> String {
    let error = build(identity).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    error.message().to_owned()
}

#[tokio::test]
async fn keys_of_every_supported_form_authenticate_the_client() {
    let clients = authority("clients");
    let by_ec = client_cert(&clients, EC_PKCS8);
    let by_rsa = client_cert(&clients, RSA_PKCS8);
    let secret = Some("secret");
    let identities = [
        identity(&by_ec, EC_PKCS8, None),
        identity(&by_ec, EC_PKCS8, Some("not needed")),
        identity(&by_ec, include_str!("fixtures/ec-sec1.pem"), None),
        identity(&by_ec, include_str!("fixtures/ec-aes256.pem"), secret),
        identity(&by_ec, include_str!("fixtures/ec-des3.pem"), secret),
        identity(&by_ec, include_str!("fixtures/ec-scrypt.pem"), secret),
        identity(&by_rsa, RSA_PKCS8, None),
        identity(&by_rsa, include_str!("fixtures/rsa-pkcs1.pem"), None),
    ];
    let cert = self_signed(params("localhost", &["localhost"]));
    let mut setup = ServerSetup::new(&cert, &[]);
    setup.client_roots = Some(clients.der.clone());
    let mut server = Server::start(setup).await;
    for identity in identities {
        let sent = identity.cert.clone();
        let mut config = config(&[&cert]);
        config.tls.identities = vec![identity];
        let (mut transport, _) = connect(&connector(server.addr, config)).await;
        transport.flush().await.unwrap();
        let peer = server.next().await.unwrap();
        let received = peer.get_ref().1.peer_certificates().unwrap();
        let sent = pem_certs(&sent);
        assert_eq!(received, sent);
    }
}

/// The certificate that a server gets which accepts these schemes.
async fn presented(
    tls: &TlsConfig,
    clients: &Cert,
    schemes: &[SignatureScheme],
) -> Option<Vec<CertificateDer<'static>>> {
    let cert = self_signed(params("localhost", &["localhost"]));
    let mut setup = ServerSetup::new(&cert, &[]);
    setup.client_roots = Some(clients.der.clone());
    setup.client_schemes = schemes.to_vec();
    let mut server = Server::start(setup).await;
    let mut config = config(&[&cert, clients]);
    config.tls.identities.clone_from(&tls.identities);
    config
        .tls
        .signature_schemes
        .clone_from(&tls.signature_schemes);
    // Over TLS 1.3, a client only learns later that its certificate was needed.
    let (mut transport, _) = connect(&connector(server.addr, config)).await;
    transport.flush().await.unwrap();
    let peer = server.next().await.ok()?;
    peer.get_ref().1.peer_certificates().map(<[_]>::to_vec)
}

#[tokio::test]
async fn of_several_identities_the_server_gets_one_that_it_can_verify() {
    let clients = authority("clients");
    let (by_ec, by_rsa) = (
        client_cert(&clients, EC_PKCS8),
        client_cert(&clients, RSA_PKCS8),
    );
    let mut tls = TlsConfig::default();
    tls.identities = vec![
        identity(&by_rsa, RSA_PKCS8, None),
        identity(&by_ec, EC_PKCS8, None),
    ];
    let first = |pem: &[u8]| Some(pem_certs(pem)[0].clone());
    for (schemes, expected) in [
        (&[SignatureScheme::RSA_PSS_SHA256][..], first(&by_rsa)),
        (&[SignatureScheme::ECDSA_NISTP256_SHA256], first(&by_ec)),
        (&[SignatureScheme::ED25519], None),
    ] {
        let chain = presented(&tls, &clients, schemes).await;
        assert_eq!(chain.map(|chain| chain[0].clone()), expected, "{schemes:?}");
    }
}

#[tokio::test]
async fn an_identity_signs_with_the_schemes_of_the_configuration_only() {
    let clients = authority("clients");
    let by_rsa = client_cert(&clients, RSA_PKCS8);
    let mut tls = TlsConfig::default();
    tls.identities = vec![identity(&by_rsa, RSA_PKCS8, None)];
    let ecdsa = u16::from(SignatureScheme::ECDSA_NISTP256_SHA256);
    let accepted = [
        SignatureScheme::RSA_PSS_SHA256,
        SignatureScheme::RSA_PSS_SHA384,
    ];
    for (scheme, is_sent) in [
        (SignatureScheme::RSA_PSS_SHA384, true),
        (SignatureScheme::RSA_PSS_SHA512, false),
    ] {
        tls.signature_schemes = Some(vec![ecdsa, scheme.into()]);
        let chain = presented(&tls, &clients, &accepted).await;
        assert_eq!(chain.is_some(), is_sent, "{scheme:?}");
    }
}

#[tokio::test]
async fn a_lone_certificate_is_completed_with_trusted_issuers() {
    let clients = authority("clients");
    let by_ec = client_cert(&clients, EC_PKCS8);
    let mut tls = TlsConfig::default();
    tls.identities = vec![identity(&by_ec, EC_PKCS8, None)];
    let chain = presented(&tls, &clients, &[]).await.unwrap();
    assert_eq!(chain, [pem_certs(&by_ec)[0].clone(), clients.der]);
}

#[test]
fn a_missing_or_wrong_pass_phrase_is_named() {
    let clients = authority("clients");
    let cert = client_cert(&clients, EC_PKCS8);
    for key in [
        include_str!("fixtures/ec-aes256.pem"),
        include_str!("fixtures/ec-des3.pem"),
        include_str!("fixtures/ec-scrypt.pem"),
    ] {
        build(identity(&cert, key, Some("secret"))).unwrap();
        assert_eq!(
            complaint(identity(&cert, key, None)),
            "invalid connect.passphrase: connect.key is encrypted and needs one"
        );
        assert_eq!(
            complaint(identity(&cert, key, Some("wrong"))),
            "invalid connect.passphrase: it does not decrypt connect.key"
        );
    }
}

#[test]
fn a_key_that_cannot_be_used_is_named() {
    let clients = authority("clients");
    let cert = client_cert(&clients, EC_PKCS8);
    assert_eq!(
        complaint(identity(&cert, RSA_PKCS8, None)),
        "invalid connect.key: it does not belong to connect.cert"
    );
    let old = include_str!("fixtures/ec-old-encrypted.pem");
    assert!(
        complaint(identity(&cert, old, Some("secret"))).contains("openssl pkcs8 -topk8"),
        "the way out is named"
    );
    for bad in [
        "",
        "garbage",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n",
    ] {
        let complaint = complaint(identity(&cert, bad, Some("secret")));
        assert!(
            complaint.starts_with("invalid connect.key: "),
            "{complaint}"
        );
    }
}

#[test]
fn a_certificate_that_cannot_be_used_is_named() {
    for bad in ["", "garbage", EC_PKCS8] {
        let complaint = complaint(identity(bad.as_bytes(), EC_PKCS8, None));
        assert!(
            complaint.starts_with("invalid connect.cert: "),
            "{complaint}"
        );
    }
}

#[test]
fn the_whole_chain_is_sent() {
    let (clients, other) = (authority("clients"), authority("other"));
    let mut chain = client_cert(&clients, EC_PKCS8);
    chain.extend(issued(&other, params("middle", &[])).pem_bytes());
    assert_eq!(pem_certs(&chain).len(), 2);
    build(identity(&chain, EC_PKCS8, None)).unwrap();
}
