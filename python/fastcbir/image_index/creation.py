"""From a path to an open catalogue: finding an album, making one, and saying what stands in its place."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from fastcbir.errors import FormatError
from fastcbir.image_index.catalogue import Catalogue
from fastcbir.image_index.extracting import PhotoExtractor, identity_for
from fastcbir.image_index.lock import WriterLock

__all__ = ["CATALOGUE", "INDEX", "LOCK", "open_or_create"]

CATALOGUE = "catalog.db"
INDEX = "index.fcx"
LOCK = "writer.lock"


def open_or_create(
    path: str | os.PathLike[str], *, create: bool, extractor: PhotoExtractor | str | None, read_only: bool
) -> Catalogue:
    """The album's catalogue; arguments and errors as of ImageIndex.open()."""
    if create and read_only:
        raise ValueError("create=True and read_only=True exclude each other")
    folder = Path(os.path.abspath(os.path.expanduser(os.fspath(path))))  # noqa: PTH100, PTH111
    identity = None
    if not folder.exists():
        if not create:
            raise FileNotFoundError(
                errno.ENOENT,
                'there is no album; make one with ImageIndex.open(path, create=True), or "fastcbir index '
                'FOLDER"',
                str(folder),
            )
        identity = identity_for(extractor)  # an unknown one leaves no empty folder behind
        folder.mkdir(parents=True, exist_ok=True)
    if not folder.is_dir():
        raise FormatError(f"{folder} is a file; an album is a folder, customarily named *.fcbir")
    catalogue = folder / CATALOGUE
    if (folder / INDEX).exists() and not catalogue.exists():
        raise FormatError(
            f"{folder} has lost its {CATALOGUE}, which is the album; {INDEX} is only derived from it. "
            "Restore it from a backup, or make a new album in another folder"
        )
    if create and Catalogue.is_unmade(catalogue):
        _refuse_others(folder)
        with WriterLock(folder / LOCK):
            if Catalogue.is_unmade(catalogue):  # nobody else was quicker
                Catalogue.create(catalogue, identity or identity_for(extractor))
    if not catalogue.exists():
        raise FormatError(
            f"{folder} is a folder, but no album: it has no {CATALOGUE}. Name the album's folder; to make a "
            "new album, name a folder that does not exist yet and pass create=True"
        )
    return Catalogue(catalogue, read_only=read_only)


def _refuse_others(folder: Path) -> None:
    """A new album goes into an empty folder, or where its making was cut short; never among other things."""
    others = sorted(
        each.name for each in folder.iterdir() if each.name != LOCK and not each.name.startswith(CATALOGUE)
    )
    if others:
        raise FormatError(
            f"{folder} is a folder with other things in it ({others[0]!r}, {len(others)} in all), not an "
            "album; to make a new album, name a folder that does not exist yet"
        )
