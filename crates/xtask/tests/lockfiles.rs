//! Whatever the project depends on is locked, comes from a public registry, and is known by a
//! checksum. Licences and bans are cargo-deny's (`deny.toml`); advisories need a network: CI asks.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs;
use std::path::Path;

use serde_json::Value;

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";
const NPM: &str = "https://registry.npmjs.org/";

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn s47_every_locked_crate_is_ours_or_crates_ios_with_its_checksum() {
    for name in [
        "Cargo.lock",
        "fuzz/Cargo.lock",
        "conformance/reqwest/ecosystem/Cargo.lock",
    ] {
        let text = read(name);
        let mut checked = 0;
        for package in text.split("[[package]]").skip(1) {
            let field = |key: &str| {
                let line = package.lines().find_map(|line| line.strip_prefix(key))?;
                Some(line.trim_matches([' ', '=', '"']).to_owned())
            };
            // Without a source it is a folder of this repository.
            let Some(source) = field("source") else {
                continue;
            };
            let crate_name = field("name").unwrap();
            assert_eq!(source, CRATES_IO, "{name}: {crate_name}");
            let checksum = field("checksum").unwrap_or_default();
            assert_eq!(checksum.len(), 64, "{name}: {crate_name}");
            checked += 1;
        }
        assert!(checked > 50, "{name}: {checked} packages");
    }
}

#[test]
fn s47_every_locked_npm_package_is_a_registrys_with_its_hash() {
    for name in ["node/package-lock.json", "bench/package-lock.json"] {
        let lock: Value = serde_json::from_str(&read(name)).unwrap();
        let packages = lock["packages"].as_object().unwrap();
        assert!(packages.len() > 10, "{name}");
        // The first is the package itself. Without an address it is whatever registry is in use.
        for (path, package) in packages.iter().filter(|(path, _)| !path.is_empty()) {
            let text = |key: &str| package[key].as_str().unwrap_or_default();
            let resolved = text("resolved");
            assert!(
                resolved.is_empty() || resolved.starts_with(NPM),
                "{name}: {path}"
            );
            assert!(text("integrity").starts_with("sha512-"), "{name}: {path}");
        }
    }
}
