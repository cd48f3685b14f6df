//! What webpki does not show of a certificate: subject, issuer, validity, names.
//!
//! Called by the verifier and the trust store, for explanations and for certificates that are
//! trusted as they are. A certificate that cannot be read is never trusted here.

use std::net::IpAddr;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::UnixTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::x509::X509Version;

/// A parsed certificate.
pub(super) struct Certificate<'a>(X509Certificate<'a>);

/// Where a time lies in relation to a certificate's validity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Validity {
    NotYet,
    Valid,
    Expired,
}

impl<'a> Certificate<'a> {
    /// `None` if it is not exactly one well-formed certificate.
    pub(super) fn parse(der: &'a CertificateDer<'_>) -> Option<Self> {
        let (rest, parsed) = X509Certificate::from_der(der).ok()?;
        rest.is_empty().then_some(Self(parsed))
    }

    /// Whether it has a version without extensions, which webpki does not read.
    pub(super) fn lacks_extensions(&self) -> bool {
        self.0.version() != X509Version::V3
    }

    /// The bytes that its issuer signed.
    pub(super) fn signed_part(&self) -> &[u8] {
        self.0.tbs_certificate.as_ref()
    }

    /// Its issuer's signature.
    pub(super) fn signature(&self) -> &[u8] {
        &self.0.signature_value.data
    }

    /// Whether it names itself as its issuer.
    pub(super) fn is_self_issued(&self) -> bool {
        self.0.subject().as_raw() == self.0.issuer().as_raw()
    }

    /// Whether `issuer` bears the name of this one's issuer.
    pub(super) fn names_as_issuer(&self, issuer: &Certificate<'_>) -> bool {
        self.0.issuer().as_raw() == issuer.0.subject().as_raw()
    }

    pub(super) fn validity_at(&self, now: UnixTime) -> Validity {
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let validity = self.0.validity();
        if now < validity.not_before.timestamp() {
            Validity::NotYet
        } else if now > validity.not_after.timestamp() {
            Validity::Expired
        } else {
            Validity::Valid
        }
    }

    /// Whether it may serve TLS: no extended key usage at all, or one that says so.
    pub(super) fn may_serve_tls(&self) -> bool {
        match self.0.extended_key_usage() {
            Ok(None) => true,
            Ok(Some(usage)) => usage.value.server_auth || usage.value.any,
            Err(_) => false,
        }
    }

    /// Whether it denies being a CA. A certificate without basic constraints denies nothing: old
    /// roots have none.
    pub(super) fn denies_being_a_ca(&self) -> bool {
        match self.0.basic_constraints() {
            Ok(None) => false,
            Ok(Some(constraints)) => !constraints.value.ca,
            Err(_) => true,
        }
    }

    /// Whether it limits the names below it; also if that cannot be told.
    pub(super) fn constrains_names(&self) -> bool {
        !matches!(self.0.name_constraints(), Ok(None))
    }

    /// The key's SubjectPublicKeyInfo, DER.
    pub(super) fn public_key_info(&self) -> &[u8] {
        self.0.public_key().raw
    }

    /// The key alone: the content of the bit string in the SubjectPublicKeyInfo.
    pub(super) fn public_key(&self) -> &[u8] {
        &self.0.public_key().subject_public_key.data
    }

    /// Common names of the subject.
    pub(super) fn common_names(&self) -> Vec<&str> {
        let names = self.0.subject().iter_common_name();
        names.filter_map(|name| name.as_str().ok()).collect()
    }

    /// Subject alternative names.
    pub(super) fn alternative_names(&self) -> AlternativeNames {
        let mut found = AlternativeNames::default();
        let names = match self.0.subject_alternative_name() {
            Ok(None) => return found,
            Ok(Some(extension)) => extension.value.general_names.as_slice(),
            Err(_) => {
                found.unreadable = true;
                return found;
            }
        };
        for name in names {
            match name {
                GeneralName::DNSName(name) => {
                    found.dns = true;
                    found.listed.push(format!("DNS:{}", name.escape_debug()));
                }
                GeneralName::IPAddress(bytes) => {
                    let Some(ip) = ip_address(bytes) else {
                        found.unreadable = true;
                        continue;
                    };
                    found.ips.push(ip);
                    found.listed.push(format!("IP Address:{ip}"));
                }
                GeneralName::URI(uri) => found.listed.push(format!("URI:{}", uri.escape_debug())),
                GeneralName::RFC822Name(mail) => {
                    found.listed.push(format!("email:{}", mail.escape_debug()));
                }
                GeneralName::Invalid(..) => found.unreadable = true,
                _ => {}
            }
        }
        found
    }
}

/// What a certificate's subjectAltName extension says.
#[derive(Debug, Default)]
pub(super) struct AlternativeNames {
    /// Whether there is a DNS name.
    pub(super) dns: bool,
    /// IP addresses.
    pub(super) ips: Vec<IpAddr>,
    /// All, as Node lists them in `subjectaltname`.
    pub(super) listed: Vec<String>,
    /// Whether the extension, or a name in it, is malformed.
    pub(super) unreadable: bool,
}

fn ip_address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(v4.into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)
}
