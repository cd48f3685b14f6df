//! The errors of chain validation, in the words of Node and OpenSSL.

/// Why a chain is rejected: Node's code and OpenSSL's message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) code: &'static str,
    pub(super) message: &'static str,
}

impl Fault {
    /// Whether it only says that no trust anchor was found for the chain.
    pub(super) fn is_about_trust(self) -> bool {
        [
            NO_ISSUER,
            NO_LOCAL_ISSUER,
            LEAF_SIGNATURE,
            SELF_SIGNED,
            SELF_SIGNED_ABOVE,
        ]
        .contains(&self)
    }
}

/// Node has codes for only some of OpenSSL's errors.
const UNSPECIFIED: &str = "UNSPECIFIED";

macro_rules! faults {
    ($($name:ident: $code:expr, $message:literal;)*) => {
        $(pub(super) const $name: Fault = Fault { code: $code, message: $message };)*
    };
}

faults! {
    MALFORMED: "CERT_REJECTED", "certificate is malformed";
    NO_ISSUER: "UNABLE_TO_GET_ISSUER_CERT", "unable to get issuer certificate";
    NO_LOCAL_ISSUER: "UNABLE_TO_GET_ISSUER_CERT_LOCALLY", "unable to get local issuer certificate";
    LEAF_SIGNATURE: "UNABLE_TO_VERIFY_LEAF_SIGNATURE", "unable to verify the first certificate";
    SELF_SIGNED: "DEPTH_ZERO_SELF_SIGNED_CERT", "self-signed certificate";
    SELF_SIGNED_ABOVE: "SELF_SIGNED_CERT_IN_CHAIN", "self-signed certificate in certificate chain";
    TOO_LONG: "CERT_CHAIN_TOO_LONG", "certificate chain too long";
    NOT_YET_VALID: "CERT_NOT_YET_VALID", "certificate is not yet valid";
    EXPIRED: "CERT_HAS_EXPIRED", "certificate has expired";
    BAD_SIGNATURE: "CERT_SIGNATURE_FAILURE", "certificate signature failure";
    NO_CA: "INVALID_CA", "invalid CA certificate";
    PURPOSE: "INVALID_PURPOSE", "unsuitable certificate purpose";
    PATH_LENGTH: "PATH_LENGTH_EXCEEDED", "path length constraint exceeded";
    MAY_NOT_SIGN: UNSPECIFIED, "key usage does not include certificate signing";
    CRITICAL: UNSPECIFIED, "unhandled critical extension";
    PROXY: UNSPECIFIED, "proxy certificates not allowed, please set the appropriate flag";
    WEAK_KEY: UNSPECIFIED, "EE certificate key too weak";
    WEAK_CA_KEY: UNSPECIFIED, "CA certificate key too weak";
    NO_LIST: "UNABLE_TO_GET_CRL", "unable to get certificate CRL";
    LIST_NOT_YET_VALID: "CRL_NOT_YET_VALID", "CRL is not yet valid";
    LIST_EXPIRED: "CRL_HAS_EXPIRED", "CRL has expired";
    BAD_LIST_SIGNATURE: "CRL_SIGNATURE_FAILURE", "CRL signature failure";
    MAY_NOT_SIGN_LISTS: UNSPECIFIED, "key usage does not include CRL signing";
    REVOKED: "CERT_REVOKED", "certificate revoked";
    WEAK_SIGNATURE: UNSPECIFIED, "CA signature digest algorithm too weak";
    NOT_PERMITTED: UNSPECIFIED, "permitted subtree violation";
    EXCLUDED: UNSPECIFIED, "excluded subtree violation";
    UNKNOWN_CONSTRAINT: UNSPECIFIED, "unsupported name constraint type";
    UNKNOWN_SYNTAX: UNSPECIFIED, "unsupported or invalid name syntax";
}
