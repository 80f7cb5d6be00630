"""hnswlib: the reference implementation of HNSW, and the anchor of most runs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.protocol import Algorithm, effort


class HnswLib:
    def __init__(self, m: int = 16, ef_construction: int = 200) -> None:
        import hnswlib

        self._library, self._m, self._ef_construction = hnswlib, m, ef_construction

    def build(self, base: NDArray[np.float32], metric: str, threads: int) -> None:
        size, dim = base.shape
        self._index = self._library.Index("l2" if metric == "l2" else "ip", dim)
        self._index.init_index(size, ef_construction=self._ef_construction, M=self._m, random_seed=1)
        self._index.add_items(base, num_threads=threads)
        self._index.set_num_threads(1)

    def set_query_params(self, ef: int) -> None:
        self._index.set_ef(ef)

    def query(self, query: NDArray[np.float32], k: int) -> Any:
        return self._index.knn_query(query, k, num_threads=1)[0]

    def batch_query(self, queries: NDArray[np.float32], k: int) -> Any:
        return self._index.knn_query(queries, k, num_threads=1)[0]


ALGORITHMS = [
    Algorithm(
        "hnswlib",
        "benchmarks.peers.hnswlib:HnswLib",
        "hnswlib",
        "hnswlib",
        build={"m": 16, "ef_construction": 200},
        queries=effort(),
        effort="ef",
        note="M=16, ef_construction=200: the setting most comparisons use",
    ),
    Algorithm(
        "hnswlib-m32",
        "benchmarks.peers.hnswlib:HnswLib",
        "hnswlib",
        "hnswlib",
        build={"m": 32, "ef_construction": 400},
        queries=effort(),
        effort="ef",
        note="M=32, ef_construction=400: for high recall",
    ),
]
