"""Queries held out of an index, and traces of searches for them that go further than any rule will."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import fastcbir as fc
from fastcbir.stop.curves import DISTANCES, FOUND, Steps

__all__ = ["Asked", "load", "smoke", "thinned", "traced"]

BATCH = 512


@dataclass(frozen=True)
class Asked:
    """A dataset parted.

    Attributes:
        base: (N, dim) goes into the index.
        queries: (Q, dim); the first `held` were drawn from the same source as base, the others are the
            dataset's own queries.
    """

    name: str
    metric: str
    base: npt.NDArray[Any]
    queries: npt.NDArray[Any]
    held: int


def load(name: str, held: int, n: int | None, others: int) -> Asked:
    """The dataset `name` with `held` of its vectors, drawn at random, as queries."""
    from fastcbir.datasets import load_dataset

    dataset = load_dataset(name)
    base = np.asarray(dataset.base)
    order = np.random.default_rng(11).permutation(len(base))
    own = np.asarray(dataset.queries)[:others]
    kept = order[held : None if n is None else held + n]
    base, drawn = base[np.sort(kept)], base[order[:held]]
    if base.dtype != np.uint8:
        base, drawn, own = (part.astype(np.float32) for part in (base, drawn, own))
    label = f"{dataset.name}, {len(base)} vectors"
    return Asked(label, dataset.index_metric, base, np.concatenate([drawn, own]), held)


def smoke(held: int = 450, others: int = 50) -> Asked:
    """A small clustered set made on the spot: exercises the benchmark, measures nothing."""
    rng = np.random.default_rng(3)
    centres = rng.standard_normal((40, 16))

    def draw(count: int, spread: float) -> npt.NDArray[np.float32]:
        picked = centres[rng.integers(0, len(centres), count)]
        noise = rng.uniform(0.2, spread, (count, 1)) * rng.standard_normal((count, 16))
        return np.asarray(picked + noise, np.float32)

    queries = np.concatenate([draw(held, 0.9), draw(others, 1.2)])
    return Asked("smoke", "l2", draw(1500, 0.9), queries, held)


def traced(index: fc.Index, asked: Asked, truth: npt.NDArray[np.float32], k: int, most: int) -> Steps:
    """Detailed traces of all queries; ef, or nprobe, is doubled until that finds nothing more to speak of.

    Args:
        truth: (Q, at least k) kernel values of the nearest.
        most: the largest ef or nprobe.
    """
    core = index._core
    queries = asked.queries
    largest = core.largest_norm() if index.metric == "ip" else 0.0

    def steps(part: slice, cap: int) -> Steps:
        own = np.full(len(queries[part]), -1)
        found = core.trace(queries[part], k, cap, own, truth[part, k - 1], largest, None, True, 1, None)
        return Steps(k, cap, *found)

    lists = index.info().get("nlist")
    most = min(most, lists or len(index))
    cap, before = min(32 if lists else max(128, 2 * k), most), 0.0
    while cap < most:
        probe = steps(slice(0, 256), cap)
        recall = float(np.minimum(probe.rows[probe.last, FOUND], k).mean()) / k
        if recall >= 0.9998 or (before > 0.9 and recall - before < 0.0002):
            break
        before, cap = recall, min(2 * cap, most)
    parts = [steps(slice(at, at + BATCH), cap) for at in range(0, len(queries), BATCH)]
    sizes = np.concatenate([np.diff(part.offsets) for part in parts])
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    rows = np.concatenate([part.rows for part in parts])
    rows[:, FOUND] = np.minimum(rows[:, FOUND], k)
    return Steps(k, cap, offsets, rows)


def thinned(steps: Steps, ratio: float = 1.05) -> tuple[Steps, npt.NDArray[np.int64]]:
    """Only each query's steps at which `ratio` times as many distances have been paid as at the one before,
    and its last; with the rows these have in `steps`. Learned rules are asked at these."""
    level = np.floor(np.log(np.maximum(steps.rows[:, DISTANCES], 1)) / np.log(ratio))
    keep = np.ones(len(level), bool)
    keep[1:] = level[1:] > level[:-1]
    keep[steps.offsets[:-1]] = True
    keep[steps.last] = True
    offsets = np.concatenate([[0], np.cumsum(keep)])[steps.offsets]
    return Steps(steps.k, steps.cap, offsets, steps.rows[keep]), np.nonzero(keep)[0]
