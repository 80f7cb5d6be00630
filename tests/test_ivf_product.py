"""Product codes in lists: what they find, what is refused, files, and the budgets that choose them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from reference import Array, make_vectors, recall

import fastcbir as fc
from fastcbir.list_plan import plan_lists


def _clustered(count: int, dim: int, seed: int) -> Array:
    """Vectors of few directions, as those of networks are: codes of differences have something to learn."""
    rng = np.random.default_rng(seed)
    basis = np.random.default_rng(1000).standard_normal((12, dim)).astype(np.float32)
    return (rng.standard_normal((count, 12)).astype(np.float32) @ basis) + rng.standard_normal(
        (count, dim), np.float32
    ) * 0.3


def truth(queries: Array, vectors: Array) -> Array:
    flat = fc.Index(vectors.shape[1], fc.Flat())
    flat.add(vectors)
    return flat.search(queries, k=10).ids


@pytest.mark.parametrize("metric", ["l2", "ip", "cosine"])
@pytest.mark.parametrize("method", [fc.Ivf(nlist=20, codec="pq8"), fc.Imi(bits=2, codec="pq7")])
def test_everything_compared_again_is_exact_and_estimates_find_most(
    metric: str, method: fc.Ivf | fc.Imi
) -> None:
    vectors, queries = _clustered(3000, 30, 1), _clustered(50, 30, 2)
    index = fc.Index(30, method, metric=metric)
    index.add(vectors)
    flat = fc.Index(30, fc.Flat(), metric=metric)
    flat.add(vectors)
    wanted = flat.search(queries, k=10)
    lists = index.info()["nlist"]
    everything = index.search(queries, k=10, nprobe=lists, rerank=3000)
    np.testing.assert_array_equal(everything.ids, wanted.ids)
    np.testing.assert_array_equal(everything.distances, wanted.distances)
    by_estimates = [
        recall(index.search(queries, k=10, nprobe=lists, rerank=n).ids, wanted.ids) for n in (15, 60, 150)
    ]
    assert by_estimates == sorted(by_estimates)
    assert by_estimates[0] > 0.5 and by_estimates[2] > 0.97
    # One at a time and all at once, from any number of threads, it is the same answer.
    batched = index.search(queries, k=10, nprobe=lists, rerank=60)
    for i, query in enumerate(queries):
        alone = index.search(query, k=10, nprobe=lists, rerank=60)
        np.testing.assert_array_equal(alone.ids[0], batched.ids[i])


def test_more_bytes_find_more_and_take_more() -> None:
    vectors, queries = make_vectors(6000, 64, "float32", 1), make_vectors(80, 64, "float32", 2)
    wanted = truth(queries, vectors)
    found, memory = [], []
    for codec in ("pq4", "pq16", "pq64"):
        index = fc.Index(64, fc.Ivf(nlist=30, codec=codec))
        index.add(vectors)
        found.append(recall(index.search(queries, k=10, nprobe=30, rerank=60).ids, wanted))
        memory.append(index.memory_bytes)
    assert found[0] < found[1] < found[2] and found[2] > 0.99
    # The bytes of the codes, with half a block of each list unused.
    assert 48 * 6000 < memory[2] - memory[1] < 48 * 6000 * 1.2 + 30 * 16 * 48


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8", "int8"])
def test_files_hold_the_codebooks(tmp_path: Path, dtype: str) -> None:
    vectors = make_vectors(2000, 24, dtype, 3)
    metric = "cosine" if dtype.startswith("float") else "l2"
    index = fc.Index(24, fc.Ivf(nlist=12, codec="pq5"), metric=metric, dtype=dtype)
    index.train(vectors)
    index.save(tmp_path / "trained.fcx")
    empty = fc.load(tmp_path / "trained.fcx")
    assert empty.method == fc.Ivf(nlist=12, codec="pq5") and len(empty) == 0
    for each in (index, empty):
        each.add(vectors[:1500])
        each.remove(np.arange(0, 1500, 7))
        each.compact()
        each.add(vectors[1500:])
    index.save(tmp_path / "full.fcx")
    options = {"k": 8, "nprobe": 5, "rerank": 20}
    wanted = index.search(vectors[:40], **options)
    for other in (empty, fc.load(tmp_path / "full.fcx"), fc.load(tmp_path / "full.fcx", mmap=True)):
        found = other.search(vectors[:40], **options)
        np.testing.assert_array_equal(found.ids, wanted.ids)
        np.testing.assert_array_equal(found.distances, wanted.distances)


def test_a_file_with_codes_that_can_not_be_is_refused(tmp_path: Path) -> None:
    index = fc.Index(24, fc.Ivf(nlist=2, codec="pq5"))
    index.add(make_vectors(300, 24, "float32", 3))
    index.save(tmp_path / "a.fcx")
    whole = (tmp_path / "a.fcx").read_bytes()
    at = whole.index(b"BOOK")
    (tmp_path / "b.fcx").write_bytes(whole[:at] + b"BOOX" + whole[at + 4 :])
    with pytest.raises(fc.FormatError):
        fc.load(tmp_path / "b.fcx")


def test_few_equal_and_long_vectors() -> None:
    few = fc.Index(6, fc.Ivf(codec="pq6"))
    few.add(make_vectors(5, 6, "float32", 1))
    assert (np.sort(few.search(np.zeros(6, np.float32), k=5).ids) == np.arange(5)).all()
    equal = fc.Index(16, fc.Ivf(nlist=4, codec="pq4"), metric="cosine")
    equal.add(np.ones((500, 16), np.float32))
    hits = equal.search(np.ones(16, np.float32), k=500, nprobe=4, rerank=500)
    assert len(set(hits.ids[0].tolist())) == 500
    long = fc.Index(4096, fc.Ivf(nlist=3, codec="pq256"))
    vectors = make_vectors(400, 4096, "float32", 2)
    long.add(vectors)
    assert (long.search(vectors[:20], k=1, nprobe=3).ids[:, 0] == np.arange(20)).all()


@pytest.mark.parametrize(
    ("dim", "method", "message"),
    [
        (8, fc.Ivf(codec="pq9"), r"product codes of 8 dimensions have 1\.\.8 bytes, got codec 'pq9'"),
        (8, fc.Imi(codec="pq0"), r"1\.\.8 bytes, got codec 'pq0'"),
        (1000, fc.Ivf(codec="pq257"), r"1\.\.256 bytes, got codec 'pq257'"),
        (8, fc.Ivf(codec="pq-1"), "or, for product codes of 16 bytes a vector, 'pq16', got 'pq-1'"),
    ],
)
def test_what_is_refused(dim: int, method: fc.Ivf | fc.Imi, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fc.Index(dim, method)
    with pytest.raises(ValueError, match="can't estimate the cosine of 8-bit vectors"):
        fc.Index(8, fc.Ivf(codec="pq4"), metric="cosine", dtype="uint8")


def test_a_recall_can_be_asked_for() -> None:
    vectors = _clustered(8000, 24, 5)
    index = fc.Index(24, fc.Ivf(codec="pq6"))
    index.add(vectors)
    index.fit_stop(k=10, queries=_clustered(1500, 24, 6))
    queries = _clustered(300, 24, 7)
    hits = index.search(queries, k=10, recall=0.9)
    assert recall(hits.ids, truth(queries, vectors)) > 0.87
    assert (hits.cost < 8000).mean() > 0.9


def test_budgets_below_a_bit_a_dimension_get_product_codes() -> None:
    vectors = make_vectors(20_000, 256, "float32", 4)
    budgets = (2_500_000, 1_200_000, 900_000, 700_000)
    plans = [plan_lists(20_000, 256, "float32", budget, nlist=60) for budget in budgets]
    assert [plan.codec for plan in plans] == ["rabitq2", "rabitq1", "pq16", "pq8"]
    assert "codes of 16 bytes a vector" in plans[2].explanation
    index = fc.Index(256, fc.Ivf(memory=budgets[2], nlist=60))
    index.add(vectors)
    assert index.method.codec == "pq16"  # type: ignore[union-attr]
    assert 0.9 < plans[2].resident_bytes / (index.memory_bytes - vectors.nbytes) < 1.1
