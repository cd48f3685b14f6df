//! Trust anchors: the process-wide default and sets given for one pool key.
//!
//! Called when a connector is built, never during a handshake.

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};

use dodici_pool::Error;
use parking_lot::RwLock;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::certificate::Certificate;
use crate::connect::errors::bad_option;

/// What the host runtime supplied; `None` until it does.
static SUPPLIED: RwLock<Option<Arc<TrustStore>>> = RwLock::new(None);

/// Mozilla's bundle.
static BUNDLED: LazyLock<Arc<TrustStore>> = LazyLock::new(|| {
    Arc::new(TrustStore {
        anchors: RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        },
        exact: HashSet::new(),
        constrains_names: true,
    })
});

/// Replaces the process-wide default trust, used by
/// [`RootSource::Default`](dodici_pool::RootSource::Default); before the first call it is
/// Mozilla's bundle. Each item is PEM (one or more certificates) or DER. Connectors made
/// later use the new set; those already made keep theirs.
///
/// # Errors
/// `InvalidRequest` if an item holds no certificate, or if none of all is usable. Single
/// certificates that cannot serve as an anchor are left out, as the hosts' stores contain some.
pub fn set_default_roots(certs: Vec<Vec<u8>>) -> Result<(), Error> {
    let store = TrustStore::parse(&certs, Unusable::Skip)?;
    *SUPPLIED.write() = Some(Arc::new(store));
    Ok(())
}

/// A set of trusted certificates.
#[derive(Debug)]
pub(super) struct TrustStore {
    /// May issue other certificates.
    pub(super) anchors: RootCertStore,
    /// Trusted as they are, should a server present one of them itself. OpenSSL does this for
    /// self-signed certificates, CA or not; webpki never would.
    pub(super) exact: HashSet<CertificateDer<'static>>,
    /// Whether one of them limits the names below it, or that is not known.
    pub(super) constrains_names: bool,
}

/// What to do with a certificate that can be no anchor.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unusable {
    Skip,
    Refuse,
}

impl TrustStore {
    /// The process-wide default.
    pub(super) fn default_set() -> Arc<Self> {
        let supplied = SUPPLIED.read().clone();
        supplied.unwrap_or_else(|| Arc::clone(&BUNDLED))
    }

    /// Exactly these certificates.
    pub(super) fn custom(certs: &[Vec<u8>]) -> Result<Arc<Self>, Error> {
        Self::parse(certs, Unusable::Refuse).map(Arc::new)
    }

    fn parse(certs: &[Vec<u8>], unusable: Unusable) -> Result<Self, Error> {
        let mut store = Self {
            anchors: RootCertStore::empty(),
            exact: HashSet::new(),
            constrains_names: false,
        };
        for item in certs {
            for der in certificates(item).map_err(|why| bad_option("ca", why))? {
                if !store.add(der) && unusable == Unusable::Refuse {
                    return Err(bad_option("ca", "a certificate is malformed"));
                }
            }
        }
        if store.exact.is_empty() {
            return Err(bad_option("ca", "it holds no usable certificate"));
        }
        Ok(store)
    }

    /// Whether the certificate could be read.
    fn add(&mut self, der: CertificateDer<'static>) -> bool {
        let Some(certificate) = Certificate::parse(&der) else {
            return false;
        };
        self.constrains_names |= certificate.constrains_names();
        // One that says it is no CA is trusted for itself alone, as in OpenSSL.
        if !certificate.denies_being_a_ca() && self.anchors.add(der.clone()).is_err() {
            return false;
        }
        self.exact.insert(der);
        true
    }
}

/// Certificates in `item`: all of a PEM text, or the one that the DER bytes are.
pub(super) fn certificates(item: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    const PEM: &[u8] = b"-----BEGIN";
    if !item.windows(PEM.len()).any(|window| window == PEM) {
        return Ok(vec![CertificateDer::from(item.to_vec())]);
    }
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(item).collect();
    match found {
        Ok(found) if found.is_empty() => Err("it holds no certificate".to_owned()),
        Ok(found) => Ok(found),
        Err(error) => Err(format!("malformed PEM: {error}")),
    }
}
