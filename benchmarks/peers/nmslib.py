"""nmslib: the library HNSW was first published in."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.protocol import Algorithm, effort


class Nmslib:
    def __init__(self, m: int = 16, ef_construction: int = 200) -> None:
        import nmslib

        self._library, self._m, self._ef_construction = nmslib, m, ef_construction

    def build(self, base: NDArray[np.float32], metric: str, threads: int) -> None:
        space = {"l2": "l2", "ip": "negdotprod", "cosine": "cosinesimil"}[metric]
        self._index = self._library.init(method="hnsw", space=space)
        self._index.addDataPointBatch(base)
        # post=0: no second pass over the graph, which would double the build
        self._index.createIndex(
            {"M": self._m, "efConstruction": self._ef_construction, "post": 0, "indexThreadQty": threads}
        )

    def set_query_params(self, ef: int) -> None:
        self._index.setQueryTimeParams({"efSearch": ef})

    def query(self, query: NDArray[np.float32], k: int) -> Any:
        return self._index.knnQuery(query, k)[0]

    def batch_query(self, queries: NDArray[np.float32], k: int) -> Any:
        return [row[0] for row in self._index.knnQueryBatch(queries, k, num_threads=1)]


ALGORITHMS = [
    Algorithm(
        "nmslib",
        "benchmarks.peers.nmslib:Nmslib",
        "nmslib",
        "nmslib",
        build={"m": 16, "ef_construction": 200},
        queries=effort(),
        effort="ef",
        note="M=16, efConstruction=200 as hnswlib",
    )
]
