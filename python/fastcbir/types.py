"""What users pass to an index and get from it: methods as frozen dataclasses, results as named tuples."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Flat", "Hits", "Hnsw", "Imi", "Ivf", "Method", "RangeHits"]


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
        keep_pruned: fill up a list of links with the nearest of those that the selection rule pruned. None:
            only for the metric "ip", since inner products of vectors of all lengths lose recall without;
            elsewhere leaving them out, as hnswlib does, is quicker to build and finds more at high recall.
        seed: of the random levels. The same seed and one thread give the same graph.
        codec: "rabitq1" or "rabitq2" keeps codes of a node's neighbours beside the node, with 1 or 2 bits a
            dimension (RaBitQ, laid out as in SymphonyQG): fewer and more orderly reads a query, for 2 * m or
            4 * m bits of memory a dimension. The distances in results are exact all the same. Needs `m` to
            be a multiple of 16. "auto" takes what measured best: 2 bits in 32 to 256 dimensions, 1 bit above,
            none below nor where codes can't be. An index says in `index.method` what it has chosen.
    """

    m: int = 16
    ef_construction: int = 200
    keep_pruned: bool | None = None
    seed: int = 0
    codec: Literal["auto", "rabitq1", "rabitq2"] | None = None


@dataclass(frozen=True)
class Ivf:
    """Approximate search by inverted lists: a query visits the lists of the centroids nearest to it.

    Attributes:
        nlist: lists, one a centroid of k-means. 1..4194304, and no more than the first vectors added. None
            chooses about twice the square root of their number, and again when there are eight times as
            many. "nlist" in faiss, "n_clusters" in LoRANN.
        codec: "rabitq1" or "rabitq2" keeps codes of 1 or 2 bits a dimension in the lists (RaBitQ, Gao & Long,
            SIGMOD 2024, of the difference to the centroid): a query estimates distances from them, and
            compares the best with the vectors themselves. Distances in results are exact. "pq8", "pq64":
            product codes of so many bytes a vector (Jegou et al., PAMI 2011), at most one a dimension and
            256: finer than RaBitQ in as many bytes, and for less than a bit a dimension. None compares
            every vector of a visited list: the only choice for the cosine of 8-bit vectors. "auto" takes what
            measured best: 2 bits in up to 256 dimensions, 1 bit above, none where codes can't be.
            An index says in `index.method` what it has chosen.
        seed: of the training sample, the first centroids and the codec's rotation. The same seed and vectors
            give the same index on any number of threads.
        memory: what searching may take, as a number of bytes or as "8GB". The first `add` or `train` then
            chooses the finest codec that fits, and whether the vectors themselves do;
            `index.info()["plan"]` says what it chose and what to do. None: no limit.
        expected: with `memory`, how many vectors there will be. None: those of the first `add` or `train`.
    """

    nlist: int | None = None
    codec: str | None = "auto"
    seed: int = 0
    memory: str | int | None = None
    expected: int | None = None


@dataclass(frozen=True)
class Imi:
    """Inverted lists of a multi-index (Babenko & Lempitsky, CVPR 2012): many small ones, for few centroids.

    The dimensions are halved, each half has centroids of its own, and every pair of them is a list.

    Attributes:
        bits: 2**bits centroids for each half, 4**bits lists. 1..12.
        codec, seed: as for `Ivf`.
    """

    bits: int = 5
    codec: str | None = "auto"
    seed: int = 0


Method = Flat | Hnsw | Ivf | Imi


class StopReason(IntEnum):
    """Why a search by recall went as far as it did."""

    NONE = 0
    """No recall was asked for."""
    TARGET = 1
    """By what was learned: the recall is promised."""
    EXACT = 2
    """Everything was compared."""
    UNREACHABLE = 3
    """So much can't be promised: too few queries were learned from, or the index never finds it."""
    BEYOND_K = 4
    """k is larger than any learned about."""
    FILTERED = 5
    """`allow` was given, and nothing was learned about filters."""
    AGED = 6
    """The index has grown by half, or lost a fifth, since it learned."""
    UNLIKE = 7
    """This query lies further from everything than any learned from."""


class Hits(NamedTuple):
    """The k nearest of each of Q queries, nearest first. Fewer than k: id -1 and distance inf.

    Attributes:
        ids: (Q, k) int64.
        distances: (Q, k) float32. l2: squared Euclidean; ip: minus the inner product; cosine: 1 - cosine
            similarity.
        cost: (Q,) uint32, vectors each query was compared with.
        stop_reason: (Q,) uint8, a StopReason each; None without `recall`.
        estimated_recall: (Q,) float32, the recall@k to be expected, or with `probability` that of reaching
            it; NaN where nothing is known. None without `recall`.
    """

    ids: npt.NDArray[np.int64]
    distances: npt.NDArray[np.float32]
    cost: npt.NDArray[np.uint32]
    stop_reason: npt.NDArray[np.uint8] | None = None
    estimated_recall: npt.NDArray[np.float32] | None = None


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
