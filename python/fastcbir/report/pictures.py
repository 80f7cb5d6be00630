"""Thumbnails as data URIs: what makes the page self-contained. Needs Pillow."""

from __future__ import annotations

import base64
import io
import os
from pathlib import Path

from fastcbir.errors import require
from fastcbir.report.model import Picture

require("PIL.Image", "photos", "a page of pictures")

from PIL import Image  # noqa: E402

from fastcbir.extract.decode import DecodeError, decode, to_rgb  # noqa: E402

__all__ = ["picture_of"]

_SIDE = 320  # twice the width it is shown at, for screens with fine pixels
_QUALITY = 78
_MISSING = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 4 3">'
    '<path d="M1.4.9l1.2 1.2m0-1.2l-1.2 1.2" stroke="#888" stroke-width=".12" stroke-linecap="round"/></svg>'
)


def picture_of(
    source: Image.Image | str | os.PathLike[str], label: str, *, side: int = _SIDE, linked: bool = False
) -> Picture:
    """A thumbnail of an image or of a file.

    Args:
        source: an upright image, or the path of a photo. A photo that is gone or broken since it was indexed
            gives a picture that says so; a page of a hundred hits shall not fail for one.
        label: what it shows.
        side: its longest side, in pixels.
        linked: link the thumbnail to the file.
    """
    link = None
    if isinstance(source, Image.Image):
        image = to_rgb(source)
    else:
        link = Path(source).absolute().as_uri() if linked else None
        try:
            image = decode(source, side).image
        except DecodeError as error:
            uri = "data:image/svg+xml;base64," + base64.b64encode(_MISSING.encode()).decode()
            return Picture(uri, 4, 3, f"{label} ({error})", link)
    image = image.copy()
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=_QUALITY, optimize=True)
    uri = "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()
    return Picture(uri, image.width, image.height, label, link)
