"""Ada-ef (Zhang & Miller, 2512.06636): an ef for each query, by how its first distances lie among all of its.

All distances of a query are taken for normal, which the vectors' mean and covariance tell; the score says how
many of the first distances of its search are among the least thousandths of those. A table learned from the
design queries gives each score the ef that reaches a recall.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

import fastcbir as fc
from benchmarks.stop.rules import Outcome

__all__ = ["by_score", "scores_of"]

THOUSANDTHS = np.arange(1, 11)
FIRST = 300  # distances: about two hops on level 0
GROUPS = 24
RECALLS = 1 - np.geomspace(0.5, 1e-4, 80)


def _moments(
    base: npt.NDArray[np.float64], queries: npt.NDArray[np.float64], metric: str
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(Q,) mean and standard deviation of each query's distances to all vectors, as the index gives them."""
    if metric != "l2":  # -<q, x>, and 1 more of unit vectors
        mean = (metric == "cosine") - queries @ base.mean(0)
        return mean, np.sqrt(np.einsum("qi,ij,qj->q", queries, np.cov(base.T), queries, optimize=True))
    # |q - x|^2 is linear in (|x|^2, x).
    lifted = np.column_stack([(base**2).sum(1), base])
    by = np.column_stack([np.ones(len(queries)), -2 * queries])
    mean = (queries**2).sum(1) + by @ lifted.mean(0)
    return mean, np.sqrt(np.einsum("qi,ij,qj->q", by, np.cov(lifted.T), by, optimize=True))


def scores_of(
    index: fc.Index, base: npt.NDArray[Any], queries: npt.NDArray[Any], metric: str
) -> npt.NDArray[np.float64]:
    """(Q,) the larger, the easier a query is expected to be."""
    rows, asked = base.astype(np.float64), queries.astype(np.float64)
    if metric == "cosine":
        rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30)
        asked = asked / np.maximum(np.linalg.norm(asked, axis=1, keepdims=True), 1e-30)
    mean, deviation = _moments(rows, asked, metric)
    first = index.search(queries, k=FIRST, ef=2 * FIRST, max_distances=FIRST).distances
    met = np.isfinite(first).sum(1)
    borders = [NormalDist().inv_cdf(share / 1000) for share in THOUSANDTHS]
    within = np.stack([(first <= (mean + deviation * at)[:, None]).sum(1) for at in borders])
    counts = np.diff(within, axis=0, prepend=0) / np.maximum(met, 1)
    return np.asarray((100 * np.exp(-np.arange(len(borders))))[:, None] * counts).sum(0)


def by_score(plain: Outcome, scores: npt.NDArray[np.float64], design: slice, k: int) -> list[Outcome]:
    """Searches with the least ef by which the design queries of like scores reach a recall.

    Args:
        plain: those with a fixed ef, at each of P.
        scores: (Q,).
    """
    borders = np.unique(np.quantile(scores[design], np.arange(1, GROUPS) / GROUPS))
    group = np.searchsorted(borders, scores, side="right")
    of_design = group[design]
    found = np.minimum(plain.found[:, design], k) / k
    chosen = np.full((len(RECALLS), len(borders) + 1), len(found) - 1)
    for one in np.unique(of_design):
        reached = np.maximum.accumulate(found[:, of_design == one].mean(1, dtype=np.float64))
        chosen[:, one] = np.minimum(np.searchsorted(reached, RECALLS - 1e-9), len(found) - 1)
    at, every = chosen[:, group], np.arange(len(scores))
    distances = plain.distances[at, every]
    return [
        Outcome("Ada-ef", plain.found[at, every], distances, distances[:, design].mean(1, dtype=np.float64))
    ]
