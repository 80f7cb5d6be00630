"""Colour and edges by place: a vector computed, not learned. Needs nothing but NumPy.

The photo is cut into a grid of 4 x 4 cells. Each gives the mean and the spread of its Lab colours, and a
histogram of the orientations of its edges; a histogram of all colours, which does not care for place, is
added. It finds copies, resized, recompressed or slightly cropped versions and photos of the same scene from
nearly the same place; it knows nothing of what a photo shows, and a learned model finds far more. Use it
where no model can be installed, and in tests.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import numpy.typing as npt

from fastcbir.errors import ModelError
from fastcbir.extract.card import Entry, Model, ModelCard, Preprocessing

__all__ = ["CARD", "ENTRY"]

_GRID = 4
_ORIENTATIONS = 8
_LIGHTNESS, _CHROMA = 4, 6  # bins of the colour histogram: 4 x 6 x 6

_MOMENTS_DIM = _GRID * _GRID * 6
_EDGES_DIM = _GRID * _GRID * _ORIENTATIONS
_COLORS_DIM = _LIGHTNESS * _CHROMA * _CHROMA

CARD = ModelCard(
    name="color-layout",
    dim=_MOMENTS_DIM + _EDGES_DIM + _COLORS_DIM,
    metric="cosine",
    summary="Colour and edges by place, no weights: for copies and near-copies, and for tests.",
    licence="Apache-2.0",
    licence_url="https://www.apache.org/licenses/LICENSE-2.0",
    source="computed by fastcbir itself",
    sha256="",
    preprocessing=Preprocessing(size=128, multiple=32),
    output="layout",
    extra="photos",
)

Array = npt.NDArray[np.float32]

# linear sRGB -> XYZ relative to the D65 white (IEC 61966-2-1)
_TO_XYZ = np.array(
    [
        [0.4124564 / 0.95047, 0.3575761 / 0.95047, 0.1804375 / 0.95047],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339 / 1.08883, 0.1191920 / 1.08883, 0.9503041 / 1.08883],
    ],
    np.float32,
)
_GAMMA = np.arange(256) / 255.0
_GAMMA = np.where(_GAMMA <= 0.04045, _GAMMA / 12.92, ((_GAMMA + 0.055) / 1.055) ** 2.4).astype(np.float32)


def _lab(batch: Array) -> Array:
    """(N, 3, H, W) sRGB in 0..1 -> CIE Lab, each channel divided by 100: about 0..1 and twice -1..1."""
    linear = _GAMMA[(batch * 255 + 0.5).astype(np.uint8)]
    xyz = np.einsum("ck,nkhw->nchw", _TO_XYZ, linear, optimize=True)
    curve = np.where(xyz > 216 / 24389, np.cbrt(xyz), xyz * (24389 / 27 / 116) + 16 / 116)
    x, y, z = curve[:, 0], curve[:, 1], curve[:, 2]
    return np.stack([1.16 * y - 0.16, 5 * (x - y), 2 * (y - z)], axis=1).astype(np.float32)


def _cells(values: Array) -> Array:
    """(N, C, H, W) -> (N, C, cells, pixels of a cell); sides are multiples of 32, so cells are equal."""
    count, channels, height, width = values.shape
    high, wide = height // _GRID, width // _GRID
    blocks = values.reshape(count, channels, _GRID, high, _GRID, wide).transpose(0, 1, 2, 4, 3, 5)
    cells: Array = blocks.reshape(count, channels, _GRID * _GRID, high * wide)
    return cells


def _moments(lab: Array) -> Array:
    cells = _cells(lab)
    mean, spread = cells.mean(axis=3), cells.std(axis=3)
    mean[:, 0] -= 0.5  # middle grey at the origin, as for the two colour axes
    return np.concatenate([mean, spread], axis=1).reshape(len(lab), -1)


def _edges(lightness: Array) -> Array:
    """(N, H, W) -> histograms of edge orientation (modulo 180 degrees), weighted by strength."""
    down = np.zeros_like(lightness)
    across = np.zeros_like(lightness)
    down[:, 1:-1] = lightness[:, 2:] - lightness[:, :-2]
    across[:, :, 1:-1] = lightness[:, :, 2:] - lightness[:, :, :-2]
    strength = np.hypot(down, across)
    # Each edge votes for the two nearest orientations, so that a small rotation changes little.
    place = np.arctan2(down, across) * (_ORIENTATIONS / np.pi) % _ORIENTATIONS
    lower = np.floor(place)
    upper_share = place - lower
    first = lower.astype(np.int64) % _ORIENTATIONS
    votes = []
    for bin_number in range(_ORIENTATIONS):
        before = (bin_number - 1) % _ORIENTATIONS
        votes.append(
            np.where(first == bin_number, strength * (1 - upper_share), 0)
            + np.where(first == before, strength * upper_share, 0)
        )
    cells = _cells(np.stack(votes, axis=1)).mean(axis=3)  # (N, orientations, cells)
    return cast(Array, np.sqrt(cells).reshape(len(lightness), -1))


def _colors(lab: Array) -> Array:
    """A joint histogram of lightness and colour over the whole photo, as square roots (Hellinger)."""
    light = np.clip(lab[:, 0] * _LIGHTNESS, 0, _LIGHTNESS - 1).astype(np.int64)
    # Most colours are near grey, so the bins are narrower there.
    chroma = np.sign(lab[:, 1:]) * np.sqrt(np.abs(lab[:, 1:]))
    steps = np.clip((chroma + 1) * (_CHROMA / 2), 0, _CHROMA - 1).astype(np.int64)
    bins = (light * _CHROMA + steps[:, 0]) * _CHROMA + steps[:, 1]
    counts = [np.bincount(photo.ravel(), minlength=_COLORS_DIM) for photo in bins]
    return cast(Array, np.sqrt(np.asarray(counts, np.float32) / bins[0].size))


def _unit(part: Array) -> Array:
    norms = np.linalg.norm(part, axis=1, keepdims=True)
    return cast(Array, np.divide(part, norms, out=np.zeros_like(part), where=norms > 1e-6))


def _extract(batch: Array) -> Array:
    """(N, 3, H, W) float32 in 0..1 -> (N, dim).

    The moments count half: they say least of the three, and the most about where the camera stood.
    """
    lab = _lab(batch)
    parts = [0.5 * _unit(_moments(lab)), _unit(_edges(lab[:, 0])), _unit(_colors(lab))]
    return np.concatenate(parts, axis=1, dtype=np.float32)


def _open(card: ModelCard, provider: str, threads: int | None) -> Model:
    if provider != "cpu":
        raise ModelError(f"{CARD.name} runs on provider 'cpu' alone, got {provider!r}")
    return _extract


ENTRY = Entry(CARD, _open)
