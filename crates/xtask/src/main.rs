//! Chores of the repository: `cargo xtask codegen | layers | requirements | docs | lockfiles |
//! public-api | api-diff`.

mod api_diff;
mod codegen;
mod docs;
mod layers;
mod lockfiles;
mod public_api;
mod requirements;
mod rustdoc;

use std::path::Path;
use std::process::ExitCode;

use codegen::Mode;

const USAGE: &str = "\
usage: cargo xtask codegen [--check]   write (or compare) what both sides of the boundary share
       cargo xtask layers              check the import rules of ARCHITECTURE.md
       cargo xtask requirements        compare docs/requirements.md with the names of the tests
       cargo xtask docs                check that what the documentation names exists
       cargo xtask lockfiles           check that every Cargo.lock is current
       cargo xtask public-api [--bless]
                                       compare (or write) what the crates export, in docs/public-api
       cargo xtask api-diff            compare dodici-reqwest's public names with reqwest's";

fn main() -> ExitCode {
    if let Some(code) = rustdoc::as_rustdoc() {
        return code;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["codegen"] => report(codegen(Mode::Write)),
        ["codegen", "--check"] => report(codegen(Mode::Check)),
        ["layers"] => report(layers::check(repository()).map_err(|found| found.join("\n"))),
        ["requirements"] => {
            report(requirements::check(repository()).map_err(|found| found.join("\n")))
        }
        ["docs"] => report(docs::check(repository()).map_err(|found| found.join("\n"))),
        ["lockfiles"] => report(lockfiles::check(repository())),
        ["public-api"] => report(public_api::check(repository(), Mode::Check)),
        ["public-api", "--bless"] => report(public_api::check(repository(), Mode::Write)),
        ["api-diff"] => report(api_diff()),
        ["--help" | "-h" | "help"] => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn codegen(mode: Mode) -> Result<(), String> {
    let stale = codegen::run(repository(), mode).map_err(|error| format!("codegen: {error}"))?;
    if mode == Mode::Write {
        for path in &stale {
            println!("wrote {}", path.display());
        }
        return Ok(());
    }
    let complaints: Vec<String> = stale
        .iter()
        .map(|path| {
            format!(
                "{} is stale: run `cargo xtask codegen` and commit it",
                path.display()
            )
        })
        .collect();
    if complaints.is_empty() {
        Ok(())
    } else {
        Err(complaints.join("\n"))
    }
}

fn api_diff() -> Result<(), String> {
    let diff = api_diff::check(repository())?;
    println!(
        "{} names present, {} missing for a reason, {} faults",
        diff.present,
        diff.excused,
        diff.faults.len()
    );
    if diff.faults.is_empty() {
        Ok(())
    } else {
        Err(diff.faults.join("\n"))
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
