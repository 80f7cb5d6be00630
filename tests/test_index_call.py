"""Index.search goes to the core without a Python frame; what its own function would do is the reference."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastcbir as fc

FUNCTION: Callable[..., fc.Hits] = fc.Index.search.__wrapped__  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def index() -> fc.Index:
    index = fc.Index(8, fc.Hnsw())
    index.add(np.random.default_rng(0).standard_normal((500, 8)).astype(np.float32))
    index.fit_stop(k=5)
    return index


QUERY = np.ones(8, np.float32)
WELL: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    ((QUERY,), {}),
    ((QUERY, 3), {}),
    ((QUERY,), {"k": np.int32(4)}),
    ((), {"k": 4, "queries": QUERY}),
    ((np.stack([QUERY, -QUERY]), 7), {"ef": 200, "threads": 2}),
    (([1] * 8, 7), {"allow": np.arange(100), "ef": 20}),
    ((QUERY, 20), {"max_distances": 30}),
    ((QUERY, 5), {"recall": 0.9, "probability": None}),
    ((QUERY, 5), {"recall": 0.9, "probability": 0.5, "progress": print}),
    ((QUERY, 5), {"nprobe": 3, "rerank": 4}),
]
BADLY: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    ((), {}),
    ((), {"k": 3}),
    ((QUERY, 3, 4), {}),
    ((QUERY, 3), {"k": 3}),
    ((QUERY,), {"queries": QUERY}),
    ((QUERY,), {"effort": 3}),
    ((QUERY,), {"self": 3}),
    ((QUERY,), {"_core": 3}),
    ((QUERY[:3],), {}),
    ((QUERY, 0), {}),
    ((QUERY, "3"), {}),
    ((QUERY,), {"ef": -1}),
    ((QUERY,), {"recall": 2}),
    ((QUERY,), {"recall": 0.9, "ef": 3}),
    (("abc",), {}),
]


@pytest.mark.parametrize(("given", "named"), WELL)
def test_the_same_is_found(index: fc.Index, given: tuple[Any, ...], named: dict[str, Any]) -> None:
    expected = FUNCTION(index, *given, **named)
    for found in (
        index.search(*given, **named),
        fc.Index.search(index, *given, **named),
        getattr(index, "search")(*given, **named),  # noqa: B009  (a bound method, kept or not)
    ):
        assert isinstance(found, fc.Hits)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("given", "named"), BADLY)
def test_the_same_is_said(index: fc.Index, given: tuple[Any, ...], named: dict[str, Any]) -> None:
    with pytest.raises(Exception) as expected:
        FUNCTION(index, *given, **named)
    with pytest.raises(expected.type) as said:
        index.search(*given, **named)
    assert str(said.value) == str(expected.value)


def test_it_wants_an_index() -> None:
    for nothing in ((), (3, QUERY), (fc.Index.__new__(fc.Index), QUERY)):
        with pytest.raises(Exception) as expected:
            FUNCTION(*nothing)
        with pytest.raises(expected.type) as said:
            fc.Index.search(*nothing)
        assert str(said.value) == str(expected.value)


def test_it_describes_itself_as_the_function(index: fc.Index) -> None:
    assert inspect.signature(fc.Index.search) == inspect.signature(FUNCTION)
    assert "self" not in inspect.signature(index.search).parameters
    assert inspect.getdoc(fc.Index.search) == inspect.getdoc(FUNCTION)
    assert fc.Index.search.__qualname__ == "Index.search"
    assert inspect.isroutine(fc.Index.search)


def test_a_subclass_may_refine_it() -> None:
    class Doubled(fc.Index):
        def search(self, *given: Any, **named: Any) -> fc.Hits:
            return super().search(2 * given[0], *given[1:], **named)

    index = Doubled(2)
    index.add([[1, 1], [2, 2], [3, 3]])
    assert index.search(np.ones(2), 1).ids.tolist() == [[1]]
