"""Promise: the public ann-benchmarks harness can run fastcbir unchanged.

Its package is restated here as far as it touches an algorithm: where modules live, how config.yml becomes
constructor and query arguments, and which calls the runner makes with what it asserts about their answers.
"""

from __future__ import annotations

import importlib
import itertools
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

yaml = pytest.importorskip("yaml", reason="ann-benchmarks reads its settings from YAML")
pytest.importorskip("fastcbir._core")

SOURCE = Path(__file__).resolve().parent.parent / "benchmarks" / "ann_benchmarks"

BASE = """
from multiprocessing.pool import ThreadPool

class BaseANN:
    def done(self): pass
    def get_memory_usage(self): return 1.0
    def fit(self, X): pass
    def query(self, q, n): return []
    def batch_query(self, X, n): self.res = ThreadPool().map(lambda q: self.query(q, n), X)
    def get_batch_results(self): return self.res
    def get_additional(self): return {}
    def __str__(self): return self.name
"""


@pytest.fixture
def harness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package tree as in the harness, with our folder dropped in under algorithms/."""
    algorithms = tmp_path / "ann_benchmarks" / "algorithms"
    (algorithms / "base").mkdir(parents=True)
    for folder in (algorithms.parent, algorithms, algorithms / "base"):
        (folder / "__init__.py").touch()
    (algorithms / "base" / "module.py").write_text(BASE)
    shutil.copytree(SOURCE, algorithms / "fastcbir", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield algorithms
    for name in [name for name in sys.modules if name.split(".")[0] == "ann_benchmarks"]:
        del sys.modules[name]


def definitions(config: Path, point_type: str, metric: str) -> list[dict[str, Any]]:
    """config.yml as the harness expands it: every argument group times every query argument group."""
    by_metric = yaml.safe_load(config.read_text())[point_type]
    found = []
    for algorithm in by_metric["any"] if "any" in by_metric else by_metric.get(metric, []):
        assert {"docker_tag", "module", "constructor", "name", "disabled"} <= set(algorithm)
        for group in algorithm["run_groups"].values():
            choices = []
            for argument in group["arg_groups"]:
                values = [value if isinstance(value, list) else [value] for value in argument.values()]
                choices.append(
                    [dict(zip(argument, point, strict=True)) for point in itertools.product(*values)]
                )
            queries = [list(point) for point in itertools.product(*group["query_args"])]
            for arguments in itertools.product(*choices):
                base = [metric if value == "@metric" else value for value in algorithm["base_args"]]
                found.append({**algorithm, "arguments": [*base, *arguments], "queries": queries})
    return found


def run(
    definition: dict[str, Any], train: np.ndarray, test: np.ndarray, count: int, batch: bool
) -> list[float]:
    """What the runner does with one definition; recall of each query setting."""
    module = importlib.import_module(f"{definition['module']}.module")
    algorithm = getattr(module, definition["constructor"])(*definition["arguments"])
    before = algorithm.get_memory_usage()
    algorithm.fit(train)
    assert algorithm.get_memory_usage() - before >= 0
    a, b = test.astype(np.float64), train.astype(np.float64)
    if definition["arguments"][0] == "angular":
        a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    truth = np.argsort(((a[:, None] - b[None]) ** 2).sum(2), axis=1)[:, :count]
    recalls = []
    for arguments in definition["queries"]:
        algorithm.set_query_arguments(*arguments)
        assert str(arguments[0]) in str(algorithm)
        if batch:
            assert algorithm.batch_query(test, count) is None
            answers = algorithm.get_batch_results()
        else:
            answers = [algorithm.query(row, count) for row in test]
        assert len(answers) == len(test)
        for answer in answers:
            assert len(answer) == len(set(answer)) <= count
        hits = [len({int(i) for i in answer} & set(row)) for answer, row in zip(answers, truth, strict=True)]
        recalls.append(sum(hits) / truth.size)
    assert set(map(str, algorithm.get_additional())) >= {"memory_bytes"}
    algorithm.done()
    return recalls


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("metric", ["euclidean", "angular"])
def test_the_runner_finds_neighbours(harness: Path, metric: str, batch: bool) -> None:
    rng = np.random.default_rng(1)
    train, test = (
        rng.normal(size=(400, 12)).astype(np.float32),
        rng.normal(size=(15, 12)),
    )  # queries are doubles
    found = definitions(harness / "fastcbir" / "config.yml", "float", metric)
    assert len(found) == 5
    for definition in found:
        recalls = run(definition, train, test, 10, batch)
        assert recalls[-1] >= 0.99, definition["arguments"]


def test_binary_codes(harness: Path) -> None:
    rng = np.random.default_rng(2)
    train, test = (rng.integers(0, 2, size=(n, 64)).astype(bool) for n in (300, 10))
    (definition,) = definitions(harness / "fastcbir" / "config.yml", "bit", "hamming")
    module = importlib.import_module("ann_benchmarks.algorithms.fastcbir.module")
    algorithm = getattr(module, definition["constructor"])(*definition["arguments"])
    algorithm.fit(train)
    algorithm.set_query_arguments(400)
    for row in test:
        found = algorithm.query(row, 5)
        distances = (train != row).sum(axis=1)
        assert sorted(distances[found]) == sorted(distances)[:5], "ties may differ, distances may not"


def test_fewer_vectors_than_asked_for_leaves_no_placeholders(harness: Path) -> None:
    module = importlib.import_module("ann_benchmarks.algorithms.fastcbir.module")
    algorithm = module.FastcbirHnsw("euclidean", {"m": 4, "ef_construction": 20})
    algorithm.fit(np.eye(3, dtype=np.float32))
    algorithm.set_query_arguments(10)
    assert sorted(algorithm.query(np.zeros(3), 10)) == [0, 1, 2]
    with pytest.raises(ValueError, match="jaccard"):
        module.FastcbirHnsw("jaccard", {})
