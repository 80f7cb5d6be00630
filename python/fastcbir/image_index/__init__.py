"""A folder of photos that can be searched by content: the album, its catalogue and its search index."""

from fastcbir.image_index.album import ImageIndex
from fastcbir.image_index.query import Text
from fastcbir.image_index.results import (
    AddProgress,
    AddReport,
    AlbumInfo,
    Failure,
    PhotoHit,
    Problem,
    Progress,
)

__all__ = [
    "AddProgress",
    "AddReport",
    "AlbumInfo",
    "Failure",
    "ImageIndex",
    "PhotoHit",
    "Problem",
    "Progress",
    "Text",
]
