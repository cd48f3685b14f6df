//! Chores of the repository: `cargo xtask codegen [--check]`.

mod codegen;
mod golden;

use std::path::Path;
use std::process::ExitCode;

use codegen::Mode;

const USAGE: &str = "usage: cargo xtask codegen [--check]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["codegen"] => codegen(Mode::Write),
        ["codegen", "--check"] => codegen(Mode::Check),
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn codegen(mode: Mode) -> ExitCode {
    let stale = match codegen::run(repository(), mode) {
        Ok(stale) => stale,
        Err(error) => {
            eprintln!("codegen: {error}");
            return ExitCode::FAILURE;
        }
    };
    for path in &stale {
        match mode {
            Mode::Write => println!("wrote {}", path.display()),
            Mode::Check => eprintln!(
                "{} is stale: run `cargo xtask codegen` and commit it",
                path.display()
            ),
        }
    }
    if mode == Mode::Check && !stale.is_empty() {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// The repository's root: two levels above this crate.
fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
