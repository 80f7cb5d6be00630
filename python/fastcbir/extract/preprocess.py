"""From an upright RGB image to a model's input, as its card says. Needs Pillow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fastcbir.extract.card import Preprocessing

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["Preparer"]


class Preparer:
    """Resizes and normalises by one rule; one for all threads."""

    def __init__(self, rule: Preprocessing) -> None:
        from PIL import Image

        self.rule = rule
        self._filter = Image.Resampling[rule.resample.upper()]
        # (x / 255 - mean) / std as one multiplication and one addition per value
        mean, std = np.asarray(rule.mean), np.asarray(rule.std)
        self._scale = (1 / (255 * std)).astype(np.float32)[:, None, None]
        self._shift = (-mean / std).astype(np.float32)[:, None, None]

    def __call__(self, image: Image.Image, width: int, height: int) -> npt.NDArray[np.float32]:
        """An RGB image -> (3, H, W) float32, contiguous.

        width and height are those of the whole photo: a reduced one has a slightly other ratio, and the shape
        must not depend on how it was decoded.
        """
        sides = self.rule.sides(width, height)
        box = self._middle(*image.size) if self.rule.fit == "crop" else None
        if box is not None or image.size != sides:
            # reducing_gap: a large image is first shrunk by whole factors, which is much faster and as good.
            image = image.resize(sides, self._filter, box, reducing_gap=3.0)
        pixels = np.asarray(image, np.uint8).transpose(2, 0, 1)
        out = np.empty(pixels.shape, np.float32)
        np.multiply(pixels, self._scale, out=out)
        out += self._shift
        return out

    def _middle(self, width: int, height: int) -> tuple[float, float, float, float]:
        """(left, top, right, bottom) of the middle square that becomes the input, in the image's pixels."""
        side = min(width, height) * min(1.0, self.rule.size / (self.rule.resize or self.rule.size))
        left, top = (width - side) / 2, (height - side) / 2
        return left, top, left + side, top + side
