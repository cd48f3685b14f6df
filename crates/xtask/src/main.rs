//! Chores of this repository that are programs: `cargo xtask <command>`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

mod certs;
mod layers;

const HELP: &str = "\
Usage: cargo xtask <command>

  layers             check the import rules of ARCHITECTURE.md
  certs <directory>  write ca.pem, cert.pem and key.pem for localhost
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match args[..] {
        ["layers"] => layers::check(root()).map_err(|found| found.join("\n")),
        ["certs", directory] => certs::write(&PathBuf::from(directory)),
        ["--help" | "-h" | "help"] => {
            print!("{HELP}");
            Ok(())
        }
        _ => Err(HELP.to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{}", message.trim_end());
            ExitCode::FAILURE
        }
    }
}

/// The repository's root, two directories above this package.
fn root() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).unwrap_or(package)
}
