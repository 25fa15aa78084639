#!/usr/bin/env bash
# Tries Kiln on this machine's GPU, and prints one JSON object for each check:
#
#     scripts/gpu-pack.sh FOLDER      # where Kiln is built; FOLDER is then carried to the machine with the GPU
#     scripts/gpu.sh FOLDER           # there; it needs python3 with torch, numpy and safetensors, and no Rust
#     scripts/gpu.sh FOLDER --only train,pytorch
#
# Every check has a time limit of its own, and none hides another.
set -euo pipefail
exec python3 "$(dirname "$0")/gpu/checks.py" "$@"
