//! TLS options of both builders: trust, client certificate, versions. `options` adds them to the
//! builders.

use std::any::Any;

use super::options;
use crate::tls::{self, Preconfigured};
use crate::{Certificate, Identity};

options! {
    /// Trusts these certificates in addition to the operating system's.
    fn tls_certs_merge[I](certs: I) where [I: IntoIterator<Item = Certificate>] |config| {
        config.tls.roots.extend(certs);
    }

    /// Trusts only these certificates.
    ///
    /// ```no_run
    /// use dodici_reqwest::{Certificate, Client};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let own = Certificate::from_pem(&std::fs::read("ca.pem")?)?;
    /// let client = Client::builder().tls_certs_only([own]).build()?;
    /// # Ok(())
    /// # }
    /// ```
    fn tls_certs_only[I](certs: I) where [I: IntoIterator<Item = Certificate>] |config| {
        config.tls.roots.extend(certs);
        config.tls.roots_only = true;
    }

    /// The former name of [`tls_certs_merge`](Self::tls_certs_merge), for one certificate.
    fn add_root_certificate(cert: Certificate) |config| {
        config.tls.roots.push(cert);
    }

    /// Rejects certificates in these revocation lists. Requires
    /// [`tls_certs_only`](Self::tls_certs_only).
    fn tls_crls_only[I](crls: I)
    where [I: IntoIterator<Item = tls::CertificateRevocationList>]
    |config| {
        config.tls.revoked.extend(crls);
    }

    /// The former name of [`tls_crls_only`](Self::tls_crls_only), for one list.
    fn add_crl(crl: tls::CertificateRevocationList) |config| {
        config.tls.revoked.push(crl);
    }

    /// The former name of [`tls_crls_only`](Self::tls_crls_only).
    fn add_crls[I](crls: I)
    where [I: IntoIterator<Item = tls::CertificateRevocationList>]
    |config| {
        config.tls.revoked.extend(crls);
    }

    /// The client certificate.
    fn identity(identity: Identity) |config| {
        config.tls.identity = Some(identity);
    }

    /// Accepts a trusted certificate for any name. **Anyone with such a certificate can intercept
    /// traffic.** Requires [`tls_certs_only`](Self::tls_certs_only). Default false.
    fn tls_danger_accept_invalid_hostnames(accept_invalid_hostname: bool) |config| {
        config.tls.any_name = accept_invalid_hostname;
    }

    /// The former name of
    /// [`tls_danger_accept_invalid_hostnames`](Self::tls_danger_accept_invalid_hostnames).
    fn danger_accept_invalid_hostnames(accept_invalid_hostname: bool) |config| {
        config.tls.any_name = accept_invalid_hostname;
    }

    /// Accepts every certificate. **Anyone can intercept traffic.** Default false.
    fn tls_danger_accept_invalid_certs(accept_invalid_certs: bool) |config| {
        config.tls.any_certificate = accept_invalid_certs;
    }

    /// The former name of
    /// [`tls_danger_accept_invalid_certs`](Self::tls_danger_accept_invalid_certs).
    fn danger_accept_invalid_certs(accept_invalid_certs: bool) |config| {
        config.tls.any_certificate = accept_invalid_certs;
    }

    /// Sends the server's name in plain text (SNI), which nearly all servers need. Default true.
    fn tls_sni(tls_sni: bool) |config| {
        config.tls.no_sni = !tls_sni;
    }

    /// Appends session keys to the file named by `SSLKEYLOGFILE`, for a network analyser. Default
    /// false.
    fn tls_sslkeylogfile(on: bool) |config| {
        config.tls.key_log = on;
    }

    /// Minimum TLS version. Default 1.2.
    fn tls_version_min(version: tls::Version) |config| {
        config.tls.oldest = Some(version);
    }

    /// The former name of [`tls_version_min`](Self::tls_version_min).
    fn min_tls_version(version: tls::Version) |config| {
        config.tls.oldest = Some(version);
    }

    /// Maximum TLS version. Default 1.3.
    fn tls_version_max(version: tls::Version) |config| {
        config.tls.newest = Some(version);
    }

    /// The former name of [`tls_version_max`](Self::tls_version_max).
    fn max_tls_version(version: tls::Version) |config| {
        config.tls.newest = Some(version);
    }

    /// Uses rustls, the only backend.
    fn tls_backend_rustls() |config| {
        config.tls.preconfigured = Preconfigured::None;
    }

    /// The former name of [`tls_backend_rustls`](Self::tls_backend_rustls).
    fn use_rustls_tls() |config| {
        config.tls.preconfigured = Preconfigured::None;
    }

    /// Uses the caller's `rustls::ClientConfig`; all other TLS options are ignored. Any other type
    /// is a builder error.
    fn tls_backend_preconfigured[T](tls: T) where [T: Any] |config| {
        config.tls.preconfigured = Preconfigured::from_any(tls);
    }

    /// The former name of [`tls_backend_preconfigured`](Self::tls_backend_preconfigured).
    fn use_preconfigured_tls[T](tls: T) where [T: Any] |config| {
        config.tls.preconfigured = Preconfigured::from_any(tls);
    }

    /// Adds a [`TlsInfo`](tls::TlsInfo) to the extensions of `https` responses. Default false.
    fn tls_info(tls_info: bool) |config| {
        config.tls_info = tls_info;
    }
}
