//! The layer rules of ARCHITECTURE.md that Cargo cannot enforce: modules inside the engine, and
//! words that a crate must not use. `cargo xtask layers` calls [`check`]; it reads files as text,
//! without types. The rules of the TypeScript sources are in `node/eslint.layers.mjs`.
//!
//! The rules are the tables at the top. Unit tests (`#[cfg(test)]` modules at the end of a file,
//! files named `tests.rs`) are exempt.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

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
    /// Files below this directory, or this one file.
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
        why: "the conversation with hyper is held in conn/hyper alone",
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
        why: "connections are the engine's; the real reqwest is converted from and to, never used",
    },
];

/// Checks the tree below `root`.
///
/// # Errors
/// One sentence per violation, sorted by file; also files that cannot be read.
pub(crate) fn check(root: &Path) -> Result<(), Vec<String>> {
    let mut violations = Vec::new();
    let engine = sources(root, ENGINE, "rs", &mut violations);
    violations.extend(check_engine(&engine));
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

// ---- modules of the engine ---------------------------------------------------------------------

fn check_engine(files: &[Source]) -> Vec<String> {
    let mut violations = Vec::new();
    let root_file = format!("{ENGINE}/lib.rs");
    let exports = files
        .iter()
        .find(|(path, _)| *path == root_file)
        .map(|(_, text)| exported_from(text))
        .unwrap_or_default();
    for (path, text) in files {
        let module = module_path(path);
        let Some(from) = module.first() else { continue };
        if is_test_file(path) {
            continue;
        }
        if row(from).is_none() {
            violations.push(format!(
                "{path}: module `{from}` has no row in the table of crates/xtask/src/layers.rs"
            ));
            continue;
        }
        let code = without_comments(without_tests(text));
        for (line, target) in used_modules(&code, &module) {
            // A name that lib.rs re-exports belongs to the module that it came from.
            let to = exports.get(&target).unwrap_or(&target);
            if forbidden(from, to) {
                violations.push(format!(
                    "{path}:{line}: `{from}` must not import from `{to}`"
                ));
            }
        }
    }
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

/// `crates/dodici/src/conn/pipe.rs` is `[conn, pipe]`; `lib.rs` is empty.
fn module_path(path: &str) -> Vec<String> {
    let inner = path
        .trim_start_matches(ENGINE)
        .trim_start_matches('/')
        .trim_end_matches(".rs");
    let mut parts: Vec<String> = inner.split('/').map(str::to_owned).collect();
    if parts
        .last()
        .is_some_and(|last| last == "mod" || last == "lib")
    {
        parts.pop();
    }
    parts
}

/// Names that the crate root re-exports, with the top-level module each comes from.
fn exported_from(root_text: &str) -> HashMap<String, String> {
    let code = without_comments(root_text);
    let mut names = HashMap::new();
    for (at, _) in code.match_indices("pub use ") {
        let Some(tree) = code[at + "pub use ".len()..].split(';').next() else {
            continue;
        };
        for path in expand(tree) {
            let path = path.strip_prefix("crate::").unwrap_or(&path);
            if let (Some((module, _)), Some((_, name))) =
                (path.split_once("::"), path.rsplit_once("::"))
            {
                names.insert(name.to_owned(), module.to_owned());
            }
        }
    }
    names
}

/// All paths of a use tree: `a::{b, c::{d, e as f}}` is `a::b`, `a::c::d`, `a::c::f`.
fn expand(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some(open) = tree.find('{') else {
        let name = tree.rsplit(" as ").next().unwrap_or(tree).trim();
        return match tree.split_once(" as ") {
            Some((path, _)) => match path.rsplit_once("::") {
                Some((parent, _)) => vec![format!("{parent}::{name}")],
                None => vec![name.to_owned()],
            },
            None => vec![tree.to_owned()],
        };
    };
    let prefix = &tree[..open];
    let inner = tree[open + 1..]
        .strip_suffix('}')
        .unwrap_or(&tree[open + 1..]);
    split_outside_braces(inner)
        .into_iter()
        .filter(|part| !part.trim().is_empty())
        .flat_map(expand)
        .map(|path| format!("{prefix}{path}"))
        .collect()
}

fn split_outside_braces(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0usize, 0);
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// Top-level names of this crate that `code` (in `module`) uses through `crate::` or `super::`
/// paths, in use declarations or anywhere else, with their lines.
fn used_modules(code: &str, module: &[String]) -> Vec<(usize, String)> {
    let mut used = Vec::new();
    for (at, found) in code.match_indices("crate::") {
        if !code[..at].ends_with(is_word) && !code[..at].ends_with("$") {
            names_after(code, at + found.len(), at, &mut used);
        }
    }
    for (at, _) in code.match_indices("super::") {
        // Each chain once, from its start.
        if code[..at].ends_with("::") || code[..at].ends_with(is_word) {
            continue;
        }
        let rest = code[at..].trim_start_matches("super::");
        let levels = (code[at..].len() - rest.len()) / "super::".len();
        if levels >= module.len() {
            names_after(code, at + levels * "super::".len(), at, &mut used);
        }
    }
    used
}

/// The first name, or the first names of the group, that stand at `from`.
fn names_after(code: &str, from: usize, at: usize, used: &mut Vec<(usize, String)>) {
    let line = code[..at].matches('\n').count() + 1;
    let rest = &code[from..];
    let tree = match rest.strip_prefix('{') {
        Some(group) => match closing(group) {
            Some(end) => &group[..end],
            None => return,
        },
        None => &rest[..rest.find(|c: char| !is_word(c)).unwrap_or(rest.len())],
    };
    for part in split_outside_braces(tree) {
        let name = part
            .trim()
            .split(|c: char| !is_word(c))
            .next()
            .unwrap_or_default();
        if !name.is_empty() {
            used.push((line, name.to_owned()));
        }
    }
}

/// Where the group that is open at the start of `text` closes.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 1usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
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
