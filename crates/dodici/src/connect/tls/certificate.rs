//! A parsed certificate with OpenSSL's view of it: `crypto/x509/v3_purp.c` of OpenSSL 3.
//!
//! Called by `chain`, `revocation` and `names`, which decide; by the trust store; and by the verifier
//! if webpki cannot parse a certificate. One that cannot be parsed is never trusted.

use std::borrow::Cow;

use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{AuthorityKeyIdentifier, NameConstraints, ParsedExtension};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::{X509Name, X509Version};

use super::extensions::{Extensions, find};

/// A parsed certificate.
pub(super) struct Certificate<'a> {
    der: &'a [u8],
    parsed: X509Certificate<'a>,
    extensions: Extensions,
}

/// A time relative to a certificate's validity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Validity {
    NotYet,
    Valid,
    Expired,
}

/// The result of verifying a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signature {
    Good,
    Bad,
    /// Made with an algorithm that is not accepted for TLS here, such as SHA-1.
    Unacceptable,
}

/// RSA moduli below it are too weak: level 2 of OpenSSL, the default since 3.2. rustls supports no
/// smaller ones either.
const LEAST_RSA_BITS: usize = 2048;

impl<'a> Certificate<'a> {
    /// `None` if it is not exactly one well-formed certificate, or has a relevant extension twice
    /// or malformed.
    pub(super) fn parse(der: &'a CertificateDer<'_>) -> Option<Self> {
        let (rest, parsed) = X509Certificate::from_der(der).ok()?;
        let extensions = Extensions::read(&parsed)?;
        rest.is_empty().then_some(Self {
            der,
            parsed,
            extensions,
        })
    }

    /// Whether both are identical, byte for byte.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.der == other.der
    }

    pub(super) fn der(&self) -> &[u8] {
        self.der
    }

    /// DER of the subject.
    pub(super) fn subject(&self) -> &[u8] {
        self.parsed.subject().as_raw()
    }

    /// DER of the issuer.
    pub(super) fn issuer(&self) -> &[u8] {
        self.parsed.issuer().as_raw()
    }

    pub(super) fn subject_name(&self) -> &X509Name<'_> {
        self.parsed.subject()
    }

    /// Whether it names itself as its issuer (`EXFLAG_SI`).
    pub(super) fn is_self_issued(&self) -> bool {
        self.subject() == self.issuer()
    }

    /// Whether it appears to be self-signed (`EXFLAG_SS`); does not check the signature.
    pub(super) fn is_self_signed(&self) -> bool {
        self.is_issued_by(self)
    }

    /// Whether `issuer` appears to have signed it: names, key identifiers and key types match
    /// (`ossl_x509_likely_issued`).
    pub(super) fn is_issued_by(&self, issuer: &Certificate<'_>) -> bool {
        self.issuer() == issuer.subject()
            && self.authority_fits(issuer)
            && kind_of_signature(self) == kind_of_key(issuer)
    }

    fn authority_fits(&self, issuer: &Certificate<'_>) -> bool {
        let authority = find(self.parsed.extensions(), |extension| match extension {
            ParsedExtension::AuthorityKeyIdentifier(authority) => Some(authority),
            _ => None,
        });
        authority.is_none_or(|authority| Authority::from(authority).fits(issuer))
    }

    pub(super) fn serial(&self) -> &[u8] {
        self.parsed.raw_serial()
    }

    pub(super) fn validity_at(&self, now: UnixTime) -> Validity {
        let now = seconds(now);
        let validity = self.parsed.validity();
        if now < validity.not_before.timestamp() {
            Validity::NotYet
        } else if now > validity.not_after.timestamp() {
            Validity::Expired
        } else {
            Validity::Valid
        }
    }

    /// Whether it may issue others (`check_ca`); the weaker reasons apply to old certificates.
    pub(super) fn ca(&self) -> Ca {
        let Extensions {
            constraints,
            key_usage,
            netscape,
            ..
        } = self.extensions;
        if key_usage.is_some_and(|usage| !usage.signs_certificates) {
            return Ca::No;
        }
        match constraints {
            Some((true, _)) => Ca::Yes,
            Some((false, _)) => Ca::No,
            None if self.parsed.version() == X509Version::V1 && self.is_self_signed() => Ca::Old,
            None if key_usage.is_some() => Ca::Old,
            None => match netscape {
                Some(kind) if kind.is_tls_ca => Ca::Old,
                Some(kind) if kind.is_ca => Ca::OldForOthers,
                _ => Ca::No,
            },
        }
    }

    /// Whether key usage forbids signing certificates.
    pub(super) fn may_sign_certificates(&self) -> bool {
        let usage = self.extensions.key_usage;
        usage.is_none_or(|usage| usage.signs_certificates)
    }

    /// Whether key usage forbids signing revocation lists.
    pub(super) fn may_sign_lists(&self) -> bool {
        let usage = self.extensions.key_usage;
        usage.is_none_or(|usage| usage.signs_lists)
    }

    /// Whether a revocation list that is found for it may cover only some reasons.
    pub(super) fn limits_reasons(&self) -> bool {
        let points = find(self.parsed.extensions(), |extension| match extension {
            ParsedExtension::CRLDistributionPoints(points) => Some(points),
            _ => None,
        });
        let mut points = points.into_iter().flat_map(|points| points.iter());
        let own = points.find(|point| point.crl_issuer.is_none());
        own.is_some_and(|point| point.reasons.is_some())
    }

    /// Whether it may be used for TLS servers, or as a CA issue certificates that may
    /// (`check_purpose_ssl_server`).
    pub(super) fn fits_purpose(&self, must_be_ca: bool) -> bool {
        let Extensions {
            key_usage,
            serves_tls,
            netscape,
            ..
        } = self.extensions;
        if serves_tls == Some(false) {
            return false;
        }
        if must_be_ca {
            return !matches!(self.ca(), Ca::No | Ca::OldForOthers);
        }
        netscape.is_none_or(|kind| kind.is_server) && key_usage.is_none_or(|usage| usage.serves_tls)
    }

    /// Maximum number of CAs below it.
    pub(super) fn path_length(&self) -> Option<u32> {
        self.extensions.constraints?.1
    }

    pub(super) fn has_unknown_critical_extension(&self) -> bool {
        self.extensions.has_unknown_critical
    }

    pub(super) fn is_proxy_certificate(&self) -> bool {
        self.extensions.is_proxy
    }

    pub(super) fn name_constraints(&self) -> Option<&NameConstraints<'a>> {
        find(self.parsed.extensions(), |extension| match extension {
            ParsedExtension::NameConstraints(constraints) => Some(constraints),
            _ => None,
        })
    }

    pub(super) fn alternative_names(&self) -> &[x509_parser::extensions::GeneralName<'a>] {
        find(self.parsed.extensions(), |extension| match extension {
            ParsedExtension::SubjectAlternativeName(names) => Some(names),
            _ => None,
        })
        .map_or(&[], |names| &names.general_names)
    }

    /// Common names of the subject.
    pub(super) fn common_names(&self) -> Vec<&str> {
        let names = self.parsed.subject().iter_common_name();
        names.filter_map(|name| name.as_str().ok()).collect()
    }

    /// The key's SubjectPublicKeyInfo, DER.
    pub(super) fn public_key_info(&self) -> &[u8] {
        self.parsed.public_key().raw
    }

    /// The key: the content of the bit string in the SubjectPublicKeyInfo.
    pub(super) fn public_key(&self) -> &[u8] {
        &self.parsed.public_key().subject_public_key.data
    }

    /// Whether its key is too small to be secure.
    pub(super) fn has_weak_key(&self) -> bool {
        match self.parsed.public_key().parsed() {
            Ok(PublicKey::RSA(key)) => {
                let digits = key.modulus.iter().skip_while(|byte| **byte == 0);
                let (first, length) = digits.fold((None, 0), |(first, length), byte| {
                    (first.or(Some(*byte)), length + 1)
                });
                let unused = first.map_or(0, u8::leading_zeros) as usize;
                length * 8 - unused < LEAST_RSA_BITS
            }
            _ => false,
        }
    }

    /// Whether `issuer`'s key made its signature.
    pub(super) fn signature_of(
        &self,
        issuer: &Certificate<'_>,
        algorithms: &[&dyn SignatureVerificationAlgorithm],
    ) -> Signature {
        if self.parsed.signature_algorithm != self.parsed.tbs_certificate.signature {
            return Signature::Bad;
        }
        let signed = self.parsed.tbs_certificate.as_ref();
        let Some(signed_with) = signature_algorithm(self.der, signed) else {
            return Signature::Bad;
        };
        let signature = &self.parsed.signature_value.data;
        issuer.has_signed(signed, signed_with, signature, algorithms)
    }

    /// Whether its key made `signature` of `signed`, with the algorithm of this identifier.
    pub(super) fn has_signed(
        &self,
        signed: &[u8],
        signed_with: &[u8],
        signature: &[u8],
        algorithms: &[&dyn SignatureVerificationAlgorithm],
    ) -> Signature {
        let key_kind = element(self.public_key_info())
            .and_then(|(content, _)| element(content))
            .map(|(kind, _)| kind);
        let mut seen = Signature::Unacceptable;
        for algorithm in algorithms {
            if *algorithm.signature_alg_id() != *signed_with
                || Some(&*algorithm.public_key_alg_id()) != key_kind
            {
                continue;
            }
            if algorithm
                .verify_signature(self.public_key(), signed, signature)
                .is_ok()
            {
                return Signature::Good;
            }
            seen = Signature::Bad;
        }
        seen
    }
}

/// The content of the AlgorithmIdentifier behind the `signed` part of a certificate or list.
pub(super) fn signature_algorithm<'a>(der: &'a [u8], signed: &[u8]) -> Option<&'a [u8]> {
    let (content, _) = element(der)?;
    let behind = content.get(signed.len()..)?;
    element(behind).map(|(kind, _)| kind)
}

/// What a certificate, or a revocation list, says about its issuer's.
#[derive(Debug, Default)]
pub(super) struct Authority<'a> {
    key: Option<Cow<'a, [u8]>>,
    serial: Option<Cow<'a, [u8]>>,
}

impl<'a> From<&AuthorityKeyIdentifier<'a>> for Authority<'a> {
    fn from(identifier: &AuthorityKeyIdentifier<'a>) -> Self {
        let key = identifier.key_identifier.as_ref();
        Self {
            key: key.map(|key| Cow::Borrowed(key.0)),
            serial: identifier.authority_cert_serial.map(Cow::Borrowed),
        }
    }
}

impl Authority<'_> {
    /// Whether `issuer` may be it (`X509_check_akid`).
    pub(super) fn fits(&self, issuer: &Certificate<'_>) -> bool {
        let own_key = find(issuer.parsed.extensions(), |extension| match extension {
            ParsedExtension::SubjectKeyIdentifier(key) => Some(key.0),
            _ => None,
        });
        if let (Some(wanted), Some(have)) = (&self.key, own_key)
            && **wanted != *have
        {
            return false;
        }
        let serial = self.serial.as_deref();
        serial.is_none_or(|serial| serial == issuer.serial())
    }

    pub(super) fn into_owned(self) -> Authority<'static> {
        let owned = |bytes: Cow<'_, [u8]>| Cow::Owned(bytes.into_owned());
        Authority {
            key: self.key.map(owned),
            serial: self.serial.map(owned),
        }
    }
}

/// As the times in certificates.
pub(super) fn seconds(now: UnixTime) -> i64 {
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}

/// Whether a certificate may issue others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ca {
    Yes,
    No,
    /// As a root only: it predates basic constraints.
    Old,
    /// Like `Old`, but not for TLS.
    OldForOthers,
}

/// The key's family, if known.
#[derive(PartialEq, Eq)]
enum Kind {
    Rsa,
    Ec,
    Other(String),
}

fn kind_of_key(certificate: &Certificate<'_>) -> Kind {
    let oid = certificate
        .parsed
        .public_key()
        .algorithm
        .algorithm
        .to_id_string();
    match &*oid {
        "1.2.840.10045.2.1" => Kind::Ec,
        "1.2.840.113549.1.1.1" | "1.2.840.113549.1.1.10" => Kind::Rsa,
        _ => Kind::Other(oid),
    }
}

fn kind_of_signature(certificate: &Certificate<'_>) -> Kind {
    let oid = certificate
        .parsed
        .signature_algorithm
        .algorithm
        .to_id_string();
    if oid.starts_with("1.2.840.10045.4.") {
        Kind::Ec
    } else if oid.starts_with("1.2.840.113549.1.1.") {
        Kind::Rsa
    } else {
        Kind::Other(oid)
    }
}

/// The content of the first DER element of `input`, and what follows it.
fn element(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&[_, first], rest) = input.split_first_chunk::<2>()?;
    let (length, rest) = match first {
        ..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let append = |length: usize, digit: &u8| length << 8 | usize::from(*digit);
            (digits.iter().fold(0, append), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}
