"""Arrays computed once and kept: one .npz per key, written atomically, checked when read."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Arrays", "digest", "kept"]

Arrays = dict[str, npt.NDArray[Any]]


def kept(path: Path, make: Callable[[], Arrays]) -> Arrays:
    """The arrays in `path`; made and kept there for the next time where it is absent or damaged.

    Two processes that make the same at once both succeed: each writes its own file, and the last rename wins.
    """
    # Reading a member to its end compares its CRC.
    damage = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error)
    # Opened here, as np.load doesn't close what it finds damaged.
    with contextlib.suppress(*damage), path.open("rb") as old, np.load(old, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}
    arrays = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]  # no array is called allow_pickle
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return arrays


def digest(*parts: str | bytes) -> str:
    """A short hash (16 hex digits) of what the arrays were made from."""
    whole = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        whole.update(len(data).to_bytes(8, "little") + data)
    return whole.hexdigest()[:16]
