#!/usr/bin/env bash
# Writes fuzz/seeds and fuzz/seeds-gguf: whole models for the fuzzer to damage, from the fixtures of tests/reference.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p seeds seeds-gguf
for model in ../tests/reference/fixtures/*/; do
    { cat "$model/config.json"; printf '\0'; cat "$model/model.safetensors"; } >"seeds/$(basename "$model")"
done
for model in plain untied-inner half bfloat; do
    cargo run --quiet --release --manifest-path ../Cargo.toml -- \
        export --model "../tests/reference/fixtures/$model" --to "seeds-gguf/$model.gguf"
done
cp ../tests/reference/gguf/blocks.gguf seeds-gguf/
