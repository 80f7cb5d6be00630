"""Measures of retrieval quality: recall against exact neighbours, and revisitop's AP and mP@k with junk.

Everything is per query; only what is named `mean_*` averages. A query without a right answer has no quality:
it is NaN, and the means leave it out. Imports numpy only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = [
    "Interval",
    "ProtocolScores",
    "RevisitopScores",
    "average_precision",
    "bootstrap_interval",
    "evaluate_revisitop",
    "mean_average_precision",
    "precision_at_k",
    "recall_at_k",
]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Ids = npt.ArrayLike

# Two float32 distances of one pair, summed in different orders over a thousand terms, differ by a few 1e-6.
TIE_TOLERANCE = 1e-5
_CHUNK_CELLS = 8_000_000


def recall_at_k(
    found_ids: Ids,
    true_ids: Ids,
    k: int,
    *,
    found_distances: npt.ArrayLike | None = None,
    true_distances: npt.ArrayLike | None = None,
    tolerance: float = TIE_TOLERANCE,
) -> FloatArray:
    """The share of each query's k exact nearest neighbours that was found among the first k answers.

    With both distances given, an answer that is as near as the k-th true neighbour is a hit whatever its id:
    duplicates in a data set make several answers equally right. "As near" is
    `found <= true_k + tolerance * abs(true_k)`, so the distances must be exact and on the truth's scale.

    Args:
        found_ids: (Q, >= k) integer ids, best first; -1 is a missing answer. An id counts once per query.
        true_ids: (Q, >= k) integer ids, nearest first; -1 where fewer than k neighbours exist.
        k: how many answers and neighbours to compare, at least 1.
        found_distances: (Q, >= k), of `found_ids`.
        true_distances: (Q, >= k), of `true_ids`.
        tolerance: relative slack for ties, by default 1e-5.

    Returns:
        (Q,) float64 in 0..1: hits / min(k, number of true neighbours); NaN where there is no true neighbour.

    Raises:
        ValueError: shapes that don't fit each other or k, ids that aren't integers, only one distance array,
            or a negative tolerance.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    if tolerance < 0:
        raise ValueError(f"tolerance must not be negative, not {tolerance}")
    found = _first_k(_ids(found_ids, "found_ids", 2), k, "found_ids")
    true = _first_k(_ids(true_ids, "true_ids", 2), k, "true_ids")
    if len(found) != len(true):
        raise ValueError(f"found_ids has {len(found)} rows (queries) but true_ids has {len(true)}")
    near = np.zeros(found.shape, dtype=bool)
    if (found_distances is None) != (true_distances is None):
        given = "found_distances" if true_distances is None else "true_distances"
        raise ValueError(f"only {given} is given; ties need found_distances and true_distances")
    if found_distances is not None and true_distances is not None:
        found_far = _distances(found_distances, found.shape, "found_distances")
        true_far = _distances(true_distances, true.shape, "true_distances")
        # The limit is the farthest neighbour that exists: a row with fewer than k ends in -1, at inf.
        limit = np.where(true >= 0, true_far, -np.inf).max(axis=1)
        with np.errstate(invalid="ignore"):
            near = found_far <= (limit + tolerance * np.abs(limit))[:, None]

    hits = np.zeros(len(found), dtype=np.int64)
    rows_per_chunk = max(1, _CHUNK_CELLS // (k * k))
    earlier = np.tri(k, k, -1, dtype=bool)
    for start in range(0, len(found), rows_per_chunk):
        rows = slice(start, start + rows_per_chunk)
        answers = found[rows]
        matched = (answers[:, :, None] == true[rows][:, None, :]).any(axis=2)
        repeated = ((answers[:, :, None] == answers[:, None, :]) & earlier).any(axis=2)
        hits[rows] = ((matched | near[rows]) & (answers >= 0) & ~repeated).sum(axis=1)
    wanted = (true >= 0).sum(axis=1)
    recall = np.full(len(found), np.nan)
    answerable = wanted > 0
    recall[answerable] = np.minimum(hits, wanted)[answerable] / wanted[answerable]
    return recall


def average_precision(ranked_ids: Ids, relevant: Ids, junk: Ids = ()) -> float:
    """Average precision of one query by the trapezoid rule of Oxford buildings and revisitop.

    The precision before and after each relevant answer are averaged; junk answers are taken out of the
    ranking first. A relevant id that isn't ranked adds nothing, so a ranking cut at k gives a lower bound.

    Args:
        ranked_ids: (N,) integer ids, best first; -1 is a missing answer.
        relevant: ids of the right answers.
        junk: ids that are neither right nor wrong.

    Returns:
        AP in 0..1, or NaN when nothing is relevant.

    Raises:
        ValueError: an id ranked twice, or both relevant and junk.
    """
    ranks, positives, _ = _relevant_ranks(ranked_ids, relevant, junk)
    if positives == 0:
        return float("nan")
    counted = np.arange(len(ranks))
    before = np.where(ranks == 0, 1.0, counted / np.maximum(ranks, 1))
    after = (counted + 1) / (ranks + 1)
    return float((before + after).sum() / (2 * positives))


def mean_average_precision(
    ranked_ids: Sequence[Ids], relevant: Sequence[Ids], junk: Sequence[Ids] | None = None
) -> float:
    """The mean `average_precision` of the queries that have a relevant answer; NaN when none has.

    Args:
        ranked_ids, relevant: one entry per query, as `average_precision` takes them.
        junk: one entry per query, or None for no junk.
    """
    nothing: Ids = ()
    junk = [nothing] * len(ranked_ids) if junk is None else junk
    _same_length("ranked_ids", ranked_ids, "relevant", relevant)
    _same_length("ranked_ids", ranked_ids, "junk", junk)
    triples = zip(ranked_ids, relevant, junk, strict=True)
    return _mean(np.array([average_precision(*triple) for triple in triples], dtype=np.float64))


def precision_at_k(ranked_ids: Ids, relevant: Ids, k: int, junk: Ids = ()) -> float:
    """Precision of the first k answers of one query by revisitop's rule (its mP@k, before the mean).

    k is lowered to the rank of the last relevant answer, so that a query with few right answers can reach 1.

    Args and raises: as `average_precision`; k at least 1.

    Returns:
        0..1, or NaN when nothing is relevant.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    ranks, positives, _ = _relevant_ranks(ranked_ids, relevant, junk)
    if positives == 0:
        return float("nan")
    # A relevant id that a cut ranking lacks stands somewhere behind its end, and so doesn't lower k.
    depth = min(int(ranks[-1]) + 1, k) if len(ranks) == positives else k
    return float(np.count_nonzero(ranks < depth) / depth)


@dataclass(frozen=True)
class ProtocolScores:
    """Scores of all queries under one of revisitop's protocols.

    Attributes:
        average_precision: (Q,) float64; NaN where the protocol leaves a query no right answer.
        precision: (Q, len(ks)) float64, column i at ks[i]; NaN likewise.
        ks: the depths of `precision`.
    """

    average_precision: FloatArray
    precision: FloatArray
    ks: tuple[int, ...]

    @property
    def mean_average_precision(self) -> float:
        """mAP in 0..1 over the queries that have a right answer."""
        return _mean(self.average_precision)

    @property
    def mean_precision(self) -> FloatArray:
        """(len(ks),) float64: mP@k in 0..1 over the queries that have a right answer."""
        return np.array([_mean(column) for column in self.precision.T], dtype=np.float64)


@dataclass(frozen=True)
class RevisitopScores:
    """Scores under the three protocols: right answers are easy; easy and hard; hard. The rest is junk."""

    easy: ProtocolScores
    medium: ProtocolScores
    hard: ProtocolScores


def evaluate_revisitop(
    ranks: Ids, gnd: Sequence[Mapping[str, Any]], ks: Sequence[int] = (1, 5, 10)
) -> RevisitopScores:
    """Score rankings of ROxford5k or RParis6k by the protocol of Radenovic et al., CVPR 2018.

    Args:
        ranks: (Q, N) integer ids into the database image list, best first, one row per query. (The authors'
            own script keeps queries in columns: pass its array transposed.)
        gnd: one mapping per query with the id lists `easy`, `hard` and `junk`.
        ks: depths for mP@k.

    Raises:
        ValueError: another number of rows than of ground-truth entries, or an entry without its three lists.
    """
    rows = _ids(ranks, "ranks", 2)
    _same_length("ranks", rows, "gnd", gnd)
    for position, entry in enumerate(gnd):
        missing = {"easy", "hard", "junk"} - set(entry)
        if missing:
            raise ValueError(f"gnd[{position}] has no {sorted(missing)}; expected easy, hard and junk")

    def score(right: tuple[str, ...], ignored: tuple[str, ...]) -> ProtocolScores:
        ap = np.empty(len(rows), dtype=np.float64)
        precision = np.empty((len(rows), len(ks)), dtype=np.float64)
        for query, (ranked, entry) in enumerate(zip(rows, gnd, strict=True)):
            relevant = np.concatenate([_ids(entry[name], name, 1) for name in right])
            junk = np.concatenate([_ids(entry[name], name, 1) for name in ignored])
            ap[query] = average_precision(ranked, relevant, junk)
            precision[query] = [precision_at_k(ranked, relevant, k, junk) for k in ks]
        return ProtocolScores(ap, precision, tuple(ks))

    return RevisitopScores(
        easy=score(("easy",), ("junk", "hard")),
        medium=score(("easy", "hard"), ("junk",)),
        hard=score(("hard",), ("junk", "easy")),
    )


class Interval(NamedTuple):
    """A confidence interval, both ends included."""

    low: float
    high: float


def bootstrap_interval(
    values: npt.ArrayLike,
    *,
    statistic: Callable[[FloatArray], float] | None = None,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """How far a statistic over queries would swing with other queries: the percentile bootstrap.

    Args:
        values: (Q,) per-query scores; NaN (no right answer) is left out.
        statistic: maps (Q,) float64 to a number; None is the mean.
        confidence: share of the resampled statistics inside the interval, 0 < confidence < 1.
        resamples: how many draws of Q queries with replacement, at least 1.
        seed: of the draws; the same seed gives the same interval.

    Returns:
        (NaN, NaN) when no value is left.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, not {confidence}")
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, not {resamples}")
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1:
        raise ValueError(f"values must be 1-D, one score per query, but its shape is {sample.shape}")
    sample = sample[~np.isnan(sample)]
    if len(sample) == 0:
        return Interval(float("nan"), float("nan"))
    rng = np.random.default_rng(seed)
    draws = np.empty(resamples, dtype=np.float64)
    for index in range(resamples):
        drawn = sample[rng.integers(0, len(sample), len(sample))]
        draws[index] = drawn.mean() if statistic is None else statistic(drawn)
    tail = (1 - confidence) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return Interval(float(low), float(high))


def _relevant_ranks(ranked_ids: Ids, relevant: Ids, junk: Ids) -> tuple[IntArray, int, int]:
    """Zero-based ranks of the relevant answers once junk is out, the number relevant, the answers left."""
    ranked = _ids(ranked_ids, "ranked_ids", 1)
    ranked = ranked[ranked >= 0]
    right = np.unique(_ids(relevant, "relevant", 1))
    ignored = np.unique(_ids(junk, "junk", 1))
    if len(np.unique(ranked)) != len(ranked):
        raise ValueError("ranked_ids holds an id more than once; a ranking names each item once")
    both = np.intersect1d(right, ignored)
    if len(both):
        raise ValueError(f"id {both[0]} is both relevant and junk")
    kept = ranked[~np.isin(ranked, ignored)]
    return np.flatnonzero(np.isin(kept, right)).astype(np.int64), len(right), len(kept)


def _ids(values: Ids, name: str, ndim: int) -> IntArray:
    array = np.asarray(values)
    if array.size == 0 and array.ndim == ndim:
        return array.astype(np.int64)
    if array.ndim != ndim:
        raise ValueError(f"{name} must be {ndim}-D but its shape is {array.shape}")
    if array.dtype.kind not in "iu":
        raise ValueError(f"{name} must hold integer ids, not {array.dtype}")
    return array.astype(np.int64, copy=False)


def _first_k(array: IntArray, k: int, name: str) -> IntArray:
    if array.shape[1] < k:
        raise ValueError(f"{name} has {array.shape[1]} columns, fewer than k = {k}")
    return array[:, :k]


def _distances(values: npt.ArrayLike, shape: tuple[int, ...], name: str) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or array.shape[0] != shape[0] or array.shape[1] < shape[1]:
        raise ValueError(f"{name} must be ({shape[0]}, >= {shape[1]}) but its shape is {array.shape}")
    return array[:, : shape[1]]


def _same_length(first: str, a: Sequence[Any] | IntArray, second: str, b: Sequence[Any]) -> None:
    if len(a) != len(b):
        raise ValueError(f"{first} has {len(a)} queries but {second} has {len(b)}")


def _mean(values: FloatArray) -> float:
    kept = values[~np.isnan(values)]
    return float(kept.mean()) if len(kept) else float("nan")
