//! Checks `docs/requirements.md` against the names of the tests. `cargo xtask requirements` calls
//! [`check`]; it reads files as text.
//!
//! A requirement has an id, S or R and a number, and a test is named after it: a Rust test
//! `s09_two_users_…` (or `s24_s25_…` for both), a file `s09_pool_key.test.ts`, a title
//! `'s9: two users …'` in vitest or of a gate of `just soak`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

const CATALOGUE: &str = "docs/requirements.md";

/// Where tests are: directory, suffix of the file names, how they are named.
const TESTS: &[(&str, &str, Naming)] = &[
    ("crates", ".rs", Naming::Functions),
    ("node/native", ".rs", Naming::Functions),
    ("node/test", ".test.ts", Naming::Titles),
    ("node/native/tests", ".test.mjs", Naming::Titles),
    ("bench/soak", ".mjs", Naming::Titles),
];

/// Directories without our own files.
const FOREIGN: &[&str] = &["node_modules", "target", "dist"];

#[derive(Clone, Copy)]
enum Naming {
    /// `fn s09_…`
    Functions,
    /// `'s9: …'`, or the file's name
    Titles,
}

/// `S9`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Id(char, u8);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.0, self.1)
    }
}

/// A row of the catalogue.
struct Entry {
    id: Id,
    /// The test files it links, relative to the root.
    files: Vec<String>,
}

/// Checks the tree below `root`.
///
/// # Errors
/// One sentence per requirement without a test, test without a requirement, and linked file without
/// such a test; also files that cannot be read.
pub(crate) fn check(root: &Path) -> Result<(), Vec<String>> {
    let text = fs::read_to_string(root.join(CATALOGUE))
        .map_err(|error| vec![format!("{CATALOGUE}: {error}")])?;
    let tests = tests(root).map_err(|error| vec![error])?;
    let faults = compare(&entries(&text), &tests);
    if faults.is_empty() {
        Ok(())
    } else {
        Err(faults)
    }
}

/// Files with tests of each id.
type Tests = BTreeMap<Id, BTreeSet<String>>;

fn compare(entries: &[Entry], tests: &Tests) -> Vec<String> {
    let mut faults = Vec::new();
    let mut known = BTreeSet::new();
    for Entry { id, files } in entries {
        if !known.insert(*id) {
            faults.push(format!("{CATALOGUE}: {id} is listed twice"));
        }
        let Some(found) = tests.get(id) else {
            faults.push(format!("{CATALOGUE}: no test is named after {id}"));
            continue;
        };
        for file in files.iter().filter(|file| !found.contains(*file)) {
            faults.push(format!("{CATALOGUE}: {file} has no test named after {id}"));
        }
    }
    if entries.is_empty() {
        faults.push(format!("{CATALOGUE}: no row begins with an id"));
    }
    for (id, files) in tests.iter().filter(|(id, _)| !known.contains(id)) {
        faults.extend(
            files
                .iter()
                .map(|file| format!("{file}: {CATALOGUE} has no {id}")),
        );
    }
    faults
}

/// The rows `| S9 | … | [name](../path) |`.
fn entries(catalogue: &str) -> Vec<Entry> {
    let row = |line: &str| {
        let cells = line.strip_prefix("| ")?;
        let id = ids(cells, |rest| rest.starts_with(" |")).first().copied()?;
        let links = line.split("](../").skip(1);
        let files = links.filter_map(|link| link.split(')').next());
        Some(Entry {
            id,
            files: files.map(str::to_owned).collect(),
        })
    };
    catalogue.lines().filter_map(row).collect()
}

fn tests(root: &Path) -> Result<Tests, String> {
    let mut tests = Tests::new();
    for (directory, end, naming) in TESTS {
        for path in files(&root.join(directory), end)? {
            let text = fs::read_to_string(&path)
                .map_err(|error| format!("{}: {error}", path.display()))?;
            let name = path.strip_prefix(root).unwrap_or(&path);
            let name = name.to_string_lossy().replace('\\', "/");
            let file = name.rsplit('/').next().unwrap_or_default();
            let found = match naming {
                Naming::Functions => in_functions(&text),
                Naming::Titles => [in_titles(&text), ids(file, is_separator)].concat(),
            };
            for id in found {
                tests.entry(id).or_default().insert(name.clone());
            }
        }
    }
    Ok(tests)
}

fn files(directory: &Path, end: &str) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        let failed = |error| format!("{}: {error}", directory.display());
        for entry in fs::read_dir(&directory).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_dir() {
                if !FOREIGN.contains(&&*name) {
                    open.push(path);
                }
            } else if name.ends_with(end) {
                found.push(path);
            }
        }
    }
    Ok(found)
}

fn in_functions(text: &str) -> Vec<Id> {
    text.match_indices("fn ")
        .flat_map(|(at, found)| ids(&text[at + found.len()..], is_separator))
        .collect()
}

/// In string literals that begin with an id.
fn in_titles(text: &str) -> Vec<Id> {
    text.match_indices(['\'', '"', '`'])
        .flat_map(|(at, _)| ids(&text[at + 1..], is_separator))
        .collect()
}

fn is_separator(rest: &str) -> bool {
    rest.starts_with(['_', ':', ' '])
}

/// The ids at the start of `text`, as long as `ends` accepts what follows each.
fn ids(text: &str, ends: impl Fn(&str) -> bool) -> Vec<Id> {
    let mut found = Vec::new();
    let mut rest = text;
    loop {
        let Some(kind) = rest.chars().next().map(|c| c.to_ascii_uppercase()) else {
            return found;
        };
        let number = rest.get(1..).unwrap_or_default();
        let digits = number.bytes().take_while(u8::is_ascii_digit).count();
        let behind = number.get(digits..).unwrap_or_default();
        let Ok(number) = number[..digits].parse() else {
            return found;
        };
        if !matches!(kind, 'S' | 'R') || digits > 2 || !ends(behind) {
            return found;
        }
        found.push(Id(kind, number));
        rest = behind.trim_start_matches([' ', '_']);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(ids: &[Id]) -> Vec<String> {
        ids.iter().map(Id::to_string).collect()
    }

    #[test]
    fn ids_are_read_from_names_and_titles_and_from_nothing_else() {
        let functions = "async fn s24_s25_a_fin() {}\nfn r7_storm()\nfn s3()\nfn status_s9_x()";
        assert_eq!(shown(&in_functions(functions)), ["S24", "S25", "R7"]);
        let titles = "it('s9: two users', …)\nit(`S44 handlers`)\n'/r1'\n's3' '2s1 ' \"r17_x\"";
        assert_eq!(shown(&in_titles(titles)), ["S9", "S44", "R17"]);
    }

    #[test]
    fn every_mismatch_is_reported() {
        let catalogue = "\
| S1 | a requirement | [a](../crates/a.rs), [b](../node/b.test.ts) |
| S2 | nobody tests it | |
| S1 | again | |
| id | what |";
        let tests = Tests::from([
            (Id('S', 1), BTreeSet::from(["crates/a.rs".to_owned()])),
            (Id('R', 9), BTreeSet::from(["crates/c.rs".to_owned()])),
        ]);
        assert_eq!(
            compare(&entries(catalogue), &tests),
            [
                "docs/requirements.md: node/b.test.ts has no test named after S1",
                "docs/requirements.md: no test is named after S2",
                "docs/requirements.md: S1 is listed twice",
                "crates/c.rs: docs/requirements.md has no R9",
            ]
        );
    }
}
