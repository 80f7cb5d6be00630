"""What users pass to an index and get from it: methods as frozen dataclasses, results as named tuples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Flat", "Hits", "Hnsw", "Method", "RangeHits"]


@dataclass(frozen=True)
class Flat:
    """Exact search: every vector is compared with every query. Also the way to make ground truth."""


@dataclass(frozen=True)
class Hnsw:
    """Approximate search by a hierarchical navigable small world graph (Malkov & Yashunin, TPAMI 2020).

    Attributes:
        m: links a node makes on each level; level 0 keeps up to 2 * m. 2..512. More: better recall at the
            same `ef`, more memory (about 8 * m bytes a vector), slower build. "M" elsewhere; "connectivity"
            in usearch.
        ef_construction: how many of the nearest nodes an insert looks at. 1..10000. "efConstruction"
            elsewhere.
        keep_pruned: fill up a list of links with the nearest of those that the selection rule pruned. Off,
            as in
            hnswlib: on costs build time and, on word vectors, recall beyond .99, for a little at low `ef`.
        seed: of the random levels. The same seed and one thread give the same graph.
    """

    m: int = 16
    ef_construction: int = 200
    keep_pruned: bool = False
    seed: int = 0


Method = Flat | Hnsw


class Hits(NamedTuple):
    """The k nearest of each of Q queries, nearest first. Fewer than k: id -1 and distance inf.

    Attributes:
        ids: (Q, k) int64.
        distances: (Q, k) float32. l2: squared Euclidean; ip: minus the inner product; cosine: 1 - cosine
            similarity.
        cost: (Q,) uint32, vectors each query was compared with.
    """

    ids: npt.NDArray[np.int64]
    distances: npt.NDArray[np.float32]
    cost: npt.NDArray[np.uint32]


class RangeHits(NamedTuple):
    """All within a radius of each of Q queries, nearest first: query q has entries offsets[q]:offsets[q + 1].

    Attributes:
        offsets: (Q + 1,) int64.
        ids: (total,) int64.
        distances: (total,) float32, as in Hits.
    """

    offsets: npt.NDArray[np.int64]
    ids: npt.NDArray[np.int64]
    distances: npt.NDArray[np.float32]
