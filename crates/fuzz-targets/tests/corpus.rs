//! The targets over their corpus.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use dodici_fuzz_targets::TARGETS;

fn below(path: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    found.sort();
    found
}

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

#[test]
fn r20_every_target_passes_on_its_corpus() {
    for (name, target) in TARGETS {
        let inputs = below(&fuzz().join("corpus").join(name));
        assert!(!inputs.is_empty(), "{name} has no corpus");
        for path in inputs {
            let input = fs::read(&path).unwrap();
            // Named before it runs: a panic shows it.
            println!("{}", path.display());
            target(&input);
            // Truncated inputs are where decoders fail most often.
            for end in 0..input.len().min(256) {
                target(&input[..end]);
            }
        }
    }
}

/// What fuzzers do first, without coverage feedback: change, remove and duplicate bytes, and
/// insert some from elsewhere.
fn mutated(input: &[u8], other: &[u8], random: &mut impl FnMut(usize) -> usize) -> Vec<u8> {
    let mut out = input.to_vec();
    for _ in 0..=random(4) {
        let at = random(out.len() + 1);
        let end = at + random(out.len() - at + 1).min(16);
        match random(6) {
            0 if at < out.len() => out[at] ^= 1 << random(8),
            1 if at < out.len() => {
                out[at] = [0, 1, 0x7f, 0x80, 0xff, b'\r', b'\n', b' '][random(8)]
            }
            2 => drop(out.drain(at..end)),
            3 => {
                let again = out[at..end].to_vec();
                out.splice(at..at, again);
            }
            4 => {
                let from = random(other.len() + 1);
                let to = from + random(other.len() - from + 1).min(32);
                out.splice(at..at, other[from..to].iter().copied());
            }
            _ => out.truncate(at),
        }
    }
    out
}

#[test]
fn r20_every_target_passes_on_mutations_of_its_corpus() {
    let runs = std::env::var("DODICI_MUTATIONS").map_or(20, |text| text.parse().unwrap());
    let only = std::env::var("DODICI_MUTATED").ok();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    for (name, target) in TARGETS {
        if only.as_ref().is_some_and(|only| only != name) {
            continue;
        }
        let inputs: Vec<_> = below(&fuzz().join("corpus").join(name))
            .iter()
            .map(|path| fs::read(path).unwrap())
            .collect();
        for run in 0..runs * inputs.len() {
            let other = &inputs[random(inputs.len())];
            let input = mutated(&inputs[run % inputs.len()], other, &mut random);
            // Captured by the test runner, shown on failure.
            println!("{name} {}", input.escape_ascii());
            target(&input);
        }
    }
}

#[test]
fn r20_every_target_has_a_program_and_every_program_a_target() {
    let programs: BTreeSet<_> = below(&fuzz().join("fuzz_targets"))
        .iter()
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    let targets: BTreeSet<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(programs, targets);
}
