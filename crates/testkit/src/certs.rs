//! Certificates generated on the fly: an authority, good and bad server certificates, client
//! identities, and server-side TLS configurations.
//!
//! Used by the peers and by TLS tests. Knows nothing of the engine's own TLS code.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

/// A certificate authority, trusted by none of the others.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate with its private key, both PEM.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// Certificate chain, leaf first.
    pub cert_pem: String,
    /// PKCS#8 private key.
    pub key_pem: String,
}

/// When a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// 2020 to 2100.
    Now,
    /// Ended in 2001.
    Expired,
    /// Begins in 2100.
    NotYet,
}

/// What is wrong with an authority's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It has expired or is not valid yet.
    Validity(Validity),
    /// It has no basic constraints and no key usage.
    NoConstraints,
    /// Its key usage excludes signing certificates.
    MayNotCertify,
    /// Its extended key usage is for clients.
    ForClients,
}

impl Authority {
    /// A new authority with a new key.
    pub fn new(common_name: &str) -> Self {
        Self::with(common_name, None)
    }

    /// An authority that must not be trusted.
    pub fn flawed(common_name: &str, flaw: Flaw) -> Self {
        Self::with(common_name, Some(flaw))
    }

    fn with(common_name: &str, flaw: Option<Flaw>) -> Self {
        let validity = match flaw {
            Some(Flaw::Validity(validity)) => validity,
            _ => Validity::Now,
        };
        let mut params = params(&[], common_name, validity);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        match flaw {
            None | Some(Flaw::Validity(_)) => {}
            Some(Flaw::NoConstraints) => {
                params.is_ca = IsCa::NoCa;
                params.key_usages.clear();
            }
            Some(Flaw::MayNotCertify) => params.key_usages = vec![KeyUsagePurpose::CrlSign],
            Some(Flaw::ForClients) => {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            }
        }
        let key = KeyPair::generate().expect("a key can be generated");
        let pem = params
            .self_signed(&key)
            .expect("the authority signs itself")
            .pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// Its own certificate, PEM: what a client must trust.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A server certificate for these DNS names and IP addresses, valid now.
    pub fn server(&self, hosts: &[&str]) -> Leaf {
        self.issue(hosts, Validity::Now, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A server certificate for `localhost`, 127.0.0.1 and ::1.
    pub fn localhost(&self) -> Leaf {
        self.server(&["localhost", "127.0.0.1", "::1"])
    }

    /// A server certificate with this validity.
    pub fn server_valid(&self, hosts: &[&str], validity: Validity) -> Leaf {
        self.issue(hosts, validity, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A client certificate with this common name.
    pub fn client(&self, common_name: &str) -> Leaf {
        self.issue(
            &[common_name],
            Validity::Now,
            ExtendedKeyUsagePurpose::ClientAuth,
        )
    }

    /// A server certificate with this serial number.
    pub fn numbered(&self, hosts: &[&str], serial: u64) -> Leaf {
        let mut params = params(hosts, "numbered", Validity::Now);
        params.serial_number = Some(SerialNumber::from(serial));
        self.signed(params)
    }

    /// Its revocation list, PEM, with these serial numbers.
    pub fn revocation_list(&self, revoked: &[u64]) -> String {
        let revoked = revoked.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(2100, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list
            .signed_by(&self.issuer)
            .expect("the authority signs its list");
        list.pem().expect("a list is text")
    }

    fn issue(&self, names: &[&str], validity: Validity, usage: ExtendedKeyUsagePurpose) -> Leaf {
        let mut params = params(names, names.first().copied().unwrap_or("unnamed"), validity);
        params.extended_key_usages = vec![usage];
        self.signed(params)
    }

    fn signed(&self, params: CertificateParams) -> Leaf {
        let key = KeyPair::generate().expect("a key can be generated");
        let cert = params
            .signed_by(&key, &self.issuer)
            .expect("the authority signs");
        Leaf {
            cert_pem: cert.pem(),
            key_pem: key.serialize_pem(),
        }
    }
}

impl Leaf {
    /// A self-signed server certificate.
    pub fn self_signed(hosts: &[&str]) -> Self {
        let params = params(
            hosts,
            hosts.first().copied().unwrap_or("unnamed"),
            Validity::Now,
        );
        let key = KeyPair::generate().expect("a key can be generated");
        let cert = params.self_signed(&key).expect("the key signs itself");
        Self {
            cert_pem: cert.pem(),
            key_pem: key.serialize_pem(),
        }
    }

    fn chain(&self) -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_slice_iter(self.cert_pem.as_bytes())
            .collect::<Result<_, _>>()
            .expect("certificates are PEM")
    }

    fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes()).expect("the key is PEM")
    }
}

/// TLS parameters of a test server. Clones share the session cache, as one server's connections
/// do.
#[derive(Clone, Debug)]
pub struct ServerTls(Arc<ServerConfig>);

/// The TLS settings of a test server besides its certificate.
#[derive(Clone, Debug, Default)]
pub struct TlsDemands<'a> {
    /// Versions spoken; empty means TLS 1.2 and 1.3.
    pub versions: &'a [&'static rustls::SupportedProtocolVersion],
    /// Demands a client certificate of this authority.
    pub client_authority: Option<&'a Authority>,
    /// ALPN protocols in order of preference; empty means none.
    pub alpn: &'a [&'a [u8]],
    /// Refuses to resume sessions.
    pub no_resumption: bool,
    /// Takes early data of sessions that are resumed; for QUIC.
    pub early_data: bool,
}

static TLS13: [&rustls::SupportedProtocolVersion; 1] = [&rustls::version::TLS13];

impl TlsDemands<'_> {
    /// TLS 1.3 and ALPN as HTTP/3 demands them.
    pub fn http3() -> Self {
        Self {
            versions: &TLS13,
            alpn: &[b"h3"],
            ..Self::default()
        }
    }
}

impl ServerTls {
    /// TLS 1.2 and 1.3, no client certificate, no ALPN, sessions can be resumed.
    pub fn new(leaf: &Leaf) -> Self {
        Self::with(leaf, &TlsDemands::default())
    }

    /// TLS 1.2 only.
    pub fn tls12_only(leaf: &Leaf) -> Self {
        Self::with(
            leaf,
            &TlsDemands {
                versions: &[&rustls::version::TLS12],
                ..TlsDemands::default()
            },
        )
    }

    /// A client certificate of this authority is required.
    pub fn client_required(leaf: &Leaf, authority: &Authority) -> Self {
        Self::with(
            leaf,
            &TlsDemands {
                client_authority: Some(authority),
                ..TlsDemands::default()
            },
        )
    }

    /// For HTTP/3.
    pub fn http3(leaf: &Leaf) -> Self {
        Self::with(leaf, &TlsDemands::http3())
    }

    /// With all settings.
    pub fn with(leaf: &Leaf, demands: &TlsDemands<'_>) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let versions = if demands.versions.is_empty() {
            rustls::ALL_VERSIONS
        } else {
            demands.versions
        };
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .expect("the provider speaks these versions");
        let builder = match demands.client_authority {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                let der = CertificateDer::from_pem_slice(authority.pem.as_bytes())
                    .expect("the authority is PEM");
                roots.add(der).expect("the authority is a certificate");
                builder.with_client_cert_verifier(
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                        .build()
                        .expect("one root is enough"),
                )
            }
        };
        let mut config = builder
            .with_single_cert(leaf.chain(), leaf.key())
            .expect("the key matches the certificate");
        config.alpn_protocols = demands.alpn.iter().map(|name| name.to_vec()).collect();
        if demands.no_resumption {
            config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        if demands.early_data {
            // The value that QUIC asks for (RFC 9001, section 4.6.1).
            config.max_early_data_size = u32::MAX;
        }
        Self(Arc::new(config))
    }

    /// The rustls configuration.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0)
    }
}

fn params(names: &[&str], common_name: &str, validity: Validity) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names are ASCII");
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    (params.not_before, params.not_after) = match validity {
        Validity::Now => (date_time_ymd(2020, 1, 1), date_time_ymd(2100, 1, 1)),
        Validity::Expired => (date_time_ymd(2000, 1, 1), date_time_ymd(2001, 1, 1)),
        Validity::NotYet => (date_time_ymd(2100, 1, 1), date_time_ymd(2101, 1, 1)),
    };
    params
}
