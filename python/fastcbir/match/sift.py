"""SIFT (Lowe, 2004) by OpenCV, described as RootSIFT (Arandjelovic & Zisserman, 2012): needs no weights."""

from __future__ import annotations

import numpy as np

from fastcbir.errors import require
from fastcbir.extract.extractor import ImageLike
from fastcbir.match.features import LocalFeatures
from fastcbir.match.pictures import grey_picture
from fastcbir.match.protocol import SparseMatcher

__all__ = ["Sift", "open_sift"]


class Sift:
    """The extractor. Descriptors are (N, 128) uint8, compared by Euclidean distance.

    Args:
        side: longest side, in pixels, that photos are shrunk to.
        count: keypoints of a photo, at most; those with the most contrast.
    """

    name = "sift"
    metric = "l2"

    def __init__(self, *, side: int = 640, count: int = 2048) -> None:
        self._cv2 = require("cv2", "match", "matching by SIFT")
        self.model_id = f"sift@{side}/{count}/1"
        self._side = side
        self._count = count

    def extract(self, image: ImageLike) -> LocalFeatures:
        """See LocalExtractor."""
        picture = grey_picture(image, self._side, 1)
        if picture is None:
            from fastcbir.match.pictures import upright

            return _none(upright(image, self._side)[1])
        # Made for each photo: an OpenCV detector is not to be shared by threads.
        keypoints, found = self._cv2.SIFT_create(nfeatures=self._count).detectAndCompute(picture.pixels, None)
        if found is None or not len(keypoints):
            return _none(picture.size)
        order = np.argsort([-point.response for point in keypoints], kind="stable")[: self._count]
        points = np.array([keypoints[i].pt for i in order], np.float32)
        scores = np.array([keypoints[i].response for i in order], np.float32)
        shares = found[order] / np.maximum(found[order].sum(axis=1, keepdims=True), 1e-12)
        descriptors = np.minimum(np.sqrt(shares) * 512 + 0.5, 255).astype(np.uint8)
        return LocalFeatures(
            picture.size,
            {"points": picture.to_photo(points), "scores": scores, "descriptors": descriptors},
        )


def _none(size: tuple[int, int]) -> LocalFeatures:
    return LocalFeatures(
        size,
        {
            "points": np.zeros((0, 2), np.float32),
            "scores": np.zeros(0, np.float32),
            "descriptors": np.zeros((0, 128), np.uint8),
        },
    )


def open_sift(provider: str, threads: int | None) -> SparseMatcher:
    """The registry's SIFT; it runs on the CPU, whatever the provider."""
    return SparseMatcher(Sift(), ratio=0.85, min_inliers=10)
