"""Promise: query expansion and diffusion compute what their papers say, checked against dense algebra."""

from __future__ import annotations

import numpy as np
import pytest

from fastcbir.rerank import alpha_expansion, augment_database, average_expansion, diffuse


def unit(count: int, dim: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((count, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_average_is_the_mean_direction() -> None:
    query, hits = unit(1, 8)[0], unit(4, 8, 1)
    mean = query + hits.sum(0)
    np.testing.assert_allclose(average_expansion(query, hits), mean / np.linalg.norm(mean), atol=1e-6)
    np.testing.assert_allclose(average_expansion(query, hits[:0]), query, atol=1e-6)


def test_alpha_weighs_by_the_cosine_and_lets_opposites_out() -> None:
    query = np.array([1, 0, 0], np.float32)
    hits = np.array([[0.8, 0.6, 0], [-1, 0, 0]], np.float32)
    expected = query + 0.8**3 * hits[0]
    np.testing.assert_allclose(alpha_expansion(query, hits), expected / np.linalg.norm(expected), atol=1e-6)


def test_augmentation_is_expansion_of_each_row() -> None:
    base = unit(6, 5)
    near = np.argsort(-(base @ base.T), axis=1)[:, 1:4]
    near[2, 1:] = -1
    found = augment_database(base, near, alpha=2.0)
    for i in range(6):
        own = near[i][near[i] >= 0]
        np.testing.assert_allclose(found[i], alpha_expansion(base[i], base[own], alpha=2.0), atol=1e-6)


def test_diffusion_solves_its_equation() -> None:
    base = unit(60, 6)
    cosines = base @ base.T
    np.fill_diagonal(cosines, -2)
    near = np.argsort(-cosines, axis=1, kind="stable")[:, :8]
    found = diffuse(near, np.take_along_axis(cosines, near, 1), [3, 7], [0.9, 0.5], iterations=200)
    graph = np.zeros((60, 60))
    for i in range(60):
        for j in near[i]:
            if i in near[j]:
                graph[i, j] = max(cosines[i, j], 0) ** 3
    degree = graph.sum(1)
    scale = np.where(degree > 0, 1 / np.sqrt(np.maximum(degree, 1e-300)), 0)
    start = np.zeros(60)
    start[3], start[7] = 0.9**3, 0.5**3
    exact = np.linalg.solve(np.eye(60) - 0.9 * scale[:, None] * graph * scale, 0.1 * start)
    np.testing.assert_allclose(found, exact, atol=1e-6)


def test_arguments_are_checked() -> None:
    with pytest.raises(ValueError, match="expected a query"):
        alpha_expansion(unit(2, 3), unit(2, 3))
    with pytest.raises(ValueError, match="alpha must be at least 0"):
        alpha_expansion(unit(1, 3)[0], unit(2, 3), alpha=-1)
    with pytest.raises(ValueError, match="row numbers below 2"):
        augment_database(unit(2, 3), [[5], [0]])
    with pytest.raises(ValueError, match="alpha must be between"):
        diffuse([[1], [0]], [[0.5], [0.5]], [0], [1.0], alpha=1.0)
    with pytest.raises(ValueError, match="expected neighbours and cosines"):
        diffuse([[1], [0]], [[0.5]], [0], [1.0])
