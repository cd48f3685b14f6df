//! Checks that what the documentation names exists: links, paths and names of functions.
//! `cargo xtask docs` calls [`check`]; it reads files as text and parses no language.
//!
//! In every Markdown file, it checks the targets of links into the repository and code spans that are paths
//! (`docs/limits.md`, or a suffix of a path: `lifecycle.rs`). In ARCHITECTURE.md and below `docs/`, it
//! also checks code spans that are snake-case names (`two_words`, or `s28_…` for a prefix) or Rust paths
//! (`Type::method`), and in comments of source files, paths from the root. Fenced blocks are exempt.
//! Each decision record must have a unique number.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Directories that are built or installed: neither read nor checked for.
const BUILT: &[&str] = &[
    ".git",
    "artifacts",
    "dist",
    "node-api",
    "node_modules",
    "prebuilds",
    "results",
    "target",
];

/// Extensions that make a code span a path.
const EXTENSIONS: &[&str] = &["cjs", "json", "md", "mjs", "rs", "svg", "toml", "ts"];

/// How pages that are published without the repository name its files.
const REPOSITORY: &str = "https://github.com/dodici/dodici/blob/main/";

/// Source files: their comments are checked, and their words are the names that exist.
const SOURCES: &[&str] = &["cjs", "mjs", "rs", "ts"];

/// A file's path relative to the root, with `/`, and its text if it is a document or a source.
struct File {
    path: String,
    text: String,
}

/// Checks the tree below `root`.
///
/// # Errors
/// One sentence per path or name that the documentation mentions and that does not exist; also files
/// that cannot be read.
pub(crate) fn check(root: &Path) -> Result<(), Vec<String>> {
    let mut files = Vec::new();
    read(root, root, &mut files).map_err(|error| vec![error])?;
    let faults = Tree::of(&files).faults(&files);
    if faults.is_empty() {
        Ok(())
    } else {
        Err(faults)
    }
}

fn read(root: &Path, directory: &Path, files: &mut Vec<File>) -> Result<(), String> {
    let failed = |error| format!("{}: {error}", directory.display());
    for entry in fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            if !BUILT.contains(&&*name) {
                read(root, &path, files)?;
            }
            continue;
        }
        let text = if is_source(&name) || name.ends_with(".md") {
            fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?
        } else {
            String::new()
        };
        let path = path.strip_prefix(root).unwrap_or(&path).to_string_lossy();
        files.push(File {
            path: path.replace('\\', "/"),
            text,
        });
    }
    Ok(())
}

/// What can be named.
struct Tree<'a> {
    /// Files and directories, by every suffix of their path: `a/b.rs` and `b.rs`.
    paths: BTreeSet<&'a str>,
    /// Top-level directories.
    roots: BTreeSet<&'a str>,
    /// Words of all source files.
    words: BTreeSet<&'a str>,
}

impl<'a> Tree<'a> {
    fn of(files: &'a [File]) -> Self {
        let mut tree = Self {
            paths: BTreeSet::new(),
            roots: BTreeSet::new(),
            words: BTreeSet::new(),
        };
        for File { path, text } in files {
            let starts = || std::iter::once(0).chain(path.match_indices('/').map(|(at, _)| at + 1));
            let ends = path.match_indices('/').map(|(at, _)| at);
            tree.paths.extend(starts().map(|from| &path[from..]));
            for end in ends {
                let starts = starts().take_while(|from| *from < end);
                tree.paths.extend(starts.map(|from| &path[from..end]));
            }
            tree.roots
                .extend(path.split_once('/').map(|(root, _)| root));
            if is_source(path) {
                tree.words.extend(text.split(|c: char| !is_word(c)));
            }
        }
        tree
    }

    fn faults(&self, files: &[File]) -> Vec<String> {
        let mut faults = Vec::new();
        for file in files {
            let found = if file.path.ends_with(".md") {
                self.in_markdown(file)
            } else if is_source(&file.path) {
                self.in_comments(file)
            } else {
                continue;
            };
            for (line, name) in found {
                faults.push(format!("{}:{line}: `{name}` does not exist", file.path));
            }
        }
        let mut numbers = BTreeSet::new();
        for File { path, .. } in files {
            let record = path.strip_prefix("docs/decisions/");
            let number = record.and_then(|record| record.split_once('-'));
            if number.is_some_and(|(number, _)| !numbers.insert(number)) {
                faults.push(format!("{path}: another record has the same number"));
            }
        }
        faults
    }

    fn in_markdown<'t>(&self, file: &'t File) -> Vec<(usize, &'t str)> {
        let names = file.path == "ARCHITECTURE.md" || file.path.starts_with("docs/");
        let mut missing = Vec::new();
        let mut fenced = false;
        for (index, line) in file.text.lines().enumerate() {
            if line.trim_start().starts_with("```") {
                fenced = !fenced;
            } else if !fenced {
                let links = links(line).filter(|link| !self.has_target(&file.path, link));
                let spans = line.split('`').skip(1).step_by(2).filter(|span| {
                    (self.is_path(span) && !self.has_path(span)) || (names && !self.has_name(span))
                });
                missing.extend(links.chain(spans).map(|name| (index + 1, name)));
            }
        }
        missing
    }

    fn in_comments<'t>(&self, file: &'t File) -> Vec<(usize, &'t str)> {
        let mut missing = Vec::new();
        for (index, line) in file.text.lines().enumerate() {
            let Some(comment) = comment(line) else {
                continue;
            };
            let words = comment.split(|c: char| !is_word(c) && !matches!(c, '/' | '.' | '-'));
            let words = words.map(|word| word.trim_end_matches(['.', '/']));
            missing.extend(
                words
                    .filter(|word| self.is_below_a_root(word) && self.is_path(word))
                    .filter(|word| !self.paths.contains(word))
                    .map(|word| (index + 1, word)),
            );
        }
        missing
    }

    fn is_below_a_root(&self, word: &str) -> bool {
        let root = word.split_once('/').map(|(root, _)| root);
        root.is_some_and(|root| self.roots.contains(root))
    }

    /// Whether `span` can only mean a path of this repository.
    fn is_path(&self, span: &str) -> bool {
        let shaped = span
            .chars()
            .all(|c| is_word(c) || matches!(c, '/' | '.' | '-'));
        let (stem, extension) = span.rsplit_once('.').unwrap_or_default();
        shaped
            && !span.starts_with('/')
            && !span.contains("..")
            && !span.split('/').any(|part| BUILT.contains(&part))
            && (self.is_below_a_root(span) || !stem.is_empty() && EXTENSIONS.contains(&extension))
    }

    fn has_path(&self, span: &str) -> bool {
        self.paths.contains(span.trim_end_matches('/'))
    }

    /// Whether `span` is not a snake-case name or Rust path, or one whose words source files contain.
    fn has_name(&self, span: &str) -> bool {
        let (name, open) = match span.strip_suffix('…') {
            Some(name) => (name, true),
            None => (span.trim_end_matches("()"), false),
        };
        if name.contains("::") {
            let mut parts = name.split("::");
            return parts.all(|part| !part.chars().all(is_word) || self.words.contains(part));
        }
        let snake = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if !name.contains('_') || name.starts_with('_') || !name.chars().all(snake) {
            return true;
        }
        let mut from = self.words.range(name..);
        from.next().is_some_and(|word| {
            if open {
                word.starts_with(name)
            } else {
                *word == name
            }
        })
    }

    /// Whether the link `target` in the file `path` exists, or points outside the repository.
    fn has_target(&self, path: &str, target: &str) -> bool {
        let target = target.split('#').next().unwrap_or_default();
        let (path, target) = match target.strip_prefix(REPOSITORY) {
            Some(target) => ("", target),
            None => (path, target),
        };
        if target.is_empty() || target.contains(':') {
            return true;
        }
        let Some(resolved) = resolve(path, target) else {
            return false;
        };
        resolved.is_empty() || self.roots.contains(&*resolved) || self.paths.contains(&*resolved)
    }
}

/// The path that `target` means in the file `path`, or `None` above the root.
fn resolve(path: &str, target: &str) -> Option<String> {
    let mut resolved = PathBuf::from(path);
    resolved.pop();
    for part in Path::new(target).components() {
        match part {
            Component::Normal(name) => resolved.push(name),
            Component::ParentDir if resolved.pop() => {}
            Component::CurDir => {}
            _ => return None,
        }
    }
    Some(resolved.to_string_lossy().replace('\\', "/"))
}

/// The targets of the links `[text](target)` of a line.
fn links(line: &str) -> impl Iterator<Item = &str> {
    let ends = line.split("](").skip(1);
    ends.filter_map(|rest| rest.split(')').next())
}

/// The text of a line that is a comment.
fn comment(line: &str) -> Option<&str> {
    let line = line.trim_start();
    ["//", "/*", "* "]
        .iter()
        .find_map(|start| line.strip_prefix(start))
}

fn is_source(path: &str) -> bool {
    let extension = path.rsplit_once('.').unwrap_or_default().1;
    SOURCES.contains(&extension)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(document: (&str, &str)) -> Vec<String> {
        let files = [
            document,
            (
                "crates/a/src/pool.rs",
                "struct Pool;\nfn two_words() {}\nfn s28_heads() {}",
            ),
            ("docs/limits.md", ""),
            ("README.md", ""),
        ]
        .map(|(path, text)| File {
            path: path.to_owned(),
            text: text.to_owned(),
        });
        Tree::of(&files).faults(&files)
    }

    #[test]
    fn what_exists_is_accepted() {
        let text = "\
[a](../crates/a/src/pool.rs) [b](limits.md#heads) [c](../crates/a) [d](https://example.com/x.md)
`crates/a/src/pool.rs` `src/pool.rs` `pool.rs` `crates/a/` `docs/limits.md` `two_words` `s28_…`
`Pool::two_words` `Vec<a::b>` `a/b` `node.js` `/etc/x.toml` `UND_ERR_X` `max_x: 1` `_kernel_name` `docs/dist/x.json`
```
crates/none.rs [x](none.md)
```";
        assert_eq!(faults(("docs/x.md", text)), [""; 0]);
        let text = "//! See docs/limits.md.\nlet x = \"crates/none.rs\"; // and/or";
        assert_eq!(faults(("crates/b.rs", text)), [""; 0]);
    }

    #[test]
    fn what_does_not_exist_is_reported_with_its_line() {
        let text = "[a](crates/a/src/pool.rs)\n`crates/none` `none.rs` `ool.rs`\n\
                    `three_odd_words` `two_…x` `s29_…` `Pool::odd`";
        assert_eq!(
            faults(("docs/x.md", text)),
            [
                "docs/x.md:1: `crates/a/src/pool.rs` does not exist",
                "docs/x.md:2: `crates/none` does not exist",
                "docs/x.md:2: `none.rs` does not exist",
                "docs/x.md:2: `ool.rs` does not exist",
                "docs/x.md:3: `three_odd_words` does not exist",
                "docs/x.md:3: `s29_…` does not exist",
                "docs/x.md:3: `Pool::odd` does not exist",
            ]
        );
        assert_eq!(
            faults(("crates/b.rs", "/// See `docs/none.md`, crates/a/none.rs.")),
            [
                "crates/b.rs:1: `docs/none.md` does not exist",
                "crates/b.rs:1: `crates/a/none.rs` does not exist",
            ]
        );
        assert_eq!(
            faults(("docs/x.md", "[out](../../x.md)")),
            ["docs/x.md:1: `../../x.md` does not exist"]
        );
        let links = ["docs/limits.md#heads", "docs/none.md"]
            .map(|path| format!("[a]({REPOSITORY}{path})"))
            .concat();
        assert_eq!(
            faults(("node/README.md", &links)),
            [format!(
                "node/README.md:1: `{REPOSITORY}docs/none.md` does not exist"
            )]
        );
    }
    #[test]
    fn two_records_with_one_number_are_reported() {
        let record = ("docs/decisions/0001-a.md", "");
        assert_eq!(faults(record), [""; 0]);
        let files = [record.0, "docs/decisions/0001-b.md"].map(|path| File {
            path: path.to_owned(),
            text: String::new(),
        });
        assert_eq!(
            Tree::of(&files).faults(&files),
            ["docs/decisions/0001-b.md: another record has the same number"]
        );
    }
}
