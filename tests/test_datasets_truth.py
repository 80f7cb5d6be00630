"""Promise: exact neighbours are exact, and a stored truth is checked, brought to one scale, or refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fastcbir.datasets import Dataset, exact_neighbors, neighbor_distances, with_truth
from fastcbir.datasets.truth import check_truth
from fastcbir.errors import FormatError

METRICS = ("l2", "ip", "cosine", "hamming")


def slow_distance(x: Any, q: Any, metric: str) -> float:
    x, q = np.asarray(x, np.float64), np.asarray(q, np.float64)
    if metric == "l2":
        return float(((x - q) ** 2).sum())
    if metric == "hamming":
        return float((x != q).sum())
    if metric == "ip":
        return float(-(x @ q))
    return float(1 - x @ q / np.sqrt((x @ x) * (q @ q)))


def made(metric: str, k: int = 12) -> Dataset:
    rng = np.random.default_rng(9)
    if metric == "hamming":
        base, queries = (rng.integers(0, 2, (n, 64), dtype=np.uint8) for n in (70, 40))
    else:
        base, queries = (rng.normal(size=(n, 9)).astype(np.float32) for n in (70, 40))
    ids, distances = [], []
    for q in queries:
        far = np.array([slow_distance(x, q, metric) for x in base])
        order = np.argsort(far, kind="stable")[:k]
        ids.append(order)
        distances.append(far[order])
    truth = np.array(distances, dtype=np.float32)
    return Dataset("made", base, queries, metric, neighbors=np.array(ids), distances=truth)


@pytest.mark.parametrize("metric", METRICS)
def test_neighbor_distances_equal_the_reference(metric: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = made(metric)
    assert data.neighbors is not None
    ids = data.neighbors.copy()
    ids[3, 4:] = -1
    for cells in (16_000_000, 300):
        monkeypatch.setattr("fastcbir.datasets.truth._CELLS_AT_ONCE", cells)
        got = neighbor_distances(data.base, data.queries, ids, metric)
        np.testing.assert_allclose(got[:3], data.distances[:3], rtol=1e-5, atol=1e-6)
        assert np.isinf(got[3, 4:]).all()


@pytest.mark.parametrize("metric", METRICS)
def test_exact_neighbors_equal_the_reference(metric: str) -> None:
    data = made(metric)
    ids, distances = exact_neighbors(data.base, data.queries, 12, data.index_metric)
    np.testing.assert_allclose(distances, data.distances, rtol=1e-4, atol=1e-5)
    if metric != "hamming":
        np.testing.assert_array_equal(ids, data.neighbors)
    with pytest.raises(ValueError, match="k=71 neighbours were asked for but the base holds 70"):
        exact_neighbors(data.base, data.queries, 71, data.index_metric)


def test_exact_neighbors_of_bytes_and_halves() -> None:
    rng = np.random.default_rng(10)
    for base in (
        rng.integers(0, 256, (50, 8), dtype=np.uint8),
        rng.integers(-128, 128, (50, 8), dtype=np.int8),
        rng.normal(size=(50, 8)).astype(np.float16),
    ):
        for metric in ("l2", "ip", "cosine"):
            far = np.array([[slow_distance(x, q, metric) for x in base] for q in base[:5]])
            _, distances = exact_neighbors(base, base[:5], 7, metric)
            np.testing.assert_allclose(distances, np.sort(far, axis=1)[:, :7], rtol=1e-4, atol=1e-5)


def test_with_truth_computes_cuts_and_fills() -> None:
    data = made("l2")
    bare = with_truth(replace(data, neighbors=None, distances=None), 5)
    np.testing.assert_array_equal(bare.neighbors, data.neighbors[:, :5])
    np.testing.assert_allclose(bare.distances, data.distances[:, :5], rtol=1e-4)
    cut = with_truth(data, 4)
    np.testing.assert_array_equal(cut.distances, data.distances[:, :4])
    filled = with_truth(replace(data, distances=None), 12)
    np.testing.assert_allclose(filled.distances, data.distances, rtol=1e-5)
    assert with_truth(data, 30).neighbors.shape == (40, 30)


@pytest.mark.parametrize(
    ("metric", "stored"),
    [
        ("l2", lambda d: d),
        ("l2", np.sqrt),
        ("ip", lambda d: d),
        ("ip", lambda d: -d),
        ("cosine", lambda d: d),
        ("cosine", lambda d: 1 - d),
        ("cosine", lambda d: np.sqrt(2 * d)),
        ("cosine", lambda d: 2 * d),
        ("hamming", lambda d: d),
        ("hamming", lambda d: d / 64),
    ],
)
def test_every_scale_in_use_is_brought_to_ours(metric: str, stored: Any) -> None:
    data = made(metric)
    checked = check_truth(replace(data, distances=stored(data.distances)), "here")
    np.testing.assert_allclose(checked.distances, data.distances, rtol=1e-4, atol=1e-5)
    assert checked.distances.dtype == np.float32


def test_truth_of_other_vectors_is_refused() -> None:
    data = made("l2")
    rng = np.random.default_rng(11)
    with pytest.raises(FormatError, match=r"here: neighbours of query .* aren't sorted by l2.*other vectors"):
        check_truth(replace(data, base=rng.permutation(data.base)), "here")
    with pytest.raises(FormatError, match="aren't sorted by ip"):
        check_truth(replace(data, metric="ip", distances=None), "here")


def test_missing_neighbours_are_infinitely_far() -> None:
    data = made("cosine")
    ids, distances = data.neighbors.copy(), data.distances.copy()
    ids[:, 9:] = -1
    distances[:, 9:] = 0
    checked = check_truth(replace(data, neighbors=ids, distances=distances), "here")
    assert np.isinf(checked.distances[:, 9:]).all()
    np.testing.assert_allclose(checked.distances[:, :9], data.distances[:, :9], atol=1e-6)


def test_a_data_set_must_fit_together() -> None:
    base, queries = np.zeros((5, 3), np.float32), np.zeros((2, 3), np.float32)
    ids = np.zeros((2, 4), np.int64)
    for arguments, message in (
        ({"metric": "manhattan"}, "metric must be one of l2, ip, cosine, hamming, not 'manhattan'"),
        ({"base": base[0]}, r"base must be \(N, d\)"),
        ({"queries": queries[:, :2]}, r"base has 3 columns but queries has shape \(2, 2\)"),
        ({"learn": queries[:, :2]}, "but learn has shape"),
        ({"neighbors": None}, "distances are given without"),
        ({"neighbors": ids[:1]}, r"neighbors has shape \(1, 4\) for 2 queries"),
        ({"distances": np.zeros((2, 3), np.float32)}, r"but distances has \(2, 3\)"),
        ({"neighbors": ids + 5}, r"must lie in 0..4 \(or be -1\) but reach from 5 to 5"),
    ):
        given = {"base": base, "queries": queries, "metric": "l2", "neighbors": ids, **arguments}
        given.setdefault("distances", np.zeros((2, 4), np.float32))
        with pytest.raises(ValueError, match=message):
            Dataset("x", **given)
    assert Dataset("x", base, queries, "hamming").index_metric == "l2"
