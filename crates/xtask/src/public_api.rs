//! Compares what the public crates export with `docs/public-api/*.txt`, so that a change of the
//! public API shows in the diff of its commit. `cargo xtask public-api` calls [`check`].

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use public_api::{Builder, PublicApi};

use crate::codegen::Mode;
use crate::rustdoc;

/// One file for each crate.
const FOLDER: &str = "docs/public-api";

/// Implementations that every type has, or that follow from others. One that is missing (`!Send`) is
/// listed.
const IMPLIED: &[&str] = &[
    " core::marker::Freeze for ",
    " core::marker::Send for ",
    " core::marker::StructuralPartialEq for ",
    " core::marker::Sync for ",
    " core::marker::Unpin for ",
    " core::marker::UnsafeUnpin for ",
    "core::panic::unwind_safe::",
];

/// Writes the files, or compares them.
///
/// # Errors
/// What differs and what to run, or why the documentation cannot be built or read.
pub(crate) fn check(root: &Path, mode: Mode) -> Result<(), String> {
    let documentation = rustdoc::document(root)?;
    let mut differences = Vec::new();
    for name in rustdoc::CRATES {
        let json = documentation.join(format!("{}.json", name.replace('-', "_")));
        let items = items(&json).map_err(|error| format!("{}: {error}", json.display()))?;
        let path = root.join(FOLDER).join(format!("{name}.txt"));
        if mode == Mode::Write {
            let text: String = items.iter().map(|item| format!("{item}\n")).collect();
            fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
            continue;
        }
        let recorded = fs::read_to_string(&path).unwrap_or_default();
        differences.extend(differ(&recorded, &items));
    }
    if differences.is_empty() {
        return Ok(());
    }
    differences.push(format!(
        "the public API differs from {FOLDER}: if that is intended, run `cargo xtask public-api \
         --bless` and commit it"
    ));
    Err(differences.join("\n"))
}

/// What a crate exports, in the order of its file.
fn items(json: &Path) -> Result<Vec<String>, public_api::Error> {
    let read = |without_derived: bool| -> Result<PublicApi, _> {
        Builder::from_rustdoc_json(json)
            .omit_blanket_impls(true)
            .omit_auto_trait_impls(without_derived)
            .omit_auto_derived_impls(without_derived)
            .build()
    };
    let written: BTreeSet<String> = read(true)?.items().map(ToString::to_string).collect();
    // Of derived implementations, only that they are there.
    let is_listed = |item: &String| {
        let derived = item.starts_with("impl") && !IMPLIED.iter().any(|name| item.contains(name));
        derived || written.contains(item)
    };
    let all = read(false)?;
    Ok(all
        .items()
        .map(ToString::to_string)
        .filter(is_listed)
        .collect())
}

/// Lines that are only in one of the two, marked as in a diff.
fn differ(recorded: &str, items: &[String]) -> Vec<String> {
    let old: BTreeSet<&str> = recorded.lines().collect();
    let new: BTreeSet<&str> = items.iter().map(String::as_str).collect();
    let removed = old.difference(&new).map(|item| format!("-{item}"));
    let added = new.difference(&old).map(|item| format!("+{item}"));
    removed.chain(added).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_names_what_was_removed_and_what_was_added() {
        let now = ["pub mod a".to_owned(), "pub fn a::c()".to_owned()];
        let found = differ("pub mod a\npub fn a::b()\n", &now);
        assert_eq!(found, ["-pub fn a::b()", "+pub fn a::c()"]);
        assert!(differ("pub mod a\npub fn a::c()\n", &now).is_empty());
    }
}
