//! Violations are found, and nothing else is reported.

use super::*;

fn engine(path: &str, text: &str) -> Vec<String> {
    let root = "pub mod engine;\npub use engine::{Engine, handle::Pool as EnginePool};";
    let mut files = vec![
        (format!("{ENGINE}/lib.rs"), root.to_owned()),
        (format!("{ENGINE}/engine/handle.rs"), String::new()),
        (format!("{ENGINE}/{path}"), text.to_owned()),
    ];
    let rows = ENGINE_ROWS.concat();
    files.extend(
        rows.iter()
            .map(|row| (format!("{ENGINE}/{row}.rs"), String::new())),
    );
    let edges = Modules::read(ENGINE, &files).edges();
    check_rows(&files, &edges)
}

fn cycles_in(files: &[(&str, &str)]) -> Vec<String> {
    let files: Vec<Source> = files
        .iter()
        .map(|(path, text)| (format!("src/{path}"), (*text).to_owned()))
        .collect();
    let found = cycles("src", &Modules::read("src", &files).edges());
    found
        .into_iter()
        .map(|cycle| format!("{}: {}", cycle.place, cycle.mentions))
        .collect()
}

#[test]
fn siblings_in_a_cycle_are_found_at_every_level() {
    let found = cycles_in(&[
        ("lib.rs", "mod a;\nmod b;\nmod deep;"),
        ("a.rs", "use crate::b::B;"),
        ("b.rs", "fn f() { super::a::A }"),
        ("deep/mod.rs", "mod one;\nmod two;\nmod three;"),
        ("deep/one.rs", "use super::two::Two;"),
        ("deep/two.rs", "use super::{three::Three};"),
        ("deep/three/mod.rs", "mod inner;"),
        ("deep/three/inner.rs", "use super::super::one::{self, One};"),
    ]);
    assert_eq!(
        found,
        [
            "src: `a` uses `b` (src/a.rs:1), `b` uses `a` (src/b.rs:1)",
            "src/deep: `one` uses `two` (src/deep/one.rs:1), \
             `three` uses `one` (src/deep/three/inner.rs:1), \
             `two` uses `three` (src/deep/two.rs:1)",
        ]
    );
}

#[test]
fn an_accepted_cycle_may_shrink_but_not_grow_or_go_stale() {
    let (place, members, _) = ACCEPTED[0];
    let cycle = |members: &[&str]| Cycle {
        place: place.to_owned(),
        members: members.iter().map(|&name| name.to_owned()).collect(),
        mentions: String::new(),
    };
    let about = |found: &[Cycle]| {
        let all = check_cycles(found);
        let own = format!("{place}: ");
        all.into_iter()
            .filter(|text| text.starts_with(&own))
            .count()
    };
    assert_eq!(about(&[cycle(members)]), 0);
    assert_eq!(about(&[]), 1);
    let more = [members, &["more"]].concat();
    assert_eq!(about(&[cycle(members), cycle(&more)]), 1);
}

#[test]
fn a_cycle_through_a_re_export_is_one() {
    let found = cycles_in(&[
        ("lib.rs", "mod a;\nmod b;\npub use b::Thing as Other;"),
        ("a/mod.rs", "mod child;\nuse crate::Other;"),
        ("a/child.rs", "use super::Other;"),
        ("b.rs", "use crate::a;"),
    ]);
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn parents_tests_and_other_crates_make_no_cycle() {
    let found = cycles_in(&[
        ("lib.rs", "mod a;\nmod b;\nuse a::A;"),
        (
            "a/mod.rs",
            "mod child;\nuse self::child::Child;\nuse other::b::B;",
        ),
        ("a/child.rs", "use super::A;\nuse crate::b::B;"),
        ("b.rs", "#[cfg(test)]\nmod tests { use crate::a::A; }"),
        ("b/tests.rs", "use crate::a::A;"),
    ]);
    assert_eq!(found, [] as [&str; 0]);
}

fn word(path: &str, text: &str) -> Vec<String> {
    WORD_RULES
        .iter()
        .filter(|rule| path.starts_with(rule.within) && path.ends_with(rule.extension))
        .flat_map(|rule| rule.check(path, text))
        .collect()
}

#[test]
fn a_connection_must_not_import_the_origin_however_it_is_written() {
    for text in [
        "use crate::origin::OriginTask;",
        "use crate::{clock::Clock, origin::{self, OriginTask}};",
        "use crate::{\n    clock::Clock,\n    origin,\n};",
        "use super::super::origin::OriginTask;",
        "fn f() { crate::origin::start(); }",
    ] {
        let found = engine("conn/h1.rs", text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(
            found[0].contains("`conn` must not import from `origin`"),
            "{found:?}"
        );
    }
}

#[test]
fn a_connection_must_not_import_the_engine_through_a_re_export() {
    assert_eq!(engine("conn/h1.rs", "use crate::Engine;").len(), 1);
    assert_eq!(engine("conn/mod.rs", "use super::EnginePool;").len(), 1);
}

#[test]
fn a_connector_must_not_import_the_connection() {
    assert_eq!(
        engine("connect/tls.rs", "use crate::conn::h1::start;").len(),
        1
    );
    assert!(engine("conn/h1.rs", "use crate::connect::Transport;").is_empty());
}

#[test]
fn each_row_may_import_downwards_and_not_upwards() {
    for (upper_row, lower_row) in ENGINE_ROWS.iter().zip(&ENGINE_ROWS[1..]) {
        for (upper, lower) in upper_row
            .iter()
            .flat_map(|u| lower_row.iter().map(move |l| (u, l)))
        {
            let down = engine(&format!("{upper}.rs"), &format!("use crate::{lower}::X;"));
            assert!(down.is_empty(), "{down:?}");
            let up = engine(
                &format!("{lower}/mod.rs"),
                &format!("use super::{upper}::X;"),
            );
            assert_eq!(up.len(), 1, "{lower} to {upper}");
        }
    }
}

#[test]
fn siblings_inside_a_module_may_import_each_other() {
    assert!(engine("conn/h1.rs", "use super::framing::Guard;").is_empty());
    assert!(
        engine(
            "connect/mod.rs",
            "use self::origin::X;\nuse other_crate::origin::Y;"
        )
        .is_empty()
    );
}

#[test]
fn a_module_without_a_row_is_an_error() {
    let found = engine("helpers.rs", "");
    assert!(found[0].contains("`helpers` has no row"), "{found:?}");
}

#[test]
fn comments_and_unit_tests_are_exempt() {
    let text = "//! See crate::origin.\n/* crate::engine */\nfn f() {} // crate::origin\n\
        #[cfg(test)]\n#[expect(clippy::unwrap_used)]\nmod tests { use crate::origin::X; }";
    assert!(engine("conn/h1.rs", text).is_empty());
}

#[test]
fn a_test_module_in_its_own_file_does_not_exempt_what_follows() {
    let text = "#[cfg(test)]\nmod tests;\nuse crate::origin::X;";
    assert_eq!(engine("conn/h1.rs", text).len(), 1);
}

#[test]
fn the_pool_must_not_use_io_locks_runtimes_or_the_clock() {
    for text in [
        "use tokio::sync::Notify;",
        "use hyper::Request;",
        "use std::net::{SocketAddr, TcpStream};",
        "use std::sync::{Arc, Mutex};",
        "let lock: parking_lot::RwLock<u8>;",
        "let now = std::time::Instant::now();",
        "std::thread::spawn(f);",
    ] {
        assert_eq!(
            word("crates/dodici-pool/src/pool/mod.rs", text).len(),
            1,
            "{text}"
        );
    }
    let fine = "//! no tokio\nuse std::net::SocketAddr;\nuse std::time::Instant;";
    assert!(word("crates/dodici-pool/src/pool/mod.rs", fine).is_empty());
    assert_eq!(
        word("crates/dodici-pool/Cargo.toml", "tokio = \"1\"").len(),
        1
    );
}

#[test]
fn the_addon_must_not_reach_past_the_engine() {
    assert_eq!(
        word("node/native/src/deliver.rs", "use hyper::body::Bytes;").len(),
        1
    );
    assert_eq!(
        word("node/native/src/deliver.rs", "    let x = h2::client();").len(),
        1
    );
    assert!(
        word(
            "node/native/src/deliver.rs",
            "let hyperlink = dodici::h2_limit;"
        )
        .is_empty()
    );
    assert_eq!(
        word("node/native/Cargo.toml", "h2.workspace = true").len(),
        1
    );
    assert_eq!(
        word("node/native/Cargo.toml", "hyper = { workspace = true }").len(),
        1
    );
}

#[test]
fn a_rule_without_files_is_reported_instead_of_passing() {
    let empty = std::env::temp_dir().join(format!("dodici-layers-{}", std::process::id()));
    fs::create_dir_all(&empty).expect("a directory");
    let found = check(&empty).expect_err("violations");
    fs::remove_dir_all(&empty).expect("removal");
    assert!(
        found.iter().any(|v| v.contains("checks nothing")),
        "{found:?}"
    );
}
