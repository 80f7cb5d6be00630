"""The table of a dataset: one row an algorithm, speeds at fixed recalls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.figures import RECALL_LEVELS, AtRecall, at_recall
from benchmarks.store import Result

__all__ = ["HEADINGS", "Row", "Table", "cells", "groups", "latency_at", "left_out", "qps_at", "tables"]

HEADINGS = [
    "algorithm",
    "build s",
    "MB",
    *(f"QPS @ {level:g}" for level in RECALL_LEVELS),
    "p50/p99 us @ 0.95",
    "batch QPS @ 0.95",
    "best recall",
]


@dataclass(frozen=True)
class Row:
    """One algorithm on one dataset at one k. Speeds are of one query a call unless they say batch."""

    algorithm: str
    own: bool
    build_seconds: dict[int, float]  # by number of threads
    memory_bytes: int | None
    qps: dict[float, AtRecall | None]
    median_qps: dict[float, AtRecall | None]
    p50_us: AtRecall | None
    p99_us: AtRecall | None
    batch_qps: AtRecall | None
    best_recall: float


@dataclass(frozen=True)
class Table:
    """The rows of one dataset and k, fastest at recall 0.95 first."""

    dataset: str
    k: int
    rows: list[Row]


def groups(results: Iterable[Result]) -> dict[tuple[str, int], dict[str, list[Result]]]:
    """Results by (dataset, k), then by algorithm, from cheap settings to dear."""
    grouped: dict[tuple[str, int], dict[str, list[Result]]] = {}
    for result in results:
        grouped.setdefault((result.dataset["name"], result.k), {}).setdefault(result.algorithm, []).append(
            result
        )
    for by_algorithm in grouped.values():
        for points in by_algorithm.values():
            points.sort(key=lambda point: (point.metrics["recall"], -(point.qps() or 0)))
    return dict(sorted(grouped.items()))


def qps_at(
    points: Sequence[Result], level: float, mode: str = "single", pick: str = "best"
) -> AtRecall | None:
    """Queries a second of one algorithm at a recall level; None where not measured or not reached."""
    speeds = [
        (point.metrics["recall"], speed) for point in points if (speed := point.qps(mode, pick)) is not None
    ]
    return at_recall([recall for recall, _ in speeds], [speed for _, speed in speeds], level)


def latency_at(points: Sequence[Result], level: float, percentile: int) -> AtRecall | None:
    """A latency percentile in microseconds at a recall level."""
    name = f"p{percentile}_us"
    timed = [point for point in points if name in point.metrics]
    recalls = [point.metrics["recall"] for point in timed]
    return at_recall(recalls, [point.metrics[name] for point in timed], level, smaller_is_better=True)


def _row(points: Sequence[Result]) -> Row:
    first = points[0]
    return Row(
        algorithm=first.algorithm,
        own=first.own,
        build_seconds={build["threads"]: build["seconds"] for build in first.builds},
        memory_bytes=first.builds[0]["memory_bytes"],
        qps={level: qps_at(points, level) for level in RECALL_LEVELS},
        median_qps={level: qps_at(points, level, pick="median") for level in RECALL_LEVELS},
        p50_us=latency_at(points, 0.95, 50),
        p99_us=latency_at(points, 0.95, 99),
        batch_qps=qps_at(points, 0.95, "batch"),
        best_recall=max(point.metrics["recall"] for point in points),
    )


def tables(results: Iterable[Result]) -> list[Table]:
    """One table for each dataset and k."""
    found = []
    for (dataset, k), by_algorithm in groups(results).items():
        rows = [_row(points) for points in by_algorithm.values()]
        rows.sort(key=lambda row: (-(speed.value if (speed := row.qps[0.95]) else 0.0), -row.best_recall))
        found.append(Table(dataset, k, rows))
    return found


def _number(found: AtRecall | None) -> str:
    if found is None:
        return "-"
    return f"{'≥ ' if found.measured_above else ''}{found.value:,.0f}"


def cells(row: Row) -> list[str]:
    """The row as text, in the order of HEADINGS. "-": not reached; "≥": the cheapest setting is above it."""
    threads = row.build_seconds
    build = " / ".join(f"{seconds:,.1f}" for seconds in threads.values())
    if list(threads) != [1]:
        build += f" ({' / '.join(f'{count}T' for count in threads)})"
    latencies = "-"
    if row.p50_us is not None and row.p99_us is not None:
        latencies = f"{row.p50_us.value:,.0f}/{row.p99_us.value:,.0f}"
    return [
        row.algorithm,
        build,
        "-" if row.memory_bytes is None else f"{row.memory_bytes / 1e6:,.0f}",
        *(_number(row.qps[level]) for level in RECALL_LEVELS),
        latencies,
        _number(row.batch_qps),
        f"{row.best_recall:.4f}",
    ]


def left_out(notes: Mapping[str, Any]) -> list[str]:
    """A run's notes as lines: drift of the anchor, load, what failed or was skipped and why."""
    lines = []
    for dataset, drift in notes.get("drift", {}).items():
        if drift:
            lines.append(
                f"{dataset}: from start to end the anchor {drift['anchor']} changed by "
                f"{drift['median_change']:+.1%} in QPS (median), {drift['worst_change']:+.1%} at worst."
            )
    for dataset, loads in notes.get("load_average_after", {}).items():
        lines.append(f"{dataset}: load average at the end {', '.join(f'{load:.1f}' for load in loads)}.")
    for kind in ("failed", "skipped"):
        alike: dict[tuple[str, str], list[str]] = {}
        for item in notes.get(kind, []):
            alike.setdefault((item["dataset"], item["reason"]), []).append(item["algorithm"])
        lines += [f"{dataset}: {', '.join(names)} {kind}: {why}" for (dataset, why), names in alike.items()]
    return lines
