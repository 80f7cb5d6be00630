"""Rules with trees, trained by LightGBM: LAET, DARTH, a classifier of what is found, trees of gain."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.stop.data import thinned
from benchmarks.stop.rules import FloatArray, Outcome, ended, first_rows
from fastcbir.stop.curves import (
    DISTANCES,
    FOUND,
    HALF,
    INSERTED,
    KTH,
    MEAN,
    NEAREST,
    NEXT,
    QUARTER,
    RANK,
    THREE_QUARTERS,
    VARIANCE,
    Steps,
)

__all__ = ["TREES", "available", "families", "train"]

TREES = {"max_depth": 4, "num_leaves": 16, "learning_rate": 0.15, "lambda_l2": 1.0, "min_data_in_leaf": 100}


def available() -> bool:
    """Whether LightGBM is there."""
    try:
        import lightgbm  # noqa: F401
    except (ImportError, OSError):
        return False
    return True


def train(
    rows: npt.NDArray[Any], labels: npt.NDArray[Any], objective: str, rounds: int, **given: Any
) -> Callable[[npt.NDArray[Any]], npt.NDArray[np.float64]]:
    """A model of the labels: from rows to raw scores."""
    import lightgbm

    options = {"objective": objective, "verbose": -1, "num_threads": 1, "seed": 0, "deterministic": True}
    data = lightgbm.Dataset(np.asarray(rows, np.float64), labels)
    booster = lightgbm.train({**options, **given}, data, rounds)
    return lambda asked: np.asarray(
        booster.predict(np.asarray(asked, np.float64), raw_score=True, num_threads=1), np.float64
    )


@dataclass(frozen=True)
class _Views:
    """What the models are shown: thinned steps, the rows that train, and the features of each row."""

    steps: Steps
    train: slice
    choose: slice
    darth: FloatArray  # the 11 of DARTH
    free: FloatArray  # without scale: ours

    @property
    def training(self) -> slice:
        return slice(0, int(self.steps.offsets[self.train.stop]))


def _views(whole: Steps, design: slice) -> _Views:
    steps, at = thinned(whole)
    before = np.cumsum(whole.rows[:, INSERTED], dtype=np.float64)
    first = first_rows(whole)
    hops = np.arange(len(whole.rows)) - first + 1.0
    inserts = before - before[first] + whole.rows[first, INSERTED]
    idle = np.arange(len(hops)) - np.maximum.accumulate(
        np.where(whole.rows[:, INSERTED] > 0, np.arange(len(hops)), first)
    )
    rows, entry = steps.rows, whole.rows[first[at], NEAREST]
    darth = np.column_stack(
        [hops[at], rows[:, DISTANCES], inserts[at], entry]
        + [rows[:, column] for column in (NEAREST, KTH, MEAN, VARIANCE, QUARTER, HALF, THREE_QUARTERS)]
    )
    kth = np.where(np.isfinite(rows[:, KTH]), np.maximum(rows[:, KTH], 1e-30), np.nan)
    with np.errstate(over="ignore", invalid="ignore"):
        free = np.column_stack(
            [np.log2(rows[:, DISTANCES]), np.log2(hops[at]), np.log2(1 + rows[:, RANK])]
            + [np.log2(1 + idle[at]), inserts[at] / hops[at], rows[:, NEXT] / kth, entry / kth]
            + [rows[:, column] / kth for column in (NEAREST, MEAN, QUARTER, HALF, THREE_QUARTERS)]
            + [np.sqrt(rows[:, VARIANCE]) / kth]
        )
    cut = design.stop * 2 // 3
    darth, free = (np.where(np.isfinite(part), part, np.nan).astype(np.float32) for part in (darth, free))
    return _Views(steps, slice(0, cut), slice(cut, design.stop), darth, free)


def _least(steps: Steps) -> FloatArray:
    """(Q,) distances at the step by which all of the truth that is ever found has been; inf if not all."""
    out = np.full(len(steps), np.inf, np.float32)
    for query, (begin, end) in enumerate(zip(steps.offsets[:-1], steps.offsets[1:], strict=True)):
        found = steps.rows[begin:end, FOUND]
        if found[-1] >= steps.k:
            out[query] = steps.rows[begin + int(np.argmax(found >= steps.k)), DISTANCES]
    return out


def _laet(views: _Views, queries: npt.NDArray[Any]) -> list[Outcome]:
    """Li et al., SIGMOD 2020: one look after a number of distances, a regression of log2 of the least that
    would have done, a multiplier (the threshold). Queries that never find all are dropped, as there."""
    steps, least = views.steps, _least(views.steps)
    known = np.isfinite(least[views.train])
    outcomes = []
    for share in (0.2, 0.4, 0.6):
        look = float(np.quantile(least[views.train][known], share))
        seen = np.empty(len(steps), np.int64)
        for query, (begin, end) in enumerate(zip(steps.offsets[:-1], steps.offsets[1:], strict=True)):
            at = begin + int(np.searchsorted(steps.rows[begin:end, DISTANCES], look))
            seen[query] = min(at, end - 1)
        near, kth = views.darth[seen, 4], views.darth[seen, 5]
        entry = np.maximum(views.darth[seen, 3], 1e-10)
        scalars = np.column_stack([entry, near, kth, near / entry, kth / entry])
        for with_query in (False, True):
            shown = np.column_stack([scalars, queries.astype(np.float32)]) if with_query else scalars
            labels = np.log2(least[views.train][known])
            model = train(
                shown[views.train][known], labels, "regression", 100, num_leaves=31, learning_rate=0.2
            )
            predicted = np.maximum(model(shown), 0)
            of = np.repeat(np.arange(len(steps)), np.diff(steps.offsets))
            scores = np.log2(steps.rows[:, DISTANCES]) - predicted[of]
            scores[np.arange(len(scores)) < seen[of]] = -np.inf
            label = f"LAET at {look:.0f}{' with the query' if with_query else ''}"
            outcomes.append(ended(label, steps, scores.astype(np.float32), views.choose))
    return outcomes


def _darth(views: _Views) -> list[Outcome]:
    """2505.19001: regression of the recall so far from 11 numbers, asked at intervals that shrink as it
    nears the target (the first and longest: half of what training queries needed; the shortest: a tenth)."""
    steps = views.steps
    recall = steps.rows[:, FOUND] / steps.k
    model = train(views.darth[views.training], recall[views.training], "regression", 100)
    predicted = model(views.darth)
    sizes = np.diff(steps.offsets)
    column = np.arange(len(predicted)) - first_rows(steps)
    of = np.repeat(np.arange(len(steps)), sizes)
    paid = np.full((len(steps), int(sizes.max())), np.inf, np.float32)
    paid[of, column] = steps.rows[:, DISTANCES]
    grid = np.unique(np.concatenate([np.linspace(0.5, 0.95, 12), 1 - np.geomspace(0.05, 5e-4, 28)]))
    found = np.empty((len(grid), len(steps)), np.float32)
    distances = np.empty_like(found)
    train_found = steps.rows[:, FOUND]
    for point, target in enumerate(grid):
        first = [
            begin + min(int(np.searchsorted(train_found[begin:end], target * steps.k)), end - begin - 1)
            for begin, end in zip(
                steps.offsets[: views.train.stop], steps.offsets[1 : views.train.stop + 1], strict=True
            )
        ]
        longest = float(steps.rows[first, DISTANCES].mean()) / 2
        shortest = longest / 5
        ends, alive = steps.last.copy(), np.arange(len(steps))
        following = np.full(len(steps), longest)
        while len(alive):
            at = (paid[alive] < following[alive, None]).sum(1)
            inside = at < sizes[alive]
            alive, at = alive[inside], at[inside]
            rows = steps.offsets[alive] + at
            done = predicted[rows] >= target
            ends[alive[done]] = rows[done]
            alive, rows = alive[~done], rows[~done]
            wait = shortest + (longest - shortest) * np.clip(target - predicted[rows], 0, 1)
            following[alive] = steps.rows[rows, DISTANCES] + np.maximum(wait, 1)
        found[point], distances[point] = steps.rows[ends, FOUND], steps.rows[ends, DISTANCES]
    costs = distances[:, views.choose].mean(1, dtype=np.float64)
    return [Outcome("DARTH", found, distances, costs)]


def _classified(views: _Views) -> list[Outcome]:
    """The probability that what is sought has been found: OMEGA's signal, without its search over ranks."""
    steps = views.steps
    labels = (steps.rows[:, FOUND] / steps.k)[views.training]
    outcomes = []
    for label, shown in (("DARTH's features", views.darth), ("ours", views.free)):
        model = train(shown[views.training], labels, "cross_entropy", 48, **TREES)
        outcomes.append(ended(label, steps, model(shown).astype(np.float32), views.choose))
    return outcomes


def _gain(views: _Views, rounds: int = 48, further: float = 1.5) -> list[Outcome]:
    """Trees of the recall that half as many distances again would gain, a distance."""
    steps = views.steps
    part = Steps(steps.k, steps.cap, steps.offsets[: views.train.stop + 1], steps.rows[: views.training.stop])
    later = np.empty(len(part.rows), np.int64)
    for begin, end in zip(part.offsets[:-1], part.offsets[1:], strict=True):
        paid = part.rows[begin:end, DISTANCES]
        later[begin:end] = begin + np.searchsorted(paid, further * paid, "right") - 1
    gained = (part.rows[later, FOUND] - part.rows[:, FOUND]) / part.k
    model = train(views.free[views.training], np.clip(gained, 0, 1), "cross_entropy", rounds, **TREES)
    log_gain = -np.logaddexp(0, -model(views.free))
    scores = np.log(steps.rows[:, DISTANCES]) - log_gain
    return [ended("gain", steps, scores.astype(np.float32), views.choose)]


def families(
    whole: Steps, queries: npt.NDArray[Any], design: slice
) -> tuple[dict[str, list[Outcome]], dict[str, float]]:
    """All of this file by name, and the seconds that each took to train and to ask on all steps.

    Trained on the first two thirds of the design queries; variants are chosen by the last.
    """
    views = _views(whole, design)
    made: dict[str, Callable[[], list[Outcome]]] = {
        "LAET": lambda: _laet(views, queries),
        "DARTH": lambda: _darth(views),
        "P(found)": lambda: _classified(views),
        "gain trees": lambda: _gain(views),
    }
    outcomes, seconds = {}, {}
    for name, make in made.items():
        begun = time.process_time()
        outcomes[name] = make()
        seconds[name] = round(time.process_time() - begun, 2)
    return outcomes, seconds
