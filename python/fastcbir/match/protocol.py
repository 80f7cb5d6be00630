"""What every matcher offers, and how any extractor of keypoints becomes one."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from fastcbir import _core
from fastcbir.extract.extractor import ImageLike
from fastcbir.match.features import LocalFeatures
from fastcbir.rerank.matches import Matches

__all__ = ["LocalExtractor", "PairMatcher", "SparseMatcher"]


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
        b_of_a, nearest, second, a_of_b = _core.nearest_both_ways(
            a["descriptors"], b["descriptors"], self.extractor.metric
        )
        mutual = a_of_b[b_of_a] == np.arange(len(b_of_a))
        if self.extractor.metric == "l2":
            ratios = np.sqrt(np.maximum(nearest, 0) / np.maximum(second, 1e-12))
            ratios = np.where(np.isfinite(second), ratios, 1.0)  # one keypoint alone is nearer than no other
            kept = mutual if self._ratio is None else mutual & (ratios < self._ratio)
            confidence = 1 - np.minimum(ratios, 1)
        else:
            cosines = -nearest * _scale(a) * _scale(b)
            kept = mutual if self._least is None else mutual & (cosines > self._least)
            confidence = np.clip(cosines, 0, 1)
        of_a = np.flatnonzero(kept)
        return Matches(
            np.asarray(a["points"][of_a], np.float32),
            np.asarray(b["points"][b_of_a[of_a]], np.float32),
            np.asarray(confidence[of_a], np.float32),
            a.size,
            b.size,
        )


def _scale(features: LocalFeatures) -> npt.NDArray[np.float32]:
    """What one step of 8-bit descriptors stands for."""
    return np.asarray(features.arrays.get("scale", 1.0), np.float32)
