//! For front ends with their own verifier: the checks that webpki does not make.
//!
//! Created by dodici-reqwest, called by rustls. Must not know host names.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};

use super::chain::{self, Anchors, Rules};
use super::refusal::faulty;
use super::roots::Roots;

/// Accepts what another verifier accepts, if the chain to one of `roots` is also valid by OpenSSL's
/// rules: dates, purposes, key usage and basic constraints, including those of roots. As in rustls,
/// any of `roots` is a trust anchor, whoever issued it.
#[derive(Debug)]
pub struct StrictVerifier {
    inner: Arc<dyn ServerCertVerifier>,
    roots: Roots,
    /// Whether `inner` trusts others in addition, about which nothing is known here.
    trusts_others: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

impl StrictVerifier {
    /// `roots` are those given to `inner`; `trusts_others`: it has more.
    pub fn new(
        inner: Arc<dyn ServerCertVerifier>,
        roots: Roots,
        trusts_others: bool,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Self {
        Self {
            inner,
            roots,
            trusts_others,
            algorithms,
        }
    }
}

impl ServerCertVerifier for StrictVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let accepted = self.inner.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        )?;
        let store = self.roots.store();
        let rules = Rules {
            store,
            anchors: Anchors::Any,
            lists: &[],
            algorithms: self.algorithms.all,
        };
        match chain::verify(end_entity, intermediates, rules, now) {
            Err(fault) if !(self.trusts_others && fault.is_about_trust()) => Err(faulty(fault)),
            _ => Ok(accepted),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
