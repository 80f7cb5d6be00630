"""Two photos side by side, with a line for every match: what a person can check at a glance. Needs Pillow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastcbir.extract.extractor import ImageLike
from fastcbir.match.pictures import upright
from fastcbir.rerank.matches import Matches

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["draw_matches", "draw_outline"]

_GAP = 12
_TITLE = 34
_MOST_LINES = 300
_GROUND, _INK = (24, 26, 30), (235, 236, 238)
_OUTLIER = (226, 74, 74, 70)
_LEAST, _SUREST = np.array([247, 201, 72]), np.array([46, 204, 113])  # inliers: unsure amber to sure green


def draw_matches(
    image_a: ImageLike,
    image_b: ImageLike,
    matches: Matches,
    *,
    title: str | None = None,
    side: int = 640,
) -> Image.Image:
    """Both photos, outliers as faint red lines, inliers from amber to green by confidence, and where the
    homography puts A in B.

    Args:
        image_a, image_b: the photos that were matched.
        matches: of A with B, in their pixels.
        title: the line above; None for the counts.
        side: longest side of each photo in the picture, in pixels.
    """
    from PIL import Image, ImageDraw

    shown_a, scale_a = _shown(image_a, side)
    shown_b, scale_b = _shown(image_b, side)
    height = max(shown_a.height, shown_b.height)
    canvas = Image.new("RGB", (shown_a.width + _GAP + shown_b.width, height + _TITLE), _GROUND)
    left, right = np.array([0, _TITLE]), np.array([shown_a.width + _GAP, _TITLE])
    canvas.paste(shown_a, (0, _TITLE))
    canvas.paste(shown_b, (shown_a.width + _GAP, _TITLE))
    a = (matches.points_a + 0.5) * scale_a + left
    b = (matches.points_b + 0.5) * scale_b + right
    layer = Image.new("RGBA", canvas.size, (0, 0, 0, 0))
    pen = ImageDraw.Draw(layer)
    for number in _some(np.flatnonzero(~matches.inlier)):
        pen.line([*a[number], *b[number]], fill=_OUTLIER, width=1)
    shades = _shades(matches)
    for number in _some(np.flatnonzero(matches.inlier)):
        colour = (*shades[number], 210)
        pen.line([*a[number], *b[number]], fill=colour, width=1)
        for x, y in (a[number], b[number]):
            pen.ellipse([x - 2, y - 2, x + 2, y + 2], fill=colour)
    outline = matches.outline()
    if outline is not None:
        _polygon(pen, (outline + 0.5) * scale_b + right)
    canvas.paste(layer, (0, 0), layer)
    text = title or f"{matches.inliers} of {len(matches)} matches agree"
    ImageDraw.Draw(canvas).text((8, 8), text, fill=_INK, font=_font(16))
    return canvas


def draw_outline(image_b: ImageLike, matches: Matches, *, side: int = 480) -> Image.Image:
    """Photo B with the outline of photo A found in it, and the inliers as dots."""
    from PIL import ImageDraw

    shown, scale = _shown(image_b, side)
    picture = shown.copy()
    pen = ImageDraw.Draw(picture, "RGBA")
    shades = _shades(matches)
    for number in np.flatnonzero(matches.inlier):
        x, y = (matches.points_b[number] + 0.5) * scale
        pen.ellipse([x - 2, y - 2, x + 2, y + 2], fill=(*shades[number], 220))
    outline = matches.outline()
    if outline is not None:
        _polygon(pen, (outline + 0.5) * scale)
    return picture


def _shown(image: ImageLike, side: int) -> tuple[Image.Image, npt.NDArray[np.float64]]:
    """The photo at most `side` pixels long, and pixels of it for one of the photo, in x and y."""
    from PIL import Image

    found, (width, height) = upright(image, side)
    shrink = min(1.0, side / max(width, height))
    size = max(1, round(width * shrink)), max(1, round(height * shrink))
    if found.size != size:
        found = found.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    return found, np.array(size) / np.array([width, height])


def _shades(matches: Matches) -> list[tuple[int, int, int]]:
    """A colour for each match, by its confidence among the inliers."""
    of_inliers = matches.confidence[matches.inlier]
    low, high = (float(of_inliers.min()), float(of_inliers.max())) if len(of_inliers) else (0.0, 1.0)
    share = np.clip((matches.confidence - low) / max(high - low, 1e-9), 0, 1)[:, None]
    return [(int(r), int(g), int(b)) for r, g, b in _LEAST * (1 - share) + _SUREST * share]


def _some(numbers: npt.NDArray[np.intp]) -> list[int]:
    """At most _MOST_LINES of them, evenly: more lines show less."""
    step = max(1, -(-len(numbers) // _MOST_LINES))
    return [int(number) for number in numbers[::step]]


def _polygon(pen: Any, corners: npt.NDArray[np.floating]) -> None:
    points = [(float(x), float(y)) for x, y in corners]
    pen.line([*points, points[0]], fill=(64, 156, 255, 255), width=3)


def _font(size: int) -> Any:
    from PIL import ImageFont

    try:
        return ImageFont.load_default(size)
    except TypeError:  # Pillow before 10.1 has one size
        return ImageFont.load_default()
