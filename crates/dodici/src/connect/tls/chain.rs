//! Chain validation: `X509_verify_cert` of OpenSSL 3, as Node calls it.
//!
//! Called by the verifier with the certificates a server has presented. The chain is built by names
//! and key identifiers, without backtracking: at most one certificate is tried for each position,
//! so that no peer can cause a search. Then every certificate is checked in OpenSSL's order, and
//! since Node lets OpenSSL continue after an error, the last error is the result. Host names are
//! checked in `names`, revocation in `revocation`.

use std::rc::Rc;

use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};

use super::certificate::{Ca, Certificate, Signature, Validity};
use super::fault::*;
use super::names;
use super::revocation::{self, RevocationList};
use super::roots::TrustStore;

/// What chains are judged by.
#[derive(Clone, Copy)]
pub(super) struct Rules<'a> {
    pub(super) store: &'a TrustStore,
    pub(super) anchors: Anchors,
    /// None: revocation is not checked.
    pub(super) lists: &'a [RevocationList],
    pub(super) algorithms: &'a [&'a dyn SignatureVerificationAlgorithm],
}

/// Which trusted certificates end a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchors {
    /// Self-issued ones: OpenSSL's rule without partial chains.
    SelfSigned,
    /// All: rustls's rule, and OpenSSL's with partial chains.
    Any,
}

/// Certificates above the server's, as OpenSSL counts with its default depth.
const MOST_ABOVE: usize = 101;

/// Validates the first certificate, with the intermediates the server sent.
///
/// # Errors
/// The error that OpenSSL finds last.
pub(super) fn verify(
    leaf: &CertificateDer<'_>,
    presented: &[CertificateDer<'_>],
    rules: Rules<'_>,
    now: UnixTime,
) -> Result<(), Fault> {
    let Rules {
        store,
        anchors,
        lists,
        algorithms,
    } = rules;
    let leaf = Certificate::parse(leaf).ok_or(MALFORMED)?;
    let presented = presented.iter().filter_map(Certificate::parse);
    let presented = presented.map(Rc::new).collect();
    let mut verdict = Verdict(None);
    verdict.fault_if(leaf.has_weak_key(), WEAK_KEY);
    let chain = build(leaf, presented, store, anchors, now, &mut verdict);
    check_extensions(&chain, &mut verdict);
    check_strength(&chain, algorithms, &mut verdict);
    revocation::check(&chain, lists, now, algorithms, |is_fault, fault| {
        verdict.fault_if(is_fault, fault);
    });
    check_signatures_and_times(&chain, anchors, now, algorithms, &mut verdict);
    check_names(&chain, &mut verdict);
    verdict.0.map_or(Ok(()), Err)
}

/// The chain that [`verify`] validates, DER.
pub(super) fn path(
    leaf: &CertificateDer<'_>,
    presented: &[CertificateDer<'_>],
    store: &TrustStore,
    anchors: Anchors,
    now: UnixTime,
) -> Vec<Vec<u8>> {
    let Some(leaf) = Certificate::parse(leaf) else {
        return Vec::new();
    };
    let presented = presented.iter().filter_map(Certificate::parse);
    let presented = presented.map(Rc::new).collect();
    let mut verdict = Verdict(None);
    let chain = build(leaf, presented, store, anchors, now, &mut verdict);
    chain.iter().map(|one| one.der().to_vec()).collect()
}

/// The error found last.
struct Verdict(Option<Fault>);

impl Verdict {
    fn fault_if(&mut self, is_fault: bool, fault: Fault) {
        if is_fault {
            self.0 = Some(fault);
        }
    }
}

/// The server's certificate first, each followed by its issuer.
type Chain<'a> = Vec<Rc<Certificate<'a>>>;

/// `build_chain`: trusted issuers take precedence over presented ones, and above a trusted one only
/// trusted ones are used. It succeeds at a trusted self-signed certificate.
fn build<'a>(
    leaf: Certificate<'a>,
    mut unused: Vec<Rc<Certificate<'a>>>,
    store: &'a TrustStore,
    anchors: Anchors,
    now: UnixTime,
    verdict: &mut Verdict,
) -> Chain<'a> {
    let mut last = Rc::new(leaf);
    let mut chain = vec![Rc::clone(&last)];
    let mut has_trusted = false;
    while chain.len() <= MOST_ABOVE {
        let is_root = last.is_self_signed();
        let trusted = store.named(last.issuer()).map(Rc::new);
        if let Some(issuer) = best_issuer(trusted, &last, now) {
            if !is_root {
                chain.push(Rc::clone(&issuer));
                has_trusted = true;
                if issuer.is_self_signed() || anchors == Anchors::Any {
                    return chain;
                }
                last = issuer;
                continue;
            }
            if issuer.is(&last) {
                return chain;
            }
            // One with only the same name, or only the same key, is a different one.
        }
        if has_trusted || is_root {
            break;
        }
        let Some(next) = best_issuer(unused.iter().cloned(), &last, now) else {
            break;
        };
        unused.retain(|other| !Rc::ptr_eq(other, &next));
        chain.push(Rc::clone(&next));
        last = next;
    }
    let leaf = &chain[0];
    let is_known = || store.named(leaf.subject()).any(|known| known.is(leaf));
    if anchors == Anchors::Any && !has_trusted && is_known() {
        chain.truncate(1);
        return chain;
    }
    let is_root = last.is_self_signed();
    let fault = match chain.len() {
        length if length > MOST_ABOVE => TOO_LONG,
        1 if is_root => SELF_SIGNED,
        _ if is_root => SELF_SIGNED_ABOVE,
        _ if has_trusted => NO_ISSUER,
        _ => NO_LOCAL_ISSUER,
    };
    verdict.fault_if(true, fault);
    chain
}

/// The first that is valid now, or else any.
fn best_issuer<'a>(
    candidates: impl Iterator<Item = Rc<Certificate<'a>>>,
    subject: &Certificate<'_>,
    now: UnixTime,
) -> Option<Rc<Certificate<'a>>> {
    let mut found = None;
    for issuer in candidates.filter(|issuer| subject.is_issued_by(issuer)) {
        let is_valid = issuer.validity_at(now) == Validity::Valid;
        found = Some(issuer);
        if is_valid {
            break;
        }
    }
    found
}

/// `check_extensions`.
fn check_extensions(chain: &[Rc<Certificate<'_>>], verdict: &mut Verdict) {
    let mut intermediates = 0;
    for (depth, certificate) in chain.iter().enumerate() {
        verdict.fault_if(certificate.has_unknown_critical_extension(), CRITICAL);
        verdict.fault_if(certificate.is_proxy_certificate(), PROXY);
        let must_be_ca = depth > 0;
        if must_be_ca {
            let ca = certificate.ca();
            let is_last = depth + 1 == chain.len();
            verdict.fault_if(ca == Ca::No || (!is_last && ca != Ca::Yes), NO_CA);
        }
        verdict.fault_if(!certificate.fits_purpose(must_be_ca), PURPOSE);
        let limit = certificate.path_length();
        verdict.fault_if(
            depth > 1 && limit.is_some_and(|limit| intermediates > limit),
            PATH_LENGTH,
        );
        if depth > 0 && !certificate.is_self_issued() {
            intermediates += 1;
        }
    }
}

/// `check_auth_level`, for level 2.
fn check_strength(
    chain: &[Rc<Certificate<'_>>],
    algorithms: &[&dyn SignatureVerificationAlgorithm],
    verdict: &mut Verdict,
) {
    for certificate in chain.iter().skip(1) {
        verdict.fault_if(certificate.has_weak_key(), WEAK_CA_KEY);
    }
    for pair in chain.windows(2) {
        let signature = pair[0].signature_of(&pair[1], algorithms);
        verdict.fault_if(signature == Signature::Unacceptable, WEAK_SIGNATURE);
    }
}

/// `internal_verify`, from the top down.
fn check_signatures_and_times(
    chain: &[Rc<Certificate<'_>>],
    anchors: Anchors,
    now: UnixTime,
    algorithms: &[&dyn SignatureVerificationAlgorithm],
    verdict: &mut Verdict,
) {
    let Some(top) = chain.len().checked_sub(1) else {
        return;
    };
    let mut first = top;
    if !chain[top].is_self_signed() && anchors == Anchors::SelfSigned {
        // It has no issuer: it only signs the next one, if there is one.
        verdict.fault_if(top == 0, LEAF_SIGNATURE);
        first = top.saturating_sub(1);
    }
    for depth in (0..=first).rev() {
        let certificate = &chain[depth];
        if let Some(issuer) = chain.get(depth + 1) {
            verdict.fault_if(!issuer.may_sign_certificates(), MAY_NOT_SIGN);
            let signature = certificate.signature_of(issuer, algorithms);
            verdict.fault_if(signature == Signature::Bad, BAD_SIGNATURE);
        }
        match certificate.validity_at(now) {
            Validity::NotYet => verdict.fault_if(true, NOT_YET_VALID),
            Validity::Expired => verdict.fault_if(true, EXPIRED),
            Validity::Valid => {}
        }
    }
}

/// `check_name_constraints`.
fn check_names(chain: &[Rc<Certificate<'_>>], verdict: &mut Verdict) {
    for (depth, certificate) in chain.iter().enumerate().rev() {
        if depth > 0 && certificate.is_self_issued() {
            continue;
        }
        for above in chain[depth + 1..].iter().rev() {
            if let Some(constraints) = above.name_constraints()
                && let Err(fault) = names::check_constraints(certificate, depth == 0, constraints)
            {
                verdict.0 = Some(fault);
            }
        }
    }
}
