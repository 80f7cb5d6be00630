"""XFeat's keypoints matched by LighterGlue, which weighs all of them together: for hard pairs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fastcbir.extract.cache import cached
from fastcbir.extract.extractor import ImageLike
from fastcbir.match.features import LocalFeatures
from fastcbir.match.lighterglue_weights import LIGHTERGLUE_REVISION, LIGHTERGLUE_SHA256, convert_lighterglue
from fastcbir.match.network import Network
from fastcbir.match.protocol import LocalExtractor
from fastcbir.match.xfeat import open_xfeat
from fastcbir.rerank.matches import Matches

__all__ = ["LighterGlueMatcher", "open_lighterglue"]


class LighterGlueMatcher:
    """A PairMatcher. Features are XFeat's own, so an album's cache serves both.

    Args:
        extractor: XFeat. network: the converted LighterGlue.
        count: keypoints of a photo that are matched; the work grows with its square.
        threshold: least confidence of a match.
    """

    name = "xfeat-lighterglue"
    tolerance = 3.0

    def __init__(
        self,
        extractor: LocalExtractor,
        network: Network,
        *,
        count: int = 1024,
        threshold: float = 0.1,
        min_inliers: int = 15,
    ) -> None:
        self.model_id = extractor.model_id
        self.min_inliers = min_inliers
        self._extractor = extractor
        self._network = network
        self._count = count
        self._threshold = threshold

    def extract(self, image: ImageLike) -> LocalFeatures:
        """See LocalExtractor.extract()."""
        return self._extractor.extract(image)

    def match(self, a: LocalFeatures, b: LocalFeatures) -> Matches:
        """See PairMatcher."""
        if not len(a) or not len(b):
            return Matches.none(a.size, b.size)
        inputs = {}
        for side, features in (("a", a), ("b", b)):
            points = features["points"][: self._count]
            middle = np.array(features.size, np.float32) / 2
            inputs[f"points_{side}"] = ((points - middle) / middle.max())[None].astype(np.float32)
            inputs[f"descriptors_{side}"] = _unit(features["descriptors"][: self._count])[None]
        (scores,) = self._network(("scores",), **inputs)
        best_b, best_a = scores[0].argmax(axis=1), scores[0].argmax(axis=0)
        of_a = np.arange(len(best_b))
        confidence = scores[0][of_a, best_b]
        kept = (best_a[best_b] == of_a) & (confidence > self._threshold)
        return Matches(a["points"][of_a[kept]], b["points"][best_b[kept]], confidence[kept], a.size, b.size)


def _unit(descriptors: npt.NDArray[np.int8]) -> npt.NDArray[np.float32]:
    wide = descriptors.astype(np.float32)
    return np.asarray(wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12), np.float32)


def open_lighterglue(provider: str, threads: int | None) -> LighterGlueMatcher:
    """The registry's: both checkpoints are converted on first use and kept in the cache folder."""
    name = f"xfeat-lighterglue-{LIGHTERGLUE_SHA256[:16]}-r{LIGHTERGLUE_REVISION}.onnx"
    network = Network(cached(name, convert_lighterglue), provider=provider, threads=threads)
    return LighterGlueMatcher(open_xfeat(provider, threads).extractor, network)
