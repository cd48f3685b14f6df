//! Trust anchors: the default supplied by the caller, and sets for one pool key.
//!
//! Called when a connector is created, never during a handshake. Nothing here is process-wide: the
//! caller decides what the default applies to.

use std::collections::HashMap;
use std::sync::Arc;

use dodici_pool::{Error, ErrorKind, Phase, Replay, RootSource, TlsConfig};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::certificate::Certificate;
use crate::connect::errors::bad_option;

/// Parsed trust anchors. Cheap to clone; two are equal if one is a clone of the other.
#[derive(Clone, Debug)]
pub struct Roots(Arc<TrustStore>);

impl Roots {
    /// Each item is PEM (any number of certificates) or DER. Without items, nothing is trusted.
    /// Individual invalid certificates are skipped: system stores contain some.
    ///
    /// # Errors
    /// `InvalidRequest` if a PEM text is malformed.
    pub fn parse(certs: &[Vec<u8>]) -> Result<Self, Error> {
        let store = TrustStore::parse(certs, Unusable::Skip).map_err(unusable_default)?;
        Ok(Self(Arc::new(store)))
    }
}

impl Roots {
    pub(super) fn store(&self) -> &TrustStore {
        &self.0
    }
}

impl PartialEq for Roots {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// What [`RootSource::Default`](dodici_pool::RootSource::Default) stands for.
#[derive(Clone, Debug, Default)]
pub enum DefaultRoots {
    /// Mozilla's bundle.
    #[default]
    Bundled,
    /// These.
    Supplied(Roots),
    /// They should have been supplied but were unusable: connections that need them fail.
    Unusable(Error),
}

impl PartialEq for DefaultRoots {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Bundled, Self::Bundled) => true,
            (Self::Supplied(one), Self::Supplied(other)) => one == other,
            _ => false,
        }
    }
}

/// Why connections that trust the default roots cannot be opened.
fn unusable_default(why: String) -> Error {
    Error::new(
        ErrorKind::InvalidRequest,
        Phase::Queued,
        format!("the default trust anchors cannot be used: {why}"),
    )
    .with_replay(Replay::Unsent)
}

/// A set of trusted certificates.
#[derive(Clone, Debug, Default)]
pub(super) struct TrustStore {
    /// By the DER of their subjects.
    by_subject: HashMap<Vec<u8>, Vec<CertificateDer<'static>>>,
}

/// What to do with an invalid certificate.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unusable {
    Skip,
    Refuse,
}

impl TrustStore {
    /// What `config` trusts; `None` if that is not known: Mozilla's bundle, or the platform's.
    pub(super) fn of(config: &TlsConfig, roots: &DefaultRoots) -> Result<Option<Arc<Self>>, Error> {
        let store = match &config.roots {
            RootSource::Default => Self::default_set(roots)?,
            RootSource::Custom(certs) => Some(Self::custom(certs)?),
            RootSource::Platform => None,
        };
        let more = &config.more_roots;
        match store {
            Some(store) if !more.is_empty() => {
                let mut all = (*store).clone();
                let added = all.add(more, Unusable::Refuse);
                added.map_err(|why| bad_option("pfx", why))?;
                Ok(Some(Arc::new(all)))
            }
            other => Ok(other),
        }
    }

    /// The default; `None` for Mozilla's bundle.
    fn default_set(roots: &DefaultRoots) -> Result<Option<Arc<Self>>, Error> {
        match roots {
            DefaultRoots::Bundled => Ok(None),
            DefaultRoots::Supplied(roots) => Ok(Some(Arc::clone(&roots.0))),
            DefaultRoots::Unusable(error) => Err(error.clone()),
        }
    }

    /// Exactly these certificates; without items, nothing is trusted.
    fn custom(certs: &[Vec<u8>]) -> Result<Arc<Self>, Error> {
        let store = Self::parse(certs, Unusable::Refuse).map_err(|why| bad_option("ca", why))?;
        if store.by_subject.is_empty() && !certs.is_empty() {
            return Err(bad_option("ca", "it contains no usable certificate"));
        }
        Ok(Arc::new(store))
    }

    fn parse(certs: &[Vec<u8>], unusable: Unusable) -> Result<Self, String> {
        let mut store = Self::default();
        store.add(certs, unusable)?;
        Ok(store)
    }

    fn add(&mut self, certs: &[Vec<u8>], unusable: Unusable) -> Result<(), String> {
        for item in certs {
            for der in certificates(item)? {
                let subject = Certificate::parse(&der).map(|parsed| parsed.subject().to_vec());
                if let Some(subject) = subject {
                    let same_name = self.by_subject.entry(subject).or_default();
                    if !same_name.contains(&der) {
                        same_name.push(der);
                    }
                } else if unusable == Unusable::Refuse {
                    return Err("a certificate is malformed".to_owned());
                }
            }
        }
        Ok(())
    }

    /// The certificates with this subject, DER.
    pub(super) fn named(&self, subject: &[u8]) -> impl Iterator<Item = Certificate<'_>> {
        let found = self.by_subject.get(subject).into_iter().flatten();
        found.filter_map(|der| Certificate::parse(der))
    }
}

/// Certificates in `item`: all of a PEM text, or the one that the DER bytes are.
pub(super) fn certificates(item: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    if count(item, b"-----BEGIN") == 0 {
        return Ok(match item.trim_ascii() {
            [] => Vec::new(),
            _ => vec![CertificateDer::from(item.to_vec())],
        });
    }
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(item).collect();
    match found {
        // The parser skips unterminated sections.
        Ok(found) if found.len() < count(item, b"-----BEGIN CERTIFICATE-----") => {
            Err("malformed PEM: a certificate has no end".to_owned())
        }
        Ok(found) => Ok(found),
        Err(error) => Err(format!("malformed PEM: {error}")),
    }
}

fn count(text: &[u8], part: &[u8]) -> usize {
    text.windows(part.len())
        .filter(|window| *window == part)
        .count()
}
