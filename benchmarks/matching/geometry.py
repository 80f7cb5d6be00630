"""Are the points right? Corner errors on EVD's true homographies, and warped photos, whose truth is exact."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from fastcbir.match import PairMatcher, Verification, verify

Points = npt.NDArray[np.floating]
_LIMITS = (3, 5, 10)


def corner_error(
    found: npt.NDArray[np.float64] | None, true: npt.NDArray[np.float64], size: tuple[int, int]
) -> float:
    """Mean distance of a photo's mapped corners from where they belong, in pixels; infinite without a H."""
    width, height = size
    corners = np.array([[0, 0, 1], [width - 1, 0, 1], [width - 1, height - 1, 1], [0, height - 1, 1]], float)
    if found is None:
        return float("inf")
    a, b = corners @ found.T, corners @ true.T
    return float(np.linalg.norm(a[:, :2] / a[:, 2:] - b[:, :2] / b[:, 2:], axis=1).mean())


def area_under_curve(errors: list[float], limit: float) -> float:
    """Of the share of errors below x, for x from 0 to the limit (as LoFTR's paper counts it)."""
    ordered = np.sort(errors)
    share = np.arange(1, len(ordered) + 1) / len(ordered)
    inside = ordered < limit
    x = np.concatenate([[0.0], ordered[inside], [limit]])
    y = np.concatenate([[0.0], share[inside], [share[inside][-1] if inside.any() else 0.0]])
    return float(np.sum((x[1:] - x[:-1]) * (y[1:] + y[:-1]) / 2) / limit)


def extreme_views(folder: Path, matcher: PairMatcher) -> dict[str, Any]:
    """EVD (Mishkin et al., 2015): two photos of a plane from very different places."""
    pairs = json.loads((folder / "evd_homographies.json").read_text())
    how = Verification(threshold=matcher.tolerance, iterations=10_000)
    errors = {}
    for name, pair in pairs.items():
        a, b = (matcher.extract(folder / pair[side]) for side in ("image1", "image2"))
        found = verify(matcher.match(a, b), how)
        errors[name] = corner_error(found.H, np.array(pair["H_1_to_2"]), a.size)
    values = list(errors.values())
    return {
        "corner_error_px": errors,
        "found": sum(value < 10 for value in values),
        "median_px": float(np.median(values)),
        "auc": {limit: area_under_curve(values, limit) for limit in _LIMITS},
    }


def warp_of(size: tuple[int, int], shift: float, seed: int) -> npt.NDArray[np.float64]:
    """Corners moved by up to `shift` of the sides, and a turn of up to 20 degrees."""
    rng = np.random.default_rng(seed)
    width, height = size
    corners = np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], np.float32)
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), float(rng.uniform(-20, 20)), 1.0)
    moved = corners + (rng.uniform(-shift, shift, (4, 2)) * size).astype(np.float32)
    moved = (np.c_[moved, np.ones(4)] @ turn.T).astype(np.float32)
    return np.asarray(cv2.getPerspectiveTransform(corners, moved), np.float64)


def warped_photos(paths: list[Path], matcher: PairMatcher) -> dict[str, float]:
    """Photos and themselves warped. Recall: of keypoints of A that B also has within 3 pixels, the share that
    is matched to within 3 pixels; for matchers without keypoints, matches to within 3 pixels a photo.
    """
    recall, precision, right, errors = [], [], [], []
    for seed, path in enumerate(paths):
        image = cv2.imread(str(path))
        image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        size = image.shape[1::-1]
        matrix = warp_of(size, 0.12, seed)
        other = cv2.warpPerspective(image, matrix, size, flags=cv2.INTER_LINEAR)
        a, b = matcher.extract(np.ascontiguousarray(image)), matcher.extract(np.ascontiguousarray(other))
        found = matcher.match(a, b)

        def through(points: Points, matrix: npt.NDArray[np.float64] = matrix) -> Points:
            lifted = np.c_[points, np.ones(len(points))] @ matrix.T
            return np.asarray(lifted[:, :2] / lifted[:, 2:])

        away = np.linalg.norm(through(found.points_a) - found.points_b, axis=1)
        good = int(np.count_nonzero(away < 3))
        if "points" in a.arrays:
            places = through(a["points"])
            near = np.array([np.min(np.linalg.norm(b["points"] - place, axis=1)) for place in places])
            recall.append(good / max(1, int(np.count_nonzero(near < 3))))
        precision.append(good / max(1, len(found)))
        right.append(good)
        how = Verification(threshold=matcher.tolerance)
        errors.append(corner_error(verify(found, how).H, matrix, (int(size[0]), int(size[1]))))
    told = {
        "precision_3px": float(np.mean(precision)),
        "right_matches": float(np.mean(right)),
        "median_corner_px": float(np.median(errors)),
    }
    return {**({"recall_3px": float(np.mean(recall))} if recall else {}), **told}
