"""fastcbir as an algorithm of the public ann-benchmarks harness (erikbern/ann-benchmarks).

Copy this folder to ann_benchmarks/algorithms/fastcbir there. Its runner calls fit(X) once, then for every
query argument set_query_arguments(*args) and query(q, n) row by row, or with --batch batch_query(X, n) and
get_batch_results(); it reads get_memory_usage() before and after fit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastcbir

from ..base.module import BaseANN

METRICS = {"euclidean": "l2", "angular": "cosine", "hamming": "l2", "ip": "ip"}


class FastcbirHnsw(BaseANN):  # type: ignore[misc]  # the base class is the harness's and untyped
    """HNSW of fastcbir.

    Args:
        metric: the harness's name of the distance.
        parameters: m, ef_construction, and optionally dtype ("float32", "float16").
    """

    def __init__(self, metric: str, parameters: dict[str, Any]) -> None:
        if metric not in METRICS:
            raise ValueError(f"metric is {metric!r}; fastcbir serves {', '.join(METRICS)}")
        self._metric = METRICS[metric]
        self._binary = metric == "hamming"
        self._parameters = dict(parameters)
        self._dtype = self._parameters.pop("dtype", "uint8" if self._binary else "float32")
        self._ef: int | None = None
        self.name = f"fastcbir-hnsw ({parameters})"

    def fit(self, X: NDArray[Any]) -> None:  # noqa: N803  # the harness's own parameter names
        """Build the index with all cores the container has."""
        vectors = self._as_stored(X)
        method = fastcbir.Hnsw(**self._parameters)
        self._index = fastcbir.Index(vectors.shape[1], method, metric=self._metric, dtype=self._dtype)
        self._index.add(vectors)

    def set_query_arguments(self, ef: int) -> None:
        """One point of the curve."""
        self._ef = ef
        self.name = f"fastcbir-hnsw ({self._parameters}, {self._dtype}, ef={ef})"

    def query(self, q: NDArray[Any], n: int) -> NDArray[np.int64]:
        """Up to n ids, nearest first; missing ones are left out, as the runner forbids duplicates."""
        ids = self._index.search(self._as_stored(q), n, ef=max(self._ef or n, n), threads=1).ids[0]
        return np.asarray(ids[ids >= 0])

    def batch_query(self, X: NDArray[Any], n: int) -> None:  # noqa: N803
        """All queries in one call on all cores; the ids are fetched by get_batch_results."""
        self._found = self._index.search(self._as_stored(X), n, ef=max(self._ef or n, n)).ids

    def get_batch_results(self) -> list[NDArray[np.int64]]:
        """The ids of the last batch, one array a query."""
        return [row[row >= 0] for row in self._found]

    def get_additional(self) -> dict[str, Any]:
        """Stored beside the results."""
        return {"isa": fastcbir.isa(), "memory_bytes": int(self._index.memory_bytes)}

    def _as_stored(self, vectors: NDArray[Any]) -> NDArray[Any]:
        return np.ascontiguousarray(vectors, np.uint8 if self._dtype == "uint8" else np.float32)
