"""Promise: inverted lists find what they should, learn from what they get, refuse what they can't take."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from reference import DTYPES, METRICS, Array, distances, make_vectors, recall

import fastcbir as fc

Lists = fc.Ivf | fc.Imi


def clustered(count: int, dim: int, dtype: str, seed: int) -> Array:
    """Around 40 centres, as image vectors lie."""
    centres = make_vectors(40, dim, dtype, 3).astype(np.float32)
    rng = np.random.default_rng(seed)
    if dtype in ("uint8", "int8"):
        info = np.iinfo(dtype)
        spread = centres[rng.integers(0, 40, count)] * 0.7 + rng.normal(0, 15, (count, dim))
        return np.clip(spread, info.min, info.max).round().astype(dtype)
    return (centres[rng.integers(0, 40, count)] + rng.normal(0, 0.4, (count, dim))).astype(np.float32)


def truth(queries: Array, vectors: Array, metric: str, k: int = 10) -> Array:
    return np.argsort(distances(queries, vectors, metric), axis=1, kind="stable")[:, :k]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", [fc.Ivf(codec=None), fc.Ivf(), fc.Ivf(codec="rabitq1"), fc.Imi(bits=3)])
def test_finds_what_is_nearest_with_exact_distances(method: Lists, dtype: str, metric: str) -> None:
    if metric == "cosine" and dtype in ("uint8", "int8") and method.codec == "rabitq1":
        with pytest.raises(ValueError, match="can't estimate the cosine of 8-bit vectors; use codec=None"):
            fc.Index(20, method, metric=metric, dtype=dtype)
        return
    if isinstance(method, fc.Imi) and metric == "cosine" and dtype in ("uint8", "int8"):
        with pytest.raises(ValueError, match="a multi-index can't take the cosine of 8-bit vectors"):
            fc.Index(20, method, metric=metric, dtype=dtype)
        return
    vectors, queries = clustered(2500, 21, dtype, 1), clustered(60, 21, dtype, 2)
    flat = fc.Index(21, fc.Flat(), metric=metric, dtype=dtype)
    index = fc.Index(21, method, metric=metric, dtype=dtype)
    for each in (flat, index):
        each.add(vectors[:2000])
        each.add(vectors[2000:])
    wanted = flat.search(queries, k=10)
    hits = index.search(queries, k=10, nprobe=40, rerank=150)
    assert recall(hits.ids, wanted.ids) > 0.93
    same = hits.ids == wanted.ids
    np.testing.assert_array_equal(hits.distances[same], wanted.distances[same])
    assert (np.diff(hits.distances, axis=1) >= 0).all()
    for threads in (1, 3):
        again = index.search(queries, k=10, nprobe=40, rerank=150, threads=threads)
        np.testing.assert_array_equal(again.ids, hits.ids)
    single = index.search(queries[7], k=10, nprobe=40, rerank=150)
    np.testing.assert_array_equal(single.ids[0], hits.ids[7])
    np.testing.assert_array_equal(single.distances[0], hits.distances[7])


@pytest.mark.parametrize("method", [fc.Ivf(), fc.Ivf(nlist=7, codec="rabitq1"), fc.Imi(bits=3)])
def test_a_batch_finds_what_its_queries_find_one_by_one(method: Lists) -> None:
    vectors, queries = clustered(3000, 19, "float32", 18), clustered(75, 19, "float32", 19)
    index = fc.Index(19, method)
    index.add(vectors)
    index.remove(np.arange(0, 3000, 7))
    index.add(vectors[:50] + 0.01)
    allow = np.arange(3050) % 3 > 0
    for how in ({}, {"allow": allow}, {"max_distances": 700}):
        for nprobe, rerank, k in ((1, 10, 3), (5, 40, 10), (7, 300, 20)):
            whole = index.search(queries, k=k, nprobe=nprobe, rerank=rerank, threads=1, **how)  # type: ignore[arg-type]
            for part in (queries[:1], queries[:38]):
                hits = index.search(part, k=k, nprobe=nprobe, rerank=rerank, threads=2, **how)  # type: ignore[arg-type]
                for mine, other in zip(hits[:3], whole[:3], strict=True):
                    np.testing.assert_array_equal(mine, other[: len(part)])
            found = whole.ids[whole.ids >= 0]
            assert ((found % 7 > 0) | (found >= 3000)).all()
            if "allow" in how:
                assert allow[found].all()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_all_lists_without_codes_are_exact(metric: str, dtype: str) -> None:
    vectors, queries = make_vectors(900, 13, dtype, 4), make_vectors(30, 13, dtype, 5)
    flat = fc.Index(13, fc.Flat(), metric=metric, dtype=dtype)
    index = fc.Index(13, fc.Ivf(nlist=9, codec=None), metric=metric, dtype=dtype)
    for each in (flat, index):
        each.add(vectors)
    np.testing.assert_array_equal(index.search(queries, k=10, nprobe=9).ids, flat.search(queries, k=10).ids)
    radius = float(np.quantile(distances(queries, vectors, metric), 0.02))
    ours, theirs = (
        each.range_search(queries, radius, **how) for each, how in ((index, {"nprobe": 9}), (flat, {}))
    )
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(mine, other)


@pytest.mark.parametrize("k", [1, 10, 100, 777])
@pytest.mark.parametrize("method", [fc.Ivf(nlist=9), fc.Ivf(nlist=9, codec="rabitq1"), fc.Imi(bits=3)])
def test_all_lists_with_everything_compared_again_give_what_flat_gives(method: Lists, k: int) -> None:
    vectors, queries = clustered(777, 19, "float32", 20), clustered(15, 19, "float32", 21)
    vectors[500:] = vectors[:277]  # equal distances, told apart by their ids
    flat, index = fc.Index(19, fc.Flat()), fc.Index(19, method)
    for each in (flat, index):
        each.add(vectors)
    wanted = flat.search(queries, k=k)
    everywhere = index.info()["nlist"]
    found = index.search(queries, k=k, nprobe=everywhere, rerank=777)
    one_by_one = [index.search(query, k=k, nprobe=everywhere, rerank=777) for query in queries]
    np.testing.assert_array_equal(found.ids, wanted.ids)
    np.testing.assert_array_equal(found.distances, wanted.distances)
    np.testing.assert_array_equal(np.concatenate([hits.ids for hits in one_by_one]), wanted.ids)


def test_every_cell_of_a_multi_index_is_reached_nearest_first() -> None:
    vectors, queries = make_vectors(800, 7, "float32", 6), make_vectors(40, 7, "float32", 7)
    index = fc.Index(7, fc.Imi(bits=3, codec=None))
    index.add(vectors)
    assert index.info()["nlist"] == 64
    np.testing.assert_array_equal(index.search(queries, k=10, nprobe=64).ids, truth(queries, vectors, "l2"))
    found = [
        recall(index.search(queries, k=10, nprobe=n).ids, truth(queries, vectors, "l2"))
        for n in (1, 4, 16, 64)
    ]
    assert found[0] > 0.1 and found == sorted(found) and found[2] > 2 * found[0]


def test_probes_and_reranking_buy_recall_and_a_budget_ends_a_search() -> None:
    vectors, queries = make_vectors(4000, 32, "float32", 8), make_vectors(60, 32, "float32", 9)
    wanted = truth(queries, vectors, "l2")
    index = fc.Index(32, fc.Ivf(nlist=64, codec="rabitq1"))
    index.add(vectors)
    found = [recall(index.search(queries, k=10, nprobe=n, rerank=200).ids, wanted) for n in (1, 8, 64)]
    assert found[0] < found[1] < found[2] and found[2] > 0.95
    found = [recall(index.search(queries, k=10, nprobe=64, rerank=n).ids, wanted) for n in (10, 30, 200)]
    assert found[0] < found[1] < found[2]
    # Codes of two bits are better estimates than codes of one.
    finer = fc.Index(32, fc.Ivf(nlist=64, codec="rabitq2"))
    finer.add(vectors)
    assert recall(finer.search(queries, k=10, nprobe=64, rerank=30).ids, wanted) > found[1] + 0.02
    full = index.search(queries, k=10, nprobe=64)
    assert (full.cost == 4064).all()
    spent = index.search(queries, k=10, nprobe=64, max_distances=1000)
    assert (spent.cost >= 1000).all() and (spent.cost < 1500).all()


def test_the_same_seed_and_vectors_give_the_same_file_on_any_number_of_threads(tmp_path: Path) -> None:
    vectors = make_vectors(1500, 20, "float32", 10)
    files = []
    for threads, seed in ((1, 0), (3, 0), (1, 1)):
        index = fc.Index(20, fc.Ivf(seed=seed))
        index.add(vectors, threads=threads)
        index.save(tmp_path / "a.fcx")
        files.append((tmp_path / "a.fcx").read_bytes())
    assert files[0] == files[1] and files[0] != files[2]


def test_many_lists_are_learned_in_two_steps_and_follow_the_data() -> None:
    vectors = make_vectors(6000, 24, "float32", 41)
    answers = []
    for threads in (1, 3):
        index = fc.Index(24, fc.Ivf(nlist=1500))
        index.add(vectors, threads=threads)
        assert index.info()["nlist"] == 1500
        answers.append(index.search(vectors[:500], k=5, nprobe=3))
        assert (answers[-1].ids[:, 0] == np.arange(500)).mean() > 0.98
        found = index.search(vectors[:500], k=1, nprobe=1500)
        assert (found.ids[:, 0] == np.arange(500)).all()
    np.testing.assert_array_equal(answers[0].ids, answers[1].ids)
    np.testing.assert_array_equal(answers[0].cost, answers[1].cost)
    same = fc.Index(24, fc.Ivf(nlist=1100))
    same.add(np.ones((1200, 24), np.float32))
    assert (same.search(np.ones(24), k=1200, nprobe=1100).distances == 0).all()


def test_training_first_and_again() -> None:
    vectors, queries = clustered(3000, 16, "float32", 11), clustered(50, 16, "float32", 12)
    index = fc.Index(16, fc.Ivf(nlist=30))
    index.train(vectors[::3])
    assert index.info()["nlist"] == 30 and len(index) == 0
    assert (index.search(queries).ids == -1).all()
    index.add(vectors[:20])
    index.add(vectors[20:])
    wanted = truth(queries, vectors, "l2")
    assert recall(index.search(queries, nprobe=15).ids, wanted) > 0.95
    ticks: list[tuple[int, int]] = []
    index.train(vectors, progress=lambda done, total: ticks.append((done, total)))
    assert len(index) == 3000 and ticks == sorted(ticks)
    assert recall(index.search(queries, nprobe=15).ids, wanted) > 0.95
    with pytest.raises(RuntimeError, match="a hnsw index is not trained: add vectors right away"):
        fc.Index(16).train(vectors)


def test_a_chosen_number_of_lists_grows_with_the_index() -> None:
    vectors = clustered(5000, 8, "float32", 13)
    index = fc.Index(8, fc.Ivf())
    seen = []
    for begin in range(0, 5000, 500):
        index.add(vectors[begin : begin + 500])
        seen.append(index.info()["nlist"])
    assert seen[0] == 12 and seen[-1] >= 100 and seen == sorted(seen)
    assert recall(index.search(vectors[:50], k=1, nprobe=8).ids, np.arange(50)[:, None]) == 1.0
    fixed = fc.Index(8, fc.Ivf(nlist=12))
    fixed.add(vectors[:500])
    fixed.add(vectors[500:])
    assert fixed.info()["nlist"] == 12


@pytest.mark.parametrize("method", [fc.Ivf(nlist=16), fc.Ivf(nlist=16, codec=None), fc.Imi(bits=2)])
@pytest.mark.parametrize("metric", METRICS)
def test_equal_vectors_and_lists_that_hold_everything(method: Lists, metric: str) -> None:
    index = fc.Index(6, method, metric=metric)
    index.add(np.ones((300, 6)))
    hits = index.search(np.ones((2, 6)), k=20, nprobe=1 if isinstance(method, fc.Imi) else 16, rerank=300)
    assert hits.ids.tolist() == [list(range(20))] * 2
    np.testing.assert_allclose(hits.distances, -6.0 if metric == "ip" else 0.0, atol=1e-6)
    index.add(np.full((1, 6), 50.0))
    assert index.search(np.full(6, 51.0), k=1, nprobe=4).ids[0, 0] == (0 if metric == "cosine" else 300)


def test_lists_that_grow_one_after_the_other_keep_their_memory_in_bounds() -> None:
    rng = np.random.default_rng(14)
    centres = rng.standard_normal((12, 10)) * 8
    index = fc.Index(10, fc.Ivf(nlist=12))
    index.train(np.repeat(centres, 5, axis=0))
    vectors = np.repeat(centres, 700, axis=0) + rng.standard_normal((8400, 10))  # sorted by list
    for begin in range(0, 8400, 350):
        index.add(vectors[begin : begin + 350])
    wanted = truth(vectors[::200], vectors, "l2")
    assert recall(index.search(vectors[::200], nprobe=12, rerank=300).ids, wanted) > 0.99
    rows = 8400 * 64
    blocks = 8400 / 32 * (128 + 2 * 4 * 16 + 128)
    assert index.memory_bytes < rows + 2 * blocks + 10_000


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (fc.Ivf(nlist=0), r"nlist must be in 1\.\.4194304, got 0"),
        (fc.Ivf(nlist=-5), "nlist must be in"),
        (fc.Ivf(codec="pq"), "codec must be None, 'auto', 'rabitq1', 'rabitq2' or, .*'pq16', got 'pq'"),
        (fc.Ivf(seed=-1), "must not be negative"),
        (fc.Imi(bits=0), r"bits must be in 1\.\.12, got 0"),
        (fc.Imi(bits=13), "got 13"),
    ],
)
def test_construction(method: Lists, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fc.Index(8, method)


@pytest.mark.parametrize("kind", [fc.Ivf, fc.Imi])
def test_codes_are_chosen_by_dimension_and_metric(kind: type[fc.Ivf | fc.Imi]) -> None:
    for dim, metric, dtype, codec in (
        (96, "l2", "float32", "rabitq2"),
        (256, "ip", "uint8", "rabitq2"),
        (257, "cosine", "float16", "rabitq1"),
        (1280, "cosine", "float32", "rabitq1"),
        (128, "l2", "uint8", "rabitq2"),
    ):
        assert fc.Index(dim, kind(), metric=metric, dtype=dtype).method == kind(codec=codec)  # type: ignore[arg-type]
    # What codes can't estimate has none, and is found all the same.
    index = fc.Index(8, fc.Ivf(), metric="cosine", dtype="int8")
    assert index.method == fc.Ivf(codec=None)
    with pytest.raises(ValueError, match=r"memory is for lists with codes: .* cosine of 8-bit"):
        fc.Index(8, fc.Ivf(memory="1GB"), metric="cosine", dtype="int8")


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="a multi-index needs two halves: dim must be at least 2, got 1"):
        fc.Index(1, fc.Imi())
    with pytest.raises(ValueError, match="can't take the cosine of 8-bit"):
        fc.Index(8, fc.Imi(codec=None), metric="cosine", dtype="int8")
    index = fc.Index(8, fc.Ivf(nlist=50))
    for call in (index.add, index.train):
        with pytest.raises(
            ValueError, match="nlist is 50, but there are only 20 vectors to train on; add or train"
        ):
            call(np.zeros((20, 8)))
    with pytest.raises(
        ValueError, match="bits is 5, which makes 32 centroids for each half, but there are only 20"
    ):
        fc.Index(8, fc.Imi(bits=5)).add(np.zeros((20, 8)))
    assert len(index) == 0 and index.info()["nlist"] == 0
    index.add(make_vectors(200, 8, "float32", 15))
    for nprobe, message in (
        (0, "nprobe must be an integer of at least 1, got 0"),
        (51, r"nprobe must be in 1\.\.50"),
    ):
        with pytest.raises(ValueError, match=message):
            index.search(np.zeros(8), nprobe=nprobe)
        with pytest.raises(ValueError, match=message):
            index.range_search(np.zeros(8), 1.0, nprobe=nprobe)
    with pytest.raises(ValueError, match="rerank must be an integer of at least 1, got 0"):
        index.search(np.zeros(8), rerank=0)
    with pytest.raises(ValueError, match="dim is 8 but vectors have 7 columns"):
        index.train(np.zeros((100, 7)))


def test_stopping_the_training_changes_nothing() -> None:
    class EnoughError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        raise EnoughError

    index = fc.Index(64, fc.Ivf(nlist=500))
    vectors = make_vectors(20_000, 64, "float32", 16)
    for call in (index.add, index.train):
        with pytest.raises(EnoughError):
            call(vectors, progress=stop)
        assert len(index) == 0 and index.info()["nlist"] == 0


def test_searches_beside_adds_that_make_the_lists_anew() -> None:
    vectors = clustered(6000, 12, "float32", 17)
    index = fc.Index(12, fc.Ivf())
    index.add(vectors[:200])

    def grow() -> None:
        for begin in range(200, 6000, 290):
            index.add(vectors[begin : begin + 290], threads=1)
        index.remove(np.arange(0, 1000))
        index.compact(threads=1)

    growing = threading.Thread(target=grow)
    growing.start()
    while growing.is_alive():
        hits = index.search(vectors[1000:1010], k=3, threads=1)
        found = hits.distances[hits.ids >= 0]
        assert (hits.ids < 6000).all() and np.isfinite(found).all()
    growing.join()
    assert len(index) == 5000 and index.info()["nlist"] > 40
    own = index.search(vectors[1000:], k=1, nprobe=8).ids[:, 0]
    assert (own == np.arange(1000, 6000)).mean() > 0.999
