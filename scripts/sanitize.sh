#!/usr/bin/env bash
# Runs the tests of the CPU kernels under a sanitizer: `address` finds reads and writes out of bounds, `thread` data races.
# Sanitizers are unstable in Rust, hence RUSTC_BOOTSTRAP.
set -euo pipefail
cd "$(dirname "$0")/.."
sanitizer=${1:-address}
host=$(rustc --print host-tuple)
export RUSTC_BOOTSTRAP=1
export RUSTFLAGS="-Zsanitizer=$sanitizer -Cunsafe-allow-abi-mismatch=sanitizer"
# What a test leaves behind, such as teams of threads, is not looked for.
export ASAN_OPTIONS=detect_leaks=0
export TSAN_OPTIONS="suppressions=$PWD/scripts/sanitize-thread.txt"
cargo test -p kiln-model --lib --target "$host" --target-dir "target/sanitize-$sanitizer" -- "${2:-backend::host}"
