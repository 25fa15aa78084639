//! Opens directories whose files are whatever the fuzzer thinks of.
//!
//!     cargo install cargo-fuzz
//!     cargo +nightly fuzz run load_model -- -max_total_time=600
//!
//! The input is split at its first zero byte: `config.json`, then the weights. `corpus/` can be seeded with a whole
//! model: `(cat config.json; printf '\0'; cat model.safetensors) > fuzz/corpus/load_model/seed`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let split = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let (config, weights) = bytes.split_at(split);
    let directory = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(directory.path().join("config.json"), config).expect("writable");
    std::fs::write(directory.path().join("model.safetensors"), weights.get(1..).unwrap_or_default()).expect("writable");
    let _ = kiln_model::load::<burn_ndarray::NdArray>(directory.path(), &Default::default());
});
