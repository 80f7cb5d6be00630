"""A folder of images, labelled by the subfolders they lie in. Imports the standard library only."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from fastcbir.errors import FormatError

__all__ = ["SUFFIXES", "ImageFolder", "image_folder"]

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


@dataclass(frozen=True)
class ImageFolder:
    """Images in a folder, in the order of their paths.

    Attributes:
        root: the folder.
        paths: the image files.
        labels: for each image its first subfolder under the root, or "" for an image in the root itself.
    """

    root: Path
    paths: tuple[Path, ...]
    labels: tuple[str, ...]


def image_folder(root: str | Path) -> ImageFolder:
    """The images under a folder, by their suffix; nothing is opened, what is hidden is passed over.

    Links to folders are not followed. To search the images, give the folder to `fastcbir.ImageIndex`.

    Raises:
        NotADirectoryError: the root is no folder.
        FormatError: it holds no image.
    """
    root = Path(root)
    if not root.is_dir():
        raise NotADirectoryError(f"{root} is not a folder")
    found = []
    for folder, subfolders, files in os.walk(root):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in files:
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                found.append(Path(folder, name))
    if not found:
        raise FormatError(f"{root}: expected images ({', '.join(sorted(SUFFIXES))}) but found none")
    found.sort()
    relative = (path.relative_to(root).parts for path in found)
    return ImageFolder(root, tuple(found), tuple(parts[0] if len(parts) > 1 else "" for parts in relative))
