"""usearch: HNSW with its own SIMD kernels; float32, bfloat16 and 8-bit storage."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.protocol import Algorithm, effort


class USearch:
    def __init__(self, dtype: str = "f32") -> None:
        from usearch.index import Index

        self._library, self._dtype = Index, dtype

    def build(self, base: NDArray[np.float32], metric: str, threads: int) -> None:
        self._index = self._library(
            ndim=base.shape[1],
            metric={"l2": "l2sq", "ip": "ip", "cosine": "cos"}[metric],
            dtype=self._dtype,
            connectivity=16,
            expansion_add=200,
        )
        self._index.add(np.arange(len(base), dtype=np.uint64), base, threads=threads)

    def set_query_params(self, ef: int) -> None:
        self._index.expansion_search = ef

    def query(self, query: NDArray[np.float32], k: int) -> Any:
        return self._index.search(query, k, threads=1).keys

    def batch_query(self, queries: NDArray[np.float32], k: int) -> Any:
        return self._index.search(queries, k, threads=1).keys

    def index_bytes(self) -> int:
        return int(self._index.memory_usage)


ALGORITHMS = [
    Algorithm(
        f"usearch-{dtype}",
        "benchmarks.peers.usearch:USearch",
        "usearch",
        "usearch",
        build={"dtype": dtype},
        queries=effort(),
        effort="ef",
        note="connectivity=16 (its default), expansion_add=200 as hnswlib",
    )
    for dtype in ("f32", "bf16")
]
