"""Numbers read off a recall/speed curve: the Pareto front, and speed at a fixed recall."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["RECALL_LEVELS", "AtRecall", "at_recall", "pareto_front"]

RECALL_LEVELS = (0.90, 0.95, 0.99, 0.999)


@dataclass(frozen=True)
class AtRecall:
    """A value at a recall level. measured_above: the curve starts above it, this is its first point."""

    value: float
    measured_above: bool = False


def pareto_front(
    recalls: Sequence[float], values: Sequence[float], *, smaller_is_better: bool = False
) -> list[int]:
    """Indices of the points no other point beats in both recall and value, by rising recall."""
    sign = -1.0 if smaller_is_better else 1.0
    order = sorted(range(len(recalls)), key=lambda i: (-recalls[i], -sign * values[i]))
    front: list[int] = []
    best = -np.inf
    for i in order:
        if sign * values[i] > best:
            best = sign * values[i]
            front.append(i)
    return front[::-1]


def at_recall(
    recalls: Sequence[float], values: Sequence[float], level: float, *, smaller_is_better: bool = False
) -> AtRecall | None:
    """The value at a recall level: linear in recall and in log(value) between neighbours on the Pareto front.

    None where the front never reaches the level: nothing is extrapolated. Where its lowest point is already
    above the level, that point is returned as it was measured and marked so.

    Raises:
        ValueError: lengths differ or a value is not positive.
    """
    if len(recalls) != len(values):
        raise ValueError(f"{len(recalls)} recalls but {len(values)} values; give one of each per point")
    if any(not value > 0 for value in values):
        raise ValueError(f"values must be positive, got {min(values)}")
    front = pareto_front(recalls, values, smaller_is_better=smaller_is_better)
    if not front or recalls[front[-1]] < level:
        return None
    if recalls[front[0]] >= level:
        return AtRecall(float(values[front[0]]), measured_above=recalls[front[0]] > level)
    upper = next(position for position, i in enumerate(front) if recalls[i] >= level)
    low, high = front[upper - 1], front[upper]
    share = (level - recalls[low]) / (recalls[high] - recalls[low])
    return AtRecall(float(np.exp((1 - share) * np.log(values[low]) + share * np.log(values[high]))))
