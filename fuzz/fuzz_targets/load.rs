//! Opens model directories made of arbitrary bytes: each is a model or an error, never a panic.
//!
//! The input up to its first zero byte is `config.json`, the rest `model.safetensors`. To run it for ten minutes:
//!
//! ```sh
//! cargo install cargo-fuzz; fuzz/seed.sh
//! cargo +nightly fuzz run load fuzz/corpus/load fuzz/seeds -- -max_total_time=600 -max_len=65536 -rss_limit_mb=1024
//! ```

#![no_main]

use std::cell::LazyCell;

use burn_ndarray::NdArray;
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

thread_local! {
    /// One directory for all inputs; in memory where the system's temporary files are.
    static DIRECTORY: LazyCell<TempDir> = LazyCell::new(|| tempfile::tempdir().expect("a temporary directory"));
}

fuzz_target!(|input: &[u8]| {
    let end = input.iter().position(|byte| *byte == 0).unwrap_or(input.len());
    let (config, weights) = (&input[..end], input.get(end + 1..).unwrap_or_default());
    DIRECTORY.with(|directory| {
        let directory = directory.path();
        std::fs::write(directory.join("config.json"), config).expect("writable");
        std::fs::write(directory.join("model.safetensors"), weights).expect("writable");
        if let Ok(model) = kiln_model::load::<NdArray>(directory, &Default::default()) {
            model.config().validate().expect("what is loaded is valid");
        }
    });
});
