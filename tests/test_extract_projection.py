"""Promise: whitening is learned as described, is the same after being kept, and helps where it should."""

from __future__ import annotations

import numpy as np
import pytest

from fastcbir.errors import FormatError
from fastcbir.extract.projection import Projection, fit_learned_whitening, fit_whitening, shrinkage

RNG = np.random.default_rng(0)
MIXING = RNG.normal(size=(8, 8)) * np.array([9, 5, 3, 2, 1, 1, 0.5, 0.2])
VECTORS = (RNG.normal(size=(4000, 8)) @ MIXING.T + 3).astype(np.float32)


def raw(projection: Projection, vectors: np.ndarray) -> np.ndarray:
    return (vectors - projection.mean) @ projection.matrix.T


@pytest.mark.parametrize("strength", [0.25, 0.5, 1.0])
def test_variances_become_what_the_strength_says(strength: float) -> None:
    values = np.sort(np.linalg.eigvalsh(np.cov(VECTORS.T, bias=True)))[::-1]
    share = shrinkage(VECTORS.astype(np.float64) - VECTORS.mean(0))
    drawn = (1 - share) * values + share * values.mean()
    found = np.cov(raw(fit_whitening(VECTORS, strength=strength), VECTORS).T, bias=True)
    np.testing.assert_allclose(np.diag(found), values / drawn**strength, rtol=1e-3)
    np.testing.assert_allclose(found, np.diag(np.diag(found)), atol=1e-3 * found.max())


def test_strength_zero_is_pca() -> None:
    projection = fit_whitening(VECTORS, strength=0.0, dim=3)
    assert projection.matrix.shape == (3, 8)
    np.testing.assert_allclose(projection.matrix @ projection.matrix.T, np.eye(3), atol=1e-5)
    _, _, directions = np.linalg.svd(VECTORS - VECTORS.mean(0), full_matrices=False)
    np.testing.assert_allclose(np.abs(np.sum(projection.matrix * directions[:3], axis=1)), 1, atol=1e-4)


def test_few_vectors_lose_no_direction() -> None:
    projection = fit_whitening(VECTORS[:5], strength=0.5)
    assert projection.matrix.shape == (8, 8)
    assert np.linalg.matrix_rank(projection.matrix) == 8
    assert 0 < shrinkage(VECTORS[:5].astype(np.float64) - VECTORS[:5].mean(0)) <= 1
    assert shrinkage(VECTORS.astype(np.float64) - VECTORS.mean(0)) < 0.02


def test_shrinkage_is_that_of_scikit_learn() -> None:
    covariance = pytest.importorskip("sklearn.covariance")
    for count in (5, 30, 400):
        some = VECTORS[:count].astype(np.float64)
        _, expected = covariance.ledoit_wolf(some)
        assert shrinkage(some - some.mean(0)) == pytest.approx(expected, abs=1e-9)


def test_learned_whitening_suppresses_what_differs_within_pairs() -> None:
    things = RNG.normal(size=(200, 8))
    nuisance = RNG.normal(size=(2, 200, 1)) * 20 * np.array([1, 1, 0, 0, 0, 0, 0, 0])
    first, second = things + nuisance[0], things + nuisance[1]
    vectors = np.concatenate([first, second]).astype(np.float32)
    pairs = np.stack([np.arange(200), np.arange(200) + 200], axis=1)

    def first_hits(left: np.ndarray, right: np.ndarray) -> float:
        return float(np.mean((left @ right.T).argmax(axis=1) == np.arange(200)))

    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    learned = fit_learned_whitening(vectors, pairs)(vectors)
    assert first_hits(unit[:200], unit[200:]) < 0.3
    assert first_hits(learned[:200], learned[200:]) > 0.8
    assert fit_learned_whitening(vectors, pairs, dim=3).matrix.shape == (3, 8)


def test_rows_have_length_one_even_the_mean_itself() -> None:
    projection = fit_whitening(VECTORS)
    found = projection(np.concatenate([VECTORS[:3], projection.mean[None]]))
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-6)


def test_it_is_the_same_after_being_kept() -> None:
    projection = fit_whitening(VECTORS, dim=5)
    back = Projection.from_bytes(projection.to_bytes())
    assert (back.kind, back.key, back.dim, back.out_dim) == ("whiten(0.5)", projection.key, 8, 5)
    np.testing.assert_array_equal(back(VECTORS), projection(VECTORS))
    assert fit_whitening(VECTORS, dim=4).key != projection.key
    data = projection.to_bytes()
    for damaged in (b"", b"PK", data[:100], data[:-40]):
        with pytest.raises(FormatError, match="stored projection"):
            Projection.from_bytes(damaged)


def test_what_can_not_be_learned_from() -> None:
    with pytest.raises(ValueError, match="at least 2 vectors"):
        fit_whitening(VECTORS[:1])
    with pytest.raises(ValueError, match="all the same"):
        fit_whitening(np.ones((4, 8), np.float32))
    with pytest.raises(ValueError, match="not finite"):
        fit_whitening(np.full((4, 8), np.nan, np.float32))
    with pytest.raises(ValueError, match="strength must be from 0 to 1, got 2"):
        fit_whitening(VECTORS, strength=2)
    with pytest.raises(ValueError, match="dim must be from 1 to 8"):
        fit_whitening(VECTORS, dim=9)
    with pytest.raises(ValueError, match="pairs must name rows 0 to 3999"):
        fit_learned_whitening(VECTORS, np.array([[0, 4000]]))
    with pytest.raises(ValueError, match=r"expected vectors \(N, 8\)"):
        fit_whitening(VECTORS)(VECTORS[:, :7])
