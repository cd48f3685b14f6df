//! Revocation lists: `check_revocation` of OpenSSL 3, of every certificate of a chain, as Node
//! demands it (`X509_V_FLAG_CRL_CHECK_ALL`).
//!
//! Lists are parsed when a connector is created; `chain` calls this during a handshake.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::rc::Rc;

use dodici_pool::Error;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateRevocationListDer, SignatureVerificationAlgorithm, UnixTime};
use x509_parser::extensions::{ParsedExtension, X509Extension};
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;
use x509_parser::x509::ReasonCode;

use super::certificate::{Authority, Certificate, Signature, seconds, signature_algorithm};
use super::extensions::find;
use super::fault::*;
use crate::connect::errors::bad_option;

/// A complete list of what its issuer has revoked.
#[derive(Debug)]
pub(super) struct RevocationList {
    /// DER of the name.
    issuer: Vec<u8>,
    authority: Authority<'static>,
    /// Seconds since 1970.
    made: i64,
    due: Option<i64>,
    /// Serial numbers.
    revoked: HashSet<Vec<u8>>,
    signed: Vec<u8>,
    algorithm: Vec<u8>,
    signature: Vec<u8>,
}

impl RevocationList {
    /// Of an item, PEM or DER, the first list.
    ///
    /// # Errors
    /// `InvalidRequest` naming `connect.crl`: malformed, or of a kind that is not supported.
    pub(super) fn parse(
        item: &[u8],
        algorithms: &[&dyn SignatureVerificationAlgorithm],
    ) -> Result<Self, Error> {
        let bad = |why: &str| bad_option("crl", why);
        let pem = CertificateRevocationListDer::from_pem_slice(item);
        let der = pem.unwrap_or_else(|_| item.to_vec().into());
        let malformed = || bad("it is malformed");
        let (_, list) = CertificateRevocationList::from_der(&der).map_err(|_| malformed())?;
        let algorithm = signature_algorithm(&der, list.tbs_cert_list.as_ref());
        let algorithm = algorithm.ok_or_else(malformed)?;
        if list.signature_algorithm != list.tbs_cert_list.signature {
            return Err(malformed());
        }
        if !algorithms
            .iter()
            .any(|known| *known.signature_alg_id() == *algorithm)
        {
            return Err(bad("its signature algorithm is not supported"));
        }
        let entries = || list.iter_revoked_certificates();
        let of_entries = entries().flat_map(|entry| entry.extensions());
        // Those that change what a list means are critical: it is partial, indirect or a delta.
        if list.extensions().iter().chain(of_entries).any(is_critical) {
            return Err(bad("it has a critical extension"));
        }
        let authority = find(list.extensions(), |extension| match extension {
            ParsedExtension::AuthorityKeyIdentifier(authority) => Some(authority),
            _ => None,
        });
        let still_revoked = |reason: &Option<(bool, ReasonCode)>| {
            !matches!(reason, Some((_, ReasonCode::RemoveFromCRL)))
        };
        Ok(Self {
            issuer: list.issuer().as_raw().to_vec(),
            authority: authority
                .map(Authority::from)
                .unwrap_or_default()
                .into_owned(),
            made: list.last_update().timestamp(),
            due: list.next_update().map(|time| time.timestamp()),
            revoked: entries()
                .filter(|entry| still_revoked(&entry.reason_code()))
                .map(|entry| entry.raw_serial().to_vec())
                .collect(),
            signed: list.tbs_cert_list.as_ref().to_vec(),
            algorithm: algorithm.to_vec(),
            signature: list.signature_value.data.to_vec(),
        })
    }

    fn is_due(&self, now: UnixTime) -> bool {
        self.due.is_some_and(|due| due <= seconds(now))
    }

    fn is_early(&self, now: UnixTime) -> bool {
        self.made > seconds(now)
    }

    /// The issuer, above `depth` or, of the last certificate, that itself (`crl_akid_check`).
    fn signer<'c, 'a>(&self, chain: &'c Chain<'a>, depth: usize) -> Option<&'c Certificate<'a>> {
        let above = (depth + 1).min(chain.len() - 1);
        let (next, others) = chain.get(above..)?.split_first()?;
        let is_named = |other: &&Rc<Certificate<'_>>| other.subject() == self.issuer;
        std::iter::once(next)
            .chain(others.iter().filter(is_named))
            .find(|signer| self.authority.fits(signer))
            .map(|signer| &**signer)
    }
}

type Chain<'a> = [Rc<Certificate<'a>>];

fn is_critical(extension: &X509Extension<'_>) -> bool {
    const PARTIAL: [&str; 3] = ["2.5.29.27", "2.5.29.28", "2.5.29.29"];
    extension.critical || PARTIAL.contains(&&*extension.oid.to_id_string())
}

/// Without lists, nothing is checked.
pub(super) fn check(
    chain: &Chain<'_>,
    lists: &[RevocationList],
    now: UnixTime,
    algorithms: &[&dyn SignatureVerificationAlgorithm],
    mut fault_if: impl FnMut(bool, Fault),
) {
    if lists.is_empty() {
        return;
    }
    for (depth, certificate) in chain.iter().enumerate() {
        if certificate.is_proxy_certificate() {
            continue;
        }
        let Some((list, signer)) = find_list(lists, chain, depth, now) else {
            fault_if(true, NO_LIST);
            continue;
        };
        fault_if(!signer.may_sign_lists(), MAY_NOT_SIGN_LISTS);
        fault_if(list.is_early(now), LIST_NOT_YET_VALID);
        fault_if(list.is_due(now), LIST_EXPIRED);
        let RevocationList {
            signed,
            algorithm,
            signature,
            ..
        } = list;
        let signature = signer.has_signed(signed, algorithm, signature, algorithms);
        fault_if(signature != Signature::Good, BAD_LIST_SIGNATURE);
        fault_if(list.revoked.contains(certificate.serial()), REVOKED);
        fault_if(certificate.limits_reasons(), NO_LIST);
    }
}

/// The newest list for a certificate, one that is valid now before others (`get_crl_sk`).
fn find_list<'l, 'c, 'a>(
    lists: &'l [RevocationList],
    chain: &'c Chain<'a>,
    depth: usize,
    now: UnixTime,
) -> Option<(&'l RevocationList, &'c Certificate<'a>)> {
    let issuer = chain.get(depth)?.issuer();
    let suitable = lists.iter().filter(|list| list.issuer == issuer);
    suitable
        .filter_map(|list| Some((list, list.signer(chain, depth)?)))
        .min_by_key(|(list, _)| Reverse((!list.is_early(now) && !list.is_due(now), list.made)))
}
