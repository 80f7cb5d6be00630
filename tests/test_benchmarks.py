"""Promise: the benchmark harness measures what it says and keeps it; its page needs no other file."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.compare import compare
from benchmarks.figures import at_recall, pareto_front
from benchmarks.folder import RunFolder, render
from benchmarks.machine import describe_machine
from benchmarks.problem import exact_distances, smoke_problem
from benchmarks.protocol import Algorithm, effort, grid, lists_for, unavailable
from benchmarks.registry import OWN, PEERS, select
from benchmarks.report import write_report
from benchmarks.results import write_results
from benchmarks.runner import Settings, Sweep
from benchmarks.schedule import interleaved
from benchmarks.scoring import score
from benchmarks.store import Result, load_run, load_truth, read_result
from benchmarks.summary import HEADINGS, cells, tables
from benchmarks.workers import Worker, WorkerError

pytest.importorskip("matplotlib", reason="the benchmarks need the extra 'bench'")


def result_of(algorithm: str, recall: float, qps: float, **more: object) -> Result:
    values: dict[str, object] = {
        "dataset": {"name": "toy", "metric": "l2", "base": 10, "queries": 4, "dim": 2, "dtype": "float32"},
        "algorithm": algorithm,
        "package": {"name": algorithm, "version": "1"},
        "own": algorithm.startswith("fastcbir"),
        "note": "",
        "build_params": {"m": 16},
        "query_params": {"ef": round(1000 * recall)},
        "k": 2,
        "queries": 4,
        "builds": [
            {"threads": 1, "seconds": 1.5, "cpu_seconds": 1.4, "memory_bytes": 3_000_000}
            | {"peak_bytes": None, "reported_bytes": 2}
        ],
        "single_ns": [round(4e9 / qps), round(8e9 / qps)],
        "batch_ns": [round(2e9 / qps)],
        "metrics": {
            "recall": recall,
            "recall@2": recall,
            "p50_us": 1e6 / qps,
            "p95_us": 2e6 / qps,
            "p99_us": 3e6 / qps,
        },
    }
    return Result(**{**values, **more})  # type: ignore[arg-type]


def save(result: Result, run: Path) -> Path:
    ids = np.arange(8).reshape(4, 2)
    return result.save(run / "results", ids, np.ones((4, 2), np.float32), np.full((2, 4), 7, np.int64))


# ---- numbers ----


def test_pareto_front_equals_the_obvious_definition() -> None:
    rng = np.random.default_rng(3)
    for smaller in (False, True):
        recalls, values = rng.integers(0, 20, 60) / 20, rng.integers(1, 30, 60) * 1.0
        sign = -1 if smaller else 1
        points = list(zip(recalls, sign * values, strict=True))

        def beaten(point: tuple[float, float], points: list[tuple[float, float]] = points) -> bool:
            return any(o != point and o[0] >= point[0] and o[1] >= point[1] for o in points)

        expected = sorted({point for point in points if not beaten(point)})
        front = pareto_front(list(recalls), list(values), smaller_is_better=smaller)
        assert [points[i] for i in front] == expected


def test_speed_at_a_recall_is_interpolated_on_a_logarithmic_scale() -> None:
    found = at_recall([0.8, 1.0], [10_000, 100], 0.9)
    assert found is not None
    assert found.value == pytest.approx(1000)
    assert not found.measured_above


def test_nothing_is_extrapolated() -> None:
    recalls, speeds = [0.92, 0.97], [500.0, 100.0]
    assert at_recall(recalls, speeds, 0.99) is None
    below = at_recall(recalls, speeds, 0.9)
    assert below is not None
    assert (below.value, below.measured_above) == (500.0, True)
    assert at_recall([], [], 0.9) is None


def test_points_off_the_front_do_not_pull_a_figure_down() -> None:
    assert at_recall([0.8, 0.9, 1.0], [10_000, 1, 100], 0.9) == at_recall([0.8, 1.0], [10_000, 100], 0.9)


def test_figures_refuse_what_makes_no_sense() -> None:
    with pytest.raises(ValueError, match="1 recalls but 2 values"):
        at_recall([0.5], [1.0, 2.0], 0.5)
    with pytest.raises(ValueError, match="positive"):
        at_recall([0.5], [0.0], 0.5)


# ---- order and grids ----


def test_rounds_interleave_the_algorithms() -> None:
    grids = {"a": {10: [{}, {}, {}]}, "b": {10: [{}, {}, {}]}, "c": {10: [{}]}}
    rounds = interleaved(grids, rounds=3)
    assert len(rounds) == 3
    for passes in rounds:
        assert len(passes) == len(set(passes)) == 2 * (3 + 3 + 1)
        for mode in ("single", "batch"):
            settings = [one.setting for one in passes if one.mode == mode]
            assert settings == sorted(settings), "no algorithm runs ahead of the others"
    firsts = {passes[0].algorithm for passes in rounds}
    assert firsts == {"a", "b", "c"}, "who begins changes from round to round"


def test_a_grid_raises_what_cannot_hold_k() -> None:
    algorithm = Algorithm("x", "m:C", "x", "x", queries=effort(), effort="ef")
    assert [params["ef"] for params in algorithm.queries_for(100)] == [100, 120, 200, 320, 500, 800]
    assert algorithm.queries_for(5000) == [{"ef": 5000}]
    half = replace(algorithm, least_effort=0.5)
    assert [params["ef"] for params in half.queries_for(99)][:3] == [50, 60, 80]
    lists = replace(algorithm, queries=({"n": 1, "ef": 10}, {"n": 1, "ef": 20}, {"n": 2, "ef": 10}))
    assert lists.queries_for(30) == [{"n": 1, "ef": 30}, {"n": 2, "ef": 30}]
    assert grid(a=[1, 2], b=[3]) == ({"a": 1, "b": 3}, {"a": 2, "b": 3})
    assert [lists_for(size) for size in (1, 1_000, 1_000_000)] == [16, 128, 4096]


def test_every_registered_algorithm_is_well_formed() -> None:
    names = [algorithm.name for algorithm in [*OWN, *PEERS]]
    assert len(names) == len(set(names))
    for algorithm in [*OWN, *PEERS]:
        module, _, cls = algorithm.adapter.partition(":")
        adapter = getattr(__import__(module, fromlist=[cls]), cls)  # without the library itself
        for method in ("build", "set_query_params", "query", "batch_query"):
            assert callable(getattr(adapter, method)), (algorithm.name, method)
        assert algorithm.queries_for(10), algorithm.name


def test_algorithms_are_chosen_by_name_or_family() -> None:
    assert [algorithm.name for algorithm in select(["hnswlib"], peers=False)] == ["hnswlib"]
    assert {algorithm.package for algorithm in select(["faiss"], peers=False)} == {"faiss-cpu"}
    assert all(algorithm.own for algorithm in select([], peers=False))
    assert select([], peers=True)[0].name == "hnswlib", "the anchor"
    with pytest.raises(ValueError, match=r"no algorithm is called 'hsnwlib'; there are .*hnswlib"):
        select(["hsnwlib"], peers=False)


def test_what_cannot_run_says_why() -> None:
    missing = Algorithm("x", "m:C", "some-package", "no_such_module_anywhere")
    assert unavailable(missing) == "no_such_module_anywhere is not installed (pip install some-package)"
    without_tool = Algorithm("x", "m:C", "p", "json", tool="no-such-program")
    assert "no-such-program" in (unavailable(without_tool) or "")
    bytes_only = Algorithm("x", "m:C", "p", "json", metrics=("l2",), dtypes=("uint8",), max_base=100)
    assert "metric is cosine" in (bytes_only.refusal("cosine", "uint8", 10, 4) or "")
    assert "has float32" in (bytes_only.refusal("l2", "float32", 10, 4) or "")
    assert "100 vectors" in (bytes_only.refusal("l2", "uint8", 1000, 4) or "")
    assert bytes_only.refusal("l2", "uint8", 100, 4) is None


# ---- files ----


def test_a_result_comes_back_as_it_was_stored(tmp_path: Path) -> None:
    result = result_of("hnswlib", 0.95, 1000)
    path = save(result, tmp_path)
    assert path.name == "toy.hnswlib.k2.ef=950.json"
    assert json.loads(path.read_text())["arrays"] == "toy.hnswlib.k2.ef=950.npz"
    again = read_result(path)
    assert again == result
    arrays = again.arrays()
    assert arrays["ids"].tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert arrays["times_ns"].shape == (2, 4)
    assert again.qps() == pytest.approx(1000)
    assert again.qps(pick="median") == pytest.approx(4 / 6e-3)
    assert again.qps("batch") == pytest.approx(2000)


@pytest.mark.parametrize("text", ["not json", '{"format": "another/1"}', "[]"])
def test_a_foreign_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"x\.json"):
        read_result(path)


def test_metrics_come_from_the_stored_ids() -> None:
    problem = smoke_problem(size=200, dim=8, queries=5, k=20)
    true = problem.neighbors
    found = true[:, :10].copy()
    found[:, 9] = -1
    times = np.array([[9, 9, 9, 9, 9], [1000, 2000, 3000, 4000, 5000]], np.int64)
    scored = score(found, exact_distances(problem, found), true, exact_distances(problem, true), times)
    assert scored["recall@1"] == 1.0
    assert scored["recall@10"] == scored["recall"] == pytest.approx(0.9)
    assert "recall@100" not in scored
    assert scored["p50_us"] == pytest.approx(0.009), "the fastest repetition's"


def test_equally_near_vectors_count_as_found() -> None:
    problem = smoke_problem(size=100, dim=4, queries=3, k=10)
    problem.base[50:] = problem.base[:50]
    nearest = np.argsort(((problem.queries[:, None] - problem.base[None]) ** 2).sum(2), axis=1, kind="stable")
    truth, twins = nearest[:, :4], (nearest[:, :4] + 50) % 100
    scored = score(
        twins,
        exact_distances(problem, twins),
        truth,
        exact_distances(problem, truth),
        np.empty((0, 3), np.int64),
    )
    assert scored["recall"] == 1.0
    assert "p50_us" not in scored


# ---- tables, page, comparison ----


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder with two curves."""
    folder = RunFolder(tmp_path, "a test", describe_machine(["numpy"], ["pytest", "benchmarks/"]))
    for name, speed in (("fastcbir-hnsw", 2.0), ("hnswlib", 1.0)):
        for recall, qps in ((0.85, 4000), (0.93, 2000), (0.97, 1000)):
            save(result_of(name, recall, speed * qps), folder.path)
    return folder.path


def test_tables_put_the_fastest_first_and_leave_gaps(run: Path) -> None:
    (table,) = tables(load_run(run)[2])
    assert [row.algorithm for row in table.rows] == ["fastcbir-hnsw", "hnswlib"]
    texts = dict(zip(HEADINGS, cells(table.rows[1]), strict=True))
    assert texts["QPS @ 0.95"] == f"{np.sqrt(2000 * 1000):,.0f}"
    assert texts["QPS @ 0.99"] == "-"
    assert texts["MB"] == "3"


def test_the_page_is_one_file(run: Path) -> None:
    page = render(run).read_text()
    assert page.count("data:image/png;base64,") == 3
    assert not re.search(r"<(script|link|iframe)\b", page)
    assert not re.search(r"""(src|href)\s*=\s*["']?(?!["']?data:)""", page)
    assert not re.search(r"url\(", page)
    for text in ("fastcbir-hnsw", "hnswlib", "ef=970", "pytest benchmarks/", "recall@2"):
        assert text in page


def test_names_cannot_inject_markup(run: Path) -> None:
    save(result_of("<b>x</b>", 0.9, 10), run)
    page = run / "page.html"
    write_report(page, *load_run(run), plots=[])
    assert "<b>x</b>" not in page.read_text()


def test_results_file_is_written_from_stored_results(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "page" / "RESULTS.md"
    out.parent.mkdir()
    write_results([run], out)
    text = out.read_text()
    assert "| **fastcbir-hnsw** |" in text
    assert "pytest benchmarks/" in text
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", text)
    assert len(pictures) == 3
    for picture in pictures:
        assert 0 < (out.parent / picture).stat().st_size < 150_000
    with pytest.raises(FileNotFoundError, match=r"machine\.json"):
        write_results([tmp_path], out)


def test_comparing_two_results(run: Path) -> None:
    stem = "toy.{}.k2.ef={}.json"
    found = compare(
        run / "results" / stem.format("fastcbir-hnsw", 930), run / "results" / stem.format("hnswlib", 970)
    )
    assert found.qps_ratio == pytest.approx(4.0)
    assert found.at_recall == {0.9: pytest.approx(2.0), 0.95: pytest.approx(2.0)}
    other = save(result_of("hnswlib", 0.9, 10, k=3), run)
    with pytest.raises(ValueError, match="one dataset and k"):
        compare(run / "results" / stem.format("hnswlib", 930), other)


# ---- processes ----


@pytest.fixture
def worker_log(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "worker.log"


def test_a_worker_that_fails_or_dies_is_named(worker_log: Path) -> None:
    with (
        pytest.raises(WorkerError, match=r"bad: build: ModuleNotFoundError"),
        Worker(Algorithm("bad", "no_such_module:X", "p", "json"), worker_log, 1) as worker,
    ):
        worker.ask("build", timeout=60, base="", queries="", metric="l2", cores=[0])
    assert "Traceback" in worker_log.read_text()
    with (
        pytest.raises(WorkerError, match=r"dead: the process died in build \(exit -6\)"),
        Worker(Algorithm("dead", "os:abort", "p", "json"), worker_log, 1) as worker,
    ):
        worker.ask("build", timeout=60, base="", queries="", metric="l2", cores=[0])


@pytest.mark.skipif(sys.platform != "linux", reason="a promise of the Linux kernel")
def test_no_worker_outlives_the_harness(tmp_path: Path) -> None:
    program = (
        "import os, signal; from pathlib import Path\n"
        "from benchmarks.protocol import Algorithm; from benchmarks.workers import Worker\n"
        f"worker = Worker(Algorithm('x', 'm:C', 'p', 'json'), Path({str(tmp_path / 'log')!r}), 1)\n"
        "print(worker._process.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == -9, done.stderr
    state = Path("/proc") / done.stdout.strip() / "stat"
    deadline = time.monotonic() + 30
    with contextlib.suppress(FileNotFoundError):  # gone, which is what we wait for
        while ") Z " not in state.read_text():
            assert time.monotonic() < deadline, "the worker still runs"
            time.sleep(0.02)


def test_a_sweep_of_our_own_end_to_end(tmp_path: Path) -> None:
    pytest.importorskip("fastcbir._core")
    problem = smoke_problem(size=600, dim=16, queries=60)
    ours = select(["fastcbir-flat", "fastcbir-hnsw-f16"], peers=False)
    algorithms = [replace(algorithm, queries=algorithm.queries[::5]) for algorithm in ours]
    algorithms.append(Algorithm("gone", "m:C", "p", "no_mod"))
    folder = RunFolder(tmp_path, "own", describe_machine(["fastcbir"], []))
    sweep = Sweep(
        problem,
        algorithms,
        Settings(ks=(10, 50), rounds=2, pass_seconds=0.01, warm_up=3),
        folder.path,
        lambda _: None,
    )
    sweep.run()
    folder.add(sweep)
    _, notes, results = load_run(folder.path)
    assert notes["failed"] == []
    assert [item["algorithm"] for item in notes["skipped"]] == ["gone"]
    assert notes["drift"]["smoke"]["anchor"] == "fastcbir-flat"
    exact = [result for result in results if result.algorithm == "fastcbir-flat"]
    assert {result.k for result in exact} == {10, 50}
    assert all(result.metrics["recall"] == 1.0 for result in exact)
    assert {result.query_params["ef"] for result in results if result.k == 50 and result.query_params} >= {60}
    for result in results:
        assert len(result.single_ns) == len(result.batch_ns) == 2
        arrays = result.arrays()
        assert arrays["ids"].shape == (result.queries, result.k)
        assert arrays["times_ns"].shape == (2, result.queries)
        assert arrays["times_ns"].sum(axis=1).tolist() == result.single_ns
    true_ids, _ = load_truth(folder.path, "smoke")
    assert true_ids.shape == (60, 50)
    assert render(folder.path).is_file()


def test_a_spent_budget_leaves_out_and_says_so(tmp_path: Path) -> None:
    pytest.importorskip("fastcbir._core")
    sweep = Sweep(
        smoke_problem(size=100, dim=8, queries=20),
        select(["fastcbir-flat"], peers=False),
        Settings(budget=1e-9),
        tmp_path,
        lambda _: None,
    )
    assert sweep.run() == []
    assert "budget" in sweep.skipped[0]["reason"]
