"""Geometric verification: the homography or fundamental matrix that most matches agree on.

MAGSAC++ (Barath et al., CVPR 2020) as OpenCV's USAC has it, seeded, so that equal matches give equal answers.
What it finds is then doubted: a geometry that mirrors, that folds over the horizon, or that rests on points
on a line explains nothing, however many points agree. Imports OpenCV when something is verified.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fastcbir.errors import require
from fastcbir.rerank.matches import Matches

__all__ = ["Verification", "verify"]

Points = npt.NDArray[np.float64]

_REFERENCE_SIDE = 640.0
_FLAT = 0.02  # spread across the main direction over the spread along it, below which points are a line
_PLANAR = 0.6  # share of the fundamental matrix's inliers on one plane, from which the homography is taken
_STRETCH = 40.0  # a homography may enlarge or shrink the photo's middle by up to this, each way


@dataclass(frozen=True)
class Verification:
    """How matches are verified.

    Attributes:
        model: "homography" for flat things and for cameras that only turn, "fundamental" for the rest,
            "auto" to take the homography unless a general scene is clearly better explained.
        threshold: how far from its place a match may be, in pixels of a photo whose longest side is 640; it
            grows with the photo. MAGSAC++ takes it for an upper limit.
        iterations: samples tried, at most.
        confidence: of having tried a sample without outliers, when it stops earlier.
        seed: of the samples.
    """

    model: Literal["auto", "homography", "fundamental"] = "homography"
    threshold: float = 3.0
    iterations: int = 1000
    confidence: float = 0.999
    seed: int = 0

    def __post_init__(self) -> None:
        if self.model not in ("auto", "homography", "fundamental"):
            raise ValueError(f"model must be auto, homography or fundamental, got {self.model!r}")
        if not self.threshold > 0:
            raise ValueError(f"threshold must be more than 0 pixels, got {self.threshold}")
        if self.iterations < 1:
            raise ValueError(f"iterations must be at least 1, got {self.iterations}")
        if not 0 < self.confidence < 1:
            raise ValueError(f"confidence must be between 0 and 1, got {self.confidence}")


def verify(matches: Matches, how: Verification | None = None) -> Matches:
    """The matches with `inlier` and the geometry filled in.

    Fewer than 5 distinct matches, points on a line, or a geometry that no camera makes give no inlier.

    Raises:
        MissingExtraError: OpenCV is not installed.
    """
    how = how or Verification()
    blank = replace(matches, inlier=np.zeros(len(matches), np.bool_), H=None, F=None)
    scale_a, scale_b = (max(max(size) / _REFERENCE_SIDE, 1e-9) for size in (matches.size_a, matches.size_b))
    a = matches.points_a.astype(np.float64) / scale_a
    b = matches.points_b.astype(np.float64) / scale_b
    first = _distinct(a, b)
    if len(first) < 5:
        return blank
    # The most confident first: the sampler begins with them.
    order = first[np.argsort(-matches.confidence[first], kind="stable")]
    a, b = a[order], b[order]
    shrink_a, enlarge_b = np.diag([1 / scale_a, 1 / scale_a, 1]), np.diag([scale_b, scale_b, 1])

    def result(inside: npt.NDArray[np.bool_], **geometry: Any) -> Matches:
        inlier = np.zeros(len(matches), np.bool_)
        inlier[order[inside]] = True
        return replace(matches, inlier=inlier, **geometry)

    plane = None if how.model == "fundamental" else _homography(a, b, how)
    general = None
    settled = plane is not None and np.count_nonzero(plane[1]) >= 0.8 * len(a)
    if how.model == "fundamental" or (how.model == "auto" and len(a) >= 12 and not settled):
        general = _fundamental(a, b, how)
    if general is not None and plane is not None:
        # On a plane any fundamental matrix that suits the homography does: it tells nothing more.
        on_plane = np.count_nonzero(plane[1] & general[1])
        if on_plane >= _PLANAR * np.count_nonzero(general[1]):
            general = None
    if general is not None:
        # b'^T F a' = 0 with a' = a / scale_a, b' = b / scale_b
        shrink_b = np.diag([1 / scale_b, 1 / scale_b, 1])
        matrix = shrink_b @ general[0] @ shrink_a
        return result(general[1], F=matrix / np.linalg.norm(matrix))
    if plane is not None and _possible(plane, a, b):
        matrix = enlarge_b @ plane[0] @ shrink_a
        return result(plane[1], H=matrix / matrix[2, 2])
    return blank


def _distinct(a: Points, b: Points) -> npt.NDArray[np.intp]:
    """One match for each place: several from or to one point (within half a pixel) would vote many times."""
    keep = np.arange(len(a))
    for points in (a, b):
        places = np.round(points[keep] * 2).astype(np.int64)
        _, first = np.unique(places, axis=0, return_index=True)
        keep = keep[np.sort(first)]
    return keep


def _usac(how: Verification) -> Any:
    cv2 = require("cv2", "match", "geometric verification")
    params = cv2.UsacParams()
    params.sampler = cv2.SAMPLING_PROSAC
    params.score = cv2.SCORE_METHOD_MAGSAC
    params.loMethod = cv2.LOCAL_OPTIM_SIGMA
    params.final_polisher = cv2.MAGSAC
    params.isParallel = False
    params.randomGeneratorState = how.seed
    params.threshold = how.threshold
    params.confidence = how.confidence
    params.maxIterations = how.iterations
    params.loIterations = 10
    params.loSampleSize = 14
    return params


Model = tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]


def _homography(a: Points, b: Points, how: Verification) -> Model | None:
    cv2 = require("cv2", "match", "geometric verification")
    try:
        matrix, mask = cv2.findHomography(a, b, _usac(how))
    except cv2.error:  # what some degenerate samples end in
        return None
    if matrix is None or not np.isfinite(matrix).all() or abs(matrix[2, 2]) < 1e-9:
        return None
    return np.asarray(matrix, np.float64) / matrix[2, 2], np.asarray(mask).ravel().astype(bool)


def _possible(plane: Model, a: Points, b: Points) -> bool:
    """Whether two photos of one thing can be related so."""
    matrix, inside = plane
    if np.count_nonzero(inside) < 5 or _on_a_line(a[inside]) or _on_a_line(b[inside]):
        return False
    mapped = np.c_[a[inside], np.ones(np.count_nonzero(inside))] @ matrix.T
    if np.any(mapped[:, 2] * mapped[0, 2] <= 0):  # some points lie before, others behind the camera
        return False
    # The local change of area is det(H) / w^3: negative mirrors, tiny or huge is no photo of the same thing.
    area = float(np.linalg.det(matrix)) / float(np.median(mapped[:, 2])) ** 3
    return _STRETCH**-2 < area < _STRETCH**2


def _fundamental(a: Points, b: Points, how: Verification) -> Model | None:
    cv2 = require("cv2", "match", "geometric verification")
    if len(a) < 8:
        return None
    try:
        matrix, mask = cv2.findFundamentalMat(a, b, _usac(how))
    except cv2.error:
        return None
    if matrix is None or np.shape(matrix) != (3, 3) or not np.isfinite(matrix).all():
        return None
    inside = np.asarray(mask).ravel().astype(bool)
    if np.count_nonzero(inside) < 8 or _on_a_line(a[inside]) or _on_a_line(b[inside]):
        return None
    return np.asarray(matrix, np.float64), inside


def _on_a_line(points: Points) -> bool:
    """Whether points have hardly any spread across their main direction."""
    spread = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
    return bool(spread[1] <= _FLAT * spread[0])
