"""Run the index tests once more on each instruction set of this CPU but the default, which has had its turn.

The C++ kernel tests go through all instruction sets by themselves; these are the promises made to Python.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import fastcbir

ROOT = Path(__file__).resolve().parent.parent
# What distances decide. Refusals, locks, and what becomes of damaged files are the same on all.
TESTS = (
    "test_minimal.py",
    "test_index_search.py",
    "test_index_changes.py",
    "test_index_files.py::test_round_trip",
    "test_index_files.py::test_golden_files_are_read_for_ever",
)


def main() -> int:
    tests = [str(ROOT / "tests" / name) for name in TESTS]
    default = fastcbir.isa()
    # avx512vnni and avx512vbmi differ in packed codes alone, which the C++ tests compare bit by bit.
    done = (default, "avx512vnni") if default == "avx512vbmi" else (default,)
    others = [isa for isa in fastcbir.available_isas() if isa not in done]
    print(f"instruction sets: {default} (tested above), then {', '.join(others) or 'no other'}", flush=True)
    for isa in others:
        print(f"FASTCBIR_ISA={isa}", flush=True)
        command = [sys.executable, "-m", "pytest", "-q", "-n", "2", *tests]
        done = subprocess.run(command, cwd=ROOT, env={**os.environ, "FASTCBIR_ISA": isa}, check=False)
        if done.returncode != 0:
            return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
