"""The figures of Li et al. (SIGMOD 2020): least distances, a look at the nearest, the trade-off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.stop.judge import Oracle
from benchmarks.stop.rules import Outcome
from fastcbir.stop.curves import DISTANCES, FOUND, NEAREST, RANK, Steps

__all__ = ["draw", "least_distances", "scanning_heap"]


def least_distances(steps: Steps) -> dict[str, float]:
    """Quantiles of the distances after which a query has all of its truth that it ever finds."""
    least = _least(steps)
    shares = (0.5, 0.8, 0.9, 0.95, 0.99, 0.999, 1.0)
    return {f"{share:g}": float(np.quantile(least, share)) for share in shares}


def _least(steps: Steps) -> Any:
    out = np.empty(len(steps))
    for query, (begin, end) in enumerate(zip(steps.offsets[:-1], steps.offsets[1:], strict=True)):
        found = steps.rows[begin:end, FOUND]
        out[query] = steps.rows[begin + int(np.searchsorted(found, found[-1])), DISTANCES]
    return out


def scanning_heap(steps: Steps, queries: slice, dim: int, recalls: Sequence[float]) -> list[dict[str, float]]:
    """What a queue scanned at every step costs a fixed ef, as in Faiss 1.5 and so in the paper's baseline.

    Counted, not timed: a step looks twice at all `ef` entries (the nearest, and how many are nearer), a
    distance multiplies `dim` times; an entry is taken to cost as much as a multiplication.
    """
    some = steps.of(queries)
    rows: list[dict[str, float]] = []
    ranks = np.concatenate(
        [
            np.maximum.accumulate(some.rows[begin:end, RANK])
            for begin, end in zip(some.offsets[:-1], some.offsets[1:], strict=True)
        ]
    )
    for ef in np.unique(np.round(np.geomspace(some.k, some.cap, 60))):
        stops = np.array(
            [
                min(begin + int(np.searchsorted(ranks[begin:end], ef)), end - 1)
                for begin, end in zip(some.offsets[:-1], some.offsets[1:], strict=True)
            ]
        )
        recall = float(some.rows[stops, FOUND].mean() / some.k)
        wanted = [value for value in recalls if recall >= value]
        if len(wanted) <= len(rows):
            continue
        steps_made = float((stops - some.offsets[:-1] + 1).mean())
        work = float(some.rows[stops, DISTANCES].mean()) * dim
        rows += [
            {
                "recall": value,
                "ef": float(ef),
                "steps": steps_made,
                "scan_over_distances": 2 * ef * steps_made / work,
            }
            for value in wanted[len(rows) :]
        ]
    return rows


def draw(
    title: str,
    steps: Steps,
    families: Mapping[str, Sequence[Outcome]],
    plain: Outcome,
    tested: Any,
    path: Path,
) -> None:
    """Three panels as one PNG of few colours."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure
    from PIL import Image

    figure = Figure(figsize=(15, 4.6), dpi=90, layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    least = _least(steps)
    left.hist(np.log2(least), bins=80, color="#1b6ca8")
    left.set(xlabel="log2 of the least distances that find all", ylabel="queries", title=title)
    look = float(np.median(least))
    seen = []
    for begin, end in zip(steps.offsets[:-1], steps.offsets[1:], strict=True):
        seen.append(min(begin + int(np.searchsorted(steps.rows[begin:end, DISTANCES], look)), end - 1))
    middle.plot(steps.rows[seen, NEAREST], least, ".", markersize=2, alpha=0.4, color="#1b6ca8")
    middle.set(
        yscale="log",
        xlabel=f"value of the nearest after {look:.0f} distances",
        ylabel="least distances that find all",
        title="what one look at the first neighbour tells",
    )
    lines = {"ef": [plain], **families}
    for name, variants in lines.items():
        outcome = variants[-1] if name != "price" else variants[len(variants) // 2]
        missing = 1 - outcome.found[:, tested].mean(1) / steps.k
        cost = outcome.distances[:, tested].mean(1)
        bold = {"linewidth": 2.4} if name in ("ef", "price") else {"linewidth": 1.1}
        right.plot(np.maximum(missing, 1e-4), cost, label=name, **bold)
    oracle = Oracle(steps)
    missing = 1 - oracle.recalls[:, tested].mean(1)
    right.plot(np.maximum(missing, 1e-4), oracle.costs[:, tested].mean(1), "k--", label="oracle")
    right.set(
        xscale="log",
        yscale="log",
        xlim=(0.2, 5e-4),
        xlabel="1 - recall",
        ylabel="distances",
        title="distances against recall, untouched queries",
    )
    right.legend(fontsize=8)
    drawn = BytesIO()
    figure.savefig(drawn, format="png")
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.open(drawn).convert("RGB").quantize(64).save(path, optimize=True)
