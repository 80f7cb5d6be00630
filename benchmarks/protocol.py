"""What the harness asks of an algorithm: a small adapter class and an `Algorithm` entry with its grid."""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["METRICS", "Adapter", "Algorithm", "Params", "effort", "grid", "lists_for", "unavailable"]

Params = Mapping[str, Any]
METRICS = ("l2", "ip", "cosine")


class Adapter(Protocol):
    """A library under test. Created as Class(**algorithm.build) inside a process of its own.

    Under metric "cosine" base and queries arrive with unit length, so an inner product or a Euclidean search
    of the library gives the same order. An optional `index_bytes() -> int` says what the library reports.
    """

    def build(self, base: NDArray[Any], metric: str, threads: int) -> None:
        """Index base, (N, dim); the row number is the id. Timed as a whole."""

    def set_query_params(self, **params: Any) -> None:
        """Prepare for queries with one point of the grid; not timed."""

    def query(self, query: NDArray[Any], k: int) -> Any:
        """The ids of the k nearest to one query (dim,), up to k integers. Timed call by call."""

    def batch_query(self, queries: NDArray[Any], k: int) -> Any:
        """The ids for all queries (Q, dim) in one call on one thread, (Q, k). Timed as a whole."""


@dataclass(frozen=True)
class Algorithm:
    """One line of the comparison: an adapter, how it is built, and the settings it is queried with."""

    name: str
    adapter: str  # "benchmarks.peers.hnswlib:HnswLib", imported only in the worker process
    package: str  # the distribution whose version is recorded
    needs: str  # the module that must be importable
    build: Params = field(default_factory=dict)
    queries: Sequence[Params] = ({},)
    metrics: Sequence[str] = METRICS
    effort: str | None = None  # a query parameter that has to be at least k (ef of a graph search)
    least_effort: float = 1.0  # or at least so many times k
    tool: str | None = None  # a program that must be on the path as well
    dtypes: Sequence[str] | None = (
        None  # only for datasets stored as one of these; the base is then passed as stored
    )
    min_dim: int = 1
    max_base: int | None = None  # skipped above this many vectors: a build would take hours
    own: bool = False
    note: str = ""  # why this configuration

    def queries_for(self, k: int) -> list[Params]:
        """The grid for k neighbours: what can't hold k candidates is raised until it can, and met once."""
        if self.effort is None:
            return list(self.queries)
        least = math.ceil(k * self.least_effort)
        raised = [{**params, self.effort: max(params[self.effort], least)} for params in self.queries]
        return [params for at, params in enumerate(raised) if params not in raised[:at]]

    def refusal(self, metric: str, dtype: str, size: int, dim: int) -> str | None:
        """Why this algorithm does not run on such a dataset, or None."""
        if metric not in self.metrics:
            return f"supports {', '.join(self.metrics)}, the dataset's metric is {metric}"
        if self.dtypes is not None and dtype not in self.dtypes:
            return f"for vectors stored as {', '.join(self.dtypes)}, the dataset has {dtype}"
        if dim < self.min_dim:
            return f"needs at least {self.min_dim} dimensions, the dataset has {dim}"
        if self.max_base is not None and size > self.max_base:
            return f"its build is kept to {self.max_base:,} vectors, the dataset has {size:,}"
        return None

    def create(self) -> Adapter:
        """The adapter itself; called in the worker process."""
        module, _, name = self.adapter.partition(":")
        adapter: Adapter = getattr(importlib.import_module(module), name)(**self.build)
        return adapter


def grid(**values: Sequence[Any]) -> tuple[dict[str, Any], ...]:
    """All combinations: grid(nprobe=[1, 2], refine=[4]) has two points."""
    return tuple(dict(zip(values, point, strict=True)) for point in itertools.product(*values.values()))


def effort(name: str = "ef") -> tuple[dict[str, Any], ...]:
    """The grid of candidate-list sizes most graph searches share: dense at the low end, where curves bend."""
    return grid(**{name: [10, 14, 20, 28, 40, 60, 80, 120, 200, 320, 500, 800]})


def lists_for(size: int) -> int:
    """Inverted lists for `size` vectors: the power of two nearest 4 sqrt(N), as faiss advises; 16 or more."""
    return max(16, 1 << round(float(np.log2(4 * np.sqrt(max(size, 1))))))


def unavailable(algorithm: Algorithm) -> str | None:
    """Why the algorithm can't run here (its module or program is not installed), or None."""
    if importlib.util.find_spec(algorithm.needs) is None:
        return f"{algorithm.needs} is not installed (pip install {algorithm.package})"
    if algorithm.tool is not None and shutil.which(algorithm.tool) is None:
        return f"the program {algorithm.tool} of a source build of {algorithm.package} is not on PATH"
    return None
