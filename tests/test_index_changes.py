"""Promise: ids, removal, update, compaction and filters mean what they say, on every index."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from reference import Array, distances, make_vectors, recall

import fastcbir as fc
from fastcbir.types import Method

METHODS = [
    fc.Flat(),
    fc.Hnsw(m=8, ef_construction=60),
    fc.Hnsw(ef_construction=60, codec="rabitq1"),
    fc.Hnsw(ef_construction=60, codec="rabitq2"),
    fc.Ivf(codec=None),
    fc.Ivf(nlist=8, codec="rabitq1"),
    fc.Imi(bits=2),
]


def truth(queries: Array, vectors: dict[int, Array], k: int) -> Array:
    ids = np.array(sorted(vectors))
    table = distances(queries, np.stack([vectors[i] for i in ids]), "l2")
    return ids[np.argsort(table, axis=1, kind="stable")[:, :k]]


@pytest.mark.parametrize("method", METHODS)
def test_a_long_life(method: Method) -> None:
    """Adds, updates, removes and compactions in a random order, against a dict."""
    rng = np.random.default_rng(1)
    dim = 12
    index = fc.Index(dim, method)
    expected: dict[int, Array] = {}
    queries = rng.standard_normal((40, dim), dtype=np.float32)
    for step in range(12):
        fresh = rng.standard_normal((150, dim), dtype=np.float32)
        if step < 3:  # sequential ids first: they are kept without a table
            ids = index.add(fresh)
        else:
            ids = rng.choice(10**12, 150, replace=False)
            assert (index.add(fresh, ids) == ids).all()
        expected.update(zip(ids.tolist(), fresh, strict=True))
        gone = rng.choice(list(expected), 50, replace=False)
        index.remove(gone)
        for i in gone.tolist():
            del expected[i]
        changed = rng.choice(list(expected), 30, replace=False)
        fresh = rng.standard_normal((30, dim), dtype=np.float32)
        index.update(fresh, changed)
        expected.update(zip(changed.tolist(), fresh, strict=True))
        if step % 4 == 2:
            before = index.memory_bytes
            index.compact()
            assert index.info()["removed"] == 0
            assert index.memory_bytes < before
        if step % 5 == 3:  # a removed id may come back
            index.add(np.ones((1, dim)), [gone[0]])
            expected[int(gone[0])] = np.ones(dim, np.float32)
        assert len(index) == len(expected)
        assert set(index.ids.tolist()) == set(expected)
        assert int(gone[1]) not in index and int(changed[0]) in index
        some = list(expected)[:20]
        np.testing.assert_array_equal(index.reconstruct(some), np.stack([expected[i] for i in some]))
        hits = index.search(queries, k=10, ef=200, rerank=300)
        assert set(hits.ids.ravel().tolist()) <= set(expected)
        wanted = truth(queries, expected, 10)
        if isinstance(method, fc.Flat):
            np.testing.assert_array_equal(hits.ids, wanted)
        else:
            assert recall(hits.ids, wanted) > 0.97


def test_compaction_keeps_hnsw_as_good_as_a_fresh_build() -> None:
    vectors = make_vectors(4000, 16, "float32", 2)
    queries = make_vectors(100, 16, "float32", 3)
    kept = np.random.default_rng(4).permutation(4000)[:2000]
    gone = np.setdiff1d(np.arange(4000), kept)
    compacted = fc.Index(16, fc.Hnsw(m=8, ef_construction=60))
    compacted.add(vectors)
    compacted.remove(gone)
    compacted.compact()
    fresh = fc.Index(16, fc.Hnsw(m=8, ef_construction=60))
    fresh.add(vectors[np.sort(kept)], np.sort(kept))
    wanted = np.sort(kept)[np.argsort(distances(queries, vectors[np.sort(kept)], "l2"), axis=1)[:, :10]]
    recalls = [recall(index.search(queries, k=10, ef=40).ids, wanted) for index in (compacted, fresh)]
    assert recalls[0] > recalls[1] - 0.03
    # Every vector can still be reached.
    found = compacted.search(vectors[kept], k=1, ef=100).ids[:, 0]
    assert (found == kept).mean() > 0.995


@pytest.mark.parametrize("method", METHODS)
def test_removing_everything(method: Method) -> None:
    vectors = make_vectors(300, 5, "float32", 5)
    index = fc.Index(5, method)
    index.add(vectors)
    index.remove(index.ids)
    assert len(index) == 0
    assert (index.search(vectors[:3], k=4).ids == -1).all()
    index.compact()
    assert (index.search(vectors[:3], k=4).ids == -1).all()
    assert index.add(vectors[:10]).tolist() == list(range(300, 310))  # an id is never given twice
    assert index.search(vectors[0], k=1).ids[0, 0] == 300


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("share", [0.0, 0.001, 0.05, 0.3, 0.9, 1.0])
def test_allow_lists(method: fc.Flat | fc.Hnsw, share: float) -> None:
    vectors = make_vectors(3000, 10, "float32", 6)
    queries = make_vectors(30, 10, "float32", 7)
    index = fc.Index(10, method)
    index.add(vectors)
    mask = np.random.default_rng(8).random(3000) < share
    table = distances(queries, vectors, "l2")
    table[:, ~mask] = np.inf
    wanted = np.argsort(table, axis=1, kind="stable")[:, :10]
    wanted[np.take_along_axis(table, wanted, axis=1) == np.inf] = -1
    by_mask = index.search(queries, k=10, ef=150, allow=mask)
    by_ids = index.search(queries, k=10, ef=150, allow=np.flatnonzero(mask))
    np.testing.assert_array_equal(by_mask.ids, by_ids.ids)
    assert np.isinf(by_mask.distances[by_mask.ids == -1]).all()
    if isinstance(method, fc.Flat) or share <= 0.05:
        np.testing.assert_array_equal(by_mask.ids, wanted)
    else:
        assert recall(by_mask.ids, wanted) > 0.97
    single = index.search(queries[0], k=10, ef=150, allow=mask)
    np.testing.assert_array_equal(single.ids[0], by_mask.ids[0])
    within = index.range_search(queries, 8.0, ef=100, allow=mask)
    assert mask[within.ids].all()


def test_allow_lists_with_own_ids_and_removed_ones() -> None:
    vectors = make_vectors(50, 4, "float32", 9)
    index = fc.Index(4, fc.Flat())
    index.add(vectors, np.arange(50) * 1000)
    index.remove([3000])
    hits = index.search(vectors[3], k=5, allow=[3000, 4000, 7000, 123])  # 123 is unknown, 3000 removed
    assert sorted(hits.ids[0].tolist()) == [-1, -1, -1, 4000, 7000]
    assert (index.search(vectors[3], k=5, allow=[]).ids == -1).all()


def test_filters_are_cheap_when_few_pass() -> None:
    vectors = make_vectors(20_000, 8, "float32", 10)
    index = fc.Index(8, fc.Hnsw(m=8, ef_construction=40))
    index.add(vectors)
    assert (index.search(vectors[:5], k=10, allow=np.arange(100)).cost == 100).all()


def test_codes_fit_their_links_after_a_cancelled_add(tmp_path: Path) -> None:
    """A search by codes that are not those of the links would miss what is there."""
    rng = np.random.default_rng(3)
    vectors = rng.standard_normal((9000, 24), dtype=np.float32)
    index = fc.Index(24, fc.Hnsw(ef_construction=40, codec="rabitq2"))
    index.add(vectors[:500])

    class EnoughError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        raise EnoughError

    with pytest.raises(EnoughError):
        index.add(vectors[500:], threads=1, progress=stop)
    count = len(index)
    assert 500 < count < 9000
    index.save(tmp_path / "some.fcx")
    for searched in (index, fc.load(tmp_path / "some.fcx")):
        hits = searched.search(vectors[:count:7], 1, ef=200)
        assert (hits.ids[:, 0] == np.arange(0, count, 7)).mean() > 0.995


def test_saving_beside_a_change_writes_a_whole_index(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    vectors = rng.standard_normal((6000, 16), dtype=np.float32)
    index = fc.Index(16, fc.Hnsw(ef_construction=40, codec="rabitq2"))
    index.add(vectors[:100])
    adding = threading.Thread(target=lambda: index.add(vectors[100:], threads=1))
    adding.start()
    while adding.is_alive():
        index.save(tmp_path / "now.fcx")
        saved = fc.load(tmp_path / "now.fcx")
        ids = saved.ids[::5]
        assert (saved.search(vectors[ids], 1, ef=100).ids[:, 0] == ids).mean() > 0.99
    adding.join()
