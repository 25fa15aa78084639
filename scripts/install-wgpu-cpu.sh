#!/usr/bin/env bash
# Installs a Vulkan driver that runs on the CPU (Mesa's llvmpipe), for trying the `wgpu` backend without a GPU on
# Debian and Ubuntu. With a GPU, its own driver is all that wgpu needs.
set -euo pipefail
if compgen -G '/usr/share/vulkan/icd.d/lvp_icd*.json' >/dev/null; then exit 0; fi
sudo=$([ "$(id -u)" = 0 ] || echo sudo)
$sudo apt-get update -qq
$sudo apt-get install -y -qq mesa-vulkan-drivers
