"""What a data set is: vectors to search, queries, and the exact answers where known. Imports numpy only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["METRICS", "Dataset", "Vectors"]

METRICS = ("l2", "ip", "cosine", "hamming")

Vectors = npt.NDArray[Any]


@dataclass(frozen=True)
class Dataset:
    """Vectors to search, queries, and their exact neighbours.

    Attributes:
        name: such as "sift-128-euclidean".
        base: (N, d) float32, float16, uint8 or int8; possibly a read-only memory map of the file, with gaps
            between rows.
        queries: (Q, d).
        metric: "l2" (squared Euclidean), "ip" (minus the inner product), "cosine" (1 - cosine), or "hamming"
            (differing components of vectors of 0 and 1).
        learn: (L, d) vectors to train on, or None.
        neighbors: (Q, K) int64 positions in `base`, nearest first, or None where they aren't known.
        distances: (Q, K) float32 in the metric's scale as above, or None.
        licence: of the data, as far as their source states it.
        source: where they come from.

    Raises:
        ValueError: shapes that don't fit each other, an unknown metric, neighbours that are not in the base.
    """

    name: str
    base: Vectors
    queries: Vectors
    metric: str
    learn: Vectors | None = None
    neighbors: npt.NDArray[np.int64] | None = None
    distances: npt.NDArray[np.float32] | None = None
    licence: str = "not stated"
    source: str = "not stated"

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise ValueError(f"metric must be one of {', '.join(METRICS)}, not {self.metric!r}")
        if self.base.ndim != 2:
            raise ValueError(f"base must be (N, d) but its shape is {self.base.shape}")
        for role, vectors in (("queries", self.queries), ("learn", self.learn)):
            if vectors is not None and (vectors.ndim != 2 or vectors.shape[1] != self.dim):
                raise ValueError(f"base has {self.dim} columns but {role} has shape {vectors.shape}")
        if self.neighbors is None:
            if self.distances is not None:
                raise ValueError("distances are given without the neighbors they belong to")
            return
        if self.neighbors.ndim != 2 or len(self.neighbors) != len(self.queries):
            raise ValueError(f"neighbors has shape {self.neighbors.shape} for {len(self.queries)} queries")
        if self.distances is not None and self.distances.shape != self.neighbors.shape:
            raise ValueError(
                f"neighbors has shape {self.neighbors.shape} but distances has {self.distances.shape}"
            )
        if self.neighbors.size and not (self.neighbors.min() >= -1 and self.neighbors.max() < len(self.base)):
            raise ValueError(
                f"neighbors must lie in 0..{len(self.base) - 1} (or be -1) but reach from "
                f"{self.neighbors.min()} to {self.neighbors.max()}: the truth belongs to another base"
            )

    @property
    def dim(self) -> int:
        """Components of a vector."""
        return int(self.base.shape[1])

    @property
    def index_metric(self) -> str:
        """The metric for `fastcbir.Index`: "l2" for "hamming", as both agree on vectors of 0 and 1."""
        return "l2" if self.metric == "hamming" else self.metric
