"""The files of a run: one JSON per measured setting, ids and times beside it in an .npz, the truth once.

<run>/machine.json                               where, when and with what
<run>/results/<dataset>.<algorithm>.k10.ef=40.json and .npz
<run>/truth/<dataset>.npz                        ids (Q, K), distances (Q, K)
<run>/notes.json                                 what was skipped or failed and why; the anchor's drift
<run>/logs/                                      what the libraries printed
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "FORMAT",
    "Result",
    "load_results",
    "load_run",
    "load_truth",
    "read_result",
    "save_truth",
    "slug_of",
]

FORMAT = "fastcbir-benchmark/1"


def slug_of(name: str) -> str:
    """A dataset's or setting's name as part of a file name."""
    return re.sub(r"[^A-Za-z0-9=,._-]+", "-", name).strip("-")


@dataclass
class Result:
    """One (dataset, algorithm, build parameters, query parameters, k), measured both ways of calling."""

    dataset: dict[str, Any]
    algorithm: str
    package: dict[str, str]
    own: bool
    note: str
    build_params: dict[str, Any]
    query_params: dict[str, Any]
    k: int
    queries: int
    builds: list[dict[str, Any]]  # the first is the index that was queried
    single_ns: list[int] = field(default_factory=list)  # total of each repetition, one query a call
    batch_ns: list[int] = field(default_factory=list)  # total of each repetition, all queries in one call
    metrics: dict[str, Any] = field(default_factory=dict)
    path: Path | None = None

    @property
    def stem(self) -> str:
        """The file name without its suffix."""
        params = ",".join(f"{name}={value}" for name, value in self.query_params.items()) or "default"
        parts = [self.dataset["name"], self.algorithm, f"k{self.k}", params]
        return ".".join(slug_of(part) for part in parts)

    def qps(self, mode: str = "single", pick: str = "best") -> float | None:
        """Queries a second, the "best" or "median" repetition; None where the mode was not measured."""
        totals = self.single_ns if mode == "single" else self.batch_ns
        if not totals:
            return None
        nanoseconds = min(totals) if pick == "best" else float(np.median(totals))
        return self.queries / (nanoseconds / 1e9)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The .npz beside: ids (Q, k) int32, distances (Q, k) float32, times_ns (repetitions, Q) int64."""
        if self.path is None:
            raise ValueError("this result was not read from a file, so no arrays lie beside it")
        with np.load(self.path.with_suffix(".npz"), allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}

    def save(
        self, folder: Path, ids: NDArray[Any], distances: NDArray[np.float32], times_ns: NDArray[Any]
    ) -> Path:
        """Write both files into folder; the JSON's path."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.stem}.json"
        np.savez_compressed(
            path.with_suffix(".npz"), ids=ids.astype(np.int32), distances=distances, times_ns=times_ns
        )
        content = {"format": FORMAT, "arrays": path.with_suffix(".npz").name, **asdict(self)}
        content.pop("path")
        path.write_text(json.dumps(content, indent=1) + "\n")
        self.path = path
        return path


def read_result(path: Path) -> Result:
    """The result stored in a JSON file.

    Raises:
        ValueError: not a result file, or of another version of the format.
    """
    try:
        content = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not a benchmark result: {error}") from error
    found = content.pop("format", None) if isinstance(content, dict) else None
    if found != FORMAT:
        raise ValueError(f"{path} has format {found!r}, expected {FORMAT!r}; run the benchmark again")
    content.pop("arrays")
    return Result(**content, path=path)


def load_results(folders: Iterable[Path]) -> list[Result]:
    """All results of some run folders, in a stable order."""
    return [read_result(path) for folder in folders for path in sorted((folder / "results").glob("*.json"))]


def load_run(folder: Path) -> tuple[dict[str, Any], dict[str, Any], list[Result]]:
    """machine.json, notes.json and the results of a run folder.

    Raises:
        FileNotFoundError: the folder is no run of the benchmarks.
    """
    if not (folder / "machine.json").is_file():
        raise FileNotFoundError(f"{folder} has no machine.json; give a folder written by pytest benchmarks/")
    notes_file = folder / "notes.json"
    notes = json.loads(notes_file.read_text()) if notes_file.is_file() else {}
    return json.loads((folder / "machine.json").read_text()), notes, load_results([folder])


def save_truth(folder: Path, slug: str, ids: NDArray[Any], distances: NDArray[np.float32]) -> None:
    """Keep a dataset's true neighbours with the run: metrics can be computed again from the folder alone."""
    (folder / "truth").mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / "truth" / f"{slug}.npz", ids=ids.astype(np.int32), distances=distances)


def load_truth(folder: Path, slug: str) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """ids and distances (Q, K) as kept by save_truth."""
    with np.load(folder / "truth" / f"{slug}.npz", allow_pickle=False) as stored:
        return stored["ids"].astype(np.int64), stored["distances"]
