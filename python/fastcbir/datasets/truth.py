"""Exact neighbours: checked where a file brings them, computed with `fastcbir.Flat` where it doesn't.

Files disagree on the scale of distances (Euclidean or squared, cosine or 1 - cosine, with or without a minus)
and rarely say which. So the distances of a few queries are computed again: they must rise along each row, or
the neighbours belong to other vectors; and the scale that fits them is the file's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from fastcbir.datasets.types import Dataset, Vectors
from fastcbir.errors import FormatError

__all__ = ["check_truth", "exact_neighbors", "neighbor_distances", "with_truth"]

Distances = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]

_SAMPLE = 32
_ROUGH = 1e-3  # what float32 distances of a file may differ from ours, relative to the row's largest
_CELLS_AT_ONCE = 16_000_000


def neighbor_distances(base: Vectors, queries: Vectors, neighbors: Ids, metric: str) -> Distances:
    """Distances between queries (Q, d) and their neighbours (Q, K) in base, computed in float64.

    Returns:
        (Q, K) float32 in the scale of `Dataset.metric`; inf where the id is -1.
    """
    rows, k = neighbors.shape
    found = np.empty((rows, k), dtype=np.float32)
    step = max(1, _CELLS_AT_ONCE // max(1, k * base.shape[1]))
    for start in range(0, rows, step):
        ids = neighbors[start : start + step]
        x = np.asarray(base[np.maximum(ids, 0).ravel()], dtype=np.float64).reshape(*ids.shape, -1)
        q = np.asarray(queries[start : start + step], dtype=np.float64)
        if metric == "l2":
            far = ((x - q[:, None, :]) ** 2).sum(axis=2)
        elif metric == "hamming":
            far = (x != q[:, None, :]).sum(axis=2).astype(np.float64)
        else:
            far = -np.einsum("qkd,qd->qk", x, q)
            if metric == "cosine":
                norms = np.linalg.norm(x, axis=2) * np.linalg.norm(q, axis=1)[:, None]
                # A zero vector is as far from everything as an orthogonal one.
                far = 1 + far / np.where(norms > 0, norms, 1)
        found[start : start + step] = np.where(ids >= 0, far, np.inf)
    return found


def check_truth(dataset: Dataset, where: str) -> Dataset:
    """The data set with its distances in the metric's scale, or a FormatError when they can't be.

    Args:
        dataset: with neighbours as its file stores them; `distances` in any of the scales in use.
        where: the file to name in messages.
    """
    if dataset.neighbors is None or not dataset.neighbors.size:
        return dataset
    sample = np.unique(np.linspace(0, len(dataset.queries) - 1, _SAMPLE).astype(np.int64))
    ids = dataset.neighbors[sample]
    own = neighbor_distances(dataset.base, dataset.queries[sample], ids, dataset.metric).astype(np.float64)
    present = ids >= 0
    slack = _ROUGH * np.abs(np.where(present, own, 0)).max(axis=1, keepdims=True) + 1e-6
    with np.errstate(invalid="ignore"):
        falls = (own[:, :-1] > own[:, 1:] + slack) & present[:, 1:]
    if falls.any():
        row, column = (int(value[0]) for value in np.nonzero(falls))
        raise FormatError(
            f"{where}: neighbours of query {int(sample[row])} aren't sorted by {dataset.metric} distance: "
            f"{own[row, column]:.6g} stands before {own[row, column + 1]:.6g}; "
            f"the truth belongs to other vectors, or the metric isn't {dataset.metric}"
        )
    if dataset.distances is None:
        return dataset
    scale = _scale_of(np.asarray(dataset.distances[sample], dtype=np.float64), own, present, slack)
    if scale is None:
        # Sorted, but in a scale nobody told us of: our own are as good.
        fresh = neighbor_distances(dataset.base, dataset.queries, dataset.neighbors, dataset.metric)
        return replace(dataset, distances=fresh)
    converted = scale(np.asarray(dataset.distances, dtype=np.float64)).astype(np.float32)
    converted[dataset.neighbors < 0] = np.inf
    return replace(dataset, distances=converted)


def with_truth(
    dataset: Dataset,
    k: int = 100,
    *,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Dataset:
    """The data set with the k exact neighbours of each query and their distances.

    What the data set has is kept; `fastcbir.Flat` computes what it lacks.

    Args:
        dataset: with or without neighbours.
        k: how many per query, at most the size of the base.
        threads, progress: as `Index.search` takes them.

    Returns:
        A Dataset with neighbors and distances (Q, k).
    """
    if dataset.neighbors is not None and dataset.neighbors.shape[1] >= k:
        ids = np.ascontiguousarray(dataset.neighbors[:, :k])
        if dataset.distances is not None:
            return replace(dataset, neighbors=ids, distances=np.ascontiguousarray(dataset.distances[:, :k]))
        far = neighbor_distances(dataset.base, dataset.queries, ids, dataset.metric)
        return replace(dataset, neighbors=ids, distances=far)
    ids, far = exact_neighbors(
        dataset.base, dataset.queries, k, dataset.index_metric, threads=threads, progress=progress
    )
    return replace(dataset, neighbors=ids, distances=far)


def exact_neighbors(
    base: Vectors,
    queries: Vectors,
    k: int,
    metric: str,
    *,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Ids, Distances]:
    """The k nearest of base (N, d) for each of queries (Q, d) by exhaustive search in the compiled core.

    Returns:
        ids (Q, k) int64, positions in base; distances (Q, k) float32.

    Raises:
        ValueError: k is more than N, or what `Index.add` and `Index.search` refuse.
    """
    from fastcbir.index import Index
    from fastcbir.types import Flat

    if k > len(base):
        raise ValueError(f"k={k} neighbours were asked for but the base holds {len(base)} vectors")
    # Bytes stay bytes, exact and small. Halves don't: normalised for cosine they would be rounded anew.
    bytes_alone = base.dtype == queries.dtype and base.dtype.name in ("uint8", "int8") and metric != "cosine"
    stored: Any = base.dtype.name if bytes_alone else "float32"
    index = Index(base.shape[1], Flat(), metric=cast(Any, metric), dtype=stored)
    step = max(1, _CELLS_AT_ONCE // base.shape[1])
    for start in range(0, len(base), step):
        index.add(np.ascontiguousarray(base[start : start + step], dtype=stored), threads=threads)
    asks = np.ascontiguousarray(queries, dtype=stored)
    hits = index.search(asks, k, threads=threads, progress=progress)
    return hits.ids, hits.distances


_SCALES: tuple[Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]], ...] = (
    lambda stored: stored,
    np.square,
    np.negative,
    lambda stored: 1 - stored,
    lambda stored: stored / 2,  # squared Euclidean distance of normalised vectors, read as 1 - cosine
    lambda stored: np.square(stored) / 2,
)


def _scale_of(
    stored: npt.NDArray[np.float64],
    own: npt.NDArray[np.float64],
    present: npt.NDArray[np.bool_],
    slack: npt.NDArray[np.float64],
) -> Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]] | None:
    for scale in _SCALES:
        with np.errstate(invalid="ignore"):
            wrong = np.abs(scale(stored) - own) > slack
        if not (wrong & present).any():
            return scale
    return None
