#!/usr/bin/env bash
# Builds Kiln for every GPU backend and packs what scripts/gpu.sh needs on a machine that has a GPU, a driver and
# Python with PyTorch, but no Rust:
#
#     scripts/gpu-pack.sh FOLDER
#
# KILN_TORCH is the version of that PyTorch (2.11.0); libtorch itself is not packed: the program uses the machine's.
# KILN_TORCH_VENV chooses where the headers and libraries to build against are installed.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:?usage: scripts/gpu-pack.sh FOLDER}
version=${KILN_TORCH:-2.11.0}
venv=${KILN_TORCH_VENV:-$HOME/.cache/kiln/torch-$version}
if ! "$venv/bin/python" -c "import torch; assert torch.__version__.startswith('$version')" 2>/dev/null; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet "torch==$version" numpy setuptools
fi
libtorch=$("$venv/bin/python" -c 'import os, torch; print(os.path.join(os.path.dirname(torch.__file__), "lib"))')
export PATH="$venv/bin:$PATH" LIBTORCH_USE_PYTORCH=1 LIBTORCH_BYPASS_VERSION_CHECK=1
export LD_LIBRARY_PATH="$libtorch${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target/gpu} CARGO_PROFILE_RELEASE_STRIP=symbols
cargo build --release --features tch,cuda,wgpu
"$CARGO_TARGET_DIR/release/kiln" --version

mkdir -p "$folder/lib"
xz --threads=0 --stdout "$CARGO_TARGET_DIR/release/kiln" >"$folder/kiln.xz"
rm -rf "$folder/fixtures" && cp -r tests/reference/fixtures "$folder/fixtures"
# Vulkan's loader, and the libraries that NVIDIA's Vulkan driver loads: machines for computing often lack them.
if command -v apt-get >/dev/null; then
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    for package in libvulkan1 libglvnd0 libglx0 libgl1 libegl1 libopengl0 libgles2 libx11-6 libxext6 libxcb1 libxau6 libxdmcp6; do
        (cd "$scratch" && apt-get download --quiet "$package" && dpkg -x "$package"_*.deb .)
    done
    # As files: links may not survive the journey.
    cp -L "$scratch"/usr/lib/*/lib*.so.[0-9] "$folder/lib/"
fi
du -sh "$folder"
