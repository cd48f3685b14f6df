//! The fuzz targets: one function per decoder of input from a peer or the other side of the
//! boundary. A target panics if a rule is violated; its return value is meaningless.
//!
//! `fuzz/` builds a program from each for libFuzzer (`just fuzz`). The corpus is in `fuzz/corpus`;
//! `tests/corpus.rs` runs the targets over it, so that past findings stay covered.
#![forbid(unsafe_code)]
#![expect(
    clippy::expect_used,
    reason = "a target reports what it finds by panicking"
)]

mod codings;
mod framing;
mod http3;
mod peers;
mod records;
mod texts;

/// A target: its name, which is also that of its program and corpus folder, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("http1_head", framing::http1_head),
    ("http1_chunked", framing::http1_chunked),
    ("http2_frames", peers::http2_frames),
    ("http2_hpack", peers::http2_hpack),
    ("h3_frames", http3::h3_frames),
    ("qpack", http3::qpack),
    ("proxy_http", peers::proxy_http),
    ("proxy_socks", peers::proxy_socks),
    ("wire_submissions", records::submissions),
    ("wire_completions", records::completions),
    ("wire_options", records::options),
    ("content_coding", codings::decoding),
    ("alt_svc", texts::alt_svc),
    ("cookies", texts::cookies),
    ("no_proxy", texts::no_proxy),
];

/// Runs the target of this name.
///
/// # Panics
/// If there is none, or if it finds a fault.
pub fn run(name: &str, input: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    let (_, target) = target.expect("a target of this name");
    target(input);
}
