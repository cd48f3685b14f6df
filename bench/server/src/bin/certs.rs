//! Writes a throw-away certificate authority and a certificate for `localhost`, 127.0.0.1 and ::1.
//! The demo and the bench call it as `dodici-bench-certs <directory>`, so that neither needs
//! OpenSSL nor a key in the repository. (Not an xtask: xtask should not have to build
//! cryptography.)

use std::path::Path;
use std::process::ExitCode;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let outcome = match arguments.as_slice() {
        [directory] => write(Path::new(directory)),
        _ => Err("usage: dodici-bench-certs <directory>".to_owned()),
    };
    if let Err(message) = outcome {
        eprintln!("{message}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Writes `ca.pem`, `cert.pem` and `key.pem` into `directory`, which is made if it is missing.
///
/// # Errors
/// What failed, as one sentence.
fn write(directory: &Path) -> Result<(), String> {
    let (ca, cert, key) = make().map_err(|error| format!("cannot make a certificate: {error}"))?;
    std::fs::create_dir_all(directory)
        .map_err(|error| format!("cannot make {}: {error}", directory.display()))?;
    for (name, text) in [("ca.pem", ca), ("cert.pem", cert), ("key.pem", key)] {
        let path = directory.join(name);
        std::fs::write(&path, text)
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    Ok(())
}

fn make() -> Result<(String, String, String), rcgen::Error> {
    let ca_key = KeyPair::generate()?;
    let mut ca = CertificateParams::default();
    ca.distinguished_name
        .push(DnType::CommonName, "dodici demo authority");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let ca_cert = ca.self_signed(&ca_key)?;

    let key = KeyPair::generate()?;
    let names = ["localhost", "127.0.0.1", "::1"]
        .map(str::to_owned)
        .to_vec();
    let mut leaf = CertificateParams::new(names)?;
    leaf.distinguished_name
        .push(DnType::CommonName, "localhost");
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let cert = leaf.signed_by(&key, &Issuer::from_params(&ca, &ca_key))?;
    Ok((ca_cert.pem(), cert.pem(), key.serialize_pem()))
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test fails by panicking")]
mod tests {
    #[test]
    fn every_run_makes_a_new_authority_and_a_certificate_in_pem() {
        let (ca, cert, key) = super::make().expect("certificates");
        let (other, ..) = super::make().expect("certificates");
        assert_ne!(ca, other);
        assert!(ca.starts_with("-----BEGIN CERTIFICATE-----"));
        assert!(cert.starts_with("-----BEGIN CERTIFICATE-----"));
        assert!(key.starts_with("-----BEGIN PRIVATE KEY-----"));
    }
}
