"""From a file's bytes to an upright RGB image, near the size that is wanted. Needs Pillow.

Whatever comes, one of two things happens: an image, or a DecodeError that says in a sentence what is wrong.
JPEGs are decoded at 1/2, 1/4 or 1/8 of their size where that suffices, which is most of the speed. Memory
is bounded before any pixel is decoded:

* no image that would be decoded to more than MAX_PIXELS;
* a baseline JPEG may have up to MAX_JPEG_PIXELS in the file, if the reduced size obeys the first limit (a
  progressive one may not, for its coefficients are held for the whole image whatever the reduction).
"""

from __future__ import annotations

import errno
import functools
import importlib
import io
import os
import stat
import threading
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import numpy as np

from fastcbir.errors import require
from fastcbir.extract.quiet import quiet_pillow

require("PIL.Image", "photos", "decoding photos")

from PIL import Image, JpegImagePlugin, UnidentifiedImageError  # noqa: E402

__all__ = [
    "IMAGE_SUFFIXES",
    "MAX_FILE_BYTES",
    "MAX_JPEG_PIXELS",
    "MAX_PIXELS",
    "DecodeError",
    "DecodedImage",
    "decode",
    "to_rgb",
]

MAX_PIXELS = 1 << 27  # 134 million, 400 MB as RGB
MAX_JPEG_PIXELS = 1 << 29  # 537 million: a square of 23,170
MAX_FILE_BYTES = 1 << 30

# Images above this are decoded one at a time, so that many threads need no more memory than one.
_LARGE_PIXELS = 1 << 25
_large = threading.Lock()

# Formats by Pillow's names. Left out on purpose: EPS and PDF (they run or need other programs), and
# whatever has no mark by which to tell it from any other file.
_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF", "ICO", "DIB")
_KINDS = "JPEG, PNG, GIF, BMP, TIFF, WebP, JPEG 2000, AVIF or PPM"

IMAGE_SUFFIXES = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".gif", ".bmp", ".dib", ".tif", ".tiff"),
        *(".webp", ".jp2", ".j2k", ".avif", ".heic", ".heif", ".ppm", ".pgm", ".pbm", ".pnm"),
    )
)
"""Suffixes, lower case, of the files that a folder walk should try."""

_ORIENTATION, _DATETIME, _EXIF_IFD = 0x0112, 0x0132, 0x8769
_DATETIME_ORIGINAL, _DATETIME_DIGITIZED = 0x9003, 0x9004

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class DecodeError(ValueError):
    """A file that is no image, or a damaged or too large one. The message does not repeat the path."""


@dataclass(frozen=True, eq=False)
class DecodedImage:
    """An upright RGB image, and what the file says of the photo.

    Attributes:
        image: mode RGB, upright; at its full size, or reduced but no smaller than the target.
        width, height: of the whole photo as it is shown, in pixels: after the EXIF orientation.
        captured_at: EXIF's capture time in the camera's local time, without a zone; None where there is none.
    """

    image: Image.Image
    width: int
    height: int
    captured_at: datetime | None


def decode(
    source: str | os.PathLike[str] | bytes | BinaryIO, target: int | None = None, *, shortest: bool = False
) -> DecodedImage:
    """Decode a photo.

    Transparent images are put on white, animations give their first frame, 16-bit and floating-point ones
    are scaled to 8 bits.

    Args:
        source: a path, the file's bytes, or a file open for reading in binary.
        target: the longest side that is needed, in pixels; a JPEG may then be decoded reduced, but to no
            smaller than this. None for the full size.
        shortest: the target is of the shortest side.

    Raises:
        DecodeError: the file can't be read, is no image, is damaged, or is larger than the limits above.
    """
    if target is not None and target < 1:
        raise ValueError(f"target must be at least 1 pixel, or None for the full size, got {target}")
    data = source if isinstance(source, bytes) else _read(source)
    if not data:
        raise DecodeError("the file is empty (0 bytes)")
    with quiet_pillow():
        try:
            return _decode(data, target, shortest)
        except DecodeError:
            raise
        except Image.DecompressionBombError:
            raise DecodeError(_too_large("it has", MAX_PIXELS)) from None
        except MemoryError:
            raise DecodeError("there is not enough memory to decode it") from None
        except Exception as error:  # Pillow's plugins raise nearly anything on a damaged file
            raise DecodeError(f"the image is damaged: {_clean(error)}") from error


def _read(source: str | os.PathLike[str] | BinaryIO) -> bytes:
    try:
        if not isinstance(source, str | os.PathLike):
            data = source.read(MAX_FILE_BYTES + 1)
        else:
            path = Path(source)
            if "\0" in str(path):
                raise DecodeError("the path holds a zero byte")
            check_regular(path.stat())
            with path.open("rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise DecodeError(unreadable(error)) from error
    if len(data) > MAX_FILE_BYTES:
        raise DecodeError(f"the file is larger than the limit of {MAX_FILE_BYTES >> 20} MiB")
    return data


def check_regular(status: os.stat_result) -> None:
    """Refuse what is no ordinary file (reading a pipe could wait for ever) or too large to read whole."""
    if stat.S_ISDIR(status.st_mode):
        raise DecodeError("it is a folder, expected a file")
    if not stat.S_ISREG(status.st_mode):
        raise DecodeError("it is a device, pipe or socket, expected a file")
    if status.st_size > MAX_FILE_BYTES:
        raise DecodeError(
            f"the file has {status.st_size >> 20} MiB, more than the limit of {MAX_FILE_BYTES >> 20} MiB"
        )


def unreadable(error: OSError) -> str:
    """Why a file could not be read, without its path."""
    if error.errno in (errno.EACCES, errno.EPERM):
        return "the file may not be read (permission denied)"
    if error.errno == errno.ENOENT:
        return "the file does not exist"
    if error.errno == errno.ELOOP:
        return "the path is a loop of symbolic links"
    return f"the file can't be read ({error.strerror or type(error).__name__})"


def _decode(data: bytes, target: int | None, shortest: bool) -> DecodedImage:
    image = _open(data)
    with image:
        width, height = image.size
        if isinstance(image, JpegImagePlugin.JpegImageFile):
            _reduce(image, target, shortest)
        decoded = image.size[0] * image.size[1]
        if decoded > MAX_PIXELS:
            raise DecodeError(_too_large(f"it is {width} x {height},", MAX_PIXELS))
        if decoded > _LARGE_PIXELS:
            with _large:
                image.load()
                rgb = to_rgb(image)
        else:
            image.load()
            rgb = to_rgb(image)
        # After loading, for Pillow turns a TIFF upright itself and then drops the tag.
        orientation, captured_at = _exif(image)
    if orientation in _UPRIGHT:
        rgb = rgb.transpose(_UPRIGHT[orientation])
        if orientation >= 5:
            width, height = height, width
    return DecodedImage(rgb, width, height, captured_at)


@functools.cache
def _formats() -> tuple[str, ...]:
    """Those of _FORMATS that this Pillow knows; it fails on the name of any other."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _open(data: bytes) -> Image.Image:
    """Read the header alone."""
    file = io.BytesIO(data)
    if data[:3] == b"\xff\xd8\xff":
        # Named here and not left to Image.open, whose limit knows nothing of reduced decoding.
        try:
            return JpegImagePlugin.JpegImageFile(file)
        except SyntaxError as error:
            raise DecodeError(f"the image is damaged: {_clean(error)}") from error
    if data[4:8] == b"ftyp" and data[8:12] in (
        b"heic",
        b"heix",
        b"hevc",
        b"hevx",
        b"heim",
        b"heis",
        b"mif1",
        b"msf1",
    ):
        heif = _open_heif(file)
        if heif is not None:
            return heif
    try:
        return Image.open(file, formats=_formats())
    except UnidentifiedImageError:
        raise DecodeError(f"not an image of a kind that is read here ({_KINDS})") from None


def _open_heif(file: BinaryIO) -> Image.Image | None:
    """With pillow-heif, which is optional; None for what Pillow may read itself."""
    try:
        pillow_heif = importlib.import_module("pillow_heif")
    except ImportError:
        if b"avif" in file.read(64):
            file.seek(0)
            return None
        raise DecodeError("HEIC photos need pillow-heif; run: pip install pillow-heif") from None
    image: Image.Image = pillow_heif.HeifImageFile(file)
    return image


def _reduce(image: JpegImagePlugin.JpegImageFile, target: int | None, shortest: bool) -> None:
    """Ask for the smallest of 1, 1/2, 1/4, 1/8 whose side is still at least the target."""
    width, height = image.size
    pixels = width * height
    limit = MAX_PIXELS if image.info.get("progressive") or target is None else MAX_JPEG_PIXELS
    if pixels > limit:
        raise DecodeError(_too_large(f"it is {width} x {height},", limit))
    if target is not None:
        side = min(width, height) if shortest else max(width, height)
        image.draft(None, (max(1, width * target // side), max(1, height * target // side)))


def _too_large(start: str, limit: int) -> str:
    return f"the image is too large to decode safely: {start} more than {limit / 1e6:.0f} million pixels"


def to_rgb(image: Image.Image) -> Image.Image:
    """Any mode of Pillow's as RGB: transparency on white, more than 8 bits scaled to 8."""
    mode = image.mode
    if mode == "RGB" and "transparency" not in image.info:
        return image
    if mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        layer = image.convert("RGBA")
        ground = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        return Image.alpha_composite(ground, layer).convert("RGB")
    if mode == "I" or mode == "F" or mode.startswith("I;16"):
        return _eight_bits(image).convert("RGB")
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """A grey image of 16 or 32 bits as 8 bits. Pillow's own conversion would clip at 255."""
    values = np.asarray(image)
    if image.mode.startswith("I;16"):
        return Image.fromarray((values >> 8).astype(np.uint8))
    # 32 bits have no agreed white, so take the smallest customary range that holds the values, else their
    # own.
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    whites = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)
    white = next((white for white in whites if low >= 0 and high <= white), None)
    start, span = (0.0, white) if white else (low, (high - low) or 1.0)
    scaled = (np.nan_to_num(values.astype(np.float64), nan=start, posinf=high, neginf=low) - start) * (
        255 / span
    )
    return Image.fromarray(np.clip(scaled + 0.5, 0, 255).astype(np.uint8))


def _exif(image: Image.Image) -> tuple[int, datetime | None]:
    """(orientation, capture time). Damaged EXIF counts as none: the pixels are what matters."""
    try:
        exif = image.getexif()
        orientation = exif.get(_ORIENTATION, 1)
        inner = exif.get_ifd(_EXIF_IFD)
        texts = (inner.get(_DATETIME_ORIGINAL), inner.get(_DATETIME_DIGITIZED), exif.get(_DATETIME))
    except Exception:
        return 1, None
    times = (_moment(text) for text in texts)
    return orientation if isinstance(orientation, int) else 1, next((t for t in times if t is not None), None)


def _moment(text: object) -> datetime | None:
    if isinstance(text, bytes):
        text = text.decode("ascii", "replace")
    if not isinstance(text, str):
        return None
    try:
        return datetime.strptime(text.strip("\0 ")[:19], "%Y:%m:%d %H:%M:%S")
    except ValueError:
        return None


def _clean(error: Exception) -> str:
    """The message in one printable line: Pillow quotes raw bytes and file objects at times."""
    text = " ".join(str(error).split()) or type(error).__name__
    return "".join(c if c.isprintable() else "?" for c in text)[:200]
