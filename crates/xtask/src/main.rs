//! Chores of the repository: `cargo xtask layers`, `cargo xtask certs <directory>`.

mod certs;
mod layers;

use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask layers             check the import rules of ARCHITECTURE.md
       cargo xtask certs <directory>  write ca.pem, cert.pem and key.pem for localhost";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["layers"] => report(layers::check(repository()).map_err(|found| found.join("\n"))),
        ["certs", directory] => report(certs::write(Path::new(directory))),
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn report(outcome: Result<(), String>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// The repository's root: two levels above this crate.
fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
