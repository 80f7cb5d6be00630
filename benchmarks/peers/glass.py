"""glass (pyglass): HNSW graph, scalar codes, prefetch distance tuned on the machine, exact refinement."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.protocol import Algorithm, effort


class Glass:
    def __init__(
        self, degree: int = 32, window: int = 200, quantizer: str = "SQ8U", refine: str = "FP32"
    ) -> None:
        import glass

        self._library = glass
        self._degree, self._window, self._quantizer, self._refine = degree, window, quantizer, refine

    def build(self, base: NDArray[np.float32], metric: str, threads: int) -> None:
        self._library.set_num_threads(threads)
        kind = "L2" if metric == "l2" else "IP"
        graph = self._library.Index("HNSW", kind, "FP32", self._degree, self._window).build(base)
        self._searcher = self._library.Searcher(graph, base, kind, self._quantizer, self._refine)
        self._searcher.optimize(1)
        self._library.set_num_threads(1)

    def set_query_params(self, ef: int) -> None:
        self._searcher.set_ef(ef)

    def query(self, query: NDArray[np.float32], k: int) -> Any:
        found = self._searcher.search(query, k)
        return found[0] if isinstance(found, tuple) else found

    def batch_query(self, queries: NDArray[np.float32], k: int) -> Any:
        found = self._searcher.batch_search(queries, k, 1)
        ids = found[0] if isinstance(found, tuple) else found
        return np.asarray(ids).reshape(len(queries), -1)


ALGORITHMS = [
    Algorithm(
        name,
        "benchmarks.peers.glass:Glass",
        "pyglass-portable",
        "glass",
        build={"degree": 32, "window": 200, "quantizer": quantizer, "refine": refine},
        queries=effort(),
        effort="ef",
        note="R=32, L=200 as its examples",
    )
    for name, quantizer, refine in (("glass-sq8", "SQ8U", "FP32"), ("glass-fp32", "FP32", ""))
]
