//! The layer rules of ARCHITECTURE.md that Cargo cannot enforce: the rows of the engine's modules, no
//! cycles among the modules of a crate, and words that a crate must not use. `cargo xtask layers` calls
//! [`check`]; it reads files as text, without types. The rules of the TypeScript sources are in
//! `node/eslint.layers.mjs`.
//!
//! The rules are the tables at the top. Unit tests (`#[cfg(test)]` modules at the end of a file,
//! files named `tests.rs`) are exempt.

use std::fs;
use std::path::{Path, PathBuf};

use modules::{Cycle, Edge, Modules, cycles};

mod modules;

/// The crates whose modules must not depend on each other in cycles.
const CRATES: &[&str] = &[
    ENGINE,
    "crates/dodici-coding/src",
    "crates/dodici-pool/src",
    "crates/dodici-reqwest/src",
    "crates/dodici-wire/src",
    "crates/testkit/src",
    "crates/xtask/src",
    "node/native/src",
];

/// A cycle that is accepted: a directory, the modules in it that may depend on each other, and why.
type Accepted = (&'static str, &'static [&'static str], &'static str);

/// They may shrink but not grow, and an entry without a cycle is an error.
const ACCEPTED: &[Accepted] = &[(
    "crates/dodici/src/connect",
    &["read_ahead", "session", "socket"],
    "TLS to a proxy is a socket for TLS to the origin: the type contains itself",
)];

/// The engine's sources.
const ENGINE: &str = "crates/dodici/src";

/// The engine's modules from the top layer to the bottom. A module may import from its own row and
/// the rows below it. A module that is not listed is an error.
const ENGINE_ROWS: &[&[&str]] = &[
    &["engine", "client"],
    &["origin"],
    &["exchange"],
    &["conn", "connect", "body"],
    &[
        "command", "clock", "decoding", "settle", "sink", "spare", "trace", "tuning",
    ],
];

/// Forbidden dependencies within one row: (from, to).
const ENGINE_FORBIDDEN: &[(&str, &str)] = &[("connect", "conn")];

/// Words that some files must not contain.
struct WordRule {
    /// Files below this directory, or this file.
    within: &'static str,
    /// Only files with this extension.
    extension: &'static str,
    /// Files below this directory (or this file) are exempt.
    except: Option<&'static str>,
    words: Words,
    why: &'static str,
}

enum Words {
    /// Rust paths and names, as whole words outside comments.
    Names(&'static [&'static str]),
    /// Keys at the start of a line of Cargo.toml.
    Dependencies(&'static [&'static str]),
}

/// What differs between operating systems.
const SYSTEMS: Words = Words::Names(&["cfg(unix)", "cfg(not(unix))", "cfg(windows)", "target_os"]);

const WORD_RULES: &[WordRule] = &[
    WordRule {
        within: "crates/dodici-pool/src",
        extension: "rs",
        except: None,
        words: Words::Names(&[
            "tokio",
            "hyper",
            "parking_lot",
            "Mutex",
            "RwLock",
            "Condvar",
            "mpsc",
            "TcpStream",
            "TcpListener",
            "UdpSocket",
            "UnixStream",
            "ToSocketAddrs",
            "std::fs",
            "std::io",
            "std::thread",
            "Instant::now",
            "SystemTime::now",
        ]),
        why: "the pool has no I/O, no lock and no clock: time comes in as `now`",
    },
    WordRule {
        within: "crates/dodici-pool/Cargo.toml",
        extension: "toml",
        except: None,
        words: Words::Dependencies(&["tokio", "hyper", "parking_lot", "dodici", "dodici-wire"]),
        why: "the pool depends on no other crate of ours and on no runtime",
    },
    WordRule {
        within: "crates/dodici/src",
        extension: "rs",
        except: Some("crates/dodici/src/conn/hyper/"),
        words: Words::Names(&["hyper::client", "hyper::body", "hyper::rt", "hyper::Error"]),
        why: "only conn/hyper uses hyper",
    },
    WordRule {
        within: ENGINE,
        extension: "rs",
        except: Some("crates/dodici/src/connect/"),
        words: SYSTEMS,
        why: "only connect knows operating systems",
    },
    WordRule {
        within: "node/native/src",
        extension: "rs",
        except: None,
        words: SYSTEMS,
        why: "only the engine knows operating systems",
    },
    WordRule {
        within: "node/native/src",
        extension: "rs",
        except: None,
        words: Words::Names(&["hyper", "h2"]),
        why: "the addon talks to the engine, never to a protocol library",
    },
    WordRule {
        within: "node/native/Cargo.toml",
        extension: "toml",
        except: None,
        words: Words::Dependencies(&["hyper", "hyper-util", "h2"]),
        why: "the addon talks to the engine, never to a protocol library",
    },
    WordRule {
        within: "crates/dodici-reqwest/src",
        extension: "rs",
        except: Some("crates/dodici-reqwest/src/interop.rs"),
        words: Words::Names(&[
            "reqwest::Client",
            "legacy::Client",
            "TcpStream",
            "TlsConnector",
        ]),
        why: "only the engine opens connections; the real reqwest's types are converted, never used",
    },
];

/// Checks the tree below `root`.
///
/// # Errors
/// One sentence per violation, sorted by file; also files that cannot be read.
pub(crate) fn check(root: &Path) -> Result<(), Vec<String>> {
    let mut violations = Vec::new();
    let mut found = Vec::new();
    for within in CRATES {
        let files = sources(root, within, "rs", &mut violations);
        let edges = Modules::read(within, &files).edges();
        found.extend(cycles(within, &edges));
        if *within == ENGINE {
            violations.extend(check_rows(&files, &edges));
        }
    }
    violations.extend(check_cycles(&found));
    for rule in WORD_RULES {
        for (path, text) in sources(root, rule.within, rule.extension, &mut violations) {
            violations.extend(rule.check(&path, &text));
        }
    }
    violations.sort();
    if violations.is_empty() {
        Ok(())
    } else {
        Err(violations)
    }
}

/// Path relative to the root, with `/`, and text.
type Source = (String, String);

/// All files of `extension` in `within`; an unreadable file is a violation. So is a rule about a
/// directory that does not exist: it could never fail.
fn sources(root: &Path, within: &str, extension: &str, failures: &mut Vec<String>) -> Vec<Source> {
    let mut found = Vec::new();
    let mut open = vec![root.join(within)];
    while let Some(path) = open.pop() {
        let read = if path.is_dir() {
            directory(&path, &mut open)
        } else {
            Ok(())
        };
        if let Err(error) = read {
            failures.push(format!("{}: {error}", path.display()));
        }
        if path.is_dir() || path.extension().is_none_or(|found| found != extension) {
            continue;
        }
        let name = path
            .strip_prefix(root)
            .unwrap_or(&path)
            .to_string_lossy()
            .replace('\\', "/");
        match fs::read_to_string(&path) {
            Ok(text) => found.push((name, text)),
            Err(error) => failures.push(format!("{name}: {error}")),
        }
    }
    if found.is_empty() {
        failures.push(format!(
            "{within}: no .{extension} file, so its import rule checks nothing"
        ));
    }
    found.sort();
    found
}

fn directory(path: &Path, open: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(path)? {
        open.push(entry?.path());
    }
    Ok(())
}

// ---- words -------------------------------------------------------------------------------------

impl WordRule {
    fn check(&self, path: &str, text: &str) -> Vec<String> {
        if self.except.is_some_and(|free| path.starts_with(free)) || is_test_file(path) {
            return Vec::new();
        }
        let code = match self.extension {
            "toml" => text.to_owned(),
            _ => without_comments(without_tests(text)),
        };
        let mut violations = Vec::new();
        for (index, line) in code.lines().enumerate() {
            if let Some(word) = self.words.found_in(line) {
                violations.push(format!("{path}:{}: `{word}`: {}", index + 1, self.why));
            }
        }
        violations
    }
}

impl Words {
    fn found_in(&self, line: &str) -> Option<&'static str> {
        match *self {
            Words::Names(names) => names.iter().copied().find(|name| has_name(line, name)),
            Words::Dependencies(keys) => keys.iter().copied().find(|key| {
                line.strip_prefix(key)
                    .is_some_and(|rest| rest.starts_with([' ', '=', '.']))
            }),
        }
    }
}

/// Whether `line` contains `name` as a whole word.
fn has_name(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(at, _)| {
        !line[..at].ends_with(is_word) && !line[at + name.len()..].starts_with(is_word)
    })
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

// ---- cycles ------------------------------------------------------------------------------------

fn check_cycles(found: &[Cycle]) -> Vec<String> {
    let accepts = |(place, members, _): &Accepted, cycle: &Cycle| {
        *place == cycle.place && cycle.members.iter().all(|name| members.contains(&&**name))
    };
    let new = found
        .iter()
        .filter(|cycle| !ACCEPTED.iter().any(|accepted| accepts(accepted, cycle)))
        .map(
            |Cycle {
                 place, mentions, ..
             }| format!("{place}: a cycle: {mentions}"),
        );
    let stale = ACCEPTED
        .iter()
        .filter(|accepted| !found.iter().any(|cycle| accepts(accepted, cycle)))
        .map(|(place, members, _)| {
            let members = members.join("`, `");
            format!("{place}: there is no cycle of `{members}` any more: remove it from the table")
        });
    new.chain(stale).collect()
}

// ---- modules -----------------------------------------------------------------------------------

/// Checks the engine's rows.
fn check_rows(files: &[Source], edges: &[Edge]) -> Vec<String> {
    let mut violations = Vec::new();
    for (path, _) in files.iter().filter(|(path, _)| !is_test_file(path)) {
        let module = path.trim_start_matches(ENGINE).trim_start_matches('/');
        let module = module.split('/').next().unwrap_or_default();
        let module = module.trim_end_matches(".rs");
        if module != "lib" && row(module).is_none() {
            violations.push(format!(
                "{path}: module `{module}` has no row in the table of crates/xtask/src/layers.rs"
            ));
        }
    }
    for Edge { from, to, at } in edges {
        if let (Some(from), Some(to)) = (from.first(), to.first())
            && forbidden(from, to)
        {
            violations.push(format!("{at}: `{from}` must not import from `{to}`"));
        }
    }
    violations.dedup();
    violations
}

fn row(module: &str) -> Option<usize> {
    ENGINE_ROWS.iter().position(|names| names.contains(&module))
}

fn forbidden(from: &str, to: &str) -> bool {
    match (row(from), row(to)) {
        (Some(from_row), Some(to_row)) => {
            from != to && (to_row < from_row || ENGINE_FORBIDDEN.contains(&(from, to)))
        }
        _ => false,
    }
}

// ---- text --------------------------------------------------------------------------------------

fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/")
}

/// The text up to the test module that ends a file.
fn without_tests(text: &str) -> &str {
    let mut from = 0;
    while let Some(at) = text[from..].find("#[cfg(test)]").map(|at| at + from) {
        let mut rest = text[at + "#[cfg(test)]".len()..].trim_start();
        while rest.starts_with("#[") {
            rest = rest
                .find(']')
                .map_or("", |end| rest[end + 1..].trim_start());
        }
        // `mod tests;` names another file; only an inline module ends this one.
        if rest.starts_with("mod ") && rest.lines().next().is_some_and(|l| l.contains('{')) {
            return &text[..at];
        }
        from = at + 1;
    }
    text
}

/// The text with `//` comments and block comments blanked, preserving lines. A `//` inside a string
/// (as in a URL) counts as a comment only after whitespace, which no URL has.
fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_block = false;
    for line in text.lines() {
        let trimmed = line.trim_start();
        if in_block || trimmed.starts_with("/*") {
            in_block = !line.contains("*/");
        } else if !trimmed.starts_with("//") {
            let end = line.find(" //").unwrap_or(line.len());
            out.push_str(&line[..end]);
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test fails by panicking")]
mod tests;
