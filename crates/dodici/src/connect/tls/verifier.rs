//! Verifies a server's certificate like Node.
//!
//! Called by rustls during a handshake. Chains are validated by `chain`, by webpki for Mozilla's
//! bundle, or by the platform. Error messages are in `refusal.rs`.

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
use rustls::{
    CertificateError, DigitallySignedStruct, PeerMisbehaved, RootCertStore, SignatureScheme,
};
use rustls_platform_verifier::Verifier as PlatformVerifier;

use super::certificate::Certificate;
use super::chain::{self, Anchors, Rules};
use super::in_order;
use super::names::check_host;
use super::refusal::{explain, faulty, wrong_name};
use super::revocation::RevocationList;
use super::roots::{TrustStore, certificates};
use crate::connect::errors::bad_option;

/// The verifier of one pool key.
#[derive(Debug)]
pub(super) struct NodeVerifier {
    trust: Trust,
    /// The name that the certificate must match; rustls may have another name, or none.
    host: String,
    /// Whether it must: else the caller judges.
    checks_host: bool,
    algorithms: WebPkiSupportedAlgorithms,
    /// Signature schemes accepted in a handshake.
    schemes: Vec<SignatureScheme>,
}

#[derive(Debug)]
enum Trust {
    /// `rejectUnauthorized: false`: any certificate. The handshake must still prove possession of
    /// its key.
    Anyone,
    Store(Arc<TrustStore>, Anchors, Vec<RevocationList>),
    /// Mozilla's, of which only what webpki needs is known.
    Bundle(RootCertStore),
    Platform(Arc<PlatformVerifier>),
}

impl NodeVerifier {
    pub(super) fn new(
        host: String,
        config: &TlsConfig,
        store: Option<Arc<TrustStore>>,
        checks_host: bool,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, Error> {
        let algorithms = provider.signature_verification_algorithms;
        let trust = match store {
            _ if !config.verify => Trust::Anyone,
            Some(store) => {
                let parse = |list: &Vec<u8>| RevocationList::parse(list, algorithms.all);
                let lists: Result<_, _> = config.revocation_lists.iter().map(parse).collect();
                let anchors = match config.partial_chains {
                    true => Anchors::Any,
                    false => Anchors::SelfSigned,
                };
                Trust::Store(store, anchors, lists?)
            }
            None if !config.revocation_lists.is_empty() => {
                return Err(bad_option("crl", "it requires roots that are given"));
            }
            None if config.roots == RootSource::Platform => {
                if !config.more_roots.is_empty() {
                    let why = "its authorities cannot be added to the platform's";
                    return Err(bad_option("pfx", why));
                }
                Trust::Platform(platform_verifier(provider)?)
            }
            None => Trust::Bundle(bundle(&config.more_roots)?),
        };
        let mut schemes = algorithms.supported_schemes();
        if let Some(wanted) = &config.signature_schemes {
            schemes = in_order(wanted, &schemes, |scheme| (*scheme).into());
        }
        Ok(Self {
            trust,
            host,
            checks_host,
            algorithms,
            schemes,
        })
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// A valid chain, DER: from the first presented certificate to its trust anchor, if that is known.
    pub(super) fn path(&self, presented: &[CertificateDer<'_>]) -> Vec<Vec<u8>> {
        match (&self.trust, presented.split_first()) {
            (Trust::Store(store, anchors, _), Some((leaf, others))) => {
                chain::path(leaf, others, store, *anchors, UnixTime::now())
            }
            _ => presented.iter().map(|one| one.to_vec()).collect(),
        }
    }

    fn verify_bundled(
        &self,
        roots: &RootCertStore,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        let leaf = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&leaf, roots, intermediates, now, algorithms)?;
        verify_server_name(&leaf, server_name)
    }

    /// Rejects a scheme that was not offered.
    fn check_scheme(&self, dss: &DigitallySignedStruct) -> Result<(), rustls::Error> {
        if self.schemes.contains(&dss.scheme) {
            return Ok(());
        }
        Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into())
    }

    /// Whether the proof of possession may be skipped: verification is off, and the key is too
    /// small for rustls. An attacker who could forge the proof could present their own key just as
    /// well.
    fn needs_no_proof(&self, certificate: &CertificateDer<'_>) -> bool {
        matches!(self.trust, Trust::Anyone)
            && Certificate::parse(certificate).is_some_and(|parsed| parsed.has_weak_key())
    }
}

/// Mozilla's roots, and more.
fn bundle(more: &[Vec<u8>]) -> Result<RootCertStore, Error> {
    let mut store = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    for item in more {
        for root in certificates(item).map_err(|why| bad_option("pfx", why))? {
            store.add(root).map_err(|error| bad_option("pfx", error))?;
        }
    }
    Ok(store)
}

/// The platform's verifier, created once per process: on Linux this reads the whole trust store
/// from disk. A failure is not cached, so that a later attempt may succeed.
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
        let algorithms = self.algorithms.all;
        let explain = |error| {
            explain(
                error,
                end_entity,
                intermediates,
                &self.host,
                now,
                algorithms,
            )
        };
        match &self.trust {
            Trust::Anyone => {}
            Trust::Store(store, anchors, lists) => {
                let rules = Rules {
                    store,
                    anchors: *anchors,
                    lists,
                    algorithms,
                };
                chain::verify(end_entity, intermediates, rules, now).map_err(faulty)?;
                if self.checks_host {
                    check_host(&readable(end_entity)?, &self.host).map_err(|message| {
                        wrong_name(message, CertificateError::NotValidForName.into())
                    })?;
                }
            }
            Trust::Bundle(roots) => self
                .verify_bundled(roots, end_entity, intermediates, server_name, now)
                .map_err(explain)?,
            Trust::Platform(platform) => platform
                .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
                .map(drop)
                .map_err(explain)?,
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        if self.needs_no_proof(cert) {
            return Ok(HandshakeSignatureValid::assertion());
        }
        self.check_scheme(dss)?;
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
        if self.needs_no_proof(cert) {
            return Ok(HandshakeSignatureValid::assertion());
        }
        self.check_scheme(dss)?;
        if ParsedCertificate::try_from(cert).is_ok() {
            return verify_tls13_signature(message, cert, dss, &self.algorithms);
        }
        let parsed = readable(cert)?;
        let key = SubjectPublicKeyInfoDer::from(parsed.public_key_info());
        verify_tls13_signature_with_raw_key(message, &key, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}

/// For certificates that webpki cannot parse (X.509 version 1) but that were accepted anyway.
fn readable<'a>(der: &'a CertificateDer<'_>) -> Result<Certificate<'a>, rustls::Error> {
    Certificate::parse(der).ok_or_else(|| CertificateError::BadEncoding.into())
}
