"""What the album's tests share: small real photos, and a fast extractor that counts what it has to do."""

from __future__ import annotations

import hashlib
import io
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from fastcbir.extract import Failure, Photo
from fastcbir.extract.decode import DecodeError, decode
from fastcbir.image_index import AddReport, ImageIndex

GRID = 4


class TinyExtractor:
    """The contract of an extractor over real decoding: the photo shrunk to 4 x 4 colours, centred,
    normalised.

    Attributes:
        read: the paths that stream() has decoded, in order.
        before: called with each path before it is read (to make files change, or to wait).
    """

    name = "tiny"
    dim = GRID * GRID * 3
    metric = "cosine"

    def __init__(self, model_id: str = "tiny@1", before: Callable[[Path], None] | None = None) -> None:
        self.model_id = model_id
        self.read: list[Path] = []
        self.before = before

    def _vector(self, image: Image.Image) -> npt.NDArray[np.float32]:
        small = np.asarray(image.convert("RGB").resize((GRID, GRID), Image.Resampling.BOX), np.float32)
        flat = small.ravel() - 127.0
        return (flat / np.linalg.norm(flat)).astype(np.float32)

    def extract(self, images: Sequence[Any], /) -> npt.NDArray[np.float32]:
        rows = []
        for image in images:
            if isinstance(image, np.ndarray):
                picture = Image.fromarray(image)
            elif isinstance(image, Image.Image):
                picture = image
            else:
                picture = decode(image).image
            rows.append(self._vector(picture))
        return np.stack(rows)

    def stream(self, paths: Iterable[Path], /) -> Iterator[Photo | Failure]:
        for path in paths:
            if self.before is not None:
                self.before(path)
            self.read.append(path)
            try:
                data, status = path.read_bytes(), path.stat()
                decoded = decode(data)
            except DecodeError as error:
                yield Failure(path, str(error))
                continue
            except OSError as error:
                yield Failure(path, error.strerror or "unreadable")
                continue
            yield Photo(
                path=path,
                vector=self._vector(decoded.image),
                width=decoded.width,
                height=decoded.height,
                captured_at=decoded.captured_at,
                content_hash=hashlib.sha256(data).hexdigest(),
                size=status.st_size,
                mtime_ns=status.st_mtime_ns,
            )

    def names(self) -> list[str]:
        """The names of the files read since the last call, sorted."""
        names, self.read = sorted(path.name for path in self.read), []
        return names


def picture(seed: int, width: int = 24, height: int = 16) -> Image.Image:
    """A picture of its own for each seed: coarse random colours."""
    coarse = np.random.default_rng(seed).integers(0, 256, (GRID, GRID, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.NEAREST)


def photo_bytes(
    seed: int, *, captured_at: datetime | None = None, width: int = 24, height: int = 16
) -> bytes:
    """A PNG (or, with a capture time, a JPEG with EXIF) of picture(seed), as a file's bytes."""
    stream = io.BytesIO()
    if captured_at is None:
        picture(seed, width, height).save(stream, "PNG")
        return stream.getvalue() + b"\0" * (seed % 997)  # decoders ignore what follows the end
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = captured_at.strftime("%Y:%m:%d %H:%M:%S")
    picture(seed, width, height).save(stream, "JPEG", quality=95, exif=exif)
    return stream.getvalue()


def write_photo(path: Path, seed: int, **options: Any) -> Path:
    """Write photo_bytes(seed) to a path, making its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(photo_bytes(seed, **options))
    return path


def write_photos(folder: Path, count: int, *, first: int = 0) -> list[Path]:
    """`count` different photos: 000.png, 001.png, ... made of the seeds from `first` on."""
    return [write_photo(folder / f"{number:03d}.png", number) for number in range(first, first + count)]


def touch(path: Path) -> None:
    """A new time stamp on the same content, surely another one."""
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000_000))


def wait_for(condition: Callable[[], object], what: str, seconds: float = 30.0) -> None:
    """Poll until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.01)


def holds(album: ImageIndex, count: int) -> None:
    """The album and its index hold the photos 0 .. count-1, and each is found."""
    assert len(album) == count
    for number in range(count):
        assert album.search(picture(number), k=1)[0].path.name == f"{number:03d}.png"


def complete(album: ImageIndex, count: int) -> None:
    """The album holds so many photos, and each of them is found."""
    paths = album.paths()
    assert len(paths) == count
    assert [hits[0].path for hits in album.search(paths, k=1)] == paths


def counts(report: AddReport) -> dict[str, int]:
    """What is not zero."""
    names = ("added", "updated", "moved", "unchanged", "vanished")
    found = {name: getattr(report, name) for name in names} | {"failed": len(report.failed)}
    return {name: number for name, number in found.items() if number}


def names(album: ImageIndex) -> list[str]:
    return [path.name for path in album.paths()]


def nearest(album: ImageIndex, seed: int) -> str:
    (hit,) = album.search(picture(seed), k=1)
    assert hit.score > 0.999
    return str(hit.path.name)
