"""Learn when to stop: draw queries, find their truth, trace them, keep what the rules would have found."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastcbir import _core
from fastcbir.stop.curves import FOUND, Rule, Steps, forest_rule, plain_rule, price_rules
from fastcbir.stop.forest import train_forest
from fastcbir.stop.model import Curve, Model, encode

__all__ = ["fit"]

Progress = Callable[[int, int], object]

LEAST_QUERIES = 200  # of a user's: fewer say too little about the rest
LEAST_VECTORS = 20  # in the index
DESIGN_SHARE = 4  # one in so many queries chooses the rules, the others calibrate them
MOST_DESIGN = 2048
BATCH = 1024  # traces are long: so many at a time are held
LARGEST_CAP = 4096
PROBED = 512  # queries by which the cap is found


class _Phases:
    """Progress of several passes over the queries as one."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress, self._total, self._before = progress, total, 0

    def phase(self, size: int) -> Progress | None:
        before = self._before
        self._before += size
        if self._progress is None:
            return None
        report = self._progress
        return lambda done, _total: report(min(before + done, self._total), self._total)


@dataclass(frozen=True)
class _Queries:
    """Queries with their truth.

    Attributes:
        vectors: (Q, dim).
        own: (Q,) int64, the id of one that is a vector of the index; else -1.
        truth: (Q, largest k) float32 kernel values.
    """

    vectors: npt.NDArray[Any]
    own: npt.NDArray[np.int64]
    truth: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.own)


def _draw(
    core: _core.Index, given: npt.NDArray[Any] | None, max_queries: int, seed: int
) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64], int]:
    """Queries in random order, the own id of each or -1, and how many of the first only choose rules."""
    if given is None:
        ids = core.draw_queries(max_queries, seed)
        return core.reconstruct(ids), ids, 0
    given = given[np.random.default_rng(seed).permutation(len(given))[:max_queries]]
    own = np.full(len(given), -1, np.int64)
    wanted = min(MOST_DESIGN, max_queries // DESIGN_SHARE)
    if len(given) >= DESIGN_SHARE * wanted:
        return given, own, 0
    # Few queries are all wanted for calibration: vectors of the index choose the rules.
    ids = core.draw_queries(wanted, seed)
    vectors = np.concatenate([core.reconstruct(ids).astype(given.dtype, copy=False), given])
    return vectors, np.concatenate([ids, own]), len(ids)


def _truth(
    core: _core.Index,
    vectors: npt.NDArray[Any],
    own: npt.NDArray[np.int64],
    k: int,
    budget_s: float,
    threads: int | None,
    progress: Progress | None,
) -> npt.NDArray[np.float32]:
    """(at most Q, k) kernel values of the k nearest: of as many queries as there is time for."""
    parts: list[npt.NDArray[np.float32]] = []
    done, size, begun = 0, 64, time.monotonic()
    while done < len(own):
        part = slice(done, min(done + size, len(own)))
        parts.append(
            core.nearest_values(vectors[part], k, own[part], threads, _shifted(progress, part.start))
        )
        done = part.stop
        elapsed = time.monotonic() - begun
        if elapsed > budget_s:
            break
        size = max(64, min(2048, int((budget_s - elapsed) / max(elapsed, 1e-3) * done)))
    return np.concatenate(parts)


def _shifted(progress: Progress | None, before: int) -> Progress | None:
    return None if progress is None else lambda done, total: progress(before + done, total)


@dataclass(frozen=True)
class _Tracer:
    """What all traces of one fit share."""

    core: _core.Index
    queries: _Queries
    largest_norm: float
    threads: int | None

    def __call__(self, part: slice, k: int, cap: int, progress: Progress | None = None) -> Steps:
        queries = self.queries
        offsets, rows = self.core.trace(
            queries.vectors[part],
            k,
            cap,
            queries.own[part],
            queries.truth[part, k - 1],
            self.largest_norm,
            False,
            self.threads,
            progress,
        )
        return Steps(k, cap, offsets, rows)


def _batches(begin: int, end: int) -> Iterator[slice]:
    for first in range(begin, end, BATCH):
        yield slice(first, min(first + BATCH, end))


def _choose_cap(trace: _Tracer, k: int) -> int:
    """How far traces go: until twice as far finds nothing more to speak of."""
    probed = slice(0, min(PROBED, len(trace.queries)))
    core = trace.core
    if isinstance(core, _core.Ivf):
        cap, limit = min(32, core.nlist), min(LARGEST_CAP, core.nlist)
    else:
        limit = min(max(LARGEST_CAP, 4 * k), core.size())
        cap = min(max(128, 2 * k), limit)
    before = 0.0
    while True:
        steps = trace(probed, k, cap)
        recall = float(np.minimum(steps.rows[steps.last, FOUND], k).mean()) / k
        if cap >= limit or recall >= 0.9998 or (before > 0.9 and recall - before < 0.0002):
            return cap
        before, cap = recall, min(2 * cap, limit)


def _curves_of(trace: _Tracer, design: int, k: int, seed: int, progress: Progress | None) -> list[Curve]:
    cap = _choose_cap(trace, k)
    steps = trace(slice(0, design), k, cap, progress)
    rules: list[Rule]
    if isinstance(trace.core, _core.Ivf):
        rules = [plain_rule(steps, 1), forest_rule(steps, train_forest(steps, seed))]
    else:
        rules = [plain_rule(steps, k), *price_rules(steps)]
    counts: list[npt.NDArray[np.uint32]] = []
    for part in _batches(design, len(trace.queries)):
        steps = trace(part, k, cap, _shifted(progress, part.start))
        some = [rule.counts(steps) for rule in rules]
        counts = [a + b for a, b in zip(counts, some, strict=True)] if counts else some
    return [rule.curve(count) for rule, count in zip(rules, counts, strict=True)]


def fit(
    core: _core.Index,
    queries: npt.ArrayLike | None,
    *,
    ks: Sequence[int],
    max_queries: int,
    margin: float,
    budget_s: float,
    seed: int,
    threads: int | None,
    progress: Progress | None,
) -> None:
    """Learn, and put what was learned into the index. See `Index.fit_stop`."""
    given = None if queries is None else np.asarray(queries)
    if given is not None and (given.ndim != 2 or given.shape[1] != core.dim):
        raise ValueError(f"queries must have shape (Q, {core.dim}), got {given.shape}")
    if given is not None and len(given) < LEAST_QUERIES:
        raise ValueError(
            f"queries must be at least {LEAST_QUERIES} to learn from, got {len(given)}; "
            "with none, the index learns from its own vectors"
        )
    if not ks or not all(1 <= k <= 10000 for k in ks):
        raise ValueError(f"k must be one or more integers in 1..10000, got {tuple(ks)}")
    if max_queries < LEAST_QUERIES:
        raise ValueError(f"max_queries must be at least {LEAST_QUERIES}, got {max_queries}")
    if not margin >= 0:
        raise ValueError(f"margin must not be negative, got {margin}")
    vectors, removed = core.size(), core.removed_count()
    if vectors < LEAST_VECTORS:
        raise ValueError(f"an index learns from {LEAST_VECTORS} vectors on, this one has {vectors}")
    ks = sorted({min(k, vectors - 1) for k in ks})
    drawn, own, only_design = _draw(core, given, max_queries, seed)
    phases = _Phases(progress, len(own) * (1 + len(ks)))
    truth = _truth(core, drawn, own, ks[-1], budget_s / 2, threads, phases.phase(len(own)))
    count = len(truth)
    known = _Queries(drawn[:count], own[:count], truth)
    design = min(only_design or min(count // DESIGN_SHARE, MOST_DESIGN), count - 1)
    trace = _Tracer(core, known, core.largest_norm() if core.metric == "ip" else 0.0, threads)
    curves = [curve for k in ks for curve in _curves_of(trace, design, k, seed, phases.phase(count))]
    of_own = int((known.own >= 0).sum())
    model = Model(
        fingerprint=core.fingerprint(),
        vectors=vectors,
        removed=removed,
        learned_at=time.time(),
        largest_norm=trace.largest_norm,
        margin=margin,
        own_queries=of_own,
        given_queries=count - of_own,
        curves=curves,
    )
    core.set_stop_model(encode(model))
