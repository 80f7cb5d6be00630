"""TEXMEX's fvecs, ivecs and bvecs: every vector is its dimension as int32, then that many components.

Little-endian; components are float32, int32 or uint8. See http://corpus-texmex.irisa.fr. Imports numpy only.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from fastcbir.datasets.checks import check_rows, readable_size, writable_rows
from fastcbir.datasets.types import Vectors
from fastcbir.errors import FormatError

__all__ = ["VECS_DTYPES", "read_vecs", "write_vecs"]

VECS_DTYPES: dict[str, np.dtype[np.generic]] = {
    ".fvecs": np.dtype("<f4"),
    ".ivecs": np.dtype("<i4"),
    ".bvecs": np.dtype("u1"),
}
_MAX_DIM = 65_536  # what an index takes; more is a sign of another format
_ROWS_AT_ONCE = 1_000_000


def read_vecs(path: str | Path, *, n: int | None = None, suffix: str | None = None) -> Vectors:
    """The vectors of an fvecs, ivecs or bvecs file, by its suffix, as a read-only memory map.

    The dimension in front of each vector that is returned is checked.

    Args:
        path: the file.
        n: only the first n vectors; the rest of the file is not looked at, and may be cut anywhere.
        suffix: ".fvecs", ".ivecs" or ".bvecs" where the name doesn't say.

    Returns:
        (N, d) float32, int32 or uint8; the rows have a gap of 4 bytes between them.

    Raises:
        FormatError: an unknown suffix, a dimension that is out of range or changes, a size that is no
            multiple of a vector's, fewer than n vectors.
    """
    path = Path(path)
    check_rows(n)
    suffix = suffix or path.suffix
    dtype = _dtype(path, suffix)
    size = readable_size(path)
    if size < 4:
        raise FormatError(f"{path}: expected vectors behind a 4-byte dimension, but it has {size} bytes")
    dim = int(np.fromfile(path, dtype="<i4", count=1)[0])
    if not 0 < dim <= _MAX_DIM:
        raise FormatError(
            f"{path}: the first dimension field should be 1..{_MAX_DIM} but is {dim}; is it {suffix[1:]}?"
        )
    stride = 4 + dim * dtype.itemsize
    rows, rest = divmod(size, stride)
    if n is None and rest:
        raise FormatError(
            f"{path}: expected a multiple of {stride} bytes (dimension {dim}) but it has {size}, "
            f"{rest} more than {rows} vectors: it is truncated, or not {suffix[1:]}; "
            f"n={rows} reads what is whole"
        )
    if n is not None and n > rows:
        raise FormatError(f"{path}: n={n} vectors were asked for but it holds {rows}")
    rows = rows if n is None else n
    record = np.dtype([("dim", "<i4"), ("vector", dtype, (dim,))])
    mapped = np.memmap(path, dtype=record, mode="r", shape=(rows,))
    for start in range(0, rows, _ROWS_AT_ONCE):
        dims = mapped["dim"][start : start + _ROWS_AT_ONCE]
        wrong = np.flatnonzero(dims != dim)
        if len(wrong):
            row = int(wrong[0])
            raise FormatError(
                f"{path}: vector {start + row} should have dimension {dim} like the first, "
                f"but its field at byte {(start + row) * stride} says {int(dims[row])}"
            )
    return mapped["vector"]


def write_vecs(path: str | Path, vectors: npt.ArrayLike) -> None:
    """Write (N, d) vectors as fvecs, ivecs or bvecs, by the suffix; `read_vecs` gives the same back.

    Raises:
        ValueError: values that the format's type can't hold exactly (float32 from float64 is rounded), or a
            shape other than (N, d).
    """
    path = Path(path)
    dtype = _dtype(path, path.suffix)
    array = writable_rows(np.asarray(vectors), "vectors")
    kept = array.astype(dtype)
    if dtype.kind != "f" and not np.array_equal(kept, array):
        raise ValueError(f"{path.suffix[1:]} holds {dtype.name}, which can't hold these {array.dtype} values")
    records = np.empty(len(array), dtype=[("dim", "<i4"), ("vector", dtype, (array.shape[1],))])
    records["dim"] = array.shape[1]
    records["vector"] = kept
    records.tofile(path)


def _dtype(path: Path, suffix: str) -> np.dtype[np.generic]:
    if suffix not in VECS_DTYPES:
        raise FormatError(f"{path}: expected a name that ends in {', '.join(VECS_DTYPES)}")
    return VECS_DTYPES[suffix]
