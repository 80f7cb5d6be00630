"""Real photographs that come inside common Python packages: something to search where nothing was downloaded.

They are found by the packages' folders, without importing the packages. Standard library only.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from fastcbir.errors import MissingExtraError

__all__ = ["PackagePhoto", "base_and_query_photos", "package_photos"]


class PackagePhoto(NamedTuple):
    """A photograph inside an installed package."""

    name: str
    """Short and unique, such as "astronaut"."""
    path: Path
    """The image file; it belongs to the package and must not be changed."""
    source: str
    """The package that carries it, and who made it."""
    licence: str
    scene: str
    """What it shows; only photographs of the same thing share it."""


class _Listed(NamedTuple):
    file: str
    maker: str
    licence: str
    scene: str | None = None


# Charts, logos, drawings and scans of blank patterns that the packages also carry are left out on purpose.
_FOLDERS: dict[str, tuple[str, str, tuple[_Listed, ...]]] = {
    "skimage": (
        "scikit-image",
        "data",
        (
            _Listed("astronaut.png", "NASA", "public domain"),
            _Listed("brick.png", "CC0Textures", "CC0-1.0"),
            _Listed("camera.png", "Lav Varshney", "CC0-1.0"),
            _Listed("cell.png", "Müller et al., 2018", "CC0-1.0"),
            _Listed("chelsea.png", "Stefan van der Walt", "CC0-1.0"),
            _Listed("clock_motion.png", "Stefan van der Walt", "public domain"),
            _Listed("coffee.png", "Rachel Michetti", "CC0-1.0"),
            _Listed("coins.png", "Brooklyn Museum", "no known copyright restrictions"),
            _Listed("grass.png", "linolafett, DeviantArt", "CC0-1.0"),
            _Listed("gravel.png", "CC0Textures", "CC0-1.0"),
            _Listed("hubble_deep_field.jpg", "NASA, ESA", "public domain"),
            _Listed("ihc.png", "CMMI", "no known copyright restrictions"),
            _Listed("moon.png", "scikit-image", "not stated by the package"),
            _Listed("motorcycle_left.png", "Middlebury 2014", "not stated by the package", "motorcycle"),
            _Listed("motorcycle_right.png", "Middlebury 2014", "not stated by the package", "motorcycle"),
            _Listed("page.png", "scikit-image", "not stated by the package"),
            _Listed("retina.jpg", "Häggström, 2014", "CC0-1.0"),
            _Listed("rocket.jpg", "SpaceX", "public domain"),
            _Listed("text.png", "Wikipedia", "public domain"),
        ),
    ),
    "sklearn": (
        "scikit-learn",
        "datasets/images",
        (
            _Listed("china.jpg", "danielbuechele, flickr", "CC-BY-2.0"),
            _Listed("flower.jpg", "vultilion, flickr", "CC-BY-2.0"),
        ),
    ),
    "matplotlib": (
        "matplotlib",
        "mpl-data/sample_data",
        (_Listed("grace_hopper.jpg", "US Navy", "public domain"),),
    ),
}


def package_photos() -> list[PackagePhoto]:
    """The photographs that scikit-image, scikit-learn and matplotlib carry, as far as they are installed.

    Returns:
        At most 22 photographs in a fixed order, of 0.07 to 2 megapixels, grey and RGB; an empty list when
        none of the packages is installed (`pip install "fastcbir[demo]"` brings all three). Pictures that
        another version of a package lacks are left out.
    """
    photos = []
    for module, (package, folder, listed) in _FOLDERS.items():
        spec = find_spec(module)
        for root in (spec.submodule_search_locations if spec else None) or ():
            for file, maker, licence, scene in listed:
                path = Path(root, folder, file)
                if path.is_file():
                    name = path.stem
                    photos.append(PackagePhoto(name, path, f"{package}: {maker}", licence, scene or name))
    return photos


def base_and_query_photos(purpose: str) -> tuple[list[PackagePhoto], list[PackagePhoto]]:
    """The photographs of every fifth scene to ask with, and all others to be searched.

    Args:
        purpose: what needs them, for the message.

    Raises:
        MissingExtraError: there are too few, as the packages that carry them are not installed.
    """
    photos = package_photos()
    scenes = list(dict.fromkeys(photo.scene for photo in photos))
    if len(scenes) < 5:
        raise MissingExtraError(
            f"{purpose} is made from photographs inside scikit-image, which is not installed; "
            'run: pip install "fastcbir[bench]"'
        )
    asking = set(scenes[2::5])
    return (
        [photo for photo in photos if photo.scene not in asking],
        [photo for photo in photos if photo.scene in asking],
    )
