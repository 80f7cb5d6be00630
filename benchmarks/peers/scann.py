"""scann: tree, anisotropic product codes, exact re-ordering, as its documentation advises for this size."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.protocol import Algorithm


class Scann:
    def __init__(self, dims_per_block: int = 2, threshold: float = 0.2) -> None:
        from scann.scann_ops.py import scann_ops_pybind

        self._library, self._dims_per_block, self._threshold = scann_ops_pybind, dims_per_block, threshold

    def build(self, base: NDArray[np.float32], metric: str, threads: int) -> None:
        leaves = max(4, round(float(np.sqrt(len(base)))))
        kind = "squared_l2" if metric == "l2" else "dot_product"
        builder = self._library.builder(base, 10, kind).set_n_training_threads(threads)
        builder = builder.tree(
            num_leaves=leaves, num_leaves_to_search=10, training_sample_size=min(len(base), 250_000)
        )
        # the anisotropic loss is meant for inner products; for distances the threshold is not a number
        threshold = self._threshold if metric != "l2" else float("nan")
        builder = builder.score_ah(self._dims_per_block, anisotropic_quantization_threshold=threshold)
        self._index = builder.reorder(100).build()

    def set_query_params(self, leaves: int, reorder: int) -> None:
        self._leaves, self._reorder = leaves, reorder

    def query(self, query: NDArray[np.float32], k: int) -> Any:
        return self._index.search(
            query,
            final_num_neighbors=k,
            pre_reorder_num_neighbors=self._reorder,
            leaves_to_search=self._leaves,
        )[0]

    def batch_query(self, queries: NDArray[np.float32], k: int) -> Any:
        return self._index.search_batched(
            queries,
            final_num_neighbors=k,
            pre_reorder_num_neighbors=self._reorder,
            leaves_to_search=self._leaves,
        )[0]


_SETTINGS = [
    (1, 30),
    (2, 40),
    (4, 60),
    (8, 80),
    (12, 100),
    (18, 140),
    (28, 200),
    (45, 300),
    (80, 500),
    (150, 900),
]
ALGORITHMS = [
    Algorithm(
        "scann",
        "benchmarks.peers.scann:Scann",
        "scann",
        "scann",
        build={"dims_per_block": 2, "threshold": 0.2},
        queries=tuple({"leaves": leaves, "reorder": reorder} for leaves, reorder in _SETTINGS),
        effort="reorder",
        note="sqrt(N) leaves, 2 dimensions a block, threshold 0.2",
    )
]
