//! Opens GGUF files made of arbitrary bytes: each is a model or an error, never a panic.
//!
//! To run it for ten minutes:
//!
//! ```sh
//! cargo install cargo-fuzz; fuzz/seed.sh
//! cargo +nightly fuzz run gguf fuzz/corpus/gguf fuzz/seeds-gguf -- -max_total_time=600 -max_len=65536 -rss_limit_mb=1024
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
    DIRECTORY.with(|directory| {
        let path = directory.path().join("model.gguf");
        std::fs::write(&path, input).expect("writable");
        if let Ok(model) = kiln_model::load::<NdArray>(&path, &Default::default()) {
            model.config().validate().expect("what is loaded is valid");
        }
        let _ = kiln_model::load_gguf_vocabulary(&path);
    });
});
