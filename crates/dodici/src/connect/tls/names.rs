//! Names in certificates: host name matching and name constraints.
//!
//! Hosts are matched like Node's `tls.checkServerIdentity`, constraints like OpenSSL's
//! `crypto/x509/v3_ncons.c`. Called by the verifier and by `chain`.

use std::net::IpAddr;

use x509_parser::extensions::{GeneralName, NameConstraints};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use super::certificate::Certificate;
use super::fault::{EXCLUDED, Fault, NOT_PERMITTED, UNKNOWN_CONSTRAINT, UNKNOWN_SYNTAX};

/// Whether the certificate matches `host`, a name or an address. Names in the subject are used only
/// if there are no DNS names in the extension.
///
/// # Errors
/// The message of Node's `ERR_TLS_CERT_ALTNAME_INVALID`.
pub(super) fn check_host(certificate: &Certificate<'_>, host: &str) -> Result<(), String> {
    let host = host.strip_suffix('.').unwrap_or(host);
    let shown = host.escape_debug();
    let names = AlternativeNames::of(certificate);
    let reason = if let Ok(ip) = host.parse::<IpAddr>() {
        if names.ips.contains(&ip) {
            return Ok(());
        }
        let ips: Vec<_> = names.ips.iter().map(ToString::to_string).collect();
        format!("IP: {shown} is not in the cert's list: {}", ips.join(", "))
    } else if names.has_dns {
        if names.dns.iter().any(|pattern| host_matches(pattern, host)) {
            return Ok(());
        }
        format!(
            "Host: {shown}. is not in the cert's altnames: {}",
            names.listed.join(", ")
        )
    } else {
        let common = certificate.common_names();
        if common.iter().any(|pattern| host_matches(pattern, host)) {
            return Ok(());
        }
        match &*common.join(",") {
            "" => "Cert does not contain a DNS name".to_owned(),
            common => format!("Host: {shown}. is not cert's CN: {}", common.escape_debug()),
        }
    };
    Err(format!(
        "Hostname/IP does not match certificate's altnames: {reason}"
    ))
}

/// What a certificate's subjectAltName extension says.
#[derive(Default)]
struct AlternativeNames<'a> {
    /// Whether there is a DNS name, well-formed or not.
    has_dns: bool,
    dns: Vec<&'a str>,
    ips: Vec<IpAddr>,
    /// All, as Node lists them in `subjectaltname`.
    listed: Vec<String>,
}

impl<'a> AlternativeNames<'a> {
    fn of(certificate: &'a Certificate<'_>) -> Self {
        let mut found = Self::default();
        for name in certificate.alternative_names() {
            match name {
                GeneralName::DNSName(name) => {
                    found.has_dns = true;
                    found.dns.push(name);
                    found.listed.push(format!("DNS:{}", name.escape_debug()));
                }
                GeneralName::IPAddress(bytes) => {
                    if let Some(ip) = ip_address(bytes) {
                        found.ips.push(ip);
                        found.listed.push(format!("IP Address:{ip}"));
                    }
                }
                GeneralName::URI(uri) => found.listed.push(format!("URI:{}", uri.escape_debug())),
                GeneralName::RFC822Name(mail) => {
                    found.listed.push(format!("email:{}", mail.escape_debug()));
                }
                // An unreadable name may have been meant as a DNS name.
                GeneralName::Invalid(..) => found.has_dns = true,
                _ => {}
            }
        }
        found
    }
}

fn ip_address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(v4.into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)
}

/// Forbidden in a host by the URL standard: since version 22, Node matches no name containing one.
const FORBIDDEN: &[u8] = b"#%/:<>?@[\\]^|";

/// Ignores letter case and a trailing dot. One `*` in the first label matches any part of a label,
/// if at least two labels follow and the label is not punycode (Node's `check`).
fn host_matches(pattern: &str, host: &str) -> bool {
    let pattern = pattern.strip_suffix('.').unwrap_or(pattern);
    if host.bytes().any(|byte| FORBIDDEN.contains(&byte)) {
        return false;
    }
    if !pattern
        .bytes()
        .all(|byte| byte.is_ascii_graphic() || byte == 0x7f)
        || pattern.split('.').any(str::is_empty)
    {
        return false;
    }
    let (pattern, host) = (pattern.to_ascii_lowercase(), host.to_ascii_lowercase());
    let split = |name: &str| match name.split_once('.') {
        Some((label, rest)) => (label.to_owned(), Some(rest.to_owned())),
        None => (name.to_owned(), None),
    };
    let ((label, rest), (host_label, host_rest)) = (split(&pattern), split(&host));
    if rest != host_rest {
        return false;
    }
    let Some((prefix, suffix)) = label.split_once('*').filter(|_| !label.contains("xn--")) else {
        return label == host_label;
    };
    !suffix.contains('*')
        && rest.is_some_and(|rest| rest.contains('.'))
        && prefix.len() + suffix.len() <= host_label.len()
        && host_label.starts_with(prefix)
        && host_label.ends_with(suffix)
}

/// Whether every name of the certificate satisfies the constraints of a CA above it. `is_leaf`: the
/// common name is checked as well, if there are no DNS names.
///
/// # Errors
/// OpenSSL's.
pub(super) fn check_constraints(
    certificate: &Certificate<'_>,
    is_leaf: bool,
    constraints: &NameConstraints<'_>,
) -> Result<(), Fault> {
    let subject = certificate.subject_name();
    if subject.iter().next().is_some() {
        check_name(&Name::Directory(subject), constraints)?;
    }
    for mail in subject.iter_email() {
        let mail = mail.as_str().map_err(|_| UNKNOWN_SYNTAX)?;
        check_name(&Name::Mail(mail), constraints)?;
    }
    let names = certificate.alternative_names();
    for name in names {
        check_name(&Name::of(name)?, constraints)?;
    }
    let has_dns = |name: &GeneralName<'_>| matches!(name, GeneralName::DNSName(_));
    if is_leaf && !names.iter().any(has_dns) {
        for common in certificate.common_names() {
            if is_dns_name(common) {
                check_name(&Name::Dns(common), constraints)?;
            }
        }
    }
    Ok(())
}

/// A name in the forms that constraints support.
enum Name<'a> {
    Dns(&'a str),
    Mail(&'a str),
    Uri(&'a str),
    Ip(&'a [u8]),
    Directory(&'a X509Name<'a>),
    Other,
}

impl<'a> Name<'a> {
    fn of(name: &'a GeneralName<'a>) -> Result<Self, Fault> {
        Ok(match name {
            GeneralName::DNSName(name) => Self::Dns(name),
            GeneralName::RFC822Name(mail) => Self::Mail(mail),
            GeneralName::URI(uri) => Self::Uri(uri),
            GeneralName::IPAddress(bytes) => Self::Ip(bytes),
            GeneralName::DirectoryName(name) => Self::Directory(name),
            GeneralName::Invalid(..) => return Err(UNKNOWN_SYNTAX),
            _ => Self::Other,
        })
    }

    fn is_of_the_kind_of(&self, base: &GeneralName<'_>) -> bool {
        matches!(
            (self, base),
            (Self::Dns(_), GeneralName::DNSName(_))
                | (Self::Mail(_), GeneralName::RFC822Name(_))
                | (Self::Uri(_), GeneralName::URI(_))
                | (Self::Ip(_), GeneralName::IPAddress(_))
                | (Self::Directory(_), GeneralName::DirectoryName(_))
                | (
                    Self::Other,
                    GeneralName::OtherName(..)
                        | GeneralName::X400Address(_)
                        | GeneralName::EDIPartyName(_)
                        | GeneralName::RegisteredID(_)
                )
        )
    }

    /// Whether it is in the subtree of `base`, which is of the same kind.
    fn lies_in(&self, base: &GeneralName<'_>) -> Result<bool, Fault> {
        match (self, base) {
            (Self::Dns(name), GeneralName::DNSName(base)) => Ok(dns_lies_in(name, base)),
            (Self::Mail(mail), GeneralName::RFC822Name(base)) => mail_lies_in(mail, base),
            (Self::Uri(uri), GeneralName::URI(base)) => uri_lies_in(uri, base),
            (Self::Ip(ip), GeneralName::IPAddress(base)) => ip_lies_in(ip, base),
            (Self::Directory(name), GeneralName::DirectoryName(base)) => {
                Ok(directory_lies_in(name, base))
            }
            _ => Err(UNKNOWN_CONSTRAINT),
        }
    }
}

/// `nc_match`.
fn check_name(name: &Name<'_>, constraints: &NameConstraints<'_>) -> Result<(), Fault> {
    // An unreadable subtree might apply to this name.
    let mut subtrees = [
        &constraints.permitted_subtrees,
        &constraints.excluded_subtrees,
    ]
    .into_iter()
    .flatten()
    .flatten();
    if subtrees.any(|subtree| matches!(subtree.base, GeneralName::Invalid(..))) {
        return Err(UNKNOWN_SYNTAX);
    }
    let mut is_permitted = None;
    for subtree in constraints.permitted_subtrees.iter().flatten() {
        if is_permitted != Some(true) && name.is_of_the_kind_of(&subtree.base) {
            is_permitted = Some(name.lies_in(&subtree.base)?);
        }
    }
    if is_permitted == Some(false) {
        return Err(NOT_PERMITTED);
    }
    for subtree in constraints.excluded_subtrees.iter().flatten() {
        if name.is_of_the_kind_of(&subtree.base) && name.lies_in(&subtree.base)? {
            return Err(EXCLUDED);
        }
    }
    Ok(())
}

/// `nc_dns`: the base itself and everything below it.
fn dns_lies_in(name: &str, base: &str) -> bool {
    let Some(cut) = name.len().checked_sub(base.len()) else {
        return false;
    };
    let (before, end) = name.as_bytes().split_at(cut);
    let is_whole_labels =
        base.is_empty() || before.is_empty() || base.starts_with('.') || before.ends_with(b".");
    is_whole_labels && end.eq_ignore_ascii_case(base.as_bytes())
}

/// `nc_email`: a mailbox, a host, or with a leading dot everything below a domain.
fn mail_lies_in(mail: &str, base: &str) -> Result<bool, Fault> {
    let (local, host) = mail.rsplit_once('@').ok_or(UNKNOWN_SYNTAX)?;
    Ok(match base.rsplit_once('@') {
        None if base.starts_with('.') => mail.len() > base.len() && ends_with(mail, base),
        None => host.eq_ignore_ascii_case(base),
        Some((wanted, base)) => {
            (wanted.is_empty() || wanted == local) && host.eq_ignore_ascii_case(base)
        }
    })
}

/// `nc_uri`: a host, or with a leading dot everything below a domain.
fn uri_lies_in(uri: &str, base: &str) -> Result<bool, Fault> {
    let (_, rest) = uri.split_once("://").ok_or(UNKNOWN_SYNTAX)?;
    let host = rest.split([':', '/']).next().unwrap_or_default();
    if host.is_empty() {
        return Err(UNKNOWN_SYNTAX);
    }
    Ok(if base.starts_with('.') {
        host.len() > base.len() && ends_with(host, base)
    } else {
        host.eq_ignore_ascii_case(base)
    })
}

/// `nc_ip`: an address and its mask.
fn ip_lies_in(ip: &[u8], base: &[u8]) -> Result<bool, Fault> {
    if ![4, 16].contains(&ip.len()) || ![8, 32].contains(&base.len()) {
        return Err(UNKNOWN_SYNTAX);
    }
    let (address, mask) = base.split_at(base.len() / 2);
    let mut bytes = ip.iter().zip(address).zip(mask);
    Ok(
        ip.len() == address.len()
            && bytes.all(|((byte, wanted), mask)| (byte ^ wanted) & mask == 0),
    )
}

/// `nc_dn`: the base is a prefix of the name.
fn directory_lies_in(name: &X509Name<'_>, base: &X509Name<'_>) -> bool {
    let mut parts = name.iter();
    base.iter().all(|wanted| {
        parts.next().is_some_and(|part| {
            part.iter().count() == wanted.iter().count()
                && wanted
                    .iter()
                    .all(|wanted| part.iter().any(|part| is_same_attribute(part, wanted)))
        })
    })
}

/// Ignores letter case, the number of blanks and the string type.
fn is_same_attribute(one: &AttributeTypeAndValue<'_>, other: &AttributeTypeAndValue<'_>) -> bool {
    if one.attr_type() != other.attr_type() {
        return false;
    }
    match (one.as_str(), other.as_str()) {
        (Ok(one), Ok(other)) => {
            let canonical = |text: &str| {
                let words: Vec<_> = text.split_ascii_whitespace().collect();
                words.join(" ").to_ascii_lowercase()
            };
            canonical(one) == canonical(other)
        }
        _ => one.as_slice() == other.as_slice(),
    }
}

fn ends_with(text: &str, end: &str) -> bool {
    let cut = text.len().checked_sub(end.len());
    cut.is_some_and(|cut| text.as_bytes()[cut..].eq_ignore_ascii_case(end.as_bytes()))
}

/// `cn2dnsid`: whether a common name looks like a DNS name of more than one label.
fn is_dns_name(name: &str) -> bool {
    let is_label = |label: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(allowed)
    };
    name.contains('.') && name.split('.').all(is_label)
}
