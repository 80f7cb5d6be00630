"""One search of an album: query vectors, nearest photos, verification, and once more with a richer query."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastcbir.image_index.catalogue import Catalogue
from fastcbir.image_index.derived import DerivedIndex
from fastcbir.image_index.extracting import PhotoExtractor
from fastcbir.image_index.local_features import FeatureCache
from fastcbir.image_index.nearest import nearest_photos
from fastcbir.image_index.paths import canonical_file
from fastcbir.image_index.query import query_vectors
from fastcbir.image_index.results import PhotoHit
from fastcbir.image_index.snapshot import PhotoFilter
from fastcbir.image_index.verified import check_verifiable, verified_hits
from fastcbir.match.protocol import PairMatcher
from fastcbir.match.registry import load_matcher
from fastcbir.rerank.expansion import alpha_expansion
from fastcbir.rerank.matches import Matches

__all__ = ["MAX_K", "Searcher", "Wanted"]

MAX_K = 10_000
_ALPHA = 3.0  # Radenovic et al., TPAMI 2019
_SAME = 1 - 1e-6  # cosine from which a hit is the query itself, which has nothing to add

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Wanted:
    """How to search: see ImageIndex.search.

    Raises:
        ValueError: k, candidates or expand is no whole number in its range.
    """

    k: int
    photos: PhotoFilter
    verify: bool | str | PairMatcher = False
    candidates: int = 100
    expand: int = 0

    def __post_init__(self) -> None:
        for name, least in (("k", 1), ("candidates", 1), ("expand", 0)):
            given = getattr(self, name)
            if (
                isinstance(given, bool)
                or not isinstance(given, int | np.integer)
                or not least <= given <= MAX_K
            ):
                raise ValueError(f"{name} must be a whole number from {least} to {MAX_K}, got {given!r}")


class Searcher:
    """Searches one album; safe from many threads. Matchers are kept once they are loaded."""

    def __init__(
        self,
        catalogue: Catalogue,
        index: DerivedIndex,
        extractor: Callable[[], PhotoExtractor],
        features: FeatureCache,
    ) -> None:
        self._catalogue, self._index, self._extractor, self._features = catalogue, index, extractor, features
        self._matchers: dict[str | None, PairMatcher] = {}

    def search(self, queries: Sequence[object], wanted: Wanted) -> list[list[PhotoHit]]:
        """At most k hits for each query, the best first."""
        if not queries:
            return []
        if wanted.verify is not False:
            check_verifiable(queries)
        with self._catalogue.reading() as snapshot:
            vectors = query_vectors(queries, snapshot, self._catalogue.identity.dim, self._extractor)
        # Copies of one photo are matched once, and in the second pass nothing is matched again.
        seen: list[dict[int, Matches]] = [{} for _ in queries]
        # One more than it takes, for one hit may be the query itself.
        hits = self._pass(queries, vectors, wanted, seen, at_least=wanted.expand + 1 if wanted.expand else 0)
        if wanted.expand:
            vectors = np.stack([self._richer(*one, wanted) for one in zip(vectors, hits, strict=True)])
            hits = self._pass(queries, vectors, wanted, seen)
        return [found[: wanted.k] for found in hits]

    def _pass(
        self,
        queries: Sequence[object],
        vectors: Vectors,
        wanted: Wanted,
        seen: list[dict[int, Matches]],
        at_least: int = 0,
    ) -> list[list[PhotoHit]]:
        """The nearest photos, verified where that is wanted: max(k, at_least) of them."""
        k = max(int(wanted.k), at_least)
        if wanted.verify is False:
            return nearest_photos(self._catalogue, self._index, vectors, k, wanted.photos)
        fetched = max(k, wanted.candidates)
        nearest = nearest_photos(self._catalogue, self._index, vectors, fetched, wanted.photos)
        matcher = self._matcher(wanted.verify)
        return [
            verified_hits(query, found, k, matcher, self._catalogue, self._features, known)
            for query, found, known in zip(queries, nearest, seen, strict=True)
        ]

    def _richer(self, vector: Vectors, hits: Sequence[PhotoHit], wanted: Wanted) -> Vectors:
        """The query with what its first hits add: those that are confirmed, where verification says so."""
        trusted = [hit for hit in hits if hit.confirmed or wanted.verify is False]
        with self._catalogue.reading() as snapshot:
            found = [snapshot.content_of(canonical_file(hit.path)) for hit in trusted]
            contents = list(dict.fromkeys(content for content in found if content is not None))
            if not contents:
                return vector
            _, stored = snapshot.vectors(np.array(contents))
        others = stored[stored @ vector < _SAME][: wanted.expand]
        return alpha_expansion(vector, others, alpha=_ALPHA) if len(others) else vector

    def _matcher(self, wanted: bool | str | PairMatcher) -> PairMatcher:
        if not isinstance(wanted, bool | str):
            return wanted
        name = wanted if isinstance(wanted, str) else None
        if name not in self._matchers:
            self._matchers[name] = load_matcher(name)
        return self._matchers[name]
