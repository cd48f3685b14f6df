#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| dodici_fuzz_targets::run("h3_frames", input));
