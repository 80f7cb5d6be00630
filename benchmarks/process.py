"""A process's memory and cores, as Linux tells them; None or no effect where the system does not."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import re
import signal
from collections.abc import Iterable
from pathlib import Path

__all__ = [
    "end_with_parent",
    "pin",
    "reset_peak",
    "resident_bytes",
    "resident_peak_bytes",
    "settle",
    "usable_cores",
]


def _status(field: str) -> int | None:
    try:
        text = Path("/proc/self/status").read_text()
    except OSError:
        return None
    found = re.search(rf"^{field}:\s+(\d+) kB", text, re.MULTILINE)
    return int(found.group(1)) * 1024 if found else None


def resident_bytes() -> int | None:
    """Resident set of this process in bytes."""
    return _status("VmRSS")


def resident_peak_bytes() -> int | None:
    """Highest resident set since the start, or since `reset_peak`."""
    return _status("VmHWM")


def reset_peak() -> None:
    """Let the kernel count the peak anew from here."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def settle() -> None:
    """Give freed memory back to the system, so that the resident set is what is held."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def end_with_parent() -> None:
    """Let the kernel end this process when the harness dies, also in the midst of a long build."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").prctl(1, signal.SIGKILL, 0, 0, 0)  # 1 is PR_SET_PDEATHSIG


def usable_cores() -> list[int]:
    """The cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def pin(cores: Iterable[int]) -> None:
    """Keep every thread of this process, also those a library started earlier, on these cores."""
    if not hasattr(os, "sched_setaffinity"):
        return
    chosen = set(cores)
    os.sched_setaffinity(0, chosen)
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # a thread may end while we look
            os.sched_setaffinity(int(task.name), chosen)
