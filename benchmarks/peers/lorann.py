"""lorann: clusters with a reduced-rank regression each, exact re-ranking from the caller's own vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.protocol import Algorithm


class Lorann:
    def __init__(self, rank: int = 32, bits: int = 8, train_size: int = 5) -> None:
        import lorann

        self._library, self._rank, self._bits, self._train_size = lorann, rank, bits, train_size

    def build(self, base: NDArray[np.float32], metric: str, threads: int) -> None:
        size, dim = base.shape
        reduced = None if dim < 200 else (128 if dim <= 1000 else 256)
        rank = self._rank if self._rank < dim else 16
        self._index = self._library.LorannIndex(
            data=base,
            n_clusters=2 ** round(float(np.log2(np.sqrt(size)))),
            global_dim=reduced,
            quantization_bits=self._bits,
            rank=rank,
            train_size=self._train_size,
            distance=self._library.L2 if metric == "l2" else self._library.IP,
        )
        self._index.build(n_threads=threads)

    def set_query_params(self, clusters: int, rerank: int) -> None:
        self._clusters, self._rerank = clusters, rerank

    def query(self, query: NDArray[np.float32], k: int) -> Any:
        return self._index.search(query, k, self._clusters, self._rerank, n_threads=1)

    def batch_query(self, queries: NDArray[np.float32], k: int) -> Any:
        return self._index.search(queries, k, self._clusters, self._rerank, n_threads=1)


_SETTINGS = [
    (1, 20),
    (2, 20),
    (4, 20),
    (4, 40),
    (6, 30),
    (8, 30),
    (10, 30),
    (12, 40),
    (16, 60),
    (24, 130),
    (32, 160),
    (48, 300),
    (64, 600),
    (128, 1600),
]
ALGORITHMS = [
    Algorithm(
        "lorann",
        "benchmarks.peers.lorann:Lorann",
        "lorann",
        "lorann",
        build={"rank": 32, "bits": 8, "train_size": 5},
        queries=tuple({"clusters": clusters, "rerank": rerank} for clusters, rerank in _SETTINGS),
        effort="rerank",
        min_dim=64,
        note="sqrt(N) clusters, rank 32, 8 bits: its documentation's starting point",
    )
]
