"""Rules that need no training: a score after every step; a search ends when it reaches a threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastcbir.stop.curves import (
    DISTANCES,
    INSERTED,
    KTH,
    NEXT,
    Rule,
    Steps,
    ends_at,
    needed_scores,
    plain_rule,
    price_rules,
    running_maximum,
    threshold_grid,
)

__all__ = ["Outcome", "budget", "ended", "first_rows", "gamma", "outcome_of", "patience", "plain", "price"]

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Outcome:
    """How all queries end by one rule, at each of P thresholds, the cheapest first.

    Attributes:
        found, distances: (P, Q).
        costs: (P,) mean distances of the queries by which variants of a rule are chosen.
    """

    label: str
    found: FloatArray
    distances: FloatArray
    costs: npt.NDArray[np.float64]


def first_rows(steps: Steps) -> npt.NDArray[np.int64]:
    """(total,) the row of the same query's first step."""
    return np.repeat(steps.offsets[:-1], np.diff(steps.offsets))


def outcome_of(label: str, steps: Steps, rule: Rule) -> Outcome:
    """That of one of the product's own rules."""
    ends = rule.ends(steps)
    return Outcome(label, ends.found, ends.distances, rule.costs.astype(np.float64))


def ended(label: str, steps: Steps, scores: FloatArray, design: slice, points: int = 160) -> Outcome:
    """That of a rule given by its scores; `design` queries choose the thresholds and tell the costs."""
    maxima = running_maximum(steps, scores)
    some = steps.of(design)
    rows = slice(steps.offsets[design.start], steps.offsets[design.stop])
    grid = threshold_grid(needed_scores(some, maxima[rows]), points)
    ends = ends_at(steps, maxima, grid)
    return Outcome(label, ends.found, ends.distances, ends.distances[:, design].mean(1, dtype=np.float64))


def plain(steps: Steps, design: slice) -> list[Outcome]:
    """A fixed ef, the same for all."""
    return [outcome_of("ef", steps, plain_rule(steps.of(design), steps.k))]


def price(steps: Steps, design: slice) -> list[Outcome]:
    """The product's: log2(distances) + weight * d_next / d_k, with the weights that it would choose."""
    some = steps.of(design)
    rules = price_rules(some, plain_rule(some, steps.k))
    return [outcome_of(f"weight {rule.weight:g}", steps, rule) for rule in rules]


def budget(steps: Steps, design: slice) -> list[Outcome]:
    """A fixed number of distances."""
    return [ended("budget", steps, steps.rows[:, DISTANCES], design)]


def gamma(steps: Steps, design: slice) -> list[Outcome]:
    """The distance-adaptive beam (2505.15636): until the next candidate is (1 + gamma) times the k-th."""
    kth, following = steps.rows[:, KTH], steps.rows[:, NEXT]
    with np.errstate(invalid="ignore", over="ignore"):
        ratio = np.where(np.isfinite(kth), following / np.maximum(kth, 1e-30), -np.inf)
    return [ended("gamma", steps, np.asarray(ratio, np.float32), design)]


def _since_insert(steps: Steps) -> npt.NDArray[np.int64]:
    at = np.arange(len(steps.rows))
    last = np.where(steps.rows[:, INSERTED] > 0, at, first_rows(steps))
    return at - np.maximum.accumulate(last)


def patience(steps: Steps, design: slice) -> list[Outcome]:
    """Until nothing of the k nearest has changed for so many steps (Lucene's saturation of 0.995 for k up to
    199), or the rate of discoveries stays below its own mean by a share of its deviation for a number of
    steps that shrinks with it (after Elasticsearch's adaptive rule; the scale is the threshold)."""
    lucene = ended("saturation", steps, _since_insert(steps).astype(np.float32), design)
    adaptive = [
        ended(f"adaptive {loose:g}", steps, _adaptive(steps, loose), design) for loose in (0.0, 0.5, 1.0)
    ]
    return [lucene, *adaptive]


def _adaptive(steps: Steps, looseness: float, smoothing: float = 0.8) -> FloatArray:
    sizes = np.diff(steps.offsets)
    begins = steps.offsets[:-1]
    rate, mean, squares, count = (np.zeros(len(sizes)) for _ in range(4))
    scores = np.zeros(len(steps.rows), np.float32)
    for step in range(int(sizes.max())):
        alive = np.nonzero(sizes > step)[0]
        rows = begins[alive] + step
        rate[alive] = smoothing * rate[alive] + (1 - smoothing) * steps.rows[rows, INSERTED]
        off = rate[alive] - mean[alive]
        mean[alive] += off / (step + 1)
        squares[alive] += off * (rate[alive] - mean[alive])
        deviation = np.sqrt(squares[alive] / max(step, 1))
        low = rate[alive] < mean[alive] + (looseness - 1) * deviation
        count[alive] = np.where(low, count[alive] + 1, 0)
        scores[rows] = count[alive] * (1 + deviation)
    return scores


def families(steps: Steps, design: slice) -> dict[str, Sequence[Outcome]]:
    """All of this file by name."""
    return {
        "price": price(steps, design),
        "budget": budget(steps, design),
        "gamma": gamma(steps, design),
        "patience": patience(steps, design),
    }
