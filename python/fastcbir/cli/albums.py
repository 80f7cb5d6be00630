"""Which album a command means: the one that was named, or the user's own.

A newcomer has one album and never names it: `fastcbir index` puts every folder into it, `fastcbir search`
searches it, from wherever they are called. It lies with the user's other application data and not among the
photos, so photos on read-only media can be indexed too.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from fastcbir.cli.codes import ALBUM, CommandError
from fastcbir.cli.output import quoted

if TYPE_CHECKING:
    from fastcbir.image_index import ImageIndex

__all__ = ["album_path", "open_album"]


def album_path(named: Path | None) -> Path:
    """The album's folder: `named` (--album or $FASTCBIR_ALBUM), else the user's own."""
    if named is not None:
        return named.expanduser().absolute()
    from fastcbir.extract.cache import data_folder

    return data_folder() / "album.fcbir"


def open_album(named: Path | None, *, writing: bool = False) -> AbstractContextManager[ImageIndex]:
    """Open an album that exists.

    Raises:
        CommandError: there is none; the message says how to make it.
    """
    from fastcbir.image_index import ImageIndex

    path = album_path(named)
    if not path.exists():
        if named is None:
            raise CommandError(
                f"there is no album yet ({path}); first let fastcbir look at your photos: fastcbir index "
                "FOLDER",
                ALBUM,
            )
        raise CommandError(
            f"there is no album {path}; make it with: fastcbir index FOLDER --album {quoted(path)}", ALBUM
        )
    return ImageIndex.open(path, read_only=not writing)
