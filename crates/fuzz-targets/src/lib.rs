//! The fuzz targets: one function for each decoder that reads what a peer, or the other side of the
//! boundary, has sent. A target panics where a rule is broken; what it returns means nothing.
//!
//! `fuzz/` makes a program of each for libFuzzer (`just fuzz`). The corpus lies in `fuzz/corpus`, and
//! `tests/corpus.rs` runs the targets over it, so that what was found once stays found.
#![forbid(unsafe_code)]
#![expect(
    clippy::expect_used,
    reason = "a target reports what it finds by panicking"
)]

mod framing;
mod peers;
mod records;
mod texts;

/// A target: its name, also of its program and of the folder of its corpus, and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("http1_head", framing::http1_head),
    ("http1_chunked", framing::http1_chunked),
    ("http2_frames", peers::http2_frames),
    ("http2_hpack", peers::http2_hpack),
    ("proxy_http", peers::proxy_http),
    ("proxy_socks", peers::proxy_socks),
    ("wire_submissions", records::submissions),
    ("wire_completions", records::completions),
    ("wire_options", records::options),
    ("cookies", texts::cookies),
    ("no_proxy", texts::no_proxy),
];

/// Runs the target of this name.
///
/// # Panics
/// If there is none, and where it finds a fault.
pub fn run(name: &str, input: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    let (_, target) = target.expect("a target of this name");
    target(input);
}
