"""Keeps Pillow's warnings about odd files to itself, from any number of threads.

Pillow warns about metadata that does not matter here, once per odd photo. `warnings.catch_warnings` swaps
the whole process's filters and is not safe in threads; this adds one filter, for Pillow's own modules
alone, while at least one thread decodes, and takes it away after the last one. Should other code swap the
filters meanwhile, the worst that can happen is that a warning of Pillow's is heard, or stays unheard.
"""

from __future__ import annotations

import contextlib
import re
import threading
import warnings
from collections.abc import Iterator

__all__ = ["quiet_pillow"]

_lock = threading.Lock()
_depth = 0
_filter = ("ignore", None, Warning, re.compile(r"(PIL|pillow_heif)(\.|$)"), 0)


@contextlib.contextmanager
def quiet_pillow() -> Iterator[None]:
    """Within, warnings raised by Pillow's modules are ignored; all others are as before."""
    global _depth
    # `warnings.filters` is a public list, and a filter that ignores leaves no trace in the registries of
    # warnings already given, so inserting and removing an entry needs no more than this.
    with _lock:
        _depth += 1
        if _depth == 1:
            warnings.filters.insert(0, _filter)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if _depth == 0:
                with contextlib.suppress(ValueError):
                    warnings.filters.remove(_filter)  # type: ignore[attr-defined]
