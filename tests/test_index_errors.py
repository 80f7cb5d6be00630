"""Promise: what an index can't take is refused in words that say both sides, and changes nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastcbir as fc
from fastcbir.types import Method

RNG = np.random.default_rng(0)


@pytest.fixture(params=[fc.Flat(), fc.Hnsw(m=4), fc.Ivf()], ids=["flat", "hnsw", "ivf"])
def index(request: pytest.FixtureRequest) -> fc.Index:
    index = fc.Index(8, request.param)
    index.add(RNG.standard_normal((20, 8)))
    return index


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dim": 0}, "dim must be an integer in 1..65536, got 0"),
        ({"dim": 70000}, "got 70000"),
        ({"dim": "8"}, "got '8'"),
        ({"dim": 8, "metric": "euclid"}, "metric must be l2, ip or cosine, got 'euclid'"),
        ({"dim": 8, "dtype": "float64"}, "dtype must be float32, float16, uint8 or int8, got 'float64'"),
        ({"dim": 8, "method": "hnsw"}, "method must be Flat"),
        ({"dim": 8, "method": fc.Hnsw(m=1)}, "m must be in 2..512, got 1"),
        ({"dim": 8, "method": fc.Hnsw(m=-1)}, "must not be negative"),
        ({"dim": 8, "method": fc.Hnsw(m=8, codec="rabitq1")}, "m must be a multiple of 16, got 8"),
        (
            {"dim": 8, "method": fc.Hnsw(codec="pq")},
            "codec must be None, 'auto', 'rabitq1' or 'rabitq2', got 'pq'",
        ),
        (
            {"dim": 8, "method": fc.Hnsw(codec="rabitq2"), "metric": "cosine", "dtype": "int8"},
            "can't estimate the cosine of 8-bit vectors",
        ),
        ({"dim": 8, "method": fc.Hnsw(ef_construction=0)}, "ef_construction must be in 1..10000, got 0"),
    ],
)
def test_construction(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fc.Index(**arguments)


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.zeros((3, 7)), "dim is 8 but vectors have 7 columns"),
        (np.zeros(8), r"must have shape \(N, 8\), got \(8,\)"),
        (np.zeros((1, 2, 8)), "got"),
        (np.array([["a"] * 8]), "must be real numbers, got dtype <U1"),
        (np.zeros((2, 8), complex), "got dtype complex128"),
        (np.zeros((2, 8), bool), "got dtype bool"),
        ([[None] * 8], "got dtype object"),
        (np.full((2, 8), np.nan), "vectors row 0 has -?nan in column 0"),
        (np.r_[np.zeros((5, 8)), np.full((1, 8), np.inf)], "vectors row 5 has inf in column 0"),
        (np.full((1, 8), 1e300), "vectors row 0 has inf"),
    ],
)
def test_add_refuses(index: fc.Index, vectors: Any, message: str) -> None:
    with np.errstate(over="ignore"), pytest.raises(ValueError, match=message):
        index.add(vectors)
    assert len(index) == 20
    assert index.add(np.zeros((1, 8))).tolist() == [20]


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([1, 1], "id 1 is given more than once"),
        ([30, 3], "id 3 is in the index already; give it a new vector with update"),
        ([30], "2 vectors, 1 ids"),
        ([-1, 30], "ids must not be negative, got -1"),
        ([1.5, 2.5], "ids must be integers"),
        (["a", "b"], "ids must be integers"),
        (np.array([2**64 - 1, 1], np.uint64), "below"),
    ],
)
def test_add_refuses_ids(index: fc.Index, ids: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        index.add(np.zeros((2, 8)), ids)
    assert len(index) == 20


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"queries": np.zeros(7)}, "dim is 8 but queries have 7 columns"),
        ({"queries": np.zeros((2, 2, 8))}, r"or \(8,\), got \(2, 2, 8\)"),
        ({"queries": np.full(8, np.nan)}, "queries row 0 has"),
        ({"queries": "photo.jpg"}, "queries must"),
        ({"k": 0}, "k must be"),
        ({"k": -3}, "k must be"),
        ({"k": 10_001}, "k must be in 1..10000, got 10001"),
        ({"k": 2.5}, "k must be"),
        ({"ef": 0}, "ef must be an integer of at least 1, got 0"),
        ({"threads": -1}, "threads must be an integer of at least 1, got -1"),
        ({"max_distances": 0}, "max_distances must be"),
        ({"allow": np.ones(5, bool)}, "expected at least 20, got 5"),
        ({"allow": np.ones((2, 20), bool)}, "one dimension"),
        ({"allow": ["a"]}, "allow must be integers"),
    ],
)
def test_search_refuses(index: fc.Index, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        index.search(**({"queries": np.zeros(8)} | arguments))


def test_unknown_ids(index: fc.Index) -> None:
    for call in (
        lambda: index.remove([3, 99]),
        lambda: index.update(np.zeros((2, 8)), [3, 99]),
        lambda: index.reconstruct([3, 99]),
    ):
        with pytest.raises(KeyError, match="id 99 is not in the index"):
            call()
    assert len(index) == 20 and 3 in index
    assert 99 not in index and -1 not in index and "3" not in index and 2**70 not in index


def test_zero_vectors_have_no_direction() -> None:
    for dtype in ("float32", "float16", "int8"):
        index = fc.Index(4, fc.Flat(), metric="cosine", dtype=dtype)
        with pytest.raises(ValueError, match="vectors row 1 is all zeros, which has no direction"):
            index.add([[1, 0, 0, 0], [0, 0, 0, 0]])
        index.add([[1, 0, 0, 0]])
        with pytest.raises(ValueError, match="queries row 0 is all zeros"):
            index.search([0, 0, 0, 0])


def test_numbers_that_a_dtype_cannot_hold() -> None:
    with pytest.raises(ValueError, match=r"whole numbers in 0..255 for this index, got 256"):
        fc.Index(2, dtype="uint8").add([[1, 256]])
    with pytest.raises(ValueError, match=r"whole numbers in -128..127 for this index, got 0.5"):
        fc.Index(2, dtype="int8").add([[1, 0.5]])
    with pytest.raises(ValueError, match="float16 holds at most 65504"):
        fc.Index(2, dtype="float16").add([[1, 70000]])


@pytest.mark.parametrize("method", [fc.Flat(), fc.Hnsw(), fc.Ivf(), fc.Imi(bits=1)])
def test_nothing_to_find(method: Method) -> None:
    index = fc.Index(3, method)
    hits = index.search(np.zeros((2, 3)), k=4)
    assert (hits.ids == -1).all() and np.isinf(hits.distances).all() and (hits.cost == 0).all()
    assert index.range_search(np.zeros(3), 1.0).offsets.tolist() == [0, 0]
    assert index.add(np.zeros((0, 3))).shape == (0,)
    index.remove([])
    index.compact()
    index.add(np.eye(3))
    assert index.search(np.zeros((0, 3)), k=4).ids.shape == (0, 4)
    more = index.search(np.ones(3), k=5)  # k beyond what there is
    assert sorted(more.ids[0].tolist()) == [-1, -1, 0, 1, 2]
    assert np.isinf(more.distances[0, 3:]).all()


def test_arrays_of_any_layout(index: fc.Index) -> None:
    wide = RNG.standard_normal((40, 16))
    expected = index.search(np.ascontiguousarray(wide[::2, ::2]), k=3)
    frozen = wide.astype(np.float32)
    frozen.setflags(write=False)
    swapped = wide.astype(">f4")
    for queries in (wide[::2, ::2], np.asfortranarray(wide)[::2, ::2], frozen[::2, ::2], swapped[::2, ::2]):
        np.testing.assert_array_equal(index.search(queries, k=3).ids, expected.ids)
    np.testing.assert_array_equal(index.search(wide[::2, ::2].tolist(), k=3).ids, expected.ids)
    read_only = fc.Index(16)
    read_only.add(frozen)
    np.testing.assert_array_equal(read_only.reconstruct(np.arange(40)), frozen)
    whole = np.arange(160).reshape(20, 8)
    assert index.search(whole, k=1).ids.shape == (20, 1)
