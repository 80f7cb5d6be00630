"""voyager: Spotify's HNSW, the successor of annoy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.protocol import Algorithm, effort


class Voyager:
    def __init__(self, m: int = 16, ef_construction: int = 200) -> None:
        import voyager

        self._library, self._m, self._ef_construction, self._ef = voyager, m, ef_construction, -1

    def build(self, base: NDArray[np.float32], metric: str, threads: int) -> None:
        space = self._library.Space.Euclidean if metric == "l2" else self._library.Space.InnerProduct
        self._index = self._library.Index(
            space, num_dimensions=base.shape[1], M=self._m, ef_construction=self._ef_construction
        )
        self._index.add_items(base, num_threads=threads)

    def set_query_params(self, ef: int) -> None:
        self._ef = ef

    def query(self, query: NDArray[np.float32], k: int) -> Any:
        return self._index.query(query, k, num_threads=1, query_ef=max(self._ef, k))[0]

    def batch_query(self, queries: NDArray[np.float32], k: int) -> Any:
        return self._index.query(queries, k, num_threads=1, query_ef=max(self._ef, k))[0]


ALGORITHMS = [
    Algorithm(
        "voyager",
        "benchmarks.peers.voyager:Voyager",
        "voyager",
        "voyager",
        build={"m": 16, "ef_construction": 200},
        queries=effort(),
        effort="ef",
        note="M=16, ef_construction=200 as hnswlib",
    )
]
