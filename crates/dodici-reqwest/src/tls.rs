//! TLS: certificates, identities, versions, and the settings of a client.
//!
//! TLS is rustls with aws-lc-rs, or with the process's installed provider. By default, the
//! operating system's verifier verifies certificates.

use std::any::Any;
use std::sync::{Arc, OnceLock};

use dodici::{Roots, StrictVerifier};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::{PemObject, SectionKind};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use self::verify::Trust;
use crate::error::{self, BoxError};
use crate::util::opaque;

mod verify;

/// A trusted certificate.
#[derive(Clone)]
pub struct Certificate {
    encoded: Encoded,
}

#[derive(Clone)]
enum Encoded {
    Der(Vec<u8>),
    Pem(Vec<u8>),
}

impl Certificate {
    /// From DER. It is validated when the client is built.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let certificate = dodici_reqwest::Certificate::from_der(&std::fs::read("ca.der")?)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// None at present.
    pub fn from_der(der: &[u8]) -> crate::Result<Self> {
        Ok(Self {
            encoded: Encoded::Der(der.to_owned()),
        })
    }

    /// From PEM. It is validated when the client is built.
    ///
    /// # Errors
    /// None at present.
    pub fn from_pem(pem: &[u8]) -> crate::Result<Self> {
        Ok(Self {
            encoded: Encoded::Pem(pem.to_owned()),
        })
    }

    /// All certificates in a PEM text.
    ///
    /// # Errors
    /// A builder error for malformed PEM.
    pub fn from_pem_bundle(pem_bundle: &[u8]) -> crate::Result<Vec<Self>> {
        let found = pem_certificates(pem_bundle)?;
        found.iter().map(|der| Self::from_der(der)).collect()
    }

    fn ders(&self) -> crate::Result<Vec<CertificateDer<'static>>> {
        match &self.encoded {
            Encoded::Der(der) => Ok(vec![CertificateDer::from(der.clone())]),
            Encoded::Pem(pem) => pem_certificates(pem),
        }
    }
}

fn pem_certificates(pem: &[u8]) -> crate::Result<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|_| error::builder("invalid certificate encoding"))
}

/// A certificate revocation list.
pub struct CertificateRevocationList {
    der: CertificateRevocationListDer<'static>,
}

impl CertificateRevocationList {
    /// From PEM.
    ///
    /// # Errors
    /// A builder error for malformed PEM.
    pub fn from_pem(pem: &[u8]) -> crate::Result<Self> {
        CertificateRevocationListDer::from_pem_slice(pem)
            .map(|der| Self { der })
            .map_err(|_| error::builder("invalid crl encoding"))
    }

    /// All lists in a PEM text.
    ///
    /// # Errors
    /// A builder error for malformed PEM.
    pub fn from_pem_bundle(pem_bundle: &[u8]) -> crate::Result<Vec<Self>> {
        CertificateRevocationListDer::pem_slice_iter(pem_bundle)
            .map(|list| list.map(|der| Self { der }))
            .collect::<Result<_, _>>()
            .map_err(|_| error::builder("invalid crl encoding"))
    }
}

/// A client certificate with its key.
pub struct Identity {
    key: PrivateKeyDer<'static>,
    chain: Vec<CertificateDer<'static>>,
}

impl Identity {
    /// From PEM with a private key (PKCS#8, PKCS#1 or SEC1) and at least one certificate, the
    /// client's own first.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let identity = dodici_reqwest::Identity::from_pem(&std::fs::read("me.pem")?)?;
    /// let client = dodici_reqwest::Client::builder().identity(identity).build()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// A builder error if either is missing, or the text is malformed.
    pub fn from_pem(buf: &[u8]) -> crate::Result<Self> {
        let bad = |why: &str| error::builder(rustls::Error::General(why.to_owned()));
        let (mut key, mut chain) = (None, Vec::new());
        for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(buf) {
            let (kind, der) = section.map_err(|_| bad("Invalid identity PEM file"))?;
            match kind {
                SectionKind::Certificate => chain.push(CertificateDer::from(der)),
                SectionKind::PrivateKey => key = Some(PrivateKeyDer::Pkcs8(der.into())),
                SectionKind::RsaPrivateKey => key = Some(PrivateKeyDer::Pkcs1(der.into())),
                SectionKind::EcPrivateKey => key = Some(PrivateKeyDer::Sec1(der.into())),
                _ => return Err(bad("No valid certificate was found")),
            }
        }
        match key {
            Some(key) if !chain.is_empty() => Ok(Self { key, chain }),
            _ => Err(bad("private key or certificate not found")),
        }
    }
}

impl Clone for Identity {
    fn clone(&self) -> Self {
        Self {
            key: self.key.clone_key(),
            chain: self.chain.clone(),
        }
    }
}

/// A TLS version. Versions before 1.2 exist as names only: a client limited to them cannot be
/// built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(Known);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Known {
    Tls10,
    Tls11,
    Tls12,
    Tls13,
}

impl Version {
    /// TLS 1.0 (RFC 2246).
    pub const TLS_1_0: Self = Self(Known::Tls10);
    /// TLS 1.1 (RFC 4346).
    pub const TLS_1_1: Self = Self(Known::Tls11);
    /// TLS 1.2 (RFC 5246).
    pub const TLS_1_2: Self = Self(Known::Tls12);
    /// TLS 1.3 (RFC 8446).
    pub const TLS_1_3: Self = Self(Known::Tls13);
}

/// TLS details of a response. In its extensions, if the client was built with
/// [`ClientBuilder::tls_info`](crate::ClientBuilder::tls_info).
#[derive(Clone)]
pub struct TlsInfo {
    pub(crate) peer_certificate: Option<Arc<Vec<u8>>>,
}

impl TlsInfo {
    /// The server's certificate, DER.
    pub fn peer_certificate(&self) -> Option<&[u8]> {
        self.peer_certificate.as_ref().map(|der| der.as_slice())
    }
}

opaque!(Certificate, CertificateRevocationList, Identity, TlsInfo);

/// A client's TLS settings.
#[derive(Default)]
pub(crate) struct Settings {
    pub(crate) roots: Vec<Certificate>,
    /// Trust only `roots`.
    pub(crate) roots_only: bool,
    pub(crate) revoked: Vec<CertificateRevocationList>,
    pub(crate) identity: Option<Identity>,
    /// Verify no names.
    pub(crate) any_name: bool,
    /// Verify nothing.
    pub(crate) any_certificate: bool,
    pub(crate) no_sni: bool,
    pub(crate) key_log: bool,
    pub(crate) oldest: Option<Version>,
    pub(crate) newest: Option<Version>,
    pub(crate) preconfigured: Preconfigured,
}

/// A configuration supplied by the caller.
#[derive(Default)]
pub(crate) enum Preconfigured {
    #[default]
    None,
    Config(Box<ClientConfig>),
    Unknown,
}

impl Preconfigured {
    pub(crate) fn from_any(value: impl Any) -> Self {
        let value: Box<dyn Any> = Box::new(value);
        match value.downcast::<ClientConfig>() {
            Ok(config) => Self::Config(config),
            Err(_) => Self::Unknown,
        }
    }
}

impl Settings {
    /// The configuration for rustls, which offers `alpn` unless the caller's own offers
    /// something itself.
    pub(crate) fn build(self, alpn: &[&[u8]]) -> crate::Result<ClientConfig> {
        let alpn = || alpn.iter().map(|name| name.to_vec()).collect::<Vec<_>>();
        match self.preconfigured {
            Preconfigured::None => {}
            Preconfigured::Unknown => {
                return Err(error::builder(
                    "Unknown TLS backend passed to `use_preconfigured_tls`",
                ));
            }
            Preconfigured::Config(mut config) => {
                if config.alpn_protocols.is_empty() {
                    config.alpn_protocols = alpn();
                }
                return Ok(*config);
            }
        }
        let provider = CryptoProvider::get_default()
            .cloned()
            .unwrap_or_else(|| Arc::new(aws_lc_rs::default_provider()));
        let versions: Vec<_> = [
            (Version::TLS_1_3, &rustls::version::TLS13),
            (Version::TLS_1_2, &rustls::version::TLS12),
        ]
        .into_iter()
        .filter(|(version, _)| {
            self.oldest.is_none_or(|oldest| *version >= oldest)
                && self.newest.is_none_or(|newest| *version <= newest)
        })
        .map(|(_, version)| version)
        .collect();
        if versions.is_empty() {
            return Err(error::builder("empty supported tls versions"));
        }
        let verifier = self.verifier(&provider)?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)
            .map_err(error::builder)?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match self.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => builder
                .with_client_auth_cert(identity.chain, identity.key)
                .map_err(error::builder)?,
        };
        config.enable_sni = !self.no_sni;
        config.alpn_protocols = alpn();
        if self.key_log {
            config.key_log = Arc::new(rustls::KeyLogFile::new());
        }
        Ok(config)
    }

    fn verifier(
        &self,
        provider: &Arc<CryptoProvider>,
    ) -> crate::Result<Arc<dyn ServerCertVerifier>> {
        if self.any_certificate {
            return Ok(verify::Lax::new(Trust::Everybody, provider));
        }
        let mut roots = Vec::new();
        for certificate in &self.roots {
            roots.extend(certificate.ders()?);
        }
        let ders = roots.iter().map(|root| root.to_vec()).collect::<Vec<_>>();
        // As in Node: webpki does not check dates, purposes or key usage of roots.
        let strictly = |inner: Arc<dyn ServerCertVerifier>| {
            let theirs = Roots::parse(&ders).map_err(error::builder)?;
            let algorithms = provider.signature_verification_algorithms;
            let verifier = StrictVerifier::new(inner, theirs, !self.roots_only, algorithms);
            Ok(Arc::new(verifier) as Arc<dyn ServerCertVerifier>)
        };
        if !self.roots_only && !self.any_name && self.revoked.is_empty() {
            let has_own = !roots.is_empty();
            let platform = platform(roots, provider)?;
            return if has_own {
                strictly(platform)
            } else {
                Ok(platform)
            };
        }
        if !self.roots_only {
            return Err(error::builder(
                "the operating system's verifier takes no revocation lists and checks names; \
                 use `tls_certs_only` with them",
            ));
        }
        let mut store = RootCertStore::empty();
        for root in roots {
            store.add(root).map_err(error::builder)?;
        }
        if store.is_empty() {
            // webpki's verifier cannot be created without roots.
            return strictly(verify::Lax::new(Trust::Nobody, provider));
        }
        let lists = self.revoked.iter().map(|list| list.der.clone());
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(provider))
                .with_crls(lists)
                .build()
                .map_err(error::builder)?;
        if self.any_name {
            strictly(verify::Lax::new(Trust::Issued(verifier), provider))
        } else {
            strictly(verifier)
        }
    }
}

/// The operating system's verifier. Without roots from the caller it is created only once: on some
/// systems creating it reads a bundle of certificates.
fn platform(
    roots: Vec<CertificateDer<'static>>,
    provider: &Arc<CryptoProvider>,
) -> crate::Result<Arc<dyn ServerCertVerifier>> {
    use rustls_platform_verifier::Verifier;

    static SHARED: OnceLock<Arc<Verifier>> = OnceLock::new();
    let made = |verifier: Result<Verifier, rustls::Error>| {
        verifier.map_err(|cause| error::builder(BoxError::from(cause)))
    };
    if !roots.is_empty() {
        let verifier = Verifier::new_with_extra_roots(roots, Arc::clone(provider));
        return Ok(Arc::new(made(verifier)?));
    }
    if CryptoProvider::get_default().is_some() {
        return Ok(Arc::new(made(Verifier::new(Arc::clone(provider)))?));
    }
    if let Some(shared) = SHARED.get() {
        return Ok(Arc::clone(shared) as _);
    }
    let verifier = Arc::new(made(Verifier::new(Arc::clone(provider)))?);
    Ok(Arc::clone(SHARED.get_or_init(|| verifier)) as _)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn malformed_certificates_are_refused() {
        assert!(Certificate::from_pem_bundle(b"-----BEGIN CERTIFICATE-----\nA").is_err());
        assert!(Identity::from_pem(b"not pem").is_err());
        assert!(CertificateRevocationList::from_pem(b"not pem").is_err());
    }

    #[test]
    fn an_empty_range_of_versions_is_rejected() {
        let settings = Settings {
            newest: Some(Version::TLS_1_1),
            ..Settings::default()
        };
        assert!(settings.build(&[]).expect_err("no version").is_builder());
    }

    #[test]
    fn a_configuration_of_another_library_is_refused() {
        let settings = Settings {
            preconfigured: Preconfigured::from_any("text"),
            ..Settings::default()
        };
        assert!(settings.build(&[]).is_err());
    }
}
