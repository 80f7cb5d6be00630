"""SIFT descriptors (Lowe, 2004) of the photographs that packages carry; needs OpenCV."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version

import numpy as np

from fastcbir.datasets.kept import digest
from fastcbir.datasets.package_photos import base_and_query_photos
from fastcbir.datasets.types import Vectors
from fastcbir.errors import require

__all__ = ["key", "make"]

_RECIPE = "1"  # to be raised with any change below
_EXTRA, _PURPOSE = "harness", "the data set sift-photos"
# Lowe's 0.04 and 10 are made for matching; a data set wants many descriptors, faint and edge-like ones too.
_CONTRAST, _EDGE, _MOST_PER_PHOTO = 0.01, 20.0, 8000


def key() -> str:
    """A hash of the photographs and of the versions that compute the descriptors."""
    cv2 = require("cv2", _EXTRA, _PURPOSE)
    require("PIL.Image", _EXTRA, _PURPOSE)
    photos = [photo.path.read_bytes() for part in base_and_query_photos(_PURPOSE) for photo in part]
    return digest(_RECIPE, cv2.__version__, version("Pillow"), *photos)


def make(progress: Callable[[int, int], None] | None = None) -> tuple[Vectors, Vectors]:
    """Descriptors of the base photographs and of the query photographs, each (N, 128) uint8."""
    cv2 = require("cv2", _EXTRA, _PURPOSE)
    image = require("PIL.Image", _EXTRA, _PURPOSE)
    base, queries = base_and_query_photos(_PURPOSE)
    sift = cv2.SIFT_create(nfeatures=_MOST_PER_PHOTO, contrastThreshold=_CONTRAST, edgeThreshold=_EDGE)
    found = []
    for photo in (*base, *queries):
        with image.open(photo.path) as opened:
            grey = np.asarray(opened.convert("L"))
        _, descriptors = sift.detectAndCompute(grey, None)
        # OpenCV gives whole numbers from 0 to 255 as float32; None for a photograph without corners.
        found.append(np.empty((0, 128), np.uint8) if descriptors is None else descriptors.astype(np.uint8))
        if progress is not None:
            progress(len(found), len(base) + len(queries))
    return np.concatenate(found[: len(base)]), np.concatenate(found[len(base) :])
