"""What a search may be asked with: a photo of the album, any image, or a vector; made into unit vectors."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Union

import numpy as np
import numpy.typing as npt

from fastcbir.errors import ModelError
from fastcbir.image_index.extracting import PhotoExtractor
from fastcbir.image_index.paths import canonical_file, glob_pattern
from fastcbir.image_index.snapshot import PhotoFilter, Snapshot
from fastcbir.image_index.walk import look_at

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["Query", "Text", "photo_filter", "query_vectors"]

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Text:
    """Words to search photos with, in albums whose model knows text (CLIP, SigLIP)."""

    text: str


Query = Union[str, "os.PathLike[str]", bytes, npt.NDArray[Any], "Image.Image", Text]
"""A path, the bytes of an image file, a (dim,) vector or an (H, W, 3) uint8 array, a PIL image, words."""


def photo_filter(glob: str | None, after: str | date | None, before: str | date | None) -> PhotoFilter:
    """The filter of a search; see ImageIndex.search for the meaning.

    Raises:
        ValueError: an empty glob, a text that is no ISO 8601 date or time.
    """
    pattern = None if glob is None else glob_pattern(glob)
    return PhotoFilter(pattern, _moment("after", after), _moment("before", before))


def _moment(name: str, given: str | date | None) -> str | None:
    """ISO 8601 local time without a zone, as the catalogue has it; a date is its midnight."""
    if given is None:
        return None
    if isinstance(given, str):
        try:
            given = datetime.fromisoformat(given)
        except ValueError:
            raise ValueError(
                f'{name} must be a date or time such as "2024-05-31" or "2024-05-31T14:00", got {given!r}'
            ) from None
    if isinstance(given, datetime):
        if given.tzinfo is not None:
            raise ValueError(
                f"{name} must be without a time zone, as cameras record local time without one, got {given}"
            )
        return given.isoformat()
    if isinstance(given, date):
        return datetime(given.year, given.month, given.day).isoformat()
    raise ValueError(f"{name} must be a date, a datetime or an ISO 8601 text, got {type(given).__name__}")


def query_vectors(
    queries: Sequence[object], snapshot: Snapshot, dim: int, extractor: Callable[[], PhotoExtractor]
) -> Vectors:
    """(Q, dim) float32 of length 1; the extractor is called once, for those that need it, or not at all.

    Raises:
        ValueError: a vector of another dim, not finite or zero; an image that can't be decoded; anything
            else.
    """
    vectors = np.empty((len(queries), dim), np.float32)
    images: list[object] = []
    places: list[int] = []
    for place, query in enumerate(queries):
        if isinstance(query, Text):
            vectors[place] = _encoded(query.text, extractor())
            continue
        known = _known_vector(query, snapshot)
        if known is not None:
            vectors[place] = known
        elif isinstance(query, np.ndarray) and query.ndim == 1:
            vectors[place] = _unit(query, dim)
        else:
            images.append(_image(query))
            places.append(place)
    if images:
        vectors[places] = extractor().extract(images)
    return vectors


def _encoded(text: str, extractor: PhotoExtractor) -> Vectors:
    encode = getattr(extractor, "encode_text", None)
    if encode is None:
        raise ModelError(f"the album's extractor {extractor.name} knows no text")
    return np.asarray(encode([text])[0], np.float32)


def _image(query: object) -> object:
    """What the extractor takes; its own checks say more about images."""
    if isinstance(query, str | os.PathLike):
        path = os.path.expanduser(os.fspath(query))  # noqa: PTH111
        if not os.path.exists(path):  # noqa: PTH110
            raise FileNotFoundError(2, "there is no such photo to search with", path)
        return path
    if isinstance(query, np.ndarray) and query.ndim == 2:
        raise ValueError(
            f"an array of shape {query.shape} is neither a vector nor an image; for several vectors pass "
            "list(array)"
        )
    if isinstance(query, np.ndarray) and query.ndim != 3:
        raise ValueError(
            f"an array to search with must be a vector (dim,) or an image (H, W, 3), got shape {query.shape}"
        )
    return query


def _known_vector(query: object, snapshot: Snapshot) -> Vectors | None:
    """The stored vector, where the query is the path of a photo of the album that has not changed since."""
    if not isinstance(query, str | os.PathLike):
        return None
    path = canonical_file(query)
    state = snapshot.state_of(path)
    content = snapshot.content_of(path)
    if state is None or content is None or look_at(path) != state:
        return None
    _, vectors = snapshot.vectors(np.array([content]))
    return vectors[0] if len(vectors) else None


def _unit(vector: npt.NDArray[np.generic], dim: int) -> Vectors:
    if vector.shape != (dim,):
        raise ValueError(f"the album has vectors of dim {dim}, but the query has {vector.shape[0]} elements")
    if vector.dtype.kind not in "fiu":
        raise ValueError(f"a vector must be of real numbers, got dtype {vector.dtype}")
    exact = vector.astype(np.float64)
    length = float(np.linalg.norm(exact))
    if not np.isfinite(exact).all():
        raise ValueError("the query vector has elements that are not finite (NaN or infinity)")
    if length == 0:
        raise ValueError("the query vector is zero, which has no direction")
    return np.asarray(exact / length, np.float32)
