"""What every matcher offers, and how any extractor of keypoints becomes one."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fastcbir import _core
from fastcbir.extract.extractor import ImageLike
from fastcbir.match.features import LocalFeatures
from fastcbir.rerank.matches import Matches

__all__ = ["LocalExtractor", "PairMatcher", "SparseMatcher", "mutual_by_product"]

_BLOCK = 256  # rows of the product held at once


class LocalExtractor(Protocol):
    """Finds keypoints in a photo and describes them. Safe to use from several threads.

    Attributes:
        name: in the registry.
        model_id: identity of weights, preprocessing and format; features of other ids don't compare.
        metric: of the descriptors, "l2" or "ip".
    """

    name: str
    model_id: str
    metric: str

    def extract(self, image: ImageLike) -> LocalFeatures:
        """Keypoints of one photo; none for a photo too small or too even to have any.

        Raises:
            ValueError: not an image; DecodeError, which is one, for a damaged file.
        """
        ...


class PairMatcher(Protocol):
    """Matches two photos, in two steps, so that the first is done once for a photo.

    Attributes:
        name, model_id: as of LocalExtractor.
        min_inliers: from how many verified inliers on two photos surely show the same thing.
        tolerance: how far from its place a good match may be: Verification.threshold.
    """

    name: str
    model_id: str
    min_inliers: int
    tolerance: float

    def extract(self, image: ImageLike) -> LocalFeatures:
        """What can be had of one photo alone."""
        ...

    def match(self, a: LocalFeatures, b: LocalFeatures) -> Matches:
        """The matches of two photos, not yet verified."""
        ...


class SparseMatcher:
    """Keypoints matched by their descriptors: each the other's nearest, and clearly so.

    Args:
        extractor: finds the keypoints.
        ratio: for l2: the nearest must be nearer than `ratio` times the second nearest (Lowe, 2004); None
            for no such test. least: for ip: the least cosine of a match.
        min_inliers, tolerance: see PairMatcher.
    """

    def __init__(
        self,
        extractor: LocalExtractor,
        *,
        ratio: float | None = None,
        least: float | None = None,
        min_inliers: int,
        tolerance: float = 3.0,
    ) -> None:
        self.extractor = extractor
        self.name = extractor.name
        self.model_id = extractor.model_id
        self.min_inliers = min_inliers
        self.tolerance = tolerance
        self._ratio = ratio
        self._least = least

    def extract(self, image: ImageLike) -> LocalFeatures:
        """See LocalExtractor.extract()."""
        return self.extractor.extract(image)

    def match(self, a: LocalFeatures, b: LocalFeatures) -> Matches:
        """Mutual nearest neighbours; `confidence` is 1 - (nearest / second nearest) or the cosine."""
        if len(a) == 0 or len(b) == 0:
            return Matches.none(a.size, b.size)
        if self.extractor.metric == "ip":
            mutual, best, products = mutual_by_product(a["descriptors"], b["descriptors"])
            cosines = products * _scale(a) * _scale(b)
            kept = mutual if self._least is None else mutual & (cosines > self._least)
            confidence = np.clip(cosines, 0, 1)
        else:
            best, nearest, second, a_of_b = _core.nearest_both_ways(a["descriptors"], b["descriptors"], "l2")
            mutual = a_of_b[best] == np.arange(len(best))
            ratios = np.sqrt(np.maximum(nearest, 0) / np.maximum(second, 1e-12))
            ratios = np.where(np.isfinite(second), ratios, 1.0)  # one keypoint alone is nearer than no other
            kept = mutual if self._ratio is None else mutual & (ratios < self._ratio)
            confidence = np.asarray(1 - np.minimum(ratios, 1), np.float32)
        of_a = np.flatnonzero(kept)
        return Matches(
            np.asarray(a["points"][of_a], np.float32),
            np.asarray(b["points"][best[of_a]], np.float32),
            np.asarray(confidence[of_a], np.float32),
            a.size,
            b.size,
        )


def mutual_by_product(
    a: npt.NDArray[Any], b: npt.NDArray[Any]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Whose best partner has it for its own best, by the inner product, in blocks of a matrix product.

    For descriptors of 64 numbers a BLAS takes a third less time than `_core.nearest_both_ways`, whose kernels
    add up each pair on its own. Products of 8-bit numbers are exact in float32, so a tie is a tie; the first
    wins it.

    Returns:
        (N,) bool, (N,) the best in b of each of a, and (N,) their product.
    """
    wide_a, turned = a.astype(np.float32), b.T.astype(np.float32, order="C")
    best = np.empty(len(a), np.int32)
    products = np.empty(len(a), np.float32)
    greatest = np.full(len(b), -np.inf, np.float32)
    room = np.empty((min(_BLOCK, len(a)), len(b)), np.float32)
    for start in range(0, len(a), _BLOCK):
        rows = wide_a[start : start + _BLOCK]
        block = np.matmul(rows, turned, out=room[: len(rows)])
        best[start : start + _BLOCK] = block.argmax(axis=1)
        products[start : start + _BLOCK] = block[np.arange(len(rows)), best[start : start + _BLOCK]]
        np.maximum(greatest, block.max(axis=0), out=greatest)
    mutual = np.flatnonzero(products == greatest[best])
    _, first = np.unique(best[mutual], return_index=True)
    alone = np.zeros(len(a), np.bool_)
    alone[mutual[first]] = True
    return alone, best, products


def _scale(features: LocalFeatures) -> npt.NDArray[np.float32]:
    """What one step of 8-bit descriptors stands for."""
    return np.asarray(features.arrays.get("scale", 1.0), np.float32)
