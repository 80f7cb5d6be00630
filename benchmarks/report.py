"""One self-contained HTML page for a run: tables, plots, every measured point, the machine."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.store import Result, slug_of
from benchmarks.summary import HEADINGS, cells, groups, left_out, tables

__all__ = ["METHOD", "write_report"]

METHOD = (
    "One thread pinned to one core. Every algorithm lives in a process of its own; after all are built "
    "they take turns at each setting, with warm-up queries before each pass. QPS is of one query a call "
    "from Python, the best of the repetitions; batch is all queries in one call. A value at a fixed "
    "recall is interpolated on the Pareto front (linear in recall, logarithmic in the value) and never "
    "extrapolated: - means not reached, ≥ that the cheapest setting lies above that recall. MB is the "
    "growth of the process by the build, after it let go of the caller's vectors. Recall counts a found "
    "vector as near as the k-th true one as a hit."
)

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem}
body{color:#1d2433;background:#fff}
h1{font-size:1.6rem}h2{margin-top:2.5rem;border-bottom:2px solid #c1121f;padding-bottom:.2rem}
table{border-collapse:collapse;font-size:13px;margin:1rem 0;display:block;overflow-x:auto}
th,td{padding:.3rem .6rem;text-align:right;border-bottom:1px solid #e3e6ec;white-space:nowrap}
th:first-child,td:first-child{text-align:left}tr.own td{font-weight:600;background:#fdf1f1}
img{max-width:100%;height:auto}details{margin:1rem 0}summary{cursor:pointer}
pre{background:#f5f6f8;padding:1rem;overflow:auto;font-size:12px}.note{color:#5a6372;font-size:13px}
@media(prefers-color-scheme:dark){body{background:#14181f;color:#e4e7ec}td,th{border-color:#2b323d}
pre{background:#1d232c}tr.own td{background:#3a1f22}
img{background:#fff;border-radius:6px}.note{color:#9aa4b2}}
"""


def _table(headings: Sequence[str], rows: Iterable[tuple[bool, Sequence[str]]]) -> str:
    head = "".join(f"<th>{html.escape(heading)}</th>" for heading in headings)
    body = "".join(
        f"<tr{' class=own' if own else ''}>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>"
        for own, row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _picture(path: Path) -> str:
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    return f'<p><img alt="{html.escape(path.stem)}" src="data:image/png;base64,{data}"></p>'


def _points(by_algorithm: dict[str, list[Result]]) -> str:
    recalls = sorted(
        {
            name
            for points in by_algorithm.values()
            for p in points
            for name in p.metrics
            if name.startswith("recall@")
        },
        key=lambda name: int(name[7:]),
    )
    headings = [
        "algorithm",
        "setting",
        *recalls,
        "QPS best",
        "median",
        "batch QPS",
        "p50 us",
        "p95",
        "p99",
        "queries",
        "repetitions",
    ]
    rows = []
    for points in by_algorithm.values():
        for point in points:
            speeds = [point.qps(), point.qps(pick="median"), point.qps("batch")]
            numbers = [*speeds, *(point.metrics.get(f"p{percent}_us") for percent in (50, 95, 99))]
            rows.append(
                (
                    point.own,
                    [
                        point.algorithm,
                        ", ".join(f"{name}={value}" for name, value in point.query_params.items()),
                        *(f"{point.metrics[name]:.4f}" if name in point.metrics else "-" for name in recalls),
                        *("-" if number is None else f"{number:,.0f}" for number in numbers),
                        str(point.queries),
                        str(len(point.single_ns)),
                        str(len(point.single_ns)),
                    ],
                )
            )
    return f"<details><summary>Every measured point</summary>{_table(headings, rows)}</details>"


def _build_times(build: dict[str, Any]) -> str:
    processor = f" ({build['cpu_seconds']:.1f} s of processor time)" if "cpu_seconds" in build else ""
    return f"{build['seconds']:.1f} s{processor} with {build['threads']} thread(s)"


def _builds(by_algorithm: dict[str, list[Result]]) -> str:
    headings = [
        "algorithm",
        "package",
        "build parameters",
        "builds",
        "peak MB",
        "says of itself MB",
        "why so",
    ]

    def megabytes(value: int | None) -> str:
        return "-" if value is None else f"{value / 1e6:,.0f}"

    rows = []
    for name, points in sorted(by_algorithm.items()):
        first = points[0]
        builds = "; ".join(_build_times(build) for build in first.builds)
        parameters = ", ".join(f"{key}={value}" for key, value in first.build_params.items())
        package = f"{first.package['name']} {first.package['version']}"
        memory = [megabytes(first.builds[0][kind]) for kind in ("peak_bytes", "reported_bytes")]
        rows.append((first.own, [name, package, parameters, builds, *memory, first.note]))
    return f"<details><summary>How each was built</summary>{_table(headings, rows)}</details>"


def _notes(notes: dict[str, Any]) -> str:
    items = "".join(f"<li>{html.escape(line)}</li>" for line in left_out(notes))
    return f"<ul>{items}</ul>" if items else "<p>Nothing was left out.</p>"


def write_report(
    path: Path,
    machine: dict[str, Any],
    notes: dict[str, Any],
    results: Sequence[Result],
    plots: Sequence[Path],
) -> None:
    """Write the page; it needs no other file and no network."""
    grouped = groups(results)
    sections = []
    for table in tables(results):
        by_algorithm = grouped[table.dataset, table.k]
        size = next(iter(by_algorithm.values()))[0].dataset
        about = f"{size['base']:,} vectors of {size['dim']} x {size['dtype']}, {size['metric']}"
        about += f", {size['queries']:,} queries"
        stem = f"{slug_of(table.dataset)}-k{table.k}-"
        pictures = [_picture(plot) for plot in plots if plot.name.startswith(stem)]
        sections.append(
            f"<h2>{html.escape(table.dataset)}, k = {table.k}</h2><p class=note>{html.escape(about)}</p>"
            + _table(HEADINGS, [(row.own, cells(row)) for row in table.rows])
            + "".join(pictures)
            + _builds(by_algorithm)
            + _points(by_algorithm)
        )
    cpu = machine.get("cpu", {})
    page = (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width,initial-scale=1'>"
        f"<title>fastcbir benchmarks</title><style>{STYLE}</style>"
        f"<h1>fastcbir benchmarks</h1><p>{html.escape(str(machine.get('date')))}, "
        f"{html.escape(str(cpu.get('model')))}, {cpu.get('usable_cores')} cores</p>"
        f"<pre>{html.escape(str(machine.get('command')))}</pre>"
        f"<p class=note>{html.escape(METHOD)}</p>"
        + "".join(sections)
        + f"<h2>What was left out, and the machine's drift</h2>{_notes(notes)}"
        + f"<h2>Machine</h2><pre>{html.escape(json.dumps(machine, indent=1))}</pre></html>"
    )
    path.write_text(page, encoding="utf-8")
