//! Compares the public surface of dodici-reqwest with reqwest's, name by name. `cargo xtask
//! api-diff` calls [`check`].
//!
//! reqwest's names are in `conformance/reqwest/api.json`, with a reason for each name that is
//! missing on purpose; ours come from rustdoc's JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use crate::rustdoc;

const NAMES: &str = "conformance/reqwest/api.json";

/// The result of the comparison.
pub(crate) struct Diff {
    /// Names that are present.
    pub(crate) present: usize,
    /// Names that are missing for a reason.
    pub(crate) excused: usize,
    /// Names missing without a reason, and reasons that are no longer needed.
    pub(crate) faults: Vec<String>,
}

/// Builds our documentation and compares.
///
/// # Errors
/// One sentence if the documentation cannot be built, or one of the files cannot be read.
pub(crate) fn check(root: &Path) -> Result<Diff, String> {
    let wanted = read_json(&root.join(NAMES))?;
    let ours = read_json(&rustdoc::document(root)?.join("dodici_reqwest.json"))?;
    let ours = Surface::of(&ours);
    let reasons = wanted["reasons"].as_object().cloned().unwrap_or_default();
    let mut diff = Diff {
        present: 0,
        excused: 0,
        faults: Vec::new(),
    };
    let mut used = BTreeSet::new();
    for (path, item) in wanted["items"].as_object().into_iter().flatten() {
        for name in names(path, item) {
            let present = ours.names.contains(&name);
            match (present, reasons.contains_key(&name)) {
                (true, false) => diff.present += 1,
                (true, true) => diff.faults.push(format!(
                    "{name}: present, although it has a reason to be missing"
                )),
                (false, true) => diff.excused += 1,
                (false, false) => diff.faults.push(format!("{name}: is missing")),
            }
            used.insert(name);
        }
    }
    let stale = reasons.keys().filter(|name| !used.contains(*name));
    diff.faults
        .extend(stale.map(|name| format!("{name}: has a reason, but reqwest does not have it")));
    Ok(diff)
}

/// `Type`, `Type::method`, `Type: Trait` for one entry of the list.
fn names(path: &str, item: &Value) -> Vec<String> {
    let mut names = vec![path.to_owned()];
    let listed = |key: &str| {
        let list = item[key].as_array().cloned().unwrap_or_default();
        list.into_iter()
            .filter_map(|name| name.as_str().map(str::to_owned))
    };
    for key in ["methods", "items"] {
        names.extend(listed(key).map(|method| format!("{path}::{method}")));
    }
    names.extend(listed("traits").map(|name| format!("{path}: {name}")));
    names
}

fn read_json(path: &Path) -> Result<Value, String> {
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
}

/// Every public name of a crate, in the words of the list.
struct Surface {
    names: BTreeSet<String>,
}

impl Surface {
    fn of(doc: &Value) -> Self {
        let mut surface = Self {
            names: BTreeSet::new(),
        };
        let mut paths = BTreeMap::new();
        surface.walk(doc, &doc["root"], "", &mut paths);
        surface.implementations(doc, &paths);
        surface
    }

    /// Names reachable from a module; `paths` remembers where each item was found.
    fn walk(
        &mut self,
        doc: &Value,
        module: &Value,
        prefix: &str,
        paths: &mut BTreeMap<String, Vec<String>>,
    ) {
        let items = item(doc, module)["inner"]["module"]["items"].as_array();
        for id in items.into_iter().flatten() {
            let mut found = item(doc, id);
            let mut id = id;
            let mut name = found["name"].as_str();
            if let Some(import) = found["inner"].get("use") {
                name = import["name"].as_str();
                id = &import["id"];
                found = item(doc, id);
            }
            let Some(name) = name else {
                continue;
            };
            let path = if prefix.is_empty() {
                name.to_owned()
            } else {
                format!("{prefix}::{name}")
            };
            self.names.insert(path.clone());
            paths.entry(key(id)).or_default().push(path.clone());
            if found["inner"].get("module").is_some() {
                self.walk(doc, id, &path, paths);
            }
            let members = found["inner"]["trait"]["items"].as_array();
            for member in members.into_iter().flatten() {
                if let Some(name) = item(doc, member)["name"].as_str() {
                    self.names.insert(format!("{path}::{name}"));
                }
            }
        }
    }

    fn implementations(&mut self, doc: &Value, paths: &BTreeMap<String, Vec<String>>) {
        let index = doc["index"].as_object();
        for found in index.into_iter().flat_map(|index| index.values()) {
            let Some(block) = found["inner"].get("impl") else {
                continue;
            };
            if block["is_synthetic"] == true || !block["blanket_impl"].is_null() {
                continue;
            }
            for path in implemented(&block["for"], paths) {
                match block["trait"].as_object() {
                    None => self.members(doc, block, &path),
                    Some(implemented) => {
                        let name = rendered_path(&Value::Object(implemented.clone()));
                        self.names.insert(format!("{path}: {name}"));
                        let owner = render(&block["for"]);
                        self.names.insert(format!("{path}: {name} for {owner}"));
                    }
                }
            }
            // `From<Ours> for Other` counts as a trait of `Ours` too.
            if let Some(implemented) = block["trait"].as_object() {
                let name = rendered_path(&Value::Object(implemented.clone()));
                let owner = render(&block["for"]);
                for path in arguments(implemented.get("args"), paths) {
                    self.names.insert(format!("{path}: {name} for {owner}"));
                    self.names.insert(format!("{path}: {name}"));
                }
            }
        }
    }

    fn members(&mut self, doc: &Value, block: &Value, path: &str) {
        for id in block["items"].as_array().into_iter().flatten() {
            let member = item(doc, id);
            if member["visibility"] == "public"
                && let Some(name) = member["name"].as_str()
            {
                self.names.insert(format!("{path}::{name}"));
            }
        }
    }
}

fn key(id: &Value) -> String {
    id.as_str().map_or_else(|| id.to_string(), str::to_owned)
}

fn item<'a>(doc: &'a Value, id: &Value) -> &'a Value {
    &doc["index"][key(id)]
}

/// Where the type of an implementation is found, references looked through.
fn implemented(of: &Value, paths: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    if let Some(reference) = of.get("borrowed_ref") {
        return implemented(&reference["type"], paths);
    }
    let id = &of["resolved_path"]["id"];
    paths.get(&key(id)).cloned().unwrap_or_default()
}

/// Types of this crate among the arguments of a trait.
fn arguments(args: Option<&Value>, paths: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let list = args.and_then(|args| args["angle_bracketed"]["args"].as_array());
    list.into_iter()
        .flatten()
        .flat_map(|argument| implemented(&argument["type"], paths))
        .collect()
}

/// The last part of a path with its arguments: `From<Vec<u8>>`.
fn rendered_path(path: &Value) -> String {
    let full = path["path"].as_str().or_else(|| path["name"].as_str());
    let name = full
        .unwrap_or_default()
        .rsplit("::")
        .next()
        .unwrap_or_default();
    let list = path["args"]["angle_bracketed"]["args"].as_array();
    let rendered: Vec<String> = list
        .into_iter()
        .flatten()
        .filter_map(|argument| argument.get("type").map(render))
        .collect();
    if rendered.is_empty() {
        name.to_owned()
    } else {
        format!("{name}<{}>", rendered.join(", "))
    }
}

fn render(of: &Value) -> String {
    if let Some(path) = of.get("resolved_path") {
        return rendered_path(path);
    }
    if let Some(reference) = of.get("borrowed_ref") {
        return format!("&{}", render(&reference["type"]));
    }
    if let Some(slice) = of.get("slice") {
        return format!("[{}]", render(slice));
    }
    for kind in ["primitive", "generic"] {
        if let Some(name) = of[kind].as_str() {
            return name.to_owned();
        }
    }
    "_".to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_entry_names_its_type_its_methods_and_its_traits() {
        let entry = json!({ "kind": "struct", "methods": ["new"], "traits": ["Debug"] });
        assert_eq!(names("a::B", &entry), ["a::B", "a::B::new", "a::B: Debug"]);
    }

    #[test]
    fn types_are_written_as_in_the_list() {
        let bytes = json!({ "borrowed_ref": { "type": { "slice": { "primitive": "u8" } } } });
        let from = json!({
            "path": "core::convert::From",
            "args": { "angle_bracketed": { "args": [{ "type": bytes }] } }
        });
        assert_eq!(rendered_path(&from), "From<&[u8]>");
    }
}
