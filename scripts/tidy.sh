#!/bin/sh
# Runs clang-tidy, with the checks of .clang-tidy, over every C++ unit that a build for this machine compiles.
# environment: CLANG_TIDY (default clang-tidy), JOBS (default: all cores), BUILD_ROOT (default build)
set -eu
cd "$(dirname "$0")/.."
tidy=${CLANG_TIDY:-clang-tidy}
build=${BUILD_ROOT:-build}/tidy
jobs=${JOBS:-$(getconf _NPROCESSORS_ONLN)}

command -v "$tidy" >/dev/null 2>&1 || {
  echo "fastcbir: $tidy is not on the PATH; run: sudo apt-get install clang-tidy" >&2
  exit 1
}
cmake -S . -B "$build" -G Ninja -DFASTCBIR_TESTS=ON -DFASTCBIR_PYTHON=ON -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_UNITY_BUILD=OFF \
  -Dpybind11_DIR="$(python -m pybind11 --cmakedir)" --log-level=WARNING >/dev/null

# The compilation database also lists units of other people's making, if any were fetched; only ours are read.
python - "$build/compile_commands.json" <<'PYTHON' | xargs -P "$jobs" -n 1 "$tidy" -p "$build" --quiet
import json, pathlib, sys

ours = pathlib.Path("cpp").resolve()
files = {pathlib.Path(unit["file"]).resolve() for unit in json.loads(pathlib.Path(sys.argv[1]).read_text())}
print("\n".join(sorted(str(file) for file in files if ours in file.parents and "third_party" not in file.parts)))
PYTHON
echo "clang-tidy: no findings"
