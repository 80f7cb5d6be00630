"""The gallery of the demo: photographs to be found, and tiles of them that lead astray.

The photographs come inside installed packages, and from a folder the user names. The former are few, so the
larger ones are also cut into tiles that do not overlap, each a picture of its own in the gallery. A tile
shows a part of its photograph, so it is neither right nor wrong when that one is asked for; for any other
query it is wrong.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from fastcbir.datasets.package_photos import package_photos
from fastcbir.errors import MissingExtraError
from fastcbir.extract.decode import decode

__all__ = ["Gallery", "GalleryPhoto", "OtherPhoto", "make_gallery"]

_TILE_SIDE = 192  # the shortest side a tile may have, in pixels
_MOST_TILES = 3  # in each direction
_FEWEST = 5


@dataclass(frozen=True)
class GalleryPhoto:
    """A photograph to be found: its name (unique in the gallery), its file, and whose it is."""

    name: str
    path: Path
    credit: str


@dataclass(frozen=True)
class OtherPhoto:
    """A photograph that is not in the gallery, of the same scene as one that is."""

    photo: GalleryPhoto
    same_scene: GalleryPhoto


@dataclass
class Gallery:
    """What is to be searched.

    Attributes:
        photos: of the packages, in their fixed order.
        tiles: the files of the tiles of each photo, by its name.
        others: photographs to ask with that the gallery lacks.
    """

    photos: list[GalleryPhoto] = field(default_factory=list)
    tiles: dict[str, list[Path]] = field(default_factory=dict)
    others: list[OtherPhoto] = field(default_factory=list)


def make_gallery(photos: Path, tiles: Path, others: Path) -> Gallery:
    """Copy the packages' photographs to folders of their own, for their own hold charts and logos as well.

    Args:
        photos, tiles, others: folders to make, for the parts of the gallery of the same names.

    Raises:
        MissingExtraError: the packages that carry photographs are not installed.
    """
    gallery = Gallery()
    scenes: dict[str, GalleryPhoto] = {}
    for folder in (photos, tiles, others):
        folder.mkdir(parents=True)
    for found in package_photos():
        first = scenes.get(found.scene)
        copy = (photos if first is None else others) / found.path.name
        shutil.copyfile(found.path, copy)
        photo = GalleryPhoto(found.name, copy, f"{found.source} ({found.licence})")
        if first is not None:
            gallery.others.append(OtherPhoto(photo, first))
            continue
        scenes[found.scene] = photo
        gallery.photos.append(photo)
        image = decode(copy).image
        gallery.tiles[photo.name] = list(_save_tiles(image, tiles / photo.name))
    if len(gallery.photos) < _FEWEST:
        raise MissingExtraError(
            "the demo searches photographs that come inside scikit-image, scikit-learn and matplotlib, of "
            "which "
            f'only {len(gallery.photos)} are here; run: pip install "fastcbir[demo]"'
        )
    return gallery


def _save_tiles(image: Image.Image, stem: Path) -> Iterator[Path]:
    """Cut an image into equal tiles and save them; none where there is no room for two in each direction."""
    across = min(_MOST_TILES, image.width // _TILE_SIDE)
    down = min(_MOST_TILES, image.height // _TILE_SIDE)
    if min(across, down) < 2:
        return
    width, height = image.width // across, image.height // down
    for row in range(down):
        for column in range(across):
            left, top = column * width, row * height
            path = stem.with_name(f"{stem.name}-{row + 1}{column + 1}.jpg")
            image.crop((left, top, left + width, top + height)).save(path, "JPEG", quality=92)
            yield path
