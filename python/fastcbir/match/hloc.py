"""Matches as hloc's HDF5 files, which structure-from-motion tools read (Sarlin et al., CVPR 2019).

Features: a group a photo with `keypoints` (N, 2) float32, `scores`, `image_size`. Matches: a group
"A/B" a pair ("/" in names becomes "-") with `matches0` (N,) int16, the number of the partner in B of A's
keypoint or -1, and `matching_scores0` float16. Needs h5py.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from fastcbir.errors import require
from fastcbir.rerank.matches import Matches

__all__ = ["export_hloc"]


def export_hloc(
    pairs: Mapping[tuple[str, str], Matches],
    features: str | os.PathLike[str],
    matches: str | os.PathLike[str],
    *,
    inliers_only: bool = False,
) -> None:
    """Write matches of pairs of photos, named as the reader of the files will know them.

    The keypoints of a photo are all points that its pairs match, each once; so this serves matchers without
    keypoints, too.

    Args:
        pairs: (name of A, name of B) -> matches.
        features, matches: the files to write; what is there is replaced.
        inliers_only: leave out what verify() did not confirm.

    Raises:
        ValueError: a photo has different sizes in two pairs, or more than 32,767 keypoints.
        MissingExtraError: h5py is not installed.
    """
    h5py = require("h5py", "match", "writing hloc's files")
    numbers: dict[str, dict[tuple[float, float], int]] = {}
    best: dict[str, list[float]] = {}
    sizes: dict[str, tuple[int, int]] = {}

    def number_of(name: str, point: npt.NDArray[np.float32], score: float) -> int:
        known = numbers.setdefault(name, {})
        scores = best.setdefault(name, [])
        number = known.setdefault((float(point[0]), float(point[1])), len(known))
        if number == len(scores):
            scores.append(score)
        scores[number] = max(scores[number], score)
        return number

    found: dict[tuple[str, str], list[tuple[int, int, float]]] = {}
    for (name_a, name_b), of_pair in pairs.items():
        for name, size in ((name_a, of_pair.size_a), (name_b, of_pair.size_b)):
            if sizes.setdefault(name, size) != size:
                raise ValueError(f"{name} is {sizes[name]} pixels in one pair and {size} in another")
            numbers.setdefault(name, {})
            best.setdefault(name, [])
        rows = np.flatnonzero(of_pair.inlier) if inliers_only else np.arange(len(of_pair))
        found[name_a, name_b] = [
            (
                number_of(name_a, of_pair.points_a[row], float(of_pair.confidence[row])),
                number_of(name_b, of_pair.points_b[row], float(of_pair.confidence[row])),
                float(of_pair.confidence[row]),
            )
            for row in rows
        ]
    if crowded := [name for name, known in numbers.items() if len(known) > 32767]:
        raise ValueError(f"{crowded[0]} has more than 32,767 keypoints, which hloc's matches can't number")
    with h5py.File(features, "w") as file:
        for name, known in numbers.items():
            group = file.create_group(name)
            group["keypoints"] = np.array(list(known), np.float32).reshape(-1, 2)
            group["scores"] = np.array(best[name], np.float32)
            group["image_size"] = np.array(sizes[name], np.int64)
    with h5py.File(matches, "w") as file:
        for (name_a, name_b), triples in found.items():
            group = file.create_group(f"{name_a.replace('/', '-')}/{name_b.replace('/', '-')}")
            partners = np.full(len(numbers[name_a]), -1, np.int16)
            scores = np.zeros(len(partners), np.float16)
            for a, b, score in sorted(triples, key=lambda one: one[2]):  # of several partners the surest
                partners[a], scores[a] = b, score
            group["matches0"] = partners
            group["matching_scores0"] = scores
