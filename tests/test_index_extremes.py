"""Promise: graphs, with codes and without, stand extremes: few, flat, far, equal, tiny and huge data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest
from reference import Array

import fastcbir as fc

Codec = Literal["rabitq1", "rabitq2"] | None
CODECS: list[Codec] = [None, "rabitq1", "rabitq2"]


def built(vectors: Array, codec: Codec, metric: str = "l2", dtype: str = "float32") -> fc.Index:
    index = fc.Index(vectors.shape[1], fc.Hnsw(ef_construction=60, codec=codec), metric=metric, dtype=dtype)
    index.add(vectors, threads=1)
    return index


def distances(queries: Array, vectors: Array, metric: str) -> Array:
    """(Q, N) float64. Differences first: what is far from the origin and near to each other stays exact."""
    q, x = queries.astype(np.float64), vectors.astype(np.float64)
    return -(q @ x.T) if metric == "ip" else np.stack([((x - row) ** 2).sum(1) for row in q])


def check(index: fc.Index, vectors: Array, queries: Array, metric: str = "l2", k: int = 10) -> float:
    """Recall by distance; what is found must be distinct, sorted, and as far away as it says."""
    k = min(k, len(vectors))
    hits = index.search(queries, k=k, ef=128, threads=1)
    table = distances(queries, vectors, metric)
    wanted = np.sort(table, axis=1)[:, :k]
    found = np.take_along_axis(table, hits.ids, axis=1)
    scale = np.abs(table).max() + np.finfo(np.float32).tiny
    np.testing.assert_allclose(hits.distances / scale, found / scale, atol=1e-5)
    assert (np.diff(hits.distances, axis=1) >= 0).all()
    assert all(len(set(row)) == k for row in hits.ids.tolist())
    return float((found <= wanted[:, -1:] + 1e-6 * np.abs(wanted[:, -1:])).mean())


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("dim", [1, 2, 3, 100, 4096])
def test_any_dimension(dim: int, codec: Codec) -> None:
    rng = np.random.default_rng(dim)
    vectors = rng.standard_normal((100 if dim == 4096 else 1000, dim), dtype=np.float32)
    queries = rng.standard_normal((20, dim), dtype=np.float32)
    assert check(built(vectors, codec), vectors, queries) > 0.95


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("count", [0, 1, 2, 16, 33])
def test_few_vectors(count: int, codec: Codec) -> None:
    rng = np.random.default_rng(count)
    vectors = rng.standard_normal((count, 20), dtype=np.float32)
    queries = rng.standard_normal((5, 20), dtype=np.float32)
    index = built(vectors, codec)
    hits = index.search(queries, k=40, ef=64)
    assert (hits.ids[:, count:] == -1).all()
    assert np.isinf(hits.distances[:, count:]).all()
    assert (np.sort(hits.ids[:, :count], axis=1) == np.arange(count)).all()


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("allowed", [False, True])
def test_as_many_as_asked_for(allowed: bool, codec: Codec) -> None:
    """However small ef is beside k; a node that stands in the beam twice must not cost a result."""
    vectors = np.random.default_rng(4).standard_normal((700, 20), dtype=np.float32)
    mask = np.arange(700) % 2 == 0
    hits = built(vectors, codec).search(vectors[:4], k=300, ef=10, allow=mask if allowed else None)
    assert all(len(set(row)) == 300 and min(row) >= 0 for row in hits.ids.tolist())
    assert not allowed or mask[hits.ids].all()


@pytest.mark.parametrize("codec", ["rabitq1", "rabitq2"])
def test_k_hits_whatever_the_effort(codec: Codec) -> None:
    """A node stands in the frontier of codes several times: a narrow one may hold fewer than k nodes."""
    rng = np.random.default_rng(11)
    index = fc.Index(48, fc.Hnsw(m=16, ef_construction=60, codec=codec))
    index.add(rng.standard_normal((3000, 48)).astype(np.float32), threads=1)
    queries = rng.standard_normal((300, 48)).astype(np.float32)
    for k in (1, 2, 5, 9, 10, 12, 13, 20, 32, 33, 64):
        for ef in (k, k + 3, 2 * k):
            hits = index.search(queries, k, ef=ef)
            assert (hits.ids >= 0).all(), (k, ef)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("value", [0.0, 3.0])
def test_all_vectors_equal(value: float, codec: Codec) -> None:
    vectors = np.full((200, 24), value, np.float32)
    assert check(built(vectors, codec), vectors, vectors[:3], k=20) == 1
    assert check(built(vectors, codec), vectors, vectors[:3] + 1, k=20) == 1


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("in_order", [False, True])
def test_clusters_and_far_outliers(in_order: bool, codec: Codec) -> None:
    """Cluster by cluster too, as the photos of one place come in: links must lead from one to the next."""
    rng = np.random.default_rng(5)
    centres = rng.standard_normal((8, 32)) * 100
    points = (centres[:, None] + rng.standard_normal((8, 150, 32))).reshape(-1, 32)
    vectors = np.concatenate([points, rng.standard_normal((6, 32)) * 10_000]).astype(np.float32)
    if not in_order:
        rng.shuffle(vectors)
    queries = vectors[::20] + rng.standard_normal((len(vectors[::20]), 32), dtype=np.float32) / 10
    index = built(vectors, codec)
    assert check(index, vectors, queries) > 0.94
    assert (index.search(vectors, k=1, ef=64).ids[:, 0] == np.arange(len(vectors))).mean() > 0.96


@pytest.mark.parametrize("codec", CODECS)
def test_inner_products_of_norms_a_hundredfold_apart(codec: Codec) -> None:
    rng = np.random.default_rng(6)
    vectors = rng.standard_normal((1500, 48), dtype=np.float32)
    vectors *= 10 ** rng.uniform(-1, 1, (len(vectors), 1)).astype(np.float32)
    queries = rng.standard_normal((30, 48), dtype=np.float32)
    assert check(built(vectors, codec, "ip"), vectors, queries, "ip") > 0.8


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_whole_numbers(dtype: str, codec: Codec) -> None:
    """Of few values, so that very many distances are equal."""
    rng = np.random.default_rng(7)
    vectors = rng.integers(0, 3, (1500, 40)).astype(dtype)
    assert check(built(vectors, codec, dtype=dtype), vectors, vectors[::50]) > 0.9


def blown_up(vectors: Array) -> Array:
    return vectors * np.float32(1e17)


def shrunk(vectors: Array) -> Array:
    return vectors * np.float32(1e-15)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("change", [blown_up, shrunk])
def test_scales(change: Callable[[Array], Array], codec: Codec) -> None:
    rng = np.random.default_rng(8)
    vectors = change(rng.standard_normal((1000, 40), dtype=np.float32))
    queries = change(rng.standard_normal((20, 40), dtype=np.float32))
    assert check(built(vectors, codec), vectors, queries) > 0.9


@pytest.mark.parametrize("codec", CODECS)
def test_denormal_numbers(codec: Codec) -> None:
    """Their squares are zero in float32: all are equally near, and found all the same."""
    vectors = np.random.default_rng(9).standard_normal((300, 40), dtype=np.float32) * np.float32(1e-40)
    hits = built(vectors, codec).search(vectors[:5], k=10, ef=64)
    assert (hits.distances == 0).all()
    assert all(len(set(row)) == 10 and min(row) >= 0 for row in hits.ids.tolist())
