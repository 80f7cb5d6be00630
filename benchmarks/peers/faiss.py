"""faiss-cpu: five index types by their factory strings, each with the sweep its wiki recommends."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.protocol import Algorithm, effort, grid, lists_for


class Faiss:
    """`factory` may hold {lists}, {pq} (sub-quantisers of 2 dimensions) and {dim}."""

    def __init__(self, factory: str) -> None:
        import faiss

        self._library, self._factory = faiss, factory

    def build(self, base: NDArray[np.float32], metric: str, threads: int) -> None:
        faiss = self._library
        faiss.omp_set_num_threads(threads)
        size, dim = base.shape
        factory = self._factory.format(lists=lists_for(size), pq=dim // 2, dim=dim)
        kind = faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
        self._index = faiss.index_factory(dim, factory, kind)
        if factory.startswith("HNSW"):
            self._index.hnsw.efConstruction = 200
        self._index.train(base)
        self._index.add(base)
        faiss.omp_set_num_threads(1)

    def set_query_params(self, **params: int) -> None:
        if "ef" in params:
            self._index.hnsw.efSearch = params["ef"]
            return
        inner = self._index
        if "refine" in params:
            inner.k_factor = params["refine"]
            inner = self._library.downcast_index(inner.base_index)
        inner.nprobe = params["nprobe"]
        if "query_bits" in params:
            inner.qb = params["query_bits"]

    def query(self, query: NDArray[np.float32], k: int) -> Any:
        return self._index.search(query[None], k)[1]

    def batch_query(self, queries: NDArray[np.float32], k: int) -> Any:
        return self._index.search(queries, k)[1]


def _entry(name: str, factory: str, note: str, **more: Any) -> Algorithm:
    return Algorithm(
        name,
        "benchmarks.peers.faiss:Faiss",
        "faiss-cpu",
        "faiss",
        build={"factory": factory},
        note=note,
        **more,
    )


_PROBES = [1, 2, 4, 8, 16, 32, 64, 128, 256]
ALGORITHMS = [
    _entry("faiss-hnsw", "HNSW16,Flat", "M=16, efConstruction=200 as hnswlib", queries=effort(), effort="ef"),
    _entry("faiss-hnsw-sq8", "HNSW16,SQ8", "scalar codes, no re-rank", queries=effort(), effort="ef"),
    _entry("faiss-ivf-flat", "IVF{lists},Flat", "about 4 sqrt(N) lists", queries=grid(nprobe=_PROBES)),
    _entry(
        "faiss-ivf-pq-fs",
        "IVF{lists},PQ{pq}x4fs,RFlat",
        "4-bit fast scan, 2 dimensions a code, exact refinement",
        queries=grid(nprobe=_PROBES, refine=[4, 16]),
    ),
    _entry(
        "faiss-ivf-rabitq",
        "IVF{lists},RaBitQ,RFlat",
        "1-bit codes, 8-bit query, exact refinement",
        queries=grid(nprobe=_PROBES, refine=[8, 32], query_bits=[8]),
    ),
]
