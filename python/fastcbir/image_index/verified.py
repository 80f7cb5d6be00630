"""Searching with geometric verification: hits that show the query's own things move ahead."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastcbir.extract.onnx_session import core_count
from fastcbir.image_index.catalogue import Catalogue
from fastcbir.image_index.local_features import FeatureCache
from fastcbir.image_index.paths import canonical_file
from fastcbir.image_index.query import Text
from fastcbir.image_index.results import PhotoHit
from fastcbir.image_index.snapshot import Snapshot
from fastcbir.image_index.walk import look_at
from fastcbir.match.features import LocalFeatures
from fastcbir.match.protocol import PairMatcher
from fastcbir.rerank.matches import Matches
from fastcbir.rerank.ranking import rerank
from fastcbir.rerank.verify import Verification, verify

__all__ = ["check_verifiable", "verified_hits"]


def check_verifiable(queries: Sequence[object]) -> None:
    """Refuse what has no points to match, before any work is done."""
    for query in queries:
        if isinstance(query, np.ndarray) and query.ndim == 1:
            raise ValueError(
                "verification compares photos, but the query is a vector; search with verify=False, or with "
                "the photo that the vector is of"
            )
        if isinstance(query, Text):
            raise ValueError("verification compares photos, but the query is words; search with verify=False")


def verified_hits(
    query: object,
    hits: Sequence[PhotoHit],
    k: int,
    matcher: PairMatcher,
    catalogue: Catalogue,
    cache: FeatureCache,
    seen: dict[int, Matches],
    how: Verification | None = None,
) -> list[PhotoHit]:
    """The first k after re-ranking, each with its matches.

    Features that are not kept yet are taken from the photos by all cores, ahead of the one that matches.

    Args:
        query: an image, as ImageIndex.search() takes it.
        seen: matches by content, for copies of one photo and for a second pass; what is matched is added.

    Raises:
        ValueError: the query can't be decoded.
    """
    used: set[int] = set()

    def features_of(photo: _Photo) -> LocalFeatures:
        kept = None if photo.content is None else cache.get(photo.content, matcher.model_id)
        if kept is not None and photo.content is not None:
            used.add(photo.content)
            return kept
        found = matcher.extract(photo.image)
        if photo.content is not None and photo.unchanged:
            cache.put(photo.content, matcher.model_id, found)
        return found

    with catalogue.reading() as snapshot:
        asked = _photo(query, snapshot)
        photos = [_photo(hit.path, snapshot) for hit in hits]
    if not asked.unchanged:
        asked = replace(asked, content=None)
    of_query = features_of(asked)

    def features_or_none(photo: _Photo) -> LocalFeatures | None:
        try:
            return features_of(photo)
        except ValueError:  # gone or broken since: the hit stays where it was
            return None

    how = how or Verification(threshold=matcher.tolerance)

    def verified(found: Matches) -> Matches:
        return verify(found, how)

    with ThreadPoolExecutor(core_count()) as pool:
        waiting = [pool.submit(features_or_none, photo) for photo in photos]

        def match(number: int) -> Matches | None:
            content = photos[number].content
            if content in seen:
                return seen[content]
            features = waiting[number].result()
            if features is None or content is None:
                return None
            seen[content] = matcher.match(of_query, features)
            return seen[content]

        ranked = rerank(range(len(hits)), match, verified, k=k, min_inliers=matcher.min_inliers)
        for each in waiting:
            each.cancel()
    cache.touch(used, matcher.model_id)
    return [
        replace(hits[one.item], rank=rank, matches=one.matches, confirmed=one.confirmed)
        for rank, one in enumerate(ranked[:k], start=1)
    ]


@dataclass(frozen=True, eq=False)
class _Photo:
    """An image with its content in the album, if it has one, and whether its file is as it was then."""

    image: Any
    content: int | None = None
    unchanged: bool = False


def _photo(image: object, snapshot: Snapshot) -> _Photo:
    if not isinstance(image, str | os.PathLike):
        return _Photo(image)
    path = canonical_file(image)
    state = snapshot.state_of(path)
    return _Photo(path, snapshot.content_of(path), state is not None and look_at(path) == state)
