"""NumPy's own .npy files, never unpickled. Imports numpy only."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fastcbir.datasets.checks import check_rows, readable_size
from fastcbir.datasets.types import Vectors
from fastcbir.errors import FormatError

__all__ = ["read_npy"]


def read_npy(path: str | Path, *, n: int | None = None) -> Vectors:
    """The (N, d) array of a .npy file as a read-only memory map; with n, its first n rows.

    Raises:
        FormatError: no .npy file, one that is truncated or holds Python objects, an array that isn't 2-D,
            fewer than n rows.
    """
    path = Path(path)
    check_rows(n)
    readable_size(path)
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise FormatError(f"{path}: expected a whole .npy file of numbers: {error}") from error
    if not isinstance(array, np.ndarray):
        raise FormatError(f"{path}: expected one array (.npy) but found an archive (.npz)")
    if array.ndim != 2 or array.dtype.kind not in "fiub":
        raise FormatError(f"{path}: expected (N, d) numbers but found {array.shape} {array.dtype}")
    if n is not None and n > len(array):
        raise FormatError(f"{path}: n={n} rows were asked for but it holds {len(array)}")
    return array if n is None else array[:n]
