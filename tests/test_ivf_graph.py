"""Promise: where lists are many, a graph over their centroids finds those that comparing all would find."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from reference import DTYPES, Array, make_vectors, recall

import fastcbir as fc

LISTS = 4200  # from 4,096 on there is a graph


def made(vectors: Array, method: fc.Ivf | fc.Flat, **options: str) -> fc.Index:
    index = fc.Index(vectors.shape[1], method, **options)
    index.add(vectors, threads=2)
    return index


@pytest.mark.parametrize("metric", ["l2", "cosine"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_vector_is_in_the_nearest_list_and_found_there(dtype: str, metric: str) -> None:
    vectors, queries = make_vectors(9000, 12, dtype, 1), make_vectors(200, 12, dtype, 2)
    index = made(vectors, fc.Ivf(nlist=LISTS, codec=None), metric=metric, dtype=dtype)
    own = index.search(vectors[:1000], k=1, nprobe=1)
    assert (own.cost < LISTS / 4).all()  # not all centroids were compared
    # Of 1,000 vectors in lists of two, the nearest list's centroid is the vector's own but for a few.
    assert (own.ids[:, 0] == np.arange(1000)).mean() > 0.97
    # All lists, by comparing all centroids: that is a flat search.
    flat = made(vectors, fc.Flat(), metric=metric, dtype=dtype).search(queries, k=10)
    whole = index.search(queries, k=10, nprobe=LISTS)
    np.testing.assert_array_equal(whole.ids, flat.ids)
    # The 200 nearest lists by the graph hold what the 263 nearest of all hold, which are not found by it.
    by_graph, by_all = (index.search(queries, k=10, nprobe=n) for n in (200, LISTS // 16 + 1))
    assert by_graph.cost.mean() < LISTS < by_all.cost.mean()
    assert recall(by_graph.ids, flat.ids) > recall(by_all.ids, flat.ids) - 0.02


def test_the_same_answers_on_any_number_of_threads_and_from_a_file(tmp_path: Path) -> None:
    vectors, queries = make_vectors(6000, 8, "float32", 3), make_vectors(100, 8, "float32", 4)
    answers = []
    for threads in (3, 1):
        index = fc.Index(8, fc.Ivf(nlist=LISTS))
        index.add(vectors, threads=threads)
        answers.append(index.search(queries, k=10, nprobe=40))
    index.save(tmp_path / "1.fcx")
    for mmap in (False, True):
        loaded = fc.load(tmp_path / "1.fcx", mmap=mmap)
        answers.append(loaded.search(queries, k=10, nprobe=40))
        loaded.save(tmp_path / "again.fcx")
        assert (tmp_path / "again.fcx").read_bytes() == (tmp_path / "1.fcx").read_bytes()
    for hits in answers[1:]:
        np.testing.assert_array_equal(hits.ids, answers[0].ids)
        np.testing.assert_array_equal(hits.cost, answers[0].cost)
    # It takes what comes later, and forgets what goes.
    loaded = fc.load(tmp_path / "1.fcx")
    more = make_vectors(500, 8, "float32", 5)
    loaded.add(more)
    loaded.remove(np.arange(3000))
    loaded.compact()
    found = loaded.search(more, k=1, nprobe=4)
    assert (found.ids[:, 0] == np.arange(6000, 6500)).mean() > 0.95
    assert not np.isin(loaded.search(vectors[:200], k=5, nprobe=100).ids, np.arange(3000)).any()


def test_one_by_one_and_in_a_batch_they_are_the_same() -> None:
    vectors, queries = make_vectors(6000, 16, "float32", 6), make_vectors(300, 16, "float32", 7)
    index = made(vectors, fc.Ivf(nlist=LISTS))
    batch = index.search(queries, k=10, nprobe=100)
    for i in range(0, 300, 7):
        np.testing.assert_array_equal(index.search(queries[i], k=10, nprobe=100).ids[0], batch.ids[i])


def test_equal_vectors_do_not_hide_each_other_or_their_neighbours() -> None:
    rng = np.random.default_rng(8)
    for equal in (12_000, 8000):
        vectors = rng.random((12_000, 6), dtype=np.float32)
        vectors[:equal] = 0.5
        index = made(vectors[rng.permutation(12_000)], fc.Ivf(nlist=LISTS))
        assert (index.search(np.full(6, 0.5), k=50, nprobe=1).distances == 0).all()
        if equal < 12_000:
            found = index.search(vectors[equal : equal + 500], k=1, nprobe=2)
            assert (found.distances[:, 0] == 0).mean() > 0.95


def test_inner_products_compare_all_centroids() -> None:
    vectors = make_vectors(5000, 8, "float32", 9)
    index = made(vectors, fc.Ivf(nlist=LISTS, codec=None), metric="ip")
    assert (index.search(vectors[:20], k=1, nprobe=1).cost > LISTS).all()


def test_a_recall_is_kept_with_fewer_lists_for_easy_queries() -> None:
    vectors, held = make_vectors(6000, 8, "float32", 10), make_vectors(500, 8, "float32", 11)
    index = made(vectors, fc.Ivf(nlist=LISTS))
    index.fit_stop(held[:300], k=10)
    flat = made(vectors, fc.Flat()).search(held[300:], k=10)
    hits = index.search(held[300:], k=10, recall=0.95)
    assert recall(hits.ids, flat.ids) > 0.93
    assert hits.cost.mean() < LISTS and hits.cost.min() < hits.cost.max()
