"""pyvsag: HGraph with scalar or RaBitQ codes, candidates put in order again by full precision."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.protocol import Algorithm, effort


class HGraph:
    def __init__(self, codes: str = "sq8", degree: int = 32, ef_construction: int = 200) -> None:
        import pyvsag

        pyvsag.set_logger_off()
        self._library, self._codes, self._degree, self._window = pyvsag, codes, degree, ef_construction

    def build(self, base: NDArray[np.float32], metric: str, threads: int) -> None:
        size, dim = base.shape
        settings = {
            "dtype": "float32",
            "metric_type": "l2" if metric == "l2" else "ip",
            "dim": dim,
            "index_param": {
                "base_quantization_type": self._codes,
                "use_reorder": self._codes != "fp32",
                "precise_quantization_type": "fp32",
                "max_degree": self._degree,
                "ef_construction": self._window,
                "build_thread_count": threads,
            },
        }
        self._index = self._library.Index("hgraph", json.dumps(settings))
        self._index.build(base.reshape(-1), np.arange(size, dtype=np.int64), size, dim)

    def set_query_params(self, ef: int) -> None:
        self._settings = json.dumps({"hgraph": {"ef_search": ef}})

    def query(self, query: NDArray[np.float32], k: int) -> Any:
        return self._index.knn_search(query, k, self._settings)[0]

    def batch_query(self, queries: NDArray[np.float32], k: int) -> Any:
        return [self.query(query, k) for query in queries]  # it has no batch call


ALGORITHMS = [
    Algorithm(
        f"vsag-{name}",
        "benchmarks.peers.vsag:HGraph",
        "pyvsag",
        "pyvsag",
        build={"codes": codes, "degree": 32, "ef_construction": 200},
        queries=effort(),
        effort="ef",
        note="max_degree=32, re-ordered by fp32",
    )
    for name, codes in (("sq8", "sq8"), ("sq4", "sq4_uniform"), ("rabitq", "rabitq"))
]
