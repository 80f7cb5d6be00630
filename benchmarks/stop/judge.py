"""Rules judged: calibrated alike on some held-out queries, compared at equal recall on the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.stop.rules import Outcome
from fastcbir.stop.curves import DISTANCES, FOUND, Steps, cost_at

__all__ = ["TARGETS", "Oracle", "chosen", "judge"]

TARGETS = (0.9, 0.95, 0.99, 0.999)
BELOW, ABOVE = 0.003, 0.01  # how far from the target an achieved recall may lie
WORTH = 0.98  # a rule must be cheaper than this share of plain ef to replace it: as the core has it


class Oracle:
    """The cheapest stops with a given mean recall, by one who knows where every neighbour comes up."""

    def __init__(self, steps: Steps, prices: int = 160) -> None:
        k, queries = steps.k, len(steps)
        least = np.full((queries, k + 1), np.inf, np.float32)
        for query, (begin, end) in enumerate(zip(steps.offsets[:-1], steps.offsets[1:], strict=True)):
            found = steps.rows[begin:end, FOUND]
            wanted = np.arange(int(found[-1]) + 1)
            least[query, : len(wanted)] = steps.rows[begin + np.searchsorted(found, wanted), DISTANCES]
        self.recalls = np.empty((prices, queries), np.float32)
        self.costs = np.empty((prices, queries), np.float32)
        gains = (np.arange(k + 1) / k).astype(np.float32)
        for at, price in enumerate(np.geomspace(1e-1, 1e-8, prices).astype(np.float32)):
            best = np.argmax(gains - price * least, axis=1)
            self.recalls[at] = gains[best]
            self.costs[at] = least[np.arange(queries), best]

    def cost(self, queries: npt.NDArray[np.int64], recall: float) -> float:
        """Mean distances with this mean recall; inf if it is not to be had."""
        recalls = self.recalls[:, queries].mean(1, dtype=np.float64)
        return cost_at(recalls, self.costs[:, queries].mean(1, dtype=np.float32), recall)


def chosen(
    variants: Sequence[Outcome],
    queries: npt.NDArray[np.int64],
    k: int,
    target: float,
    margin: float,
    worth: float = 1.0,
) -> tuple[int, int] | None:
    """The variant and the threshold that conformal risk control takes, as the core does; None if none can."""
    best, best_cost = None, np.inf
    for number, outcome in enumerate(variants):
        loss = 1 - outcome.found[:, queries].astype(np.float64) / k
        count = len(queries)
        bound = (loss.sum(1) + 1) / (count + 1) + margin * loss.std(1) / np.sqrt(count)
        bound = np.maximum.accumulate(bound[::-1])[::-1]
        kept = np.nonzero(bound <= 1 - target + 1e-7)[0]
        if len(kept) == 0:
            continue
        cost = outcome.costs[kept[0]] / (worth if number > 0 else 1.0)
        if cost < best_cost:
            best, best_cost = (number, int(kept[0])), cost
    return best


def _tail(values: npt.NDArray[np.float32]) -> tuple[float, float]:
    return float(np.quantile(values, 0.99)), float(np.quantile(values, 0.999))


def _one(
    variants: Sequence[Outcome],
    plain: Outcome,
    oracle: Oracle,
    parts: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]],
    k: int,
    target: float,
    margin: float,
    worth: float,
) -> dict[str, float] | None:
    """What one split says of one rule and target; None if the target can't be promised."""
    calibration, test, others = parts
    choice = chosen(variants, calibration, k, target, margin, worth)
    if choice is None:
        return None
    outcome, at = variants[choice[0]], choice[1]
    recalls = outcome.found[at, test] / k
    recall, cost = float(recalls.mean()), float(outcome.distances[at, test].mean())
    all_plain = plain.found[:, test].mean(1, dtype=np.float64) / k
    plain_cost = cost_at(all_plain, plain.distances[:, test].mean(1, dtype=np.float32), recall)
    best = oracle.cost(test, recall)
    like = min(int(np.searchsorted(np.maximum.accumulate(all_plain), recall)), len(all_plain) - 1)
    p99, p999 = _tail(outcome.distances[at, test])
    plain_p99, plain_p999 = _tail(plain.distances[like, test])
    worst = max(len(test) // 100, 1)
    told = {
        "recall": recall,
        "distances": cost,
        "plain_distances": plain_cost,
        "oracle_distances": best,
        "p99": p99 / plain_p99,
        "p999": p999 / plain_p999,
        "worst": float(np.sort(recalls)[:worst].mean()),
        "plain_worst": float(np.sort(plain.found[like, test] / k)[:worst].mean()),
    }
    if len(others):
        told["others"] = float(outcome.found[at, others].mean() / k)
    return told


def judge(
    families: dict[str, Sequence[Outcome]],
    plain: Outcome,
    steps: Steps,
    design: int,
    held: int,
    *,
    splits: int = 20,
    margin: float = 0.0,
    worth: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """A row for each rule and target.

    Of the queries design..held one half calibrates and the other is tested, in `splits` random halvings;
    those from `held` on are of another source and only tested.

    Args:
        families: the variants of each rule; for those named in `worth` the first is plain ef.
    """
    oracle = Oracle(steps)
    rng = np.random.default_rng(5)
    others = np.arange(held, len(steps))
    halves = []
    for _ in range(splits):
        order = design + rng.permutation(held - design)
        halves.append((order[: len(order) // 2], order[len(order) // 2 :], others))
    rows = []
    for name, variants in families.items():
        for target in TARGETS:
            share = WORTH if name in worth else 1.0
            told = [
                one
                for parts in halves
                if (one := _one(variants, plain, oracle, parts, steps.k, target, margin, share)) is not None
            ]
            rows.append({"rule": name, "k": steps.k, "target": target, **_summary(told, target)})
    return rows


def _summary(told: list[dict[str, float]], target: float) -> dict[str, Any]:
    """Means over the splits; of ratios, the ratio of the means over those where ef reaches the recall too."""
    if not told:
        return {"splits": 0}
    mean = {key: float(np.mean([one[key] for one in told])) for key in told[0]}
    costs = ("distances", "plain_distances", "oracle_distances")
    fair = [one for one in told if all(np.isfinite(one[key]) for key in costs)]
    if fair:
        mean |= {key: float(np.mean([one[key] for one in fair])) for key in costs}
    else:
        mean |= {"plain_distances": float("nan"), "oracle_distances": float("nan")}
    errors = np.array([one["recall"] - target for one in told])
    gap = mean["plain_distances"] - mean["oracle_distances"]
    saved = mean["plain_distances"] - mean["distances"]
    return {
        "splits": len(told),
        "compared": len(fair),
        "recall": mean["recall"],
        "within": int(((errors >= -BELOW - 1e-9) & (errors <= ABOVE + 1e-9)).sum()),
        "error_range": [float(errors.min()), float(errors.max())],
        "distances": mean["distances"],
        "speedup": mean["plain_distances"] / mean["distances"],
        "oracle_speedup": mean["plain_distances"] / mean["oracle_distances"],
        "gap_closed": saved / gap if gap > 0 else None,
        "p99_over_plain": mean["p99"],
        "p999_over_plain": mean["p999"],
        "worst_1_percent": mean["worst"],
        "plain_worst_1_percent": mean["plain_worst"],
        "others_recall": mean.get("others"),
    }
