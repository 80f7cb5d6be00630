#!/bin/sh
# Builds the kernel tests for 64-bit ARM and runs them here, under qemu-user: `make neon`.
# Usage: scripts/test_neon.sh [build directory, by default build/neon]
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
build=${1:-$root/build/neon}

need() {
  command -v "$1" >/dev/null 2>&1 && return
  echo "$1 was not found: apt-get install $2" >&2
  exit 1
}
need aarch64-linux-gnu-g++ g++-aarch64-linux-gnu
need qemu-aarch64 qemu-user
PATH=$PATH:$root/.venv/bin
need cmake cmake

cmake -S "$root" -B "$build" --toolchain "$root/cpp/cmake/aarch64-toolchain.cmake" \
  -DCMAKE_BUILD_TYPE=Release -DFASTCBIR_PYTHON=OFF -DFASTCBIR_TESTS=ON >/dev/null
cmake --build "$build" --target fastcbir_kernel_tests --parallel 2
ctest --test-dir "$build" --output-on-failure --tests-regex '^(kernels|island_)'
