"""fastcbir: content-based image retrieval, from the pixel to the ranked answer.

    index = fastcbir.Index(dim=128, method=fastcbir.Hnsw(m=16))
    index.add(vectors)
    hits = index.search(queries, k=10)

    photos = fastcbir.ImageIndex.open("album.fcbir", create=True)
    photos.add("~/Pictures")
    photos.search("query.jpg", k=10)

Importing this loads numpy and the compiled core only; what needs more is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fastcbir.errors import AlbumLockedError, FormatError, MissingExtraError, ModelError
from fastcbir.index import Index, load
from fastcbir.processor import available_isas, isa
from fastcbir.types import Flat, Hits, Hnsw, Imi, Ivf, RangeHits, StopReason

if TYPE_CHECKING:
    __version__: str
    from fastcbir.extract import load_extractor, models
    from fastcbir.image_index import ImageIndex

__all__ = [
    "AlbumLockedError",
    "Flat",
    "FormatError",
    "Hits",
    "Hnsw",
    "ImageIndex",
    "Imi",
    "Index",
    "Ivf",
    "MissingExtraError",
    "ModelError",
    "RangeHits",
    "StopReason",
    "available_isas",
    "isa",
    "load",
    "load_extractor",
    "models",
]

_LAZY = {
    "ImageIndex": "fastcbir.image_index",
    "load_extractor": "fastcbir.extract",
    "models": "fastcbir.extract",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib.metadata").version("fastcbir")
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'fastcbir' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])
