"""Answers to single queries are written into arrays that nobody holds any more: only into those."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import fastcbir as fc

COUNT, DIM = 200, 8
Vectors = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def vectors() -> Vectors:
    return np.random.default_rng(0).standard_normal((COUNT, DIM)).astype(np.float32)


@pytest.fixture(scope="module")
def index(vectors: Vectors) -> fc.Index:
    index = fc.Index(DIM, fc.Flat())
    index.add(vectors)
    return index


def assert_right(hits: fc.Hits, row: int, k: int) -> None:
    assert isinstance(hits, fc.Hits) and len(hits) == 5
    for array, dtype, shape in ((hits.ids, np.int64, (1, k)), (hits.distances, np.float32, (1, k))):
        assert type(array) is np.ndarray and array.dtype == dtype and array.shape == shape
        assert array.flags.c_contiguous and array.flags.writeable and array.flags.owndata
    assert hits.cost.dtype == np.uint32 and hits.cost.tolist() == [COUNT]
    assert hits.ids[0, 0] == row and hits.distances[0, 0] == 0
    assert np.unique(hits.ids).size == k and (np.diff(hits.distances) >= 0).all()
    assert hits.stop_reason is None and hits.estimated_recall is None


def test_answers_that_are_held_stay(index: fc.Index, vectors: Vectors) -> None:
    held = [index.search(vector, k=5) for vector in vectors]
    for row, hits in enumerate(held):
        assert_right(hits, row, 5)
    only_ids = [index.search(vector, k=5).ids for vector in vectors]
    only_distances = [index.search(vector, k=5)[1] for vector in vectors]
    for row, (ids, distances) in enumerate(zip(only_ids, only_distances, strict=True)):
        np.testing.assert_array_equal(ids, held[row].ids)
        np.testing.assert_array_equal(distances, held[row].distances)


HOLDS: list[Callable[[fc.Hits], Any]] = [
    lambda hits: hits.ids[0],
    lambda hits: hits.ids[0, 1:3],
    lambda hits: memoryview(hits.ids),
    lambda hits: hits.ids.T,
    lambda hits: np.from_dlpack(hits.ids),
    lambda hits: hits.ids.view(np.uint64),
]


@pytest.mark.parametrize("hold", HOLDS)
def test_parts_that_are_held_stay(index: fc.Index, vectors: Vectors, hold: Callable[[fc.Hits], Any]) -> None:
    held = [hold(index.search(vector, k=4)) for vector in vectors]
    again = [hold(index.search(vector, k=4)) for vector in vectors]
    for row, (first, second) in enumerate(zip(held, again, strict=True)):
        np.testing.assert_array_equal(np.asarray(first), np.asarray(second))
        assert np.asarray(first).ravel()[0] == np.asarray(hold(index.search(vectors[row], k=4))).ravel()[0]


def reshape(hits: fc.Hits) -> None:
    hits.ids.resize((6, 1), refcheck=False)


def forbid_writing(hits: fc.Hits) -> None:
    hits.distances.flags.writeable = False


@pytest.mark.parametrize("spoil", [reshape, forbid_writing])
def test_what_a_holder_did_to_an_answer_is_not_met_again(
    index: fc.Index, vectors: Vectors, spoil: Callable[[fc.Hits], None]
) -> None:
    for row in range(20):
        hits = index.search(vectors[row], k=6)
        assert_right(hits, row, 6)
        spoil(hits)


def test_answers_die_when_they_are_watched(index: fc.Index, vectors: Vectors) -> None:
    for row in range(10):
        hits = index.search(vectors[row], k=3)
        watched = weakref.ref(hits.ids)
        del hits
        assert_right(index.search(vectors[row + 1], k=3), row + 1, 3)
        seen = watched()
        assert seen is None or seen[0, 0] == row
        del seen


def test_lengths_and_shapes_of_queries_alternate(index: fc.Index, vectors: Vectors) -> None:
    for row in range(60):
        k = 1 + row % 7
        assert_right(index.search(vectors[row] if row % 2 else vectors[row : row + 1], k=k), row, k)
        gc.collect(0)
    with pytest.raises(ValueError, match="k must be"):
        index.search(vectors[0], k=0)
    with pytest.raises(ValueError, match="has nan"):
        index.search(np.full(DIM, np.nan, np.float32), k=3)
    assert_right(index.search(vectors[3], k=3), 3, 3)


def test_threads_do_not_share_answers(index: fc.Index, vectors: Vectors) -> None:
    def ask(first: int) -> None:
        for step in range(400):
            row = (first * 31 + step) % COUNT
            assert_right(index.search(vectors[row], k=3, threads=1), row, 3)

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(ask, first) for first in range(8)]:
            done.result()


def test_answers_to_searches_by_recall_stay(vectors: Vectors) -> None:
    index = fc.Index(DIM, fc.Hnsw())
    index.add(vectors)
    index.fit_stop(k=3, shadow_every=0)
    held = [index.search(vector, k=3, recall=0.9) for vector in vectors]
    only_reasons = [index.search(vector, k=3, recall=0.9).stop_reason for vector in vectors]
    for row, (hits, reason) in enumerate(zip(held, only_reasons, strict=True)):
        plain = index.search(vectors[row], k=3)
        assert plain.stop_reason is None and plain.estimated_recall is None
        again = index.search(vectors[row], k=3, recall=0.9)
        for one, other in zip(again, hits, strict=True):
            np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(reason, hits.stop_reason)
