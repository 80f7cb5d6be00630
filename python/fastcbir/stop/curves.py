"""From traces to curves: what each rule would have found, at which cost, had it ended the traced searches.

A trace holds a row of numbers for every step of a search that went further than any will. All rules walk the
same way and only differ in when they stop, so one trace answers for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastcbir.stop.model import FOREST, PLAIN, PRICE, Curve, Forest

__all__ = [
    "Ends",
    "Rule",
    "Steps",
    "cost_at",
    "ends_at",
    "forest_rule",
    "joined",
    "plain_rule",
    "price_rules",
]

# Columns of a graph's trace (cpp/fastcbir/stop/trace.hpp); those of lists (list_stop.hpp) begin alike, and
# have the number of lists scanned for a rank.
DISTANCES, NEXT, RANK, KTH, FOUND = range(5)
NEAREST, INSERTED, MEAN, VARIANCE, QUARTER, HALF, THREE_QUARTERS = range(5, 12)  # of detailed ones

FEATURES = slice(5, 13)  # of lists

# Tried for price rules; which is best depends on k and on how the data cluster.
WEIGHTS = (2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 48.0, 64.0, 96.0)

NO_BUDGET = np.float32(3e38)

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Steps:
    """Traces of Q queries.

    Attributes:
        k: neighbours searched for.
        cap: ef or nprobe.
        offsets: (Q + 1,) int64; query q has rows offsets[q]:offsets[q + 1].
        rows: (total, columns) float32.
    """

    k: int
    cap: int
    offsets: npt.NDArray[np.int64]
    rows: FloatArray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def last(self) -> npt.NDArray[np.int64]:
        """(Q,) the row of each query's last step."""
        return self.offsets[1:] - 1

    def of(self, queries: slice) -> Steps:
        """Those of some queries that follow one another."""
        offsets = self.offsets[queries.start : queries.stop + 1]
        return Steps(self.k, self.cap, offsets - offsets[0], self.rows[offsets[0] : offsets[-1]])


def joined(parts: list[Steps]) -> Steps:
    """Traces for one k one after the other."""
    if len(parts) == 1:
        return parts[0]
    sizes = np.concatenate([np.diff(part.offsets) for part in parts])
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    return Steps(parts[0].k, parts[0].cap, offsets, np.concatenate([part.rows for part in parts]))


@dataclass(frozen=True)
class Ends:
    """Where Q searches end at each of P thresholds: (P, Q) found and distances."""

    found: FloatArray
    distances: FloatArray


def price_scores(steps: Steps, weight: float, farthest: float) -> FloatArray:
    """(total,) log2(distances) + weight * d_next / d_k after each step, in the core's precision."""
    rows = steps.rows
    kth = np.maximum(rows[:, KTH], np.float32(1e-30))
    with np.errstate(invalid="ignore", over="ignore"):
        ratio = np.where(np.isfinite(kth), rows[:, NEXT] / kth, np.float32(0))
    scores = np.log2(rows[:, DISTANCES]) + np.float32(weight) * ratio
    # Before there are k, and as long as they are further than any learned from, nothing stops a search.
    scores[~(rows[:, KTH] <= np.float32(farthest))] = -np.inf
    return np.asarray(scores, np.float32)


def forest_scores(steps: Steps, forest: Forest, farthest: float) -> FloatArray:
    """(total,) log2(distances) - gain after each list at which the core decides."""
    features = steps.rows[:, FEATURES]
    known = np.isfinite(steps.rows[:, NEXT]) & (payments(steps, farthest, lists=True) > 0)
    scores = np.full(len(features), -np.inf, np.float32)
    scores[known] = features[known, 7] - forest.gain(features[known])
    return scores


def plain_scores(steps: Steps) -> FloatArray:
    """(total,) the rank of the next candidate: a search with this ef, or any smaller, ends here."""
    return steps.rows[:, RANK]


def running_maximum(steps: Steps, scores: FloatArray) -> FloatArray:
    """(total,) the largest of a query's scores so far."""
    maxima = np.empty_like(scores)
    for begin, end in zip(steps.offsets[:-1], steps.offsets[1:], strict=True):
        np.maximum.accumulate(scores[begin:end], out=maxima[begin:end])
    return maxima


def payments(steps: Steps, farthest: float, lists: bool) -> FloatArray:
    """(total,) distances paid so far, 0 where nothing stops a search."""
    asked = steps.rows[:, KTH] <= np.float32(farthest)
    if lists:  # as due_after of list_stop.hpp
        scanned = steps.rows[:, RANK].astype(np.int64)
        asked &= (scanned <= 8) | (scanned % np.where(scanned <= 32, 2, 4) == 0)
    return np.where(asked, steps.rows[:, DISTANCES], np.float32(0))


def ends_at(
    steps: Steps,
    maxima: FloatArray,
    thresholds: FloatArray,
    paid: FloatArray | None = None,
    budgets: FloatArray | None = None,
    widths: FloatArray | None = None,
) -> Ends:
    """Where searches end that stop at the first step whose score reaches the threshold.

    Args:
        paid, budgets: (total,) and (P,): or at the first at which so much has been paid.
        widths: (P,): or where a graph's search with this ef would.
    """
    ranks = None if widths is None else running_maximum(steps, plain_scores(steps))
    stops = np.empty((len(steps), len(thresholds)), np.int64)
    for query, (begin, end) in enumerate(zip(steps.offsets[:-1], steps.offsets[1:], strict=True)):
        stops[query] = begin + np.searchsorted(maxima[begin:end], thresholds)
        if paid is not None and budgets is not None:
            most = begin + np.searchsorted(np.maximum.accumulate(paid[begin:end]), budgets)
            np.minimum(stops[query], most, out=stops[query])
        if ranks is not None and widths is not None:
            np.minimum(stops[query], begin + np.searchsorted(ranks[begin:end], widths), out=stops[query])
    np.minimum(stops, steps.last[:, None], out=stops)
    return Ends(steps.rows[stops, FOUND].T, steps.rows[stops, DISTANCES].T)


def needed_scores(steps: Steps, maxima: FloatArray) -> FloatArray:
    """(hits,) for each true neighbour found: the score that a search must be allowed in order to find it."""
    found = steps.rows[:, FOUND]
    before = np.empty_like(found)
    before[1:] = found[:-1]
    before[steps.offsets[:-1]] = 0
    gained = found > before
    first = np.zeros(len(found), bool)
    first[steps.offsets[:-1]] = True
    at = np.nonzero(gained & ~first)[0]
    return maxima[at - 1]


def threshold_grid(needed: FloatArray, points: int) -> FloatArray:
    """At most `points` thresholds: dense where few true neighbours are still missing."""
    needed = needed[np.isfinite(needed)]
    if len(needed) == 0:
        return np.zeros(1, np.float32)
    last = 0.5 / len(needed)
    between = max(min(0.003, 0.2 * last**0.5), last)
    some, many = points // 12, points * 2 // 3
    missing = np.concatenate(
        [
            np.geomspace(0.6, 0.2, some, endpoint=False),
            np.geomspace(0.2, between, many, endpoint=False),  # where targets mostly lie
            np.geomspace(between, last, points - 1 - some - many),
            [0.0],
        ]
    )
    grid = np.quantile(needed, 1 - missing).astype(np.float32)
    grid = np.nextafter(grid, np.float32(np.inf))
    return np.unique(grid)


@dataclass(frozen=True)
class Rule:
    """A rule with thresholds chosen on design queries, for k neighbours.

    Attributes:
        kind, weight, farthest, forest, thresholds, budgets, widths: as in Curve.
        recalls, costs, tails: (P,) of the design queries at each threshold: mean recall, mean distances, and
            their 99th percentile.
    """

    kind: int
    k: int
    cap: int
    weight: float
    farthest: float
    forest: Forest | None
    thresholds: FloatArray
    budgets: FloatArray
    widths: FloatArray
    recalls: npt.NDArray[np.float64]
    costs: FloatArray
    tails: FloatArray

    def ends(self, steps: Steps) -> Ends:
        """Where these searches end at each threshold."""
        if self.kind == PLAIN:
            return ends_at(steps, running_maximum(steps, plain_scores(steps)), self.thresholds)
        if self.forest is not None:
            scores = forest_scores(steps, self.forest, self.farthest)
        else:
            scores = price_scores(steps, self.weight, self.farthest)
        paid = payments(steps, self.farthest, self.kind == FOREST)
        widths = self.widths if self.kind == PRICE else None
        return ends_at(steps, running_maximum(steps, scores), self.thresholds, paid, self.budgets, widths)

    def counts(self, steps: Steps) -> npt.NDArray[np.uint32]:
        """(P, k + 1) how many of these queries found 0, 1, .. k at each threshold."""
        rows = np.minimum(self.ends(steps).found, self.k).astype(np.int64)
        return np.stack([np.bincount(row, minlength=self.k + 1) for row in rows]).astype(np.uint32)

    def curve(self, counts: npt.NDArray[np.uint32], shares: tuple[float, float]) -> Curve:
        """With what held-out queries found, under filters that let through so much."""
        return Curve(
            self.kind,
            self.k,
            self.cap,
            int(counts[0].sum()),
            self.weight,
            self.farthest,
            self.forest,
            shares,
            self.thresholds,
            self.budgets,
            self.widths,
            self.costs,
            counts,
        )


def _told(steps: Steps, ends: Ends) -> tuple[npt.NDArray[np.float64], FloatArray, FloatArray]:
    """Mean recall, mean distances and their 99th percentile at each threshold."""
    return (
        np.minimum(ends.found, steps.k).mean(1, dtype=np.float64) / steps.k,
        ends.distances.mean(1, dtype=np.float64).astype(np.float32),
        np.quantile(ends.distances, 0.99, axis=1).astype(np.float32),
    )


def plain_rule(design: Steps, least: int) -> Rule:
    """Searches with a fixed ef or nprobe of at least `least`."""
    efforts = np.unique(np.round(np.geomspace(min(least, design.cap), design.cap, 80))).astype(np.float32)
    ends = ends_at(design, running_maximum(design, plain_scores(design)), efforts)
    budgets = np.full(len(efforts), NO_BUDGET)
    widths = np.full(len(efforts), np.float32(design.cap))
    return Rule(PLAIN, design.k, design.cap, 0.0, 0.0, None, efforts, budgets, widths, *_told(design, ends))


def _learned_rule(
    kind: int,
    design: Steps,
    plain: Rule,
    scores: FloatArray,
    farthest: float,
    weight: float = 0.0,
    forest: Forest | None = None,
) -> Rule:
    """A rule by its scores, cut where plain searches that find as much have their 99th percentile: what it
    spares most searches, it may not charge the slowest for. Its beam is hardly wider than theirs: more
    finds next to nothing, and what is put into a beam costs time by its length."""
    maxima = running_maximum(design, scores)
    # Steps of recall are what a promise is rounded up by; each point is k + 1 numbers in the file.
    points = 400 if design.k <= 16 else 200
    grid = threshold_grid(needed_scores(design, maxima), points)
    recalls = _told(design, ends_at(design, maxima, grid))[0]
    order = np.argsort(plain.recalls, kind="stable")
    recalls = np.maximum.accumulate(recalls)
    cuts = np.interp(recalls, plain.recalls[order], plain.tails[order])
    budgets = np.maximum.accumulate(cuts).astype(np.float32)
    efs = np.interp(recalls, plain.recalls[order], plain.thresholds[order], right=design.cap)
    efs = np.maximum.accumulate(efs)
    wide = 8 * np.maximum(np.round((1.4 * efs + 2) / 8), np.ceil(1.1 * efs / 8))  # registers hold eight
    widths = np.minimum(wide, design.cap).astype(np.float32)
    paid = payments(design, farthest, kind == FOREST)
    ends = ends_at(design, maxima, grid, paid, budgets, widths if kind == PRICE else None)
    return Rule(
        kind, design.k, design.cap, weight, farthest, forest, grid, budgets, widths, *_told(design, ends)
    )


def _farthest(design: Steps) -> float:
    kth = design.rows[design.last, KTH]
    return float(kth[np.isfinite(kth)].max(initial=0.0))


def price_rules(design: Steps, plain: Rule, weights: tuple[float, ...] = WEIGHTS) -> list[Rule]:
    """The price rules that are the cheapest for some recall."""
    farthest = _farthest(design)
    rules = []
    for weight in weights:
        scores = price_scores(design, weight, farthest)
        rules.append(_learned_rule(PRICE, design, plain, scores, farthest, weight=weight))
    best = {
        int(np.argmin([cost_at(rule.recalls, rule.costs, recall) for rule in rules]))
        for recall in (0.9, 0.95, 0.99, 0.999)
    }
    return [rules[i] for i in sorted(best)]


def forest_rule(design: Steps, plain: Rule, forest: Forest) -> Rule:
    """A rule of lists by their gain. The forest should have been trained on other queries."""
    farthest = _farthest(design)
    scores = forest_scores(design, forest, farthest)
    return _learned_rule(FOREST, design, plain, scores, farthest, forest=forest)


def cost_at(recalls: npt.NDArray[np.float64], costs: FloatArray, recall: float) -> float:
    """The least cost of a recall, interpolated in the logarithm of what is missing; inf if never reached."""
    if len(recalls) == 0 or recalls.max() < recall:
        return float("inf")
    order = np.argsort(recalls, kind="stable")
    cheapest = np.minimum.accumulate(costs[order][::-1])[::-1]
    missing = -np.log(np.maximum(1 - recalls[order], 1e-7))
    return float(np.interp(-np.log(max(1 - recall, 1e-7)), missing, cheapest))
