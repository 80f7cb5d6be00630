"""`pytest benchmarks/`: one sweep for each dataset, or with --compare two results beside each other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.compare import compare
from benchmarks.conftest import SMOKE_DATASET
from benchmarks.folder import RunFolder
from benchmarks.problem import load_problem, smoke_problem
from benchmarks.protocol import Algorithm
from benchmarks.runner import Settings, Sweep


def test_sweep(
    dataset_name: str,
    algorithms: list[Algorithm],
    settings: Settings,
    run_folder: RunFolder,
    say: Callable[[str], None],
    pytestconfig: pytest.Config,
) -> None:
    """Every algorithm that can run here is built and measured; nothing is asserted about speed."""
    if dataset_name == SMOKE_DATASET:
        problem = smoke_problem(as_bytes=True)
    else:
        get = pytestconfig.getoption
        problem = load_problem(
            dataset_name,
            max(settings.ks),
            max_queries=get("--queries"),
            n=get("--n"),
            metric=get("--metric"),
            held_out=get("--held-out"),
            seed=get("--held-out-seed"),
        )
    sweep = Sweep(problem, algorithms, settings, run_folder.path, say)
    results = sweep.run()
    run_folder.add(sweep)
    # a peer that fails on its own is a finding; what was asked for by name, or is ours, has to work
    named = bool(pytestconfig.getoption("--algo"))
    ours = {algorithm.name for algorithm in algorithms if algorithm.own or named}
    broken = [item["reason"] for item in sweep.failed if item["algorithm"] in ours]
    assert not broken, "\n".join(broken)
    if not results:
        pytest.skip(
            "nothing could run: " + "; ".join(item["reason"] for item in sweep.skipped + sweep.failed)
        )
    for result in results:
        assert result.metrics["recall"] > 0, f"{result.algorithm} {result.query_params} found nothing right"


def test_compare(pytestconfig: pytest.Config, say: Callable[[str], None]) -> None:
    """Prints A over B; with --at-least fails below that ratio."""
    a, b = (Path(name) for name in pytestconfig.getoption("--compare"))
    found = compare(a, b)
    for line in found.lines:
        say(line)
    least, recall = pytestconfig.getoption("--at-least"), pytestconfig.getoption("--at-recall")
    if least is None:
        return
    ratio = found.qps_ratio if recall is None else found.at_recall.get(recall)
    assert ratio is not None, (
        f"no ratio at recall {recall}; both curves reach {sorted(found.at_recall) or 'none'}"
    )
    assert ratio >= least, f"A/B is {ratio:.3f} in QPS, wanted at least {least}"
