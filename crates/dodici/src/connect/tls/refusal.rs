//! Why a server's certificate was refused, in the words of Node and OpenSSL.
//!
//! Called by the verifier once webpki or the platform has said no; decides nothing itself.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, OtherError};

use super::certificate::Certificate;

/// Why a certificate was refused, in Node's terms; travels through rustls inside
/// [`CertificateError::Other`].
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) code: &'static str,
    pub(super) message: String,
    /// What webpki or the platform said.
    cause: rustls::Error,
}

/// Turns the errors that webpki words differently from OpenSSL into a [`Refusal`].
pub(super) fn explain(
    error: rustls::Error,
    end_entity: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    server_name: &ServerName<'_>,
) -> rustls::Error {
    let rustls::Error::InvalidCertificate(reason) = &error else {
        return error;
    };
    let (code, message) = match reason {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            return wrong_name(error, end_entity, server_name);
        }
        CertificateError::UnknownIssuer => {
            let (code, message) = missing_issuer(end_entity, intermediates);
            (code, message.to_owned())
        }
        // webpki stops at a CA certificate in the first place, at a version 1 certificate, or at a
        // signature that an anchor of the same name did not make. For a self-signed one OpenSSL
        // says what matters: that nobody vouches for it.
        CertificateError::BadSignature
        | CertificateError::BadEncoding
        | CertificateError::Other(_)
            if Certificate::parse(end_entity).is_some_and(|leaf| leaf.is_self_issued()) =>
        {
            (
                "DEPTH_ZERO_SELF_SIGNED_CERT",
                "self-signed certificate".to_owned(),
            )
        }
        _ => return error,
    };
    refuse(code, message, error)
}

/// The refusal of a certificate that is good but for another name.
pub(super) fn wrong_name(
    error: rustls::Error,
    end_entity: &CertificateDer<'_>,
    server_name: &ServerName<'_>,
) -> rustls::Error {
    let message = name_mismatch(end_entity, server_name);
    refuse("ERR_TLS_CERT_ALTNAME_INVALID", message, error)
}

fn refuse(code: &'static str, message: String, cause: rustls::Error) -> rustls::Error {
    let refusal = Refusal {
        code,
        message,
        cause,
    };
    CertificateError::Other(OtherError(Arc::new(refusal))).into()
}

/// Which of OpenSSL's errors an unknown issuer is: it depends on where the presented chain ends.
fn missing_issuer(
    end_entity: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
) -> (&'static str, &'static str) {
    const LOCAL: (&str, &str) = (
        "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
        "unable to get local issuer certificate",
    );
    let Some(leaf) = Certificate::parse(end_entity) else {
        return LOCAL;
    };
    if leaf.is_self_issued() {
        return ("DEPTH_ZERO_SELF_SIGNED_CERT", "self-signed certificate");
    }
    let mut unused: Vec<_> = intermediates
        .iter()
        .filter_map(Certificate::parse)
        .collect();
    let mut last = leaf;
    let mut depth = 0;
    while let Some(next) = unused
        .iter()
        .position(|issuer| last.names_as_issuer(issuer))
    {
        last = unused.swap_remove(next);
        depth += 1;
        if last.is_self_issued() {
            return (
                "SELF_SIGNED_CERT_IN_CHAIN",
                "self-signed certificate in certificate chain",
            );
        }
    }
    if depth == 0 {
        return (
            "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
            "unable to verify the first certificate",
        );
    }
    LOCAL
}

/// The message of Node's `ERR_TLS_CERT_ALTNAME_INVALID`.
fn name_mismatch(end_entity: &CertificateDer<'_>, server_name: &ServerName<'_>) -> String {
    let certificate = Certificate::parse(end_entity);
    let names = certificate
        .as_ref()
        .map(Certificate::alternative_names)
        .unwrap_or_default();
    let reason = match server_name {
        ServerName::IpAddress(ip) => {
            let ips: Vec<_> = names.ips.iter().map(ToString::to_string).collect();
            format!(
                "IP: {} is not in the cert's list: {}",
                IpAddr::from(*ip),
                ips.join(", ")
            )
        }
        _ => {
            let host = server_name.to_str();
            let host = host.strip_suffix('.').unwrap_or(&host);
            let common = certificate
                .as_ref()
                .map(|certificate| certificate.common_names().join(","))
                .unwrap_or_default();
            if names.dns {
                format!(
                    "Host: {host}. is not in the cert's altnames: {}",
                    names.listed.join(", ")
                )
            } else if !common.is_empty() {
                format!("Host: {host}. is not cert's CN: {}", common.escape_debug())
            } else {
                "Cert does not contain a DNS name".to_owned()
            }
        }
    };
    format!("Hostname/IP does not match certificate's altnames: {reason}")
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
