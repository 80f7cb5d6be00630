"""Options of `pytest benchmarks/`; docs/benchmarks.md explains them with examples."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.folder import RunFolder, render
from benchmarks.machine import describe_machine
from benchmarks.protocol import Algorithm
from benchmarks.registry import select
from benchmarks.runner import Settings
from benchmarks.store import load_run
from benchmarks.summary import HEADINGS, cells, tables

OFFLINE_DATASETS = ("sift-photos", "cnn-tiles-96")
SMOKE_DATASET = "smoke"
RUNS = Path(__file__).parent / "runs"
FINISHED = pytest.StashKey[Path]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("fastcbir benchmarks")
    add = group.addoption
    add(
        "--dataset",
        action="append",
        metavar="NAME|PATH",
        help="a dataset to measure; repeatable (default: offline ones)",
    )
    add(
        "--algo",
        action="append",
        metavar="NAME",
        help="an algorithm, or the start of its name; the first is the anchor",
    )
    add("--peers", action="store_true", help="measure all installed peers as well")
    add("--k", action="append", type=int, metavar="K", help="neighbours asked for; repeatable (default: 10)")
    add(
        "--threads",
        action="append",
        type=int,
        metavar="N",
        help="build threads; repeatable: builds once for each",
    )
    add(
        "--budget",
        type=float,
        metavar="SECONDS",
        help="wall time for all datasets; what does not fit is reported",
    )
    add("--rounds", type=int, default=3, help="repetitions of every setting (default: 3)")
    add("--queries", type=int, metavar="N", help="use the first N queries only")
    add("--n", type=int, metavar="N", help="index the first N vectors only")
    add(
        "--held-out",
        type=int,
        default=0,
        metavar="N",
        help="ask for N of the dataset's vectors, left out of the index, instead of its queries",
    )
    add("--held-out-seed", type=int, default=0, metavar="SEED", help="which ones (default: 0)")
    add("--metric", help="l2, ip, cosine or hamming, for files that don't say theirs")
    add(
        "--smoke",
        action="store_true",
        help="a tiny made-up dataset, for some seconds: checks the harness only",
    )
    add("--compare", nargs=2, metavar=("A.json", "B.json"), help="compare two results instead of measuring")
    add("--at-least", type=float, metavar="RATIO", help="with --compare: fail unless A/B in QPS reaches this")
    add(
        "--at-recall",
        type=float,
        metavar="R",
        help="with --at-least: at this recall instead of at the two points",
    )
    add("--run-name", default="run", help="a word for the name of the run's folder")
    add("--out", type=Path, help="where the run's folder goes (default: benchmarks/runs)")


def _algorithms(config: pytest.Config) -> list[Algorithm]:
    try:
        return select(config.getoption("--algo") or (), bool(config.getoption("--peers")))
    except ValueError as error:
        raise pytest.UsageError(str(error)) from error


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "dataset_name" in metafunc.fixturenames:
        smoke = metafunc.config.getoption("--smoke")
        names = [SMOKE_DATASET] if smoke else metafunc.config.getoption("--dataset") or OFFLINE_DATASETS
        metafunc.parametrize("dataset_name", names)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """--compare runs the comparison alone; a named dataset or algorithm leaves out the kernels."""
    comparing = config.getoption("--compare") is not None
    named = bool(config.getoption("--dataset") or config.getoption("--algo"))
    here = Path(__file__).parent

    def unwanted(item: pytest.Item) -> bool:
        if here not in item.path.parents:
            return False
        if named and here / "kernels" in item.path.parents:
            return True
        return comparing != (item.name == "test_compare")

    config.hook.pytest_deselected(items=[item for item in items if unwanted(item)])
    items[:] = [item for item in items if not unwanted(item)]
    if any(here in item.path.parents for item in items):
        _algorithms(config)  # a name that means nothing is said at once


@pytest.fixture(scope="session")
def algorithms(pytestconfig: pytest.Config) -> list[Algorithm]:
    """What takes part, the anchor first."""
    return _algorithms(pytestconfig)


@pytest.fixture(scope="session")
def deadline(pytestconfig: pytest.Config) -> float | None:
    """When the run's budget ends, on the monotonic clock."""
    budget = pytestconfig.getoption("--budget")
    return None if budget is None else time.monotonic() + budget


@pytest.fixture
def settings(pytestconfig: pytest.Config, dataset_name: str, deadline: float | None) -> Settings:
    """How to measure. A dataset may take three quarters of the time left, the last one all of it."""
    get = pytestconfig.getoption
    smoke = bool(get("--smoke"))
    budget = None
    if deadline is not None:
        last = smoke or dataset_name == (get("--dataset") or OFFLINE_DATASETS)[-1]
        budget = (deadline - time.monotonic()) * (1.0 if last else 0.75)
    return Settings(
        ks=tuple(get("--k") or (10,)),
        threads=tuple(get("--threads") or (1,)),
        rounds=min(get("--rounds"), 2) if smoke else get("--rounds"),
        budget=budget,
        pass_seconds=0.05 if smoke else 1.0,
        warm_up=20 if smoke else 100,
        build_timeout=60 if smoke else 3600,
        ends_only=smoke,
    )


@pytest.fixture(scope="session")
def run_folder(
    pytestconfig: pytest.Config, algorithms: list[Algorithm], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunFolder]:
    """The folder all sweeps of this run write into; plots and page are made when the last has ended."""
    parent = pytestconfig.getoption("--out")
    if parent is None:
        parent = tmp_path_factory.mktemp("smoke") if pytestconfig.getoption("--smoke") else RUNS
    command = ["pytest", *map(str, pytestconfig.invocation_params.args)]
    machine = describe_machine({algorithm.package for algorithm in algorithms}, command)
    folder = RunFolder(parent, pytestconfig.getoption("--run-name"), machine)
    yield folder
    if any((folder.path / "results").glob("*.json")):
        render(folder.path)
        pytestconfig.stash[FINISHED] = folder.path


@pytest.fixture
def say(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """Shows progress at once, past pytest's capture."""
    reporter = pytestconfig.pluginmanager.get_plugin("terminalreporter")
    capture = pytestconfig.pluginmanager.get_plugin("capturemanager")

    def write(line: str) -> None:
        if reporter is None or capture is None or pytestconfig.getoption("--smoke"):
            return
        with capture.global_and_fixture_disabled():
            reporter.ensure_newline()
            reporter.write_line(line)

    return write


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    folder = config.stash.get(FINISHED, None)
    if folder is None:
        return
    _, notes, results = load_run(folder)
    for table in tables(results):
        terminalreporter.section(f"{table.dataset}, k = {table.k}")
        lines = [HEADINGS, *(cells(row) for row in table.rows)]
        widths = [max(len(line[i]) for line in lines) for i in range(len(HEADINGS))]
        for line in lines:
            texts = [
                text.ljust(w) if i == 0 else text.rjust(w)
                for i, (text, w) in enumerate(zip(line, widths, strict=True))
            ]
            terminalreporter.write_line("  ".join(texts))
    for dataset, drift in notes["drift"].items():
        if drift:
            terminalreporter.write_line(
                f"{dataset}: anchor {drift['anchor']} drifted by {drift['median_change']:+.1%}"
            )
    terminalreporter.write_line(f"report: {folder / 'report.html'}")
