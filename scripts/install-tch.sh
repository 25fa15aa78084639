#!/usr/bin/env bash
# Installs libtorch 2.9.0 for the `tch` backend, from PyPI's torch in a virtual environment, and prints what to set:
#
#     eval "$(scripts/install-tch.sh)"
#     cargo build --release --features tch
#
# KILN_TORCH_VENV chooses where; nothing is done again if it is there already.
set -euo pipefail
venv=${KILN_TORCH_VENV:-$HOME/.cache/kiln/torch-2.9.0}
if ! "$venv/bin/python" -c 'import torch; assert torch.__version__.startswith("2.9.0")' 2>/dev/null; then
    python3 -m venv "$venv" >&2
    "$venv/bin/pip" install --quiet 'torch==2.9.0' numpy setuptools >&2
fi
lib=$("$venv/bin/python" -c 'import os, torch; print(os.path.join(os.path.dirname(torch.__file__), "lib"))')
cat <<EOF
export LIBTORCH_USE_PYTORCH=1
export PATH="$venv/bin:\$PATH"
export LD_LIBRARY_PATH="$lib\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}"
EOF
