"""rabitqlib: the library of RaBitQ's authors; SymphonyQG, HNSW and IVF over its codes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.protocol import Algorithm, effort, grid, lists_for


def _clusters(library: Any, base: NDArray[np.float32], count: int, threads: int) -> Any:
    """k-means as its quick start does it: exact final assignment."""
    kmeans = library.RaBitQKMeans(
        base.shape[1], count, num_threads=threads, final_assignment=library.FinalAssignmentMode.Exact
    )
    kmeans.train(base)
    return kmeans


class _Searchable:
    """What the three index types share: metric names and the query call."""

    def __init__(self, bits: int) -> None:
        import rabitqlib

        self._library, self._bits = rabitqlib, bits
        self._index: Any = None
        self._how: dict[str, int] = {}

    def set_query_params(self, **params: int) -> None:
        self._how = params

    def query(self, query: NDArray[np.float32], k: int) -> Any:
        return self._index.search(query[None], k, **self._how)[0]

    def batch_query(self, queries: NDArray[np.float32], k: int) -> Any:
        return self._index.search(queries, k, **self._how)[0]


class SymphonyQG(_Searchable):
    def __init__(self, degree: int = 32, bits: int = 0, ef_construction: int = 200) -> None:
        super().__init__(bits)
        self._degree, self._window = degree, ef_construction

    def build(self, base: NDArray[np.float32], metric: str, threads: int) -> None:
        # unit vectors by distance, and the published start from a random graph: with inner products the newer
        # start ("pipnn") found half as many neighbours at the same ef when this was written
        kind = "ip" if metric == "ip" else "l2"
        self._index = self._library.SymqgIndex(
            base.shape[1], self._degree, metric=kind, quantization_bits=self._bits
        )
        self._index.build(base, self._window, num_threads=threads, init="random")

    def batch_query(self, queries: NDArray[np.float32], k: int) -> Any:
        return self._index.search_batch(queries, k, **self._how)[0]


class Hnsw(_Searchable):
    def build(self, base: NDArray[np.float32], metric: str, threads: int) -> None:
        clusters = _clusters(self._library, base, 16, threads)
        self._index = self._library.HnswIndex(
            base.shape[1],
            len(base),
            M=16,
            ef_construction=200,
            nbits=self._bits,
            metric="l2" if metric == "l2" else "ip",
        )
        self._index.build(base, clusters.centroids, clusters.assignments, num_threads=threads)


class Ivf(_Searchable):
    def build(self, base: NDArray[np.float32], metric: str, threads: int) -> None:
        lists = lists_for(len(base))
        clusters = _clusters(self._library, base, lists, threads)
        self._index = self._library.IvfIndex(
            base.shape[1], len(base), lists, self._bits, metric="l2" if metric == "l2" else "ip"
        )
        self._index.build(base, clusters.centroids, clusters.assignments, num_threads=threads)


def _entry(name: str, kind: str, note: str, **more: Any) -> Algorithm:
    return Algorithm(
        name, f"benchmarks.peers.rabitqlib:{kind}", "rabitqlib", "rabitqlib", note=note, min_dim=64, **more
    )


ALGORITHMS = [
    _entry(
        f"symphonyqg{'-q8' if bits else ''}",
        "SymphonyQG",
        "degree 32, ef_construction 200" + (", vectors in 8 bits" if bits else ", raw vectors"),
        build={"degree": 32, "bits": bits, "ef_construction": 200},
        queries=effort(),
        effort="ef",
    )
    for bits in (0, 8)
]
ALGORITHMS += [
    _entry(
        "rabitq-hnsw",
        "Hnsw",
        "M=16, 8-bit codes, 16 clusters",
        build={"bits": 8},
        queries=effort(),
        effort="ef",
    ),
    _entry(
        "rabitq-ivf",
        "Ivf",
        "8-bit codes, about 4 sqrt(N) lists",
        build={"bits": 8},
        queries=grid(nprobe=[1, 2, 4, 8, 16, 32, 64, 128, 256]),
    ),
]
