//! Figures that a long run measured, for whoever prints them as a table.
//!
//! Tests assert what must hold on every machine and hand over what is only worth knowing, such as
//! seconds and megabytes. Without `DODICI_FIGURES` nothing is written.

use std::fs::OpenOptions;
use std::io::Write;

/// Names the file that figures are appended to.
pub const FIGURES: &str = "DODICI_FIGURES";

/// Appends one figure: who was measured, what, and how much with its unit.
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
    // One write a line: tests run at the same time.
    let line = format!("{subject}\t{what}\t{value}\n");
    file.write_all(line.as_bytes())
        .expect("the file for figures can be written");
}

/// Resident memory of this process in bytes; `None` where the system does not say (it is read
/// from Linux's `/proc`).
pub fn resident() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    // Pages of 4 KiB: so on every Linux that this kit runs on.
    Some(pages * 4096)
}
