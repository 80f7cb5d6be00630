"""Promise: every index finds what a sorted table of float64 distances says is nearest."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from reference import DTYPES, METRICS, distances, make_vectors, recall

import fastcbir as fc
from fastcbir.types import Method

TOLERANCE = {"float32": 1e-4, "float16": 2e-3, "uint8": 1e-6, "int8": 1e-6}


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("dim", [1, 7, 96, 223])
def test_flat_is_exact(metric: str, dtype: str, dim: int) -> None:
    vectors = make_vectors(700, dim, dtype, 1)
    queries = make_vectors(40, dim, dtype, 2)
    if metric == "cosine":
        vectors[(vectors == 0).all(1)] = 1
        queries[(queries == 0).all(1)] = 1
    index = fc.Index(dim, fc.Flat(), metric=metric, dtype=dtype)
    index.add(vectors)
    hits = index.search(queries, k=10)
    expected = distances(queries, vectors, metric)
    scale = max(1.0, float(np.abs(expected).max()))
    tolerance = TOLERANCE[dtype] * scale
    np.testing.assert_allclose(hits.distances, np.sort(expected, axis=1)[:, :10], atol=tolerance)
    of_found = np.take_along_axis(expected, hits.ids, axis=1)
    np.testing.assert_allclose(hits.distances, of_found, atol=tolerance)
    assert (np.diff(hits.distances, axis=1) >= 0).all()
    assert (hits.cost == 700).all()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_hnsw_finds_the_same(metric: str, dtype: str) -> None:
    dim = 24
    centres = make_vectors(60, dim, dtype, 3)
    rng = np.random.default_rng(4)
    vectors = centres[rng.integers(0, 60, 3000)].astype(np.float32) + rng.normal(0, 0.3, (3000, dim))
    queries = centres[rng.integers(0, 60, 100)].astype(np.float32) + rng.normal(0, 0.3, (100, dim))
    if dtype in ("uint8", "int8"):
        info = np.iinfo(dtype)
        spread = rng.normal(0, 12, vectors.shape)
        vectors = np.clip(vectors + spread, info.min, info.max).round()
        queries = np.clip(queries, info.min, info.max).round()
    flat = fc.Index(dim, fc.Flat(), metric=metric, dtype=dtype)
    hnsw = fc.Index(dim, fc.Hnsw(m=12, ef_construction=80), metric=metric, dtype=dtype)
    for index in (flat, hnsw):
        index.add(vectors)
    truth = flat.search(queries, k=10)
    hits = hnsw.search(queries, k=10, ef=150)
    assert recall(hits.ids, truth.ids) > 0.95
    same = hits.ids == truth.ids
    np.testing.assert_array_equal(hits.distances[same], truth.distances[same])
    assert hits.cost.mean() < 2000


@pytest.mark.parametrize("method", [fc.Flat(), fc.Hnsw(), fc.Ivf(), fc.Imi()])
def test_one_query_and_a_batch_agree_to_the_bit(method: Method) -> None:
    vectors = make_vectors(2000, 50, "float32", 5)
    index = fc.Index(50, method)
    index.add(vectors, threads=1)
    queries = make_vectors(37, 50, "float32", 6)
    batch = index.search(queries, k=7)
    for threads in (1, 2, 3):
        again = index.search(queries, k=7, threads=threads)
        np.testing.assert_array_equal(again.ids, batch.ids)
        np.testing.assert_array_equal(again.distances, batch.distances)
    for i, query in enumerate(queries):
        single = index.search(query, k=7)
        assert single.ids.shape == (1, 7)
        np.testing.assert_array_equal(single.ids[0], batch.ids[i])
        np.testing.assert_array_equal(single.distances[0], batch.distances[i])


def test_few_queries_share_out_the_rows() -> None:
    vectors = make_vectors(60_000, 8, "float32", 7)
    index = fc.Index(8, fc.Flat())
    index.add(vectors)
    queries = make_vectors(3, 8, "float32", 8)
    expected = np.argsort(distances(queries, vectors, "l2"), axis=1)[:, :20]
    np.testing.assert_array_equal(index.search(queries, k=20, threads=2).ids, expected)


def test_equal_distances_come_in_order_of_insertion() -> None:
    vectors = np.ones((100, 4), np.float32)
    index = fc.Index(4, fc.Flat())
    index.add(vectors)
    assert index.search(np.zeros((20, 4)), k=10).ids.tolist() == [list(range(10))] * 20


def test_one_thread_builds_the_same_graph_every_time() -> None:
    vectors = make_vectors(1500, 20, "float32", 9)
    queries = make_vectors(50, 20, "float32", 10)
    found = []
    for _ in range(2):
        index = fc.Index(20, fc.Hnsw(m=6, ef_construction=30, seed=5))
        index.add(vectors, threads=1)
        found.append(index.search(queries, k=10, ef=12))
    np.testing.assert_array_equal(found[0].ids, found[1].ids)
    np.testing.assert_array_equal(found[0].cost, found[1].cost)


def test_a_build_on_many_threads_is_as_good() -> None:
    vectors = make_vectors(4000, 16, "float32", 11)
    queries = make_vectors(100, 16, "float32", 12)
    flat = fc.Index(16, fc.Flat())
    flat.add(vectors)
    truth = flat.search(queries, k=10).ids
    recalls = []
    for threads in (1, 4):
        index = fc.Index(16, fc.Hnsw(m=8, ef_construction=60))
        index.add(vectors, threads=threads)
        recalls.append(recall(index.search(queries, k=10, ef=50).ids, truth))
    assert recalls[1] > recalls[0] - 0.02


@pytest.mark.parametrize("keep_pruned", [False, True])
def test_ef_buys_recall_and_a_budget_ends_a_search(keep_pruned: bool) -> None:
    vectors = make_vectors(5000, 32, "float32", 13)
    queries = make_vectors(100, 32, "float32", 14)
    flat = fc.Index(32, fc.Flat())
    flat.add(vectors)
    truth = flat.search(queries, k=10).ids
    index = fc.Index(32, fc.Hnsw(keep_pruned=keep_pruned))
    index.add(vectors)
    by_ef = [recall(index.search(queries, k=10, ef=ef).ids, truth) for ef in (10, 40, 400)]
    assert by_ef[0] < by_ef[1] < by_ef[2]
    assert by_ef[2] > 0.97
    spent = index.search(queries, k=10, ef=400, max_distances=300).cost
    assert (spent <= 300 + 2 * 16).all()
    assert (index.search(queries, k=10, ef=400).cost > 600).all()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("method", [fc.Flat(), fc.Hnsw(m=12), fc.Ivf(nlist=18)])
def test_range_search(metric: str, method: Method) -> None:
    vectors = make_vectors(2000, 6, "float32", 15)
    queries = make_vectors(25, 6, "float32", 16)
    expected = distances(queries, vectors, metric)
    radius = float(np.quantile(expected, 0.03))
    index = fc.Index(6, method, metric=metric)
    index.add(vectors)
    hits = index.range_search(queries, radius, ef=100)
    assert hits.offsets.shape == (26,) and hits.offsets[0] == 0
    assert len(hits.ids) == len(hits.distances) == hits.offsets[-1]
    assert (hits.distances <= radius).all()
    wanted = found = 0
    for q in range(25):
        ids = hits.ids[hits.offsets[q] : hits.offsets[q + 1]]
        of_query = hits.distances[hits.offsets[q] : hits.offsets[q + 1]]
        assert (np.diff(of_query) >= 0).all()
        certain = set(np.flatnonzero(expected[q] < radius - 1e-4).tolist())
        possible = set(np.flatnonzero(expected[q] < radius + 1e-4).tolist())
        assert set(ids.tolist()) <= possible
        wanted += len(certain)
        found += len(certain & set(ids.tolist()))
    assert wanted > 500
    assert found == wanted if isinstance(method, fc.Flat) else found > 0.97 * wanted


@pytest.mark.parametrize("codec", ["rabitq1", "rabitq2"])
@pytest.mark.parametrize(
    ("metric", "dtype", "dim"),
    [
        ("l2", "float32", 200),
        ("cosine", "float16", 40),
        ("ip", "float32", 40),
        ("l2", "uint8", 200),
        ("ip", "int8", 40),
    ],
)
def test_codes_find_the_same_with_exact_distances(codec: str, metric: str, dtype: str, dim: int) -> None:
    vectors = make_vectors(1500, dim, dtype, 17)
    vectors[750:] = vectors[:750] // 2 if dtype == "uint8" else vectors[:750]  # some near, some equal
    queries = make_vectors(60, dim, dtype, 18)
    flat = fc.Index(dim, fc.Flat(), metric=metric, dtype=dtype)
    coded = fc.Index(dim, fc.Hnsw(m=32, ef_construction=100, codec=codec), metric=metric, dtype=dtype)
    for index in (flat, coded):
        index.add(vectors[:1200])
        index.add(vectors[1200:])  # codes of nodes that are there already change too
    truth = flat.search(queries, k=10)
    hits = coded.search(queries, k=10, ef=400)
    found = [
        recall(row[None], wanted[None]) for row, wanted in zip(hits.distances, truth.distances, strict=True)
    ]
    assert np.mean(found) > 0.95
    for row, ids in zip(hits.distances, hits.ids, strict=True):
        assert len(set(ids.tolist())) == 10
        assert (np.diff(row) >= 0).all()
    same = hits.ids == truth.ids
    np.testing.assert_array_equal(hits.distances[same], truth.distances[same])


@pytest.mark.parametrize("codec", ["rabitq1", "rabitq2"])
@pytest.mark.parametrize(("metric", "dtype", "dim"), [("l2", "uint8", 20), ("ip", "float32", 33)])
def test_many_results_by_codes_are_collected_by_estimates_and_compared_exactly(
    codec: str, metric: str, dtype: str, dim: int
) -> None:
    vectors = make_vectors(1000, dim, dtype, 27)
    queries = make_vectors(30, dim, dtype, 28)
    flat = fc.Index(dim, fc.Flat(), metric=metric, dtype=dtype)
    coded = fc.Index(dim, fc.Hnsw(m=16, ef_construction=100, codec=codec), metric=metric, dtype=dtype)
    for index in (flat, coded):
        index.add(vectors, threads=1)
    for k, ef, wanted in ((100, 100, 0.6), (100, 400, 0.95), (900, 2000, 1), (2000, 4000, 1)):
        truth, hits = flat.search(queries, k=k), coded.search(queries, k=k, ef=ef)
        assert recall(hits.ids, truth.ids) >= wanted
        same = hits.ids == truth.ids
        np.testing.assert_array_equal(hits.distances[same], truth.distances[same])
        assert (hits.distances[:, 1:] >= hits.distances[:, :-1]).all()
        assert all(len(set(row.tolist())) == len(row) for row in hits.ids[:, :1000])


@pytest.mark.parametrize("k", [33, 100])
def test_many_results_by_codes_come_for_less_with_an_ef_below_k(k: int) -> None:
    vectors, queries = make_vectors(4000, 24, "float32", 1), make_vectors(50, 24, "float32", 2)
    flat, coded = fc.Index(24, fc.Flat()), fc.Index(24, fc.Hnsw(codec="rabitq2"))
    for index in (flat, coded):
        index.add(vectors)
    truth = flat.search(queries, k=k).ids
    found = [coded.search(queries, k=k, ef=ef) for ef in (1, k // 2, (k + 1) // 2, k, 3 * k)]
    np.testing.assert_array_equal(found[0].ids, found[2].ids)  # half of k is the least
    np.testing.assert_array_equal(found[1].ids, found[2].ids)
    assert all((np.diff(np.sort(hits.ids)) > 0).all() and (hits.ids >= 0).all() for hits in found)
    assert found[2].cost.mean() < found[3].cost.mean() < found[4].cost.mean()
    recalls = [recall(hits.ids, truth) for hits in found[2:]]
    assert 0.5 < recalls[0] < recalls[1] < recalls[2]
    # Rows of the links are read where a filter is given: there ef is never below k.
    everything = np.ones(4000, bool)
    filtered = [coded.search(queries, k=k, ef=ef, allow=everything).ids for ef in (1, k)]
    np.testing.assert_array_equal(filtered[0], filtered[1])


@pytest.mark.parametrize(
    ("dim", "metric", "dtype", "m", "codec", "keep_pruned"),
    [
        (16, "l2", "float32", 16, None, False),
        (96, "l2", "float32", 16, "rabitq2", False),
        (256, "ip", "float16", 32, "rabitq2", True),
        (257, "cosine", "float32", 16, "rabitq1", False),
        (96, "cosine", "uint8", 16, None, False),
        (96, "l2", "uint8", 16, "rabitq2", False),
        (96, "l2", "float32", 24, None, False),
    ],
)
def test_what_is_left_to_the_library_is_chosen_and_told(
    dim: int, metric: Any, dtype: Any, m: int, codec: str | None, keep_pruned: bool
) -> None:
    index = fc.Index(dim, fc.Hnsw(m=m, codec="auto"), metric=metric, dtype=dtype)
    assert index.method == fc.Hnsw(m=m, codec=codec, keep_pruned=keep_pruned)  # type: ignore[arg-type]
