"""Searches by recall: what is promised is kept on queries never seen, and what can't be promised is said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from stop_helpers import DIM, METHODS, K, clustered, recalls, with_rules

import fastcbir as fc
from fastcbir import StopReason
from fastcbir.stop.curves import (
    Steps,
    ends_at,
    forest_scores,
    payments,
    plain_scores,
    price_scores,
    running_maximum,
)
from fastcbir.stop.model import PLAIN, PRICE, decode, encode


def truth_of(index: fc.Index, queries: npt.NDArray[Any], k: int) -> npt.NDArray[np.float32]:
    return index._core.nearest_values(queries, k, np.full(len(queries), -1), None, None, None)


@pytest.fixture(scope="module", params=list(METHODS))
def learned(request: pytest.FixtureRequest) -> fc.Index:
    index = fc.Index(DIM, METHODS[request.param])
    index.add(clustered(4000, 1), threads=1)  # the same graph every time
    index.fit_stop(clustered(2000, 2), k=(1, K), max_queries=2000, margin=0, budget_s=600)
    return index


@pytest.fixture
def ruled(learned: fc.Index) -> Iterator[fc.Index]:
    """Goes by rules wherever they keep the target."""
    model = learned._core.stop_model()
    yield with_rules(learned)
    learned._core.set_stop_model(model)


@pytest.mark.parametrize("target", [0.8, 0.9, 0.95, 0.98])
def test_the_promise_holds_for_new_queries(ruled: fc.Index, target: float) -> None:
    queries = clustered(2000, 3)
    hits = ruled.search(queries, K, recall=target)
    assert hits.stop_reason is not None and hits.estimated_recall is not None
    sure = hits.stop_reason == StopReason.TARGET
    assert sure.mean() > 0.99
    found = recalls(ruled, queries, hits)
    assert found.mean() > target - 4 * found.std() / np.sqrt(1500)
    assert hits.estimated_recall[sure].mean() == pytest.approx(found.mean(), abs=0.02)


def test_more_is_more(learned: fc.Index) -> None:
    queries = clustered(300, 4)
    costs = [learned.search(queries, K, recall=target).cost.mean() for target in (0.6, 0.9, 0.99)]
    assert costs == sorted(costs)
    assert costs[0] < costs[-1]


def test_each_query_with_a_probability(learned: fc.Index) -> None:
    queries = clustered(2000, 5)
    hits = learned.search(queries, K, recall=0.9, probability=0.95)
    assert (recalls(learned, queries, hits) >= 0.9 - 1e-6).mean() > 0.95 - 4 * 0.006
    assert hits.cost.mean() > learned.search(queries, K, recall=0.9).cost.mean()


def test_searches_stop_where_traces_say(ruled: fc.Index) -> None:
    """The core's limits end a search at the very step where its trace first reaches the threshold."""
    core = ruled._core
    model = decode(core.stop_model())
    queries = clustered(200, 6)
    truth = truth_of(ruled, queries, K)
    none = np.full(len(queries), -1)
    for target in (0.7, 0.9, 0.97):
        _, rule, threshold, _, _ = core.stop_plan(K, target, 0.0, 0.0)
        at = [
            c for c in model.curves if c.k == K and c.rule == rule and np.float32(threshold) in c.thresholds
        ]
        curve = at[0]
        offsets, rows = core.trace(queries, K, curve.cap, none, truth[:, -1], 0.0, None, False, None, None)
        steps = Steps(K, curve.cap, offsets, rows)
        if curve.forest is not None:
            scores = forest_scores(steps, curve.forest, curve.farthest)
        elif rule == PRICE:
            scores = price_scores(steps, curve.weight, curve.farthest)
        else:
            scores = plain_scores(steps)
        thresholds = np.array([threshold], np.float32)
        budgets = curve.budgets[curve.thresholds == thresholds][:1]
        paid = None if rule == PLAIN else payments(steps, curve.farthest, curve.forest is not None)
        widths = curve.widths[curve.thresholds == thresholds][:1] if rule == PRICE else None
        ends = ends_at(steps, running_maximum(steps, scores), thresholds, paid, budgets, widths)
        hits = ruled.search(queries, K, recall=target)
        assert hits.stop_reason is not None
        like = hits.stop_reason == StopReason.TARGET
        # A rounding of the logarithm may move a stop by a step, rarely.
        assert (hits.cost == ends.distances[0])[like].mean() > 0.98


def test_plain_searches_by_codes_are_those_with_the_ef_that_was_learned() -> None:
    """They look ahead, of which no trace of steps tells; their recalls were measured by whole searches."""
    index = fc.Index(DIM, METHODS["hnsw-codes"])
    index.add(clustered(4000, 1), threads=1)
    index.fit_stop(clustered(1500, 2), k=K, margin=0, shadow_every=0, threads=1)
    queries = clustered(1000, 3)
    plain = 0
    for target in (0.8, 0.85, 0.9):
        _, rule, ef, _, _ = index._core.stop_plan(K, target, 0.0, 0.0)
        if rule != PLAIN:
            continue
        plain += 1
        hits, same = index.search(queries, K, recall=target), index.search(queries, K, ef=int(ef))
        np.testing.assert_array_equal(hits.ids, same.ids)
        np.testing.assert_array_equal(hits.cost, same.cost)
        assert recalls(index, queries, hits).mean() > target - 0.02
    assert plain > 0


def test_what_was_learned_is_saved(learned: fc.Index, tmp_path: Path) -> None:
    queries = clustered(100, 8)
    learned.save(tmp_path / "a.fcx")
    before = learned.search(queries, K, recall=0.9)
    for mmap in (False, True):
        again = fc.load(tmp_path / "a.fcx", mmap=mmap)
        after = again.search(queries, K, recall=0.9)
        np.testing.assert_array_equal(before.ids, after.ids)
        np.testing.assert_array_equal(before.cost, after.cost)
        assert repr(again.recall_report().rows) == repr(learned.recall_report().rows)


def test_bytes_there_and_back(learned: fc.Index) -> None:
    data = learned._core.stop_model()
    assert encode(decode(data)) == data


def test_a_model_of_another_index_or_damaged_is_refused(learned: fc.Index) -> None:
    data = learned._core.stop_model()
    other = fc.Index(DIM, fc.Hnsw(m=8), metric="cosine")
    other.add(clustered(100, 1))
    with pytest.raises(ValueError, match="of another index"):
        other._core.set_stop_model(data)
    for end in range(0, len(data), 101):
        with pytest.raises(ValueError, match="the learned stop model"):
            learned._core.set_stop_model(data[:end])
    with pytest.raises(ValueError, match="more bytes"):
        learned._core.set_stop_model(data + b"\0")
    rng = np.random.default_rng(0)
    for _ in range(300):
        # Never a crash: what is taken in again must be a model.
        flipped = bytearray(data)
        flipped[rng.integers(len(data))] ^= 1 << rng.integers(8)
        try:
            learned._core.set_stop_model(bytes(flipped))
        except ValueError:
            continue
        learned.search(clustered(2, 1), K, recall=0.9)
    learned._core.set_stop_model(data)


@pytest.mark.parametrize("target", [0, -0.5, 1.2, float("nan"), "much"])
def test_recalls_out_of_range(learned: fc.Index, target: Any) -> None:
    with pytest.raises(ValueError, match="recall must be a number above 0 and at most 1"):
        learned.search(clustered(1, 1), K, recall=target)


@pytest.mark.parametrize("probability", [0, 1, 2, float("nan")])
def test_probabilities_out_of_range(learned: fc.Index, probability: float) -> None:
    with pytest.raises(ValueError, match="probability must be a number above 0 and below 1"):
        learned.search(clustered(1, 1), K, recall=0.9, probability=probability)
    with pytest.raises(ValueError, match="give recall too"):
        learned.search(clustered(1, 1), K, probability=0.9)


def test_recall_and_effort_exclude_each_other(learned: fc.Index) -> None:
    for effort in ({"ef": 10}, {"nprobe": 1}, {"max_distances": 5}):
        with pytest.raises(ValueError, match="give one of them"):
            learned.search(clustered(1, 1), K, recall=0.9, **effort)  # type: ignore[arg-type]


def test_without_learning_it_says_what_to_do() -> None:
    index = fc.Index(DIM, fc.Hnsw(m=8))
    index.add(clustered(50, 1))
    with pytest.raises(ValueError, match=r"call fit_stop\(\) once"):
        index.search(clustered(1, 1), 1, recall=0.9)
    with pytest.raises(ValueError, match=r"call fit_stop\(\) once"):
        index.recall_report()


def test_what_can_not_be_promised_is_said(learned: fc.Index) -> None:
    queries = clustered(50, 9)
    for kwargs, reason in (
        ({"recall": 1.0}, StopReason.UNREACHABLE),
        ({"recall": 0.9, "k": 50}, StopReason.BEYOND_K),
        ({"recall": 0.9, "allow": np.arange(3900)}, StopReason.FILTERED),
    ):
        hits = learned.search(queries, **{"k": K, **kwargs})  # type: ignore[arg-type]
        assert hits.stop_reason is not None and hits.estimated_recall is not None
        assert set(hits.stop_reason.tolist()) == {reason}
        # It goes as far as anything was learned about.
        usual = learned.search(queries, K, recall=0.9).cost.mean()
        assert hits.cost.mean() > 1.5 * usual
    assert np.isnan(hits.estimated_recall).all()


def test_many_results_of_a_graph_with_codes_are_promised_by_whole_searches() -> None:
    k = 40
    index = fc.Index(DIM, METHODS["hnsw-codes"])
    index.add(clustered(4000, 1), threads=1)
    index.fit_stop(clustered(2400, 2), k=k, margin=1, shadow_every=0, threads=1)
    curves = decode(index._core.stop_model()).curves
    assert [curve.rule for curve in curves] == [PLAIN]
    queries = clustered(600, 3)
    hits = index.search(queries, k, recall=0.95)
    assert hits.stop_reason is not None and hits.estimated_recall is not None
    assert (hits.stop_reason == StopReason.TARGET).all()
    assert recalls(index, queries, hits).mean() >= 0.94
    _, _, ef, *_ = index._core.stop_plan(k, 0.95, 0.0, 0.0)
    same = index.search(queries, k, ef=int(ef))
    np.testing.assert_array_equal(hits.ids, same.ids)
    np.testing.assert_array_equal(hits.cost, same.cost)


def test_queries_from_elsewhere_are_searched_in_full(ruled: fc.Index) -> None:
    queries = 40 + 5 * clustered(50, 10)
    rules = {target: ruled._core.stop_plan(K, target, 0.0, 0.0)[1] for target in (0.7, 0.8, 0.9, 0.95, 0.97)}
    target, rule = next((target, rule) for target, rule in rules.items() if rule != PLAIN)
    hits = ruled.search(queries, K, recall=target)
    assert hits.stop_reason is not None and hits.estimated_recall is not None
    assert (hits.stop_reason == StopReason.UNLIKE).all()
    assert np.isnan(hits.estimated_recall).all()
    if rule == PRICE:
        curve = next(c for c in decode(ruled._core.stop_model()).curves if (c.k, c.rule) == (K, PRICE))
        # Once with the narrow beam of the rule, then in full.
        assert (hits.cost > ruled.search(queries, K, ef=curve.cap).cost).all()


def test_an_index_that_grew_or_shrank_says_so() -> None:
    index = fc.Index(DIM, fc.Hnsw(m=8, ef_construction=40))
    index.add(clustered(1000, 1))
    index.fit_stop(k=K, max_queries=400)

    def reason() -> int:
        return index._core.stop_plan(K, 0.8, 0.0, 0.0)[0]

    assert reason() == StopReason.TARGET
    index.add(clustered(600, 3))
    assert reason() == StopReason.AGED
    hits = index.search(clustered(20, 2), K, recall=0.8)
    assert hits.stop_reason is not None
    assert set(hits.stop_reason.tolist()) == {StopReason.AGED}
    index.fit_stop(k=K, max_queries=400)
    index.remove(np.arange(100))
    assert reason() == StopReason.TARGET
    index.remove(np.arange(100, 600))
    assert reason() == StopReason.AGED
    index.compact()
    assert reason() == StopReason.AGED


def test_new_lists_must_be_learned_anew() -> None:
    index = fc.Index(DIM, fc.Ivf())
    index.add(clustered(1000, 1))
    index.fit_stop(k=K, max_queries=400)
    index.train(clustered(500, 2))
    with pytest.raises(ValueError, match=r"call fit_stop\(\) once"):
        index.search(clustered(1, 3), K, recall=0.9)


@pytest.mark.parametrize("metric", ["ip", "cosine"])
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_other_metrics_and_types(metric: Any, dtype: Any) -> None:
    def draw(count: int, seed: int) -> npt.NDArray[Any]:
        values = clustered(count, seed)
        return np.clip(values * 20 + 100, 0, 255).astype(np.uint8) if dtype == "uint8" else values

    index = fc.Index(DIM, fc.Hnsw(m=16, ef_construction=60), metric=metric, dtype=dtype)
    index.add(draw(2000, 1))
    report = index.fit_stop(draw(1000, 2), k=K, max_queries=1000, margin=0)
    queries = draw(1000, 3)
    hits = index.search(queries, K, recall=0.9)
    assert hits.stop_reason is not None
    assert (hits.stop_reason == StopReason.TARGET).mean() > 0.98
    assert recalls(index, queries, hits).mean() > 0.9 - 0.02
    assert report.rows[0].distances <= report.rows[2].distances


def test_one_own_vector_is_not_found_among_the_others() -> None:
    index = fc.Index(DIM, fc.Hnsw(m=8, ef_construction=40))
    index.add(clustered(500, 1))
    own = index._core.draw_queries(100, 0)
    queries = index.reconstruct(own)
    nearest = index._core.nearest_values(queries, 1, own, None, None, None)
    assert (nearest > 0).all()
    offsets, rows = index._core.trace(queries, 1, 100, own, nearest[:, 0], 0.0, None, True, None, None)
    assert (rows[offsets[1:] - 1, 3] >= nearest[:, 0]).all()


@pytest.mark.parametrize("count", [20, 50])
def test_few_vectors(count: int) -> None:
    index = fc.Index(DIM, fc.Hnsw(m=4))
    index.add(clustered(count, 1))
    index.fit_stop()
    queries = clustered(40, 2)
    hits = index.search(queries, 5, recall=0.99)
    assert hits.stop_reason is not None
    assert set(hits.stop_reason.tolist()) == {StopReason.UNREACHABLE}
    assert recalls(index, queries, hits).mean() == 1


def test_all_vectors_equal() -> None:
    index = fc.Index(DIM, fc.Hnsw(m=8))
    index.add(np.ones((600, DIM), np.float32))
    index.fit_stop(k=K, max_queries=300)
    hits = index.search(np.ones((3, DIM), np.float32), K, recall=0.9)
    assert (hits.distances == 0).all()


def test_exact_search_keeps_every_promise() -> None:
    index = fc.Index(DIM, fc.Flat())
    index.add(clustered(50, 1))
    hits = index.search(clustered(3, 2), 5, recall=0.99)
    assert hits.stop_reason is not None and hits.estimated_recall is not None
    assert set(hits.stop_reason.tolist()) == {StopReason.EXACT}
    assert (hits.estimated_recall == 1).all()
    with pytest.raises(RuntimeError, match="nothing to learn"):
        index.fit_stop()


def test_wrong_arguments() -> None:
    index = fc.Index(DIM, fc.Hnsw(m=8))
    with pytest.raises(ValueError, match="from 20 vectors on, this one has 0"):
        index.fit_stop()
    index.add(clustered(100, 1))
    with pytest.raises(ValueError, match="at least 200 to learn from, got 10"):
        index.fit_stop(clustered(10, 1))
    with pytest.raises(ValueError, match="k must be"):
        index.fit_stop(k=0)
    with pytest.raises(ValueError, match="margin must not be negative"):
        index.fit_stop(margin=-1)
    with pytest.raises(ValueError, match=r"shape \(Q, 24\), got \(300, 3\)"):
        index.fit_stop(np.ones((300, 3), np.float32))


def test_progress_and_cancelling() -> None:
    index = fc.Index(DIM, fc.Hnsw(m=8))
    index.add(clustered(2000, 1))
    seen: list[tuple[int, int]] = []
    index.fit_stop(k=K, max_queries=1000, progress=lambda done, total: seen.append((done, total)))
    assert all(0 <= done <= total for done, total in seen)

    def cancel(done: int, total: int) -> None:
        raise KeyboardInterrupt

    before = index._core.stop_model()
    with pytest.raises(KeyboardInterrupt):
        while True:  # progress is told of twenty times a second: a short phase may end before the first
            index.fit_stop(k=(1, K, 100), max_queries=1900, progress=cancel, seed=1)
    assert index._core.stop_model() == before or index.search(clustered(1, 1), K, recall=0.5).ids.shape == (
        1,
        K,
    )


def test_no_tail_grows(ruled: fc.Index) -> None:
    """The slowest searches by a rule cost about as much as those of a fixed effort that finds as much."""
    queries = clustered(2000, 21)
    core = ruled._core
    hits = ruled.search(queries, K, recall=0.95)
    assert hits.stop_reason is not None
    if core.stop_plan(K, 0.95, 0.0, 0.0)[1] == PLAIN:
        return
    found = recalls(ruled, queries, hits).mean()
    effort = "nprobe" if ruled.info().get("nlist") else "ef"
    for value in range(1 if effort == "nprobe" else K, 400):
        plain = ruled.search(queries, K, **{effort: value})
        if recalls(ruled, queries, plain).mean() >= found:
            break
    slow = np.quantile(hits.cost[hits.stop_reason == StopReason.TARGET], 0.99)
    assert slow < 1.25 * np.quantile(plain.cost, 0.99)
