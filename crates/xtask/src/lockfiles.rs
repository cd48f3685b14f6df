//! Checks that every Cargo.lock in the repository fits the manifests, those of its own workspaces
//! included: a build without `--locked` would change it silently. `cargo xtask lockfiles` calls
//! [`check`].

use std::path::Path;
use std::process::Command;

/// # Errors
/// What cargo said of each lockfile that it would change.
pub(crate) fn check(root: &Path) -> Result<(), String> {
    let listed = run(
        root,
        "git",
        &["ls-files", "--", "Cargo.lock", "*/Cargo.lock"],
    )?;
    if listed.is_empty() {
        return Err("there is no Cargo.lock".to_owned());
    }
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let metadata = [
        "metadata",
        "--locked",
        "--format-version",
        "1",
        "--manifest-path",
    ];
    let faults: Vec<String> = listed
        .lines()
        .map(|lockfile| lockfile.replace("Cargo.lock", "Cargo.toml"))
        .filter_map(|manifest| run(root, &cargo, &[&metadata[..], &[&*manifest]].concat()).err())
        .collect();
    if faults.is_empty() {
        Ok(())
    } else {
        Err(faults.join("\n"))
    }
}

fn run(root: &Path, program: &str, arguments: &[&str]) -> Result<String, String> {
    let failed = |why: &dyn std::fmt::Display| format!("{program} {}: {why}", arguments.join(" "));
    let output = Command::new(program)
        .current_dir(root)
        .args(arguments)
        .output()
        .map_err(|error| failed(&error))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(failed(&String::from_utf8_lossy(&output.stderr)))
    }
}
