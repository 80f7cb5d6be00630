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
    """Resizes and normalises; one for all threads."""

    def __init__(self, rule: Preprocessing) -> None:
        from PIL import Image

        self.rule = rule
        self._filter = Image.Resampling[rule.resample.upper()]
        # Every channel value has just 256 results, so they are looked up.
        values = np.arange(256, dtype=np.float64) / 255.0
        columns = [(values - mean) / std for mean, std in zip(rule.mean, rule.std, strict=True)]
        self._table = np.asarray(columns, np.float32)

    def __call__(self, image: Image.Image, width: int, height: int) -> npt.NDArray[np.float32]:
        """An RGB image -> (3, H, W) float32, contiguous.

        width and height are those of the whole photo: a reduced one has a slightly other ratio, and the
        shape must not depend on how it was decoded.
        """
        sides = self.rule.sides(width, height)
        if image.size != sides:
            # reducing_gap: a large image is first shrunk by whole factors, which is much faster and as good.
            image = image.resize(sides, self._filter, reducing_gap=3.0)
        pixels = np.asarray(image, np.uint8)
        out = np.empty((3, sides[1], sides[0]), np.float32)
        for channel in range(3):
            np.take(self._table[channel], pixels[:, :, channel], out=out[channel], mode="clip")
        return out
