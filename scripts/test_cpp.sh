#!/bin/sh
# Configures, builds and runs the C++ tests; the build tree stays, so that a second run compiles only what changed.
# usage: scripts/test_cpp.sh [SANITIZER]     SANITIZER: address (with undefined behaviour), thread, or nothing
# environment: JOBS (default: all cores), BUILD_ROOT (default build)
set -eu
sanitizer=${1:-}
cd "$(dirname "$0")/.."
jobs=${JOBS:-$(getconf _NPROCESSORS_ONLN)}

# What was compiled for the Python package need not be compiled again.
build=
[ -n "$sanitizer" ] || build=$(ls -td build/cp*/CMakeCache.txt 2>/dev/null | head -1)
if [ -n "$build" ]; then
  build=${build%/CMakeCache.txt}
else
  build=${BUILD_ROOT:-build}/tests${sanitizer:+-$sanitizer}
  set -- -DFASTCBIR_PYTHON=OFF -DFASTCBIR_SANITIZE="$sanitizer" \
    -DCMAKE_BUILD_TYPE="$([ -n "$sanitizer" ] && echo RelWithDebInfo || echo Release)"
fi
[ -f "$build/CMakeCache.txt" ] && shift $#

echo "C++ tests${sanitizer:+ under the $sanitizer sanitizer}, in $build"
cmake -S . -B "$build" -G Ninja -DFASTCBIR_TESTS=ON "$@" --log-level=WARNING >/dev/null
cmake --build "$build" --parallel "$jobs" -- --quiet
ctest --test-dir "$build" --output-on-failure --no-tests=error --parallel "$jobs"
