//! TLS: how it is set up, and what it negotiated.
//!
//! With an origin, part of [`ConnectConfig`](super::config::ConnectConfig); with a proxy, of
//! [`Proxy`](super::proxy::Proxy). Read by the connector, which also says whether certificates and
//! keys make sense.

use std::path::PathBuf;
use std::sync::Arc;

/// TLS protocol versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

/// Where trust in servers comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub enum RootSource {
    /// What the caller supplies beside the configuration, else Mozilla's bundle.
    #[default]
    Default,
    /// The operating system's verifier.
    Platform,
    /// Exactly these certificates, each PEM (one or more) or DER; without any, no server is trusted.
    Custom(Vec<Vec<u8>>),
}

/// A client certificate with its key.
#[derive(Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Identity {
    /// Certificate chain, PEM.
    pub cert: Vec<u8>,
    /// Private key, PEM: PKCS#8, PKCS#1, SEC1 or encrypted PKCS#8.
    pub key: Vec<u8>,
    /// Pass phrase of an encrypted key.
    pub passphrase: Option<String>,
}

impl Identity {
    /// A certificate chain and its key, which is not encrypted.
    pub fn new(cert: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        Self {
            cert: cert.into(),
            key: key.into(),
            passphrase: None,
        }
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity { .. }")
    }
}

/// TLS parameters. Part of the pool key: sessions are never shared between different ones.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct TlsConfig {
    /// Name for SNI and verification. Default: the origin's host.
    pub server_name: Option<String>,
    /// Trust anchors.
    pub roots: RootSource,
    /// Certificates trusted in addition, each PEM (one or more) or DER; not with
    /// [`RootSource::Platform`].
    pub more_roots: Vec<Vec<u8>>,
    /// Every trusted certificate ends a chain, not only a self-signed one. Default false, as in
    /// OpenSSL. Mozilla's bundle and the platform's verifier never distinguish the two.
    pub partial_chains: bool,
    /// Revocation lists, each PEM or DER. With any, every certificate of a chain, the root included,
    /// needs a current list of its issuer that does not name it, as in OpenSSL with `CRL_CHECK_ALL`.
    /// Only with roots that are known: custom ones, or defaults that the caller supplies.
    pub revocation_lists: Vec<Vec<u8>>,
    /// Client certificates, of which the signature schemes that the server accepts select one.
    pub identities: Vec<Identity>,
    /// Verify the server's certificate. Default true.
    pub verify: bool,
    /// ALPN protocols, most wanted first. Default `http/1.1`.
    pub alpn: Vec<Vec<u8>>,
    /// Oldest version. Default TLS 1.2.
    pub min_version: TlsVersion,
    /// Newest version. Default TLS 1.3.
    pub max_version: TlsVersion,
    /// Sessions kept for resumption; 0 disables it. Default 100.
    pub max_cached_sessions: u32,
    /// Cipher suites to offer, as numbers of IANA's registry, those first that are preferred; others
    /// than rustls's are ignored. Default `None`: rustls's.
    pub cipher_suites: Option<Vec<u16>>,
    /// Key exchange groups to offer, likewise.
    pub groups: Option<Vec<u16>>,
    /// Signature schemes to accept from the server, and to sign with, likewise.
    pub signature_schemes: Option<Vec<u16>>,
    /// The caller's hook judges whom a valid chain belongs to, instead of its names. Default false.
    pub check_identity: bool,
    /// File that the secrets of sessions are appended to, for tools that decrypt captured traffic.
    /// Default `None`: they are not written anywhere.
    pub key_log: Option<PathBuf>,
}

impl Default for TlsConfig {
    fn default() -> Self {
        Self {
            server_name: None,
            roots: RootSource::Default,
            more_roots: Vec::new(),
            partial_chains: false,
            revocation_lists: Vec::new(),
            identities: Vec::new(),
            verify: true,
            alpn: vec![b"http/1.1".to_vec()],
            min_version: TlsVersion::Tls12,
            max_version: TlsVersion::Tls13,
            max_cached_sessions: 100,
            cipher_suites: None,
            groups: None,
            signature_schemes: None,
            check_identity: false,
            key_log: None,
        }
    }
}

/// What TLS negotiated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsInfo {
    /// `"TLSv1.2"` or `"TLSv1.3"`.
    pub version: &'static str,
    /// IANA name of the cipher suite.
    pub cipher: &'static str,
    /// ALPN protocol the server chose.
    pub alpn: Option<String>,
    /// Whether the session was resumed from a ticket.
    pub resumed: bool,
    /// Server name sent in SNI.
    pub server_name: Option<String>,
    /// Whether the server's certificate had to be valid: not with [`TlsConfig::verify`] turned off.
    pub verified: bool,
    /// The server's certificate, DER; `None` if it has none.
    pub peer_certificate: Option<Arc<Vec<u8>>>,
}
