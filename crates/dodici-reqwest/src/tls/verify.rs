//! A verifier with checks disabled on request.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

/// Checks no names; always that the server has its certificate's key.
#[derive(Debug)]
pub(super) struct Lax {
    trust: Trust,
    algorithms: WebPkiSupportedAlgorithms,
}

/// Whose certificate is accepted.
#[derive(Debug)]
pub(super) enum Trust {
    Everybody,
    Nobody,
    /// Whoever has a certificate that is right but for the name.
    Issued(Arc<WebPkiServerVerifier>),
}

impl Lax {
    pub(super) fn new(trust: Trust, provider: &CryptoProvider) -> Arc<Self> {
        Arc::new(Self {
            trust,
            algorithms: provider.signature_verification_algorithms,
        })
    }
}

impl ServerCertVerifier for Lax {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        use CertificateError::{NotValidForName, NotValidForNameContext, UnknownIssuer};

        let right = Ok(ServerCertVerified::assertion());
        match &self.trust {
            Trust::Everybody => right,
            Trust::Nobody => Err(UnknownIssuer.into()),
            // The name is checked last.
            Trust::Issued(strict) => {
                match strict.verify_server_cert(end_entity, intermediates, name, ocsp, now) {
                    Err(Error::InvalidCertificate(
                        NotValidForName | NotValidForNameContext { .. },
                    )) => right,
                    judged => judged,
                }
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
