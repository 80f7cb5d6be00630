"""The product's own time: search(recall=) beside the ef or nprobe that finds as much, on new queries."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

import fastcbir as fc

__all__ = ["compare"]


def _recall(hits: fc.Hits, kth: npt.NDArray[np.float32]) -> float:
    limit = kth[:, None] + 1e-5 * np.abs(kth[:, None])
    return float((hits.distances <= limit).mean())


def _interleaved(searches: list[Callable[[], object]], rounds: int) -> npt.NDArray[np.float64]:
    """(searches, rounds) CPU seconds, by turns."""
    seconds = np.empty((len(searches), rounds))
    for turn in range(rounds):
        for number, search in enumerate(searches):
            begun = time.process_time()
            search()
            seconds[number, turn] = time.process_time() - begun
    return seconds


def _p99(searches: list[Callable[[npt.NDArray[Any]], object]], queries: npt.NDArray[Any]) -> list[float]:
    """The 99th percentile of single queries' seconds: of each query the best of seven."""
    best = np.full((len(searches), len(queries)), np.inf)
    for _ in range(7):
        for number, search in enumerate(searches):
            # All queries by one, then by the next: who asks after another finds memory warm.
            for at, query in enumerate(queries):
                begun = time.perf_counter()
                search(query)
                best[number, at] = min(best[number, at], time.perf_counter() - begun)
    return [float(value) for value in np.quantile(best, 0.99, axis=1)]


def compare(
    index: fc.Index,
    learn: npt.NDArray[Any],
    test: npt.NDArray[Any],
    kth: dict[int, npt.NDArray[np.float32]],
    targets: tuple[float, ...],
    rounds: int = 5,
) -> dict[str, Any]:
    """Learns from `learn` and times on `test`, one thread.

    Args:
        kth: for each k, (Q,) the distances of the test queries' true k-th nearest.

    Returns:
        The seconds of learning, and a row for each k and target.
    """
    begun = time.perf_counter()
    report = index.fit_stop(learn, k=tuple(kth), margin=0.0, threads=1)
    seconds = time.perf_counter() - begun
    rules = {(row.k, row.target): row.rule for row in report.rows if row.promised}
    lists = index.info().get("nlist")
    effort = "nprobe" if lists else "ef"
    rows = []
    for k, truth in kth.items():
        span = (1, lists) if lists else (k, min(4096, len(index)))
        efs = np.unique(np.round(np.geomspace(*span, 60)).astype(int)).tolist()
        found: dict[int, float] = {}
        for target in targets:
            if (k, target) not in rules:
                continue
            achieved = _recall(index.search(test, k, recall=target, threads=1), truth)
            low, high = _bracket(index, test, truth, k, effort, efs, achieved, found)
            searches: list[Callable[[], object]] = [
                lambda k=k, target=target: index.search(test, k, recall=target, threads=1),  # type: ignore[misc]
                lambda k=k, low=low: index.search(test, k, threads=1, **{effort: low}),  # type: ignore[misc]
                lambda k=k, high=high: index.search(test, k, threads=1, **{effort: high}),  # type: ignore[misc]
            ]
            cpu = _interleaved(searches, rounds)
            share = _between(found[low], found[high], achieved)
            plain = (1 - share) * cpu[1] + share * cpu[2]
            singles: list[Callable[[npt.NDArray[Any]], object]] = [
                lambda query, k=k, target=target: index.search(query, k, recall=target, threads=1),  # type: ignore[misc]
                lambda query, k=k, high=high: index.search(query, k, threads=1, **{effort: high}),  # type: ignore[misc]
            ]
            tail = _p99(singles, test[:1000])
            rows.append(
                {
                    "k": k,
                    "target": target,
                    "rule": rules[k, target],
                    "recall": achieved,
                    "ef": [low, high],
                    "ef_recall": [found[low], found[high]],
                    "microseconds": float(cpu[0].min()) / len(test) * 1e6,
                    "ef_microseconds": float(plain.min()) / len(test) * 1e6,
                    "speedup_best": float(plain.min() / cpu[0].min()),
                    "speedup_median": float(np.median(plain) / np.median(cpu[0])),
                    "p99_over_ef": tail[0] / tail[1],
                }
            )
    return {"learning_seconds": seconds, "rows": rows}


def _bracket(
    index: fc.Index,
    test: npt.NDArray[Any],
    truth: npt.NDArray[np.float32],
    k: int,
    effort: str,
    efs: list[int],
    recall: float,
    found: dict[int, float],
) -> tuple[int, int]:
    """The last ef of `efs` that finds no more than `recall`, and the next."""

    def of(ef: int) -> float:
        if ef not in found:
            found[ef] = _recall(index.search(test, k, threads=1, **{effort: ef}), truth)
        return found[ef]

    low, high = 0, len(efs) - 1
    while high - low > 1:
        middle = (low + high) // 2
        if of(efs[middle]) <= recall:
            low = middle
        else:
            high = middle
    of(efs[low]), of(efs[high])
    return efs[low], efs[high]


def _between(low: float, high: float, recall: float) -> float:
    """Where a recall lies between two, in the logarithm of what is missing."""
    missing = [-np.log(max(1 - value, 1e-7)) for value in (low, recall, high)]
    if missing[2] <= missing[0]:
        return 1.0
    return float(np.clip((missing[1] - missing[0]) / (missing[2] - missing[0]), 0, 1))
