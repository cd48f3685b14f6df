//! Rules that are broken are found, and nothing else.

use super::*;

fn engine(path: &str, text: &str) -> Vec<String> {
    let root = "pub mod engine;\npub use engine::{Engine, handle::Pool as EnginePool};";
    check_engine(&[
        (format!("{ENGINE}/lib.rs"), root.to_owned()),
        (format!("{ENGINE}/{path}"), text.to_owned()),
    ])
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
fn neighbours_inside_a_module_are_free_to_meet() {
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
fn comments_and_unit_tests_are_free() {
    let text = "//! See crate::origin.\n/* crate::engine */\nfn f() {} // crate::origin\n\
        #[cfg(test)]\n#[expect(clippy::unwrap_used)]\nmod tests { use crate::origin::X; }";
    assert!(engine("conn/h1.rs", text).is_empty());
}

#[test]
fn a_test_module_in_a_file_of_its_own_does_not_free_what_follows() {
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
