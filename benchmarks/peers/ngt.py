"""ngt: ONNG (a degree-adjusted neighbourhood graph) and QG (the same graph with packed codes)."""

from __future__ import annotations

import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.protocol import Algorithm, grid


class Onng:
    def __init__(self, edges: int = 100, outgoing: int = 10, incoming: int = 120) -> None:
        import ngtpy

        self._library = ngtpy
        self._edges, self._outgoing, self._incoming = edges, outgoing, incoming
        self._folder = TemporaryDirectory(prefix="ngt-")

    def _graph(self, base: NDArray[np.float32], metric: str, threads: int) -> str:
        """The path of an ONNG: an ANNG first, then edges out and in adjusted."""
        first, adjusted = (str(Path(self._folder.name) / name) for name in ("anng", "onng"))
        kind = {"l2": "L2", "ip": "Inner Product", "cosine": "Normalized L2"}[metric]
        self._library.create(first, base.shape[1], self._edges, 40, distance_type=kind)
        index = self._library.Index(first, log_disabled=True)
        index.batch_insert(base, num_threads=threads)
        index.save()
        index.close()
        optimizer = self._library.Optimizer(log_disabled=True)
        optimizer.set(num_of_outgoings=self._outgoing, num_of_incomings=self._incoming)
        # the other stages search for parameters that the sweep sets itself, for minutes
        optimizer.set_processing_modes(
            search_parameter_optimization=False,
            prefetch_parameter_optimization=False,
            accuracy_table_generation=False,
        )
        optimizer.execute(first, adjusted)
        return adjusted

    def build(self, base: NDArray[np.float32], metric: str, threads: int) -> None:
        self._index = self._library.Index(
            self._graph(base, metric, threads), read_only=True, log_disabled=True
        )

    def set_query_params(self, **params: float) -> None:
        self._index.set(epsilon=params["epsilon"])

    def query(self, query: NDArray[np.float32], k: int) -> Any:
        return self._index.search(query, k, with_distance=False)

    def batch_query(self, queries: NDArray[np.float32], k: int) -> Any:
        return [self.query(query, k) for query in queries]  # its batch call uses all threads


class QuantizedGraph(Onng):
    """Needs the program qbg, which builds the codes; the Python wheel does not bring it."""

    def build(self, base: NDArray[np.float32], metric: str, threads: int) -> None:
        path = self._graph(base, metric, threads)
        subprocess.run(["qbg", "create-qg", path], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["qbg", "build-qg", path], check=True, stdout=subprocess.DEVNULL)
        self._index = self._library.QuantizedIndex(path, 128, log_disabled=True)
        self._index.set_with_distance(False)

    def set_query_params(self, **params: float) -> None:
        self._index.set(epsilon=params["epsilon"], result_expansion=params["expansion"])

    def query(self, query: NDArray[np.float32], k: int) -> Any:
        return self._index.search(query, k)


_NOTE = "100 edges at creation, then 10 out and 120 in: the values of its ONNG documentation"
ALGORITHMS = [
    Algorithm(
        "ngt-onng",
        "benchmarks.peers.ngt:Onng",
        "ngt",
        "ngtpy",
        queries=grid(epsilon=[-0.1, -0.05, 0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3]),
        max_base=50_000,
        note=_NOTE,
    ),
    Algorithm(
        "ngt-qg",
        "benchmarks.peers.ngt:QuantizedGraph",
        "ngt",
        "ngtpy",
        queries=grid(epsilon=[0.0, 0.02, 0.05, 0.1], expansion=[3, 10, 30]),
        metrics=("l2", "cosine"),
        tool="qbg",
        max_base=50_000,
        note=_NOTE,
    ),
]
