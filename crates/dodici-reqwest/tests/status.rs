//! The committed result of reqwest's own suite: the numbers of `conformance/reqwest/status.json` add
//! up, each failure has its reason, and the table agrees.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::path::{Path, PathBuf};

use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/reqwest")
}

fn status() -> Value {
    let text = std::fs::read_to_string(folder().join("status.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Passed, failed, ignored of one file of the suite.
fn counts(file: &Value) -> [u64; 3] {
    [
        file["passed"].as_u64().unwrap(),
        file["failed"].as_object().unwrap().len() as u64,
        file["ignored"].as_array().unwrap().len() as u64,
    ]
}

#[test]
fn the_numbers_of_all_files_add_up_and_each_failure_has_its_reason() {
    let status = status();
    let mut sum = [0; 3];
    for (name, file) in status["files"].as_object().unwrap() {
        for (sum, count) in sum.iter_mut().zip(counts(file)) {
            *sum += count;
        }
        for (test, reason) in file["failed"].as_object().unwrap() {
            assert!(!reason.as_str().unwrap().is_empty(), "{name}: {test}");
        }
    }
    let total = &status["total"];
    let total = ["passed", "failed", "ignored"].map(|key| total[key].as_u64().unwrap());
    assert_eq!(sum, total);
}

#[test]
fn the_table_shows_the_same_numbers() {
    let status = status();
    let text = std::fs::read_to_string(folder().join("README.md")).unwrap();
    let row = |name: &str, [passed, failed, ignored]: [u64; 3]| {
        let mark = if name.starts_with('*') { "**" } else { "" };
        let cells = [passed, failed, ignored].map(|count| format!("{mark}{count}{mark}"));
        format!("| {name} | {} |", cells.join(" | "))
    };
    let mut rows: Vec<String> = status["files"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, file)| row(&format!("{name}.rs"), counts(file)))
        .collect();
    let total = &status["total"];
    let total = ["passed", "failed", "ignored"].map(|key| total[key].as_u64().unwrap());
    rows.push(row("**all**", total));
    for row in rows {
        assert!(text.contains(&row), "the table lacks {row}");
    }
    for fact in ["reqwest", "commit", "date"] {
        let fact = status[fact].as_str().unwrap();
        assert!(text.contains(fact), "the page lacks {fact}");
    }
}
