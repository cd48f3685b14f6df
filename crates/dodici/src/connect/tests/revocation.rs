//! Revocation lists. `s12_revocation.test.ts` compares many more with Node's verdict.

use dodici_pool::{ErrorKind, RootSource};
use rcgen::{
    CertificateRevocationListParams, CrlDistributionPoint, CrlIssuingDistributionPoint, CrlScope,
    IsCa, Issuer, KeyIdMethod, RevokedCertParams, SerialNumber, date_time_ymd,
};

use super::support::{
    Cert, Server, ServerSetup, authority, code, config, connector, issued, params, try_connector,
};

const FINE: i32 = 2100;
const OVER: i32 = 2001;

/// A list that ends in this year.
fn list(revoked: &[u64], ends: i32) -> CertificateRevocationListParams {
    CertificateRevocationListParams {
        this_update: date_time_ymd(2000, 1, 1),
        next_update: date_time_ymd(ends, 1, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: revoked
            .iter()
            .map(|serial| RevokedCertParams {
                serial_number: SerialNumber::from(*serial),
                revocation_time: date_time_ymd(2000, 1, 1),
                reason_code: None,
                invalidity_date: None,
            })
            .collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    }
}

fn signed(issuer: &Cert, list: &CertificateRevocationListParams) -> Vec<u8> {
    let issuer = Issuer::from_params(&issuer.params, &issuer.key);
    list.signed_by(&issuer).unwrap().der().to_vec()
}

fn numbered(issuer: &Cert, serial: u64, is_ca: bool) -> Cert {
    let mut params = params(if is_ca { "middle" } else { "leaf" }, &["localhost"]);
    params.serial_number = Some(SerialNumber::from(serial));
    if is_ca {
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    }
    issued(issuer, params)
}

#[tokio::test]
async fn s12_every_certificate_of_a_chain_needs_a_list_that_does_not_name_it() {
    let root = authority("root");
    let middle = numbered(&root, 7, true);
    let leaf = numbered(&middle, 8, false);
    let of_root = |revoked: &[u64], ends| signed(&root, &list(revoked, ends));
    let of_middle = |revoked: &[u64], ends| signed(&middle, &list(revoked, ends));
    let forged = {
        let thief = Cert {
            params: root.params.clone(),
            ..authority("thief")
        };
        signed(&thief, &list(&[], FINE))
    };
    for (lists, expected) in [
        (vec![], None),
        (vec![of_root(&[], FINE), of_middle(&[], FINE)], None),
        (vec![of_root(&[8], FINE), of_middle(&[7], FINE)], None),
        (
            vec![of_root(&[], FINE), of_middle(&[8], FINE)],
            Some("CERT_REVOKED"),
        ),
        (
            vec![of_root(&[7], FINE), of_middle(&[], FINE)],
            Some("CERT_REVOKED"),
        ),
        (vec![of_root(&[], FINE)], Some("UNABLE_TO_GET_CRL")),
        (vec![of_middle(&[], FINE)], Some("UNABLE_TO_GET_CRL")),
        (
            vec![of_root(&[], OVER), of_middle(&[], FINE)],
            Some("CRL_HAS_EXPIRED"),
        ),
        (
            vec![of_root(&[], FINE), of_middle(&[], OVER)],
            Some("CRL_HAS_EXPIRED"),
        ),
        (
            vec![of_root(&[], FINE), of_middle(&[8], OVER)],
            Some("CERT_REVOKED"),
        ),
        (
            vec![forged, of_middle(&[], FINE)],
            Some("UNABLE_TO_GET_CRL"),
        ),
    ] {
        let server = Server::start(ServerSetup::new(&leaf, &[&middle])).await;
        let mut config = config(&[&root]);
        config.tls.revocation_lists = lists;
        let error = connector(server.addr, config).connect().await.err();
        assert_eq!(error.as_ref().map(code), expected);
    }
}

#[test]
fn a_list_that_cannot_be_used_is_an_error_of_the_option() {
    let root = authority("root");
    let mut partial = list(&[], FINE);
    partial.issuing_distribution_point = Some(CrlIssuingDistributionPoint {
        distribution_point: CrlDistributionPoint {
            uris: vec!["http://a.test".into()],
        },
        scope: Some(CrlScope::UserCertsOnly),
    });
    let fine = signed(&root, &list(&[], FINE));
    for (bad, why) in [
        (b"no list".to_vec(), "it is malformed"),
        (fine[..fine.len() - 1].to_vec(), "it is malformed"),
        (signed(&root, &partial), "it has a critical extension"),
    ] {
        let mut config = config(&[&root]);
        config.tls.revocation_lists = vec![bad];
        let error = try_connector("127.0.0.1:1".parse().unwrap(), config).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert_eq!(error.message(), format!("invalid connect.crl: {why}"));
    }
    let mut unknown = config(&[]);
    unknown.tls.roots = RootSource::Default;
    unknown.tls.revocation_lists = vec![fine];
    let error = try_connector("127.0.0.1:1".parse().unwrap(), unknown).unwrap_err();
    assert_eq!(
        error.message(),
        "invalid connect.crl: it requires roots that are given"
    );
}
