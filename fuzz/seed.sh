#!/usr/bin/env bash
# Writes fuzz/seeds: whole models for the fuzzer to damage, from the fixtures of tests/reference.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p seeds
for model in ../tests/reference/fixtures/*/; do
    { cat "$model/config.json"; printf '\0'; cat "$model/model.safetensors"; } >"seeds/$(basename "$model")"
done
