"""Promise: each pooling is what its paper says, and several scales are averaged as Radenovic et al. do."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fastcbir.errors import ModelError
from fastcbir.extract.pooled import PooledModel, resized
from fastcbir.extract.pooling import Pooling, l2_normalised, regions
from fastcbir.extract.spec import Spec

Array = np.ndarray
MAPS = np.random.default_rng(0).random((3, 7, 5, 9)).astype(np.float32) - 0.2


def slow(maps: Array, one: object) -> Array:
    """(N, C) by a function of the list of values at all places."""
    return np.array([[one([float(v) for v in channel.ravel()]) for channel in photo] for photo in maps])  # type: ignore[operator]


def test_mean_and_maximum() -> None:
    np.testing.assert_allclose(Pooling.parse("gap")(MAPS), slow(MAPS, lambda v: sum(v) / len(v)), atol=1e-6)
    np.testing.assert_array_equal(Pooling.parse("mac")(MAPS), slow(MAPS, max).astype(np.float32))


@pytest.mark.parametrize("power", [1.0, 2.0, 2.5, 3.0, 10.0])
def test_generalised_mean(power: float) -> None:
    expected = slow(MAPS, lambda v: (sum(max(x, 1e-6) ** power for x in v) / len(v)) ** (1 / power))
    np.testing.assert_allclose(Pooling.parse(f"gem{power:g}")(MAPS), expected, rtol=1e-4)


def test_spoc_prefers_the_middle() -> None:
    maps = np.zeros((2, 1, 7, 9), np.float32)
    maps[0, 0, 3, 4] = maps[1, 0, 0, 0] = 1
    middle, corner = Pooling.parse("spoc")(maps)[:, 0]
    sigma = 7 / 2 / 3
    assert middle / corner == pytest.approx(math.exp((3**2 + 4**2) / (2 * sigma**2)), rel=1e-4)
    assert Pooling.parse("spoc")(np.ones((1, 1, 7, 9), np.float32))[0, 0] == pytest.approx(1)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 2), (5, 9), (12, 9), (7, 30), (30, 7), (16, 16)])
def test_regions_lie_in_the_map_and_cover_it(height: int, width: int) -> None:
    covered = np.zeros((height, width), bool)
    for top, left, side in regions(height, width):
        assert top >= 0 and left >= 0 and top + side <= height and left + side <= width and side >= 1
        covered[top : top + side, left : left + side] = True
    assert covered.all()


def test_regions_of_a_square_are_those_of_the_paper() -> None:
    sides = [side for _, _, side in regions(12, 12)]
    assert sides == [12] * 1 + [8] * 4 + [6] * 9


def test_rmac_sums_normalised_maxima() -> None:
    photo = np.maximum(MAPS[:1], 0)
    total = np.zeros(7)
    for top, left, side in [(0, 0, 0), *regions(5, 9)]:
        part = photo[0] if side == 0 else photo[0, :, top : top + side, left : left + side]
        most = part.max(axis=(1, 2)).astype(np.float64)
        total += most / np.linalg.norm(most)
    np.testing.assert_allclose(Pooling.parse("rmac")(photo)[0], total, rtol=1e-5)


def test_tokens() -> None:
    tokens = np.random.default_rng(1).random((2, 5, 3)).astype(np.float32)
    np.testing.assert_array_equal(Pooling.parse("cls")(tokens), tokens[:, 0])
    np.testing.assert_allclose(Pooling.parse("gap")(tokens), tokens[:, 1:].mean(axis=1), rtol=1e-6)
    with pytest.raises(ValueError, match=r"cls needs \(N, tokens, C\), got shape \(3, 7, 5, 9\)"):
        Pooling.parse("cls")(MAPS)
    with pytest.raises(ValueError, match=r"gap needs a feature map"):
        Pooling.parse("gap")(MAPS[0, 0])


@pytest.mark.parametrize("text", ["", "max", "gem0", "gem99", "gap3", "gem-1", "GeM", "gem3 "])
def test_what_is_no_pooling(text: str) -> None:
    with pytest.raises(ValueError, match=r"pooling must be one of gap, mac|power of gem must be"):
        Pooling.parse(text)


def test_resizing_keeps_what_is_flat_and_what_is_straight() -> None:
    flat = np.full((1, 2, 10, 14), 3, np.float32)
    np.testing.assert_allclose(resized(flat, 4, 23), np.full((1, 2, 4, 23), 3), rtol=1e-6)
    ramp = np.broadcast_to(np.arange(64, dtype=np.float32), (1, 1, 4, 64))
    smaller = resized(np.ascontiguousarray(ramp), 4, 32)[0, 0, 0]
    np.testing.assert_allclose(smaller[2:-2], np.arange(32)[2:-2] * 2 + 0.5, atol=1e-4)


def test_resizing_is_that_of_the_field() -> None:
    image = pytest.importorskip("PIL.Image")
    values = np.random.default_rng(2).random((40, 56)).astype(np.float32)
    expected = np.asarray(image.fromarray(values).resize((33, 17), image.Resampling.BILINEAR))
    np.testing.assert_allclose(resized(values[None, None], 17, 33)[0, 0], expected, atol=1e-5)


def test_scales_are_averaged_with_the_power_of_gem() -> None:
    shapes: list[tuple[int, ...]] = []

    def network(batch: Array) -> Array:
        shapes.append(batch.shape)
        return batch[:, :, ::32, ::32]

    batch = np.random.default_rng(3).random((2, 3, 128, 96)).astype(np.float32)
    pool = Pooling.parse("gem3")
    found = PooledModel(network, pool, (1.0, 0.5), 32)(batch)
    assert shapes == [(2, 3, 128, 96), (2, 3, 64, 64)]  # 48 is no multiple of 32: the even one of 1.5
    parts = [l2_normalised(pool(network(part))) for part in (batch, resized(batch, 64, 64))]
    np.testing.assert_allclose(found, ((parts[0] ** 3 + parts[1] ** 3) / 2) ** (1 / 3), rtol=1e-5)


def test_specs_are_read_as_they_are_written() -> None:
    for text in ("a", "a@448", "a+gem3", "a@448+gem2.5*1,0.707", "a*1,0.5,2", "a+rmac"):
        assert str(Spec.parse(text)) == text
    assert str(Spec.parse("a+gem")) == "a+gem3"


@pytest.mark.parametrize("text", ["", "a@", "a@x", "a+nothing", "a*", "a*9", "a*1,x", "a*" + "1," * 8 + "1"])
def test_specs_that_are_none(text: str) -> None:
    with pytest.raises(ModelError):
        Spec.parse(text)
