//! rustdoc's JSON of the public crates, for `api_diff` and `public_api`. That output is unstable, so
//! `RUSTC_BOOTSTRAP` is set for rustdoc alone.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The crates with a public API.
pub(crate) const CRATES: &[&str] = &["dodici", "dodici-coding", "dodici-pool", "dodici-reqwest"];

/// Every feature of one of them that adds names, and not those that convert from and to another
/// crate's.
const FEATURES: &str = "all,blocking,brotli,charset,cookies,deflate,form,gzip,http2,json,multipart,query,rustls,socks,\
     stream,system-proxy,zstd";

/// Set for the rustdoc that [`document`] makes cargo start: this program, in rustdoc's place.
const AS_RUSTDOC: &str = "DODICI_XTASK_AS_RUSTDOC";

/// If cargo started this program as its rustdoc: runs the real one, for JSON.
///
/// With `RUSTC_BOOTSTRAP` in its own environment, cargo would build every dependency anew.
pub(crate) fn as_rustdoc() -> Option<ExitCode> {
    let rustdoc = std::env::var_os(AS_RUSTDOC)?;
    let status = Command::new(&rustdoc)
        .args(std::env::args_os().skip(1))
        .args(["-Zunstable-options", "--output-format", "json"])
        .env("RUSTC_BOOTSTRAP", "1")
        .status();
    Some(match status {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{}: {error}", rustdoc.display());
            ExitCode::FAILURE
        }
    })
}

/// Documents [`CRATES`] and returns the folder, where `dodici-pool` is `dodici_pool.json`.
///
/// # Errors
/// What cargo said.
pub(crate) fn document(root: &Path) -> Result<PathBuf, String> {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let itself = std::env::current_exe().map_err(|error| format!("this program: {error}"))?;
    let output = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()))
        .current_dir(root)
        .env(
            AS_RUSTDOC,
            std::env::var_os("RUSTDOC").unwrap_or_else(|| "rustdoc".into()),
        )
        .env("RUSTDOC", itself)
        .args(["doc", "--quiet", "--no-deps", "--lib"])
        .args(CRATES.iter().flat_map(|name| ["--package", name]))
        .args(["--no-default-features", "--features", FEATURES])
        .output()
        .map_err(|error| format!("cargo doc: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "cargo doc: {}",
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    Ok(target.join("doc"))
}
