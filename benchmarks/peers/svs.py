"""scalable-vs (Intel SVS): Vamana graph over float32, float16, LVQ or LeanVec vectors."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.protocol import Algorithm, effort


class ScalableVectorSearch:
    """storage: f32, f16, lvq4x8 (4 bits + 8 of residual) or leanvec (half the dimensions first, 8 bits)."""

    def __init__(self, storage: str = "f16", degree: int = 64, window: int = 200) -> None:
        import svs

        self._library, self._storage, self._degree, self._window = svs, storage, degree, window

    def build(self, base: NDArray[np.float32], metric: str, threads: int) -> None:
        svs = self._library
        # alpha > 1 prunes less for distances, < 1 for similarities: the values of the library's documentation
        parameters = svs.VamanaBuildParameters(
            alpha=1.2 if metric == "l2" else 0.95, graph_max_degree=self._degree, window_size=self._window
        )
        distance = svs.DistanceType.L2 if metric == "l2" else svs.DistanceType.MIP
        with TemporaryDirectory() as folder:
            data = self._loader(base, str(Path(folder) / "base.fvecs"))
            self._index = svs.Vamana.build(parameters, data, distance, num_threads=threads)
        self._index.num_threads = 1

    def _loader(self, base: NDArray[np.float32], path: str) -> Any:
        """Plain vectors go in as arrays; the compressing loaders read a file."""
        svs = self._library
        if self._storage in ("f32", "f16"):
            return base.astype(np.float16) if self._storage == "f16" else base
        svs.write_vecs(base, path)
        vectors = svs.VectorDataLoader(path, svs.DataType.float32, dims=base.shape[1])
        if self._storage == "lvq4x8":
            return svs.LVQLoader(vectors, primary=4, residual=8)
        return svs.LeanVecLoader(vectors, base.shape[1] // 2)

    def set_query_params(self, ef: int) -> None:
        self._index.search_window_size = ef

    def query(self, query: NDArray[np.float32], k: int) -> Any:
        return self._index.search(query, k)[0]

    def batch_query(self, queries: NDArray[np.float32], k: int) -> Any:
        return self._index.search(queries, k)[0]


ALGORITHMS = [
    Algorithm(
        f"svs-{storage}",
        "benchmarks.peers.svs:ScalableVectorSearch",
        "scalable-vs",
        "svs",
        build={"storage": storage, "degree": 64, "window": 200},
        queries=effort(),
        effort="ef",
        note="graph_max_degree=64, window_size=200, alpha 1.2 (L2) or 0.95, as its documentation",
    )
    for storage in ("f32", "f16", "lvq4x8", "leanvec")
]
