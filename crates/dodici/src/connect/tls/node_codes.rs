//! Node's codes and messages for TLS failures.
//!
//! Called where an I/O error may contain a rustls error: handshakes, and later reads and writes.
//! Sources: Node's `X509ErrorCode`, OpenSSL's `X509_verify_cert_error_string`, and OpenSSL's reason
//! names for alerts, which Node prefixes with `ERR_SSL_`.

use std::io;

use dodici_pool::SystemDetail;
use rustls::{
    AlertDescription, CertificateError, CipherSuite, Error as TlsError, InvalidMessage,
    PeerIncompatible,
};

use super::refusal::Refusal;
use crate::connect::errors::os_code;

/// The rustls error inside an I/O error of a TLS stream.
pub(super) fn rustls_error(error: &io::Error) -> Option<&TlsError> {
    error.get_ref()?.downcast_ref()
}

/// Describes a failed `read` or `write` of a [`Transport`](crate::connect::Transport) like Node:
/// `read ECONNRESET`, or the TLS alert that the peer sent.
///
/// Returns the message and the detail; the caller adds kind, phase and replay.
pub(crate) fn describe_io_error(
    error: &io::Error,
    syscall: &'static str,
) -> (String, SystemDetail) {
    if let Some(tls) = rustls_error(error) {
        return describe(tls);
    }
    let (code, errno) = os_code(error);
    let detail = SystemDetail::of_call(syscall, code, errno);
    (format!("{syscall} {code}"), detail)
}

/// Message and detail of a TLS failure.
fn describe(error: &TlsError) -> (String, SystemDetail) {
    let (code, message): (&'static str, String) = match error {
        TlsError::InvalidCertificate(reason) => certificate(reason),
        TlsError::AlertReceived(AlertDescription::CloseNotify) => return disconnected(),
        TlsError::AlertReceived(alert) => {
            let (code, reason) = alert_names(*alert);
            let number = u8::from(*alert);
            // OpenSSL's reason numbers for alerts are 1000 and the alert; library 20 is SSL.
            let packed = 0x0A00_0000 + 1000 + u32::from(number);
            let message =
                format!("error:{packed:08X}:SSL routines::{reason}:SSL alert number {number}");
            (code, message)
        }
        TlsError::InvalidMessage(
            InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
        ) => ssl(
            "ERR_SSL_WRONG_VERSION_NUMBER",
            0x10B,
            "wrong version number",
        ),
        TlsError::InvalidMessage(InvalidMessage::MessageTooLarge) => ssl(
            "ERR_SSL_PACKET_LENGTH_TOO_LONG",
            198,
            "packet length too long",
        ),
        TlsError::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled,
        ) => ssl("ERR_SSL_UNSUPPORTED_PROTOCOL", 258, "unsupported protocol"),
        TlsError::InappropriateMessage { .. } | TlsError::InappropriateHandshakeMessage { .. } => {
            ssl("ERR_SSL_UNEXPECTED_MESSAGE", 244, "unexpected message")
        }
        TlsError::DecryptError => ssl(
            "ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC",
            281,
            "decryption failed or bad record mac",
        ),
        TlsError::InvalidMessage(_) => ssl("ERR_SSL_BAD_PACKET", 0x200, &error.to_string()),
        TlsError::NoApplicationProtocol => ssl("ERR_SSL_BAD_EXTENSION", 110, "bad extension"),
        other => ("EPROTO", other.to_string()),
    };
    (message, SystemDetail::new(code))
}

/// The peer ended the stream during the handshake: the message of Node's `tls.connect`.
pub(super) fn disconnected() -> (String, SystemDetail) {
    (
        "Client network socket disconnected before secure TLS connection was established"
            .to_owned(),
        SystemDetail::new("ECONNRESET"),
    )
}

fn ssl(code: &'static str, reason: u32, text: &str) -> (&'static str, String) {
    let packed = 0x0A00_0000 + reason;
    (code, format!("error:{packed:08X}:SSL routines::{text}"))
}

fn certificate(reason: &CertificateError) -> (&'static str, String) {
    let known = |code, message: &str| (code, message.to_owned());
    match reason {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            known("CERT_HAS_EXPIRED", "certificate has expired")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            known("CERT_NOT_YET_VALID", "certificate is not yet valid")
        }
        CertificateError::Revoked => known("CERT_REVOKED", "certificate revoked"),
        CertificateError::BadSignature => {
            known("CERT_SIGNATURE_FAILURE", "certificate signature failure")
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            known("INVALID_PURPOSE", "unsuitable certificate purpose")
        }
        CertificateError::UnknownIssuer => known(
            "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
            "unable to get local issuer certificate",
        ),
        CertificateError::UnknownRevocationStatus => {
            known("UNABLE_TO_GET_CRL", "unable to get certificate CRL")
        }
        CertificateError::ExpiredRevocationList
        | CertificateError::ExpiredRevocationListContext { .. } => {
            known("CRL_HAS_EXPIRED", "CRL has expired")
        }
        CertificateError::BadEncoding => known("CERT_REJECTED", "certificate is malformed"),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            ("ERR_TLS_CERT_ALTNAME_INVALID", reason.to_string())
        }
        CertificateError::Other(other) => {
            if let Some(refusal) = other.0.downcast_ref::<Refusal>() {
                return (refusal.code, refusal.message.clone());
            }
            match other.0.downcast_ref::<webpki::Error>() {
                Some(error) => by_webpki(error),
                None => ("UNSPECIFIED", other.to_string()),
            }
        }
        other => ("UNSPECIFIED", other.to_string()),
    }
}

/// Errors that rustls passes on unnamed. Codes unknown to Node are `UNSPECIFIED` there too.
fn by_webpki(error: &webpki::Error) -> (&'static str, String) {
    match error {
        webpki::Error::CaUsedAsEndEntity => (
            "INVALID_PURPOSE",
            "unsuitable certificate purpose: a CA certificate presented as a server's".to_owned(),
        ),
        webpki::Error::EndEntityUsedAsCa => ("INVALID_CA", "invalid CA certificate".to_owned()),
        webpki::Error::PathLenConstraintViolated => (
            "PATH_LENGTH_EXCEEDED",
            "path length constraint exceeded".to_owned(),
        ),
        webpki::Error::MaximumPathDepthExceeded
        | webpki::Error::MaximumPathBuildCallsExceeded
        | webpki::Error::MaximumSignatureChecksExceeded => (
            "CERT_CHAIN_TOO_LONG",
            "certificate chain too long".to_owned(),
        ),
        webpki::Error::NameConstraintViolation => {
            ("UNSPECIFIED", "permitted subtree violation".to_owned())
        }
        webpki::Error::UnsupportedCriticalExtension => {
            ("UNSPECIFIED", "unhandled critical extension".to_owned())
        }
        other => ("UNSPECIFIED", other.to_string()),
    }
}

/// Node's code and OpenSSL's message for an alert from the peer.
fn alert_names(alert: AlertDescription) -> (&'static str, &'static str) {
    macro_rules! names {
        ($($alert:ident => $code:literal $reason:literal,)*) => {
            match alert {
                $(AlertDescription::$alert => (concat!("ERR_SSL_", $code), $reason),)*
                _ => ("ERR_SSL_UNKNOWN_ALERT_TYPE", "unknown alert type"),
            }
        };
    }
    names! {
        UnexpectedMessage => "SSLV3_ALERT_UNEXPECTED_MESSAGE" "sslv3 alert unexpected message",
        BadRecordMac => "SSLV3_ALERT_BAD_RECORD_MAC" "sslv3 alert bad record mac",
        DecryptionFailed => "TLSV1_ALERT_DECRYPTION_FAILED" "tlsv1 alert decryption failed",
        RecordOverflow => "TLSV1_ALERT_RECORD_OVERFLOW" "tlsv1 alert record overflow",
        DecompressionFailure =>
            "SSLV3_ALERT_DECOMPRESSION_FAILURE" "sslv3 alert decompression failure",
        HandshakeFailure => "SSLV3_ALERT_HANDSHAKE_FAILURE" "sslv3 alert handshake failure",
        NoCertificate => "SSLV3_ALERT_NO_CERTIFICATE" "sslv3 alert no certificate",
        BadCertificate => "SSLV3_ALERT_BAD_CERTIFICATE" "sslv3 alert bad certificate",
        UnsupportedCertificate =>
            "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE" "sslv3 alert unsupported certificate",
        CertificateRevoked =>
            "SSLV3_ALERT_CERTIFICATE_REVOKED" "sslv3 alert certificate revoked",
        CertificateExpired =>
            "SSLV3_ALERT_CERTIFICATE_EXPIRED" "sslv3 alert certificate expired",
        CertificateUnknown =>
            "SSLV3_ALERT_CERTIFICATE_UNKNOWN" "sslv3 alert certificate unknown",
        IllegalParameter => "SSLV3_ALERT_ILLEGAL_PARAMETER" "sslv3 alert illegal parameter",
        UnknownCA => "TLSV1_ALERT_UNKNOWN_CA" "tlsv1 alert unknown ca",
        AccessDenied => "TLSV1_ALERT_ACCESS_DENIED" "tlsv1 alert access denied",
        DecodeError => "TLSV1_ALERT_DECODE_ERROR" "tlsv1 alert decode error",
        DecryptError => "TLSV1_ALERT_DECRYPT_ERROR" "tlsv1 alert decrypt error",
        ExportRestriction => "TLSV1_ALERT_EXPORT_RESTRICTION" "tlsv1 alert export restriction",
        ProtocolVersion => "TLSV1_ALERT_PROTOCOL_VERSION" "tlsv1 alert protocol version",
        InsufficientSecurity =>
            "TLSV1_ALERT_INSUFFICIENT_SECURITY" "tlsv1 alert insufficient security",
        InternalError => "TLSV1_ALERT_INTERNAL_ERROR" "tlsv1 alert internal error",
        InappropriateFallback =>
            "TLSV1_ALERT_INAPPROPRIATE_FALLBACK" "tlsv1 alert inappropriate fallback",
        UserCanceled => "TLSV1_ALERT_USER_CANCELLED" "tlsv1 alert user cancelled",
        NoRenegotiation => "TLSV1_ALERT_NO_RENEGOTIATION" "tlsv1 alert no renegotiation",
        MissingExtension => "TLSV13_ALERT_MISSING_EXTENSION" "tlsv13 alert missing extension",
        UnsupportedExtension => "TLSV1_UNSUPPORTED_EXTENSION" "tlsv1 unsupported extension",
        CertificateUnobtainable =>
            "TLSV1_CERTIFICATE_UNOBTAINABLE" "tlsv1 certificate unobtainable",
        UnrecognisedName => "TLSV1_UNRECOGNIZED_NAME" "tlsv1 unrecognized name",
        BadCertificateStatusResponse =>
            "TLSV1_BAD_CERTIFICATE_STATUS_RESPONSE" "tlsv1 bad certificate status response",
        BadCertificateHashValue =>
            "TLSV1_BAD_CERTIFICATE_HASH_VALUE" "tlsv1 bad certificate hash value",
        UnknownPSKIdentity =>
            "TLSV1_ALERT_UNKNOWN_PSK_IDENTITY" "tlsv1 alert unknown psk identity",
        CertificateRequired =>
            "TLSV13_ALERT_CERTIFICATE_REQUIRED" "tlsv13 alert certificate required",
        NoApplicationProtocol =>
            "TLSV1_ALERT_NO_APPLICATION_PROTOCOL" "tlsv1 alert no application protocol",
    }
}

/// IANA's name of a cipher suite; rustls spells those of TLS 1.3 with a version.
pub(super) fn iana_name(suite: CipherSuite) -> &'static str {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        other => other.as_str().unwrap_or(""),
    }
}
