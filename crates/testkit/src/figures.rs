//! Figures measured by a long run, to be printed as a table.
//!
//! Tests assert what must hold on every machine, and report what is only worth knowing, such as
//! seconds and megabytes. Without `DODICI_FIGURES` nothing is written.

use std::fs::OpenOptions;
use std::io::Write;

/// Names the file that figures are appended to.
pub const FIGURES: &str = "DODICI_FIGURES";

/// Appends one figure: subject, quantity, value with unit.
///
/// # Panics
/// If the file cannot be written.
pub fn figure(subject: &str, what: &str, value: impl std::fmt::Display) {
    let Some(path) = std::env::var_os(FIGURES) else {
        return;
    };
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .expect("the file for figures can be written");
    // One write per line: tests run concurrently.
    let line = format!("{subject}\t{what}\t{value}\n");
    file.write_all(line.as_bytes())
        .expect("the file for figures can be written");
}

/// Resident memory of this process in bytes; `None` if it is not available (it is read
/// from Linux's `/proc`), or means nothing: AddressSanitizer keeps freed memory aside.
pub fn resident() -> Option<u64> {
    if std::env::var_os("ASAN_OPTIONS").is_some() {
        return None;
    }
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    // Pages of 4 KiB, as on every Linux that this kit runs on.
    Some(pages * 4096)
}
