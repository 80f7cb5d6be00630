"""Writes benchmarks/RESULTS.md and its plots from run folders; nothing in it is typed by hand.

python -m benchmarks.results benchmarks/runs/20260101-120000-full [MORE RUNS] [--out benchmarks/RESULTS.md]
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.folder import render
from benchmarks.plots import draw_all
from benchmarks.report import METHOD
from benchmarks.store import Result, load_run, slug_of
from benchmarks.summary import HEADINGS, cells, left_out, tables

__all__ = ["main", "write_results"]

HERE = Path(__file__).parent


def _markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(headings)} |", f"|---|{'---:|' * (len(headings) - 1)}"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows)]


def _machine(machine: dict[str, Any]) -> list[str]:
    cpu, git, own = machine["cpu"], machine["git"], machine["fastcbir"]
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    facts = {
        "date": machine["date"],
        "processor": f"{cpu['model']}, {cpu['usable_cores']} cores; {', '.join(cpu['isa'])}",
        "caches": ", ".join(f"{name} {size}" for name, size in cpu["caches_of_core_0"].items()),
        "memory": f"{(machine['memory_bytes'] or 0) / 2**30:.0f} GiB, huge pages {cpu['huge_pages']}",
        "system": f"{machine['system']}, Python {machine['python']}, {machine['compiler']}",
        "fastcbir": f"{own['version']}, kernels {own['isa']}, commit {git['commit']}"
        + (" with local changes" if git["changed_files"] else ""),
        "packages": packages,
        "load at start": ", ".join(f"{load:.1f}" for load in machine["load_average"] or []),
    }
    return [f"* {name}: {value}" for name, value in facts.items()]


def _command(machine: dict[str, Any]) -> str:
    """The command line without --out, which is nobody else's concern."""
    words = shlex.split(machine["command"])
    if "--out" in words:
        at = words.index("--out")
        del words[at : at + 2]
    return shlex.join(words)


def write_results(runs: Sequence[Path], out: Path) -> None:
    """Write `out` and, into results/ beside it, the plots. A later run replaces an earlier one's dataset.

    Raises:
        FileNotFoundError: one of `runs` is no run folder.
    """
    loaded = [load_run(run) for run in runs]
    latest: dict[tuple[str, int], int] = {}
    for number, (_, _, results) in enumerate(loaded):
        latest.update(((result.dataset["name"], result.k), number) for result in results)
    lines = [
        "# Results of the last full run",
        "",
        "Written by `python -m benchmarks.results` from stored results; do not edit. "
        "How to repeat it: [docs/benchmarks.md](../docs/benchmarks.md).",
        "",
        METHOD,
    ]
    pictures = out.parent / "results"
    for number, (machine, notes, results) in enumerate(loaded):
        kept = [result for result in results if latest[result.dataset["name"], result.k] == number]
        if not kept:
            continue
        lines += ["", f"## {runs[number].name}", "", "```", _command(machine), "```", ""]
        lines += _machine(machine)
        drawn = draw_all(kept, pictures)
        for table in tables(kept):
            lines += ["", *_section(table.dataset, table.k, kept)]
            lines += [
                "",
                *_markdown_table(HEADINGS, [_emphasised(cells(row), row.own) for row in table.rows]),
            ]
            lines += [
                f"\n![{path.stem}]({path.relative_to(out.parent).as_posix()})"
                for path in drawn
                if path.name.startswith(f"{drawn_stem(table.dataset, table.k)}-")
            ]
        noted = left_out(notes)
        if noted:
            lines += ["", "Drift, load, and what was left out:", "", *(f"* {line}" for line in noted)]
    out.write_text("\n".join(lines) + "\n", encoding="utf-8")


def drawn_stem(dataset: str, k: int) -> str:
    """How the plots of a dataset and k begin."""
    return f"{slug_of(dataset)}-k{k}"


def _section(dataset: str, k: int, results: Sequence[Result]) -> list[str]:
    size = next(result.dataset for result in results if result.dataset["name"] == dataset)
    about = f"{size['base']:,} vectors of {size['dim']} x {size['dtype']}, {size['metric']}"
    return [f"### {dataset}, k = {k}", "", f"{about}, {size['queries']:,} queries."]


def _emphasised(row: list[str], own: bool) -> list[str]:
    return [f"**{row[0]}**", *row[1:]] if own else row


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.results", description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, help="run folders, later ones win")
    parser.add_argument("--out", type=Path, default=HERE / "RESULTS.md")
    options = parser.parse_args(arguments)
    for run in options.runs:
        render(run)
    write_results(options.runs, options.out)


if __name__ == "__main__":
    main()
