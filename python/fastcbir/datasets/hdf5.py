"""ann-benchmarks' HDF5: `train`, `test`, `neighbors`, `distances`, the attribute `distance`; needs h5py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fastcbir.datasets.checks import check_rows, readable_size
from fastcbir.datasets.truth import check_truth
from fastcbir.datasets.types import Dataset
from fastcbir.errors import FormatError, require

__all__ = ["SUFFIXES", "load_hdf5", "save_hdf5"]

SUFFIXES = (".hdf5", ".h5")
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_METRICS = {
    "euclidean": "l2",
    "l2": "l2",
    "angular": "cosine",
    "cosine": "cosine",
    "ip": "ip",
    "dot": "ip",
    "hamming": "hamming",
}
_NAMES = {"l2": "euclidean", "cosine": "angular", "ip": "ip", "hamming": "hamming"}


def load_hdf5(path: str | Path, *, n: int | None = None, metric: str | None = None) -> Dataset:
    """A data set of ann-benchmarks, read into memory.

    Args:
        path: the file.
        n: only the first n base vectors; the stored neighbours then no longer hold and are left out.
        metric: what the file's `distance` attribute should mean; needed only where it has none.

    Raises:
        FormatError: no HDF5 file, one that is truncated, lacks a part, holds sets instead of vectors
            (Jaccard), or whose neighbours don't belong to its vectors.
        MissingExtraError: h5py is not installed.
        ValueError: `metric` contradicts the file.
    """
    path = Path(path)
    check_rows(n)
    size = readable_size(path)
    with path.open("rb") as raw:
        head = raw.read(len(_SIGNATURE))
    if head != _SIGNATURE:
        raise FormatError(
            f"{path}: an HDF5 file should start with {_SIGNATURE!r}, but this one with {head!r}"
        )
    h5py = require("h5py", "harness", "reading HDF5 data sets")
    try:
        with h5py.File(path, "r") as file:
            return _read(file, path, n, metric)
    except OSError as error:
        raise FormatError(f"{path}: HDF5 can't read this file of {size} bytes: {error}") from error


def save_hdf5(path: str | Path, dataset: Dataset) -> None:
    """Write a data set in ann-benchmarks' layout; distances in its scale (Euclidean, not squared).

    Raises:
        ValueError: the data set has no neighbours or distances, without which the layout is not complete.
        MissingExtraError: h5py is not installed.
    """
    if dataset.neighbors is None or dataset.distances is None:
        raise ValueError("ann-benchmarks' layout needs neighbors and distances; with_truth() computes them")
    h5py = require("h5py", "harness", "writing HDF5 data sets")
    bits = dataset.metric == "hamming"
    far = np.sqrt(dataset.distances) if dataset.metric == "l2" else dataset.distances
    with h5py.File(Path(path), "w") as file:
        file.attrs["type"] = "dense"
        file.attrs["distance"] = _NAMES[dataset.metric]
        file.attrs["dimension"] = dataset.dim
        file.attrs["point_type"] = "bit" if bits else "float"
        file["train"] = dataset.base.astype(bool) if bits else dataset.base
        file["test"] = dataset.queries.astype(bool) if bits else dataset.queries
        file["neighbors"] = dataset.neighbors.astype(np.int32)
        file["distances"] = far.astype(np.float32)


def _read(file: Any, path: Path, n: int | None, metric: str | None) -> Dataset:
    missing = [part for part in ("train", "test") if part not in file]
    if missing:
        raise FormatError(f"{path}: expected train and test but found {', '.join(sorted(file)) or 'nothing'}")
    stored = file.attrs.get("distance")
    stored = stored.decode() if isinstance(stored, bytes) else stored
    if stored is None and metric is None:
        raise FormatError(f"{path}: it has no attribute 'distance'; say what it is with metric=")
    if stored is not None and stored not in _METRICS:
        raise FormatError(f"{path}: its distance {stored!r} isn't supported; expected {', '.join(_METRICS)}")
    found = _METRICS[stored] if stored is not None else metric
    if metric is not None and metric != found:
        raise ValueError(f"{path}: metric is {metric} but the file's distance is {stored} ({found})")
    assert found is not None
    train, test = file["train"], file["test"]
    if train.ndim != 2 or test.ndim != 2 or train.shape[1] != test.shape[1]:
        raise FormatError(f"{path}: train {train.shape} and test {test.shape} should be (N, d) and (Q, d)")
    if n is not None and n > len(train):
        raise FormatError(f"{path}: n={n} vectors were asked for but it holds {len(train)}")
    whole = n is None or n == len(train)
    base, queries = (_vectors(part, found, path) for part in (train if whole else train[:n], test))
    neighbors = distances = None
    if whole and "neighbors" in file:
        neighbors = file["neighbors"][()].astype(np.int64)
        if "distances" in file:
            distances = file["distances"][()].astype(np.float32)
    try:
        dataset = Dataset(
            path.stem, base, queries, found, neighbors=neighbors, distances=distances, source=str(path)
        )
    except ValueError as error:
        raise FormatError(f"{path}: {error}") from error
    return check_truth(dataset, str(path))


def _vectors(part: Any, metric: str, path: Path) -> np.ndarray[Any, Any]:
    array = np.asarray(part[()])
    if metric == "hamming":
        bits = array.astype(np.uint8)
        if not np.array_equal(bits, array) or bits.max(initial=0) > 1:
            raise FormatError(f"{path}: hamming vectors should hold 0 and 1 alone")
        return bits
    if array.dtype.kind == "f":
        return array.astype(np.float32, copy=False) if array.dtype.itemsize > 2 else array
    if array.dtype.kind in "iu":
        return array if array.dtype in (np.uint8, np.int8) else array.astype(np.float32)
    raise FormatError(f"{path}: expected vectors of numbers, not {array.dtype}")
