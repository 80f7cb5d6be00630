"""Views: what happens to a photograph on its way to becoming a query. Seeded, so that every run asks the
same.

Each kind takes an upright RGB image and a random generator, and returns the bytes of a JPEG: what a user
would have in hand. No kind leaves an empty border that would give it away.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

__all__ = ["KINDS", "OTHER_CAMERA", "SOURCE_SIDE", "Kind", "make_view"]

SOURCE_SIDE = 1024
"""Photographs are reduced to this longest side, in pixels, before a view is made of them."""

_QUALITY = 90
_BICUBIC = Image.Resampling.BICUBIC

Make = Callable[[Image.Image, Random], Image.Image]


@dataclass(frozen=True)
class Kind:
    """One kind of view.

    Attributes:
        name: short, for file names and JSON.
        title: for people.
        what: what is done, in a few words with its numbers.
        make: does it.
        quality: of the JPEG that is the query.
    """

    name: str
    title: str
    what: str
    make: Make
    quality: int = _QUALITY


class _Corner(NamedTuple):
    x: float
    y: float


def make_view(kind: Kind, image: Image.Image, name: str, seed: int = 0) -> bytes:
    """The JPEG file of one view.

    Args:
        kind: what to do.
        image: upright, mode RGB, at most SOURCE_SIDE pixels long.
        name: of the photograph; with the seed and the kind it decides all that is left to chance.
        seed: of the whole series.
    """
    view = kind.make(image, Random(f"{seed}/{kind.name}/{name}"))
    stream = io.BytesIO()
    view.save(stream, "JPEG", quality=kind.quality)
    return stream.getvalue()


def _crop(image: Image.Image, chance: Random, area: float = 0.35) -> Image.Image:
    share = math.sqrt(area)
    width, height = round(image.width * share), round(image.height * share)
    left, top = chance.randint(0, image.width - width), chance.randint(0, image.height - height)
    return image.crop((left, top, left + width, top + height))


def _rotation(image: Image.Image, chance: Random, least: float = 15, most: float = 40) -> Image.Image:
    """Turned, and cut to the largest rectangle of the same proportions that has no empty corner."""
    angle = chance.uniform(least, most) * chance.choice((-1, 1))
    sine, cosine = abs(math.sin(math.radians(angle))), math.cos(math.radians(angle))
    width, height = image.size
    share = min(width / (width * cosine + height * sine), height / (width * sine + height * cosine))
    turned = image.rotate(angle, _BICUBIC)
    inside_x, inside_y = max(1, int(width * share)), max(1, int(height * share))
    left, top = (width - inside_x) // 2, (height - inside_y) // 2
    return turned.crop((left, top, left + inside_x, top + inside_y))


def _perspective(image: Image.Image, chance: Random, most: float = 0.3) -> Image.Image:
    """A quadrilateral inside the photograph, seen as a rectangle: the camera moved to the side."""
    width, height = image.size

    def inwards(side: int) -> float:
        return chance.uniform(0, most) * side

    corners = (
        _Corner(inwards(width), inwards(height)),
        _Corner(width - inwards(width), inwards(height)),
        _Corner(width - inwards(width), height - inwards(height)),
        _Corner(inwards(width), height - inwards(height)),
    )
    targets = (_Corner(0, 0), _Corner(width, 0), _Corner(width, height), _Corner(0, height))
    rows: list[list[float]] = []
    values: list[float] = []
    for there, here in zip(targets, corners, strict=True):
        rows.append([there.x, there.y, 1, 0, 0, 0, -here.x * there.x, -here.x * there.y])
        rows.append([0, 0, 0, there.x, there.y, 1, -here.y * there.x, -here.y * there.y])
        values += [here.x, here.y]
    solution = np.linalg.solve(np.array(rows), np.array(values))
    return image.transform(image.size, Image.Transform.PERSPECTIVE, solution.tolist(), _BICUBIC)


def _small(image: Image.Image, chance: Random, side: int = 96) -> Image.Image:
    small = image.copy()
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    return small


def _blur(image: Image.Image, chance: Random, share: float = 0.012) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(max(image.size) * share))


def _exposure(image: Image.Image, chance: Random) -> Image.Image:
    factor = chance.uniform(0.35, 0.5) if chance.random() < 0.5 else chance.uniform(1.6, 1.9)
    return ImageEnhance.Brightness(ImageEnhance.Contrast(image).enhance(0.75)).enhance(factor)


def _compression(image: Image.Image, chance: Random) -> Image.Image:
    return image.resize((max(1, image.width // 2), max(1, image.height // 2)), _BICUBIC)


def _snapshot(image: Image.Image, chance: Random) -> Image.Image:
    """A hand-held photo of the print: slanted, cut, in warm or cold light, slightly out of focus, grainy."""
    view = _crop(_perspective(_rotation(image, chance, 3, 10), chance, 0.12), chance, 0.75)
    view = ImageEnhance.Brightness(view).enhance(chance.uniform(0.65, 1.3))
    warmth = chance.uniform(-0.14, 0.14)
    pixels = np.asarray(_blur(view, chance, 0.003), np.float32) * np.array([1 + warmth, 1.0, 1 - warmth])
    pixels += np.random.default_rng(chance.getrandbits(32)).normal(0, 9, pixels.shape)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


KINDS: tuple[Kind, ...] = (
    Kind("crop", "Crop", "35 % of the area, anywhere", _crop),
    Kind("rotation", "Rotation", "by 15 to 40 degrees, without corners", _rotation),
    Kind("perspective", "Perspective", "each corner moved in by up to 30 %", _perspective),
    Kind("exposure", "Exposure", "much too dark or too bright, flat", _exposure),
    Kind("compression", "Compression", "half the size, JPEG quality 5", _compression, quality=5),
    Kind("blur", "Blur", "Gaussian, sigma 1.2 % of the longest side", _blur),
    Kind("small", "Thumbnail", "96 pixels at the longest side", _small),
    Kind(
        "snapshot", "Snapshot", "turned, slanted, cut, tinted, grainy, JPEG quality 40", _snapshot, quality=40
    ),
)
"""All kinds, in the order they are reported in."""


def _as_it_is(image: Image.Image, chance: Random) -> Image.Image:
    return image


OTHER_CAMERA = Kind("other-camera", "Other camera", "a second real photograph of the scene", _as_it_is)
"""Not made but found: a photograph of the same scene from another place, which the gallery lacks."""
