"""What comes out of the pipeline for each path: a Photo or a Failure. NumPy alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

__all__ = ["Failure", "Photo"]


@dataclass(frozen=True, eq=False)
class Photo:
    """A photo that was read, decoded and turned into a vector.

    Attributes:
        path: as it was given.
        vector: (dim,) float32, L2-normalised.
        width, height: of the photo as it is shown, in pixels: after the EXIF orientation.
        captured_at: the capture time of its EXIF, in the camera's local time, without a zone; None where it
        has none. content_hash: sha256 of the file's bytes, 64 hex digits. size: of the file, in bytes.
        mtime_ns: when the file was last modified, in nanoseconds since 1970, as os.stat gives it.
    """

    path: Path
    vector: npt.NDArray[np.float32]
    width: int
    height: int
    captured_at: datetime | None
    content_hash: str
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Failure:
    """A path that gave no vector, and why, in a sentence that does not repeat the path."""

    path: Path
    reason: str
