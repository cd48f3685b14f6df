//! Decides whether a server's certificate is good, as Node does.
//!
//! Called by rustls during a handshake. Chains, signatures and names are webpki's work (or the
//! platform's); added to it are certificates that are trusted as they are, names in the subject,
//! and certificates without extensions. Explanations are in `refusal.rs`.

use std::sync::{Arc, OnceLock};

use dodici_pool::{Error, RootSource, TlsConfig};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
    verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, SignatureScheme};
use rustls_platform_verifier::Verifier as PlatformVerifier;

use super::certificate::{Certificate, Validity};
use super::refusal::{explain, wrong_name};
use super::roots::TrustStore;
use crate::connect::errors::bad_option;

/// The verifier of one pool key.
#[derive(Debug)]
pub(super) struct NodeVerifier {
    trust: Trust,
    algorithms: WebPkiSupportedAlgorithms,
}

#[derive(Debug)]
enum Trust {
    /// `rejectUnauthorized: false`: any certificate. The handshake must still prove possession of
    /// its key.
    Anyone,
    Store(Arc<TrustStore>),
    Platform(Arc<PlatformVerifier>),
}

impl NodeVerifier {
    pub(super) fn new(config: &TlsConfig, provider: &Arc<CryptoProvider>) -> Result<Self, Error> {
        let trust = match &config.roots {
            _ if !config.verify => Trust::Anyone,
            RootSource::Default => Trust::Store(TrustStore::default_set()),
            RootSource::Custom(certs) => Trust::Store(TrustStore::custom(certs)?),
            RootSource::Platform => Trust::Platform(platform_verifier(provider)?),
        };
        Ok(Self {
            trust,
            algorithms: provider.signature_verification_algorithms,
        })
    }
}

impl NodeVerifier {
    /// A certificate of version 1 that a trusted CA issued itself, which is what
    /// `openssl x509 -req` makes unless told otherwise. OpenSSL takes it; webpki reads version 3
    /// only. No intermediate is looked at, so that such a certificate, which cannot say that it is
    /// no CA, never vouches for another.
    fn verify_without_extensions(
        &self,
        leaf: &Certificate<'_>,
        store: &TrustStore,
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        in_time(leaf, now)?;
        let vouched_for = store.exact.iter().any(|der| {
            Certificate::parse(der).is_some_and(|issuer| {
                leaf.names_as_issuer(&issuer)
                    && !issuer.denies_being_a_ca()
                    && issuer.validity_at(now) == Validity::Valid
                    && self.signed_by(leaf, &issuer)
            })
        });
        if vouched_for {
            Ok(())
        } else {
            Err(CertificateError::UnknownIssuer.into())
        }
    }

    /// Whether the issuer's key made the signature, with any algorithm that TLS accepts.
    fn signed_by(&self, leaf: &Certificate<'_>, issuer: &Certificate<'_>) -> bool {
        self.algorithms.all.iter().any(|algorithm| {
            algorithm
                .verify_signature(issuer.public_key(), leaf.signed_part(), leaf.signature())
                .is_ok()
        })
    }
}

/// The platform's verifier, made once for the process: on Linux making it reads the whole trust
/// store from disk. A failure is not kept, so that a later attempt may succeed.
fn platform_verifier(provider: &Arc<CryptoProvider>) -> Result<Arc<PlatformVerifier>, Error> {
    static MADE: OnceLock<Arc<PlatformVerifier>> = OnceLock::new();
    if let Some(made) = MADE.get() {
        return Ok(Arc::clone(made));
    }
    let fresh = PlatformVerifier::new(Arc::clone(provider))
        .map_err(|error| bad_option("ca", format_args!("the platform's trust store: {error}")))?;
    Ok(Arc::clone(MADE.get_or_init(|| Arc::new(fresh))))
}

impl ServerCertVerifier for NodeVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let explain = |error| explain(error, end_entity, intermediates, server_name);
        match &self.trust {
            Trust::Anyone => {}
            Trust::Platform(platform) => {
                platform
                    .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
                    .map_err(explain)?;
            }
            Trust::Store(store) => {
                let exact = store.exact.contains(end_entity);
                if exact {
                    verify_exact(end_entity, now)?;
                } else if let Some(leaf) = without_extensions(end_entity) {
                    self.verify_without_extensions(&leaf, store, now)
                        .map_err(explain)?;
                } else {
                    verify_server_cert_signed_by_trust_anchor(
                        &ParsedCertificate::try_from(end_entity).map_err(explain)?,
                        &store.anchors,
                        intermediates,
                        now,
                        self.algorithms.all,
                    )
                    .map_err(explain)?;
                }
                let by_webpki = ParsedCertificate::try_from(end_entity)
                    .and_then(|parsed| verify_server_name(&parsed, server_name));
                if let Err(error) = by_webpki {
                    // A name in the subject evades name constraints as webpki checks them, so it
                    // counts only where there are none.
                    let unconstrained = exact
                        || !(store.constrains_names || intermediates.iter().any(constrains_names));
                    if !(unconstrained && subject_names(end_entity, server_name)) {
                        return Err(wrong_name(error, end_entity, server_name));
                    }
                }
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        if ParsedCertificate::try_from(cert).is_ok() {
            return verify_tls12_signature(message, cert, dss, &self.algorithms);
        }
        let parsed = readable(cert)?;
        let (_, candidates) = self
            .algorithms
            .mapping
            .iter()
            .find(|(scheme, _)| *scheme == dss.scheme)
            .ok_or(CertificateError::BadSignature)?;
        candidates
            .iter()
            .any(|algorithm| {
                let key = parsed.public_key();
                algorithm
                    .verify_signature(key, message, dss.signature())
                    .is_ok()
            })
            .then(HandshakeSignatureValid::assertion)
            .ok_or_else(|| CertificateError::BadSignature.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        if ParsedCertificate::try_from(cert).is_ok() {
            return verify_tls13_signature(message, cert, dss, &self.algorithms);
        }
        let parsed = readable(cert)?;
        let key = SubjectPublicKeyInfoDer::from(parsed.public_key_info());
        verify_tls13_signature_with_raw_key(message, &key, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// For certificates that webpki cannot read (X.509 version 1) but that were accepted all the same.
fn readable<'a>(der: &'a CertificateDer<'_>) -> Result<Certificate<'a>, rustls::Error> {
    Certificate::parse(der).ok_or_else(|| CertificateError::BadEncoding.into())
}

/// A certificate that is itself one of the trusted ones: no chain to build, and its own signature
/// proves nothing. What is left of the checks is time and purpose.
fn verify_exact(der: &CertificateDer<'_>, now: UnixTime) -> Result<(), rustls::Error> {
    let certificate = readable(der)?;
    in_time(&certificate, now)?;
    if !certificate.may_serve_tls() {
        return Err(CertificateError::InvalidPurpose.into());
    }
    Ok(())
}

fn in_time(certificate: &Certificate<'_>, now: UnixTime) -> Result<(), rustls::Error> {
    match certificate.validity_at(now) {
        Validity::NotYet => Err(CertificateError::NotValidYet.into()),
        Validity::Expired => Err(CertificateError::Expired.into()),
        Validity::Valid => Ok(()),
    }
}

fn without_extensions<'a>(der: &'a CertificateDer<'_>) -> Option<Certificate<'a>> {
    Certificate::parse(der).filter(Certificate::lacks_extensions)
}

fn constrains_names(der: &CertificateDer<'_>) -> bool {
    Certificate::parse(der).is_none_or(|certificate| certificate.constrains_names())
}

/// Node's rule (`tls.checkServerIdentity`): a host name may stand in the subject's common name if
/// the certificate has no DNS names at all.
fn subject_names(der: &CertificateDer<'_>, wanted: &ServerName<'_>) -> bool {
    let (ServerName::DnsName(wanted), Some(certificate)) = (wanted, Certificate::parse(der)) else {
        return false;
    };
    let alternatives = certificate.alternative_names();
    !alternatives.dns
        && !alternatives.unreadable
        && certificate
            .common_names()
            .iter()
            .any(|name| name_matches(name, wanted.as_ref()))
}

/// Letter case and a final dot do not matter; `*` stands for exactly one whole label, the first,
/// above at least two others (RFC 6125, section 6.4.3).
fn name_matches(pattern: &str, host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let pattern = pattern.strip_suffix('.').unwrap_or(pattern);
    if pattern.is_empty() || pattern.contains('\0') {
        return false;
    }
    match pattern.strip_prefix("*.") {
        None => pattern.eq_ignore_ascii_case(host),
        Some(parent) => host.split_once('.').is_some_and(|(label, rest)| {
            !label.is_empty()
                && parent.contains('.')
                && !parent.contains('*')
                && rest.eq_ignore_ascii_case(parent)
        }),
    }
}
