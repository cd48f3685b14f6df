//! The module graph of a crate, read from the text of its files, and its cycles.
//!
//! A file is a module. It refers to another by a path that begins with `crate`, `self` or `super`, in
//! a `use` declaration or anywhere else; names that a module re-exports, or imports for its children,
//! belong to the module that they come from. Unit tests and comments do not count.

use std::collections::{BTreeMap, BTreeSet};

use super::{Source, is_test_file, is_word, without_comments, without_tests};

/// `conn/h1.rs` is `[conn, h1]`; `lib.rs` and `conn/mod.rs` are `[]` and `[conn]`.
type Module = Vec<String>;

/// A reference from one module to another.
#[derive(Clone, Debug)]
pub(super) struct Edge {
    pub(super) from: Module,
    pub(super) to: Module,
    /// Path and line of the reference.
    pub(super) at: String,
}

/// The modules of one crate.
pub(super) struct Modules {
    /// Each with the names that it imports, and their sources.
    imports: BTreeMap<Module, BTreeMap<String, Module>>,
    mentions: Vec<(Module, Vec<String>, String)>,
}

impl Modules {
    /// Reads the files below `root`, which is the crate's `src`.
    pub(super) fn read(root: &str, files: &[Source]) -> Self {
        let code: Vec<_> = files
            .iter()
            .filter(|(path, _)| !is_test_file(path))
            .map(|(path, text)| {
                (
                    module_path(root, path),
                    path,
                    without_comments(without_tests(text)),
                )
            })
            .collect();
        let mut modules = Self {
            imports: code
                .iter()
                .map(|(module, ..)| (module.clone(), BTreeMap::new()))
                .collect(),
            mentions: Vec::new(),
        };
        for (module, path, code) in &code {
            for (at, _) in code.match_indices("use ") {
                let starts = !code[..at].ends_with(is_word);
                let Some(tree) = code[at + "use ".len()..]
                    .split(';')
                    .next()
                    .filter(|_| starts)
                else {
                    continue;
                };
                for (path, name) in expand(tree) {
                    if let Some(target) = modules.absolute(module, &path)
                        && let Some(names) = modules.imports.get_mut(module)
                    {
                        names.insert(name, target);
                    }
                }
            }
            for (line, mentioned) in mentioned(code) {
                if let Some(target) = modules.absolute(module, &mentioned) {
                    let at = format!("{path}:{line}");
                    modules.mentions.push((module.clone(), target, at));
                }
            }
        }
        modules
    }

    /// The path from the crate's root; `None` for another crate's.
    fn absolute(&self, from: &Module, path: &[String]) -> Option<Vec<String>> {
        let mut base = from.clone();
        let mut rest = path;
        match path.first()?.as_str() {
            "crate" => base.clear(),
            "self" => {}
            "super" => {
                base.pop()?;
            }
            first => {
                base.push(first.to_owned());
                return self
                    .imports
                    .contains_key(&base)
                    .then(|| [from.as_slice(), path].concat());
            }
        }
        rest = &rest[1..];
        while let Some((first, more)) = rest.split_first()
            && first == "super"
        {
            base.pop()?;
            rest = more;
        }
        base.extend_from_slice(rest);
        Some(base)
    }

    /// The module that a path from the root points into.
    fn resolve(&self, path: &[String], depth: usize) -> Module {
        let mut at = Module::new();
        for (index, name) in path.iter().enumerate() {
            let mut child = at.clone();
            child.push(name.clone());
            if self.imports.contains_key(&child) {
                at = child;
                continue;
            }
            if let Some(target) = self.imports.get(&at).and_then(|names| names.get(name))
                && depth > 0
            {
                let onwards = [target.as_slice(), &path[index + 1..]].concat();
                return self.resolve(&onwards, depth - 1);
            }
            break;
        }
        at
    }

    /// Every reference from one module to another.
    pub(super) fn edges(&self) -> Vec<Edge> {
        /// Longer chains of re-exports are not followed.
        const DEPTH: usize = 8;
        self.mentions
            .iter()
            .map(|(from, path, at)| Edge {
                from: from.clone(),
                to: self.resolve(path, DEPTH),
                at: at.clone(),
            })
            .filter(|edge| edge.from != edge.to)
            .collect()
    }
}

/// Sibling modules that depend on each other in a cycle.
pub(super) struct Cycle {
    /// The parent's directory.
    pub(super) place: String,
    pub(super) members: BTreeSet<String>,
    /// The dependencies that form it.
    pub(super) mentions: String,
}

/// Every cycle. Siblings are modules of one parent, each with everything below it: a module and its
/// children are one thing.
pub(super) fn cycles(root: &str, edges: &[Edge]) -> Vec<Cycle> {
    let mut levels: BTreeMap<&[String], BTreeMap<(&str, &str), &str>> = BTreeMap::new();
    for Edge { from, to, at } in edges {
        let common = from.iter().zip(to).take_while(|(a, b)| a == b).count();
        if let (Some(one), Some(other)) = (from.get(common), to.get(common)) {
            let level = levels.entry(&from[..common]).or_default();
            level.entry((one, other)).or_insert(at);
        }
    }
    let mut found = Vec::new();
    for (parent, level) in levels {
        let mut told: BTreeSet<&str> = BTreeSet::new();
        for &(name, _) in level.keys() {
            let reached = reachable(&level, name);
            if told.contains(name) || !reached.contains(name) {
                continue;
            }
            let members: BTreeSet<&str> = reached
                .into_iter()
                .filter(|other| reachable(&level, other).contains(name))
                .collect();
            let inside = level
                .iter()
                .filter(|((one, other), _)| members.contains(one) && members.contains(other));
            let mentions: Vec<String> = inside
                .map(|((one, other), at)| format!("`{one}` uses `{other}` ({at})"))
                .collect();
            found.push(Cycle {
                place: [&[root.to_owned()], parent].concat().join("/"),
                members: members.iter().map(|&name| name.to_owned()).collect(),
                mentions: mentions.join(", "),
            });
            told.extend(members);
        }
    }
    found
}

fn reachable<'a>(level: &BTreeMap<(&'a str, &'a str), &str>, from: &str) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open = vec![from];
    while let Some(next) = open.pop() {
        for &(one, other) in level.keys() {
            if one == next && found.insert(other) {
                open.push(other);
            }
        }
    }
    found
}

fn module_path(root: &str, path: &str) -> Module {
    let inner = path
        .trim_start_matches(root)
        .trim_start_matches('/')
        .trim_end_matches(".rs");
    let mut parts: Module = inner.split('/').map(str::to_owned).collect();
    if parts
        .last()
        .is_some_and(|last| matches!(last.as_str(), "mod" | "lib" | "main"))
    {
        parts.pop();
    }
    parts
}

/// All paths of a use tree with the names that they get: `a::{b, c::{self, d as e}}` is `a::b` as
/// `b`, `a::c` as `c`, `a::c::d` as `e`.
fn expand(tree: &str) -> Vec<(Vec<String>, String)> {
    let tree = tree.trim();
    if let Some(open) = tree.find('{') {
        let prefix: Vec<String> = segments(&tree[..open]);
        let inner = &tree[open + 1..];
        let inner = &inner[..closing(inner).unwrap_or(inner.len())];
        return split_outside_braces(inner)
            .into_iter()
            .filter(|part| !part.trim().is_empty())
            .flat_map(expand)
            .map(|(path, name)| {
                let path = [prefix.clone(), path].concat();
                match path.split_last() {
                    Some((last, module)) if last == "self" && !module.is_empty() => {
                        let own = module.last().cloned().unwrap_or_default();
                        let name = if name == "self" { own } else { name };
                        (module.to_vec(), name)
                    }
                    _ => (path, name),
                }
            })
            .collect();
    }
    let (path, alias) = tree.split_once(" as ").unwrap_or((tree, ""));
    let path = segments(path);
    let own = path.last().cloned().unwrap_or_default();
    let alias = alias.trim();
    let name = if alias.is_empty() {
        own
    } else {
        alias.to_owned()
    };
    vec![(path, name)]
}

fn segments(path: &str) -> Vec<String> {
    path.split("::")
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The paths that begin with `crate`, `self` or `super`, with their lines.
fn mentioned(code: &str) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    for start in ["crate::", "self::", "super::"] {
        for (at, _) in code.match_indices(start) {
            let before = &code[..at];
            if before.ends_with("::") || before.ends_with(is_word) || before.ends_with('$') {
                continue;
            }
            let line = before.matches('\n').count() + 1;
            let rest = &code[at..];
            let mut end = rest
                .find(|c: char| !is_word(c) && c != ':')
                .unwrap_or(rest.len());
            if rest[..end].ends_with("::") && rest[end..].starts_with('{') {
                end += 1 + closing(&rest[end + 1..]).map_or(0, |inner| inner + 1);
            }
            found.extend(
                expand(&rest[..end])
                    .into_iter()
                    .map(|(path, _)| (line, path)),
            );
        }
    }
    found
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

/// Where the group that `text` starts in closes.
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
