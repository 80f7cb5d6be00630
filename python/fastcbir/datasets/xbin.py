"""The formats of big-ann-benchmarks: count and dimension as uint32, then the rows; ground truth likewise.

Little-endian, row-major. See https://big-ann-benchmarks.com/neurips21.html. Imports numpy only.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from fastcbir.datasets.checks import check_rows, readable_size, writable_rows
from fastcbir.datasets.types import Vectors
from fastcbir.errors import FormatError

__all__ = ["XBIN_DTYPES", "read_truth", "read_xbin", "write_truth", "write_xbin"]

XBIN_DTYPES: dict[str, np.dtype[np.generic]] = {
    ".fbin": np.dtype("<f4"),
    ".f16bin": np.dtype("<f2"),
    ".u8bin": np.dtype("u1"),
    ".i8bin": np.dtype("i1"),
    ".ibin": np.dtype("<i4"),
}
_HEADER = 8


def read_xbin(path: str | Path, *, n: int | None = None) -> Vectors:
    """The vectors of an fbin, f16bin, u8bin, i8bin or ibin file, by its suffix, as a read-only memory map.

    Args:
        path: the file.
        n: only the first n rows. A file that holds fewer rows than its header says is read this way alone:
            the first part of a billion-scale file still says 1,000,000,000.

    Returns:
        (N, d) float32, float16, uint8, int8 or int32, contiguous.

    Raises:
        FormatError: an unknown suffix, a header that is missing or absurd, a size that doesn't fit the
            header, fewer than n rows.
    """
    path = Path(path)
    check_rows(n)
    dtype = _dtype(path)
    rows, dim, size = _header(path)
    held = (size - _HEADER) // (dim * dtype.itemsize)
    if n is None:
        expected = _HEADER + rows * dim * dtype.itemsize
        if size < expected:
            raise FormatError(
                f"{path}: its header says {rows} x {dim} {dtype.name}, {expected} bytes, but it has {size}: "
                f"it is truncated, or the first part of a larger file; n={held} reads what is there"
            )
        if size > expected:
            raise FormatError(
                f"{path}: its header says {rows} x {dim} {dtype.name}, {expected} bytes, but it has {size}: "
                f"its suffix may be wrong"
            )
    elif n > min(rows, held):
        raise FormatError(
            f"{path}: n={n} rows were asked for but its header says {rows} and it holds {held} whole ones"
        )
    return np.memmap(path, dtype=dtype, mode="r", offset=_HEADER, shape=(n or rows, dim))


def write_xbin(path: str | Path, vectors: npt.ArrayLike) -> None:
    """Write (N, d) vectors as fbin, f16bin, u8bin, i8bin or ibin, by the suffix; `read_xbin` reads them.

    Raises:
        ValueError: values that the format's integer type can't hold, or a shape other than (N, d).
    """
    path = Path(path)
    dtype = _dtype(path)
    array = writable_rows(np.asarray(vectors), "vectors")
    kept = np.ascontiguousarray(array, dtype=dtype)
    if dtype.kind != "f" and not np.array_equal(kept, array):
        raise ValueError(f"{path.suffix[1:]} holds {dtype.name}, which can't hold these {array.dtype} values")
    with path.open("wb") as file:
        np.array(array.shape, dtype="<u4").tofile(file)
        kept.tofile(file)


def read_truth(
    path: str | Path, distances: str | Path | None = None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32] | None]:
    """Ground truth of big-ann-benchmarks.

    Args:
        path: one file with count n and k, then n x k ids and n x k distances; or, by its suffix .ibin, a file
            of ids alone (one that holds distances all the same is recognised by its size).
        distances: for the form in two files, the .fbin file of distances.

    Returns:
        ids (Q, K) int64 and distances (Q, K) float32 or None, as stored.

    Raises:
        FormatError: sizes that fit neither form, or two files of different shapes.
    """
    path = Path(path)
    rows, k, size = _header(path)
    ids_only, both = _HEADER + rows * k * 4, _HEADER + rows * k * 8
    if size not in (ids_only, both):
        raise FormatError(
            f"{path}: ground truth for {rows} queries and {k} neighbours takes {ids_only} bytes (ids) "
            f"or {both} (ids and distances), but it has {size}"
        )
    ids = np.fromfile(path, dtype="<u4", count=rows * k, offset=_HEADER).reshape(rows, k).astype(np.int64)
    # Ids are unsigned, but writers of int32 mark a missing neighbour with -1.
    ids[ids == 0xFFFF_FFFF] = -1
    if distances is not None:
        stored = np.array(read_xbin(distances), dtype=np.float32)
        if stored.shape != ids.shape:
            raise FormatError(f"{path} holds {ids.shape} ids but {distances} holds {stored.shape} distances")
        return ids, stored
    if size == ids_only:
        return ids, None
    stored = np.fromfile(path, dtype="<f4", count=rows * k, offset=ids_only).reshape(rows, k)
    return ids, stored.astype(np.float32, copy=False)


def write_truth(path: str | Path, ids: npt.ArrayLike, distances: npt.ArrayLike) -> None:
    """Write (Q, K) ids and distances as one ground-truth file; `read_truth` gives the same back.

    Raises:
        ValueError: shapes that differ, or ids outside -1..2**32 - 2.
    """
    kept = writable_rows(np.asarray(ids), "ids")
    scale = np.asarray(distances, dtype="<f4")
    if kept.shape != scale.shape:
        raise ValueError(f"ids has shape {kept.shape} but distances has {scale.shape}")
    if kept.size and not (kept.min() >= -1 and kept.max() < 0xFFFF_FFFF):
        raise ValueError(f"ids must lie in -1..{0xFFFF_FFFE} but reach from {kept.min()} to {kept.max()}")
    with Path(path).open("wb") as file:
        np.array(kept.shape, dtype="<u4").tofile(file)
        np.where(kept < 0, 0xFFFF_FFFF, kept).astype("<u4").tofile(file)
        scale.tofile(file)


def _dtype(path: Path) -> np.dtype[np.generic]:
    if path.suffix not in XBIN_DTYPES:
        raise FormatError(f"{path}: expected a name that ends in {', '.join(XBIN_DTYPES)}")
    return XBIN_DTYPES[path.suffix]


def _header(path: Path) -> tuple[int, int, int]:
    """Rows, columns, and the file's size."""
    size = readable_size(path)
    if size < _HEADER:
        raise FormatError(f"{path}: expected a header of {_HEADER} bytes, but it has {size}")
    rows, columns = (int(value) for value in np.fromfile(path, dtype="<u4", count=2))
    if rows == 0 or columns == 0:
        raise FormatError(f"{path}: its header says {rows} x {columns}; both should be at least 1")
    return rows, columns, size
