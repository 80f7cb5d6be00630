"""What an index can promise, and on what grounds."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fastcbir import _core
from fastcbir.stop.model import PLAIN, Curve, Model, decode
from fastcbir.types import StopReason

__all__ = ["Measured", "RecallReport", "RecallRow", "report_of"]

RULES = ("plain", "price", "forest")
TARGETS = (0.9, 0.95, 0.99, 0.999)


class RecallRow(NamedTuple):
    """What `search(k=k, recall=target)` does.

    Attributes:
        k, target: what is asked for.
        promised: whether it can be promised; if not, `reason` says why, and a search goes as far as was
            learned about.
        reason: a StopReason.
        rule: "plain" (a fixed ef or nprobe was as good), "price" or "forest".
        recall: mean recall of the held-out queries.
        low, high: its 95 % interval.
        distances: mean number of a query.
        plain_distances: of the cheapest fixed ef or nprobe that can promise the same; NaN if none can.
        shares: least and most share of the vectors that a filter lets through, for searches with one; (0, 0)
            for those without.
    """

    k: int
    target: float
    promised: bool
    reason: StopReason
    rule: str
    recall: float
    low: float
    high: float
    distances: float
    plain_distances: float
    shares: tuple[float, float] = (0.0, 0.0)


class Measured(NamedTuple):
    """What searches by recall found, of one in `shadow_every` that was repeated at full length.

    Attributes:
        k, target: what was asked for.
        probability: that of each query to reach the target; 0: their mean is to.
        filtered: whether with `allow`.
        searches: that were repeated.
        recall: their mean recall (with a probability: the share that reached the target) of what the full
            length finds.
        low, high: its 95 % interval.
        strictness: the target is planned for as if only a 2^strictness-th might be missed of what may; above
            0 once more was missed than chance explains.
    """

    k: int
    target: float
    probability: float
    filtered: bool
    searches: int
    recall: float
    low: float
    high: float
    strictness: float


@dataclass(frozen=True)
class RecallReport:
    """What an index can promise.

    Attributes:
        rows: by filter, then by k, then by target.
        measured: what searches found since it learned, or was loaded; by k and target.
        own_queries: vectors of the index itself that were learned from.
        given_queries: queries of yours that were.
        vectors: in the index when it learned; vectors_now: in it now; removed: since.
        age_s: seconds since it learned.
    """

    rows: list[RecallRow]
    measured: list[Measured]
    own_queries: int
    given_queries: int
    vectors: int
    vectors_now: int
    removed: int
    age_s: float

    def __str__(self) -> str:
        source = (
            f"{self.given_queries} queries of yours"
            if self.given_queries
            else f"{self.own_queries} of the index's own vectors"
        )
        lines = [
            f"learned {self.age_s / 3600:.1f} hours ago from {source}; {self.vectors} vectors then, "
            f"{self.vectors_now} now",
            "    k  target  recall (95 % interval)   distances   plain  rule",
        ]
        for row in self.rows:
            saved = f"{row.plain_distances:8.0f}" if np.isfinite(row.plain_distances) else "       -"
            note = row.rule if row.promised else f"not promised: {row.reason.name}"
            if row.shares[1]:
                note += f", filters that let {row.shares[0]:.2g} to {row.shares[1]:.2g} through"
            lines.append(
                f"{row.k:5d}  {row.target:6.3f}  {row.recall:.4f} ({row.low:.4f}-{row.high:.4f})  "
                f"{row.distances:9.0f}{saved}  {note}"
            )
        for one in self.measured:
            aim = (
                f"{one.probability:g} of queries to reach {one.target:g}"
                if one.probability
                else f"{one.target:g}"
            )
            stricter = f"; planned 2^{one.strictness:.1f} times as strictly" if one.strictness else ""
            lines.append(
                f"measured, k = {one.k}{', filtered' if one.filtered else ''}, asked for {aim}: "
                f"{one.recall:.4f} ({one.low:.4f}-{one.high:.4f}) in {one.searches} searches{stricter}"
            )
        return "\n".join(lines)


def _interval(curve: Curve, at: int) -> tuple[float, float, float]:
    """Mean recall at a threshold and its 95 % interval."""
    recalls = np.arange(curve.k + 1) / curve.k
    weights = curve.counts[at] / curve.queries
    mean = float(weights @ recalls)
    deviation = float(np.sqrt(max(weights @ (recalls - mean) ** 2, 0.0) / curve.queries))
    # By chance no query may have missed anything: then at most about three in as many would.
    low = mean - max(1.96 * deviation, 3 / curve.queries if mean == 1 else 0.0)
    return mean, max(low, 0.0), min(mean + 1.96 * deviation, 1.0)


def _row(core: _core.Index, model: Model, shares: tuple[float, float], k: int, target: float) -> RecallRow:
    reason, rule, threshold, _estimate, distances = core.stop_plan(k, target, 0.0, shares[0])
    curves = [curve for curve in model.curves if curve.k == k and curve.shares == shares]
    at = [
        (curve, int(np.searchsorted(curve.thresholds, np.float32(threshold))))
        for curve in curves
        if curve.rule == rule and np.float32(threshold) in curve.thresholds
    ]
    recall, low, high = _interval(*at[0])
    plain = next((curve for curve in curves if curve.rule == PLAIN), None)
    plain_distances = float("nan")
    if plain is not None and plain.recalls[-1] >= target:
        plain_distances = float(plain.costs[int(np.argmax(plain.recalls >= target))])
    return RecallRow(
        k,
        target,
        reason == StopReason.TARGET,
        StopReason(reason),
        RULES[rule] if rule is not None else "exact",
        recall,
        low,
        high,
        float("nan") if distances is None else distances,
        plain_distances,
        shares,
    )


def _measured(core: _core.Index) -> list[Measured]:
    rows = []
    for k, target, probability, filtered, searches, missed, deviation, strictness in core.shadows():
        mean = 1 - missed
        reach = 1.96 * deviation / np.sqrt(searches)
        low = mean - max(reach, 3 / searches if missed == 0 else 0.0)
        rows.append(
            Measured(
                k,
                round(target, 6),
                round(probability, 4),
                filtered,
                searches,
                mean,
                max(float(low), 0.0),
                min(float(mean + reach), 1.0),
                strictness,
            )
        )
    return sorted(rows)


def report_of(core: _core.Index) -> RecallReport:
    """The report of an index that has learned."""
    data = core.stop_model()
    if not data:
        raise ValueError("the index has not learned when to stop: call fit_stop() once")
    model = decode(data)
    kinds = sorted({(curve.shares, curve.k) for curve in model.curves})
    return RecallReport(
        rows=[_row(core, model, shares, k, target) for shares, k in kinds for target in TARGETS],
        measured=_measured(core),
        own_queries=model.own_queries,
        given_queries=model.given_queries,
        vectors=model.vectors,
        vectors_now=core.size(),
        removed=max(core.removed_count() - model.removed, 0),
        age_s=max(time.time() - model.learned_at, 0.0),
    )
