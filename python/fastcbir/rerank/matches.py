"""Matches: which point of one photo is which point of another, and whether geometry agrees. NumPy alone."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

__all__ = ["Matches"]


@dataclass(frozen=True, eq=False)
class Matches:
    """Points of photo A matched with points of photo B.

    Attributes:
        points_a, points_b: (M, 2) float32, x and y in pixels of the whole upright photo; (0, 0) is the centre
            of its first pixel, as OpenCV has it.
        confidence: (M,) float32 in 0..1, of the matcher; the scale is each matcher's own.
        size_a, size_b: (width, height) of the photos.
        inlier: (M,) bool, what the geometry below explains; all False before verify().
        H: (3, 3) float64, maps homogeneous points of A to B, or None.
        F: (3, 3) float64, b^T F a = 0, or None. At most one of H and F is set.
    """

    points_a: npt.NDArray[np.float32]
    points_b: npt.NDArray[np.float32]
    confidence: npt.NDArray[np.float32]
    size_a: tuple[int, int]
    size_b: tuple[int, int]
    inlier: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    H: npt.NDArray[np.float64] | None = None
    F: npt.NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        count = len(self.points_a)
        if len(self.inlier) == 0 and count:
            object.__setattr__(self, "inlier", np.zeros(count, np.bool_))
        shapes = (self.points_a.shape, self.points_b.shape, self.confidence.shape, self.inlier.shape)
        if shapes != ((count, 2), (count, 2), (count,), (count,)):
            raise ValueError(
                "expected points_a and points_b (M, 2), confidence and inlier (M,), got "
                + ", ".join(str(shape) for shape in shapes)
            )

    @classmethod
    def none(cls, size_a: tuple[int, int], size_b: tuple[int, int]) -> Matches:
        """No match at all."""
        empty = np.zeros((0, 2), np.float32)
        return cls(empty, empty, np.zeros(0, np.float32), size_a, size_b)

    def __len__(self) -> int:
        return len(self.points_a)

    @property
    def inliers(self) -> int:
        """How many matches the geometry explains."""
        return int(np.count_nonzero(self.inlier))

    def swapped(self) -> Matches:
        """The same from B to A."""
        inverse = None if self.H is None else np.linalg.inv(self.H)
        transposed = None if self.F is None else self.F.T.copy()
        return Matches(
            self.points_b,
            self.points_a,
            self.confidence,
            self.size_b,
            self.size_a,
            self.inlier,
            None if inverse is None else inverse / inverse[2, 2],
            transposed,
        )

    def outline(self) -> npt.NDArray[np.float32] | None:
        """(4, 2): where H puts the corners of photo A in photo B, clockwise from the first pixel; None
        without H, or where a corner lies beyond the horizon.
        """
        if self.H is None:
            return None
        width, height = self.size_a
        x, y = width - 0.5, height - 0.5
        corners = np.array([[-0.5, -0.5, 1], [x, -0.5, 1], [x, y, 1], [-0.5, y, 1]])
        mapped = corners @ self.H.T
        centre = np.array([(width - 1) / 2, (height - 1) / 2, 1]) @ self.H.T
        if np.any(mapped[:, 2] * centre[2] <= 1e-9 * centre[2] ** 2):
            return None
        return np.asarray(mapped[:, :2] / mapped[:, 2:], np.float32)
