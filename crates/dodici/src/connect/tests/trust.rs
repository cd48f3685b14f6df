//! Which server certificates are good, and what Node calls the others.

use dodici_pool::{Error, ErrorKind, Origin, RootSource, Scheme};
use dodici_testkit::with;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, ExtendedKeyUsagePurpose, GeneralSubtree,
    IsCa, NameConstraints, date_time_ymd,
};

use super::support::{
    Cert, Server, ServerSetup, authority, code, config, connect, connector, issued, params,
    pem_certs, san, self_signed, try_connector,
};
use crate::connect::{ConnectHooks, Connector, DefaultRoots, Roots};

/// Connects as `https://127.0.0.1` with the name `localhost` to a server with this chain.
async fn attempt(roots: &[&Cert], leaf: &Cert, others: &[&Cert]) -> Result<(), Error> {
    attempt_as("localhost", roots, leaf, others).await
}

async fn attempt_as(
    name: &str,
    roots: &[&Cert],
    leaf: &Cert,
    others: &[&Cert],
) -> Result<(), Error> {
    let mut result = Ok(());
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let mut setup = ServerSetup::new(leaf, others);
        setup.versions = vec![version];
        let server = Server::start(setup).await;
        let mut config = config(roots);
        config.tls.server_name = Some(name.into());
        let one = connector(server.addr, config).connect().await.map(|_| ());
        if let Err(error) = &one {
            assert_eq!(error.kind(), ErrorKind::Tls);
        }
        if version == &rustls::version::TLS13 {
            assert_eq!(
                result
                    .as_ref()
                    .map_err(|error: &Error| code(error).to_owned()),
                one.as_ref().map_err(|error| code(error).to_owned()),
                "TLS 1.2 and 1.3 differ"
            );
        }
        result = one;
    }
    result
}

async fn refused(roots: &[&Cert], leaf: &Cert, others: &[&Cert]) -> (String, String) {
    let error = attempt(roots, leaf, others).await.unwrap_err();
    assert!(std::error::Error::source(&error).is_some());
    (code(&error).to_owned(), error.message().to_owned())
}

fn leaf() -> CertificateParams {
    params("leaf", &["localhost"])
}

#[tokio::test]
async fn a_certificate_of_a_trusted_authority_is_good() {
    let root = authority("root");
    let middle = {
        let mut params = params("middle", &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        issued(&root, params)
    };
    attempt(&[&root], &issued(&root, leaf()), &[])
        .await
        .unwrap();
    attempt(&[&root], &issued(&middle, leaf()), &[&middle])
        .await
        .unwrap();
}

#[tokio::test]
async fn a_self_signed_certificate_that_is_trusted_itself_is_good_whether_ca_or_not() {
    let plain = self_signed(leaf());
    attempt(&[&plain], &plain, &[]).await.unwrap();
    let mut ca = leaf();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = self_signed(ca);
    attempt(&[&ca], &ca, &[]).await.unwrap();
    let mut explicit = leaf();
    explicit.is_ca = IsCa::ExplicitNoCa;
    let explicit = self_signed(explicit);
    attempt(&[&explicit], &explicit, &[]).await.unwrap();
}

#[tokio::test]
async fn s12_a_trusted_leaf_that_is_not_a_ca_is_no_issuer() {
    let mut anchor = params("anchor", &["localhost"]);
    anchor.is_ca = IsCa::ExplicitNoCa;
    let anchor = self_signed(anchor);
    let below = issued(&anchor, leaf());
    let (code, _) = refused(&[&anchor], &below, &[]).await;
    assert_eq!(code, "INVALID_PURPOSE");
}

#[tokio::test]
async fn s12_a_trusted_certificate_needs_the_key_that_belongs_to_it() {
    // The same bytes as the trusted certificate, presented by one who lacks its key.
    let trusted = self_signed(leaf());
    let thief = Cert {
        key: rcgen::KeyPair::generate().unwrap(),
        der: trusted.der.clone(),
        pem: trusted.pem.clone(),
        params: trusted.params.clone(),
    };
    let setup = ServerSetup::new(&thief, &[]);
    let server = Server::start(setup).await;
    let error = connector(server.addr, config(&[&trusted]))
        .connect()
        .await
        .unwrap_err();
    assert_eq!(code(&error), "CERT_SIGNATURE_FAILURE");
    let mut lax = config(&[&trusted]);
    lax.tls.verify = false;
    let error = connector(server.addr, lax).connect().await.unwrap_err();
    assert_eq!(code(&error), "CERT_SIGNATURE_FAILURE");
}

#[tokio::test]
async fn s12_a_self_signed_certificate_is_refused() {
    let expected = (
        "DEPTH_ZERO_SELF_SIGNED_CERT".to_owned(),
        "self-signed certificate".to_owned(),
    );
    let other = authority("other");
    assert_eq!(
        refused(&[&other], &self_signed(leaf()), &[]).await,
        expected
    );
    let mut ca = leaf();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    assert_eq!(
        refused(&[&other], &self_signed(ca.clone()), &[]).await,
        expected
    );
    // A trusted one of the same name does not help.
    let namesake = self_signed(ca.clone());
    assert_eq!(refused(&[&namesake], &self_signed(ca), &[]).await, expected);
}

#[tokio::test]
async fn s12_an_unknown_authority_is_refused_by_where_the_chain_ends() {
    let (trusted, unknown) = (authority("trusted"), authority("unknown"));
    let mut middle = params("middle", &[]);
    middle.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let middle = issued(&unknown, middle);
    let under_root = issued(&unknown, leaf());
    let under_middle = issued(&middle, leaf());
    let (code, message) = refused(&[&trusted], &under_root, &[]).await;
    assert_eq!(code, "UNABLE_TO_VERIFY_LEAF_SIGNATURE");
    assert_eq!(message, "unable to verify the first certificate");
    let (code, message) = refused(&[&trusted], &under_root, &[&unknown]).await;
    assert_eq!(code, "SELF_SIGNED_CERT_IN_CHAIN");
    assert_eq!(message, "self-signed certificate in certificate chain");
    let (code, message) = refused(&[&trusted], &under_middle, &[&middle]).await;
    assert_eq!(code, "UNABLE_TO_GET_ISSUER_CERT_LOCALLY");
    assert_eq!(message, "unable to get local issuer certificate");
}

#[tokio::test]
async fn s12_an_expired_certificate_is_refused_also_if_trusted_itself() {
    let root = authority("root");
    let mut old = leaf();
    old.not_before = date_time_ymd(2000, 1, 1);
    old.not_after = date_time_ymd(2001, 1, 1);
    let expected = (
        "CERT_HAS_EXPIRED".to_owned(),
        "certificate has expired".to_owned(),
    );
    assert_eq!(
        refused(&[&root], &issued(&root, old.clone()), &[]).await,
        expected
    );
    let alone = self_signed(old);
    assert_eq!(refused(&[&alone], &alone, &[]).await, expected);
}

#[tokio::test]
async fn s12_a_certificate_of_the_future_is_refused_also_if_trusted_itself() {
    let root = authority("root");
    let mut early = leaf();
    early.not_before = date_time_ymd(2999, 1, 1);
    early.not_after = date_time_ymd(3000, 1, 1);
    let expected = (
        "CERT_NOT_YET_VALID".to_owned(),
        "certificate is not yet valid".to_owned(),
    );
    assert_eq!(
        refused(&[&root], &issued(&root, early.clone()), &[]).await,
        expected
    );
    let alone = self_signed(early);
    assert_eq!(refused(&[&alone], &alone, &[]).await, expected);
}

#[tokio::test]
async fn s12_a_wrong_host_is_rejected_with_the_certificates_names() {
    let root = authority("root");
    let other = issued(&root, params("leaf", &["example.test", "127.0.0.1"]));
    let (code, message) = refused(&[&root], &other, &[]).await;
    assert_eq!(code, "ERR_TLS_CERT_ALTNAME_INVALID");
    assert_eq!(
        message,
        "Hostname/IP does not match certificate's altnames: Host: localhost. is not in the \
         cert's altnames: DNS:example.test, IP Address:127.0.0.1"
    );
    let alone = self_signed(params("example.test", &["example.test"]));
    assert_eq!(
        refused(&[&alone], &alone, &[]).await.0,
        "ERR_TLS_CERT_ALTNAME_INVALID"
    );
}

#[tokio::test]
async fn ip_addresses_are_matched_against_ip_names_only() {
    let root = authority("root");
    let by_ip = issued(&root, params("leaf", &["127.0.0.1"]));
    let server = Server::start(ServerSetup::new(&by_ip, &[])).await;
    let mut from_origin = config(&[&root]);
    from_origin.tls.server_name = None;
    let (_, info) = connect(&connector(server.addr, from_origin)).await;
    assert_eq!(info.tls.unwrap().server_name, None);

    let mut by_dns = params("127.0.0.1", &[]);
    by_dns.subject_alt_names = vec![san("127.0.0.1")];
    let by_dns = issued(&root, by_dns);
    let error = attempt_as("127.0.0.1", &[&root], &by_dns, &[])
        .await
        .unwrap_err();
    assert_eq!(code(&error), "ERR_TLS_CERT_ALTNAME_INVALID");
    assert_eq!(
        error.message(),
        "Hostname/IP does not match certificate's altnames: IP: 127.0.0.1 is not in the cert's \
         list: "
    );
}

#[tokio::test]
async fn the_common_name_counts_only_without_dns_names() {
    let root = authority("root");
    let alone = self_signed(params("localhost", &[]));
    attempt(&[&alone], &alone, &[]).await.unwrap();
    attempt(&[&root], &issued(&root, params("localhost", &[])), &[])
        .await
        .unwrap();
    let named = issued(&root, params("localhost", &["example.test"]));
    assert_eq!(
        refused(&[&root], &named, &[]).await.0,
        "ERR_TLS_CERT_ALTNAME_INVALID"
    );
    let (_, message) = refused(&[&root], &issued(&root, params("example.test", &[])), &[]).await;
    assert_eq!(
        message,
        "Hostname/IP does not match certificate's altnames: Host: localhost. is not cert's CN: \
         example.test"
    );
}

#[tokio::test]
async fn s12_wildcards_stand_for_one_whole_label_only() {
    let root = authority("root");
    for names in [&["*.example.test"][..], &[][..]] {
        let wild = issued(&root, params("*.example.test", names));
        attempt_as("a.example.test", &[&root], &wild, &[])
            .await
            .unwrap();
        for wrong in ["example.test", "a.b.example.test", "aexample.test"] {
            let error = attempt_as(wrong, &[&root], &wild, &[]).await.unwrap_err();
            assert_eq!(code(&error), "ERR_TLS_CERT_ALTNAME_INVALID", "{wrong}");
        }
    }
    for misused in ["*", "*.test", "a.*.test", "*.*.test"] {
        let mut bad = params(misused, &[]);
        let alone = issued(&root, bad.clone());
        bad.subject_alt_names = vec![san(misused)];
        for cert in [alone, issued(&root, bad)] {
            for host in ["a.test", "a.b.test"] {
                let error = attempt_as(host, &[&root], &cert, &[]).await.unwrap_err();
                assert_eq!(code(&error), "ERR_TLS_CERT_ALTNAME_INVALID", "{misused}");
            }
        }
    }
}

#[tokio::test]
async fn s12_a_nul_in_a_name_ends_nothing() {
    let root = authority("root");
    let mut bad = params("localhost\0.evil.test", &[]);
    let by_common_name = issued(&root, bad.clone());
    bad.subject_alt_names = vec![san("localhost\0.evil.test")];
    let by_alternative = issued(&root, bad);
    for cert in [by_common_name, by_alternative] {
        let (code, message) = refused(&[&root], &cert, &[]).await;
        assert_eq!(code, "ERR_TLS_CERT_ALTNAME_INVALID");
        assert!(!message.contains('\0'));
    }
}

#[tokio::test]
async fn s12_name_constraints_hold_for_subjects_too() {
    let root = authority("root");
    let mut middle = params("middle", &[]);
    middle.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    middle.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName("example.test".into())],
        excluded_subtrees: Vec::new(),
    });
    let middle = issued(&root, middle);
    let (code, message) = refused(&[&root], &issued(&middle, leaf()), &[&middle]).await;
    assert_eq!(
        (&*code, &*message),
        ("UNSPECIFIED", "permitted subtree violation")
    );
    let in_subject = issued(&middle, params("other.test", &[]));
    let error = attempt_as("other.test", &[&root], &in_subject, &[&middle])
        .await
        .unwrap_err();
    assert_eq!(error.message(), "permitted subtree violation");
}

#[tokio::test]
async fn s12_a_certificate_for_another_purpose_is_refused() {
    let root = authority("root");
    let mut client = leaf();
    client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let expected = (
        "INVALID_PURPOSE".to_owned(),
        "unsuitable certificate purpose".to_owned(),
    );
    assert_eq!(
        refused(&[&root], &issued(&root, client.clone()), &[]).await,
        expected
    );
    let alone = self_signed(client);
    assert_eq!(refused(&[&alone], &alone, &[]).await, expected);
}

#[tokio::test]
async fn s12_a_bad_signature_is_refused() {
    let root = authority("root");
    // An authority of the same name with another key.
    let impostor = issued(&authority("root"), leaf());
    let (code, _) = refused(&[&root], &impostor, &[]).await;
    assert_eq!(code, "CERT_SIGNATURE_FAILURE");
}

#[tokio::test]
async fn s12_a_chain_of_more_than_a_hundred_is_refused() {
    let mut chain = vec![authority("root 0")];
    let mut attempts = Vec::new();
    for depth in 1..=101 {
        let mut link = params(&format!("root {depth}"), &[]);
        link.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let link = issued(&chain[0], link);
        chain.insert(0, link);
        if depth == 50 || depth == 101 {
            let end = issued(&chain[0], leaf());
            let others: Vec<&Cert> = chain.iter().collect();
            let (root, others) = others.split_last().unwrap();
            let verdict = attempt(&[root], &end, others).await;
            attempts.push(verdict.map_err(|error| code(&error).to_owned()));
        }
    }
    assert_eq!(attempts, [Ok(()), Err("CERT_CHAIN_TOO_LONG".to_owned())]);
}

#[tokio::test]
async fn s12_an_unknown_critical_extension_is_refused() {
    let root = authority("root");
    let mut strange = leaf();
    let mut extension =
        CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999, 1], vec![5, 0]);
    extension.set_criticality(true);
    strange.custom_extensions = vec![extension];
    let (code, _) = refused(&[&root], &issued(&root, strange), &[]).await;
    assert_eq!(code, "UNSPECIFIED");
}

#[tokio::test]
async fn s11_verification_is_off_only_on_request() {
    let cert = self_signed(params("wrong", &["wrong.test"]));
    let server = Server::start(ServerSetup::new(&cert, &[])).await;
    let mut config = config(&[&authority("other")]);
    assert!(config.tls.verify);
    assert!(
        connector(server.addr, config.clone())
            .connect()
            .await
            .is_err()
    );
    config.tls.verify = false;
    connect(&connector(server.addr, config)).await;
}

#[tokio::test]
async fn c1_the_default_roots_are_those_of_the_caller() {
    let supplied = authority("supplied");
    let good = issued(&supplied, leaf());
    let server = Server::start(ServerSetup::new(&good, &[])).await;
    let mut default = config(&[]);
    default.tls.roots = RootSource::Default;
    let trusting = |roots: DefaultRoots| {
        let origin = Origin::new(Scheme::Https, "127.0.0.1", server.addr.port());
        let hooks = with(ConnectHooks::default(), |hooks| hooks.roots = roots);
        Connector::with_hooks(origin, default.clone(), hooks)
    };
    let theirs = Roots::parse(&[supplied.pem_bytes(), b"not a certificate".to_vec()]).unwrap();
    connect(&trusting(DefaultRoots::Supplied(theirs)).unwrap()).await;
    let nobody = Roots::parse(&[]).unwrap();
    for roots in [DefaultRoots::Bundled, DefaultRoots::Supplied(nobody)] {
        let error = trusting(roots).unwrap().connect().await.unwrap_err();
        assert_eq!(code(&error), "UNABLE_TO_VERIFY_LEAF_SIGNATURE");
    }
}

#[test]
fn c3_unreadable_default_roots_are_not_trusted_even_in_part() {
    let good = authority("good").pem;
    for broken in [
        format!("{good}-----BEGIN CERTIFICATE-----\nMIIB\n"),
        format!("{good}-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"),
    ] {
        let error = Roots::parse(&[broken.into_bytes()]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        let origin = Origin::new(Scheme::Https, "127.0.0.1", 443);
        let mut default = config(&[]);
        default.tls.roots = RootSource::Default;
        let hooks = with(ConnectHooks::default(), |hooks| {
            hooks.roots = DefaultRoots::Unusable(error.clone())
        });
        let refused = Connector::with_hooks(origin, default, hooks).unwrap_err();
        assert_eq!(refused.message(), error.message());
    }
}

#[tokio::test]
async fn the_platforms_verifier_is_one_option_away() {
    let unknown = self_signed(leaf());
    let server = Server::start(ServerSetup::new(&unknown, &[])).await;
    let mut platform = config(&[]);
    platform.tls.roots = RootSource::Platform;
    let error = match try_connector(server.addr, platform) {
        Ok(connector) => connector.connect().await.unwrap_err(),
        // A machine without any trust store says so when the connector is made.
        Err(error) => {
            assert!(
                error
                    .message()
                    .starts_with("invalid connect.ca: the platform's")
            );
            return;
        }
    };
    assert_eq!(code(&error), "DEPTH_ZERO_SELF_SIGNED_CERT");
}

#[test]
fn roots_that_are_no_certificates_are_refused_and_named() {
    for bad in [
        &b""[..],
        b"garbage",
        b"-----BEGIN CERTIFICATE-----\nnot base64!\n-----END CERTIFICATE-----\n",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    ] {
        let mut config = config(&[]);
        config.tls.roots = RootSource::Custom(vec![bad.to_vec()]);
        let error = try_connector("127.0.0.1:1".parse().unwrap(), config).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(
            error.message().starts_with("invalid connect.ca: "),
            "{error}"
        );
    }
}

#[tokio::test]
async fn roots_may_be_der_and_one_text_may_hold_several() {
    let (one, two) = (authority("one"), authority("two"));
    let end = issued(&two, leaf());
    let server = Server::start(ServerSetup::new(&end, &[])).await;
    let text = format!("{}\n# comment\n{}", one.pem, two.pem).into_bytes();
    for roots in [vec![text], vec![two.der.to_vec()]] {
        let mut config = config(&[]);
        config.tls.roots = RootSource::Custom(roots);
        connect(&connector(server.addr, config)).await;
    }
}

/// A certificate from `fixtures/`, presented with this key.
fn fixture(pem: &str, key: rcgen::KeyPair) -> Cert {
    Cert {
        params: leaf(),
        key,
        der: pem_certs(pem.as_bytes()).remove(0),
        pem: pem.to_owned(),
    }
}

fn key(pkcs8: &str) -> rcgen::KeyPair {
    rcgen::KeyPair::from_pem(pkcs8).unwrap()
}

const EC_KEY: &str = include_str!("fixtures/ec-pkcs8.pem");
const RSA_KEY: &str = include_str!("fixtures/rsa-pkcs8.pem");
const ROOT: &str = include_str!("fixtures/root-cert.pem");
const V1_SELF_SIGNED: &str = include_str!("fixtures/v1-cert.pem");
const V1_ISSUED: &str = include_str!("fixtures/v1-issued.pem");

#[tokio::test]
async fn a_version_1_certificate_that_is_trusted_itself_is_good() {
    let cert = fixture(V1_SELF_SIGNED, key(EC_KEY));
    attempt(&[&cert], &cert, &[]).await.unwrap();
    let error = attempt_as("example.test", &[&cert], &cert, &[])
        .await
        .unwrap_err();
    assert_eq!(code(&error), "ERR_TLS_CERT_ALTNAME_INVALID");
    assert_eq!(
        refused(&[&authority("other")], &cert, &[]).await.0,
        "DEPTH_ZERO_SELF_SIGNED_CERT"
    );
    let thief = fixture(V1_SELF_SIGNED, rcgen::KeyPair::generate().unwrap());
    let error = attempt(&[&thief], &thief, &[]).await.unwrap_err();
    assert_eq!(code(&error), "CERT_SIGNATURE_FAILURE");
}

#[tokio::test]
async fn a_version_1_certificate_that_a_trusted_authority_issued_itself_is_good() {
    let root = fixture(ROOT, key(EC_KEY));
    let cert = fixture(V1_ISSUED, key(RSA_KEY));
    attempt(&[&root], &cert, &[]).await.unwrap();
    let error = attempt_as("example.test", &[&root], &cert, &[])
        .await
        .unwrap_err();
    assert_eq!(code(&error), "ERR_TLS_CERT_ALTNAME_INVALID");
}

#[tokio::test]
async fn s12_a_version_1_certificate_of_an_unknown_authority_is_refused() {
    let root = fixture(ROOT, key(EC_KEY));
    let cert = fixture(V1_ISSUED, key(RSA_KEY));
    // The same name, another key.
    let namesake = authority("fixture root");
    let other = authority("other");
    for (trusted, sent, expected) in [
        (&namesake, None, "CERT_SIGNATURE_FAILURE"),
        (&namesake, Some(&root), "CERT_SIGNATURE_FAILURE"),
        (&other, None, "UNABLE_TO_VERIFY_LEAF_SIGNATURE"),
        (&other, Some(&root), "SELF_SIGNED_CERT_IN_CHAIN"),
    ] {
        let sent: Vec<_> = sent.into_iter().collect();
        assert_eq!(refused(&[trusted], &cert, &sent).await.0, expected);
    }
}

#[tokio::test]
async fn s12_a_version_1_certificate_is_no_issuer() {
    let root = fixture(ROOT, key(EC_KEY));
    let middle = fixture(V1_ISSUED, key(RSA_KEY));
    let mut named = params("localhost", &[]);
    named.distinguished_name = rcgen::DistinguishedName::new();
    named
        .distinguished_name
        .push(rcgen::DnType::CommonName, "localhost");
    let issuer = Cert {
        params: named,
        ..middle
    };
    let below = issued(&issuer, leaf());
    let error = attempt(&[&root], &below, &[&issuer]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls);
}
