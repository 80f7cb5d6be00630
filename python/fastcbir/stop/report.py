"""What an index can promise, and on what grounds."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fastcbir import _core
from fastcbir.stop.model import PLAIN, Curve, Model, decode
from fastcbir.types import StopReason

__all__ = ["RecallReport", "RecallRow", "report_of"]

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


@dataclass(frozen=True)
class RecallReport:
    """What an index can promise.

    Attributes:
        rows: by k, then by target.
        own_queries: vectors of the index itself that were learned from.
        given_queries: queries of yours that were.
        vectors: in the index when it learned; vectors_now: in it now; removed: since.
        age_s: seconds since it learned.
    """

    rows: list[RecallRow]
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
            lines.append(
                f"{row.k:5d}  {row.target:6.3f}  {row.recall:.4f} ({row.low:.4f}-{row.high:.4f})  "
                f"{row.distances:9.0f}{saved}  {note}"
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


def _row(core: _core.Index, model: Model, k: int, target: float) -> RecallRow:
    reason, rule, threshold, _estimate, distances = core.stop_plan(k, target, 0.0)
    curves = [curve for curve in model.curves if curve.k == k]
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
    )


def report_of(core: _core.Index) -> RecallReport:
    """The report of an index that has learned."""
    data = core.stop_model()
    if not data:
        raise ValueError("the index has not learned when to stop: call fit_stop() once")
    model = decode(data)
    ks = sorted({curve.k for curve in model.curves})
    return RecallReport(
        rows=[_row(core, model, k, target) for k in ks for target in TARGETS],
        own_queries=model.own_queries,
        given_queries=model.given_queries,
        vectors=model.vectors,
        vectors_now=core.size(),
        removed=max(core.removed_count() - model.removed, 0),
        age_s=max(time.time() - model.learned_at, 0.0),
    )
