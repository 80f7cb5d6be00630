"""Promise: recall, average precision and mP@k are what a slow and obvious reference says, per query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from fastcbir.metrics import (
    average_precision,
    bootstrap_interval,
    evaluate_revisitop,
    mean_average_precision,
    precision_at_k,
    recall_at_k,
)


def slow_recall(found: Any, true: Any, k: int) -> list[float]:
    recalls = []
    for answers, wanted in zip(found, true, strict=True):
        right = {int(i) for i in wanted[:k] if i >= 0}
        got = {int(i) for i in answers[:k] if i >= 0}
        recalls.append(len(right & got) / len(right) if right else float("nan"))
    return recalls


def slow_positions(ranking: Sequence[int], right: set[int], junk: set[int]) -> list[int]:
    """Zero-based places of the right answers once junk is crossed out of the list."""
    return [place for place, item in enumerate(i for i in ranking if i not in junk) if item in right]


def slow_ap(ranking: Sequence[int], right: set[int], junk: set[int]) -> float:
    area = 0.0
    for hits_before, place in enumerate(slow_positions(ranking, right, junk)):
        left = 1.0 if place == 0 else hits_before / place
        area += (left + (hits_before + 1) / (place + 1)) / 2 / len(right)
    return area


def slow_precision(ranking: Sequence[int], right: set[int], junk: set[int], k: int) -> float:
    places = [place + 1 for place in slow_positions(ranking, right, junk)]
    depth = min(max(places), k)
    return sum(place <= depth for place in places) / depth


def test_recall_equals_the_sets() -> None:
    rng = np.random.default_rng(1)
    for k in (1, 3, 10):
        true = np.stack([rng.permutation(40)[:12] for _ in range(50)])
        found = np.stack([rng.permutation(40)[:15] for _ in range(50)])
        found[rng.random(found.shape) < 0.1] = -1
        true[7, 5:] = -1
        true[8] = -1
        np.testing.assert_allclose(recall_at_k(found, true, k), slow_recall(found, true, k))


def test_recall_in_many_chunks_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    true, found = (np.stack([rng.permutation(30)[:10] for _ in range(23)]) for _ in range(2))
    whole = recall_at_k(found, true, 10)
    monkeypatch.setattr("fastcbir.metrics._CHUNK_CELLS", 500)
    np.testing.assert_array_equal(recall_at_k(found, true, 10), whole)


def test_an_id_found_twice_counts_once() -> None:
    assert recall_at_k([[4, 4, 4]], [[4, 5, 6]], 3) == pytest.approx([1 / 3])


def test_a_tie_is_a_hit_only_with_distances() -> None:
    found, true = [[1, 9]], [[1, 2]]
    assert recall_at_k(found, true, 2) == [0.5]
    kwargs = {"true_distances": [[0.5, 0.75]]}
    assert recall_at_k(found, true, 2, found_distances=[[0.5, 0.75]], **kwargs) == [1.0]
    assert recall_at_k(found, true, 2, found_distances=[[0.5, 0.7500001]], **kwargs) == [1.0]
    assert recall_at_k(found, true, 2, found_distances=[[0.5, 0.751]], **kwargs) == [0.5]
    assert recall_at_k(found, true, 2, found_distances=[[0.5, 0.751]], tolerance=0.01, **kwargs) == [1.0]


def test_ties_work_with_negative_distances_and_missing_neighbours() -> None:
    # Inner products: -8 is the limit, and -7.9 is farther.
    true, far = [[1, 2, -1]], [[-9.0, -8.0, np.inf]]
    assert recall_at_k([[1, 5, 6]], true, 3, found_distances=[[-9.0, -8.0, -7.9]], true_distances=far) == [
        1.0
    ]
    assert recall_at_k([[1, 5, 6]], true, 3, found_distances=[[-9.0, -7.9, -7.8]], true_distances=far) == [
        0.5
    ]
    # A missing answer is no hit, however its distance compares.
    none = [[-1, -1, -1]]
    infinite = [[np.inf] * 3]
    assert recall_at_k(none, true, 3, found_distances=infinite, true_distances=infinite) == [0.0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[1]], [[1]], 0), "k must be at least 1"),
        (([[1]], [[1, 2]], 2), "found_ids has 1 columns, fewer than k = 2"),
        (([[1]], [[1], [2]], 1), "found_ids has 1 rows"),
        (([1], [[1]], 1), "found_ids must be 2-D"),
        (([[1.5]], [[1]], 1), "must hold integer ids, not float64"),
    ],
)
def test_recall_refuses(arguments: tuple[Any, Any, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        recall_at_k(*arguments)


def test_recall_refuses_half_of_the_distances() -> None:
    with pytest.raises(ValueError, match="only found_distances is given"):
        recall_at_k([[1]], [[1]], 1, found_distances=[[0.0]])
    with pytest.raises(ValueError, match="true_distances must be"):
        recall_at_k([[1]], [[1]], 1, found_distances=[[0.0]], true_distances=[[0.0], [1.0]])


def test_average_precision_and_precision_equal_the_reference() -> None:
    rng = np.random.default_rng(3)
    for _ in range(200):
        n = int(rng.integers(2, 40))
        ranking = rng.permutation(n)
        shuffled = rng.permutation(n)
        positives = int(rng.integers(1, n))
        right = {int(i) for i in shuffled[:positives]}
        junk = {int(i) for i in shuffled[positives : positives + int(rng.integers(0, n - positives + 1))]}
        args = (ranking.tolist(), right, junk)
        assert average_precision(ranking, sorted(right), sorted(junk)) == pytest.approx(slow_ap(*args))
        for k in (1, 5, 10):
            expected = slow_precision(*args, k)
            assert precision_at_k(ranking, sorted(right), k, sorted(junk)) == pytest.approx(expected)


def test_known_values() -> None:
    assert average_precision([7, 8, 9], [7, 8]) == 1.0
    # One right answer in second place: the trapezoid between 0/1 and 1/2.
    assert average_precision([1, 7], [7]) == 0.25
    assert average_precision([3, 1, 7], [7], junk=[3]) == 0.25
    assert np.isnan(average_precision([1, 2], []))
    assert np.isnan(precision_at_k([1, 2], [], 1))
    # Two right answers, both in front: k = 10 is lowered to 2.
    assert precision_at_k([7, 8, 1, 2], [7, 8], 10) == 1.0


def test_a_cut_ranking_counts_what_it_lacks_as_lost() -> None:
    assert average_precision([7], [7, 8]) == 0.5
    assert average_precision([7, -1, -1], [7, 8]) == 0.5
    assert precision_at_k([7, 1], [7, 8], 10) == 0.1
    assert precision_at_k([1, 2], [7], 2) == 0.0


def test_mean_leaves_out_queries_without_an_answer() -> None:
    assert mean_average_precision([[1, 2], [1, 2], [1, 2]], [[1], [], [2]]) == pytest.approx((1 + 0.25) / 2)
    assert np.isnan(mean_average_precision([[1]], [[]]))
    with pytest.raises(ValueError, match="ranked_ids has 1 queries but relevant has 2"):
        mean_average_precision([[1]], [[1], [2]])


def test_rankings_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="more than once"):
        average_precision([1, 2, 1], [1])
    with pytest.raises(ValueError, match="id 3 is both relevant and junk"):
        average_precision([1, 2, 3], [3], [3])


def slow_revisitop(ranks: Any, gnd: list[dict[str, list[int]]], ks: list[int], protocol: str) -> Any:
    """mAP and mP@k of one protocol, the way it is told: query by query, skipping those without an answer."""
    aps, precisions = [], []
    for ranking, entry in zip(ranks.tolist(), gnd, strict=True):
        easy, hard, junk = (set(entry[key]) for key in ("easy", "hard", "junk"))
        right = {"E": easy, "M": easy | hard, "H": hard}[protocol]
        ignored = {"E": junk | hard, "M": junk, "H": junk | easy}[protocol]
        if right:
            aps.append(slow_ap(ranking, right, ignored))
            precisions.append([slow_precision(ranking, right, ignored, k) for k in ks])
    return np.mean(aps), np.mean(precisions, axis=0)


def test_revisitop_protocols_equal_the_reference() -> None:
    rng = np.random.default_rng(4)
    images, ks = 300, [1, 5, 10]
    gnd, ranks = [], []
    for query in range(30):
        counts = [0 if query % 7 == 0 else 9, 0 if query % 5 == 1 else 14, 20]
        parts = np.split(rng.permutation(images)[: sum(counts)], np.cumsum(counts)[:-1])
        gnd.append({key: part.tolist() for key, part in zip(("easy", "hard", "junk"), parts, strict=True)})
        # Right answers tend to the front, as a real ranking has them.
        scores = rng.normal(size=images)
        scores[parts[0]] += 2
        scores[parts[1]] += 1
        ranks.append(np.argsort(-scores, kind="stable"))
    scores = evaluate_revisitop(np.stack(ranks), gnd, ks)
    for protocol, got in (("E", scores.easy), ("M", scores.medium), ("H", scores.hard)):
        expected_map, expected_precision = slow_revisitop(np.stack(ranks), gnd, ks, protocol)
        assert got.mean_average_precision == pytest.approx(expected_map)
        np.testing.assert_allclose(got.mean_precision, expected_precision)
        assert got.average_precision.shape == (30,)
        assert got.precision.shape == (30, 3)
    assert np.isnan(scores.easy.average_precision[[0, 7, 14, 21, 28]]).all()
    assert np.isnan(scores.easy.average_precision).sum() == 5
    assert not np.isnan(scores.medium.average_precision[2])


def test_revisitop_refuses_what_does_not_fit() -> None:
    entry = {"easy": [0], "hard": [], "junk": []}
    with pytest.raises(ValueError, match="ranks has 2 queries but gnd has 1"):
        evaluate_revisitop([[0, 1], [1, 0]], [entry])
    with pytest.raises(ValueError, match=r"gnd\[0\] has no \['hard', 'junk'\]"):
        evaluate_revisitop([[0, 1]], [{"easy": [0]}])


def test_bootstrap_interval() -> None:
    rng = np.random.default_rng(5)
    values = rng.normal(3.0, 1.0, 400)
    interval = bootstrap_interval(values)
    # The mean of 400 draws of N(3, 1) has a standard error of 0.05; 95 % lie within 1.96 of it.
    error = values.std() / 20
    assert interval.low == pytest.approx(values.mean() - 1.96 * error, abs=0.01)
    assert interval.high == pytest.approx(values.mean() + 1.96 * error, abs=0.01)
    assert bootstrap_interval(values) == interval
    assert bootstrap_interval(values, seed=1) != interval
    assert bootstrap_interval([*values, np.nan]) == interval
    assert bootstrap_interval([2.0, 2.0]) == (2.0, 2.0)
    wide = bootstrap_interval(values, confidence=0.99)
    assert wide.low < interval.low and wide.high > interval.high
    middle = bootstrap_interval(values, statistic=lambda sample: float(np.median(sample)))
    assert middle.low < np.median(values) < middle.high
    assert np.isnan(bootstrap_interval([np.nan])).all()
    with pytest.raises(ValueError, match="confidence must lie between 0 and 1"):
        bootstrap_interval(values, confidence=95)
    with pytest.raises(ValueError, match="must be 1-D"):
        bootstrap_interval([[1.0]])
