//! The client's certificates and private keys.
//!
//! Called when a connector is created, and by rustls when a server asks for a certificate. Does not
//! keep pass phrases.

use std::sync::Arc;

use dodici_pool::{Error, Identity, TlsConfig};
use pkcs8::{EncryptedPrivateKeyInfoRef, SecretDocument};
use rustls::client::ResolvesClientCert;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer, UnixTime,
};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{SignatureAlgorithm, SignatureScheme};

use super::certificate::Certificate;
use super::chain::{self, Anchors};
use super::roots::{TrustStore, certificates};
use crate::connect::errors::bad_option;

/// Certificates of which a server gets one.
#[derive(Debug)]
pub(super) struct Identities(Vec<Arc<CertifiedKey>>);

impl Identities {
    /// Those of `config`. A lone certificate is completed with its issuers in `store`, as by OpenSSL
    /// (`ssl_add_cert_chain`).
    ///
    /// # Errors
    /// `InvalidRequest` naming `connect.cert`, `connect.key` or `connect.passphrase`.
    pub(super) fn load(
        config: &TlsConfig,
        store: Option<&TrustStore>,
        provider: &CryptoProvider,
    ) -> Result<Self, Error> {
        let load = |identity| {
            let mut certified = certify(identity, provider)?;
            if let (Some(store), [lone]) = (store, &certified.cert[..]) {
                let path = chain::path(lone, &[], store, Anchors::SelfSigned, UnixTime::now());
                certified.cert = path.into_iter().map(CertificateDer::from).collect();
            }
            if let Some(schemes) = &config.signature_schemes {
                let (key, schemes) = (certified.key, schemes.clone());
                certified.key = Arc::new(Restricted { key, schemes });
            }
            Ok(Arc::new(certified))
        };
        config
            .identities
            .iter()
            .map(load)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl ResolvesClientCert for Identities {
    /// The first scheme that the server accepts and a key has (`tls_choose_sigalg`). Over TLS 1.2,
    /// OpenSSL only considers the key that was set last.
    fn resolve(
        &self,
        _issuers: &[&[u8]],
        accepted: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        accepted.iter().find_map(|scheme| {
            let has = |one: &&Arc<CertifiedKey>| one.key.choose_scheme(&[*scheme]).is_some();
            self.0.iter().find(has).cloned()
        })
    }

    fn has_certs(&self) -> bool {
        !self.0.is_empty()
    }
}

/// A key for some signature schemes only.
#[derive(Debug)]
struct Restricted {
    key: Arc<dyn SigningKey>,
    schemes: Vec<u16>,
}

impl SigningKey for Restricted {
    fn choose_scheme(&self, accepted: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let is_ours = |scheme: &&SignatureScheme| self.schemes.contains(&u16::from(**scheme));
        let both: Vec<_> = accepted.iter().filter(is_ours).copied().collect();
        self.key.choose_scheme(&both)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        self.key.public_key()
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.key.algorithm()
    }
}

/// Parses the identity and checks that the key matches the certificate.
fn certify(identity: &Identity, provider: &CryptoProvider) -> Result<CertifiedKey, Error> {
    let chain = certificates(&identity.cert).map_err(|why| bad_option("cert", why))?;
    if chain.is_empty() {
        return Err(bad_option("cert", "it contains no certificate"));
    }
    let key = private_key(identity)?;
    let key = provider
        .key_provider
        .load_private_key(key)
        .map_err(|error| bad_option("key", &error).with_source(error))?;
    // Not by rustls, which only parses version 3 certificates; the server verifies it anyway.
    let Some(certificate) = chain.first().and_then(Certificate::parse) else {
        return Err(bad_option("cert", "a certificate is malformed"));
    };
    let belongs = |public: SubjectPublicKeyInfoDer<'_>| *public == *certificate.public_key_info();
    if !key.public_key().is_none_or(belongs) {
        return Err(bad_option("key", "it does not belong to connect.cert"));
    }
    drop(certificate);
    Ok(CertifiedKey::new(chain, key))
}

fn private_key(identity: &Identity) -> Result<PrivateKeyDer<'static>, Error> {
    let pem = identity.key.as_slice();
    if contains(pem, b"-----BEGIN ENCRYPTED PRIVATE KEY-----") {
        return decrypt(pem, identity.passphrase.as_deref());
    }
    if contains(pem, b"Proc-Type: 4,ENCRYPTED") {
        return Err(bad_option(
            "key",
            "the old PEM encryption (Proc-Type: 4,ENCRYPTED) is not supported; \
             convert the key with `openssl pkcs8 -topk8`",
        ));
    }
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => {
            bad_option("key", "it contains no PEM private key")
        }
        other => bad_option("key", format_args!("malformed PEM: {other}")),
    })
}

fn decrypt(pem: &[u8], passphrase: Option<&str>) -> Result<PrivateKeyDer<'static>, Error> {
    let Some(passphrase) = passphrase else {
        return Err(bad_option(
            "passphrase",
            "connect.key is encrypted and needs one",
        ));
    };
    let malformed = |why: &dyn std::fmt::Display| {
        bad_option("key", format_args!("malformed encrypted key: {why}"))
    };
    let text = encrypted_section(pem).ok_or_else(|| malformed(&"no end line"))?;
    let (_, document) = SecretDocument::from_pem(text).map_err(|error| malformed(&error))?;
    let encrypted = EncryptedPrivateKeyInfoRef::try_from(document.as_bytes())
        .map_err(|error| malformed(&error))?;
    // A wrong pass phrase shows up as bad padding, or rarely as an invalid key document.
    let plain = encrypted.decrypt(passphrase).map_err(|error| match error {
        pkcs8::Error::EncryptedPrivateKey(pkcs8::pkcs5::Error::UnsupportedAlgorithm { oid }) => {
            malformed(&format_args!("unsupported encryption {oid}"))
        }
        _ => bad_option("passphrase", "it does not decrypt connect.key"),
    })?;
    Ok(PrivatePkcs8KeyDer::from(plain.as_bytes().to_vec()).into())
}

/// The encrypted key, from a text that may contain more.
fn encrypted_section(pem: &[u8]) -> Option<&str> {
    const END: &str = "-----END ENCRYPTED PRIVATE KEY-----";
    let text = std::str::from_utf8(pem).ok()?;
    let start = text.find("-----BEGIN ENCRYPTED PRIVATE KEY-----")?;
    let length = text[start..].find(END)? + END.len();
    Some(&text[start..start + length])
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
