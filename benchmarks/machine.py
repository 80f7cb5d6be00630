"""machine.json: what a speed was measured on and with; read from the system, nothing typed by hand."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from benchmarks.process import usable_cores

__all__ = ["describe_machine", "version_of"]

ROOT = Path(__file__).parents[1]
TELLING_FLAGS = re.compile(
    r"^(sse4_2|avx|avx2|fma|f16c|avx512\w+|avx_vnni|amx_\w+|asimd\w*|sve\w*|bf16|i8mm)$"
)


def _said(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, cwd=ROOT, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _text(path: str) -> str | None:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None


def _cpu() -> dict[str, Any]:
    info = _text("/proc/cpuinfo") or ""

    def first(name: str) -> str | None:
        found = re.search(rf"^{name}\s*:\s*(.*)$", info, re.MULTILINE)
        return found.group(1).strip() if found else None

    caches = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = (_text(str(index / name)) for name in ("level", "type", "size"))
        caches[f"L{level} {kind}"] = size
    return {
        "model": first("model name") or platform.processor() or platform.machine(),
        "architecture": platform.machine(),
        "isa": sorted(
            flag for flag in (first("flags") or first("Features") or "").split() if TELLING_FLAGS.match(flag)
        ),
        "cores": os.cpu_count(),
        "usable_cores": len(usable_cores()),
        "caches_of_core_0": caches,
        "governor": _text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "huge_pages": _text("/sys/kernel/mm/transparent_hugepage/enabled"),
    }


def _memory_bytes() -> int | None:
    found = re.search(r"MemTotal:\s+(\d+) kB", _text("/proc/meminfo") or "")
    return int(found.group(1)) * 1024 if found else None


def version_of(distribution: str) -> str | None:
    """The installed version of a distribution, or None."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _fastcbir() -> dict[str, Any]:
    import fastcbir

    return {
        "version": version_of("fastcbir"),
        "isa": fastcbir.isa() if hasattr(fastcbir, "isa") else None,
        "available_isas": list(fastcbir.available_isas()) if hasattr(fastcbir, "available_isas") else None,
        "FASTCBIR_ISA": os.environ.get("FASTCBIR_ISA"),
    }


def describe_machine(packages: Iterable[str], command: list[str] | None = None) -> dict[str, Any]:
    """Everything a reader needs to judge or repeat the figures.

    Args:
        packages: distributions whose versions matter.
        command: the command line; that of this process by default.
    """
    compiler = _said("c++", "--version")
    changes = _said("git", "status", "--porcelain", "--untracked-files=no")
    named = sorted({*packages, "numpy", "pytest", "matplotlib"})
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": shlex.join(command if command is not None else ["pytest", *sys.argv[1:]]),
        "cpu": _cpu(),
        "memory_bytes": _memory_bytes(),
        "system": platform.platform(),
        "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "compiler": compiler.splitlines()[0] if compiler else None,
        "fastcbir": _fastcbir(),
        "packages": {name: found for name in named if (found := version_of(name))},
        "git": {
            "commit": _said("git", "rev-parse", "HEAD"),
            "changed_files": bool(changes) if changes is not None else None,
        },
    }
