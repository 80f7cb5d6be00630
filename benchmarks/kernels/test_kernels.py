"""Nanoseconds per distance for each instruction set, beside the machine's limits measured in the same run.

Builds `fastcbir_kernel_bench` (cpp/bench) where the package was built or in build/bench, runs it, and leaves
kernels.json, kernels.txt and machine.json in a folder of their own under benchmarks/runs, or under --out. A
smoke run is short and keeps nothing.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import pytest

from benchmarks.machine import describe_machine

ROOT = Path(__file__).parents[2]
RUNS = ROOT / "benchmarks" / "runs"
SMOKE_OPTIONS = ("--seconds", "1", "--dims", "96", "--kib", "256")


def _run(*command: str | Path) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        pytest.fail(f"{command[0]} ended with {done.returncode}:\n{said}")
    return done.stdout


def _build_tree() -> Path:
    """The newest tree that the package was built in, for what is compiled there need not be again."""
    made = sorted((ROOT / "build").glob("cp*/CMakeCache.txt"), key=lambda path: path.stat().st_mtime)
    return made[-1].parent if made else ROOT / "build" / "bench"


@pytest.fixture(scope="module")
def kernel_bench() -> Path:
    """The benchmark's binary, built from this tree."""
    search = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    cmake = shutil.which("cmake", path=search)
    if cmake is None or shutil.which(os.environ.get("CXX", "c++")) is None:
        pytest.skip("needs CMake and a C++ compiler: pip install cmake, apt-get install g++")
    tree = _build_tree()
    options = ["-DFASTCBIR_BENCH=ON"]
    if not (tree / "CMakeCache.txt").exists():
        options += ["-DCMAKE_BUILD_TYPE=Release", "-DFASTCBIR_PYTHON=OFF"]
    _run(cmake, "-S", ROOT, "-B", tree, *options)
    _run(cmake, "--build", tree, "--target", "fastcbir_kernel_bench", "--parallel", "2")
    return tree / "cpp" / "bench" / "fastcbir_kernel_bench"


def test_kernels(
    kernel_bench: Path, pytestconfig: pytest.Config, tmp_path: Path, say: Callable[[str], None]
) -> None:
    smoke = bool(pytestconfig.getoption("--smoke", default=False))
    folder = tmp_path
    if not smoke:
        stamp = datetime.now(timezone.utc).strftime("%Y%m%d-%H%M%S")
        folder = (pytestconfig.getoption("--out", default=None) or RUNS) / f"kernels-{stamp}"
        folder.mkdir(parents=True)
    written = folder / "kernels.json"
    table = _run(kernel_bench, "--json", written, *(SMOKE_OPTIONS if smoke else ()))
    (folder / "kernels.txt").write_text(table)
    command = ["pytest", *map(str, pytestconfig.invocation_params.args)]
    (folder / "machine.json").write_text(json.dumps(describe_machine(set(), command), indent=2) + "\n")
    say(table)
    say(f"written to {folder}")

    found = json.loads(written.read_text())
    isas = [isa["isa"] for isa in found["isas"]]
    assert "scalar" in isas
    measured = {
        tuple(kernel[part] for part in ("isa", "type", "metric", "shape")) for kernel in found["kernels"]
    }
    assert len(measured) == len(isas) * 4 * 3 * 2
    for kernel in found["kernels"]:
        for part in ("distance", "load", "arithmetic"):
            assert 0 < kernel[part]["best"] <= kernel[part]["median"] < math.inf, kernel
