#!/bin/sh
# Names the first missing thing that building fastcbir needs, and the Debian/Ubuntu package that brings it, in one line.
# usage: scripts/check_prerequisites.sh [PYTHON]     (exit status 1 when something is missing)
set -u
python=${1:-python3}

missing() {
  printf 'fastcbir: %s\n' "$*" >&2
  exit 1
}

command -v "$python" >/dev/null 2>&1 ||
  missing "$python is not on the PATH; run: sudo apt-get install python3 python3-venv python3-dev (or name another: make PYTHON=python3.12)"

version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) ||
  missing "$python does not run; run: sudo apt-get install python3 python3-venv python3-dev (or name another: make PYTHON=python3.12)"

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
  missing "$python is Python $version, and 3.10 or later is needed; run: sudo apt-get install python3 (Debian 12, Ubuntu 22.04 or later), or name another: make PYTHON=python3.12"

# Debian's own Python is served by python3-venv and python3-dev; any other version by packages of its own number.
stem=python3
debian=$(/usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || echo "$version")
[ "$version" = "$debian" ] || stem=python$version

"$python" -c 'import venv, ensurepip' 2>/dev/null ||
  missing "$python has no venv module; run: sudo apt-get install $stem-venv"

"$python" -c '
import os, sys, sysconfig
paths = {sysconfig.get_path(name) for name in ("include", "platinclude")}
sys.exit(not any(os.path.exists(os.path.join(path, "Python.h")) for path in paths))' ||
  missing "$python has no C headers (Python.h); run: sudo apt-get install $stem-dev"

# The same search order as CMake's.
compiler=${CXX:-}
if [ -z "$compiler" ]; then
  for name in c++ g++ clang++; do
    command -v "$name" >/dev/null 2>&1 && compiler=$name && break
  done
fi
[ -n "$compiler" ] || missing "no C++ compiler is on the PATH; run: sudo apt-get install g++"
# CXX may hold arguments or a launcher ("ccache g++"), so it is split into words on purpose.
# shellcheck disable=SC2086
printf '#include <bit>\n#include <span>\nint main() { return std::popcount(0u); }\n' |
  $compiler -std=c++20 -x c++ -fsyntax-only - >/dev/null 2>&1 ||
  missing "the C++ compiler ($compiler) can't compile C++20; run: sudo apt-get install g++ (version 11 or later)"
