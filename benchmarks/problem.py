"""A dataset made ready to measure: vectors and queries as files the workers read, and the true neighbours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.store import slug_of

__all__ = ["Problem", "exact_distances", "load_problem", "smoke_problem"]


@dataclass(frozen=True)
class Problem:
    """base (N, dim), queries (Q, dim), true neighbours (Q, >= k). Under cosine both have unit length."""

    name: str
    metric: str
    base: NDArray[Any]
    queries: NDArray[Any]
    neighbors: NDArray[np.int64]

    @property
    def slug(self) -> str:
        """The name as part of a file name."""
        return slug_of(self.name)

    def describe(self) -> dict[str, Any]:
        """What a result file says of the dataset."""
        return {
            "name": self.name,
            "metric": self.metric,
            "base": len(self.base),
            "queries": len(self.queries),
            "dim": int(self.base.shape[1]),
            "dtype": str(self.base.dtype),
        }

    @contextmanager
    def files(self) -> Iterator[tuple[str, str]]:
        """Paths of two .npy files, base and queries, for as long as the context lasts."""
        with TemporaryDirectory(prefix="fastcbir-bench-") as folder:
            paths = Path(folder) / "base.npy", Path(folder) / "queries.npy"
            for path, array in zip(paths, (self.base, self.queries), strict=True):
                np.save(path, array)
            yield str(paths[0]), str(paths[1])


def exact_distances(problem: Problem, ids: NDArray[np.int64]) -> NDArray[np.float32]:
    """Distance of each query to the base vectors named in its row of ids (Q', k); inf where the id is -1.

    The same arithmetic for found and for true neighbours, so that equal vectors tie exactly.
    """
    out = np.empty(ids.shape, np.float32)
    for i, row in enumerate(ids):
        known = row >= 0
        vectors = problem.base[row[known]].astype(np.float32)
        query = problem.queries[i].astype(np.float32)
        out[i] = np.inf
        if problem.metric == "l2":
            out[i, known] = np.square(vectors - query).sum(axis=1)
        else:
            out[i, known] = (1.0 if problem.metric == "cosine" else 0.0) - (vectors * query).sum(axis=1)
    return out


def _unit(vectors: NDArray[Any]) -> NDArray[np.float32]:
    floats = np.asarray(vectors, np.float32)
    return np.asarray(floats / np.maximum(np.linalg.norm(floats, axis=1, keepdims=True), 1e-30), np.float32)


def load_problem(
    name: str,
    k: int,
    *,
    max_queries: int | None = None,
    n: int | None = None,
    metric: str | None = None,
    held_out: int = 0,
    seed: int = 0,
) -> Problem:
    """The dataset `name` (of the catalogue, or a path) with true neighbours for k.

    Args:
        name: what fastcbir.datasets.load_dataset takes.
        k: neighbours that must be known; they are computed where the dataset has none.
        max_queries: only the first queries.
        n: only the first base vectors.
        metric: for files that don't say theirs.
        held_out: so many of the base vectors, drawn by `seed`, are the queries instead of the dataset's own:
            for choosing settings by other queries than those that figures are given for.

    Raises:
        ValueError: the dataset has fewer true neighbours than k, or fewer vectors than are held out.
    """
    from fastcbir.datasets import exact_neighbors, load_dataset

    dataset = load_dataset(name, n=n, metric=metric)
    kind = dataset.index_metric
    base, queries, known = np.asarray(dataset.base), np.asarray(dataset.queries), dataset.neighbors
    if held_out:
        if held_out >= len(base):
            raise ValueError(f"dataset {name} has {len(base)} vectors, {held_out} can't be held out")
        order = np.random.default_rng(seed).permutation(len(base))
        base, queries, known = base[np.sort(order[held_out:])], base[order[:held_out]], None
    queries = queries[:max_queries]
    if kind == "cosine":
        base, queries = _unit(base), _unit(queries)
    if known is None:
        truth, _ = exact_neighbors(base, queries, min(k, len(base)), kind)
    else:
        truth = np.asarray(known)[: len(queries)]
    if truth.shape[1] < min(k, len(base)):
        raise ValueError(
            f"dataset {name} has {truth.shape[1]} true neighbours a query, k is {k}; use a smaller --k"
        )
    label = dataset.name if n is None else f"{dataset.name}, first {n}"
    if held_out:
        label += f", held out by seed {seed}"
    return Problem(label, kind, base, queries, truth.astype(np.int64))


def smoke_problem(
    size: int = 3000, dim: int = 32, queries: int = 100, k: int = 100, as_bytes: bool = False
) -> Problem:
    """A small clustered set made on the spot, its truth by NumPy: exercises the harness, measures nothing.

    With as_bytes=True base and queries are uint8, so that algorithms for bytes take part too.
    """
    rng = np.random.default_rng(7)
    centres = rng.normal(size=(30, dim)).astype(np.float32)
    points = centres[rng.integers(30, size=size + queries)] + 0.5 * rng.normal(size=(size + queries, dim))
    if as_bytes:
        points = np.clip(np.rint(127 + 30 * points), 0, 255)
    base, asked = points[:size].astype(np.float32), points[size:].astype(np.float32)
    squared = (asked**2).sum(1)[:, None] - 2.0 * asked @ base.T + (base**2).sum(1)[None, :]
    neighbors = np.argsort(squared, axis=1, kind="stable")[:, :k].astype(np.int64)
    dtype = np.uint8 if as_bytes else np.float32
    return Problem("smoke", "l2", base.astype(dtype), asked.astype(dtype), neighbors)
