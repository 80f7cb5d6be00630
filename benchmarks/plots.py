"""The pictures of a run, as PNG: recall against speed, recall against p99, build time against memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from benchmarks.figures import pareto_front
from benchmarks.store import Result, slug_of
from benchmarks.summary import groups

__all__ = ["draw_all"]

OWN_COLOURS = ("#c1121f", "#e36414", "#7209b7", "#9a031e", "#d00070", "#5f0f40")
PEER_COLOURS = (
    "#1b6ca8",
    "#2a9d8f",
    "#6c757d",
    "#8ab17d",
    "#457b9d",
    "#bc8a5f",
    "#3a5a40",
    "#8d99ae",
    "#00798c",
)
MARKERS = "osD^v<>Pp*XhH"


def _styles(by_algorithm: Mapping[str, Sequence[Result]]) -> dict[str, dict[str, Any]]:
    """Own methods bold and warm, peers thin and cool; the same name always looks the same within a plot."""
    styles: dict[str, dict[str, Any]] = {}
    peers = own = 0
    for name, points in sorted(by_algorithm.items()):
        if points[0].own:
            styles[name] = {
                "color": OWN_COLOURS[own % len(OWN_COLOURS)],
                "linewidth": 2.4,
                "zorder": 3,
                "marker": "o",
            }
            own += 1
        else:
            styles[name] = {
                "color": PEER_COLOURS[peers % len(PEER_COLOURS)],
                "linewidth": 1.1,
                "zorder": 2,
                "marker": MARKERS[peers % len(MARKERS)],
                "linestyle": ("-", "--", ":")[peers // len(PEER_COLOURS) % 3],
            }
            peers += 1
        styles[name]["markersize"] = 3.5
    return styles


def _figure(title: str) -> tuple[Any, Any]:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.6, 5.2), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=11)
    axes.grid(True, which="both", linewidth=0.4, alpha=0.5)
    return figure, axes


def _save(figure: Any, path: Path) -> None:
    """As a PNG of few colours: a third of the size, and no difference to the eye."""
    from PIL import Image

    drawn = BytesIO()
    figure.savefig(drawn, format="png")
    Image.open(drawn).convert("RGB").quantize(96).save(path, optimize=True)


def _recall_axis(axes: Any, recalls: Sequence[float]) -> None:
    """Recall by its distance from 1, so that 0.99 and 0.999 are as far apart as 0.9 and 0.99."""
    import numpy as np

    def forward(recall: Any) -> Any:
        return -np.log10(np.maximum(1 - np.asarray(recall, float), 1e-4) + 1e-4)

    def inverse(position: Any) -> Any:
        return 1 + 1e-4 - 10.0 ** (-np.asarray(position, float))

    axes.set_xscale("function", functions=(forward, inverse))
    ticks = [
        tick
        for tick in (0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 0.995, 0.999, 1.0)
        if tick >= min(recalls) - 0.05
    ]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xlim(max(0.3, min(recalls) - 0.02), 1.0)


def _trade_off(
    by_algorithm: Mapping[str, Sequence[Result]],
    title: str,
    value_label: str,
    path: Path,
    of: Any,
    smaller: bool,
) -> bool:
    styles, drawn, all_recalls = _styles(by_algorithm), 0, []
    figure, axes = _figure(title)
    for name, points in sorted(by_algorithm.items(), key=lambda item: (not item[1][0].own, item[0])):
        known = [(point.metrics["recall"], value) for point in points if (value := of(point)) is not None]
        if not known:
            continue
        recalls, values = [recall for recall, _ in known], [value for _, value in known]
        front = pareto_front(recalls, values, smaller_is_better=smaller)
        axes.plot([recalls[i] for i in front], [values[i] for i in front], label=name, **styles[name])
        all_recalls += [recalls[i] for i in front]
        drawn += 1
    if not drawn:
        return False
    _recall_axis(axes, all_recalls)
    axes.set_yscale("log")
    axes.set_xlabel(f"recall@{next(iter(by_algorithm.values()))[0].k}")
    axes.set_ylabel(value_label)
    figure.legend(loc="outside right upper", fontsize=7, frameon=False)
    _save(figure, path)
    return True


def _build_and_memory(by_algorithm: Mapping[str, Sequence[Result]], title: str, path: Path) -> bool:
    styles = _styles(by_algorithm)
    figure, axes = _figure(title)
    drawn = 0
    for name, points in sorted(by_algorithm.items()):
        build = points[0].builds[0]
        if not build["memory_bytes"] or build["memory_bytes"] < 0:
            continue
        style = {key: styles[name][key] for key in ("color", "marker", "zorder")}
        at = (build["seconds"], build["memory_bytes"] / 1e6)
        axes.plot(*at, linestyle="", markersize=9 if points[0].own else 6, **style)
        axes.annotate(name, at, textcoords="offset points", xytext=(6, 3), fontsize=7)
        drawn += 1
    if not drawn:
        return False
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.margins(0.15)
    axes.set_xlabel("build time in seconds")
    axes.set_ylabel("memory held by the process in MB")
    _save(figure, path)
    return True


def draw_all(results: Sequence[Result], folder: Path) -> list[Path]:
    """All plots of a run into a folder: three for each dataset and k. Returns what was drawn."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    for (dataset, k), by_algorithm in groups(results).items():
        slug = slug_of(dataset)
        size = next(iter(by_algorithm.values()))[0].dataset
        about = f"{dataset}: {size['base']:,} x {size['dim']}, {size['metric']}"
        stem = f"{slug}-k{k}"
        paths = [folder / f"{stem}-{kind}.png" for kind in ("recall-qps", "recall-p99", "build-memory")]
        done = [
            _trade_off(
                by_algorithm, about, "queries a second, one a call, one thread", paths[0], Result.qps, False
            ),
            _trade_off(
                by_algorithm, about, "p99 latency in us", paths[1], lambda r: r.metrics.get("p99_us"), True
            ),
            _build_and_memory(by_algorithm, about, paths[2]),
        ]
        drawn += [path for path, made in zip(paths, done, strict=True) if made]
    return drawn
