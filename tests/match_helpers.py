"""What the tests of matching share: a real photo, and copies of it warped by a known homography."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

Pixels = npt.NDArray[np.uint8]


def photo(name: str = "astronaut") -> Pixels:
    """A photograph that comes inside scikit-image: (H, W, 3) uint8."""
    data = pytest.importorskip("skimage.data")
    return np.ascontiguousarray(getattr(data, name)())


def corner_homography(size: tuple[int, int], shift: float, seed: int) -> npt.NDArray[np.float64]:
    """Moves the corners of a (width, height) photo by up to `shift` of its sides, and turns it a little."""
    cv2 = pytest.importorskip("cv2")
    rng = np.random.default_rng(seed)
    width, height = size
    corners = np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], np.float32)
    moved = corners + (rng.uniform(-shift, shift, (4, 2)) * size).astype(np.float32)
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), float(rng.uniform(-15, 15)), 1.0)
    moved = np.c_[moved, np.ones(4)] @ turn.T
    return np.asarray(cv2.getPerspectiveTransform(corners, moved.astype(np.float32)), np.float64)


def warped(image: Pixels, matrix: npt.NDArray[np.float64]) -> Pixels:
    """The photo seen through the homography, in a frame of its own size."""
    cv2 = pytest.importorskip("cv2")
    height, width = image.shape[:2]
    return np.asarray(cv2.warpPerspective(image, matrix, (width, height), flags=cv2.INTER_AREA), np.uint8)


def mapped(matrix: npt.NDArray[np.float64], points: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """(N, 2) points through a homography."""
    lifted = np.c_[points, np.ones(len(points))] @ matrix.T
    return np.asarray(lifted[:, :2] / lifted[:, 2:], np.float64)
