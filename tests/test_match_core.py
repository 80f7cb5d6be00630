"""Promise: the core matches as the obvious NumPy does: neighbours both ways, dual softmax, windows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from fastcbir import _core
from fastcbir.match.protocol import mutual_by_product

Array = npt.NDArray[np.generic]


def descriptors(kind: str, count: int, dim: int, seed: int) -> Array:
    rng = np.random.default_rng(seed)
    if kind == "float32":
        return rng.standard_normal((count, dim)).astype(np.float32)
    low, high = (0, 256) if kind == "uint8" else (-127, 128)
    return rng.integers(low, high, (count, dim)).astype(kind)


@pytest.mark.parametrize(("kind", "metric"), [("uint8", "l2"), ("int8", "ip"), ("float32", "l2")])
@pytest.mark.parametrize(("count_a", "count_b", "dim"), [(1, 1, 64), (7, 223, 128), (300, 17, 31)])
def test_nearest_both_ways(kind: str, metric: str, count_a: int, count_b: int, dim: int) -> None:
    a, b = descriptors(kind, count_a, dim, 1), descriptors(kind, count_b, dim, 2)
    a[-1] = b[0]
    wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
    exact = ((wide_a[:, None] - wide_b[None]) ** 2).sum(-1) if metric == "l2" else -(wide_a @ wide_b.T)
    b_of_a, nearest, second, a_of_b = _core.nearest_both_ways(a, b, metric)
    assert np.array_equal(b_of_a, exact.argmin(1))
    assert np.array_equal(a_of_b, exact.argmin(0))
    np.testing.assert_allclose(nearest, exact.min(1), rtol=1e-5, atol=1e-4)
    if count_b > 1:
        np.testing.assert_allclose(second, np.sort(exact, 1)[:, 1], rtol=1e-5, atol=1e-4)
    else:
        assert np.isinf(second).all()


def test_the_first_of_equal_descriptors_wins() -> None:
    same = np.ones((40, 64), np.uint8)
    b_of_a, nearest, second, a_of_b = _core.nearest_both_ways(same, same, "l2")
    assert not b_of_a.any() and not a_of_b.any() and not nearest.any() and not second.any()


@pytest.mark.parametrize(("count_a", "count_b"), [(1, 1), (700, 223), (5, 300)])
def test_mutual_by_product_is_nearest_both_ways(count_a: int, count_b: int) -> None:
    a, b = descriptors("int8", count_a, 64, 3), descriptors("int8", count_b, 64, 4)
    a[: min(4, count_a)] = b[0]  # ties
    mutual, best, products = mutual_by_product(a, b)
    b_of_a, nearest, _, a_of_b = _core.nearest_both_ways(a, b, "ip")
    assert np.array_equal(best, b_of_a) and np.array_equal(products, -nearest)
    assert np.array_equal(mutual, a_of_b[b_of_a] == np.arange(count_a))


def test_nothing_matches_with_nothing() -> None:
    none, some = np.zeros((0, 64), np.uint8), np.ones((3, 64), np.uint8)
    b_of_a, nearest, _, a_of_b = _core.nearest_both_ways(some, none, "l2")
    assert (b_of_a == -1).all() and np.isinf(nearest).all() and a_of_b.shape == (0,)


def test_descriptors_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="dim is 64 but b have 32 columns"):
        _core.nearest_both_ways(np.ones((3, 64), np.uint8), np.ones((3, 32), np.uint8), "l2")
    with pytest.raises(ValueError, match="finite"):
        _core.nearest_both_ways(np.full((3, 8), np.nan, np.float32), np.ones((3, 8), np.float32), "l2")


def dual_softmax(
    a: Array,
    grid_a: tuple[int, int],
    b: Array,
    grid_b: tuple[int, int],
    scale: float,
    least: float,
    border: int,
) -> dict[tuple[int, int], float]:
    """As LoFTR's paper has it, with the whole matrix, in float64."""
    s = scale * a.astype(np.float64) @ b.astype(np.float64).T

    def softmax(x: npt.NDArray[np.float64], axis: int) -> npt.NDArray[np.float64]:
        e = np.exp(x - x.max(axis, keepdims=True))
        return e / e.sum(axis, keepdims=True)

    confidence = softmax(s, 0) * softmax(s, 1)
    best = (confidence == confidence.max(0)) & (confidence == confidence.max(1, keepdims=True))
    found = {}
    for i, j in np.argwhere(best & (confidence > least)):
        places = [divmod(int(i), grid_a[1]), divmod(int(j), grid_b[1])]
        if all(
            border <= y < grid[0] - border and border <= x < grid[1] - border
            for (y, x), grid in zip(places, (grid_a, grid_b), strict=True)
        ):
            found[int(i), int(j)] = float(confidence[i, j])
    return found


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("grid_a", "grid_b", "channels", "spread", "border"),
    [((15, 20), (15, 20), 256, 1.0, 2), ((9, 31), (17, 11), 30, 6.0, 1), ((1, 1), (1, 1), 8, 1.0, 0)],
)
def test_dual_softmax(
    grid_a: tuple[int, int],
    grid_b: tuple[int, int],
    channels: int,
    spread: float,
    border: int,
    threads: int,
) -> None:
    rng = np.random.default_rng(3)
    a = rng.standard_normal((grid_a[0] * grid_a[1], channels)).astype(np.float32) * spread
    b = rng.standard_normal((grid_b[0] * grid_b[1], channels)).astype(np.float32) * spread
    shared = min(len(a), len(b)) // 2
    b[rng.permutation(len(b))[:shared]] = a[rng.permutation(len(a))[:shared]] * 0.9  # some that do match
    scale = 10.0 / channels
    expected = dual_softmax(a, grid_a, b, grid_b, scale, 0.02, border)
    of_a, of_b, confidence = _core.dual_softmax_matches(a, grid_a, b, grid_b, scale, 0.02, border, threads)
    assert list(zip(of_a.tolist(), of_b.tolist(), strict=True)) == sorted(expected)
    assert expected
    np.testing.assert_allclose(confidence, [expected[key] for key in sorted(expected)], atol=2e-5)


def test_a_grid_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="a has 6 cells, but its grid is 2 x 4"):
        cells = np.ones((6, 4), np.float32)
        _core.dual_softmax_matches(cells, (2, 4), cells, (2, 3), 1.0, 0.2, 0, None)


def test_windows_are_those_of_a_padded_map() -> None:
    rng = np.random.default_rng(4)
    features = rng.standard_normal((12, 20, 3)).astype(np.float32)  # a grid of 3 x 5 cells, 4 apart
    cells = np.array([0, 4, 7, 10, 14], np.int32)
    padded = np.pad(features, ((2, 2), (2, 2), (0, 0)))
    expected = [
        padded[4 * (cell // 5) :][:5, 4 * (cell % 5) :][:, :5].reshape(25, 3) for cell in cells.tolist()
    ]
    assert np.array_equal(_core.gather_windows(features, cells, 5, 4, 5), expected)
    assert _core.gather_windows(features, cells[:0], 5, 4, 5).shape == (0, 25, 3)
