"""XFeat (Potje et al., CVPR 2024): learned keypoints, quick on a CPU; the default where its weights are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fastcbir.errors import require
from fastcbir.extract.cache import cached
from fastcbir.extract.extractor import ImageLike
from fastcbir.match.features import LocalFeatures
from fastcbir.match.network import Network
from fastcbir.match.pictures import grey_picture, upright
from fastcbir.match.protocol import SparseMatcher
from fastcbir.match.xfeat_weights import REVISION, SHA256, convert

__all__ = ["XFeat", "open_xfeat", "sample_bicubic"]

Floats = npt.NDArray[np.float32]

_CELL = 8  # pixels of a descriptor's cell
_OUTPUTS = ("descriptors", "reliability", "heatmap")


class XFeat:
    """The extractor. Descriptors are (N, 64) int8, in steps of `scale`; compared by inner product.

    Args:
        network: the converted model.
        side: longest side, in pixels, that photos are shrunk to.
        count: keypoints of a photo, at most; the most reliable ones.
        threshold: least probability of a keypoint.
    """

    name = "xfeat"
    metric = "ip"

    def __init__(
        self, network: Network, *, side: int = 640, count: int = 2048, threshold: float = 0.05
    ) -> None:
        self._cv2 = require("cv2", "match", "matching by XFeat")
        self.model_id = f"xfeat@{side}/{count}/{SHA256[:8]}r{REVISION}"
        self._network = network
        self._side = side
        self._count = count
        self._threshold = threshold

    def extract(self, image: ImageLike) -> LocalFeatures:
        """See LocalExtractor."""
        picture = grey_picture(image, self._side, 32)
        if picture is None:
            return _features(upright(image, self._side)[1], *_nothing())
        if picture.pixels.min() == picture.pixels.max():  # one colour: normalised, it would be noise
            return _features(picture.size, *_nothing())
        points, scores, descriptors = self.detect(picture.pixels)
        return _features(picture.size, picture.to_photo(points), scores, descriptors)

    def detect(self, pixels: npt.NDArray[np.uint8]) -> tuple[Floats, Floats, Floats]:
        """Keypoints of a grey picture (H, W) whose sides are multiples of 32.

        Returns:
            points (N, 2), scores (N,) descending, descriptors (N, 64) of length 1; float32.
        """
        found = self._network(_OUTPUTS, grey=pixels[None, None].astype(np.float32))
        descriptors, reliability, heatmap = (each[0] for each in found)
        heat = heatmap[0]
        # A keypoint is the greatest of its 5 x 5 neighbourhood.
        greatest = self._cv2.dilate(heat, np.ones((5, 5), np.uint8))
        y, x = np.nonzero((heat == greatest) & (heat > self._threshold))
        height, width = heat.shape
        points = np.stack([x, y], axis=1).astype(np.float32)
        # Where the cells of a feature map lie, as the network was trained: (W - 1) pixels span W / 8 cells.
        at = points * np.array([width / (width - 1), height / (height - 1)], np.float32)
        at = at / np.float32(_CELL) - np.float32(0.5)
        scores = heat[y, x] * _sample_bilinear(reliability[0], at)
        best = np.argsort(-scores, kind="stable")[: self._count]
        best = best[scores[best] > 0]
        sampled = sample_bicubic(descriptors, at[best])
        lengths = np.linalg.norm(sampled, axis=1, keepdims=True)
        return points[best], scores[best], sampled / np.maximum(lengths, 1e-12)


def _nothing() -> tuple[Floats, Floats, Floats]:
    return np.zeros((0, 2), np.float32), np.zeros(0, np.float32), np.zeros((0, 64), np.float32)


def _features(size: tuple[int, int], points: Floats, scores: Floats, descriptors: Floats) -> LocalFeatures:
    """8 bits a number: the cosine of two descriptors moves by less than 0.01."""
    step = max(float(np.abs(descriptors).max(initial=0)), 1e-12) / 127
    small = np.rint(descriptors / step).astype(np.int8)
    arrays = {"points": points, "scores": scores, "descriptors": small, "scale": np.array(step, np.float32)}
    return LocalFeatures(size, arrays)


def _sample_bilinear(plane: Floats, at: Floats) -> Floats:
    """(N,) values of an (h, w) map at (N, 2) places, zero beyond its edges."""
    padded = np.pad(plane, 1)
    place = np.clip(at + 1, 0, np.array(padded.shape[::-1], np.float32) - 1.0001)
    whole = place.astype(np.int64)
    x, y = whole[:, 0], whole[:, 1]
    right, down = (place - whole).T
    above = padded[y, x] * (1 - right) + padded[y, x + 1] * right
    below = padded[y + 1, x] * (1 - right) + padded[y + 1, x + 1] * right
    return np.asarray(above * (1 - down) + below * down, np.float32)


def sample_bicubic(planes: Floats, at: Floats) -> Floats:
    """(N, C) values of a (C, h, w) map at (N, 2) places, zero beyond its edges; Keys' kernel, a = -0.75."""
    channels, height, width = planes.shape
    padded = np.zeros((height + 6, width + 6, channels), np.float32)
    padded[3:-3, 3:-3] = planes.transpose(1, 2, 0)
    flat = padded.reshape(-1, channels)
    place = np.clip(at, -2, np.array([width, height], np.float32) + 0.999)
    whole = np.floor(place).astype(np.int64)
    weight_x, weight_y = (_keys(part) for part in (place - whole).T.astype(np.float32))
    first = (whole[:, 1] + 2) * (width + 6) + whole[:, 0] + 2
    out = np.zeros((len(at), channels), np.float32)
    for row in range(4):
        for column in range(4):
            weight = weight_y[row] * weight_x[column]
            out += weight[:, None] * flat[first + row * (width + 6) + column]
    return out


def _keys(part: Floats) -> list[Floats]:
    """The weights of the four samples around a place that lies `part` beyond the second."""

    def near(x: Floats) -> Floats:
        return (1.25 * x - 2.25) * x * x + 1

    def far(x: Floats) -> Floats:
        return ((-0.75 * x + 3.75) * x - 6) * x + 3

    return [far(part + 1), near(part), near(1 - part), far(2 - part)]


def open_xfeat(provider: str, threads: int | None) -> SparseMatcher:
    """The registry's XFeat: its weights are converted on first use and kept in the cache folder."""
    data = cached(f"xfeat-{SHA256[:16]}-r{REVISION}.onnx", convert)
    network = Network(data, provider=provider, threads=threads)
    return SparseMatcher(XFeat(network), least=0.74, min_inliers=20)
