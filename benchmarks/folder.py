"""The folder of a run: made at the start, filled sweep by sweep, closed with plots and the page."""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.plots import draw_all
from benchmarks.report import write_report
from benchmarks.runner import Sweep
from benchmarks.store import load_run, slug_of

__all__ = ["RunFolder", "render"]


class RunFolder:
    """<parent>/<timestamp>-<name>/ with machine.json, and notes.json kept up to date after each sweep."""

    def __init__(self, parent: Path, name: str, machine: dict[str, Any]) -> None:
        stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
        self.path = parent / f"{stamp}-{slug_of(name)}"
        self.path.mkdir(parents=True)
        (self.path / "machine.json").write_text(json.dumps(machine, indent=1) + "\n")
        self._notes: dict[str, Any] = {"skipped": [], "failed": [], "drift": {}, "load_average_after": {}}

    def add(self, sweep: Sweep) -> None:
        """Keep what a finished sweep has to say besides its results."""
        found = sweep.notes()
        self._notes["skipped"] += found["skipped"]
        self._notes["failed"] += found["failed"]
        self._notes["drift"][sweep.problem.name] = found["drift"]
        if hasattr(os, "getloadavg"):
            self._notes["load_average_after"][sweep.problem.name] = list(os.getloadavg())
        (self.path / "notes.json").write_text(json.dumps(self._notes, indent=1) + "\n")


def render(folder: Path) -> Path:
    """Draw the plots of a run folder and write its page; can be repeated at any time. Returns the page."""
    machine, notes, results = load_run(folder)
    plots = draw_all(results, folder / "plots")
    page = folder / "report.html"
    write_report(page, machine, notes, results, plots)
    return page
