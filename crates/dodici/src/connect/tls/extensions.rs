//! Extensions of a certificate that matter for its validation.
//!
//! Read by `certificate`, which draws the conclusions.

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{KeyUsage, NSCertType, ParsedExtension, X509Extension};

/// Extensions that matter for validation. `None`: absent.
#[derive(Clone, Copy, Default)]
pub(super) struct Extensions {
    /// Whether it is a CA, and how many others may follow below.
    pub(super) constraints: Option<(bool, Option<u32>)>,
    pub(super) key_usage: Option<Usage>,
    /// Whether it may be used for TLS servers.
    pub(super) serves_tls: Option<bool>,
    pub(super) netscape: Option<Netscape>,
    /// A critical one that OpenSSL does not support.
    pub(super) has_unknown_critical: bool,
    /// RFC 3820.
    pub(super) is_proxy: bool,
}

#[derive(Clone, Copy)]
pub(super) struct Usage {
    pub(super) signs_certificates: bool,
    pub(super) signs_lists: bool,
    pub(super) serves_tls: bool,
}

/// Netscape's certificate type.
#[derive(Clone, Copy)]
pub(super) struct Netscape {
    pub(super) is_server: bool,
    pub(super) is_tls_ca: bool,
    pub(super) is_ca: bool,
}

/// Extensions that OpenSSL supports (`X509_supported_extension`).
const KNOWN: [&str; 15] = [
    "2.16.840.1.113730.1.1",
    "2.5.29.15",
    "2.5.29.17",
    "2.5.29.19",
    "2.5.29.32",
    "2.5.29.31",
    "2.5.29.37",
    "1.3.6.1.5.5.7.1.7",
    "1.3.6.1.5.5.7.1.8",
    "1.3.6.1.5.5.7.48.1.5",
    "2.5.29.36",
    PROXY,
    "2.5.29.30",
    "2.5.29.33",
    "2.5.29.54",
];
const PROXY: &str = "1.3.6.1.5.5.7.1.14";

impl Extensions {
    /// `None` if a relevant one is malformed or present twice.
    pub(super) fn read(certificate: &X509Certificate<'_>) -> Option<Self> {
        certificate.extensions_map().ok()?;
        let mut found = Self::default();
        for extension in certificate.extensions() {
            let oid = extension.oid.to_id_string();
            found.has_unknown_critical |= extension.critical && !KNOWN.contains(&&*oid);
            found.is_proxy |= oid == PROXY;
            match extension.parsed_extension() {
                ParsedExtension::BasicConstraints(constraints) => {
                    let length = constraints.path_len_constraint;
                    found.constraints = Some((constraints.ca, length));
                }
                ParsedExtension::KeyUsage(usage) => found.key_usage = Some(Usage::from(usage)),
                ParsedExtension::ExtendedKeyUsage(usage) => {
                    // OpenSSL does not accept "any" as "server".
                    found.serves_tls = Some(usage.server_auth);
                }
                ParsedExtension::NSCertType(kinds) => found.netscape = Some(Netscape::from(kinds)),
                ParsedExtension::ParseError { .. } => return None,
                _ => {}
            }
        }
        Some(found)
    }
}

impl From<&KeyUsage> for Usage {
    fn from(usage: &KeyUsage) -> Self {
        Self {
            signs_certificates: usage.key_cert_sign(),
            signs_lists: usage.crl_sign(),
            serves_tls: usage.digital_signature()
                || usage.key_encipherment()
                || usage.key_agreement(),
        }
    }
}

impl From<&NSCertType> for Netscape {
    fn from(kinds: &NSCertType) -> Self {
        Self {
            is_server: kinds.ssl_server(),
            is_tls_ca: kinds.ssl_ca(),
            is_ca: kinds.ssl_ca() || kinds.smime_ca() || kinds.object_signing_ca(),
        }
    }
}

/// The first extension that `pick` takes.
pub(super) fn find<'c, 'a, T>(
    extensions: &'c [X509Extension<'a>],
    pick: impl FnMut(&'c ParsedExtension<'a>) -> Option<T>,
) -> Option<T> {
    let parsed = extensions.iter();
    parsed.map(|one| one.parsed_extension()).find_map(pick)
}
