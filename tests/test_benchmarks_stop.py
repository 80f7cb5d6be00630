"""The benchmark of stopping runs, and what it judges rules by agrees with a slow, obvious account."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.stop import ada_ef, learned, lists, rules
from benchmarks.stop.__main__ import main
from benchmarks.stop.data import thinned
from benchmarks.stop.judge import Oracle, chosen

import fastcbir as fc
from fastcbir.stop.curves import Steps

pytest.importorskip("matplotlib", reason="the benchmarks need the extra 'bench'")


def made_up(queries: int = 40, k: int = 3) -> Steps:
    """Traces in which distances grow, and found never falls."""
    rng = np.random.default_rng(1)
    parts = []
    for _ in range(queries):
        count = int(rng.integers(5, 30))
        rows = np.zeros((count, 12), np.float32)
        rows[:, 0] = np.cumsum(rng.integers(1, 9, count))
        rows[:, 1] = np.sort(rng.uniform(1, 5, count))
        rows[:, 2] = np.arange(count)
        rows[:, 3] = np.sort(rng.uniform(1, 2, count))[::-1]
        rows[:, 4] = np.sort(rng.integers(0, k + 1, count))
        rows[:, 6] = np.diff(rows[:, 4], prepend=0)
        parts.append(rows)
    offsets = np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int64)
    return Steps(k, 30, offsets, np.concatenate(parts))


def test_a_rule_ends_where_its_score_first_reaches_the_threshold() -> None:
    steps = made_up()
    outcome = rules.budget(steps, slice(0, 40))[0]
    for query in range(40):
        rows = steps.rows[steps.offsets[query] : steps.offsets[query + 1]]
        for found, paid in zip(outcome.found[:, query], outcome.distances[:, query], strict=True):
            at = int(np.nonzero(rows[:, 0] == paid)[0][0])
            assert rows[at, 4] == found
    assert (np.diff(outcome.costs) >= 0).all()


def test_the_oracle_is_never_dearer_than_any_rule() -> None:
    steps = made_up(200)
    oracle, everyone = Oracle(steps), np.arange(200)
    design = slice(0, 200)
    for outcome in [*rules.plain(steps, design), *rules.gamma(steps, design), *rules.price(steps, design)]:
        for found, paid in zip(outcome.found, outcome.distances, strict=True):
            recall = float(found.mean()) / steps.k
            if 0.4 < recall < 0.9:
                assert oracle.cost(everyone, recall) <= paid.mean() * 1.02


def test_the_choice_is_the_least_that_risk_control_allows() -> None:
    steps = made_up(300)
    outcome = rules.plain(steps, slice(0, 300))[0]
    queries = np.arange(100, 300)
    choice = chosen([outcome], queries, steps.k, 0.6, 0.0)
    assert choice is not None
    losses = 1 - outcome.found[:, queries].astype(float) / steps.k
    allowed = [(loss.sum() + 1) / 201 <= 0.4 + 1e-7 for loss in losses]
    assert all(allowed[choice[1] :])
    assert not allowed[choice[1] - 1]
    assert chosen([outcome], queries, steps.k, 0.9999, 0.0) is None


def test_thinned_steps_keep_first_and_last() -> None:
    steps = made_up()
    thin, at = thinned(steps, 1.5)
    assert (thin.rows == steps.rows[at]).all()
    assert (at[thin.offsets[:-1]] == steps.offsets[:-1]).all()
    assert (at[thin.last] == steps.last).all()
    assert len(at) < len(steps.rows)


@pytest.mark.parametrize("with_trees", [False, True])
def test_it_runs(tmp_path: Path, with_trees: bool) -> None:
    if with_trees and not learned.available():
        pytest.skip("LightGBM is not installed: pip install 'fastcbir[learn]'")
    rest = ["--no-times"] if with_trees else ["--no-learned"]
    assert main(["--smoke", "--k", "10", "--out", str(tmp_path), *rest]) == 0
    told = json.loads((tmp_path / "stop-smoke-hnsw-none.json").read_text())
    names = {row["rule"] for row in told["simulated"][0]["rules"]}
    assert {"product", "fixed", "price", "gamma", "patience"} <= names
    assert ({"LAET", "DARTH", "P(found)", "gain trees"} <= names) == with_trees
    assert ("times" in told) != with_trees
    assert (tmp_path / "stop-smoke-hnsw-none-k10.png").stat().st_size > 0


@pytest.mark.parametrize("codec", ["none", "rabitq2"])
def test_it_runs_on_lists(tmp_path: Path, codec: str) -> None:
    trees = [] if learned.available() else ["--no-learned"]
    arguments = ["--smoke", "--k", "1", "--method", "ivf", "--codec", codec, "--no-times", *trees]
    assert main([*arguments, "--out", str(tmp_path)]) == 0
    told = json.loads((tmp_path / f"stop-smoke-ivf-{codec}.json").read_text())
    names = {row["rule"] for row in told["simulated"][0]["rules"]}
    assert {"product", "fixed", "forest", "SPANN", "patience", "ConANN", "APS"} <= names


def test_centroids_are_read_from_the_file() -> None:
    rng = np.random.default_rng(2)
    vectors = np.repeat(rng.standard_normal((8, 20)), 50, axis=0).astype(np.float32)
    index = fc.Index(20, fc.Ivf(nlist=8, codec=None))
    index.add(vectors)
    found = lists.centroids_of(index)
    assert found.shape == (8, 20)
    apart = np.linalg.norm(found[:, None] - vectors[None, ::50], axis=2)
    assert (np.sort(apart.min(0))[:4] < 1e-3).all()


@pytest.mark.parametrize("metric", ["l2", "cosine", "ip"])
def test_ada_ef_knows_mean_and_deviation_of_all_distances(metric: Any) -> None:
    rng = np.random.default_rng(4)
    base = rng.standard_normal((3000, 8)).astype(np.float32) + 1
    queries = rng.standard_normal((40, 8)).astype(np.float32)
    exact = fc.Index(8, fc.Flat(), metric=metric)
    exact.add(base)
    distances = exact.search(queries, k=3000).distances
    rows, asked = base, queries
    if metric == "cosine":
        rows, asked = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (base, queries))
    mean, deviation = ada_ef._moments(rows.astype(float), asked.astype(float), metric)
    np.testing.assert_allclose(mean, distances.mean(1), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(deviation, distances.std(1), rtol=1e-3)
    index = fc.Index(8, fc.Hnsw(), metric=metric)
    index.add(base)
    scores = ada_ef.scores_of(index, base, queries, metric)
    assert scores.shape == (40,)
    assert (scores >= 0).all()
    assert (scores <= 100).all()
    assert len(np.unique(scores)) > 1


def test_ada_ef_gives_each_score_the_least_ef_that_reaches_the_recall() -> None:
    steps = made_up(400)
    design = slice(0, 400)
    plain = rules.plain(steps, design)[0]
    scores = np.arange(400) % 2
    outcome = ada_ef.by_score(plain, scores.astype(float), design, steps.k)[0]
    at = int(np.searchsorted(ada_ef.RECALLS, 0.6))
    for score in (0, 1):
        some = scores == score
        recalls = plain.found[:, some].mean(1) / steps.k
        chosen_ef = int(np.argmax(recalls >= ada_ef.RECALLS[at]))
        np.testing.assert_array_equal(outcome.found[at, some], plain.found[chosen_ef, some])
        np.testing.assert_array_equal(outcome.distances[at, some], plain.distances[chosen_ef, some])
