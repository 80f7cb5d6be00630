"""The album's extractor: which one it must be, and loading it only when a photo has to be looked at.

Searching by a vector or by a photo of the album, listing, removing need no model; opening is then instant.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fastcbir.errors import ModelError
from fastcbir.extract.card import ModelCard
from fastcbir.extract.registry import DEFAULT_MODEL, find
from fastcbir.extract.results import Failure, Photo
from fastcbir.image_index.schema import Identity

__all__ = ["AlbumExtractor", "PhotoExtractor", "identity_for"]


class PhotoExtractor(Protocol):
    """What an album needs of an extractor; fastcbir.extract.Extractor is one."""

    @property
    def name(self) -> str: ...
    @property
    def model_id(self) -> str: ...
    @property
    def dim(self) -> int: ...
    @property
    def metric(self) -> str: ...
    def extract(self, images: Sequence[Any], /) -> npt.NDArray[np.float32]: ...
    def stream(self, paths: Iterable[Path], /) -> Iterator[Photo | Failure]: ...


def identity_for(extractor: PhotoExtractor | str | None) -> Identity:
    """What a new album is to be: made for this extractor (None: the default one)."""
    source = find(extractor or DEFAULT_MODEL).card if isinstance(extractor, str | None) else extractor
    created_at = datetime.now().isoformat(timespec="seconds")
    return Identity(source.name, source.model_id, source.dim, source.metric, created_at)


class AlbumExtractor:
    """The extractor of an album, loaded on first use.

    Args:
        identity: of the album.
        given: what open() was given: an extractor, a name, or None for whatever the album was made with.
        album: for messages.

    Raises:
        ModelError: what was given is not what the album was made with.
    """

    def __init__(self, identity: Identity, given: PhotoExtractor | str | None, album: Path) -> None:
        self._identity = identity
        self._album = album
        self._guard = threading.Lock()
        self._loaded: PhotoExtractor | None = None
        if isinstance(given, str):
            card = find(given).card
            # A bare name means "that model, as the album uses it"; anything more must be the same use.
            if card.name != identity.extractor or (given != card.name and card.model_id != identity.model_id):
                raise self._other(card.name, card.model_id)
        elif given is not None:
            if given.model_id != identity.model_id:
                raise self._other(given.name, given.model_id)
            if given.dim != identity.dim:
                raise ModelError(
                    f"{album} has vectors of dim {identity.dim}, but the extractor {given.name} gives dim "
                    f"{given.dim}"
                )
            self._loaded = given

    def __call__(self) -> PhotoExtractor:
        """The extractor, ready.

        Raises:
            ModelError: this version of fastcbir can't make the album's vectors; or loading failed.
            MissingExtraError: a package that it needs is not installed.
        """
        with self._guard:
            if self._loaded is None:
                self._loaded = self._load()
            return self._loaded

    def _load(self) -> PhotoExtractor:
        from fastcbir.extract import load_extractor

        card = self._card()
        if card.model_id != self._identity.model_id:
            raise ModelError(
                f"{self._album} was made with {self._identity.model_id}, but this version of fastcbir has "
                f"{card.model_id}, whose vectors can't be compared with its; open it with the version that "
                "made it, or make a new album"
            )
        return load_extractor(str(card.spec))

    def _card(self) -> ModelCard:
        """The registry's card, used as the album's model_id tells ("name@size+pooling*scales/...")."""
        try:
            card = find(self._identity.extractor).card
        except ModelError as error:
            raise ModelError(
                f"{self._album} was made with the extractor {self._identity.extractor!r}, which this "
                f"fastcbir does not have; pass it to ImageIndex.open(extractor=...), or: {error}"
            ) from error
        told = self._identity.model_id.partition("/")[0]
        try:
            return find(told).card if told.startswith(f"{card.name}@") else card
        except (ModelError, ValueError):
            return card

    def _other(self, name: str, model_id: str) -> ModelError:
        own = self._identity
        return ModelError(
            f"{self._album} was made with the extractor {own.extractor!r} ({own.model_id}), but it was "
            f"opened with {name!r} ({model_id}); their vectors can't be compared: open it with "
            f"extractor={own.extractor!r} or without one, or make a new album"
        )
