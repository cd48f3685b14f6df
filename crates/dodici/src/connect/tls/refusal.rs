//! Why a server's certificate was rejected, in the words of Node and OpenSSL.
//!
//! Called by the verifier once `chain`, webpki or the platform has rejected it; decides nothing
//! itself.

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use rustls::{CertificateError, OtherError};

use super::certificate::Certificate;
use super::chain::{self, Anchors, Rules};
use super::fault::{self, Fault};
use super::names::check_host;
use super::roots::TrustStore;

/// Why a certificate was rejected, in Node's terms; passes through rustls inside
/// [`CertificateError::Other`].
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) code: &'static str,
    pub(super) message: String,
    /// The error of webpki or the platform.
    cause: rustls::Error,
}

/// Converts errors of webpki and the platform that OpenSSL reports differently to a [`Refusal`].
pub(super) fn explain(
    error: rustls::Error,
    end_entity: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    host: &str,
    now: UnixTime,
    algorithms: &[&dyn SignatureVerificationAlgorithm],
) -> rustls::Error {
    let rustls::Error::InvalidCertificate(reason) = &error else {
        return error;
    };
    let leaf = Certificate::parse(end_entity);
    let is_self_issued = leaf.as_ref().is_some_and(Certificate::is_self_issued);
    match reason {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            let mismatch = leaf.and_then(|leaf| check_host(&leaf, host).err());
            let message = mismatch.unwrap_or_else(|| error.to_string());
            return wrong_name(message, error);
        }
        CertificateError::UnknownIssuer => {}
        // webpki stops at a CA certificate in the first position, or at one of version 1. What
        // matters is that no trust anchor was found.
        CertificateError::BadSignature
        | CertificateError::BadEncoding
        | CertificateError::Other(_)
            if is_self_issued => {}
        _ => return error,
    }
    // What OpenSSL reports without trust anchors, depending on where the chain ends.
    let nobody = TrustStore::default();
    let rules = Rules {
        store: &nobody,
        anchors: Anchors::SelfSigned,
        lists: &[],
        algorithms,
    };
    match chain::verify(end_entity, intermediates, rules, now) {
        Err(fault) => refuse(fault.code, fault.message.to_owned(), error),
        Ok(()) => error,
    }
}

/// A rejected chain.
pub(super) fn faulty(fault: Fault) -> rustls::Error {
    let cause = match fault {
        fault::EXPIRED => CertificateError::Expired,
        fault::NOT_YET_VALID => CertificateError::NotValidYet,
        fault::BAD_SIGNATURE => CertificateError::BadSignature,
        fault::PURPOSE => CertificateError::InvalidPurpose,
        fault::MALFORMED => CertificateError::BadEncoding,
        fault::REVOKED => CertificateError::Revoked,
        fault::NO_LIST => CertificateError::UnknownRevocationStatus,
        fault::LIST_EXPIRED => CertificateError::ExpiredRevocationList,
        fault if fault.is_about_trust() => CertificateError::UnknownIssuer,
        _ => CertificateError::ApplicationVerificationFailure,
    };
    refuse(fault.code, fault.message.to_owned(), cause.into())
}

/// A valid certificate for another name.
pub(super) fn wrong_name(message: String, cause: rustls::Error) -> rustls::Error {
    refuse("ERR_TLS_CERT_ALTNAME_INVALID", message, cause)
}

fn refuse(code: &'static str, message: String, cause: rustls::Error) -> rustls::Error {
    let refusal = Refusal {
        code,
        message,
        cause,
    };
    CertificateError::Other(OtherError(Arc::new(refusal))).into()
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}
