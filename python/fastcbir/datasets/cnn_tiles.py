"""Features of tiles of photographs that packages carry, by the default extractor; whole or reduced by PCA.

What DEEP1B is made of, in small: a classification network's average pool, reduced to 96-d, normalised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any

import numpy as np

from fastcbir.datasets.kept import digest
from fastcbir.datasets.package_photos import PackagePhoto, base_and_query_photos
from fastcbir.datasets.types import Vectors
from fastcbir.errors import require

__all__ = ["key", "make", "reduced"]

_RECIPE = "1"  # to be raised with any change below
_EXTRA, _PURPOSE = "harness", "the data set cnn-tiles"
_INPUT = 128  # pixels; the extractor's side for a tile, small so that thousands take seconds
_SIDES = (96, 128, 192, 256)  # pixels in the photograph
_OVERLAP = 4  # a tile starts each quarter of its side
_LONGEST = 640  # larger photographs are reduced first, or they would fill the base
_BATCH = 256


def key() -> str:
    """A hash of the photographs, of the extractor, and of the versions that compute the features."""
    require("PIL.Image", _EXTRA, _PURPOSE)
    photos = [photo.path.read_bytes() for part in base_and_query_photos(_PURPOSE) for photo in part]
    runtime = version("onnxruntime")
    return digest(_RECIPE, _extractor().model_id, runtime, version("Pillow"), *photos)


def make(progress: Callable[[int, int], None] | None = None) -> tuple[Vectors, Vectors]:
    """Features of tiles of the base and of the query photographs: (N, dim) float32 each, L2-normalised."""
    base, queries = base_and_query_photos(_PURPOSE)
    tiles = [list(_tiles(photo)) for photo in (*base, *queries)]
    counts = [len(part) for part in tiles]
    flat = [tile for part in tiles for tile in part]
    extractor = _extractor()
    features = []
    for start in range(0, len(flat), _BATCH):
        features.append(extractor.extract(flat[start : start + _BATCH]))
        if progress is not None:
            progress(min(start + _BATCH, len(flat)), len(flat))
    vectors = np.concatenate(features)
    split = sum(counts[: len(base)])
    return vectors[:split], vectors[split:]


def reduced(base: Vectors, queries: Vectors, dim: int) -> tuple[Vectors, Vectors]:
    """Both projected to the `dim` principal axes of the base (N, d), from its mean, and L2-normalised."""
    mean = base.mean(axis=0, dtype=np.float64)
    centred = base - mean
    # Ascending eigenvalues: the principal axes are the last columns.
    axes = np.linalg.eigh(centred.T @ centred)[1][:, : -dim - 1 : -1]

    def project(vectors: Vectors) -> Vectors:
        low = (vectors - mean) @ axes
        unit: Vectors = low / np.linalg.norm(low, axis=1, keepdims=True)
        return unit.astype(np.float32)

    return project(base), project(queries)


def _extractor() -> Any:
    from fastcbir.extract import load_extractor

    return load_extractor(size=_INPUT)


def _tiles(photo: PackagePhoto) -> Iterator[Vectors]:
    """Square tiles (side, side, 3) uint8 of several sides, in rows, overlapping."""
    image = require("PIL.Image", _EXTRA, _PURPOSE)
    with image.open(photo.path) as opened:
        rgb = opened.convert("RGB")
    if max(rgb.size) > _LONGEST:
        rgb.thumbnail((_LONGEST, _LONGEST))
    pixels = np.asarray(rgb)
    height, width = pixels.shape[:2]
    for side in _SIDES:
        step = side // _OVERLAP
        for top in range(0, height - side + 1, step):
            for left in range(0, width - side + 1, step):
                yield np.ascontiguousarray(pixels[top : top + side, left : left + side])
