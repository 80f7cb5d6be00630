"""A sweep over one dataset: build every algorithm in its own process, then measure all of them in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import version_of
from benchmarks.problem import Problem, exact_distances
from benchmarks.process import usable_cores
from benchmarks.protocol import Algorithm, Params, unavailable
from benchmarks.schedule import MODES, Pass, interleaved
from benchmarks.scoring import score
from benchmarks.store import Result, save_truth
from benchmarks.workers import Worker, WorkerError

__all__ = ["Settings", "Sweep"]


@dataclass(frozen=True)
class Settings:
    """How a run measures. Times in seconds."""

    ks: Sequence[int] = (10,)
    threads: Sequence[int] = (
        1,
    )  # of the build; the index of the first is queried, the others are only timed
    rounds: int = 3  # repetitions of every setting
    budget: float | None = None  # wall time for this dataset; what does not fit is left out and reported
    pass_seconds: float = 1.0  # a pass takes as many queries as fit, at least 50
    warm_up: int = 100  # queries before each pass
    build_timeout: float = 3600.0
    modes: Sequence[str] = MODES
    ends_only: bool = False  # of each algorithm's query settings only the first and the last


@dataclass
class _Measured:
    """What came of one setting of one algorithm."""

    count: int = 0
    ids: NDArray[np.int64] | None = None
    times_ns: list[NDArray[np.int64]] = field(default_factory=list)
    single_ns: list[int] = field(default_factory=list)
    batch_ns: list[int] = field(default_factory=list)


def _ends(grid: list[Params]) -> list[Params]:
    return grid if len(grid) < 3 else [grid[0], grid[-1]]


class Sweep:
    """Measure algorithms on one problem and write the results into a run folder.

    The first algorithm that can run is the anchor: its settings are measured once more before and after
    everything else, and the change between the two is reported as the machine's drift.
    """

    def __init__(
        self,
        problem: Problem,
        algorithms: Sequence[Algorithm],
        settings: Settings,
        folder: Path,
        say: Callable[[str], None],
    ) -> None:
        self.problem, self.settings, self.folder, self.say = problem, settings, folder, say
        self.algorithms = {algorithm.name: algorithm for algorithm in algorithms}
        self.skipped: list[dict[str, str]] = []
        self.failed: list[dict[str, str]] = []
        self.drift: dict[str, Any] = {}
        self._workers: dict[str, Worker] = {}
        self._builds: dict[str, list[dict[str, Any]]] = {}
        self._measured: dict[tuple[str, int, int], _Measured] = {}
        self._grids: dict[str, dict[int, list[Params]]] = {}
        self._start = time.monotonic()
        self._core = usable_cores()[-1]  # the first core usually serves more interrupts

    def run(self) -> list[Result]:
        """Build, measure, score, write. Failures of algorithms are recorded in `failed`."""
        (self.folder / "logs").mkdir(parents=True, exist_ok=True)
        try:
            with self.problem.files() as (base, queries):
                for algorithm in self.algorithms.values():
                    self._build(algorithm, base, queries)
            self._measure()
        finally:
            for worker in self._workers.values():
                worker.stop()
        return self._write()

    def notes(self) -> dict[str, Any]:
        """What did not run and why, and the drift of the machine."""
        return {"skipped": self.skipped, "failed": self.failed, "drift": self.drift}

    def _left(self, share: float = 1.0) -> float:
        """Seconds left of this share of the budget."""
        if self.settings.budget is None:
            return float("inf")
        return self.settings.budget * share - (time.monotonic() - self._start)

    def _note(self, where: list[dict[str, str]], name: str, reason: str) -> None:
        where.append({"dataset": self.problem.name, "algorithm": name, "reason": reason})
        self.say(f"{self.problem.name}: {name}: {reason}")

    def _build(self, algorithm: Algorithm, base: str, queries: str) -> None:
        problem, name = self.problem, algorithm.name
        reason = unavailable(algorithm) or algorithm.refusal(
            problem.metric, str(problem.base.dtype), len(problem.base), int(problem.base.shape[1])
        )
        if reason is None and self._left(0.6) <= 0:
            reason = "not built: 60 % of the time budget was already spent on building"
        if reason is not None:
            return self._note(self.skipped, name, reason)
        builds: list[dict[str, Any]] = []
        for number, threads in enumerate(self.settings.threads):
            if number and self._left(0.6) <= 0:
                self._note(self.skipped, name, f"build with {threads} threads not timed: time budget")
                break
            timeout = min(self.settings.build_timeout, max(1.0, self._left(0.8)))
            try:
                worker = Worker(
                    algorithm, self.folder / "logs" / f"{problem.slug}.{name}.{threads}.log", threads
                )
            except WorkerError as error:
                return self._note(self.failed, name, str(error))
            cores = usable_cores()[-threads:]
            try:
                built = worker.ask(
                    "build", timeout=timeout, base=base, queries=queries, metric=problem.metric, cores=cores
                )
            except WorkerError as error:
                worker.stop(kill=True)
                self._note(self.failed, name, str(error))
                break
            builds.append(built)
            if number == 0:
                self._workers[name] = worker
            else:
                worker.stop()
            megabytes = (built["memory_bytes"] or 0) / 1e6
            how = f"{built['seconds']:.1f} s ({built['cpu_seconds']:.1f} CPU) with {threads} thread(s)"
            self.say(f"{problem.name}: {name} built in {how}, {megabytes:.0f} MB")
        if builds:
            self._builds[name] = builds
            chosen = _ends if self.settings.ends_only else list
            self._grids[name] = {k: chosen(algorithm.queries_for(k)) for k in self.settings.ks}

    def _measure(self) -> None:
        if not self._workers:
            return
        anchor = next(iter(self._workers))
        before = self._anchor_speeds(anchor)
        for number, passes in enumerate(
            interleaved(self._grids, self.settings.rounds, self.settings.modes), start=1
        ):
            if number > 1 and self._left(0.95) <= 0:
                self._note(
                    self.skipped, "all", f"round {number} of {self.settings.rounds} not run: time budget"
                )
                break
            self.say(f"{self.problem.name}: round {number} of {self.settings.rounds}, {len(passes)} passes")
            for done, one in enumerate(passes):
                if self._left() <= 0:
                    reason = f"round {number} stopped after {done} of {len(passes)} passes: time budget"
                    self._note(self.skipped, "all", reason)
                    break
                if one.algorithm in self._workers:
                    self._run(one)
        after = self._anchor_speeds(anchor) if anchor in self._workers else []
        if before and len(before) == len(after):
            ratios = [late / early for early, late in zip(before, after, strict=True)]
            self.drift = {
                "anchor": anchor,
                "start_qps": before,
                "end_qps": after,
                "median_change": float(np.median(ratios)) - 1.0,
                "worst_change": max((ratio - 1.0 for ratio in ratios), key=abs),
            }

    def _anchor_speeds(self, anchor: str) -> list[float]:
        k = self.settings.ks[0]
        speeds = []
        for setting in range(len(self._grids[anchor][k])):
            answer = self._ask(Pass(anchor, setting, k, "single"))
            if answer is None:
                return []
            speeds.append(answer["count"] / (answer["total_ns"] / 1e9))
        return speeds

    def _ask(self, one: Pass) -> dict[str, Any] | None:
        """One pass; None where it failed, and then the algorithm is out of the run."""
        settings = self.settings
        measured = self._measured.setdefault((one.algorithm, one.setting, one.k), _Measured())
        try:
            return self._workers[one.algorithm].ask(
                "run",
                timeout=60 + 20 * settings.pass_seconds,
                params=self._grids[one.algorithm][one.k][one.setting],
                k=one.k,
                mode=one.mode,
                core=self._core,
                count=measured.count or None,
                max_seconds=settings.pass_seconds,
                warm_up=settings.warm_up,
            )
        except WorkerError as error:
            self._note(self.failed, one.algorithm, str(error))
            self._workers.pop(one.algorithm).stop(kill=True)
            return None

    def _run(self, one: Pass) -> None:
        answer = self._ask(one)
        if answer is None:
            return
        measured = self._measured[one.algorithm, one.setting, one.k]
        measured.count = answer["count"]
        if one.mode == "single":
            measured.single_ns.append(int(answer["total_ns"]))
            measured.times_ns.append(answer["times_ns"])
        else:
            measured.batch_ns.append(int(answer["total_ns"]))
        if measured.ids is None:
            measured.ids = answer["ids"]

    def _write(self) -> list[Result]:
        problem = self.problem
        true_ids = problem.neighbors[:, : max(self.settings.ks)]
        true_distances = exact_distances(problem, true_ids)
        save_truth(self.folder, problem.slug, true_ids, true_distances)
        results = []
        for (name, setting, k), measured in self._measured.items():
            if measured.ids is None:
                continue
            algorithm, count = self.algorithms[name], measured.count
            distances = exact_distances(problem, measured.ids)
            times = np.stack(measured.times_ns) if measured.times_ns else np.empty((0, count), np.int64)
            result = Result(
                dataset=problem.describe(),
                algorithm=name,
                package={"name": algorithm.package, "version": version_of(algorithm.package) or "unknown"},
                own=algorithm.own,
                note=algorithm.note,
                build_params=dict(algorithm.build),
                query_params=dict(self._grids[name][k][setting]),
                k=k,
                queries=count,
                builds=self._builds[name],
                single_ns=measured.single_ns,
                batch_ns=measured.batch_ns,
                metrics=score(measured.ids, distances, true_ids[:count], true_distances[:count], times),
            )
            result.save(self.folder / "results", measured.ids, distances, times)
            results.append(result)
        return results
