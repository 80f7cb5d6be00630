"""Two result files beside each other: ratios of speed and latency, at the points and at equal recalls."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import RECALL_LEVELS
from benchmarks.store import Result, load_results, read_result
from benchmarks.summary import qps_at

__all__ = ["Comparison", "compare"]


@dataclass(frozen=True)
class Comparison:
    """Ratios are A over B, so above 1 means A does more queries a second."""

    lines: list[str]  # what to show a reader
    qps_ratio: float | None  # of the two points, whatever their recalls
    at_recall: dict[float, float]  # of the two algorithms' curves in their runs, where both reach the recall


def _siblings(result: Result) -> list[Result]:
    """All points of the same curve: same run, dataset, algorithm and k."""
    assert result.path is not None
    return [
        other
        for other in load_results([result.path.parents[1]])
        if (other.dataset["name"], other.algorithm, other.k)
        == (result.dataset["name"], result.algorithm, result.k)
    ]


def compare(a_path: Path, b_path: Path) -> Comparison:
    """Compare two result files of `pytest benchmarks/`.

    Raises:
        ValueError: not results, or of different datasets or k, so that a ratio would mean nothing.
    """
    a, b = read_result(a_path), read_result(b_path)
    if (a.dataset, a.k) != (b.dataset, b.k):
        raise ValueError(
            f"{a_path.name} measures {a.dataset['name']} ({a.dataset['base']:,} vectors) at k={a.k}, "
            f"{b_path.name} {b.dataset['name']} ({b.dataset['base']:,}) at k={b.k}; "
            "give two results of one dataset and k"
        )
    lines = [f"A  {a.algorithm} {a.query_params}", f"B  {b.algorithm} {b.query_params}"]
    lines.append(f"recall@{a.k:<5} A {a.metrics['recall']:.4f}   B {b.metrics['recall']:.4f}")
    ratio = None
    for label, mode, pick in (
        ("QPS best", "single", "best"),
        ("QPS median", "single", "median"),
        ("batch QPS", "batch", "best"),
    ):
        speed_a, speed_b = a.qps(mode, pick), b.qps(mode, pick)
        if speed_a is None or speed_b is None:
            continue
        lines.append(f"{label:<12} A {speed_a:,.0f}   B {speed_b:,.0f}   A/B {speed_a / speed_b:.3f}")
        if ratio is None:
            ratio = speed_a / speed_b
    for name in ("p50_us", "p99_us"):
        if name in a.metrics and name in b.metrics:
            lines.append(
                f"{name:<12} A {a.metrics[name]:,.0f}   B {b.metrics[name]:,.0f}   "
                f"A/B {a.metrics[name] / b.metrics[name]:.3f}"
            )
    curve_a, curve_b = _siblings(a), _siblings(b)
    levels: dict[float, float] = {}
    for level in RECALL_LEVELS:
        at_a, at_b = qps_at(curve_a, level), qps_at(curve_b, level)
        if at_a is None or at_b is None or at_a.measured_above or at_b.measured_above:
            lines.append(f"QPS @ {level:g}: one of the two has no such point on its curve")
            continue
        levels[level] = at_a.value / at_b.value
        lines.append(f"QPS @ {level:g}: A {at_a.value:,.0f}   B {at_b.value:,.0f}   A/B {levels[level]:.3f}")
    return Comparison(lines, ratio, levels)
