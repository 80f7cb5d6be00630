"""Learn when to stop: draw queries, find their truth, trace them, keep what the rules would have found."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastcbir import _core
from fastcbir.stop.curves import (
    DISTANCES,
    FOUND,
    KTH,
    Rule,
    Steps,
    forest_rule,
    joined,
    plain_rule,
    price_rules,
)
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
WIDEST_GROUP = 4  # by how much the shares of filters learned about together may differ
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
class _Filters:
    """Filters that let through about as much, or none at all; queries meet them by turns.

    Attributes:
        allow: as `Index.search` takes them; one None: no filter.
        shares: least and most share of the vectors that they let through; (0, 0): no filter.
    """

    allow: tuple[npt.NDArray[Any] | None, ...] = (None,)
    shares: tuple[float, float] = (0.0, 0.0)

    def deal(self, part: slice) -> Iterator[tuple[npt.NDArray[Any] | None, slice]]:
        """Each filter with its queries of the part."""
        turns = len(self.allow)
        for turn, allow in enumerate(self.allow):
            first = part.start + (turn - part.start) % turns
            if first < part.stop:
                yield allow, slice(first, part.stop, turns)


@dataclass(frozen=True)
class _Queries:
    """Queries with their truth.

    Attributes:
        vectors: (Q, dim).
        own: (Q,) int64, the id of one that is a vector of the index; else -1.
        truth: (Q, largest k) float32 kernel values.
        filters: that they come with.
    """

    vectors: npt.NDArray[Any]
    own: npt.NDArray[np.int64]
    truth: npt.NDArray[np.float32]
    filters: _Filters

    def __len__(self) -> int:
        return len(self.truth)


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
    filters: _Filters,
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
        found = np.empty((part.stop - done, k), np.float32)
        for allow, some in filters.deal(part):
            to = slice(some.start - done, None, some.step)
            found[to] = core.nearest_values(vectors[some], k, own[some], allow, threads, None)
        parts.append(found)
        if progress is not None:
            progress(part.stop, len(own))
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

    def __call__(
        self, part: slice, k: int, cap: int, progress: Progress | None = None, whole: bool = False
    ) -> Steps:
        """whole: by codes, as searches with a fixed ef are done, which look ahead."""
        queries, done = self.queries, 0
        traced: list[Steps] = []
        for allow, some in queries.filters.deal(part):
            offsets, rows = self.core.trace(
                queries.vectors[some],
                k,
                cap,
                queries.own[some],
                queries.truth[some, k - 1],
                self.largest_norm,
                allow,
                False,
                self.threads,
                _shifted(progress, done),
                whole,
            )
            traced.append(Steps(k, cap, offsets, rows))
            done += len(traced[-1])
        return joined(traced)


def _batches(begin: int, end: int) -> Iterator[slice]:
    for first in range(begin, end, BATCH):
        yield slice(first, min(first + BATCH, end))


def _choose_cap(trace: _Tracer, k: int) -> int:
    """How far traces go: until twice as far finds nothing more to speak of. 0 where so few pass a filter that
    they are always compared one by one."""
    probed = slice(0, min(PROBED, len(trace.queries)))
    core = trace.core
    passing = trace.queries.filters.shares[1] * core.size()
    if isinstance(core, _core.Ivf):
        cap, limit = min(32, core.nlist), min(LARGEST_CAP, core.nlist)
    else:
        limit = min(max(LARGEST_CAP, 4 * k), core.size())
        cap = min(max(128, 2 * k), limit)
    if passing:
        steps = trace(slice(0, min(64, probed.stop)), k, 4 if isinstance(core, _core.Ivf) else max(k, 16))
        if steps.rows[steps.last, DISTANCES].mean() >= passing:
            return 0
    before = 0.0
    while True:
        steps = trace(probed, k, cap)
        recall = float(np.minimum(steps.rows[steps.last, FOUND], k).mean()) / k
        if passing and steps.rows[steps.last, DISTANCES].mean() > 2 * passing:
            return cap
        if cap >= limit or recall >= 0.9998 or (before > 0.9 and recall - before < 0.0002):
            return cap
        before, cap = recall, min(2 * cap, limit)


def _curves_of(trace: _Tracer, design: int, k: int, seed: int, progress: Progress | None) -> list[Curve]:
    cap = _choose_cap(trace, k)
    if cap == 0:
        return []
    steps = trace(slice(0, design), k, cap, progress)
    by_codes = isinstance(trace.core, _core.Hnsw) and trace.core.params[4] > 0
    rules: list[Rule]
    if isinstance(trace.core, _core.Ivf):
        plain = plain_rule(steps, 1)
        # Queries that trees were trained on flatter them.
        trained = design * 2 // 3
        forest = train_forest(steps.of(slice(0, trained)), seed)
        rules = [plain, forest_rule(steps.of(slice(trained, design)), plain, forest)]
    else:
        plain = plain_rule(trace(slice(0, design), k, cap, whole=True) if by_codes else steps, k)
        # A search that collects many results by codes knows none of them before its end.
        known = bool(np.isfinite(steps.rows[:, KTH]).any())
        rules = [plain, *(price_rules(steps, plain) if known else ())]
    counts: list[npt.NDArray[np.uint32]] = []
    for part in _batches(design, len(trace.queries)):
        steps = trace(part, k, cap, _shifted(progress, part.start))
        whole = trace(part, k, cap, whole=True) if by_codes else steps
        some = [rule.counts(whole if rule is plain else steps) for rule in rules]
        counts = [a + b for a, b in zip(counts, some, strict=True)] if counts else some
    shares = trace.queries.filters.shares
    return [rule.curve(count, shares) for rule, count in zip(rules, counts, strict=True)]


def _grouped(core: _core.Index, allow: Sequence[npt.ArrayLike]) -> list[_Filters]:
    """Filters by how much they let through, strictest first: four times as much is another group."""
    present = core.ids()
    known: list[tuple[float, npt.NDArray[Any]]] = []
    for given in allow:
        one = np.asarray(given)
        if one.ndim != 1:
            raise ValueError("allow must be a list of filters, each a mask or an array of ids")
        if one.dtype == np.bool_:
            if len(present) and len(one) <= present.max():
                raise ValueError(f"a mask must have an entry for each id up to the largest, got {one.shape}")
            passing = int(one[present].sum())
        else:
            passing = int(np.isin(present, one).sum())
        if passing == 0:
            raise ValueError("each filter to learn from must let something through; one lets nothing")
        known.append((passing / len(present), one))
    known.sort(key=lambda pair: pair[0])
    groups: list[list[tuple[float, npt.NDArray[Any]]]] = []
    for pair in known:
        if groups and pair[0] <= WIDEST_GROUP * groups[-1][0][0]:
            groups[-1].append(pair)
        else:
            groups.append([pair])
    return [_Filters(tuple(one for _, one in group), (group[0][0], group[-1][0])) for group in groups]


def fit(
    core: _core.Index,
    queries: npt.ArrayLike | None,
    *,
    ks: Sequence[int],
    allow: Sequence[npt.ArrayLike],
    shadow_every: int,
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
    if not 0 <= shadow_every < 2**32:
        raise ValueError(f"shadow_every must be 0 (none) or more, got {shadow_every}")
    vectors, removed = core.size(), core.removed_count()
    if vectors < LEAST_VECTORS:
        raise ValueError(f"an index learns from {LEAST_VECTORS} vectors on, this one has {vectors}")
    ks = sorted({min(k, vectors - 1) for k in ks})
    drawn, own, only_design = _draw(core, given, max_queries, seed)
    groups = [_Filters(), *_grouped(core, allow)]
    phases = _Phases(progress, len(groups) * len(own) * (1 + len(ks)))
    largest_norm = core.largest_norm() if core.metric == "ip" else 0.0
    curves: list[Curve] = []
    learned_from = own
    budget_s /= 2 * len(groups)
    for filters in groups:
        truth = _truth(core, drawn, own, filters, ks[-1], budget_s, threads, phases.phase(len(own)))
        count = len(truth)
        design = min(only_design or min(count // DESIGN_SHARE, MOST_DESIGN), count - 1)
        trace = _Tracer(core, _Queries(drawn, own, truth, filters), largest_norm, threads)
        for k in ks:
            curves += _curves_of(trace, design, k, seed, phases.phase(count))
        if filters is groups[0]:
            learned_from = own[:count]
    of_own = int((learned_from >= 0).sum())
    model = Model(
        fingerprint=core.fingerprint(),
        vectors=vectors,
        removed=removed,
        learned_at=time.time(),
        largest_norm=largest_norm,
        margin=margin,
        own_queries=of_own,
        given_queries=len(learned_from) - of_own,
        shadow_every=shadow_every,
        curves=sorted(curves, key=lambda curve: curve.shares[0]),
    )
    core.set_stop_model(encode(model))
