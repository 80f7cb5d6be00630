"""From a photo to the grey picture a matcher looks at, and from its pixels back. Needs Pillow."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fastcbir.extract.extractor import ImageLike

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["SMALLEST_SIDE", "GreyPicture", "grey_picture", "to_network", "upright"]

SMALLEST_SIDE = 32
"""Photos with a side below this, in pixels, have no features: nothing in them is certain enough."""


@dataclass(frozen=True, eq=False)
class GreyPicture:
    """A photo made ready.

    Attributes:
        pixels: (h, w) uint8.
        size: (width, height) of the photo.
    """

    pixels: npt.NDArray[np.uint8]
    size: tuple[int, int]

    @property
    def scale(self) -> npt.NDArray[np.float32]:
        """(2,) pixels of the photo for a pixel of the picture, in x and y."""
        height, width = self.pixels.shape
        return np.array([self.size[0] / width, self.size[1] / height], np.float32)

    def to_photo(self, points: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """(N, 2) points of the picture in the photo; in both, (0, 0) is the centre of the first pixel."""
        return ((points + 0.5) * self.scale - 0.5).astype(np.float32)


def to_network(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """(h, w) grey -> (1, 1, h, w) float32 in 0..1."""
    return np.divide(pixels[None, None], 255, dtype=np.float32)


def upright(image: ImageLike, target: int | None = None) -> tuple[Image.Image, tuple[int, int]]:
    """An upright RGB image and the (width, height) of the whole photo; a file may come reduced, as decode().

    Raises:
        ValueError: not an image; DecodeError, which is one, if it can't be decoded.
    """
    from PIL import Image, ImageOps

    from fastcbir.extract.decode import DecodeError, decode, to_rgb
    from fastcbir.extract.quiet import quiet_pillow

    if isinstance(image, str | bytes | os.PathLike):
        decoded = decode(image, target)
        return decoded.image, (decoded.width, decoded.height)
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise ValueError(f"expected an (H, W, 3) uint8 array, got {image.shape} of {image.dtype}")
        found = Image.fromarray(np.ascontiguousarray(image))
    elif isinstance(image, Image.Image):
        try:
            with quiet_pillow():
                found = to_rgb(ImageOps.exif_transpose(image))
        except Exception as error:
            raise DecodeError(f"the image can't be decoded: {error}") from error
    else:
        raise ValueError(
            f"expected a path, bytes, a PIL image or an (H, W, 3) uint8 array, got {type(image).__name__}"
        )
    if not all(found.size):
        raise ValueError(f"expected an image with pixels, got {found.width} x {found.height}")
    return found, found.size


def grey_picture(image: ImageLike, side: int, multiple: int) -> GreyPicture | None:
    """The photo in grey, its longest side at most `side` pixels, both sides multiples of `multiple`.

    Photos are not enlarged, but for what the multiple asks. None for a photo, or a picture, with a side below
    SMALLEST_SIDE.
    """
    from PIL import Image

    found, (width, height) = upright(image, side * 5 // 4)
    shrink = min(1.0, side / max(width, height))
    wide, high = (max(1, round(length * shrink / multiple)) * multiple for length in (width, height))
    # A panorama shrunk to a few rows of pixels would be stretched back by the multiple: it is too narrow.
    if min(width, height) * shrink < min(SMALLEST_SIDE, side) or min(wide, high) < SMALLEST_SIDE:
        return None
    grey = found.convert("L")
    if grey.size != (wide, high):
        grey = grey.resize((wide, high), Image.Resampling.BICUBIC, reducing_gap=3.0)
    return GreyPicture(np.array(grey, np.uint8), (width, height))
